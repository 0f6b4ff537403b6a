// Logins of a real PostgreSQL server: two that take turns, and one whose password changes.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

/// A server that asks for passwords, with an owner, two logins and whoever may change them.
private struct PostgresRotation {
    let rotation: RotationRun
    let server: PostgresServer

    init(_ policy: (PostgresServer, String) -> String) throws {
        let (run, server) = try ProgramRun.beside { PostgresServer(in: $0) }
        try server.make()
        try Data(
            """
            local all postgres trust
            local replication all trust
            local all all scram-sha-256

            """.utf8
        ).write(to: URL(fileURLWithPath: server.data + "/pg_hba.conf"))
        try server.setting("log_statement = 'ddl'\nlog_min_error_statement = 'debug1'")
        try server.start()
        for statement in [
            "CREATE ROLE shop NOLOGIN", "CREATE ROLE shop_a LOGIN PASSWORD 'first-password'",
            "CREATE ROLE shop_b LOGIN",
            "GRANT shop TO shop_a, shop_b", "ALTER ROLE shop_a SET role = 'shop'",
            "CREATE ROLE rotator LOGIN CREATEROLE PASSWORD 'rotator-password'", "GRANT pg_signal_backend TO rotator",
            "CREATE SCHEMA shop AUTHORIZATION shop",
        ] { try server.sql(statement) }
        _ = try run.file("rotator-password", "rotator-password")
        var vaultRun = run
        _ = try vaultRun.file("vault-password", "opens the vault\n")
        vaultRun.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = run.directory.path + "/vault-password"
        try vaultRun.makeRepository()
        var vault = try VaultRun(vaultRun, password: "opens the vault")
        vault.putWords = ["--json-object"]
        self.server = server
        rotation = try RotationRun(policy(server, run.directory.path), vault: vault)
    }

    static func dual(_ more: String = "") -> (PostgresServer, String) -> String {
        { server, directory in
            """
              shop:
                source: secrets
                secrets: shop/database
                period: 30d
                strategy: dual-user
                postgres:
                  url: postgres:///postgres?host=\(server.sockets)&user=rotator
                  password: file:\(directory)/rotator-password
                  users: [shop_a, shop_b]
                  role: shop
            \(more)
            """
        }
    }

    func login() throws -> (user: String, password: String) {
        let text = try rotation.vault.value("shop/database")
        let object = try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any]
        return (object?["username"] as? String ?? "", object?["password"] as? String ?? "")
    }

    /// What psql says with this login: `USER|ROLE`, or nothing where it is refused.
    func query(_ login: (user: String, password: String), _ statement: String) throws -> String {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: PostgresServer.binaries + "/psql")
        process.arguments = [
            "-XAtq", "-h", server.sockets, "-U", login.user, "-d", "postgres", "-w", "-c", statement,
        ]
        process.environment = ["PATH": "/usr/bin:/bin", "PGPASSWORD": login.password, "LC_ALL": "C.UTF-8"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        try process.run()
        let data = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self).trimmingCharacters(in: .whitespacesAndNewlines)
    }
}

@Suite("Logins of PostgreSQL", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct RotationPostgresTests {
    private let who = "SELECT session_user || '|' || current_user"

    @Test(
        "two take turns: each owns what the other makes, the old one ends last, and no password is in the server's log")
    func dual() throws {
        let stage = try PostgresRotation(PostgresRotation.dual())
        try stage.rotation.vault.put(
            "shop/database", #"{"host":"db","username":"shop_a","password":"first-password"}"#)
        let first = (user: "shop_a", password: "first-password")
        #expect(try stage.query(first, "CREATE TABLE shop.orders (id int)") == "")

        let done = try stage.rotation("rotate", "shop", "--now", "--json")
        #expect(done.status == 0, "\(done.output) \(done.errors)")
        let run = try stage.rotation.only(done)
        let notes = (run["rotation"] as? [String: Any])?["notes"] as? [String: String] ?? [:]
        #expect(run["outcome"] as? String == "rotated" && notes["oldRefused"] == "yes", "\(run)")
        let second = try stage.login()
        #expect(second.user == "shop_b" && second.password.count == 40)
        #expect(try stage.query(second, who) == "shop_b|shop" && stage.query(first, who) == "")
        // What the new one makes is the role's, and what the old one made can be changed.
        #expect(try stage.query(second, "ALTER TABLE shop.orders ADD total int; CREATE TABLE shop.more ()") == "")
        #expect(try stage.server.sql("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'shop'") == "shop")

        #expect(try stage.rotation("rotate", "shop", "--now").status == 0)
        let third = try stage.login()
        #expect(third.user == "shop_a" && third.password != "first-password")
        #expect(try stage.query(third, who) == "shop_a|shop" && stage.query(second, who) == "")
        #expect(try stage.query(third, "ALTER TABLE shop.more ADD total int") == "")
        #expect(try stage.rotation("secrets", "reconcile", "--json").output.contains("\"together\""))

        let log = stage.server.logText
        #expect(log.contains("ALTER ROLE") && log.contains("SCRAM-SHA-256$4096:"))
        for password in [second.password, third.password, "rotator-password"] {
            #expect(try !log.contains(password) && !stage.rotation.isInState(password))
        }
        // A value of the login that readers use now can't be gone back to; that of the other one can.
        let refused = try stage.rotation("secrets", "rollback", "shop/database", "--to-version", "1")
        #expect(refused.status == 1 && refused.errors.contains("which readers use now"), "\(refused.errors)")
        #expect(try stage.rotation("secrets", "rollback", "shop/database").status == 0)
        let back = try stage.rotation("secrets", "rollback", "shop/database", "--json")
        #expect(back.status == 0, "\(back.errors)")
        #expect(try stage.login() == second && stage.query(second, who) == "shop_b|shop")
        stage.server.stop()
    }

    @Test("an old one with sessions is waited for, and ended in an emergency")
    func sessions() throws {
        let stage = try PostgresRotation(PostgresRotation.dual("    grace: 1s"))
        try stage.rotation.vault.put("shop/database", #"{"username":"shop_a","password":"first-password"}"#)
        let pool = Process()
        pool.executableURL = URL(fileURLWithPath: PostgresServer.binaries + "/psql")
        pool.arguments = ["-XAtq", "-h", stage.server.sockets, "-U", "shop_a", "-d", "postgres"]
        pool.environment = ["PATH": "/usr/bin:/bin", "PGPASSWORD": "first-password", "LC_ALL": "C.UTF-8"]
        let input = Pipe()
        pool.standardInput = input
        pool.standardOutput = FileHandle.nullDevice
        pool.standardError = FileHandle.nullDevice
        try pool.run()
        while try stage.server.sql("SELECT count(*) FROM pg_stat_activity WHERE usename = 'shop_a'") != "1" {
            pause(.milliseconds(20))
        }
        let grace = try stage.rotation.only(try stage.rotation("rotate", "shop", "--now", "--json"))
        #expect(grace["outcome"] as? String == "grace", "\(grace)")
        pause(.milliseconds(1100))
        let waits = try stage.rotation("rotate", "shop", "--now", "--json")
        #expect(waits.status == 1 && waits.output.contains("1 sessions use the login shop_a still"), "\(waits.output)")
        #expect(try stage.query(("shop_a", "first-password"), who) == "shop_a|shop", "it works while it is in use")
        let urgent = try stage.rotation("rotate", "shop", "--emergency", "--reason", "INC-1", "--json")
        #expect(urgent.status == 0, "\(urgent.output) \(urgent.errors)")
        pool.waitUntilExit()
        #expect(try stage.query(("shop_a", "first-password"), who) == "")
        let login = try stage.login()
        #expect(try stage.query(login, who) == "\(login.user)|shop")
        stage.server.stop()
    }

    @Test("one alone has its password changed once the vault holds it, and gets it back where the promotion fails")
    func single() throws {
        let stage = try PostgresRotation { server, directory in
            """
              shop:
                source: secrets
                secrets: shop/database
                period: 30d
                strategy: single-user
                postgres:
                  url: postgres:///postgres?host=\(server.sockets)&user=rotator
                  password: file:\(directory)/rotator-password
                  users: [shop_a]
            """
        }
        try stage.rotation.vault.put("shop/database", #"{"username":"shop_a","password":"first-password"}"#)
        let plan = try stage.rotation("rotate", "shop", "--now", "--dry-run")
        #expect(plan.output.contains("from here until the promotion readers may have a value that PostgreSQL refuses"))
        try stage.server.sql("ALTER ROLE shop_a RESET role")
        let done = try stage.rotation("rotate", "shop", "--now", "--json")
        #expect(done.status == 0, "\(done.output) \(done.errors)")
        let login = try stage.login()
        #expect(try login.user == "shop_a" && stage.query(login, who) == "shop_a|shop_a")
        #expect(try stage.query(("shop_a", "first-password"), who) == "")
        // A server that trusts everybody proves nothing, which is said before anything is changed.
        try Data("local all all trust\n".utf8).write(to: URL(fileURLWithPath: stage.server.data + "/pg_hba.conf"))
        try stage.server.sql("SELECT pg_reload_conf()")
        pause(.milliseconds(200))
        let trusting = try stage.rotation("rotate", "shop", "--now", "--json")
        #expect(trusting.status == 1 && trusting.output.contains("without a password"), "\(trusting.output)")
        stage.server.stop()
    }
}
