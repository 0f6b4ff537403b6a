// What can be wrong with a SQLite database or with the place that one is restored to.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A SQLite database that cannot be taken or put back", .waiting)
struct SQLiteFaultTests {
    private func prepared() throws -> ProgramRun {
        let run = ProgramRun()
        try run.makeDirectory("app")
        try run.makeRepository()
        return run
    }

    private static let fill = """
        CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t(v);
        WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 5000)
        INSERT INTO t SELECT x, 'needle ' || x || ' in the hay' FROM c;
        """

    @Test("is told why, and nothing is committed")
    func refusals() throws {
        let run = try prepared()
        try run.makeDirectory("app/folder")
        _ = try run.file("app/text.db", String(repeating: "no database at all\n", count: 100))
        for (name, word) in [("none.db", "there is no"), ("folder", "is no file"), ("text.db", "not a database")] {
            let result = try run("backup", "sqlite:app/\(name)", "--json")
            #expect(result.status == 1, "\(name): \(result.output)")
            #expect(result.errors.contains(word), "\(name): \(result.errors)")
        }
        #expect(try run.snapshotIDs().isEmpty)
        _ = try run.file("app/empty.db", "")
        let empty = try run("backup", "sqlite:app/empty.db", "--source", "empty")
        #expect(empty.status == 0 && empty.errors.contains("has no bytes"), "\(empty.errors)")
    }

    @Test("for another holds its lock is waited for, and then given up")
    func locked() throws {
        let run = try prepared()
        try run.sqlite("app/a.db", Self.fill)
        let holder = try run.startPython(SQLiteScript.holder("app/a.db", "c.execute('BEGIN EXCLUSIVE')"))
        let result = try run("backup", "sqlite:app/a.db")
        holder.stop()
        #expect(result.status == 1)
        #expect(result.errors.contains("database is locked"), "\(result.errors)")
        #expect(try run.snapshotIDs().isEmpty)
        #expect(try run("backup", "sqlite:app/a.db").status == 0)
    }

    @Test("for it has a hot journal is left to its application, journal and all")
    func hotJournal() throws {
        let run = try prepared()
        try run.sqlite("app/a.db", Self.fill)
        let work = """
            c.execute("PRAGMA cache_size=5")
            c.execute("BEGIN")
            c.execute("UPDATE t SET v = v || ' changed'")
            """
        try run.startPython(SQLiteScript.holder("app/a.db", work)).kill()
        let before = try run.picture("app")
        #expect(before["a.db-journal"]?.isEmpty == false)
        let result = try run("backup", "sqlite:app/a.db")
        #expect(result.status == 1)
        #expect(result.errors.contains("hot journal"), "\(result.errors)")
        #expect(try run.picture("app") == before)
        try run.sqlite("app/a.db", "SELECT count(*) FROM t;")
        #expect(try run("backup", "sqlite:app/a.db").status == 0)
    }

    @Test("for its directory cannot be written to says what is needed, and works when another has it open")
    func readOnlyDirectory() throws {
        var run = try prepared()
        try run.sqlite("app/a.db", "PRAGMA journal_mode=WAL;" + Self.fill)
        let place = run.directory.path
        let setUp = run
        chmod(place + "/app", 0o555)
        chmod(place + "/app/a.db", 0o444)
        if geteuid() == 0 {
            run.wrapper = ["/usr/bin/setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
            #expect(try run.shell("chmod 755 . && chown -R 65534:65534 repository").status == 0)
        }
        let refused = try run("backup", "sqlite:app/a.db", "--source", "a")
        #expect(refused.status == 1)
        #expect(refused.errors.contains("right to write in its directory"), "\(refused.errors)")
        if geteuid() == 0 {
            let holder = try setUp.startPython(
                SQLiteScript.holder("app/a.db", "c.execute('DELETE FROM t WHERE id > 1000')"))
            let taken = try run("backup", "sqlite:app/a.db", "--source", "a")
            holder.stop()
            #expect(taken.status == 0, "\(taken.errors)")
            #expect(try run("restore", "latest:a", "--to", "dir:\(place)/repository/out").status == 0)
            #expect(try setUp.sqlite("repository/out/a.db", "SELECT count(*) FROM t;") == "1000\n")
        }
        chmod(place + "/app", 0o755)
    }

    @Test("whole is kept with the flag damaged when SQLite says that it is corrupt")
    func corrupt() throws {
        let run = try prepared()
        try run.sqlite("app/a.db", Self.fill)
        // All pages but the first, so that the header is fine and the tables are not.
        #expect(try run.shell("dd if=/dev/zero of=app/a.db bs=4096 seek=1 count=20 conv=notrunc").status == 0)
        let taken = try run("backup", "sqlite:app/a.db", "--source", "a", "--json")
        #expect(taken.status == 4, "\(taken.errors)")
        #expect(try taken.json()["isDamaged"] as? Bool == true)
        #expect(try run("snapshots", "--json").output.contains("\"flags\":[\"damaged\"]"))
        let restored = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(restored.status == 0 && restored.errors.contains("integrity_check"), "\(restored.errors)")
        #expect(
            FileManager.default.contentsEqual(
                atPath: run.directory.path + "/app/a.db", andPath: run.directory.path + "/out.db"))
    }

    @Test("as it is not sound is not put into place")
    func unsound() throws {
        let run = try prepared()
        try run.sqlite("app/a.db", Self.fill)
        // In the table, and not in the index: no page is malformed, and rows can be counted.
        let script = """
            data = open("app/a.db", "rb").read()
            place = data.index(b"needle 777 in")
            open("app/a.db", "r+b").write(data[:place] + b"beetle" + data[place + 6:])
            """
        #expect(try run.shell("exec python3 -", input: script).status == 0)
        #expect(try run.sqlite("app/a.db", "PRAGMA integrity_check;") != "ok\n")
        #expect(try run("backup", "sqlite:app/a.db", "--source", "a").status == 0)
        try run.sqlite("out.db", "CREATE TABLE kept(v);")
        let restored = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(restored.status == 4, "\(restored.errors)")
        #expect(try run.sqlite("out.db", ".tables") == "kept\n")
        #expect(try run("restore", "latest:a", "--to", "dir:out").status == 0)
    }

    @Test("as its checks need the application, or its schema contradicts itself, is put into place with a warning")
    func unsupportedChecks() throws {
        let run = try prepared()
        let script = """
            import sqlite3
            c = sqlite3.connect("app/a.db")
            c.create_collation("LOCALIZED", lambda a, b: (a > b) - (a < b))
            c.execute("CREATE TABLE t(v TEXT COLLATE LOCALIZED)")
            c.execute("CREATE INDEX i ON t(v)")
            c.execute("CREATE TABLE parent(a)")
            c.execute("CREATE TABLE child(a REFERENCES parent(a))")
            c.execute("INSERT INTO t VALUES ('x')")
            c.execute("INSERT INTO child VALUES (1)")
            c.commit()
            """
        #expect(try run.shell("exec python3 -", input: script).status == 0)
        #expect(try run("backup", "sqlite:app/a.db", "--source", "a").status == 0)
        let restored = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("no such collation sequence: LOCALIZED"), "\(restored.errors)")
        #expect(restored.errors.contains("foreign key mismatch"), "\(restored.errors)")
        #expect(
            FileManager.default.contentsEqual(
                atPath: run.directory.path + "/app/a.db", andPath: run.directory.path + "/out.db"))
    }

    @Test(
        "for a log or journal lies beside it on a read-only file system is not taken without that",
        .enabled(if: CrashTests.mayMount, "mounting a file system is refused here; run the tests as root"))
    func readOnlyFileSystem() throws {
        let run = try prepared()
        #expect(try run.shell("mount -t tmpfs tmpfs app").status == 0)
        defer { umount2(run.directory.path + "/app", Int32(MNT_DETACH)) }
        try run.sqlite("app/whole.db", "PRAGMA journal_mode=WAL;" + Self.fill)
        for (name, mode) in [("wal.db", "WAL"), ("journal.db", "DELETE")] {
            try run.sqlite("app/\(name)", "PRAGMA journal_mode=\(mode);" + Self.fill)
            let work = """
                c.execute("PRAGMA cache_size=5")
                c.execute("BEGIN")
                c.execute("UPDATE t SET v = v || ' changed'")
                if "\(mode)" == "WAL": c.execute("COMMIT")
                """
            try run.startPython(SQLiteScript.holder("app/\(name)", work)).kill()
        }
        #expect(try run.shell("mount -o remount,ro app").status == 0)
        for (name, word) in [("wal.db", "wal.db-wal holds"), ("journal.db", "journal.db-journal holds")] {
            let refused = try run("backup", "sqlite:app/\(name)", "--source", name)
            #expect(refused.status == 1 && refused.errors.contains(word), "\(name): \(refused.errors)")
        }
        #expect(try run.snapshotIDs().isEmpty)
        #expect(try run("backup", "sqlite:app/whole.db", "--source", "whole").status == 0)
        #expect(try run("restore", "latest:whole", "--to", "sqlite:out.db").status == 0)
        #expect(try run.sqlite("out.db", "SELECT count(*) FROM t;") == "5000\n")
    }

    @Test("goes over an old one, but not over one that is in use or has a log of its own")
    func targets() throws {
        let run = try prepared()
        try run.sqlite("app/a.db", Self.fill)
        #expect(try run("backup", "sqlite:app/a.db", "--source", "a").status == 0)
        // An idle connection holds no lock.
        try run.sqlite("out.db", "CREATE TABLE old(v);")
        let idle = try run.startPython(SQLiteScript.holder("out.db", "c.execute('SELECT * FROM old').fetchall()"))
        let inUse = try run("restore", "latest:a", "--to", "sqlite:out.db")
        idle.stop()
        #expect(inUse.status == 1 && inUse.errors.contains("is in use"), "\(inUse.errors)")
        #expect(try run.sqlite("out.db", ".tables") == "old\n")
        let work = "c.execute('PRAGMA journal_mode=WAL')\nc.execute('INSERT INTO old VALUES (1)')"
        try run.startPython(SQLiteScript.holder("out.db", work)).kill()
        let hasLog = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(hasLog.status == 1 && hasLog.errors.contains("-wal holds changes"), "\(hasLog.errors)")
        #expect(try run.sqlite("out.db", "SELECT count(*) FROM old;") == "1\n")
        let restored = try run("restore", "latest:a", "--to", "sqlite:out.db")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try run.sqlite("out.db", ".dump") == run.sqlite("app/a.db", ".dump"))
        #expect(try run("restore", "latest:a", "--to", "sqlite:none/out.db").status == 1)
        #expect(try run("backup", "dir:app", "--source", "files").status == 0)
        #expect(try run("restore", "latest:files", "--to", "sqlite:out.db").status == 64)
    }
}
