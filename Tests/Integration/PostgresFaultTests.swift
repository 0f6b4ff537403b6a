// What can go wrong with a cluster, each thing done to a real one.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("With a PostgreSQL cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresFaultTests {
    // MARK: Logging in

    @Test("that lets us not in, the reason is told by what to do about it, and nothing is committed")
    func logins() throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.sql("CREATE ROLE plain LOGIN")
        try server.sql("CREATE ROLE secret LOGIN REPLICATION PASSWORD 'right'")
        try server.sql("CREATE ROLE shut LOGIN REPLICATION")
        let rules = """
            local all postgres trust
            local replication postgres trust
            local replication plain trust
            local replication secret scram-sha-256
            """
        try rules.write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try server.sql("SELECT pg_reload_conf()")
        try run.makeRepository()

        func refused(_ url: String, _ run: ProgramRun, _ status: Int32, _ texts: String...) throws {
            let result = try run("backup", url, "--source", "cluster", "--json")
            #expect(result.status == status, "\(url): \(result.errors)")
            for text in texts { #expect((result.errors + result.output).contains(text), "\(text): \(result.errors)") }
        }
        try refused(server.url(user: "plain"), run, 1, "42501", "ALTER ROLE", "access-denied")
        try refused(server.url(user: "shut"), run, 1, "28000", "pg_hba.conf", "access-denied")
        try refused(server.url(user: "secret"), run, 1, "PGPASSFILE", "access-denied")
        var withFile = run
        withFile.variables["PGPASSFILE"] = try run.file("wrong", "*:*:*:secret:wrong\n")
        try refused(server.url(user: "secret"), withFile, 1, "28P01", "PGPASSFILE", "access-denied")
        try refused("postgres://secret:right@localhost/", run, 64, "a password inside a URL is refused")
        try refused(server.url(more: "&password=right"), run, 64, "a password inside a URL is refused")
        try refused(server.url(more: "&nonsense=1"), run, 64, "nonsense")
        var elsewhere = run
        elsewhere.variables["PGHOSTADDR"] = "127.0.0.1"
        try refused(server.url(), elsewhere, 64, "PGHOSTADDR")
        #expect(try run.snapshotCount() == 0)
        withFile.variables["PGPASSFILE"] = try run.file("right", "*:*:replication:secret:right\n")
        let taken = try withFile("backup", server.url(user: "secret"))
        #expect(taken.status == 0, "\(taken.errors)")
        server.stop()
        try refused(server.url(), run, 1, "source-failed", "Check that the server runs")
        #expect(try run.snapshotCount() == 1)
    }

    @Test("of another identity under the same name, its backup is refused")
    func otherCluster() throws {
        let (run, server) = try ProgramRun.withCluster()
        #expect(try run("backup", server.url(), "--source", "shop").status == 0)
        server.stop()
        let other = PostgresServer(in: run.directory.path, data: "other")
        try other.make()
        try other.start()
        let refused = try run("backup", other.url(), "--source", "shop")
        #expect(
            refused.status == 1 && refused.errors.contains("the snapshots of this source are of"), "\(refused.errors)")
        other.stop()
        // Nor is a snapshot of one restored over the other.
        let restored = try run("restore", "latest", "--to", "pgdata:other")
        #expect(restored.status == 1 && restored.errors.contains("holds cluster"), "\(restored.errors)")
        try other.start()
        #expect(try other.sql("SELECT 1") == "1")
        other.stop()
    }

    // MARK: While a backup runs

    @Test("whose archive takes no log, a backup does not wait for that, since it brings the log itself")
    func failingArchive() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make()
        try server.setting("archive_mode = on\narchive_command = 'false'")
        try server.start()
        try server.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) i")
        try run.makeRepository()
        let backup = try run.start(["backup", server.url()])
        // The server says so after a minute of waiting, and would go on.
        while backup.process.isRunning, !server.logText.contains("still waiting for all required WAL") {
            pause(.milliseconds(100))
        }
        if backup.process.isRunning { backup.send(SIGKILL) }
        let taken = try backup.finish()
        #expect(taken.status == 0, "\(taken.errors)")
        server.stop()
        #expect(try run("restore", "latest", "--to", "pgdata:out").status == 0)
        let copy = PostgresServer(in: run.directory.path, data: "out")
        try copy.start()
        #expect(try copy.sql("SELECT count(*) FROM kept") == "1000")
        copy.stop()
    }

    @Test("that is stopped or killed in the middle, nothing is committed and the reason is told", arguments: [2, 3, 9])
    func stopped(signal: Int32) throws {
        let (run, server) = try ProgramRun.besideCluster()
        try server.bench("-iq", "-s", "2")
        try run.makeRepository()
        let backup = try run.start(["backup", server.url(), "--limit-read", "4M", "--json"])
        try server.waitUntilItStreams(to: backup)
        server.stop(signal)
        let result = try backup.finish()
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.output.contains("source-failed"), "\(result.output)")
        #expect(result.output.contains("the base backup"), "\(result.output)")
        #expect(try run.snapshotCount() == 0)
    }

    /// Takes a slow base backup, and meanwhile writes and switches so much log that what no slot holds is recycled.
    private func backUpWhileLogIsRecycled(
        _ run: ProgramRun, _ server: PostgresServer
    ) throws -> RunResult {
        try server.bench("-iq", "-s", "2")
        try run.makeRepository()
        let backup = try run.start(["backup", server.url(), "--limit-read", "8M", "--json"])
        try server.waitUntilItStreams(to: backup)
        for _ in 0..<5 {
            try server.sql(
                "CREATE TABLE IF NOT EXISTS filler (i int); INSERT INTO filler SELECT generate_series(1, 50000)")
            try server.sql("SELECT pg_switch_wal()")
            try server.sql("CHECKPOINT")
        }
        return try backup.finish()
    }

    @Test("whose log is recycled before the end of a backup, nothing is committed and the reason is told")
    func recycledLog() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("--wal-segsize=1")
        try server.setting("max_replication_slots = 0\nmax_wal_size = 2MB\nmin_wal_size = 2MB\nwal_keep_size = 0")
        try server.start()
        let result = try backUpWhileLogIsRecycled(run, server)
        #expect(result.status == 1, "\(result.errors)")
        #expect(
            result.output.contains("has already been removed") && result.output.contains("wal_keep_size"),
            "\(result.output)")
        #expect(try run.snapshotCount() == 0)
        server.stop()
    }

    @Test("whose log would be recycled, a slot of the backup holds it, and is gone afterwards")
    func heldLog() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("--wal-segsize=1")
        try server.setting("max_wal_size = 2MB\nmin_wal_size = 2MB\nwal_keep_size = 0")
        try server.start()
        let result = try backUpWhileLogIsRecycled(run, server)
        #expect(result.status == 0, "\(result.errors)")
        #expect(try server.sql("SELECT count(*) FROM pg_replication_slots") == "0")
        server.stop()
        #expect(try run("restore", "latest", "--to", "pgdata:restored").status == 0)
        let copy = PostgresServer(in: run.directory.path, data: "restored")
        try copy.start()
        #expect(try copy.sql("SELECT count(*) FROM pgbench_accounts") == "200000")
        copy.stop()
    }

    @Test("with a damaged page, the snapshot is committed as damaged, the status is 4, and the last good one is kept")
    func damagedPage() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("-k")
        try server.start()
        try server.bench("-iq", "-s", "1")
        let file = try server.sql("SELECT pg_relation_filepath('pgbench_accounts')")
        try run.makeRepository()
        let good = try run("backup", server.url(), "--json")
        #expect(good.status == 0, "\(good.errors)")
        server.stop()
        let relation = try FileHandle(forUpdating: URL(fileURLWithPath: server.data + "/" + file))
        try relation.seek(toOffset: 3 * 8192 + 5000)
        try relation.write(contentsOf: Data("scribble".utf8))
        try relation.close()
        try server.start()
        let damaged = try run("backup", server.url(), "--json")
        #expect(damaged.status == 4, "\(damaged.errors)")
        #expect(damaged.errors.contains(file) && damaged.errors.contains("damaged pages"), "\(damaged.errors)")
        #expect(try damaged.json()["isDamaged"] as? Bool == true)
        #expect(try run("snapshots", "--json").output.contains("\"flags\":[\"damaged\"]"))
        server.stop()
        #expect(try run("forget", "--keep-last", "1").status == 0)
        let left = try run("snapshots", "--json").output
        let first = try #require(try good.json()["snapshot"] as? String)
        #expect(left.contains(first), "the last undamaged snapshot was dropped")
    }
}

extension PostgresServer {
    /// Waits until a base backup is sending its files, or the program that asked for it is over.
    func waitUntilItStreams(to backup: StartedProgram) throws {
        let query = "SELECT count(*) FROM pg_stat_progress_basebackup WHERE phase = 'streaming database files'"
        while backup.process.isRunning, try sql(query) != "1" { pause(.milliseconds(20)) }
    }
}
