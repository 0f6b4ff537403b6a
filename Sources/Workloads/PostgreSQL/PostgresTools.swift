// PostgreSQL's own programs: which of those that are installed fits a server.

import CLinux
import Glibc
import Primitives

/// A program of PostgreSQL's client tools.
struct PostgresTool: Sendable, Hashable {
    let path: String
    /// Such as 15.
    let major: Int
    /// Such as `15.18`.
    let version: String

    private static let versions = 10..<100

    /// All that are installed under `name`, in the order of ``PostgresPrograms/places(_:)``.
    ///
    /// - Throws: `.interrupted`.
    static func installed(_ name: String, _ context: WorkloadContext) throws(HoldfastError) -> [PostgresTool] {
        var found: [PostgresTool] = []
        for directory in PostgresPrograms.places(versions) where access("\(directory)/\(name)", X_OK) == 0 {
            let path = "\(directory)/\(name)"
            guard let version = try PostgresPrograms.version(of: [path, "--version"], context) else { continue }
            found.append(PostgresTool(path: path, major: version.major, version: version.text))
        }
        return found
    }

    /// The one that suits version `major` best: it, else the next newer.
    static func best(_ name: String, for major: Int, _ context: WorkloadContext) throws(HoldfastError) -> PostgresTool {
        let tools = try installed(name, context)
        if let best = tools.filter({ $0.major >= major }).min(by: { $0.major < $1.major }) { return best }
        let there = Set(tools.map(\.version)).sorted().joined(separator: ", ")
        throw HoldfastError(
            .sourceFailed,
            there.isEmpty
                ? "\(name) is not installed" : "\(name) here is \(there), which refuses what is of PostgreSQL \(major)",
            hint: "Install the client tools of PostgreSQL \(major), on Debian the package postgresql-client-\(major).")
    }

    /// What to start, with messages in English, which are counted.
    static func request(_ arguments: [String], input: ProcessRequest.Input = .nothing) -> ProcessRequest {
        var request = ProcessRequest(arguments)
        request.environment = ProcessEnvironment.lines(setting: ["LC_ALL": "C"])
        request.input = input
        return request
    }
}
