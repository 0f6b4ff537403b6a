// Azure Key Vault as a source and as a target, by the program, on the stand-in.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

/// A repository, and an empty vault of its own.
private struct AzureRun {
    var vault: VaultRun
    let server: AzureServer
    var url: String { "vault:\(server.address)" }

    init() throws {
        vault = try VaultRun()
        server = try AzureServer(in: vault.run.directory.path)
        log(in: server)
    }

    /// Lets the program log in at another vault.
    mutating func log(in server: AzureServer, as client: String? = nil) {
        for (name, value) in server.variables(as: client) { vault.run.variables[name] = value }
    }

    static func name(_ text: String) -> SecretName { SecretName(validated: Array(text.utf8)) }

    /// By the client, which is faster than a run of the program for each.
    @discardableResult
    func put(_ name: String, _ text: String, _ attributes: SecretVersionAttributes = .init()) throws -> SecretVersionID
    {
        let value = SecretValue(.text, SecretBytes(copying: Array(text.utf8).span.bytes))
        return try server.open().put(
            SecretPut(Self.name(name), value, expected: .anything, attributes: attributes)
        ).id
    }

    func backUp(_ url: String? = nil, _ source: String = "secrets", _ status: Int32 = 0) throws -> RunResult {
        let result = try vault.run("backup", url ?? self.url, "--source", source)
        #expect(result.status == status, "\(result.errors)")
        return result
    }

    /// As ``VaultRun/standing(_:)`` without ids, which a vault of Azure draws by lot.
    func shape(_ url: String) throws -> [String] {
        try vault.standing(url).map { line in
            line.split(separator: " ").enumerated().map { place, word in
                place == 0 ? String(word) : String(word.drop { $0 != "-" }.dropFirst())
            }.joined(separator: " ")
        }.sorted()
    }

    func version(_ name: String, _ place: Int, in url: String) throws -> [String: Any] {
        let secret = try vault.run("vault", "show", url, name, "--json").json()["secret"] as? [String: Any]
        let versions = try #require(secret?["versions"] as? [[String: Any]])
        return try #require(place < versions.count ? versions[place] : nil)
    }

    func value(_ name: String, _ place: Int, in url: String) throws -> String {
        try vault.value(name, try version(name, place, in: url)["id"] as? String, in: url)
    }
}

@Suite("A vault of Azure Key Vault", .waiting, .enabled(if: AzureServer.isInstalled))
struct AzureTests {
    @Test("is backed up with all versions, given back to an embedded vault, and from there to a fresh one of Azure")
    func roundTrip() throws {
        var azure = try AzureRun()
        let attributes = SecretVersionAttributes(
            notBefore: Timestamp(seconds: 1_700_000_000), expires: Timestamp(seconds: 1_900_000_000),
            contentType: "text/plain", tags: SecretTags([("team", "db"), ("größe", "1")]))
        let ids = try (1...4).map { try azure.put("app-db", "database-\($0)", $0 == 3 ? attributes : .init()) }
        // More versions than a page, and a value as large as the service takes.
        for number in 0..<30 { try azure.put("many", "many-\(number)") }
        try azure.put("Large", String(repeating: "é", count: 25 * 512))
        try azure.put("empty", "")
        for text in ["first", "removed"] { try azure.put("gone", text) }
        _ = try azure.backUp()
        let vault = try azure.server.open()
        try vault.change(AzureRun.name("app-db"), .state(.disable, of: ids[0]))
        try vault.change(AzureRun.name("gone"), .remove(.recoverable))
        _ = try azure.backUp()
        let facts = try azure.vault.run("snapshots", "--json").json()["snapshots"] as? [[String: Any]]
        let newest = try #require(facts?.last?["facts"] as? [String: String])
        #expect(newest["vault.kind"] == "azure-key-vault" && newest["vault.server"] == "Azure Key Vault")
        #expect(newest["vault.valuesRead"] == "0" && newest["vault.atOneInstant"] == "yes")
        #expect(newest["vault.withoutValue"] == nil && newest["vault.secrets"] == "5")
        let before = try azure.vault.standing(azure.url).sorted()
        #expect(before.contains { $0.hasPrefix("app-db \(ids[0])-disabled") && $0.hasSuffix("\(ids[3])-live*") })

        let embedded = try azure.vault.run("restore", "latest:secrets", "--to", VaultRun.url)
        #expect(embedded.status == 0, "\(embedded.errors)")
        #expect(try azure.vault.standing().sorted() == before)
        #expect(try azure.vault.value("app-db", ids[1].text) == "database-2")
        #expect(try azure.value("many", 7, in: VaultRun.url) == "many-7")

        // Another vault of Azure, where states and dates come back, and ids and times of creation can't.
        let fresh = try AzureServer(in: azure.vault.run.directory.path)
        defer { fresh.stop() }
        let (url, freshURL) = (azure.url, "vault:\(fresh.address)")
        let wanted = try azure.shape(url)
        #expect(wanted.contains("app-db disabled live live live*"), "\(wanted)")
        azure.log(in: fresh)
        let restored = try azure.vault.run("restore", "latest:secrets", "--to", freshURL)
        #expect(restored.status == 0, "\(restored.errors)")
        for what in ["times of creation", "version ids"] { #expect(restored.errors.contains(what)) }
        #expect(try azure.shape(freshURL) == wanted)
        #expect(try azure.value("app-db", 1, in: freshURL) == "database-2")
        #expect(try azure.value("many", 29, in: freshURL) == "many-29")
        #expect(try azure.vault.value("Large", in: freshURL).utf8.count == 25 * 1024)
        #expect(try azure.vault.value("empty", in: freshURL) == "")
        let back = try fresh.open().describe(AzureRun.name("app-db")).versions
        #expect(back.count == 4 && back[2].attributes == attributes && back[1].attributes == .init())
        let again = try azure.vault.run("restore", "latest:secrets", "--to", freshURL)
        #expect(again.status == 0 && again.errors.contains("0 secrets restored"), "\(again.errors)")
        #expect(try azure.shape(freshURL) == wanted)
    }

    @Test("gets what an embedded vault has, but for names and values that it can't have, which are named")
    func embedded() throws {
        let azure = try AzureRun()
        for number in 1...3 { try azure.vault.put("app-db", "database-\(number)") }
        for (name, value) in [("app/slash", "elsewhere"), ("big", String(repeating: "x", count: (25 << 10) + 1))] {
            try azure.vault.put(name, value)
        }
        _ = try azure.backUp(VaultRun.url)
        let restored = try azure.vault.run("restore", "latest:secrets", "--to", azure.url)
        #expect(restored.status == 1, "\(restored.errors)")
        for what in ["app/slash", "the secret big", "times of creation", "version ids", "staging labels"] {
            #expect(restored.errors.contains(what), "\(restored.errors)")
        }
        #expect(try azure.shape(azure.url) == ["app-db live live live*"])
        #expect(try azure.value("app-db", 1, in: azure.url) == "database-2")
        let again = try azure.vault.run("restore", "latest:secrets", "--to", azure.url)
        #expect(again.status == 1 && again.errors.contains("0 secrets restored"), "\(again.errors)")
    }

    @Test("gets a removed secret back as it was, and puts nothing that it has already")
    func removed() throws {
        let azure = try AzureRun()
        for number in 1...3 { try azure.put("app", "app-\(number)") }
        for number in 1...2 { try azure.put("gone", "gone-\(number)") }
        try azure.put("new", "new-1")
        let vault = try azure.server.open()
        try vault.change(AzureRun.name("gone"), .remove(.recoverable))
        let before = try azure.vault.standing(azure.url).sorted()
        let backup = try azure.backUp()
        // Of a removed secret that no earlier snapshot had, no value can be read.
        #expect(backup.errors.contains("1 versions that are disabled"), "\(backup.errors)")
        try vault.change(AzureRun.name("app"), .remove(.recoverable))
        for round in 0..<2 {
            let restored = try azure.vault.run("restore", "latest:secrets", "--to", azure.url)
            let count = round == 0 ? "1 secrets restored with 0 new versions" : "0 secrets restored"
            #expect(restored.status == 0 && restored.errors.contains(count), "\(restored.errors)")
            #expect(try azure.vault.standing(azure.url).sorted() == before)
        }
        // What came after the snapshot is no reason to bring it back.
        try azure.put("app", "app-4")
        try vault.change(AzureRun.name("app"), .remove(.recoverable))
        for kind in [SecretRemovalKind.recoverable, .permanent] {
            try vault.change(AzureRun.name("new"), .remove(kind))
        }
        let refused = try azure.vault.run("restore", "latest:secrets", "--to", azure.url)
        #expect(refused.status == 1 && refused.errors.contains("app"), "\(refused.errors)")
        #expect(try vault.describe(AzureRun.name("app")).removal != nil)
        // All was looked at before anything was put.
        #expect(throws: HoldfastError.self) { try vault.describe(AzureRun.name("new")) }
        let kept = try azure.vault.run("restore", "latest:secrets", "--to", azure.url, "--newer", "keep")
        #expect(kept.status == 0, "\(kept.errors)")
        #expect(try vault.describe(AzureRun.name("app")).removal != nil)
        let appended = try azure.vault.run("restore", "latest:secrets", "--to", azure.url, "--newer", "append")
        #expect(appended.status == 0, "\(appended.errors)")
        #expect(try azure.vault.value("app", in: azure.url) == "app-3")
        #expect(try vault.describe(AzureRun.name("app")).versions.count == 5)
    }

    @Test("is backed up but for what its login may not read, which is named and stays as it was")
    func denied() throws {
        var azure = try AzureRun()
        try azure.put("app", "Zebra-4711-app")
        let roles = """
            {"reader": {"actions": ["Microsoft.KeyVault/vaults/secrets/readMetadata/action",
            "Microsoft.KeyVault/vaults/secrets/getSecret/action"], "denied": ["secret"]},
            "system": {"actions": ["Microsoft.KeyVault/vaults/secrets/*"]}}
            """
        var setup = AzureServer.Setup()
        setup.roles = roles
        let server = try AzureServer(setup, in: azure.vault.run.directory.path)
        defer { server.stop() }
        let url = "vault:\(server.address)"
        let vault = try server.open()
        for name in ["app", "secret"] {
            let value = SecretValue(.text, SecretBytes(copying: Array("Zebra-4711-\(name)".utf8).span.bytes))
            _ = try vault.put(SecretPut(AzureRun.name(name), value, expected: .absent))
        }
        azure.log(in: server, as: "reader")
        let partial = try azure.backUp(url, "secrets", 3)
        #expect(partial.errors.contains("getSecret/action on secret"), "\(partial.errors)")
        let listed = try azure.vault.run("ls", "latest:secrets", "--recursive")
        #expect(listed.output.contains("app") && listed.output.contains("secret"), "\(listed.output)")
        // It may not write.
        let newer = SecretValue(.text, SecretBytes(copying: Array("Zebra-4711-newer".utf8).span.bytes))
        _ = try vault.put(SecretPut(AzureRun.name("app"), newer, expected: .anything))
        let refused = try azure.vault.run("restore", "latest:secrets", "--to", url, "--newer", "append")
        #expect(refused.status != 0 && refused.errors.contains("setSecret/action on app"), "\(refused.errors)")
        // Neither a token nor a value is in any file or output.
        let doctor = try azure.vault.run("doctor", url, "--verbose")
        #expect(doctor.output.contains("Azure Key Vault"), "\(doctor)")
        let root = azure.vault.run.directory.path
        let names = try #require(FileManager.default.enumerator(atPath: root)).compactMap { $0 as? String }
        let files = names.compactMap { FileManager.default.contents(atPath: root + "/" + $0) }
        #expect(files.count > 10)
        let outputs = [partial, refused, doctor].map { Data(($0.output + $0.errors).utf8) }
        for data in files + outputs {
            for mark in ["hunter2token", "Zebra-4711"] { #expect(data.range(of: Data(mark.utf8)) == nil) }
        }
    }
}
