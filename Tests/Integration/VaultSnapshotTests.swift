// Vaults as sources and as targets, by the program.

import Foundation
import Glibc
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders

/// A repository and an embedded vault with its password.
struct VaultRun {
    var run: ProgramRun
    private let password: String
    /// What is said with every `vault put`.
    var putWords: [String] = []
    static let url = "vault:embedded:secrets.vault"

    init() throws {
        var run = ProgramRun()
        _ = try run.file("vault-password", "opens the vault\n")
        run.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = run.directory.path + "/vault-password"
        self.run = run
        password = "opens the vault"
        try run.makeRepository()
        try make(Self.url)
    }

    /// With a repository and passwords that are there already.
    init(_ run: ProgramRun, password: String) throws {
        self.run = run
        self.password = password
        try make(Self.url)
    }

    /// What `holdfast vault init` makes, but with a password that is cheap to try: each run of the program tries it.
    func make(_ url: String) throws {
        let name = try #require(url.split(separator: ":").last)
        var password = Array(self.password.utf8)
        _ = try EmbeddedVault.create(
            at: "\(run.directory.path)/\(name)", password: SecretBytes(wiping: &password),
            cost: PasswordCost(logN: 10, p: 1), clock: SystemClock(), entropy: SystemEntropy())
    }

    /// The vault itself, for what no verb does.
    func open(_ url: String = url) throws -> EmbeddedVault {
        let name = try #require(url.split(separator: ":").last)
        var password = Array(self.password.utf8)
        return try EmbeddedVault.open(
            at: "\(run.directory.path)/\(name)", password: SecretBytes(wiping: &password), clock: SystemClock(),
            entropy: SystemEntropy())
    }

    func put(_ name: String, _ value: String, in url: String = url) throws {
        try put(name, bytes: Array(value.utf8), in: url)
    }

    func put(_ name: String, bytes: [UInt8], in url: String = url) throws {
        let path = run.directory.path + "/value"
        try Data(bytes).write(to: URL(fileURLWithPath: path))
        let result = try run.start(["vault", "put", url, name, "--file", path] + putWords).finish()
        try #require(result.status == 0, "\(result.errors)")
        try FileManager.default.removeItem(atPath: path)
    }

    func value(_ name: String, _ version: String? = nil, in url: String = url) throws -> String {
        let words = ["vault", "get", url, name, "--reveal"] + (version.map { ["--version", $0] } ?? [])
        let result = try run.start(words).finish()
        return result.status == 0 ? result.output : "status \(result.status): \(result.errors)"
    }

    /// Names with the states of their versions, and which one is current: `app/db 1-destroyed 2-live*`.
    func standing(_ url: String = url) throws -> [String] {
        let list = try #require(try run("vault", "list", url, "--json").json()["secrets"] as? [[String: Any]])
        return list.map { secret in
            let versions = secret["versions"] as? [[String: Any]] ?? []
            let words = versions.map { version in
                let id = version["id"] as? String ?? ""
                return "\(id)-\(version["state"] ?? "")" + (secret["current"] as? String == id ? "*" : "")
            }
            return (["\(secret["name"] ?? "")"] + words).joined(separator: " ")
        }
    }

    func backUp(_ url: String = url) throws -> [String: Any] {
        let result = try run("backup", url, "--source", "secrets", "--json")
        try #require(result.status == 0, "\(result.errors)")
        return try result.json()
    }
}

@Suite("Snapshots of a vault", .waiting)
struct VaultSnapshotTests {
    @Test("hold every version of every secret, and a fresh vault gets them back in their order and states")
    func roundTrip() throws {
        let vault = try VaultRun()
        for number in 1...4 { try vault.put("app/db", "database-\(number)") }
        // A secret where others have a folder, and names that paths cannot hold.
        try vault.put("app", "the folder itself")
        for name in ["größe/mit leer", "..", "a//b", "@1", "100%", String(repeating: "langer name ", count: 60)] {
            try vault.put(name, "of \(name.prefix(20))")
        }
        try vault.put("binary", bytes: [0, 255, 1, 10, 13])
        try vault.put("empty", "")
        try vault.put("large", String(repeating: "0123456789abcdef", count: 4096))
        try vault.put("gone", "removed")
        // Before anything goes its value is read.
        _ = try vault.backUp()
        #expect(try vault.run("vault", "state", VaultRun.url, "app/db", "1", "destroy").status == 0)
        #expect(try vault.run("vault", "state", VaultRun.url, "app/db", "3", "disable").status == 0)
        #expect(try vault.run("vault", "remove", VaultRun.url, "gone").status == 0)
        let before = try vault.standing()
        #expect(before.contains("app/db 1-destroyed 2-live 3-disabled 4-live*"), "\(before)")

        _ = try vault.backUp()
        #expect(try vault.run("check", "--read-data").status == 0)
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        let restored = try vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(try vault.standing(fresh) == before)
        #expect(try vault.value("app/db", in: fresh) == "database-4")
        #expect(try vault.value("app/db", "2", in: fresh) == "database-2")
        #expect(try vault.value("app", in: fresh) == "the folder itself")
        #expect(try vault.value("größe/mit leer", in: fresh) == "of größe/mit leer")
        #expect(try vault.value("large", in: fresh).utf8.count == 65_536)
        #expect(try vault.value("empty", in: fresh) == "")
        let dates = try vault.run("vault", "show", fresh, "app/db", "--json").json()["secret"] as? [String: Any]
        let original =
            try vault.run("vault", "show", VaultRun.url, "app/db", "--json").json()["secret"] as? [String: Any]
        func created(_ secret: [String: Any]?) -> [String] {
            (secret?["versions"] as? [[String: Any]] ?? []).map { "\($0["created"] ?? "") \($0["labels"] ?? "")" }
        }
        #expect(created(dates) == created(original) && created(dates).count == 4)
        // The same again changes nothing.
        let again = try vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")
    }

    @Test("read values of new versions alone, and keep those that the vault does not give any more")
    func incremental() throws {
        let vault = try VaultRun()
        for name in ["a", "b", "c"] { try vault.put(name, "\(name)-1") }
        let first = try vault.backUp()
        #expect((first["facts"] as? [String: String])?["vault.valuesRead"] ?? "3" == "3")
        try vault.put("b", "b-2")
        #expect(try vault.run("vault", "state", VaultRun.url, "a", "1", "softDelete").status == 0)
        _ = try vault.backUp()
        func facts() throws -> [String: String] {
            let list = try vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
            return try #require(list?.last?["facts"] as? [String: String])
        }
        #expect(try facts()["vault.valuesRead"] == "1" && facts()["vault.atOneInstant"] == "yes")
        let size = try vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
        #expect(size?.count == 2)
        _ = try vault.backUp()
        #expect(try facts()["vault.valuesRead"] == "0")

        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        try #require(try vault.run("restore", "latest:secrets", "--to", fresh).status == 0)
        #expect(try vault.standing(fresh) == ["a 1-deleted*", "b 1-live 2-live*", "c 1-live*"])
        #expect(try vault.run("vault", "state", fresh, "a", "1", "undelete").status == 0)
        #expect(try vault.value("a", in: fresh) == "a-1")
    }

    @Test("have the value of a secret that was put anew under the same number")
    func putAnew() throws {
        let vault = try VaultRun()
        try vault.put("app", "the old one")
        _ = try vault.backUp()
        try #require(try vault.run("vault", "remove", VaultRun.url, "app", "--permanently").status == 0)
        try vault.put("app", "the new one")
        _ = try vault.backUp()
        #expect(try vault.run("dump", "latest:secrets", "app/@1", "--reveal").output == "the new one")
        // And so has another vault that took the place of the first.
        try FileManager.default.removeItem(atPath: vault.run.directory.path + "/secrets.vault")
        try vault.make(VaultRun.url)
        try vault.put("app", "of another vault")
        _ = try vault.backUp()
        #expect(try vault.run("dump", "latest:secrets", "app/@1", "--reveal").output == "of another vault")
    }

    @Test("tell of versions whose values were never read, and make none up")
    func neverRead() throws {
        let vault = try VaultRun()
        for value in ["one", "two", "three"] { try vault.put("app", value) }
        #expect(try vault.run("vault", "state", VaultRun.url, "app", "1", "softDelete").status == 0)
        #expect(try vault.run("vault", "state", VaultRun.url, "app", "2", "disable").status == 0)
        let backup = try vault.run("backup", VaultRun.url, "--source", "secrets")
        #expect(backup.status == 0 && backup.errors.contains("2 versions"), "\(backup.errors)")
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        let restored = try vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0 && restored.errors.contains("without a value"), "\(restored.errors)")
        #expect(try vault.standing(fresh) == ["app 1-destroyed 2-destroyed 3-live*"])
        // Undeleted, the first is read by the next backup.
        #expect(try vault.run("vault", "state", VaultRun.url, "app", "1", "undelete").status == 0)
        _ = try vault.backUp()
        #expect(try vault.run("dump", "latest:secrets", "app/@1", "--reveal").output == "one")
    }

    @Test("give back to the same vault what was deleted and destroyed in it")
    func sameVault() throws {
        let vault = try VaultRun()
        for value in ["one", "two"] { try vault.put("app", value) }
        try vault.put("gone", "removed")
        try vault.put("other", "destroyed")
        _ = try vault.backUp()
        for version in ["1", "2"] {
            #expect(try vault.run("vault", "state", VaultRun.url, "app", version, "softDelete").status == 0)
        }
        #expect(try vault.run("vault", "state", VaultRun.url, "other", "1", "destroy").status == 0)
        #expect(try vault.run("vault", "remove", VaultRun.url, "gone").status == 0)
        let restored = try vault.run("restore", "latest:secrets", "--to", VaultRun.url)
        #expect(restored.status == 0, "\(restored.errors)")
        #expect(
            try vault.standing() == ["app 1-live 2-live*", "gone 1-live*", "other 1-destroyed 2-live*"])
        #expect(try vault.value("app") == "two" && vault.value("other") == "destroyed")
        #expect(try vault.value("gone") == "removed")
    }

    @Test("do not go over newer versions of a vault unless it is said how")
    func newer() throws {
        let vault = try VaultRun()
        try vault.put("app", "one")
        try vault.put("other", "same")
        _ = try vault.backUp()
        try vault.put("app", "two")
        try vault.put("fresh", "not in the snapshot")
        try #require(try vault.run("vault", "remove", VaultRun.url, "other", "--permanently").status == 0)
        let refused = try vault.run("restore", "latest:secrets", "--to", VaultRun.url)
        #expect(refused.status == 1 && refused.errors.contains("app"), "\(refused)")
        #expect(try vault.standing() == ["app 1-live 2-live*", "fresh 1-live*"])
        let dry = try vault.run("restore", "latest:secrets", "--to", VaultRun.url, "--dry-run", "--newer", "append")
        #expect(dry.status == 0, "\(dry.errors)")
        #expect(try vault.standing() == ["app 1-live 2-live*", "fresh 1-live*"])
        #expect(try vault.run("restore", "latest:secrets", "--to", VaultRun.url, "--newer", "keep").status == 0)
        #expect(try vault.standing() == ["app 1-live 2-live*", "fresh 1-live*", "other 1-live*"])
        #expect(try vault.run("restore", "latest:secrets", "--to", VaultRun.url, "--newer", "append").status == 0)
        #expect(try vault.standing() == ["app 1-live 2-live 3-live*", "fresh 1-live*", "other 1-live*"])
        #expect(try vault.value("app") == "one")
        // And once more: the value is current already.
        #expect(try vault.run("restore", "latest:secrets", "--to", VaultRun.url, "--newer", "append").status == 0)
        #expect(try vault.standing().first == "app 1-live 2-live 3-live*")
    }

    @Test("give back one secret, or one version of it")
    func selected() throws {
        let vault = try VaultRun()
        for number in 1...3 { try vault.put("app", "value-\(number)") }
        try vault.put("other", "x")
        _ = try vault.backUp()
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        #expect(try vault.run("restore", "latest:secrets", "--to", fresh, "--secret", "app").status == 0)
        #expect(try vault.standing(fresh) == ["app 1-live 2-live 3-live*"])
        let one = try vault.run(
            "restore", "latest:secrets", "--to", fresh, "--secret", "app", "--secret-version", "2")
        #expect(one.status == 0, "\(one.errors)")
        #expect(try vault.value("app", in: fresh) == "value-2")
        #expect(try vault.standing(fresh) == ["app 1-live 2-live 3-live 4-live*"])
        let absent = try vault.run("restore", "latest:secrets", "--to", fresh, "--secret", "nothing")
        #expect(absent.status == 1 && absent.errors.contains("nothing"), "\(absent)")
        #expect(
            try vault.run("restore", "latest:secrets", "--to", fresh, "--secret-version", "1").status == 64)
        #expect(
            try vault.run("restore", "latest:secrets", "--to", "dir:out", "--secret", "app").status == 64)
    }

    @Test("are never written in the clear, but for one value that is revealed on purpose")
    func clear() throws {
        let vault = try VaultRun()
        let marks = ["Zebra-4711-one", "Zebra-4711-two"]
        for mark in marks { try vault.put("app/db", mark) }
        _ = try vault.backUp()
        for words in [
            ["ls", "latest", "--recursive"], ["dump", "latest", "app/db/@1"], ["dump", "latest", "app"],
            ["restore", "latest", "--to", "dir:out"], ["snapshots", "--json"], ["check", "--read-data", "--verbose"],
            ["vault", "list", VaultRun.url], ["vault", "show", VaultRun.url, "app/db", "--json"],
            ["vault", "get", VaultRun.url, "app/db"], ["dump", "latest", "app/db/@1", "--reveal", "--output", "out"],
        ] { _ = try vault.run.start(words + (words[0] == "vault" ? [] : ["--verbose"])).finish() }
        #expect(!FileManager.default.fileExists(atPath: vault.run.directory.path + "/out"))
        #expect(try vault.run("dump", "latest", "app/db/@1").status == 12)
        #expect(try vault.run("vault", "get", VaultRun.url, "app/db").status == 64)
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        try #require(try vault.run("restore", "latest", "--to", fresh).status == 0)
        // Repository, cache, state, both vaults, and what every run printed.
        let root = vault.run.directory.path
        var files = 0
        for name in FileManager.default.enumerator(atPath: root)?.compactMap({ $0 as? String }) ?? [] {
            guard let data = FileManager.default.contents(atPath: root + "/" + name) else { continue }
            files += 1
            #expect(!marks.contains { data.range(of: Data($0.utf8)) != nil }, "\(name)")
            #expect(data.range(of: Data("opens the vault".utf8)) == nil || name == "vault-password", "\(name)")
        }
        #expect(files > 20)
        let revealed = try vault.run("dump", "latest", "app/db/@1", "--reveal")
        #expect(revealed.status == 0 && revealed.output == marks[0], "\(revealed)")
    }

    @Test("are taken by a writer that cannot read them, and kept by a maintainer that cannot either")
    func roles() throws {
        let vault = try VaultRun()
        try vault.put("app", "the value")
        for role in ["writer", "maintainer"] {
            let added = try vault.run("keys", "add", "--role", role, "--label", role, "--new-key-file", role + ".key")
            try #require(added.status == 0, "\(added.errors)")
        }
        func with(_ key: String, _ words: String...) throws -> RunResult {
            var own = vault.run
            own.password = nil
            own.variables["HOLDFAST_KEY_FILE"] = own.directory.path + "/\(key).key"
            return try own.start(words).finish()
        }
        #expect(try with("writer", "backup", VaultRun.url, "--source", "secrets").status == 0)
        try vault.put("app", "another")
        #expect(try with("writer", "backup", VaultRun.url, "--source", "secrets").status == 0)
        #expect(try with("writer", "dump", "latest", "app/@1", "--reveal").status == 12)
        #expect(try with("maintainer", "ls", "latest", "--recursive").output.contains("app/@2"))
        #expect(try with("maintainer", "dump", "latest", "app/@1", "--reveal").status == 12)
        #expect(try with("maintainer", "forget", "--source", "secrets", "--keep-last", "1").status == 0)
        #expect(try with("maintainer", "prune").status == 0)
        #expect(try vault.run("check", "--read-data").status == 0)
        #expect(try vault.run("dump", "latest", "app/@1", "--reveal").output == "the value")
        // A value that a writer stored, and that nobody can read any more, stays in what an admin takes after it.
        #expect(try vault.run("vault", "state", VaultRun.url, "app", "1", "softDelete").status == 0)
        _ = try vault.backUp()
        #expect(try vault.run("dump", "latest", "app/@1", "--reveal").output == "the value")
        #expect(try vault.run("check", "--read-data").status == 0)
        try #require(try vault.run("mirror", "--to", "second").status == 0)
        var second = vault.run
        second.variables["HOLDFAST_REPO"] = vault.run.directory.path + "/second"
        #expect(try second("dump", "latest", "app/@2", "--reveal").output == "another")
    }

    @Test("that were damaged name the secret, and the others come back")
    func damaged() throws {
        let vault = try VaultRun()
        try vault.put("first", "one")
        _ = try vault.backUp()
        let packs = vault.run.repository + "/packs"
        func names() -> Set<String> {
            Set(FileManager.default.enumerator(atPath: packs)?.compactMap { $0 as? String } ?? [])
        }
        let before = names()
        try vault.put("second", "two")
        _ = try vault.backUp()
        // What came with the second backup: the pack with the value is damaged.
        let found = names().subtracting(before).map { packs + "/" + $0 }.filter {
            (try? FileManager.default.attributesOfItem(atPath: $0)[.type] as? FileAttributeType) == .typeRegular
        }
        var harmed = 0
        for path in found {
            var data = try #require(FileManager.default.contents(atPath: path))
            // The head tells the kind of a pack: 4 is of secrets.
            guard data[32] == 4 else { continue }
            harmed += 1
            data[data.count / 2] ^= 1
            try data.write(to: URL(fileURLWithPath: path))
        }
        #expect(harmed == 1)
        #expect(try vault.run("check", "--read-data").status == 4)
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        let restored = try vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 1 && restored.errors.contains("second"), "\(restored.errors)")
        #expect(try vault.standing(fresh).first == "first 1-live*")
        #expect(try vault.value("first", in: fresh) == "one")
    }

    @Test("ask for the right password, and say where it is to come from")
    func passwords() throws {
        let vault = try VaultRun()
        try vault.put("app", "x")
        var other = vault.run
        _ = try other.file("wrong", "another\n")
        other.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = other.directory.path + "/wrong"
        let wrong = try other("backup", VaultRun.url)
        #expect(wrong.status == 12 && !wrong.errors.contains("another"), "\(wrong)")
        other.variables["HOLDFAST_VAULT_PASSWORD_FILE"] = nil
        let none = try other("backup", VaultRun.url)
        #expect(none.status == 64 && none.errors.contains("HOLDFAST_VAULT_PASSWORD_FILE"), "\(none)")
        other.variables["HOLDFAST_VAULT_PASSWORD"] = "opens the vault"
        #expect(try other("backup", VaultRun.url).status == 0)
        other.variables["HOLDFAST_VAULT_PASSWORD"] = nil
        _ = try other.file(
            "holdfast.yaml",
            "sources: {secrets: {url: 'vault:embedded:secrets.vault', vaultPassword: 'file:vault-password'}}\n")
        #expect(try other("backup", "secrets").status == 0)
        #expect(try other("doctor", "secrets").output.contains("embedded"))
        let made = try vault.run("vault", "init", "vault:embedded:own.vault")
        #expect(made.status == 0, "\(made.errors)")
        #expect(try vault.run("vault", "init", "vault:embedded:own.vault").status == 1)
        #expect(try vault.run("vault", "list", "vault:embedded:own.vault").status == 0)
        let absent = try vault.run("backup", "vault:embedded:nothing.vault")
        #expect(absent.status != 0 && absent.errors.contains("nothing.vault"), "\(absent)")
    }

    @Test("survive a kill at any moment of a backup and of a restore")
    func kills() throws {
        let vault = try VaultRun()
        for number in 0..<12 { try vault.put("secret-\(number % 4)", "value-\(number)") }
        let seed = UInt64(time(nil))
        let entropy = SeededEntropy(seed: seed)
        let fresh = "vault:embedded:fresh.vault"
        try vault.make(fresh)
        for _ in 0..<8 {
            let running = try vault.run.start(["backup", VaultRun.url, "--source", "secrets"])
            pause(.milliseconds(20 + Int64(entropy.next() % 880)))
            running.send(SIGKILL)
            _ = try running.finish()
        }
        _ = try vault.backUp()
        #expect(try vault.run("check", "--read-data").status == 0)
        for _ in 0..<8 {
            let running = try vault.run.start(["restore", "latest:secrets", "--to", fresh])
            pause(.milliseconds(20 + Int64(entropy.next() % 680)))
            running.send(SIGKILL)
            _ = try running.finish()
        }
        let last = try vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(last.status == 0, "seed \(seed): \(last.errors)")
        #expect(try vault.standing(fresh) == vault.standing(), "seed \(seed)")
        for number in 8..<12 { #expect(try vault.value("secret-\(number % 4)", in: fresh) == "value-\(number)") }
    }
}
