// A real OpenBao as a source and as a target, by the program.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

/// A repository, and a mount of its own on the server that all tests share.
struct OpenBaoRun {
    var vault: VaultRun
    let server: OpenBaoServer
    let mount: String

    var url: String { "vault:\(server.origin)/\(mount)" }

    init(version: Int = 2) throws {
        try self.init(on: try OpenBaoServer.inMemory(), version: version)
    }

    init(on server: OpenBaoServer, version: Int = 2) throws {
        self.server = server
        mount = "i" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(mount, version: version)
        vault = try VaultRun()
        vault.putWords = ["--json-object"]
        vault.run.variables["BAO_TOKEN"] = server.token
    }

    /// Another empty mount of the same server.
    func freshURL(version: Int = 2) throws -> String {
        let name = "f" + Hex.encode(try SystemEntropy().bytes(6))
        try server.mount(name, version: version)
        return "vault:\(server.origin)/\(name)"
    }

    func put(_ name: String, _ value: String) throws {
        try vault.put(name, "{\"value\":\"\(value)\"}", in: url)
    }

    /// By the server's own words, which is faster than a run of the program for each.
    func putDirectly(_ name: String, _ value: String) throws {
        let path = name.addingPercentEncoding(withAllowedCharacters: .urlPathAllowed) ?? name
        try server.must(.post, "\(mount)/data/\(path)", "{\"data\":{\"value\":\"\(value)\"}}")
    }

    func backUp(_ status: Int32 = 0) throws -> RunResult {
        let result = try vault.run("backup", url, "--source", "secrets")
        #expect(result.status == status, "\(result.errors)")
        return result
    }

    /// Facts of the newest snapshot.
    func facts() throws -> [String: String] {
        let list = try vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
        return try #require(list?.last?["facts"] as? [String: String])
    }

    static let readingPolicy = """
        path "MOUNT/metadata/*" { capabilities = ["list", "read"] }
        path "MOUNT/detailed-metadata/*" { capabilities = ["list"] }
        path "MOUNT/data/*" { capabilities = ["read"] }
        path "MOUNT/config" { capabilities = ["read"] }
        """

    /// The token of a login that may do what the page on vaults lists, and what `more` says.
    func readingToken(_ more: String = "") throws -> String {
        try server.token(
            "p-\(mount)", policy: (Self.readingPolicy + "\n" + more).replacingOccurrences(of: "MOUNT", with: mount))
    }
}

@Suite("An OpenBao server", .waiting, .enabled(if: OpenBaoServer.isInstalled))
struct OpenBaoTests {
    @Test("is backed up with all versions, and given back to a fresh mount and to an embedded vault")
    func roundTrip() throws {
        let bao = try OpenBaoRun()
        for number in 1...4 { try bao.putDirectly("app/db", "database-\(number)") }
        // A secret where others have a folder, and names that are encoded on their way.
        for name in ["app", "größe/mit leer", "a+b%2F?c#d", "日本/語"] { try bao.putDirectly(name, "of it") }
        // More versions than a mount keeps by itself.
        try bao.server.must(.post, "\(bao.mount)/metadata/many", #"{"max_versions":20,"custom_metadata":{"team":"a"}}"#)
        for number in 1...14 { try bao.putDirectly("many", "many-\(number)") }
        _ = try bao.backUp()
        let words = ["1": "destroy", "3": "softDelete"]
        for (version, word) in words {
            #expect(try bao.vault.run("vault", "state", bao.url, "app/db", version, word).status == 0)
        }
        let before = try bao.vault.standing(bao.url)
        #expect(before.contains("app/db 1-destroyed 2-live 3-deleted 4-live*"), "\(before)")
        #expect(before.count == 6, "\(before)")
        _ = try bao.backUp()
        #expect(try bao.vault.run("check", "--read-data").status == 0)

        let fresh = try bao.freshURL()
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        // What a mount cannot take back is told.
        #expect(restored.errors.contains("times of creation"), "\(restored.errors)")
        #expect(try bao.vault.standing(fresh) == before)
        #expect(try bao.vault.value("app/db", "2", in: fresh) == #"{"value":"database-2"}"#)
        #expect(try bao.vault.value("many", "1", in: fresh) == #"{"value":"many-1"}"#)
        #expect(try bao.vault.value("größe/mit leer", in: fresh) == #"{"value":"of it"}"#)
        let many = try bao.vault.run("vault", "show", fresh, "many", "--json").json()["secret"] as? [String: Any]
        #expect(many?["maximumVersions"] as? Int == 20 && (many?["tags"] as? [String: String])?["team"] == "a")
        let again = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")

        // And a vault of another provider, where ids and dates are kept.
        let embedded = try bao.vault.run("restore", "latest:secrets", "--to", VaultRun.url)
        #expect(embedded.status == 0, "\(embedded.errors)")
        #expect(try bao.vault.standing() == before)
        #expect(try bao.vault.value("app/db", "2") == #"{"value":"database-2"}"#)
        #expect(try bao.vault.value("many", "14") == #"{"value":"many-14"}"#)
    }

    @Test("gets versions beyond its mount's own limit back from a vault without one, and keeps them")
    func limits() throws {
        let bao = try OpenBaoRun()
        for number in 1...12 { try bao.vault.put("app", "{\"n\":\(number)}") }
        let backup = try bao.vault.run("backup", VaultRun.url, "--source", "secrets")
        try #require(backup.status == 0, "\(backup.errors)")
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", bao.url)
        #expect(restored.status == 0 && restored.errors.contains("limits of versions"), "\(restored.errors)")
        #expect(try bao.vault.value("app", "1", in: bao.url) == #"{"n":1}"#)
        let shown = try bao.vault.run("vault", "show", bao.url, "app", "--json").json()["secret"] as? [String: Any]
        #expect((shown?["versions"] as? [Any])?.count == 12 && shown?["maximumVersions"] as? Int == 12)
    }

    @Test("is asked for the values of new versions alone, also by a login that may no more than read")
    func incremental() throws {
        var bao = try OpenBaoRun()
        for number in 0..<30 { try bao.putDirectly("folder \(number % 3)/secret \(number)", "value-\(number)") }
        let server = bao.server.token
        bao.vault.run.variables["BAO_TOKEN"] = try bao.readingToken()
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.valuesRead"] == "30" && bao.facts()["vault.kind"] == "hashicorp-kv2")
        #expect(try bao.facts()["vault.server"] == "OpenBao 2.7.2")
        try bao.putDirectly("folder 1/secret 1", "another")
        try bao.putDirectly("folder 1/new", "new")
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.valuesRead"] == "2" && bao.facts()["vault.atOneInstant"] == "yes")
        _ = try bao.backUp()
        #expect(try bao.facts()["vault.valuesRead"] == "0")
        // It may not write, and is refused before anything is.
        let fresh = try bao.freshURL()
        let refused = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(refused.status == 12, "\(refused.errors)")
        bao.vault.run.variables["BAO_TOKEN"] = server
        #expect(try bao.vault.standing(fresh) == [])
    }

    @Test("is backed up and restored by logins under the policies of the documents, of all of it or of one secret")
    func policies() throws {
        var bao = try OpenBaoRun()
        for name in ["app/db", "other/x"] { for number in 1...2 { try bao.putDirectly(name, "\(name) \(number)") } }
        let (root, mount) = (bao.server.token, bao.mount)
        bao.vault.run.variables["BAO_TOKEN"] = try bao.server.token(
            "b-\(mount)", policy: try Self.policy("Reading", for: mount))
        _ = try bao.backUp()
        let fresh = try bao.freshURL()
        let target = try #require(fresh.split(separator: "/").last.map(String.init))
        bao.vault.run.variables["BAO_TOKEN"] = try bao.server.token(
            "r-\(mount)", policy: try Self.policy("Restoring", for: target))
        let restored = try bao.vault.run("restore", "latest:secrets", "--to", fresh)
        #expect(restored.status == 0, "\(restored.errors)")
        // It may not remove anything for good.
        let removal = try bao.vault.run("vault", "remove", fresh, "app/db", "--permanently")
        let word = "may not remove \(target)/metadata/app/db"
        #expect(removal.status == 12 && removal.errors.contains(word), "\(removal)")

        // One secret, by a login for its folder alone.
        let second = try bao.freshURL()
        let narrow = try #require(second.split(separator: "/").last.map(String.init))
        let policy = try Self.policy("Restoring", for: narrow).replacingOccurrences(of: "/*\"", with: "/app/*\"")
        bao.vault.run.variables["BAO_TOKEN"] = try bao.server.token("n-\(mount)", policy: policy)
        let words = ["restore", "latest:secrets", "--to", second]
        let one = try bao.vault.run.start(words + ["--secret", "app/db"]).finish()
        #expect(one.status == 0, "\(one.errors)")
        for beside in [words, words + ["--secret", "app/db", "--secret", "other/x"]] {
            let refused = try bao.vault.run.start(beside).finish()
            #expect(refused.status == 12, "\(refused.errors)")
        }
        bao.vault.run.variables["BAO_TOKEN"] = root
        #expect(try bao.vault.standing(fresh) == ["app/db 1-live 2-live*", "other/x 1-live 2-live*"])
        #expect(try bao.vault.standing(second) == ["app/db 1-live 2-live*"])
    }

    /// The policy that docs/VAULTS.md has under this word, for a mount.
    static func policy(_ word: String, for mount: String) throws -> String {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("docs/VAULTS.md"), encoding: .utf8)
        let start = try #require(text.range(of: "<!-- policy of KV: \(word) -->\n```text\n"))
        let end = try #require(text[start.upperBound...].range(of: "\n```\n"))
        return text[start.upperBound..<end.lowerBound].replacingOccurrences(of: "\"secret/", with: "\"\(mount)/")
    }

    @Test("of the first version of KV is backed up as it is, and given back")
    func first() throws {
        let bao = try OpenBaoRun(version: 1)
        try bao.put("app/db", "one")
        try bao.put("app/db", "two")
        let backup = try bao.backUp()
        #expect(backup.errors.contains("no versions"), "\(backup.errors)")
        let fresh = try bao.freshURL(version: 1)
        #expect(try bao.vault.run("restore", "latest:secrets", "--to", fresh).status == 0)
        #expect(try bao.vault.value("app/db", in: fresh) == #"{"value":"two"}"#)
    }

    @Test("is listed, read and changed by the verbs of vaults, and looked at by the doctor")
    func verbs() throws {
        let bao = try OpenBaoRun()
        try bao.put("app/db", "one")
        try bao.put("app/db", "two")
        let vault = bao.vault
        #expect(try vault.standing(bao.url) == ["app/db 1-live 2-live*"])
        #expect(try vault.value("app/db", "1", in: bao.url) == #"{"value":"one"}"#)
        #expect(try vault.run("vault", "show", bao.url, "app/db").output.contains("(current)"))
        #expect(try vault.run("vault", "state", bao.url, "app/db", "2", "softDelete").status == 0)
        #expect(try vault.run("vault", "get", bao.url, "app/db", "--reveal").status != 0)
        #expect(try vault.run("vault", "state", bao.url, "app/db", "2", "undelete").status == 0)
        #expect(try vault.run("vault", "state", bao.url, "app/db", "2", "disable").status == 64)
        let path = try vault.run.file("value", #"{"value":"three"}"#)
        let stale = try vault.run(
            "vault", "put", bao.url, "app/db", "--json-object", "--file", path, "--if-current", "1")
        #expect(stale.status == 1, "\(stale)")
        let text = try vault.run("vault", "put", bao.url, "app/db", "--file", path)
        #expect(text.status == 64 && text.errors.contains("app/db"), "\(text)")
        #expect(try vault.run("vault", "remove", bao.url, "app/db").status == 64)
        #expect(try vault.run("vault", "remove", bao.url, "app/db", "--permanently").status == 0)
        #expect(try vault.standing(bao.url) == [])
        let doctor = try vault.run("doctor", bao.url)
        #expect(doctor.status == 0 && doctor.output.contains("OpenBao 2.7.2"), "\(doctor)")
        #expect(try vault.run("vault", "init", bao.url).status == 64)
    }

    @Test("is reached by a URL without a credential, in clear on this machine alone, with one way to log in")
    func logins() throws {
        var bao = try OpenBaoRun()
        try bao.put("app", "one")
        for url in ["vault:http://vault.example/secret", "vault:https://user@vault.example/secret", "vault:https://h/"]
        {
            let list = try bao.vault.run("vault", "list", url)
            #expect(list.status == 64 && list.errors.contains("no location of a vault"), "\(list.errors)")
            let backup = try bao.vault.run("backup", url)
            #expect(backup.status == 64 && backup.errors.contains("no location of a vault"), "\(backup.errors)")
            let restore = try bao.vault.run("restore", "latest", "--to", url)
            #expect(restore.status == 64 && restore.errors.contains("no location of a vault"), "\(restore.errors)")
        }
        let token = bao.server.token
        bao.vault.run.variables["BAO_TOKEN"] = nil
        let none = try bao.vault.run("vault", "list", bao.url)
        #expect(none.status == 64 && none.errors.contains("BAO_TOKEN_FILE"), "\(none.errors)")
        bao.vault.run.variables["VAULT_TOKEN"] = token
        #expect(try bao.vault.run("vault", "list", bao.url).status == 0)
        bao.vault.run.variables["BAO_TOKEN_FILE"] = try bao.vault.run.file("token", token + "\n")
        let both = try bao.vault.run("vault", "list", bao.url)
        #expect(both.status == 64 && both.errors.contains("VAULT_TOKEN and BAO_TOKEN_FILE"), "\(both.errors)")
        bao.vault.run.variables["VAULT_TOKEN"] = nil
        #expect(try bao.vault.run("vault", "list", bao.url).status == 0)
        bao.vault.run.variables["BAO_TOKEN_FILE"] = nil
        // What `bao login` leaves behind.
        _ = try bao.vault.run.file(".vault-token", token)
        #expect(try bao.vault.run("vault", "list", bao.url).status == 0)
        bao.vault.run.variables["BAO_RATE_LIMIT"] = "many"
        #expect(try bao.vault.run("vault", "list", bao.url).status == 64)
        bao.vault.run.variables["BAO_RATE_LIMIT"] = "200:10"
        bao.vault.run.variables["HOLDFAST_VAULT_ROLE_ID_FILE"] = "role"
        let half = try bao.vault.run("vault", "list", bao.url)
        #expect(half.status == 64 && half.errors.contains("HOLDFAST_VAULT_SECRET_ID_FILE"), "\(half.errors)")
    }
}
