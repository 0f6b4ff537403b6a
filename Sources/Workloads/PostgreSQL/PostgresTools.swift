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

    /// Where Debian and others keep each version in a directory of its own.
    static let places = "/usr/lib/postgresql"
    private static let versions = 10..<100
    private static let mostOutput = 64 << 10

    /// All that are installed under `name`: below ``places``, then along PATH.
    ///
    /// - Throws: `.interrupted`.
    static func installed(_ name: String, _ context: WorkloadContext) throws(HoldfastError) -> [PostgresTool] {
        var paths: [String] = []
        for version in versions where access("\(places)/\(version)/bin/\(name)", X_OK) == 0 {
            paths.append("\(places)/\(version)/bin/\(name)")
        }
        paths.append(name)
        var found: [PostgresTool] = []
        for path in paths {
            guard let text = try output(of: [path, "--version"], context), let tool = PostgresTool(path, text) else {
                continue
            }
            found.append(tool)
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

    /// From `pg_dump (PostgreSQL) 15.18 (Debian …)`.
    private init?(_ path: String, _ text: String) {
        guard let version = text.split(separator: " ").first(where: { $0.first?.isNumber == true }),
            let major = Int(version.prefix { $0.isNumber })
        else { return nil }
        self.path = path
        self.major = major
        self.version = String(version.prefix { !$0.isWhitespace })
    }

    /// What a command prints; nil when it cannot be started or fails.
    private static func output(_ process: any RunningProcess) throws(HoldfastError) -> [UInt8] {
        var text: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 4096)
        while text.count < mostOutput {
            var span = buffer.mutableSpan
            let count = try span.withUnsafeMutableBytes { (raw) throws(HoldfastError) in try process.read(into: raw) }
            if count == 0 { break }
            text.append(contentsOf: buffer[..<count])
        }
        return text
    }

    private static func output(
        of arguments: [String], _ context: WorkloadContext
    ) throws(HoldfastError) -> String? {
        let process: any RunningProcess
        do throws(HoldfastError) {
            process = try context.runner.start(request(arguments), cancellation: context.cancellation)
        } catch {
            if error.code == .interrupted { throw error }
            return nil
        }
        let text = try output(process)
        let result = process.wait()
        try context.cancellation.check()
        return result.isSuccess ? String(decoding: text, as: UTF8.self) : nil
    }

    /// What to start, with messages in English, which are counted.
    static func request(_ arguments: [String], input: ProcessRequest.Input = .nothing) -> ProcessRequest {
        var request = ProcessRequest(arguments)
        request.environment = ProcessEnvironment.lines(setting: ["LC_ALL": "C"])
        request.input = input
        return request
    }
}
