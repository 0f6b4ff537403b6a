// Dumps beside what others hold, and into places that are not as the dump found them.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A dump of a PostgreSQL cluster", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresDumpPlaceTests {
    @Test("of which a table is locked waits a minute for it, commits nothing, and tells of the lock")
    func heldLock() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE TABLE held AS SELECT 1 i")
        let holder = Process()
        let words =
            PostgresServer.wrapper + [
                "\(server.binaries)/psql", "-XAtq", "-h", server.sockets, "-U", "postgres", "-c",
                "BEGIN; LOCK TABLE held; SELECT pg_sleep(600)",
            ]
        holder.executableURL = URL(fileURLWithPath: words[0].hasPrefix("/") ? words[0] : "/usr/bin/" + words[0])
        holder.arguments = Array(words.dropFirst())
        holder.environment = ["PATH": "/usr/bin:/bin"]
        holder.standardOutput = FileHandle.nullDevice
        holder.standardError = FileHandle.nullDevice
        try holder.run()
        let held = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted"
        while holder.isRunning, try server.sql(held) == "0" { pause(.milliseconds(20)) }
        let result = try run("backup", server.dumpURL("postgres"), "--json")
        #expect(result.status == 1 && result.output.contains("source-failed"), "\(result.output)")
        #expect(result.output.contains("holds a lock") && result.output.contains("public.held"), "\(result.output)")
        #expect(try run.snapshotCount() == 0)
        try server.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)'")
        holder.waitUntilExit()
        #expect(try run("backup", server.dumpURL("postgres")).status == 0)
        server.stop()
    }

    @Test("brings its tablespaces back where their places are, and says which are not")
    func tablespaces() throws {
        let (run, server) = try ProgramRun.withCluster()
        let place = server.place + "/elsewhere"
        func makePlace() {
            #expect(mkdir(place, 0o700) == 0)
            PostgresServer.give(place)
        }
        makePlace()
        try server.sql("CREATE TABLESPACE fast LOCATION '\(place)'")
        try server.sql("CREATE DATABASE shop TABLESPACE fast")
        try server.script("CREATE TABLE orders AS SELECT generate_series(1, 1000) i", in: "shop")
        try server.sql("CREATE TABLE apart TABLESPACE fast AS SELECT generate_series(1, 10) i")
        #expect(try run("backup", server.dumpURL()).status == 0)
        server.stop()
        #expect(rename(place, place + "-before") == 0)

        // Without its directory the tablespace cannot be, nor the database in it; all else comes.
        let without = PostgresServer(in: run.directory.path, data: "without")
        try without.make()
        try without.start()
        let failed = try run("restore", "latest", "--to", without.dumpURL(), "--json")
        #expect(failed.status != 0 && (failed.errors + failed.output).contains("CREATE TABLESPACE fast"))
        without.stop()

        makePlace()
        let other = PostgresServer(in: run.directory.path, data: "other")
        try other.make()
        try other.start()
        let restored = try run("restore", "latest", "--to", other.dumpURL())
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try other.script("SELECT count(*) FROM orders", in: "shop") == "1000")
        let spaces = """
            SELECT spcname FROM pg_tablespace s JOIN pg_database d ON d.dattablespace = s.oid WHERE datname = 'shop'
            UNION ALL SELECT spcname FROM pg_tablespace s JOIN pg_class c ON c.reltablespace = s.oid
            WHERE relname = 'apart'
            """
        #expect(try other.sql(spaces) == "fast\nfast")
        other.stop()
    }

    @Test("is restored although a replacement was broken off between the old database and its name")
    func brokenSwap() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script("CREATE TABLE orders AS SELECT 1 i", in: "shop")
        #expect(try run("backup", server.dumpURL("shop")).status == 0)
        try server.sql("ALTER DATABASE shop RENAME TO \"shop.holdfast.restoring\"")
        try server.sql("ALTER DATABASE \"shop.holdfast.restoring\" SET holdfast.restoring = 'yes'")
        let restored = try run("restore", "latest", "--to", server.dumpURL("shop"))
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try server.script("SELECT i FROM orders", in: "shop") == "1")
        #expect(try server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'shop%'") == "1")
        server.stop()
    }
}
