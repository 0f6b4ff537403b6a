// A standby as the source, and a base backup whose program is killed.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A PostgreSQL standby", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresStandbyTests {
    /// A primary with some data, and a standby that streams from it.
    private func pair() throws -> (run: ProgramRun, primary: PostgresServer, standby: PostgresServer) {
        let (run, primary) = try ProgramRun.beside { PostgresServer(in: $0) }
        try primary.make("-k")
        try primary.start()
        try primary.bench("-iq", "-s", "2")
        try run.makeRepository()
        let standby = PostgresServer(in: run.directory.path, data: "standby", sockets: "t")
        mkdir(standby.data, 0o700)
        PostgresServer.give(standby.data)
        let copied = try primary.run("pg_basebackup", "-D", standby.data, "-R", "-c", "fast")
        try #require(copied.status == 0, "\(copied.text)")
        try standby.start()
        return (run, primary, standby)
    }

    /// Waits until the standby has replayed all that the primary wrote.
    private func catchUp(_ standby: PostgresServer, with primary: PostgresServer) throws {
        let position = try primary.sql("SELECT pg_current_wal_flush_lsn()")
        while try standby.sql("SELECT pg_last_wal_replay_lsn() >= '\(position)'") != "t" { pause(.milliseconds(20)) }
    }

    @Test("is backed up under its cluster's name, and comes back as a server that stands by itself")
    func source() throws {
        let (run, primary, standby) = try pair()
        #expect(try run("backup", primary.url()).status == 0)
        try primary.sql("CREATE TABLE later AS SELECT generate_series(1, 1000) i")
        try catchUp(standby, with: primary)
        let expected = try primary.dump("postgres")
        let taken = try run("backup", standby.url(), "--json")
        #expect(taken.status == 0, "\(taken.errors)")
        // It is the same cluster: the standby's pages are stored against the primary's.
        #expect(try run.snapshotCount() == 2)
        #expect((try taken.json()["bytesNew"] as? Int ?? .max) < 8 << 20, "\(taken.output)")
        let facts = try run.latestFacts()
        #expect(facts["isStandby"] == "true" && facts["timeline"] == "1", "\(facts)")
        #expect(facts["startPosition"] != nil && facts["walRange"]?.hasPrefix("00000001") == true)
        #expect(try standby.sql("SELECT count(*) FROM pg_replication_slots") == "0")
        #expect(try standby.sql("SELECT pg_is_in_recovery()") == "t")

        let restored = try run("restore", "latest", "--to", "pgdata:restored")
        #expect(restored.status == 0 && restored.errors.contains("standby.signal"), "\(restored.errors)")
        #expect(!run.isAt("restored/standby.signal"))
        let copy = PostgresServer(in: run.directory.path, data: "restored", sockets: "u")
        // While the primary still runs, which it must not follow.
        try copy.start()
        #expect(try copy.sql("SELECT pg_is_in_recovery()") == "f")
        #expect(try primary.sql("SELECT count(*) FROM pg_stat_replication") == "1")
        #expect(try copy.dump("postgres") == expected)
        for server in [copy, standby, primary] { server.stop() }
    }

    @Test("that is behind gives a snapshot of the instant that it has replayed, not of the backup's")
    func behind() throws {
        let (run, primary, standby) = try pair()
        try primary.sql("CREATE TABLE early AS SELECT generate_series(1, 10) i")
        try catchUp(standby, with: primary)
        try standby.sql("SELECT pg_wal_replay_pause()")
        while try standby.sql("SELECT pg_get_wal_replay_pause_state()") != "paused" { pause(.milliseconds(20)) }
        // The record's instants are whole seconds.
        pause(.milliseconds(2100))
        let late = try primary.sql("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
        try primary.sql("CREATE TABLE late AS SELECT generate_series(1, 10) i")
        let taken = try run("backup", standby.url(), "--json")
        #expect(taken.status == 0, "\(taken.errors)")
        let instant = try taken.json()["consistentAsOf"] as? String ?? ""
        #expect(instant < late && instant.hasPrefix("20"), "\(instant) and \(late)")
        for server in [standby, primary] { server.stop() }
    }

    @Test(
        "that is promoted in the middle of a backup gives no snapshot and the reason, and then one of its new timeline")
    func promoted() throws {
        let (run, primary, standby) = try pair()
        let backup = try run.start(["backup", standby.url(), "--limit-read", "8M", "--json"])
        try standby.waitUntilItStreams(to: backup)
        #expect(try standby.sql("SELECT pg_promote()") == "t")
        let result = try backup.finish()
        #expect(result.status == 1, "\(result.errors)")
        #expect(result.output.contains("source-failed") && result.output.contains("promoted"), "\(result.output)")
        #expect(result.errors.contains("run the command again"), "\(result.errors)")
        #expect(try run.snapshotCount() == 0)
        let again = try run("backup", standby.url())
        #expect(again.status == 0, "\(again.errors)")
        let facts = try run.latestFacts()
        #expect(facts["isStandby"] == "false" && facts["timeline"] == "2", "\(facts)")
        #expect(facts["walRange"]?.hasPrefix("00000002") == true)
        for server in [standby, primary] { server.stop() }
    }
}

@Suite("A base backup whose program ends", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresBrokenOffTests {
    @Test("leaves no snapshot and no slot at the server, and the next one succeeds", arguments: [SIGKILL, SIGINT])
    func brokenOff(signal: Int32) throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make("-k")
        try server.start()
        try server.bench("-iq", "-s", "2")
        try run.makeRepository()
        let backup = try run.start(["backup", server.url(), "--limit-read", "4M"])
        try server.waitUntilItStreams(to: backup)
        let slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name LIKE 'holdfast%'"
        #expect(try server.sql(slots) == "1")
        backup.send(signal)
        let result = try backup.finish()
        #expect(result.status == (signal == SIGKILL ? SIGKILL : 130), "\(result.errors)")
        // The server notices when it next sends, and what it kept for the backup goes.
        while try server.sql("SELECT count(*) FROM pg_stat_replication") != "0" { pause(.milliseconds(20)) }
        #expect(try server.sql(slots) == "0")
        #expect(try server.sql("SELECT count(*) FROM pg_stat_progress_basebackup") == "0")
        #expect(try run.snapshotCount() == 0)
        let next = try run("backup", server.url())
        #expect(next.status == 0, "\(next.errors)")
        #expect(try run("check", "--read-data").status == 0)
        server.stop()
    }
}
