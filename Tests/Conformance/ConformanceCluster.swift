// A real PostgreSQL cluster for the suite of workloads.

import Foundation
import Glibc
import Primitives
import Testing

/// A cluster in a directory of its own, with a few tables, run without TCP until it is dropped.
///
/// PostgreSQL refuses to run as root, so as root it runs as `postgres`.
final class ConformanceCluster: @unchecked Sendable {
    // Sendable: it is made, then left alone until it is dropped.
    static let binaries = "/usr/lib/postgresql/15/bin"
    static let isInstalled = FileManager.default.isExecutableFile(atPath: binaries + "/initdb")

    private let process = Process()
    private let place: String
    private static var isRoot: Bool { geteuid() == 0 }

    init(in place: String, settings: String = "") throws {
        self.place = place
        chmod(place, 0o755)
        for name in ["data", "s"] {
            try #require(mkdir("\(place)/\(name)", 0o700) == 0)
            if Self.isRoot, let user = getpwnam("postgres") {
                chown("\(place)/\(name)", user.pointee.pw_uid, user.pointee.pw_gid)
            }
        }
        try run(
            "\(Self.binaries)/initdb", "-D", "\(place)/data", "-U", "chief", "-A", "trust", "-N", "-k",
            "--locale=C.UTF-8")
        let file = URL(fileURLWithPath: "\(place)/data/postgresql.conf")
        let standard = try String(contentsOf: file, encoding: .utf8)
        let handle = try FileHandle(forWritingTo: file)
        try handle.seek(toOffset: UInt64(standard.utf8.count))
        try handle.write(contentsOf: Data(settings.utf8))
        try handle.close()
        set(
            process,
            [
                "\(Self.binaries)/postgres", "-D", "\(place)/data", "-c", "listen_addresses=", "-c",
                "unix_socket_directories=\(place)/s", "-c", "autovacuum=off",
            ])
        try process.run()
        while process.isRunning, try status("\(Self.binaries)/pg_isready", "-q", "-h", "\(place)/s") != 0 {
            SystemClock().sleep(for: .milliseconds(50), unless: Cancellation())
        }
        try sql("CREATE DATABASE \"o'dd \"\"näme@\" TEMPLATE template0")
        try sql("CREATE TABLE t (i int PRIMARY KEY, v text NOT NULL DEFAULT 'x')")
        try sql("INSERT INTO t SELECT i, md5(i::text) FROM generate_series(1, 30000) i")
        try sql("CREATE VIEW large AS SELECT * FROM t WHERE i > 10")
        try sql("ANALYZE")
    }

    deinit {
        // setpriv became the server, so its number is the server's.
        if process.isRunning { kill(process.processIdentifier, SIGQUIT) }
        process.waitUntilExit()
    }

    /// What stands behind `postgres:`.
    var rest: String { "///?host=\(place)/s&user=chief" }

    func sql(_ statement: String) throws {
        try run(
            "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "\(place)/s", "-U", "chief", "-d", "postgres", "-c",
            statement)
    }

    /// The one value that a query gives.
    func ask(_ query: String) throws -> String {
        let process = Process()
        set(process, ["psql", "-XAtq", "-h", "\(place)/s", "-U", "chief", "-d", "postgres", "-c", query])
        let output = Pipe()
        process.standardOutput = output
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return String(decoding: text, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    private func run(_ words: String...) throws {
        try #require(try status(words) == 0, "\(words)")
    }

    private func status(_ words: String...) throws -> Int32 { try status(words) }

    private func status(_ words: [String]) throws -> Int32 {
        let process = Process()
        set(process, words)
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus
    }

    private func set(_ process: Process, _ words: [String]) {
        let drop = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        process.arguments = (Self.isRoot ? drop : []) + words
        process.environment = ["PATH": "\(Self.binaries):/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": place]
        process.currentDirectoryURL = URL(fileURLWithPath: "/")
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
    }
}
