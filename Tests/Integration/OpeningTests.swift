// `opensWith`: a database and the secret that opens it, backed up, drilled, told of and forgotten together; by the real
// program on a real server and an embedded vault.

import Foundation
import Glibc
import TestSupport
import TestThreads
import Testing

/// A cluster that asks the role `app` for its password, a vault with that password, and a configuration of both.
private struct OpeningRun {
    let vault: VaultRun
    let server: PostgresServer
    let drill: DrillRun
    var run: ProgramRun { vault.run }

    static let first = "f1rst-password-ünique"
    static let second = "s3cond-password-unique"

    init(dump: Bool = false, role: String = "app") throws {
        var (run, server) = try ProgramRun.withCluster()
        self.server = server
        _ = try run.file("vault-password", "opens the vault\n")
        run.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = run.directory.path + "/vault-password"
        vault = try VaultRun(run, password: "opens the vault")
        drill = try DrillRun(ready: run)
        try server.sql("CREATE ROLE app LOGIN PASSWORD '\(Self.first)'")
        try server.sql("CREATE DATABASE shop OWNER app")
        try server.sql("CREATE TABLE orders AS SELECT generate_series(1, 100) AS id", in: "shop")
        try Data("local all app scram-sha-256\nlocal all all trust\nlocal replication all trust\n".utf8)
            .write(to: URL(fileURLWithPath: server.data + "/pg_hba.conf"))
        try server.sql("SELECT pg_reload_conf()")
        try vault.put("app/database", Self.first)
        let url = dump ? "pgdump:" + server.url() : server.url()
        _ = try run.file(
            "holdfast.yaml",
            """
            sources:
              shop:
                url: '\(url)'
                opensWith: [{vault: secrets, secret: app/database, role: \(role), database: shop}]
              secrets: {url: 'vault:embedded:secrets.vault'}

            """)
    }

    func backUp() throws -> (result: RunResult, opening: [String: Any], runs: [String]) {
        let result = try run("backup", "shop", "--json")
        let runs = try result.json()["runs"] as? [[String: Any]] ?? []
        let backup = runs.first?["backup"] as? [String: Any]
        let opening = (backup?["openings"] as? [[String: Any]])?.first
        return (result, opening ?? [:], runs.compactMap { $0["source"] as? String })
    }

    /// The check of the newest snapshot's secret: its verdict, and what was found.
    func prove() throws -> (status: Int32, verdict: String, actual: String) {
        let (result, records) = try drill("shop")
        let checks = records.first?["checks"] as? [[String: Any]] ?? []
        let check = checks.first { $0["kind"] as? String == "authentication" }
        return (
            result.status, check?["verdict"] as? String ?? "none \(result.errors)", check?["actual"] as? String ?? ""
        )
    }

    func snapshots(of source: String) throws -> [String] {
        let list = try run("snapshots", "--source", source, "--json").json()["snapshots"] as? [[String: Any]] ?? []
        return list.compactMap { $0["id"] as? String }
    }

    /// Sets the password in the database and then in the vault, as a rotation does.
    func rotate() throws {
        try server.sql("ALTER ROLE app PASSWORD '\(Self.second)'")
        try vault.put("app/database", Self.second)
    }

    /// Where one of the passwords is found below the run's directory, but in the vault's own file and the server's.
    func leaks(_ texts: [String] = []) throws -> [String] {
        let words = [Self.first, Self.second]
        let inTexts = texts.filter { text in words.contains { text.contains($0) } }
        let directory = run.directory.path
        let files = FileManager.default.enumerator(atPath: directory)?.compactMap { $0 as? String } ?? []
        return inTexts
            + files.filter { name in
                guard let data = FileManager.default.contents(atPath: directory + "/" + name) else { return false }
                return words.contains { data.range(of: Data($0.utf8)) != nil }
            }
    }
}

private func versions(_ opening: [String: Any]) -> [String] {
    (opening["versions"] as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
}

@Suite("What opens a database", .waiting, .enabled(if: PostgresServer.isInstalled), .serialized)
struct OpeningProgramTests {
    @Test("is backed up with it, and what opened it then opens the copy after a rotation; without that all say so")
    func whole() throws {
        let opening = try OpeningRun()
        // The snapshot of the database takes the vault's along.
        let first = try opening.backUp()
        #expect(first.result.status == 0, "\(first.result.errors)")
        #expect(
            versions(first.opening) == ["1"] && first.opening["failure"] == nil && first.runs == ["shop", "secrets"])
        // What is in a snapshot is not taken again.
        let again = try opening.backUp()
        #expect(again.result.status == 0 && again.runs == ["shop"], "\(again.result.errors)")
        let doctor = try opening.run("doctor", "shop")
        #expect(doctor.output.contains("version 1 logged in"), "\(doctor.output)")

        try opening.rotate()
        let old = try opening.prove()
        #expect(old.status == 0 && old.verdict == "passed", "\(old)")
        #expect(
            old.actual.hasPrefix("a wrong password was refused; version 1 of app/database from snapshot"), "\(old)")

        // Its last snapshot is kept for the database's, by rules and by name.
        let third = try opening.backUp()
        #expect(third.result.status == 0 && versions(third.opening) == ["2"], "\(third.result.errors)")
        #expect(third.runs == ["shop", "secrets"])
        let databases = try opening.snapshots(of: "shop")
        let vaults = try opening.snapshots(of: "secrets")
        #expect(databases.count == 3 && vaults.count == 2)
        let refused = try opening.run("forget", vaults[1], "--dry-run")
        #expect(
            refused.status == 64 && refused.errors.contains("is the last of secrets to hold version 2 of app/database"),
            "\(refused.errors)")
        let ruled = try opening.run("forget", "--keep-last", "1", "--dry-run")
        #expect(ruled.status == 0 && ruled.output.contains("secrets: keeps 1, drops 1"), "\(ruled.output)")

        // Without it the copy stays shut. Nothing but the store's own deletion gets it away.
        for id in vaults {
            let names = try opening.run.files(of: id)
            #expect(names.count == 1)
            for name in names { #expect(unlink(name) == 0) }
        }
        #expect(try opening.run("snapshots", "--accept-rollback").status == 0)
        let lost = try opening.prove()
        #expect(lost.status == 4 && lost.verdict == "failed", "\(lost)")
        #expect(lost.actual == "no snapshot of secrets holds version 2 of app/database", "\(lost)")
        let status = try opening.run("status")
        #expect(status.status == 4, "\(status.errors)")
        #expect(
            status.output.contains("shop: no: no snapshot of secrets holds version 2 of app/database"),
            "\(status.output)")
        let leaks = try opening.leaks([
            first.result.output + first.result.errors, doctor.output, status.output, refused.errors,
        ])
        #expect(leaks.isEmpty, "\(leaks)")
        opening.server.stop()
    }

    @Test("is told when it does not open it, with the snapshot taken and status 3")
    func unopened() throws {
        let opening = try OpeningRun()
        // The database alone was changed: what the vault has opens nothing.
        try opening.server.sql("ALTER ROLE app PASSWORD '\(OpeningRun.second)'")
        let wrong = try opening.backUp()
        #expect(wrong.result.status == 3, "\(wrong.result.errors)")
        #expect(wrong.result.errors.contains("app/database of secrets as app in shop was not seen to open it"))
        #expect(versions(wrong.opening).isEmpty && wrong.opening["failure"] != nil)
        #expect(try opening.snapshots(of: "shop").count == 1)
        let shut = try opening.prove()
        #expect(shut.status == 4 && shut.actual.contains("no version was seen to open it"), "\(shut)")
        // A server that does not ask shows nothing.
        try Data("local all all trust\nlocal replication all trust\n".utf8)
            .write(to: URL(fileURLWithPath: opening.server.data + "/pg_hba.conf"))
        try opening.server.sql("SELECT pg_reload_conf()")
        let unasked = try opening.backUp()
        #expect(unasked.result.status == 3, "\(unasked.result.errors)")
        #expect(unasked.result.errors.contains("without asking for a password"), "\(unasked.result.errors)")
        #expect(try opening.leaks([wrong.result.errors + wrong.result.output, unasked.result.errors]).isEmpty)
        opening.server.stop()
    }

    @Test("opens dumps that have the verifiers of roles, and is said to be missing in those that have none")
    func dumps() throws {
        let opening = try OpeningRun(dump: true)
        let taken = try opening.backUp()
        #expect(taken.result.status == 0 && versions(taken.opening) == ["1"], "\(taken.result.errors)")
        try opening.rotate()
        let proven = try opening.prove()
        #expect(proven.status == 0 && proven.verdict == "passed", "\(proven)")
        // A role that may not read them dumps roles without passwords.
        try opening.server.sql("CREATE ROLE reader LOGIN")
        try opening.server.sql("GRANT SELECT ON orders TO reader", in: "shop")
        let path = opening.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        _ = try opening.run.file("holdfast.yaml", text.replacingOccurrences(of: "user=postgres", with: "user=reader"))
        let bare = try opening.backUp()
        #expect(bare.result.status == 0 && versions(bare.opening) == ["2"], "\(bare.result.errors)")
        let unproven = try opening.prove()
        #expect(unproven.status == 0 && unproven.verdict == "skipped", "\(unproven)")
        #expect(unproven.actual.hasPrefix("no verifier in this backup: version 2 of app/database"), "\(unproven)")
        opening.server.stop()
    }
}

extension ProgramRun {
    /// The objects of the repository that are called `id`.
    func files(of id: String) throws -> [String] {
        let all = FileManager.default.enumerator(atPath: repository)?.compactMap { $0 as? String } ?? []
        return all.filter { $0.hasSuffix("/" + id) }.map { repository + "/" + $0 }
    }
}
