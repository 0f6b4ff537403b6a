// Physical snapshots of real clusters, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

extension ProgramRun {
    /// Runs what is started over clusters of a fresh directory.
    static func beside(_ server: (String) throws -> PostgresServer) throws -> (ProgramRun, PostgresServer) {
        let run = ProgramRun()
        return (run, try server(run.directory.path))
    }

    func isAt(_ path: String) -> Bool { FileManager.default.fileExists(atPath: directory.path + "/" + path) }

    func snapshotCount() throws -> Int {
        let listed = try self("snapshots", "--json")
        return (try listed.json()["snapshots"] as? [Any])?.count ?? -1
    }

    /// The facts of the one snapshot, or of the newest.
    func latestFacts() throws -> [String: String] {
        let list = try self("snapshots", "--json").json()["snapshots"] as? [[String: Any]] ?? []
        let newest = list.max { ($0["started"] as? String ?? "") < ($1["started"] as? String ?? "") }
        return newest?["facts"] as? [String: String] ?? [:]
    }
}

@Suite("A PostgreSQL cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresTests {
    static let oddName = #"ma'ria "Ünï" %41 = x"#

    @Test("that is written to all the while is restored whole, with its tablespaces, into a server that starts")
    func liveBackup() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("-k")
        try server.start()
        let place = run.directory.path
        for name in ["ts one", "ts2"] {
            mkdir("\(place)/\(name)", 0o700)
            PostgresServer.give("\(place)/\(name)")
        }
        try server.sql("CREATE TABLESPACE one LOCATION '\(place)/ts one'")
        try server.sql("CREATE TABLESPACE two LOCATION '\(place)/ts2'")
        try server.sql("CREATE DATABASE \"\(Self.oddName.replacingOccurrences(of: "\"", with: "\"\""))\"")
        try server.sql("CREATE TABLE kept TABLESPACE one AS SELECT i, md5(i::text) t FROM generate_series(1, 20000) i")
        try server.sql("CREATE UNLOGGED TABLE fleeting AS SELECT generate_series(1, 100) i")
        try server.sql("SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 5000), 'hex'))")
        try server.bench("-iq", "-s", "2", "--tablespace=two")
        try run.makeRepository()

        let writer = BackgroundBench(server)
        writer.waitUntilItWrites()
        let first = try run("backup", server.url(), "--json")
        #expect(first.status == 0, "\(first.errors)")
        let second = try run("backup", server.url(), "--json")
        writer.stop()
        #expect(second.status == 0, "\(second.errors)")
        let facts = try second.json()
        let parent = try first.json()["snapshot"] as? String
        #expect(parent != nil && facts["parent"] as? String == parent)
        #expect((facts["deltas"] as? Int ?? 0) > 0, "\(second.output)")
        #expect((facts["source"] as? String)?.hasPrefix("postgres:") == true)
        let large = try server.sql("SELECT md5(lo_get(4711))")
        let kept = try server.sql("SELECT md5(string_agg(t, '' ORDER BY i)) FROM kept")
        let accounts = try server.sql("SELECT count(*) FROM pgbench_accounts")

        let restored = try run(
            "restore", "latest", "--to", "pgdata:restored", "--tablespace", "\(place)/ts one=\(place)/new one",
            "--tablespace", "\(place)/ts2=\(place)/new2")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("are as the server's manifest says"))
        let verified = try PostgresServer.run(
            ["\(PostgresServer.binaries)/pg_verifybackup", "\(place)/restored"], in: place)
        #expect(verified.status == 0, "\(verified.text)")
        #expect(!run.isAt("restored/holdfast.restoring") && !run.isAt("restored/recovery.signal"))
        #expect(Self.mode("\(place)/restored") == 0o700 && Self.mode("\(place)/new one") == 0o700)
        #expect(Self.mode("\(place)/restored/global/pg_control") == 0o600)

        server.stop()
        let copy = PostgresServer(in: place, data: "restored")
        try copy.start()
        let sums = try copy.benchSums()
        #expect(sums.count == 4 && Set(sums).count == 1, "\(sums)")
        #expect(try copy.sql("SELECT count(*) FROM pgbench_accounts") == accounts)
        #expect(try copy.sql("SELECT md5(lo_get(4711))") == large)
        #expect(try copy.sql("SELECT md5(string_agg(t, '' ORDER BY i)) FROM kept") == kept)
        #expect(try copy.sql("SELECT count(*) FROM fleeting") == "0")
        #expect(try copy.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'ma''ria%'") == "1")
        #expect(
            try copy.sql("SELECT string_agg(pg_tablespace_location(oid), ' ' ORDER BY spcname) FROM pg_tablespace")
                .contains("\(place)/new one"))
        let checked = try PostgresServer.run(
            ["\(PostgresServer.binaries)/pg_amcheck", "-h", copy.sockets, "-U", "postgres", "-a", "--install-missing"],
            in: place)
        #expect(checked.status == 0, "\(checked.text)")
        copy.stop()
        #expect(!copy.logText.contains("PANIC") && copy.logText.contains("consistent recovery state reached"))
    }

    @Test("at rest is dumped the same after a restore, and goes back over itself by what differs alone")
    func existingDirectory() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("-k", "--wal-segsize=64")
        try server.start()
        try server.bench("-iq", "-s", "3")
        try run.makeRepository()
        let expected = try server.dump("postgres")
        #expect(try run("backup", server.url()).status == 0)
        let listed = try run("snapshots", "--json").output
        #expect(listed.contains("\"walSegmentSize\":\"67108864\""), "\(listed)")

        // The cluster lives on, then goes back. Blocks are of 1 MiB, so a few transactions change a few of them.
        try server.bench("-t", "3")
        try server.sql("CREATE TABLE later AS SELECT generate_series(1, 50000) i")
        try server.sql("SELECT pg_switch_wal()")
        let file = try server.sql("SELECT pg_relation_filepath('later')")
        for words in [
            ["restore", "latest", "--to", "pgdata:data"], ["restore", "latest", "--to", "pgdata:data", "--dry-run"],
        ] {
            let running = try run.start(words).finish()
            #expect(running.status == 1 && running.errors.contains("a server runs in"), "\(running.errors)")
        }
        #expect(try server.sql("SELECT count(*) FROM later") == "50000")
        server.stop()

        let before = try PostgresServer.run(["ls", "-lR", "--full-time", server.data], in: run.directory.path).text
        let plan = try run("restore", "latest", "--to", "pgdata:data", "--dry-run", "--json")
        #expect(plan.status == 0, "\(plan.errors)")
        #expect(
            try PostgresServer.run(["ls", "-lR", "--full-time", server.data], in: run.directory.path).text == before)
        let planned = try plan.json()["bytesAlreadyThere"] as? Int ?? 0
        let back = try run("restore", "latest", "--to", "pgdata:data", "--json")
        #expect(back.status == 0, "\(back.errors)")
        let facts = try back.json()
        let there = facts["bytesAlreadyThere"] as? Int ?? 0
        let written = facts["bytesWritten"] as? Int ?? .max
        #expect(there > 30 << 20 && written < 100 << 20 && written > 0, "\(back.output)")
        #expect(abs(planned - there) < there / 10, "a dry run told \(planned) bytes, and \(there) were there")
        #expect(!run.isAt("data/\(file)"), "a relation of a later time is left over")
        try server.start()
        #expect(try server.dump("postgres") == expected)
        server.stop()
    }

    static func mode(_ path: String) -> UInt32 {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode & 0o7777 : 0
    }
}

/// pgbench in the background until it is stopped.
final class BackgroundBench {
    private let process = Process()
    private let server: PostgresServer

    init(_ server: PostgresServer) {
        self.server = server
        let words =
            PostgresServer.wrapper + [
                "\(PostgresServer.binaries)/pgbench", "-h", server.sockets, "-U", "postgres", "-n", "-c", "2", "-T",
                "600",
                "postgres",
            ]
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.environment = ["PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try? process.run()
    }

    func waitUntilItWrites() {
        while process.isRunning, (try? server.sql("SELECT count(*) > 0 FROM pgbench_history")) != "t" {
            pause(.milliseconds(50))
        }
    }

    func stop() {
        // On SIGINT pgbench cancels what runs and goes on; other signals it may have inherited as blocked.
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    deinit { if process.isRunning { stop() } }
}
