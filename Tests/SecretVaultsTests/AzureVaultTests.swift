// The client of Azure Key Vault on the stand-in, beyond what every vault must do.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("Azure Key Vault", .waiting, .enabled(if: AzureServer.isInstalled))
struct AzureVaultTests {
    private let directory = TemporaryDirectory()

    private func named(_ text: String) -> SecretName { SecretName(validated: Array(text.utf8)) }

    @discardableResult
    private func put(
        _ vault: KeyVault, _ name: SecretName, _ text: String, _ expected: SecretExpectation = .anything,
        _ attributes: SecretVersionAttributes = SecretVersionAttributes()
    ) throws -> SecretVersion {
        try vault.put(SecretPut(name, SecretValue(.text, secret(text)), expected: expected, attributes: attributes))
    }

    // MARK: - The stand-in itself

    @Test("is stood in for so well that Microsoft's own client takes it for the service")
    func qualified() throws {
        let forge = CertificateForge(in: directory.path)
        try forge.authority("ca")
        let certificate = try forge.certificate(
            "qualify", by: "ca", for: "DNS:holdfast-test.vault.azure.net,DNS:holdfast-test.private.example")
        let process = Process()
        process.executableURL = URL(fileURLWithPath: AzureServer.python)
        process.arguments = [
            "-B", AzureServer.fixtures + "/qualify.py", certificate.chain, certificate.key, certificate.authority,
        ]
        process.environment = ["HOME": directory.path, "PATH": "/usr/bin:/bin"]
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let shown = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        let told = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        try #require(process.terminationStatus == 0, "\(told)")
        let lines = shown.split(separator: "\n").map(String.init)
        #expect(lines.count == 32, "\(shown)")
        for what in [
            "in pages of 25", "a disabled version is refused", "it is recovered, with its versions",
            "a challenge for another domain is refused", "throttling is borne by asking again",
        ] {
            #expect(lines.contains(what))
        }
    }

    // MARK: - Rights

    /// The data actions of the role that docs/VAULTS.md has under this word.
    private static func actions(_ word: String) throws -> [String] {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("docs/VAULTS.md"), encoding: .utf8)
        let start = try #require(text.range(of: "<!-- role: \(word) -->"))
        let open = try #require(text[start.upperBound...].range(of: "```text\n"))
        let end = try #require(text[open.upperBound...].range(of: "\n```\n"))
        let json = Data(text[open.upperBound..<end.lowerBound].utf8)
        let role = try #require(try JSONSerialization.jsonObject(with: json) as? [String: Any])
        #expect(role["Actions"] as? [String] == [])
        return try #require(role["DataActions"] as? [String])
    }

    @Test("lets the documents' roles do what they are for, and no more")
    func rights() throws {
        let roles: [String: Any] = [
            "admin": ["actions": ["Microsoft.KeyVault/vaults/secrets/*"], "denied": []],
            "reader": ["actions": try Self.actions("Reading"), "denied": ["app-other"]],
            "restorer": ["actions": try Self.actions("Restoring"), "denied": []],
            "nobody": ["actions": [], "denied": []],
        ]
        var setup = AzureServer.Setup()
        setup.roles = String(decoding: try JSONSerialization.data(withJSONObject: roles), as: UTF8.self)
        let server = try AzureServer(setup, in: directory.path)
        defer { server.stop() }
        let (reader, restorer) = (try server.open(as: "reader"), try server.open(as: "restorer"))
        let name = named("app-db")
        // What a restore does, by who may restore.
        let first = try put(restorer, name, "one").id
        let second = try put(restorer, name, "two", .current(first), SecretVersionAttributes(contentType: "text/x")).id
        try restorer.change(name, .state(.disable, of: first))
        try restorer.change(name, .versionAttributes(SecretVersionAttributes(contentType: "text/y"), of: second))
        try restorer.change(name, .remove(.recoverable))
        try restorer.change(name, .recover)
        // What a backup does, by who may read.
        try put(restorer, named("app-other"), "three")
        #expect(try reader.preflight([.list, .describe, .read], under: "").missing.isEmpty)
        #expect(try reader.list(under: "app-d", after: nil, limit: 10).secrets.map(\.name) == [name])
        #expect(try reader.describe(name).versions.map(\.id) == [first, second])
        let isHeld = try reader.read(name, second).value.equals(SecretValue(.text, secret("two")))
        #expect(isHeld)
        #expect(failure { _ = try reader.read(named("app-other"), nil) }?.code == .vaultAccessDenied)
        let denied = try #require(failure { try put(reader, name, "three") })
        #expect(denied.code == .vaultAccessDenied)
        #expect(denied.context.contains { $0.value == "Microsoft.KeyVault/vaults/secrets/setSecret/action on app-db" })
        try server.open(as: "admin").change(name, .remove(.recoverable))
        #expect(failure { try restorer.change(name, .remove(.permanent)) }?.code == .vaultAccessDenied)
        let nobody = try server.open(as: "nobody")
        #expect(failure { _ = try nobody.list(under: "", after: nil, limit: 1) }?.code == .vaultAccessDenied)
        #expect(try nobody.preflight([.list], under: "").missing.count == 2)
        #expect(failure { _ = try server.open(as: "unknown").describe(name) }?.code == .vaultLoginFailed)
    }

    // MARK: - What is its own

    @Test("puts versions a second apart, since it tells their order by nothing else")
    func seconds() throws {
        var setup = AzureServer.Setup()
        setup.ticks = false
        let server = try AzureServer(setup, in: directory.path)
        defer { server.stop() }
        let vault = try server.open()
        let ids = try (0..<3).map { try put(vault, named("apart"), "\($0)").id }
        let record = try vault.describe(named("apart"))
        #expect(record.versions.map(\.id) == ids && record.extras[KeyVault.ambiguousOrder] == nil)
        let seconds = record.versions.compactMap { $0.created?.seconds }
        #expect(Set(seconds).count == 3)
    }

    @Test("puts a version that is disabled from its first moment on")
    func putDisabled() throws {
        let vault = try AzureServer.inMemory().open()
        let name = named("disabled-put")
        var put = SecretPut(name, SecretValue(.text, secret("one")), expected: .absent)
        put.isDisabled = true
        #expect(try vault.put(put).state == .disabled)
        #expect(try vault.describe(name).versions.map(\.state) == [.disabled])
        #expect(failure { _ = try vault.read(name, nil) }?.code == .secretDisabled)
    }

    @Test("does not take a name for another that differs in case, and writes over none")
    func spelling() throws {
        let vault = try AzureServer.inMemory().open()
        try put(vault, named("Spelling-One"), "one")
        let other = named("spelling-one")
        #expect(failure { _ = try vault.describe(other) }?.code == .secretNotFound)
        #expect(failure { _ = try vault.read(other, nil) }?.code == .secretNotFound)
        for expected in [SecretExpectation.absent, .anything] {
            #expect(failure { try put(vault, other, "two", expected) }?.code == .secretConflict)
        }
        #expect(try vault.describe(named("Spelling-One")).versions.count == 1)
        try vault.change(named("Spelling-One"), .remove(.recoverable))
        #expect(failure { try put(vault, other, "two", .absent) }?.code == .secretConflict)
    }

    @Test("lets no date be taken away, and everything else be changed")
    func attributes() throws {
        let vault = try AzureServer.inMemory().open()
        let name = named("attributes")
        var wanted = SecretVersionAttributes(
            expires: Timestamp(seconds: 1_900_000_000), contentType: "text/plain", tags: SecretTags([("a", "1")]))
        let id = try put(vault, name, "one", .absent, wanted).id
        wanted.contentType = nil
        wanted.tags = SecretTags()
        wanted.notBefore = Timestamp(seconds: 1_700_000_000)
        try vault.change(name, .versionAttributes(wanted, of: id))
        #expect(try vault.describe(name)[id]?.attributes == wanted)
        var without = wanted
        without.expires = nil
        let found = try #require(failure { try vault.change(name, .versionAttributes(without, of: id)) })
        #expect(found.code == .usage && found.message.contains("date"))
        #expect(try vault.describe(name)[id]?.attributes == wanted)
        let many = SecretVersionAttributes(tags: SecretTags((0..<16).map { ("\($0)", "") }))
        #expect(failure { try put(vault, name, "two", .anything, many) }?.code == .limitExceeded)
        #expect(failure { try vault.change(name, .versionAttributes(many, of: id)) }?.code == .limitExceeded)
        let text = SecretAttributes(description: "text")
        #expect(failure { try vault.change(name, .attributes(text)) }?.code == .usage)
    }

    @Test("tells of a removed secret its newest version, when it goes, and gives it back with all versions")
    func removed() throws {
        let vault = try AzureServer.inMemory().open()
        let name = named("removed-one")
        let ids = try ["one", "two"].map { try put(vault, name, $0).id }
        #expect(failure { try vault.change(name, .remove(.permanent)) }?.code == .usage)
        let order = try vault.describe(name)[ids[1]]?.order
        try vault.change(name, .remove(.recoverable))
        let record = try vault.describe(name)
        // By its place it is known again in a snapshot that has its value.
        #expect(record[ids[1]]?.order == order)
        let removal = try #require(record.removal)
        let (gone, purge) = (try #require(removal.at), try #require(removal.purge))
        #expect(purge.since(gone) == .seconds(90 * 86_400) && record.versions.map(\.id) == [ids[1]])
        #expect(failure { _ = try vault.read(name, ids[0]) }?.code == .secretDeleted)
        #expect(failure { try vault.change(name, .state(.disable, of: ids[1])) }?.code == .secretDeleted)
        try vault.change(name, .recover)
        #expect(try vault.describe(name).versions.map(\.id) == ids)
    }

    @Test("is not purged where it is protected")
    func protected() throws {
        var setup = AzureServer.Setup()
        setup.isProtected = true
        let server = try AzureServer(setup, in: directory.path)
        defer { server.stop() }
        let vault = try server.open()
        let name = named("kept")
        try put(vault, name, "one")
        try vault.change(name, .remove(.recoverable))
        let found = try #require(failure { try vault.change(name, .remove(.permanent)) })
        #expect(found.code == .usage && found.message.contains("protected"))
        #expect(try vault.describe(name).removal != nil)
    }

    @Test("says which version is disabled where the current one is")
    func disabled() throws {
        let vault = try AzureServer.inMemory().open()
        let name = named("disabled-current")
        let ids = try ["one", "two"].map { try put(vault, name, $0).id }
        try vault.change(name, .state(.disable, of: ids[1]))
        let found = try #require(failure { _ = try vault.read(name, nil) })
        #expect(found.code == .secretDisabled && found.message.contains(ids[1].text))
        #expect(try vault.read(name, ids[0]).version == ids[0])
    }

    @Test("refuses what it can't keep before anything is sent")
    func unfit() throws {
        let vault = try AzureServer.inMemory().open()
        let fit = SecretValue(.text, secret("x"))
        for text in ["a b", "a_b", "a/b", String(repeating: "a", count: 128)] {
            #expect(
                failure { _ = try vault.put(SecretPut(named(text), fit, expected: .anything)) }?.code == .limitExceeded)
            #expect(failure { _ = try vault.describe(named(text)) }?.code == .secretNotFound)
            #expect(failure { _ = try vault.read(named(text), nil) }?.code == .secretNotFound)
        }
        let bytes: [UInt8] = [0xFF]
        let torn = SecretValue(.text, SecretBytes(copying: bytes.span.bytes))
        let found = failure { _ = try vault.put(SecretPut(named("unfit"), torn, expected: .anything)) }
        #expect(found?.code == .usage && found?.message.contains("UTF-8") == true)
        let long = SecretVersionAttributes(contentType: String(repeating: "x", count: 256))
        #expect(failure { try put(vault, named("unfit"), "x", .anything, long) }?.code == .limitExceeded)
    }
}

@Suite("Names of vaults of Azure", .waiting)
struct AzureLocationTests {
    @Test("lead to the public cloud by name, to others by host, and are told in one form")
    func locations() throws {
        for (text, origin, told) in [
            ("some-Vault", "https://some-vault.vault.azure.net:443/…", "some-vault"),
            ("some-vault.vault.azure.net", "https://some-vault.vault.azure.net:443/…", "some-vault"),
            ("https://some-vault.vault.azure.net/", "https://some-vault.vault.azure.net:443/…", "some-vault"),
            ("v.vault.azure.cn", "https://v.vault.azure.cn:443/…", "v.vault.azure.cn"),
            ("https://Vault.Corp.example:8443", "https://vault.corp.example:8443/…", "vault.corp.example:8443"),
            ("http://127.0.0.1:5000", "http://127.0.0.1:5000/…", "http://127.0.0.1:5000"),
        ] {
            let location = try AzureVaultLocation(text)
            #expect(location.origin.description == origin && location.description == told)
            #expect(try AzureVaultLocation(location.description) == location)
            #expect(VaultAddress("azure:" + text)?.text == "azure:" + told)
        }
    }

    @Test(
        "are refused for what is none",
        arguments: [
            "", "ab", "a_b_c", String(repeating: "a", count: 25), "http://vault.corp.example", "https://u@h.example",
            "https://h.example/path", "h.example?x", "a b.example", "https://",
        ])
    func refused(_ text: String) {
        #expect(failure { _ = try AzureVaultLocation(text) }?.code == .usage)
        #expect(VaultAddress("azure:" + text) == nil)
    }
}
