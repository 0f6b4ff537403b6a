// Logical snapshots of real clusters, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

extension PostgresServer {
    /// The URL of a database, or of all.
    func dumpURL(_ database: String = "", user: String = "postgres") -> String {
        let name = database.addingPercentEncoding(withAllowedCharacters: .alphanumerics) ?? ""
        return "pgdump:postgres:///\(name)?host=\(sockets)&user=\(user)"
    }

    /// Runs a script in a database whose name may be anything.
    @discardableResult
    func script(_ text: String, in database: String) throws -> String {
        let escaped = database.replacingOccurrences(of: "\\", with: "\\\\").replacingOccurrences(of: "'", with: "\\'")
        let result = try Self.run(
            [
                "\(Self.binaries)/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", sockets, "-U", "postgres", "-d",
                "dbname='\(escaped)'", "-c", text,
            ], in: place)
        #expect(result.status == 0, "\(text): \(result.text)")
        return result.text.trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Waits until a dump runs whose process `body` likes, or the program is over.
    func waitForDump(of backup: StartedProgram) throws {
        let query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND query LIKE 'COPY %'"
        while backup.process.isRunning, try sql(query) == "0" { pause(.milliseconds(20)) }
    }
}

@Suite("The databases of a PostgreSQL cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresDumpTests {
    private static let oddName = #"ma'ria/ "Ünï" %41 = x"#

    /// What a database can hold that a dump may get wrong.
    private static let contents = """
        CREATE TYPE mood AS ENUM ('sad', 'ok');
        CREATE TABLE parent (id serial PRIMARY KEY, m mood, t text);
        CREATE TABLE child (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, p int REFERENCES parent, v text);
        CREATE INDEX by_v ON child (v);
        INSERT INTO parent (m, t) SELECT 'ok', E'line\\nbreak \\\\ ' || i FROM generate_series(1, 1000) i;
        INSERT INTO child (p, v) SELECT i, md5(i::text) FROM generate_series(1, 500) i;
        CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES;
        CREATE TABLE made (a int GENERATED ALWAYS AS (1) STORED); INSERT INTO made DEFAULT VALUES;
        CREATE UNLOGGED TABLE fleeting AS SELECT 1 i;
        CREATE MATERIALIZED VIEW totals AS SELECT count(*) FROM parent;
        CREATE TABLE part (i int) PARTITION BY RANGE (i);
        CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (100);
        INSERT INTO part SELECT generate_series(0, 49);
        CREATE TABLE heir () INHERITS (parent); INSERT INTO heir (t) VALUES ('i');
        CREATE SCHEMA "Ödd ""s"; CREATE TABLE "Ödd ""s"."t.x" (i int); INSERT INTO "Ödd ""s"."t.x" VALUES (1), (2);
        SELECT lo_from_bytea(4711, decode(repeat('deadbeef', 5000), 'hex'));
        SELECT lo_from_bytea(3000000000, 'x');
        """

    private static let wideTable =
        "CREATE TABLE wide (" + (1...100).map { "c\($0) text DEFAULT 'v\($0)'" }.joined(separator: ", ") + ");"
        + "INSERT INTO wide SELECT FROM generate_series(1, 200)"

    // MARK: All

    @Test("come back with their roles in a cluster that was made anew")
    func everything() throws {
        let (run, server) = try ProgramRun.withCluster()
        let odd = Self.oddName
        try server.sql("CREATE ROLE \"Öwner\" LOGIN PASSWORD 'secret' CONNECTION LIMIT 7")
        try server.sql("CREATE ROLE staff; GRANT staff TO \"Öwner\"; COMMENT ON ROLE staff IS E'it''s; -- \\\\ all'")
        try server.sql("CREATE DATABASE \"\(odd.replacingOccurrences(of: "\"", with: "\"\""))\" OWNER \"Öwner\"")
        try server.sql("CREATE DATABASE shop")
        try server.sql("ALTER DATABASE shop SET work_mem = '7MB'; COMMENT ON DATABASE shop IS 'the; shop'")
        try server.sql("REVOKE CONNECT ON DATABASE shop FROM public; GRANT CONNECT ON DATABASE shop TO staff")
        try server.sql("ALTER ROLE staff IN DATABASE shop SET work_mem = '9MB'")
        try server.script(Self.contents, in: odd)
        try server.script(Self.contents, in: "shop")
        try server.script(Self.wideTable, in: "shop")
        try server.script("ALTER TABLE child OWNER TO staff; GRANT SELECT ON parent TO \"Öwner\"", in: "shop")
        let expected = try [odd, "shop", "postgres"].map { try server.dump($0) }
        let hash = try server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'Öwner'")

        let taken = try run("backup", server.dumpURL(), "--json")
        #expect(taken.status == 0, "\(taken.errors)")
        let facts = try taken.json()
        #expect((facts["source"] as? String)?.hasPrefix("pgdump:") == true)
        #expect(facts["consistentAsOf"] as? String != nil)
        let listed = try run("snapshots", "--json").output
        for text in ["shop.dump: consistentAsOf", "\"clientVersion\":\"15.", "\"serverVersion\":\"15."] {
            #expect(listed.contains(text), "\(listed)")
        }
        server.stop()

        let other = PostgresServer(in: run.directory.path, data: "other")
        try other.make()
        try other.start()
        let restored = try run("restore", "latest", "--to", other.dumpURL(), "--json")
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("roles that were there are left as they were: postgres"))
        #expect(try zip([odd, "shop", "postgres"], expected).allSatisfy { try other.dump($0) == $1 })
        #expect(try other.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'Öwner'") == hash)
        #expect(try other.sql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'Öwner'") == "7")
        #expect(try other.sql("SELECT pg_has_role('Öwner', 'staff', 'MEMBER')") == "t")
        #expect(
            try other.sql("SELECT shobj_description(oid, 'pg_authid') FROM pg_roles WHERE rolname = 'staff'")
                == "it's; -- \\ all")
        #expect(try other.script("SHOW work_mem", in: "shop") == "7MB")
        let properties = """
            SELECT shobj_description(oid, 'pg_database'), has_database_privilege('staff', oid, 'CONNECT'),
            datacl IS NULL FROM pg_database WHERE datname = 'shop'
            """
        #expect(try other.sql(properties) == "the; shop|t|f")
        let settings = "SELECT setconfig FROM pg_db_role_setting WHERE setrole <> 0"
        #expect(try other.sql(settings) == "{work_mem=9MB}")
        #expect(try other.sql("SELECT count(*) FROM pg_db_role_setting") == "2", "a marker is left")
        #expect(try other.sql("SELECT datdba::regrole FROM pg_database WHERE datname LIKE 'ma''ria%'") == "\"Öwner\"")
        let lengths = "SELECT length(lo_get(4711)), length(lo_get(3000000000))"
        #expect(try other.script(lengths, in: odd) == "20000|1")
        // A second time nothing is empty any more.
        let again = try run("restore", "latest", "--to", other.dumpURL())
        #expect(again.status == 1 && again.errors.contains("is not empty"), "\(again.errors)")
        other.stop()
    }

    @Test("as files are read by pg_restore alone")
    func files() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.contents, in: "shop")
        #expect(try run("backup", server.dumpURL("shop")).status == 0)
        #expect(try run("restore", "latest", "--to", "dir:out").status == 0)
        #expect(try run("ls", "latest").output.contains("globals.sql"))
        #expect(!run.isAt("out/postgres.dump") && run.isAt("out/globals.sql"))
        chmod(run.directory.path + "/out", 0o755)
        chmod(run.directory.path + "/out/shop.dump", 0o644)
        let list = try PostgresServer.run(
            ["\(PostgresServer.binaries)/pg_restore", "-l", run.directory.path + "/out/shop.dump"], in: server.place)
        #expect(list.status == 0 && list.text.contains("TABLE DATA public parent"), "\(list.text)")
        server.stop()
    }

    // MARK: Cost

    @Test("of which one table changed cost about that table in the next snapshot")
    func cost() throws {
        let (run, server) = try ProgramRun.withCluster()
        for table in 1...20 {
            try server.sql(
                """
                CREATE TABLE t\(table) AS SELECT i, md5(random()::text) a, md5(random()::text) b
                FROM generate_series(1, 20000) i
                """)
        }
        let first = try run("backup", server.dumpURL("postgres"), "--json").json()
        #expect(first["bytesRead"] as? Int ?? 0 > 25 << 20, "\(first)")
        let second = try run("backup", server.dumpURL("postgres"), "--json").json()
        #expect(second["bytesNew"] as? Int ?? .max < 2 << 10, "\(second)")
        // Of a table of 1.6 MB in the middle every row moves.
        try server.sql("UPDATE t7 SET a = md5(random()::text)")
        let third = try run("backup", server.dumpURL("postgres"), "--json").json()
        let new = third["bytesNew"] as? Int ?? .max
        #expect(new > 1_000_000 && new < 1_700_000, "\(third)")
        // A further table shifts the numbers of the entries, and costs its own rows and the table of contents.
        try server.sql("CREATE TABLE a_first AS SELECT * FROM t3 LIMIT 100")
        let fourth = try run("backup", server.dumpURL("postgres"), "--json").json()
        #expect(fourth["bytesNew"] as? Int ?? .max < 64 << 10, "\(fourth)")
        server.stop()
    }

    // MARK: One database, one table

    @Test("go one by one into an empty database, and into one that is not empty only when told")
    func oneDatabase() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE ROLE staff")
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.contents + "ALTER TABLE child OWNER TO staff", in: "shop")
        #expect(try run("backup", server.dumpURL(), "--source", "all").status == 0)
        let expected = try server.dump("shop")

        func restore(_ database: String, _ more: String...) throws -> RunResult {
            let words = ["restore", "latest:all", "--to", server.dumpURL(database)] + more
            return try run.start(words).finish()
        }
        let unclear = try restore("copy")
        #expect(unclear.status == 64 && unclear.errors.contains("--database"), "\(unclear.errors)")
        let made = try restore("copy", "--database", "shop")
        #expect(made.status == 0 && made.errors.contains("copy: no errors"), "\(made.errors)")
        #expect(made.errors.contains("tables hold the rows they should"), "\(made.errors)")
        #expect(try server.dump("copy") == expected)
        try server.sql("CREATE DATABASE ready ENCODING 'UTF8' TEMPLATE template0")
        #expect(try restore("ready", "--database", "shop").status == 0)
        #expect(try server.dump("ready") == expected)

        try server.script("DROP TABLE child; CREATE TABLE mine (i int)", in: "copy")
        let full = try restore("copy", "--database", "shop")
        #expect(full.status == 1 && full.errors.contains("copy is not empty"), "\(full.errors)")
        #expect(try server.script("SELECT count(*) FROM mine", in: "copy") == "0")
        let replaced = try restore("copy", "--database", "shop", "--replace")
        #expect(replaced.status == 0, "\(replaced.errors)")
        #expect(try server.dump("copy") == expected)

        // What pg_restore could not do is counted; the rest is there.
        try server.script("DROP OWNED BY staff", in: "copy")
        try server.script("DROP OWNED BY staff", in: "ready")
        try server.script("DROP OWNED BY staff", in: "shop")
        try server.sql("DROP ROLE staff")
        let partial = try restore("third", "--database", "shop", "--json")
        #expect(partial.status == 4, "\(partial.errors)")
        #expect(partial.errors.contains("third: 1 errors") && partial.errors.contains("staff"), "\(partial.errors)")
        #expect(
            partial.output.contains(#""severity":"error","subject":"pg_restore"#)
                || partial.output.contains("pg_restore"))
        #expect(try server.script("SELECT count(*) FROM child", in: "third") == "500")
        let own = try restore("fourth", "--database", "shop", "--no-ownership")
        #expect(own.status == 0, "\(own.errors)")
        server.stop()
    }

    @Test("give single tables with their keys, indexes and sequences")
    func oneTable() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.contents, in: "shop")
        #expect(try run("backup", server.dumpURL("shop"), "--source", "shop").status == 0)
        try server.sql("CREATE DATABASE look")
        let odd = #""Ödd ""s"."t.x""#
        let words = ["restore", "latest:shop", "--to", server.dumpURL("look"), "--table"]
        let restored = try run.start(words + ["public.child", "--table", odd]).finish()
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(restored.errors.contains("child child_p_fkey is left out"), "\(restored.errors)")
        #expect(restored.errors.contains("2 tables hold the rows they should"), "\(restored.errors)")
        #expect(try server.script("SELECT count(*), max(id) FROM child", in: "look") == "500|500")
        #expect(try server.script("SELECT count(*) FROM \(odd)", in: "look") == "2")
        let indexes = "SELECT string_agg(indexname, ' ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'child'"
        #expect(try server.script(indexes, in: "look") == "by_v child_pkey")
        #expect(try server.script("INSERT INTO child (v) VALUES ('next') RETURNING id", in: "look") == "501")
        #expect(try server.script("SELECT count(*) FROM pg_class WHERE relname = 'parent'", in: "look") == "0")

        // One that is there is not added to.
        let again = try run.start(words + ["public.child"]).finish()
        #expect(again.status == 1 && again.errors.contains("has a table public.child already"), "\(again.errors)")
        #expect(try server.script("SELECT count(*) FROM child", in: "look") == "501")
        let replaced = try run.start(words + ["public.child", "--replace"]).finish()
        #expect(replaced.status == 0, "\(replaced.errors)")
        #expect(try server.script("SELECT count(*) FROM child", in: "look") == "500")
        let unknown = try run.start(words + ["public.nothing"]).finish()
        #expect(unknown.status == 64 && unknown.errors.contains("no table public.nothing"), "\(unknown.errors)")

        // Its type is not there: that is told, and that its rows are missing.
        let lacking = try run.start(words + ["public.parent"]).finish()
        #expect(lacking.status == 4, "\(lacking.errors)")
        #expect(lacking.errors.contains("mood") && lacking.errors.contains("the rows of public.parent"))
        server.stop()
    }
}
