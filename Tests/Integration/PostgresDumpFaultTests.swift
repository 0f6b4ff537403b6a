// What can go wrong with dumps, each thing done to a real cluster.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("A dump of a PostgreSQL database", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct PostgresDumpFaultTests {
    private static let large = """
        CREATE TABLE large AS SELECT i, md5(random()::text) a FROM generate_series(1, 300000) i
        """

    @Test("with a wrong password or too few rights commits nothing and tells what to do")
    func logins() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE ROLE reader LOGIN PASSWORD 'right'; GRANT pg_read_all_data TO reader")
        try server.sql("CREATE ROLE poor LOGIN; CREATE TABLE shut (i int)")
        try "local all reader scram-sha-256\nlocal all all trust\n"
            .write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try server.sql("SELECT pg_reload_conf()")

        func refused(_ user: String, _ run: ProgramRun, _ texts: String...) throws {
            let result = try run("backup", server.dumpURL("postgres", user: user), "--json")
            #expect(result.status == 1, "\(user): \(result.errors)")
            for text in texts { #expect((result.errors + result.output).contains(text), "\(text): \(result.output)") }
        }
        try refused("reader", run, "PGPASSFILE", "access-denied")
        var withFile = run
        withFile.variables["PGPASSFILE"] = try run.file("wrong", "*:*:*:reader:wrong\n")
        try refused("reader", withFile, "28P01", "PGPASSFILE", "access-denied")
        try refused("poor", run, "permission denied for table shut", "pg_read_all_data")
        let inURL = try run("backup", "pgdump:postgres://reader:right@localhost/postgres")
        #expect(inURL.status == 64 && inURL.errors.contains("a password inside a URL is refused"), "\(inURL.errors)")
        let nowhere = try run("backup", server.dumpURL("nowhere"))
        #expect(nowhere.status == 1 && nowhere.errors.contains("nowhere"), "\(nowhere.errors)")
        #expect(try run.snapshotCount() == 0)

        withFile.variables["PGPASSFILE"] = try run.file("right", "*:*:*:reader:right\n")
        let taken = try withFile("backup", server.dumpURL("postgres", user: "reader"))
        #expect(taken.status == 0 && taken.errors.isEmpty, "\(taken.errors)")
        #expect(try run("dump", "latest", "globals.sql").output.contains("SCRAM-SHA-256"))
        // Who may not read the roles' passwords gets all else.
        try server.sql("GRANT SELECT ON shut TO poor")
        let without = try run("backup", server.dumpURL("postgres", user: "poor"))
        #expect(without.status == 0, "\(without.errors)")
        #expect(without.errors.contains("roles are taken without their passwords"), "\(without.errors)")
        let globals = try run("dump", "latest", "globals.sql").output
        #expect(globals.contains("CREATE ROLE reader") && !globals.contains("SCRAM"), "\(globals)")
        server.stop()
    }

    @Test("keeps the password out of its arguments and its environment")
    func password() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql(Self.large)
        try server.sql("ALTER ROLE postgres PASSWORD 'hushhush'")
        var withFile = run
        withFile.variables["PGPASSFILE"] = try run.file("pass", "*:*:*:postgres:hushhush\n")
        let backup = try withFile.start(["backup", server.dumpURL("postgres"), "--limit-read", "4M"])
        try server.waitForDump(of: backup)
        var found = 0
        for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") where Int(name) != nil {
            guard let words = FileManager.default.contents(atPath: "/proc/\(name)/cmdline"),
                let environment = FileManager.default.contents(atPath: "/proc/\(name)/environ")
            else { continue }
            let text = String(decoding: words, as: UTF8.self)
            guard text.contains("--snapshot="), text.contains(server.sockets) else { continue }
            found += 1
            #expect(!text.contains("hushhush") && !String(decoding: environment, as: UTF8.self).contains("hushhush"))
        }
        #expect(found == 1)
        #expect(try backup.finish().status == 0)
        server.stop()
    }

    @Test("that breaks off commits nothing", arguments: ["backend", "pg_dump"])
    func brokenOff(victim: String) throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql(Self.large)
        let backup = try run.start(["backup", server.dumpURL("postgres"), "--limit-read", "2M", "--json"])
        try server.waitForDump(of: backup)
        if victim == "backend" {
            try server.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pg_dump'")
        } else {
            let children = try String(
                contentsOfFile: "/proc/\(backup.process.processIdentifier)/task/"
                    + "\(backup.process.processIdentifier)/children", encoding: .utf8)
            let all =
                try FileManager.default.contentsOfDirectory(
                    atPath: "/proc/\(backup.process.processIdentifier)/task"
                ).map {
                    (try? String(
                        contentsOfFile: "/proc/\(backup.process.processIdentifier)/task/\($0)/children", encoding: .utf8
                    ))
                        ?? ""
                }.joined(separator: " ") + children
            let child = try #require(all.split(separator: " ").compactMap { Int32($0) }.first)
            kill(child, SIGKILL)
        }
        let result = try backup.finish()
        #expect(result.status == 1 && result.output.contains("source-failed"), "\(result.output)")
        #expect(result.output.contains(victim == "backend" ? "large" : "signal 9"), "\(result.output)")
        #expect(try run.snapshotCount() == 0)
        server.stop()
    }

    @Test("whose restore is killed is restored by the same command again")
    func killedRestore() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.large, in: "shop")
        #expect(try run("backup", server.dumpURL("shop")).status == 0)
        try server.sql("ALTER DATABASE shop RENAME TO gone")
        let words = ["restore", "latest", "--to", server.dumpURL("shop")]
        let restore = try run.start(words)
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop' AND query LIKE 'COPY %'"
        while restore.process.isRunning, try server.sql(query) == "0" { pause(.milliseconds(5)) }
        restore.send(SIGKILL)
        #expect(try restore.finish().status == SIGKILL)
        while try server.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = 'shop'") != "0" {
            pause(.milliseconds(20))
        }
        let again = try run.start(words).finish()
        #expect(again.status == 0, "\(again.errors)")
        #expect(try server.script("SELECT count(*) FROM large", in: "shop") == "300000")
        #expect(try server.sql("SELECT count(*) FROM pg_db_role_setting") == "0")
        server.stop()
    }

    @Test("whose restore in place of a database is killed leaves that, and the same command replaces it then")
    func killedReplacement() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.large, in: "shop")
        #expect(try run("backup", server.dumpURL("shop")).status == 0)
        try server.script("CREATE TABLE later AS SELECT 1 i", in: "shop")
        let words = ["restore", "latest", "--to", server.dumpURL("shop"), "--replace"]
        let restore = try run.start(words)
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'shop%' AND query LIKE 'COPY %'"
        while restore.process.isRunning, try server.sql(query) == "0" { pause(.milliseconds(5)) }
        restore.send(SIGKILL)
        #expect(try restore.finish().status == SIGKILL)
        while try server.sql("SELECT count(*) FROM pg_stat_activity WHERE datname LIKE 'shop%'") != "0" {
            pause(.milliseconds(20))
        }
        #expect(try server.script("SELECT i FROM later", in: "shop") == "1")
        let again = try run.start(words).finish()
        #expect(again.status == 0, "\(again.errors)")
        #expect(try server.script("SELECT count(*) FROM large", in: "shop") == "300000")
        #expect(try server.script("SELECT to_regclass('later') IS NULL", in: "shop") == "t")
        #expect(try server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'shop%'") == "1")
        #expect(try server.sql("SELECT count(*) FROM pg_db_role_setting") == "0")
        server.stop()
    }

    @Test("of which a pack is damaged is not restored in part, and another database is")
    func damagedPack() throws {
        let (run, server) = try ProgramRun.withCluster()
        try server.sql("CREATE DATABASE shop")
        try server.script(Self.large, in: "shop")
        #expect(try run("backup", server.dumpURL("shop"), "--source", "shop").status == 0)
        var damaged = 0
        let files = try #require(FileManager.default.enumerator(atPath: run.repository + "/packs"))
        for case let name as String in files {
            let path = run.repository + "/packs/" + name
            let size = (try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
            guard size > 4 << 20 else { continue }
            chmod(path, 0o600)
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
            try file.seek(toOffset: UInt64(size / 2))
            try file.write(contentsOf: Data(repeating: 7, count: 4096))
            try file.close()
            damaged += 1
        }
        #expect(damaged == 1)
        let restored = try run("restore", "latest:shop", "--to", server.dumpURL("copy"), "--json")
        #expect(restored.status == 1 && restored.output.contains("shop.dump"), "\(restored.output)")
        #expect(try server.sql("SELECT count(*) FROM pg_database WHERE datname = 'copy'") == "0")
        // What is there is the best that there is.
        let replaced = try run("restore", "latest:shop", "--to", server.dumpURL("shop"), "--replace")
        #expect(replaced.status == 1, "\(replaced.errors)")
        #expect(try server.script("SELECT count(*) FROM large", in: "shop") == "300000")
        #expect(try server.sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'shop%'") == "1")
        server.stop()
    }
}
