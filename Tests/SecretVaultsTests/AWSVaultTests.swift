// The client of AWS Secrets Manager on moto, beyond what every vault must do.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing
import VaultProviders
import VaultSupport

@Suite("AWS Secrets Manager", .waiting, .enabled(if: MotoServer.isInstalled))
struct AWSVaultTests {
    /// A server of its own, since tests here are about users and what they may do.
    private static func policies() throws -> [String: String] {
        [
            "admin": MotoServer.everything, "reader": try policy("Reading"), "restorer": try policy("Restoring"),
            "guard": try policy("Guarding"),
        ]
    }

    /// The policy that docs/VAULTS.md has under this word.
    private static func policy(_ word: String) throws -> String {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let text = try String(contentsOf: root.appendingPathComponent("docs/VAULTS.md"), encoding: .utf8)
        let start = try #require(text.range(of: "<!-- policy: \(word) -->"))
        let rest = text[start.upperBound...]
        let open = try #require(rest.range(of: "```text\n"))
        let end = try #require(rest.range(of: "\n```\n"))
        return String(rest[open.upperBound..<end.lowerBound])
    }

    private func carryOut(_ pins: VersionPins, on name: SecretName, in vault: any SecretVault) throws {
        for change in pins.changes { try vault.change(name, change) }
    }

    private func named(_ text: String) -> SecretName { SecretName(validated: Array(text.utf8)) }

    @discardableResult
    private func put(
        _ vault: SecretsManager, _ name: SecretName, _ text: String, _ staging: SecretStaging = .current
    ) throws -> SecretVersion {
        try vault.put(SecretPut(name, SecretValue(.text, secret(text)), expected: .anything, staging: staging))
    }

    @Test("lets the documents' policies do what they are for, and no more")
    func rights() throws {
        let directory = TemporaryDirectory()
        let server = try MotoServer(policies: try Self.policies(), in: directory.path)
        defer { server.stop() }
        let (admin, reader) = (try server.open(), try server.open(as: "reader"))
        let restorer = try server.open(as: "restorer")
        let name = named("app/db")
        // What a restore does, by who may restore.
        let id = try put(restorer, name, "one").id
        let second = try put(restorer, name, "two", .labels([])).id
        try restorer.change(name, .label(SecretsManager.stages.current, from: id, to: second))
        try restorer.change(name, .attributes(SecretAttributes(description: "d", tags: SecretTags([("a", "b")]))))
        // What a backup does, by who may read.
        #expect(try reader.preflight([.list, .describe, .read], under: "").missing.isEmpty)
        #expect(try reader.list(under: "", after: nil, limit: 10).secrets.map(\.name) == [name])
        #expect(try reader.describe(name).versions.count == 2)
        let isHeld = try reader.read(name, id).value.equals(SecretValue(.text, secret("one")))
        #expect(isHeld)
        // What a guard does, who reads no value.
        let keeper = try server.open(as: "guard")
        let listed = try keeper.list(under: "", after: nil, limit: 10).secrets.map(\.name)
        #expect(listed == [name])
        let pins = VersionPins(try keeper.describe(name), needed: [id], owner: "own")
        try carryOut(pins, on: name, in: keeper)
        #expect(try keeper.describe(name)[id]?.labels.contains(where: \.isPin) == true)
        #expect(failure { _ = try keeper.read(name, id) }?.code == .vaultAccessDenied)
        try carryOut(VersionPins(try keeper.describe(name), needed: [], owner: "own"), on: name, in: keeper)
        let denied = try #require(failure { try put(reader, name, "three") })
        #expect(denied.code == .vaultAccessDenied)
        #expect(denied.context.contains { $0.value == "secretsmanager:PutSecretValue of app/db" })
        #expect(failure { try restorer.change(name, .remove(.permanent)) }?.code == .vaultAccessDenied)
        #expect(try admin.describe(name).attributes.description == "d")
    }

    @Test("refuses a wrong secret key and an unknown one as a login")
    func login() throws {
        let server = try MotoServer.inMemory()
        let keys = try #require(server.keys())
        for (id, key) in [(keys.id, "wrong"), ("AKIAUNKNOWN", keys.secret)] {
            let vault = try MotoServer.open(server.variables(MotoServer.Keys(id: id, secret: key)))
            let found = try #require(failure { _ = try vault.list(under: "", after: nil, limit: 1) })
            #expect(found.code == .vaultLoginFailed && !"\(found)".contains(keys.secret))
        }
    }

    @Test("makes the first version current whatever labels it gets, and later ones only if told")
    func firstVersion() throws {
        let vault = try MotoServer.inMemory().open()
        let name = named("first-version")
        let pin = try StagingLabel("mine")
        let first = try put(vault, name, "one", .labels([pin]))
        #expect(first.labels == [SecretsManager.stages.current, pin])
        let second = try put(vault, name, "two", .labels([]))
        #expect(second.labels.isEmpty && second.order == 2)
        let record = try vault.describe(name)
        #expect(record.current == first.id && record.versions.map(\.id) == [first.id, second.id])
    }

    @Test("does not put over a removed secret, over another value, or over what is there")
    func guards() throws {
        let vault = try MotoServer.inMemory().open()
        let name = named("guards")
        let pending = SecretsManager.stages.pending
        let id = try SecretVersionID("33333333-3333-3333-3333-333333333333")
        try put(vault, name, "one")
        // moto overwrites a pending version.
        var other = SecretPut(name, SecretValue(.text, secret("two")), expected: .anything, staging: .labels([pending]))
        other.id = id
        #expect(try vault.put(other).id == id)
        other.value = SecretValue(.text, secret("three"))
        #expect(failure { _ = try vault.put(other) }?.code == .secretConflict)
        let isHeld = try vault.read(name, id).value.equals(SecretValue(.text, secret("two")))
        #expect(isHeld)
        // And it lets a label be on two versions.
        let first = try #require(try vault.describe(name).current)
        #expect(failure { try vault.change(name, .label(pending, from: nil, to: first)) }?.code == .secretConflict)
        // And it puts into a removed secret.
        try vault.change(name, .remove(.recoverable))
        #expect(failure { try put(vault, name, "four") }?.code == .secretDeleted)
        #expect(failure { try vault.change(name, .label(pending, from: id, to: first)) }?.code == .secretDeleted)
        try vault.change(name, .recover)
        #expect(try vault.describe(name).versions.count == 2)
    }

    @Test("takes tags and the description away as well as it gives them")
    func attributes() throws {
        let vault = try MotoServer.inMemory().open()
        let name = named("attributes")
        try put(vault, name, "one")
        let tags = SecretTags([("a", "1"), ("b", "2")])
        try vault.change(name, .attributes(SecretAttributes(description: "text", tags: tags)))
        try vault.change(name, .attributes(SecretAttributes(description: "text", tags: SecretTags([("b", "3")]))))
        #expect(try vault.describe(name).attributes.tags == SecretTags([("b", "3")]))
        let limits = SecretAttributes(limits: SecretLimits(maximumVersions: 3))
        #expect(failure { try vault.change(name, .attributes(limits)) }?.code == .usage)
        let reserved = SecretAttributes(tags: SecretTags([("aws:x", "1")]))
        #expect(failure { try vault.change(name, .attributes(reserved)) }?.code == .limitExceeded)
    }

    @Test("refuses what it can't keep before anything is sent")
    func unfit() throws {
        let vault = try MotoServer.inMemory().open()
        let fit = SecretValue(.text, secret("x"))
        #expect(
            failure { _ = try vault.put(SecretPut(named("a b"), fit, expected: .anything)) }?.code == .limitExceeded)
        let name = named("unfit")
        let empty = SecretPut(name, SecretValue(.text, secret("")), expected: .anything)
        #expect(failure { _ = try vault.put(empty) }?.code == .limitExceeded)
        let bytes: [UInt8] = [0xFF]
        let torn = SecretPut(name, SecretValue(.text, SecretBytes(copying: bytes.span.bytes)), expected: .anything)
        #expect(failure { _ = try vault.put(torn) }?.code == .usage)
        let short = SecretPut(name, fit, expected: .anything, id: try SecretVersionID("short"))
        #expect(failure { _ = try vault.put(short) }?.code == .usage)
        #expect(failure { _ = try vault.describe(name) }?.code == .secretNotFound)
    }

    // MARK: - Pins

    @Test("keeps the versions that are needed by labels of its own, and lets go of the others")
    func pinned() throws {
        let vault = try MotoServer.inMemory().open()
        let name = named("pinned")
        let ids = try (0..<4).map { index in
            try put(vault, name, "\(index)", index == 0 ? .current : .labels([])).id
        }
        var pins = VersionPins(try vault.describe(name), needed: [ids[0], ids[1], ids[3]], owner: "own")
        #expect(pins.changes.count == 2 && pins.unpinned.isEmpty)
        for _ in 0..<2 { try carryOut(pins, on: name, in: vault) }
        func isPinned() throws -> [Bool] {
            try vault.describe(name).versions.map { $0.labels.contains(where: \.isPin) }
        }
        #expect(try isPinned() == [false, true, false, true])
        pins = VersionPins(try vault.describe(name), needed: [ids[2], ids[3]], owner: "own")
        try carryOut(pins, on: name, in: vault)
        #expect(try isPinned() == [false, false, true, true])
        #expect(VersionPins(try vault.describe(name), needed: [ids[2], ids[3]], owner: "own").changes.isEmpty)
    }

    @Test("pins as many as there are labels for: bare versions first, and of them the newest")
    func quota() throws {
        var record = SecretRecord(name: named("full"))
        record.versions = (1...30).map { number in
            SecretVersion(
                id: SecretVersionID(validated: Array("version-\(number)".utf8)), order: UInt64(number), created: nil)
        }
        record.versions[29].labels = [SecretsManager.stages.current]
        record.versions[28].labels = [SecretsManager.stages.previous]
        record.versions[27].labels = [StagingLabel(validated: Array("somebody's".utf8))]
        record.current = record.versions[29].id
        let pins = VersionPins(record, needed: Set(record.versions.map(\.id)), owner: "own")
        // Pins of another repository are left, and no reason to set none.
        var shared = record
        let foreign = StagingLabel(validated: Array("holdfast-pin-other-version-5".utf8))
        shared.versions[4].labels = [foreign]
        let fifth = shared.versions[4].id
        #expect(VersionPins(shared, needed: [], owner: "own").changes.isEmpty)
        #expect(VersionPins(shared, needed: [], owner: "other").changes == [.label(foreign, from: fifth, to: nil)])
        let own = StagingLabel(validated: Array("holdfast-pin-own-version-5".utf8))
        #expect(VersionPins(shared, needed: [fifth], owner: "own").changes == [.label(own, from: nil, to: fifth)])
        #expect(VersionPins(shared, needed: Set(shared.versions.map(\.id)), owner: "own").changes.count == 15)
        // Of twenty labels three are the service's and one is somebody's; that one's version needs none.
        #expect(pins.changes.count == 16)
        #expect(pins.unpinned.map(\.text) == (1...11).reversed().map { "version-\($0)" } + ["version-29"])
    }
}

@Suite("Parts of the client of AWS", .waiting)
struct AWSPartTests {
    @Test("names regions and their domains, and refuses what is none")
    func regions() throws {
        #expect(try AWSRegion("eu-central-1").domain == "amazonaws.com")
        #expect(try AWSRegion("cn-north-1").domain == "amazonaws.com.cn")
        #expect(try AWSRegion("us-gov-west-1").domain == "amazonaws.com")
        for text in ["", "eu", "eu-central", "EU-central-1", "eu-central-1.evil.example", "eu--1", "a/b-c-1"] {
            #expect(failure { _ = try AWSRegion(text) }?.code == .usage, "\(text)")
        }
    }

    @Test("goes without TLS to this machine and to addresses that clouds give each machine alone")
    func machineServices() {
        for text in ["http://169.254.169.254/latest", "http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1"] {
            #expect(WebAddress(machineService: text) != nil && WebAddress(text) == nil, "\(text)")
        }
        let others = [
            "http://169.254.169.253/", "http://10.0.0.1/", "https://169.254.169.254/", "http://a@169.254.170.2/",
        ]
        for text in others {
            #expect(WebAddress(machineService: text) == nil, "\(text)")
        }
    }
}
