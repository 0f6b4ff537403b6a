// The server's own programs: where they are, and as whom they run.

import CLinux
import Glibc
import Primitives

/// The programs of one major version.
///
/// PostgreSQL keeps several versions side by side, mostly off the PATH.
package struct PostgresPrograms: Sendable, Hashable {
    package let directory: String
    package let major: Int

    /// Finds the programs of a major version: those of `HOLDFAST_PG_BINDIR`, of Debian's, Red Hat's and the project's
    /// own places, then of the PATH.
    ///
    /// - Throws: `.processFailed` when they are not there.
    package static func find(_ program: String, major: Int, _ context: WorkloadContext) throws(HoldfastError) -> Self {
        for directory in places([major]) where access("\(directory)/\(program)", X_OK) == 0 {
            let words = ["\(directory)/\(program)", "--version"]
            guard let text = try version(of: words, context), text.major == major else { continue }
            return PostgresPrograms(directory: directory, major: major)
        }
        throw HoldfastError(
            .processFailed, "\(program) of PostgreSQL \(major) is not on this machine",
            hint: "Install it (postgresql-\(major) on Debian), or name its directory with HOLDFAST_PG_BINDIR.")
    }

    /// Directories in which programs of these major versions may be, in the order in which they are looked into.
    static func places(_ majors: some Sequence<Int>) -> [String] {
        let chosen = ProcessEnvironment.value("HOLDFAST_PG_BINDIR").map { [$0] } ?? []
        let usual =
            majors.flatMap { major in
                ["/usr/lib/postgresql/\(major)/bin", "/usr/pgsql-\(major)/bin", "/opt/postgresql/\(major)/bin"]
            } + ["/usr/local/pgsql/bin"]
        let path = (ProcessEnvironment.value("PATH") ?? "").split(separator: ":").map(String.init)
        return chosen + usual + path.filter { $0.hasPrefix("/") }
    }

    /// What `--version` of a program says: `pg_dump (PostgreSQL) 15.20 (Debian …)`; nil when it fails.
    static func version(
        of words: [String], _ context: WorkloadContext
    ) throws(HoldfastError) -> (text: String, major: Int)? {
        let outcome: ToolOutcome
        do throws(HoldfastError) {
            outcome = try ToolRun(words).run(context)
        } catch {
            if error.code == .interrupted { throw error }
            return nil
        }
        let line = String(decoding: outcome.head, as: UTF8.self).split(separator: "\n").first ?? ""
        guard outcome.result.isSuccess, let range = line.firstRange(of: "(PostgreSQL) ") else { return nil }
        let number = line[range.upperBound...].prefix { $0 != " " }
        return Int(number.prefix { $0.isNumber }).map { (String(number), $0) }
    }

    func path(_ program: String) -> String { "\(directory)/\(program)" }

    /// Where they lie, with the libraries beside them.
    var places: [String] { [directory, "\(directory)/.."] }

    func has(_ program: String) -> Bool { access(path(program), X_OK) == 0 }
}

/// The user that a server runs as: PostgreSQL refuses to run as root.
struct ServerUser: Sendable, Hashable {
    let number: UInt32
    let group: UInt32
    let name: String

    /// Ourselves, or as root the owner of the data directory, or `postgres`.
    ///
    /// - Throws: `.targetFailed` when there is nobody.
    init(for data: String) throws(HoldfastError) {
        let own = geteuid()
        var status = stat()
        if own != 0 {
            self.init(number: own, group: getegid())
        } else if stat(data, &status) == 0, status.st_uid != 0 {
            self.init(number: status.st_uid, group: status.st_gid)
        } else if let entry = getpwnam("postgres") {
            self.init(number: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        } else {
            throw HoldfastError(
                .targetFailed, "root may not run a PostgreSQL server, and there is no user postgres to do it",
                hint: "Run this as another user, or give the restored directory to one.")
        }
    }

    /// Ourselves, or as root somebody who has no rights: for programs that need no file of their own.
    ///
    /// - Throws: `.targetFailed` when there is nobody.
    static func unprivileged() throws(HoldfastError) -> ServerUser {
        guard geteuid() == 0 else { return ServerUser(number: geteuid(), group: getegid()) }
        for name in ["postgres", "nobody"] {
            guard let entry = getpwnam(name) else { continue }
            return ServerUser(number: entry.pointee.pw_uid, group: entry.pointee.pw_gid)
        }
        throw HoldfastError(
            .targetFailed, "there is neither a user postgres nor nobody to read what a snapshot holds",
            hint: "Run this as another user than root.")
    }

    private init(number: UInt32, group: UInt32) {
        self.number = number
        self.group = group
        name = getpwuid(number).map { String(cString: $0.pointee.pw_name) } ?? ""
    }

    var isOther: Bool { number != geteuid() }

    /// Gives a directory with all below it to this user, who may be at work in it.
    ///
    /// Links are given, not followed, and devices are closed to all instead. Nobody else may be able to replace `path`
    /// itself.
    /// - Parameter isClosed: Nobody else gets there yet.
    /// - Throws: `.targetFailed`, also for a file that has a name elsewhere, where this user could have made the one
    ///   here.
    func own(_ path: String, isClosed: Bool = false) throws(HoldfastError) {
        if isOther { try TreeGift(to: self, isClosed: isClosed).give(path) }
    }

    /// Lets this user, and nobody else but us, pass through `directory`, which stays ours.
    func admit(to directory: String) throws(HoldfastError) {
        guard isOther else { return }
        guard lchown(directory, geteuid(), group) == 0, chmod(directory, 0o710) == 0 else {
            throw HoldfastError.systemCall("open", errno, on: directory, code: .targetFailed)
        }
    }

    /// Whether a path's directories let this user through to it.
    func reaches(_ path: String) -> Bool {
        guard isOther else { return true }
        var parent = path[...]
        while let slash = parent.lastIndex(of: "/"), slash > parent.startIndex {
            parent = parent[..<slash]
            var status = stat()
            guard stat(String(parent), &status) == 0 else { return false }
            let bit: UInt32 = status.st_uid == number ? 0o100 : status.st_gid == group ? 0o010 : 0o001
            if status.st_mode & bit == 0 { return false }
        }
        return true
    }
}

/// How a tool ended and what it printed.
struct ToolOutcome: Sendable {
    var result: ProcessResult
    /// The first bytes on standard output.
    var head: [UInt8]
    /// The first bytes on standard error, and the last.
    var errorHead: [UInt8] = []
    var errorTail: [UInt8]

    /// What it complained of, as one line of limited length; else what it printed.
    var complaint: String {
        let text = String(decoding: errorTail.isEmpty ? head : errorTail, as: UTF8.self)
        return String(postgresLine(text).prefix(1000))
    }
}

/// A run of a tool to its end, with nothing of our environment but what it needs.
struct ToolRun: Sendable {
    private static let mostKept = 64 << 10

    private var request: ProcessRequest
    private let hasView: Bool

    init(_ words: [String], sessionOptions: String = "", timeout: Duration? = nil) {
        var request = ProcessRequest(words)
        request.environment = Self.environment + (sessionOptions.isEmpty ? [] : ["PGOPTIONS=\(sessionOptions)"])
        request.timeout = timeout
        self.init(request)
    }

    init(_ request: ProcessRequest) {
        self.request = request
        self.request.stopSignal = SIGTERM
        hasView = request.arguments.contains(ScratchView.programName)
    }

    /// No PG* variables, which would lead elsewhere, and no language but one.
    static var environment: [String] {
        ["LC_ALL=C", "PATH=\(ProcessEnvironment.value("PATH") ?? "/usr/bin:/bin")"]
    }

    /// - Throws: `.processFailed` when it cannot be started, or not be kept apart; `.interrupted`.
    func run(_ context: WorkloadContext) throws(HoldfastError) -> ToolOutcome {
        let process = try context.runner.start(request, cancellation: context.cancellation)
        var outcome = ToolOutcome(result: .terminated, head: [], errorTail: [])
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = try process.read(into: buffer)
            if count == 0 { break }
            let room = max(0, Self.mostKept - outcome.head.count)
            outcome.head += UnsafeRawBufferPointer(rebasing: buffer[..<min(room, count)])
        }
        outcome.result = process.wait()
        (outcome.errorHead, outcome.errorTail) = (process.errorHead, process.errorTail)
        try context.cancellation.check()
        if hasView, outcome.result == .exited(ScratchView.failureStatus) {
            throw HoldfastError(
                .processFailed, "what a program over a copy may see could not be set up: \(outcome.complaint)",
                hint: "It says nothing of the copy; look at the place that is named, and at HOME and TMPDIR.")
        }
        return outcome
    }
}
