// Live SQLite databases by the real program: what others write meanwhile, what is left behind, what comes back.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A SQLite database", .waiting)
struct SQLiteTests {
    private func prepared() throws -> ProgramRun {
        let run = ProgramRun()
        try run.makeDirectory("app")
        try run.makeRepository()
        return run
    }

    @Test(
        "that is committed to as fast as it goes is one of its committed states in each of ten snapshots",
        arguments: ["WAL", "DELETE"])
    func load(mode: String) throws {
        let run = try prepared()
        let writer = try run.startPython(SQLiteScript.writer("app/live.db", mode: mode))
        defer { writer.stop() }
        var counts: [Int] = []
        for number in 0..<10 {
            let taken = try run("backup", "sqlite:app/live.db", "--source", "app", "--json")
            #expect(taken.status == 0, "\(taken.errors)")
            let restored = try run("restore", "latest:app", "--to", "sqlite:restored.db")
            #expect(restored.status == 0, "\(restored.errors)")
            #expect(try run.sqlite("restored.db", "PRAGMA integrity_check;") == "ok\n")
            #expect(try run.sqlite("restored.db", SQLiteScript.isCommittedState) == "1\n", "snapshot \(number)")
            counts.append(Int(try run.sqlite("restored.db", "SELECT n FROM state;").dropLast()) ?? -1)
        }
        #expect(writer.process.isRunning)
        #expect(counts == counts.sorted() && Set(counts).count == 10, "the writer stood still: \(counts)")
    }

    @Test("whose writer was killed is taken with its log, and nothing beside it changes")
    func abandonedLog() throws {
        let run = try prepared()
        let work = """
            c.execute("PRAGMA journal_mode=WAL")
            c.execute("PRAGMA wal_autocheckpoint=0")
            c.execute("CREATE TABLE t(v)")
            c.executemany("INSERT INTO t VALUES (?)", [("value %d" % i,) for i in range(5000)])
            """
        try run.startPython(SQLiteScript.holder("app/a.db", work)).kill()
        // Without the index, as after a restart of the machine, and with it, as after a crash of the program.
        for hasIndex in [true, false] {
            if !hasIndex { try FileManager.default.removeItem(atPath: run.directory.path + "/app/a.db-shm") }
            let before = try run.picture("app")
            #expect(before["a.db-wal"]?.isEmpty == false)
            let taken = try run("backup", "sqlite:app/a.db", "--source", "a")
            #expect(taken.status == 0, "\(taken.errors)")
            #expect(try run.picture("app") == before)
            #expect(try run("restore", "latest:a", "--to", "sqlite:out.db").status == 0)
            #expect(try run.sqlite("out.db", "SELECT count(*) FROM t;") == "5000\n")
        }
        let dump = try run.sqlite("out.db", ".dump")
        #expect(try run.sqlite("app/a.db", ".dump") == dump)
    }

    @Test("that was closed leaves no -wal and -shm behind, and its dump is the same", arguments: [512, 4096, 65_536])
    func closed(pageSize: Int) throws {
        let run = try prepared()
        try run.sqlite(
            "app/a.db",
            """
            PRAGMA page_size=\(pageSize); PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL;
            CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); CREATE INDEX i ON t(v);
            WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 20000)
            INSERT INTO t SELECT x, randomblob(x % 200) FROM c; DELETE FROM t WHERE id % 3 = 0;
            """)
        let before = try run.picture("app")
        #expect(before.count == 1)
        #expect(try run("backup", "sqlite:app/a.db", "--source", "a").status == 0)
        #expect(try run.picture("app") == before)
        let restored = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try run.sqlite("out.db", ".dump") == run.sqlite("app/a.db", ".dump"))
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/.out.db.holdfast"))
    }

    @Test("that changed a little costs little, since its pages are stored as deltas")
    func deltas() throws {
        let run = try prepared()
        let fill = """
            PRAGMA journal_mode=WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);
            WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 60000)
            INSERT INTO t SELECT x, hex(randomblob(40)) FROM c;
            """
        try run.sqlite("app/a.db", fill)
        let first = try run("backup", "sqlite:app/a.db", "--source", "a", "--json").json()
        try run.sqlite("app/a.db", "UPDATE t SET v = 'changed' WHERE id % 1000 = 0;")
        let second = try run("backup", "sqlite:app/a.db", "--source", "a", "--json").json()
        let (stored, whole) = (try #require(second["bytesStored"] as? Int), try #require(first["bytesStored"] as? Int))
        #expect(try #require(second["deltas"] as? Int) > 0)
        #expect(stored < whole / 10, "\(stored) of \(whole)")
        let third = try run("backup", "sqlite:app/a.db", "--source", "a", "--json").json()
        #expect(third["bytesNew"] as? Int == 0)
    }

    @Test("is one of several in a snapshot, each with its own instant, and comes back by its name")
    func several() throws {
        let run = try prepared()
        try run.sqlite(
            "app/users.db",
            "CREATE TABLE u(v); INSERT INTO u VALUES ('u'); CREATE TABLE b AS SELECT randomblob(3 << 20);")
        try run.sqlite("app/jobs.db", "CREATE TABLE j(v); INSERT INTO j VALUES ('j'), ('k');")
        let place = run.directory.path
        let words = [
            "backup", "sqlite:app/users.db", "sqlite:app/jobs.db", "--source", "app", "--json", "--limit-read", "1M",
        ]
        let backup = try run.start(words)
        #expect(backup.waitUntilItOpens(place + "/app/users.db"))
        try run.sqlite("app/jobs.db", "INSERT INTO j VALUES ('while the other is read');")
        let taken = try backup.finish()
        #expect(taken.status == 0, "\(taken.errors)")
        let list = try #require(try run("snapshots", "--json").json()["snapshots"] as? [[String: Any]])
        #expect(list.count == 1)
        // One was read after the other: each has its instant, and the snapshot has the earliest.
        let facts = try #require(list.first?["facts"] as? [String: String])
        let users = try #require(facts["\(place)/app/users.db: consistentAsOf"])
        let jobs = try #require(facts["\(place)/app/jobs.db: consistentAsOf"])
        #expect(users < jobs, "\(facts)")
        #expect(list.first?["consistentAsOf"] as? String == users)
        #expect(try taken.json()["consistentAsOf"] as? String == users)
        #expect(try run("restore", "latest:app", "--to", "sqlite:jobs.db").status == 0)
        #expect(try run.sqlite("jobs.db", "SELECT count(*) FROM j;") == "3\n")
        let refused = try run("restore", "latest:app", "--to", "sqlite:other.db")
        #expect(refused.status == 64 && refused.errors.contains("\(place)/app/users.db"), "\(refused.errors)")
        #expect(try run("restore", "latest:app", "--to", "dir:both").status == 0)
        #expect(try run.sqlite("both/users.db", "SELECT v FROM u;") == "u\n")
        #expect(try run("backup", "sqlite:app/users.db", "dir:app").status == 64)
        #expect(try run("backup", "sqlite:app/users.db", "--exclude", "x").status == 64)
    }

    @Test("is looked at by dry runs, which tell what there is, refuse what they would refuse, and change nothing")
    func dryRuns() throws {
        let run = try prepared()
        try run.sqlite(
            "app/a.db", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(1 << 20));")
        let size = try Data(contentsOf: URL(fileURLWithPath: run.directory.path + "/app/a.db")).count
        let before = try run.picture("app")
        let planned = try run("backup", "sqlite:app/a.db", "--source", "a", "--dry-run", "--json")
        #expect(planned.status == 0, "\(planned.errors)")
        #expect(try planned.json()["bytesRead"] as? Int == size)
        #expect(try planned.json()["snapshot"] is NSNull? && run.snapshotIDs().isEmpty)
        #expect(try run("backup", "sqlite:app/none.db", "--dry-run").status == 1)
        #expect(try run("backup", "sqlite:app/a.db", "--source", "a").status == 0)
        #expect(try run.picture("app") == before)

        let plan = try run("restore", "latest:a", "--to", "sqlite:out.db", "--dry-run", "--json")
        #expect(plan.status == 0, "\(plan.errors)")
        #expect(try plan.json()["bytes"] as? Int == size && plan.json()["bytesAlreadyThere"] as? Int == 0)
        #expect(!run.isAt("out.db") && !run.isAt(".out.db.holdfast"))
        let holder = try run.startPython(
            SQLiteScript.holder("app/a.db", "c.execute('SELECT count(*) FROM t').fetchall()"))
        let inUse = try run("restore", "latest:a", "--to", "sqlite:app/a.db", "--dry-run")
        holder.stop()
        #expect(inUse.status == 1 && inUse.errors.contains("is in use"), "\(inUse.errors)")
        let part = try run("restore", "latest:a", "--to", "sqlite:out.db", "--dry-run", "--include", "x")
        #expect(part.status == 64, "\(part.errors)")
        for source in ["postgres:///?host=/nowhere", "stdin:dump"] {
            let refused = try run("backup", source, "--dry-run")
            #expect(refused.status == 64 && refused.errors.contains("known when it is read"), "\(refused.errors)")
        }
    }
}
