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

    /// Holds all of one test's clusters; open to the user that the servers run as.
    let place: String
    let data: String
    let sockets: String
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
    init(in place: String, data: String = "data") {
        self.place = place
        self.data = place + "/" + data
        sockets = place + "/s"
        chmod(place, 0o755)
        if mkdir(sockets, 0o700) == 0 { Self.give(sockets) }
    }

    deinit { stop(SIGQUIT) }

    @discardableResult
    static func run(_ arguments: [String], in place: String) throws -> (status: Int32, text: String) {
        let process = Process()
        let words = wrapper + arguments
        process.executableURL = URL(fileURLWithPath: words[0].hasPrefix("/") ? words[0] : "/usr/bin/" + words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ["PATH": "\(binaries):/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": place]
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

    func make(_ arguments: String...) throws {
        #expect(mkdir(data, 0o700) == 0)
        Self.give(data)
        let words = ["\(Self.binaries)/initdb", "-D", data, "-U", "postgres", "-A", "trust", "-N", "--locale=C.UTF-8"]
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
                "\(Self.binaries)/postgres", "-D", data, "-c", "listen_addresses=", "-c", "port=5432", "-c",
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
            if try Self.run(["\(Self.binaries)/pg_isready", "-q", "-h", sockets], in: place).status == 0 { return }
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
        let result = try Self.run(
            [
                "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", sockets, "-U", "postgres", "-d", database, "-c",
                statement,
            ],
            in: place)
        #expect(result.status == 0, "\(statement): \(result.text)")
        return result.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    func bench(_ arguments: String...) throws {
        let result = try Self.run(
            ["\(Self.binaries)/pgbench", "-h", sockets, "-U", "postgres"] + arguments + ["postgres"], in: place)
        #expect(result.status == 0, "\(result.text)")
    }

    /// The dump of a database, without what differs from run to run.
    func dump(_ database: String) throws -> String {
        let result = try Self.run(
            ["\(Self.binaries)/pg_dump", "-h", sockets, "-U", "postgres", "-d", Self.connection(database)], in: place)
        #expect(result.status == 0, "\(result.text)")
        return result.text.split(separator: "\n").filter { !$0.contains("restrict ") }.joined(separator: "\n")
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
