// doctor, by the real program.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

@Suite("doctor", .waiting)
struct DoctorTests {
    private struct Finding: Hashable {
        let thing, subject, severity: String
    }

    private func findings(_ result: RunResult) throws -> Set<Finding> {
        let things = try #require(try result.json()["things"] as? [[String: Any]])
        var found: Set<Finding> = []
        for thing in things {
            for finding in thing["findings"] as? [[String: Any]] ?? [] {
                found.insert(
                    Finding(
                        thing: thing["name"] as? String ?? "", subject: finding["subject"] as? String ?? "",
                        severity: finding["severity"] as? String ?? ""))
            }
        }
        return found
    }

    private func prepared(_ sources: String) throws -> ProgramRun {
        var run = ProgramRun()
        let text =
            "repositories: {main: {location: '\(run.repository)', mirrors: ['dir:nowhere']}}\nsources:\n\(sources)"
        run.variables["HOLDFAST_CONFIG"] = try run.file("holdfast.yaml", text)
        #expect(try run("init", naming: false).status == 0)
        return run
    }

    @Test("looks at all sources of the configuration, and its status is that of the worst finding")
    func configured() throws {
        let run = try prepared(
            """
              site: {url: 'dir:site'}
              gone: {url: 'dir:gone'}
              shop: {command: {dump: [cat, /dev/null], restore: [no-such-program]}}
              mail: {command: {dump: [no-such-program, x]}}
              app: {url: 'sqlite:app.db'}

            """)
        mkdir(run.directory.path + "/site", 0o755)
        _ = try run.file(
            "app.db",
            "no database at all, but long enough to have a header of a hundred bytes"
                + String(repeating: ".", count: 100))
        let all = try run("doctor", "--json", naming: false)
        #expect(all.status == 4, "\(all.errors)")
        #expect(try all.json()["worst"] as? String == "error")
        let found = try findings(all)
        for (thing, subject, severity) in [
            (run.repository, "open", "good"), (run.repository, "write", "good"),
            ("dir:\(run.directory.path)/nowhere", "open", "error"),
            ("site", "directory", "good"), ("gone", "directory", "error"), ("shop", "program", "good"),
            ("shop", "restore", "error"), ("mail", "program", "error"), ("mail", "restore", "warning"),
            ("app", "format", "error"), ("programs", "SQLite", "good"), ("programs", "holdfast", "good"),
        ] {
            #expect(found.contains(Finding(thing: thing, subject: subject, severity: severity)), "\(thing) \(subject)")
        }
        // A named repository has no mirrors that the configuration knows of it.
        let good = try run("doctor", "site", "dir:site")
        #expect(good.status == 0, "\(good.output) \(good.errors)")
        #expect(good.output.contains("source dir:site\n  ok       directory: "), "\(good.output)")
        let warned = try run("doctor", "mail")
        #expect(warned.status == 4 && warned.output.contains("there is no program no-such-program"))
        #expect(try run("doctor", "sites").errors.contains("did you mean `site`?"))
        #expect(try run("doctor", "mysql://x").status == 64)
    }

    @Test("says which repository cannot be reached or opened, and what the key may not do")
    func repositories() throws {
        let run = try prepared("  site: {url: 'dir:.'}\n")
        var other = run
        other.password = "wrong"
        let wrong = try other("doctor", "--json")
        #expect(wrong.status == 4)
        #expect(wrong.output.contains("\"code\":\"wrong-key\""), "\(wrong.output)")
        other.variables["HOLDFAST_REPO"] = "/nonexistent"
        #expect(try other("doctor", "--json").output.contains("\"code\":\"repository-not-found\""))
        let key = run.directory.path + "/key"
        #expect(try run("keys", "add", "--role", "maintainer", "--label", "m", "--new-key-file", key).status == 0)
        other = run
        other.password = nil
        other.variables["HOLDFAST_KEY_FILE"] = key
        let maintainer = try other("doctor", "site", "--json")
        #expect(maintainer.status == 3, "\(maintainer.output) \(maintainer.errors)")
        #expect(try findings(maintainer).contains(Finding(thing: run.repository, subject: "key", severity: "warning")))
    }

    @Test("flags a repository whose only way in is backed up in it, until a recovery kit or another key is there")
    func wayIn() throws {
        var run = ProgramRun()
        let place = run.directory.path
        mkdir(place + "/conf", 0o755)
        let password = try run.file("conf/password", "integration\n")
        symlink(place + "/conf", place + "/link")
        run.variables["HOLDFAST_CONFIG"] = try run.file(
            "holdfast.yaml",
            "repositories: {main: {location: repository, password: 'file:link/password'}}\n"
                + "sources: {conf: {url: 'dir:conf', excludes: [password]}}\n")
        #expect(try run("init", naming: false).status == 0)
        func finding(_ run: ProgramRun, _ arguments: String...) throws -> (
            severity: String, text: String, status: Int32
        ) {
            let result = try run.start(["doctor", "--json"] + arguments, naming: false).finish()
            let things = try #require(try result.json()["things"] as? [[String: Any]])
            let all = things.flatMap { $0["findings"] as? [[String: Any]] ?? [] }
            let own = try #require(all.first { $0["subject"] as? String == "way in" }, "\(result.output)")
            return (own["severity"] as? String ?? "", own["message"] as? String ?? "", result.status)
        }
        // From the variable that goes before the file nothing is seen.
        #expect(try finding(run).severity == "good")
        run.password = nil
        let alone = try finding(run)
        #expect(alone.severity == "error" && alone.status == 4, "\(alone)")
        #expect(alone.text.contains("link/password, which lies in the source conf"), "\(alone)")
        for (name, value) in [
            ("HOLDFAST_PASSWORD_FILE", password), ("HOLDFAST_PASSWORD_COMMAND", "cat 'conf/password'"),
            ("HOLDFAST_PASSWORD_COMMAND", "sed --expression=1p --quiet conf/password"),
        ] {
            var other = run
            other.variables[name] = value
            #expect(try finding(other).severity == "error", "\(name) \(value)")
        }
        var elsewhere = run
        elsewhere.variables["HOLDFAST_PASSWORD_FILE"] = try run.file("away", "integration\n")
        #expect(try finding(elsewhere).severity == "good")
        // What opens another source lies in the backup as well, and there is one key.
        let plain = try String(contentsOfFile: place + "/holdfast.yaml", encoding: .utf8)
        elsewhere.variables["HOLDFAST_CONFIG"] = try run.file(
            "opens.yaml",
            plain.replacingOccurrences(
                of: "sources: {", with: "sources: {shop: {url: 'sqlite:s', opensWith: ['file:conf/s']}, "))
        let opener = try finding(elsewhere, "conf")
        #expect(opener.severity == "warning" && opener.text.contains("conf/s, which opens shop"), "\(opener)")
        elsewhere.variables["HOLDFAST_CONFIG"] = run.variables["HOLDFAST_CONFIG"]
        // A source that is named by its URL counts as well; one that goes elsewhere does not.
        let typed = try finding(elsewhere, "dir:\(place)")
        #expect(typed.severity == "error", "\(typed)")
        #expect(try finding(elsewhere, "dir:\(place)/con").severity == "good")
        let writer = run.directory.path + "/w.key"
        #expect(
            try run("keys", "add", "--role", "writer", "--label", "w", "--new-key-file", writer, naming: false).status
                == 0)
        #expect(try finding(run).severity == "error")
        let second = run.directory.path + "/r.key"
        #expect(
            try run("keys", "add", "--role", "restorer", "--label", "office", "--new-key-file", second, naming: false)
                .status == 0)
        let two = try finding(run)
        #expect(two.severity == "warning" && two.status == 3 && two.text.contains("office"), "\(two)")
        #expect(try run("recovery-kit", "--text", place + "/kit.txt", naming: false).status == 0)
        let kit = try finding(run)
        #expect(kit.severity == "good" && kit.status == 0 && kit.text.contains("recovery kit "), "\(kit)")
    }

    @Test(
        "tells of a cluster what its backups need and what a restore will lack",
        .enabled(if: PostgresServer.isInstalled))
    func postgres() throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        let place = run.directory.path
        try server.make()
        try server.setting(
            "max_replication_slots = 1\nmax_wal_senders = 3\nshared_preload_libraries = 'pg_stat_statements'"
        )
        try server.start()
        mkdir("\(place)/ts", 0o700)
        PostgresServer.give("\(place)/ts")
        try server.sql("CREATE TABLESPACE one LOCATION '\(place)/ts'")
        try server.sql("CREATE UNLOGGED TABLE fleeting (i int)")
        try server.sql("SELECT pg_create_physical_replication_slot('taken')")
        try server.sql("CREATE ROLE careful LOGIN REPLICATION")
        try server.sql("CREATE DATABASE shut")
        try server.sql("REVOKE CONNECT ON DATABASE shut FROM PUBLIC")
        try server.sql("CREATE ROLE plain LOGIN")
        try run.makeRepository()
        let careful = try run("doctor", server.url(user: "careful"), "--json")
        #expect(careful.status == 3, "\(careful.output) \(careful.errors)")
        let found = try findings(careful)
        for (subject, severity) in [
            ("connection", "good"), ("rights", "good"), ("page checksums", "warning"), ("wal_level", "good"),
            ("max_wal_senders", "good"), ("max_replication_slots", "warning"), ("configuration", "good"),
            ("unlogged tables", "good"), ("tablespaces", "good"), ("contents", "good"), ("programs", "good"),
        ] {
            let finding = Finding(thing: server.url(user: "careful"), subject: subject, severity: severity)
            #expect(found.contains(finding), "\(subject): \(careful.output)")
        }
        #expect(careful.output.contains("shut is not recorded"), "\(careful.output)")
        let chief = try run("doctor", server.url())
        #expect(chief.output.contains("lies in the data directory"), "\(chief.output)")
        #expect(chief.output.contains("pg_stat_statements are loaded at the start"), "\(chief.output)")
        #expect(chief.output.contains("2 of 3 are free") || chief.output.contains("3 of 3 are free"), "\(chief.output)")
        let plain = try run("doctor", server.url(user: "plain"), "--json")
        #expect(plain.status == 4 && plain.output.contains("ALTER ROLE"), "\(plain.output)")
        // Without a line for databases the backup works, and says less.
        try "local all postgres trust\nlocal replication careful trust\n"
            .write(toFile: server.data + "/pg_hba.conf", atomically: false, encoding: .utf8)
        try server.sql("SELECT pg_reload_conf()")
        let shut = try run("doctor", server.url(user: "careful"))
        #expect(shut.status == 3 && shut.output.contains("the role sees no database"), "\(shut.output)")
        #expect(try run("backup", server.url(user: "careful"), "--source", "db").status == 0)
        server.stop()
        let down = try run("doctor", server.url())
        #expect(down.status == 4 && down.output.contains("Check that the server runs"), "\(down.output)")
    }
}
