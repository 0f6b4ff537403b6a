// Rotations by the program: policies of a file, snapshots, jobs, and where no value may be.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

/// A repository, an embedded vault, and a configuration with policies.
struct RotationRun {
    var vault: VaultRun
    var run: ProgramRun { vault.run }

    /// - Parameter policies: Lines below `rotations`, indented by two.
    init(_ policies: String, vault: VaultRun? = nil) throws {
        self.vault = try vault ?? VaultRun()
        self.vault.run.variables["HOLDFAST_STATE_DIR"] = run.directory.path + "/state"
        try configure(policies)
    }

    func configure(_ policies: String) throws {
        let directory = run.directory.path
        _ = try run.file("password", "integration")
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories:
              main:
                location: \(run.repository)
                password: file:\(directory)/password
            sources:
              secrets:
                url: vault:embedded:secrets.vault
                vaultPassword: file:\(directory)/vault-password
            rotations:
            \(policies)
            """)
    }

    func callAsFunction(_ arguments: String...) throws -> RunResult {
        var own = run
        own.password = nil
        return try own.start(arguments, naming: false).finish()
    }

    /// The only run of a report.
    func only(_ result: RunResult) throws -> [String: Any] {
        let runs = try #require(try result.json()["runs"] as? [[String: Any]], "\(result.errors)")
        #expect(runs.count == 1)
        return try #require(runs.first)
    }

    /// Whether `text` stands in any file of the state, in clear.
    func isInState(_ text: String) throws -> Bool {
        let state = run.directory.path + "/state"
        let names = try FileManager.default.subpathsOfDirectory(atPath: state)
        let needle = Data(text.utf8)
        return names.contains { name in
            FileManager.default.contents(atPath: "\(state)/\(name)")?.range(of: needle) != nil
        }
    }
}

@Suite("The program rotates", .waiting)
struct RotationTests {
    @Test("what is due, after a snapshot that holds the old value, and leaves no value anywhere else")
    func life() throws {
        let rotation = try RotationRun(
            "  tokens: {source: secrets, secrets: [app/token, app/key], period: 30d, generator: {bytes: 32}}")
        try rotation.vault.put("app/token", "the first token")
        try rotation.vault.put("app/key", "the first key")
        let early = try rotation("rotate", "--json").json()["runs"] as? [[String: Any]]
        #expect(early?.map { $0["outcome"] as? String } == ["not-due", "not-due"])
        let planned = try rotation.only(try rotation("rotate", "app/token", "--now", "--dry-run", "--json"))
        #expect((planned["effects"] as? [String])?.count == 4 && planned["outcome"] as? String == "planned")
        #expect(try rotation.run("snapshots", "--json").json()["snapshots"] as? [String] == [])
        #expect(try rotation.vault.value("app/token") == "the first token")

        let done = try rotation.only(try rotation("rotate", "app/token", "--now", "--reason", "CHG-1", "--json"))
        #expect(done["outcome"] as? String == "rotated", "\(done)")
        let record = try #require(done["rotation"] as? [String: Any])
        #expect(record["snapshotCompared"] as? Bool == true && record["trigger"] as? String == "manual")
        let value = try rotation.vault.value("app/token")
        #expect(Data(base64Encoded: value)?.count == 32)
        #expect(try rotation.vault.value("app/key") == "the first key")
        let old = try rotation("dump", "latest:secrets", "app/token/@1", "--reveal")
        #expect(old.output == "the first token", "\(old.errors)")
        for secret in [value, "the first token"] { #expect(try !rotation.isInState(secret)) }
        let log = try rotation("audit", "list", "--secret", "app/token", "--json").json()["records"]
        let actions = (log as? [[String: Any]] ?? []).compactMap { $0["action"] as? String }
        #expect(actions.first == "rotation.preflight" && actions.contains("vault.changed"), "\(actions)")
        #expect(try rotation("audit", "verify").status == 0)

        let history = try rotation("secrets", "history", "app/token", "--json").json()["rotations"]
        let steps = (history as? [[String: Any]])?.first?["steps"] as? [[String: Any]] ?? []
        #expect(steps.last?["state"] as? String == "done" && !"\(steps)".contains(value))
        let expiring = try rotation("secrets", "expiring", "--within", "31d", "--json").json()["secrets"]
        #expect((expiring as? [[String: Any]])?.count == 2)
        #expect(try rotation("secrets", "reconcile").status == 0)
        try rotation.vault.put("app/token", "by hand")
        let apart = try rotation("secrets", "reconcile", "app/token", "--json")
        #expect(apart.status == 4 && apart.output.contains("foreign-value"), "\(apart.output)")

        let evidence = try rotation("evidence", "list", "--json")
        #expect(evidence.output.contains("\"rotation\""), "\(evidence.output)")
        #expect(try !rotation.isInState(value) && rotation("evidence", "verify").status == 0)

        let back = try rotation("secrets", "rollback", "app/token", "--json")
        #expect(back.status == 0, "\(back.errors)")
        #expect(try rotation.vault.value("app/token") == "the first token")
        let urgent = try rotation("rotate", "app/token", "--emergency", "--reason", "INC-1", "--json")
        #expect(urgent.status == 0, "\(urgent.errors)")
        #expect(try rotation("secrets", "rollback", "app/token", "--to-version", "1").status == 12)
    }

    @Test("with programs that get the value on their standard input, and parks what they refuse")
    func commands() throws {
        let vault = try VaultRun()
        let directory = vault.run.directory.path
        func script(_ name: String, _ text: String) throws -> String {
            let path = try vault.run.file(name, "#!/bin/sh\n\(text)\n")
            #expect(chmod(path, 0o755) == 0)
            return path
        }
        let apply = try script(
            "apply", "cat > \(directory)/target; env > \(directory)/env; echo $* > \(directory)/args")
        let verify = try script("verify", "[ \"$(cat)\" = \"$(cat \(directory)/target)\" ] || exit 65")
        try vault.put("app", "old")
        _ = try vault.run.file("target", "old")
        let rotation = try RotationRun(
            """
              app:
                source: secrets
                secrets: app
                period: 1d
                strategy: command
                commands: {apply: [\(apply), --now], verify: [\(verify)]}
            """, vault: vault)
        let done = try rotation.only(try rotation("rotate", "app", "--now", "--json"))
        #expect(done["outcome"] as? String == "rotated", "\(done)")
        let value = try rotation.vault.value("app")
        #expect(try String(contentsOfFile: directory + "/target", encoding: .utf8) == value && value.count == 40)
        for name in ["env", "args"] {
            #expect(try !String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8).contains(value))
        }
        #expect(try rotation("secrets", "reconcile", "--json").output.contains("\"together\""))
        // The program says that it may not: an operator is needed, and each run says so.
        _ = try script("apply", "exit 77")
        let parked = try rotation("rotate", "app", "--now", "--json")
        #expect(parked.status == 1 && parked.output.contains("rotation-parked"), "\(parked.output)")
        #expect(try rotation("rotate", "--json").output.contains("rotation-parked"))
        #expect(try rotation.vault.value("app") == value)
        let back = try rotation("secrets", "rollback", "app")
        #expect(back.status == 0 && back.output.contains("before the promotion"), "\(back.errors)")
        #expect(try rotation("rotate", "--json").status == 0)
    }

    @Test("by a job, which is in the history and fails while something is parked")
    func job() throws {
        let rotation = try RotationRun("  tokens: {source: secrets, secrets: [app], period: 1h}")
        try rotation.vault.put("app", "old")
        try FileManager.default.createDirectory(
            atPath: rotation.run.directory.path + "/schedules", withIntermediateDirectories: true)
        _ = try rotation.run.file("schedules/rotate.yaml", "rotate: {policies: [tokens]}\nwhen: {every: 15m}\n")
        let ran = try rotation("schedule", "run", "rotate", "--json")
        #expect(ran.status == 0, "\(ran.output) \(ran.errors)")
        // The secret goes away: nobody can rotate it, and the job says so.
        #expect(try rotation("vault", "remove", VaultRun.url, "app").status == 0)
        let parked = try rotation("rotate", "app", "--now", "--json")
        #expect(parked.status == 1 && parked.output.contains("rotation-parked"), "\(parked.output)")
        let failed = try rotation("schedule", "run", "rotate", "--json")
        #expect(failed.status != 0 && failed.output.contains("rotation-parked"), "\(failed.output)")
    }

    @Test("nothing by a policy that says what can't be, and tells each place")
    func problems() throws {
        let rotation = try RotationRun(
            """
              a:
                source: secrets
                secrets: [one, two, one]
                period: 10m
                grace: 1h
                generator: {length: 8, alphabet: ab}
              b: {source: nowhere, secrets: [two], period: 1d, strategy: command}
              c: {source: secrets, secrets: [two], period: 1d, jitter: 2d, publicField: key, timeZone: UTC}
            """)
        let checked = try rotation("config", "check", "--json")
        #expect(checked.status == 64)
        for text in [
            "the same secret stands here twice", "an hour at least", "`grace` means nothing", "fewer than 64 bits",
            "there is no source `nowhere`", "needs `commands`", "`a` has `two` already",
            "must be shorter than `period`",
            "goes with the generator `keyPair`", "means nothing without `windows`",
        ] { #expect(checked.output.contains(text), "\(text)") }
    }
}
