// What every vault must do with values, names, versions and pages. VaultUnderTest.swift says who runs it.

import Primitives
import SecretVaults
import Synchronization
import TestSupport
import TestThreads
import Testing

@Suite("Every vault", .waiting)
struct SecretVaultConformance {
    // MARK: - Values and names

    @Test(
        "gives back values of each form that it has, also empty ones and ones of 64 KiB", arguments: VaultUnderTest.all)
    func values(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let largest = min(Int(fixture.capabilities.maximumValue.bytes), 64 << 10)
        func text(_ count: Int) -> [UInt8] { Array(String(repeating: "é", count: count / 2).utf8) }
        var values: [SecretValue] = []
        if fixture.capabilities.forms.contains(.text) {
            values += [text(20), text(largest)].map { SecretValue(.text, secret($0)) }
            if fixture.capabilities.kind != .aws { values.append(SecretValue(.text, secret([]))) }
        }
        if fixture.capabilities.forms.contains(.binary) {
            values += [Array(0...255), pattern(largest), [0]].map { SecretValue(.binary, secret($0)) }
        }
        if fixture.capabilities.forms.contains(.fields) {
            let long = String(repeating: "x", count: min(largest, 60 << 10))
            // KV 1 takes no object without a field; servers keep numbers of 53 bits.
            let empty = fixture.capabilities.kind == .keyValue1 ? [] : ["{}"]
            let objects =
                empty + [
                    "{\"a\":\"\\u00e9\",\"n\":9007199254740991,\"o\":{\"l\":[1,null]}}", "{\"a\":\"\(long)\"}",
                ]
            values += objects.map { SecretValue(.fields, secret(Array($0.utf8))) }
        }
        for (index, value) in values.enumerated() {
            let name = try fixture.name("value\(index)")
            let version = try fixture.vault.put(SecretPut(name, value, expected: .absent))
            for id in [nil, version.id] {
                let reading = try fixture.open().read(name, id)
                let isSame = try same(reading.value, value)
                #expect(reading.version == version.id && isSame, "value \(index)")
            }
        }
    }

    @Test("refuses a value over its bound, and says nothing of it", arguments: VaultUnderTest.all)
    func tooLarge(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let name = try fixture.name("large")
        let text = String(repeating: "hunter2", count: Int(fixture.capabilities.maximumValue.bytes) / 7 + 1)
        do {
            try fixture.put(name, text)
            Issue.record("it was taken")
        } catch let error as HoldfastError {
            #expect(error.code == .limitExceeded && "\(error)".contains("large") && !"\(error)".contains("hunter2"))
        }
        #expect(code { try fixture.vault.describe(name) } == .secretNotFound)
    }

    @Test("tells names with slashes, spaces and letters of any script apart", arguments: VaultUnderTest.all)
    func names(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        var texts = ["app/db/password", "app/db/password2", "app-db", "APP/db"]
        switch fixture.capabilities.nameRule {
        case .any:
            texts += ["a b", "caf\u{E9}", "cafe\u{301}", "秘密/ключ", "/leading", "trailing/", "..", "100%", "a?b#c"]
        case .path: texts += ["a b", "caf\u{E9}", "cafe\u{301}", "秘密/ключ", "app/db", "100%", "a?b#c", "a+b"]
        case .awsName: texts += ["a_b+c=d.e@f"]
        case .azureName: texts = ["app-db-password", "app-db", "a1"]
        }
        let names = try texts.map { try fixture.name($0) }
        for (name, text) in zip(names, texts) {
            #expect(fixture.capabilities.refusal(of: name) == nil)
            try fixture.put(name, text.utf8.map { "\($0)" }.joined(separator: "-"), .absent)
        }
        for (name, text) in zip(names, texts) {
            let isHeld = try fixture.holds(name, text.utf8.map { "\($0)" }.joined(separator: "-"))
            #expect(isHeld, "\(text)")
        }
        let listed = try fixture.list("", by: 5).flatMap(\.secrets).map(\.name)
        #expect(Set(listed) == Set(names))
    }

    // MARK: - Versions

    @Test("keeps versions in order, and the newest is the current one", arguments: VaultUnderTest.all)
    func order(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.keepsVersions else { return }
        let name = try fixture.name("ordered")
        let count = 12
        if fixture.capabilities.fields.contains(.limits) {
            // Over the ten that KV 2 keeps by itself.
            let limits = SecretLimits(maximumVersions: count)
            try fixture.vault.change(name, .attributes(SecretAttributes(limits: limits)))
        }
        let put = try (0..<count).map { try fixture.put(name, "value \($0)") }
        #expect(Set(put.map(\.id)).count == count)
        let record = try fixture.open().describe(name)
        #expect(record.versions.map(\.id) == put.map(\.id) && record.current == put.last?.id)
        #expect(zip(record.versions, record.versions.dropFirst()).allSatisfy { $0.order < $1.order })
        #expect(record.versions.allSatisfy { $0.state == .live && $0.created != nil })
        for (index, version) in put.enumerated() {
            let isHeld = try fixture.holds(name, "value \(index)", version.id)
            #expect(isHeld)
        }
    }

    @Test("bears a secret of many versions", arguments: VaultUnderTest.all)
    func manyVersions(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.keepsVersions else { return }
        let name = try fixture.name("many")
        if fixture.capabilities.fields.contains(.limits) {
            let limits = SecretLimits(maximumVersions: fixture.manyVersions)
            try fixture.vault.change(name, .attributes(SecretAttributes(limits: limits)))
        }
        let put = try (0..<fixture.manyVersions).map { try fixture.put(name, "value \($0)").id }
        #expect(try fixture.vault.describe(name).versions.map(\.id) == put)
        for index in [0, put.count / 2, put.count - 1] {
            let isHeld = try fixture.holds(name, "value \(index)", put[index])
            #expect(isHeld)
        }
    }

    @Test("takes the same value under the same id twice, and no other one", arguments: VaultUnderTest.all)
    func repeated(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.fields.contains(.versionID) else { return }
        let name = try fixture.name("repeated")
        let id = try SecretVersionID("0b2f9a60-6f0b-4b9e-9b7d-3d1c5a7e8f01")
        let put = SecretPut(name, fixture.value("one"), expected: .absent, id: id)
        let first = try fixture.vault.put(put)
        #expect(first.id == id)
        #expect(try fixture.vault.put(put).id == id)
        #expect(try fixture.vault.describe(name).versions.count == 1)
        var other = put
        other.value = fixture.value("two")
        #expect(code { try fixture.vault.put(other) } == .secretConflict)
        let isHeld = try fixture.holds(name, "one")
        #expect(isHeld)
    }

    @Test("compares before it swaps", arguments: VaultUnderTest.all)
    func compared(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let name = try fixture.name("compared")
        let none = try SecretVersionID("7")
        #expect(code { try fixture.put(name, "x", .current(none)) } == .secretConflict)
        let first = try fixture.put(name, "one", .absent)
        #expect(code { try fixture.put(name, "x", .absent) } == .secretConflict)
        guard fixture.capabilities.keepsVersions else { return }
        let second = try fixture.put(name, "two", .current(first.id))
        #expect(code { try fixture.put(name, "x", .current(first.id)) } == .secretConflict)
        let record = try fixture.vault.describe(name)
        #expect(record.versions.map(\.id) == [first.id, second.id] && record.current == second.id)
    }

    @Test("lets one of several writers win that expect the same", arguments: VaultUnderTest.all)
    func writers(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.comparison != .lookedUp else { return }
        let vaults = try (0..<4).map { _ in try fixture.open() }
        func race(_ name: SecretName, _ expected: SecretExpectation) throws -> [ErrorCode?] {
            let puts = (0..<4).map { SecretPut(name, fixture.value("writer \($0)"), expected: expected) }
            return together(4) { _ = try vaults[$0].put(puts[$0]) }
        }
        for round in 0..<5 {
            let name = try fixture.name("raced\(round)")
            var outcomes = try race(name, .absent)
            if fixture.capabilities.comparison == .atomic {
                #expect(outcomes.filter { $0 == nil }.count == 1)
                let current = try #require(try fixture.vault.describe(name).current)
                outcomes += try race(name, .current(current))
                #expect(try fixture.vault.describe(name).versions.count == 2)
            }
            #expect(outcomes.filter { $0 == nil }.count == (fixture.capabilities.comparison == .atomic ? 2 : 1))
            #expect(outcomes.allSatisfy { $0 == nil || $0 == .secretConflict })
        }
    }

    // MARK: - Listings

    @Test("lists all in pages, without values, and by what names begin with", arguments: VaultUnderTest.all)
    func pages(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        #expect(try fixture.list("", by: 10).flatMap(\.secrets).isEmpty)
        let names = try (0..<25).map { try fixture.name($0 < 10 ? "one/\($0)" : "other/\($0)") }
        var ids: [SecretName: [SecretVersionID]] = [:]
        for name in names { ids[name] = try [fixture.put(name, "a").id, fixture.put(name, "b").id] }
        let pages = try fixture.list("", by: 7)
        #expect(pages.count >= 4)
        for listing in pages.flatMap(\.secrets) {
            let record = try fixture.record(listing)
            #expect(record.name == listing.name)
            if fixture.capabilities.keepsVersions { #expect(record.versions.map(\.id) == ids[listing.name]) }
            #expect(record.attributes == (try fixture.vault.describe(listing.name)).attributes)
        }
        #expect(Set(pages.flatMap(\.secrets).map(\.name)) == Set(names))
        let folder = fixture.capabilities.nameRule == .azureName ? "one-" : "one/"
        let some = try fixture.list(folder, by: 3).flatMap(\.secrets).map(\.name)
        #expect(Set(some) == Set(names.prefix(10)))
        #expect(try fixture.list("none", by: 3).flatMap(\.secrets).isEmpty)
    }

    @Test("says of what is not there that it is not there", arguments: VaultUnderTest.all)
    func missing(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let (name, there) = (try fixture.name("missing"), try fixture.name("there"))
        #expect(code { try fixture.vault.describe(name) } == .secretNotFound)
        #expect(code { try fixture.vault.read(name, nil) } == .secretNotFound)
        #expect(code { try fixture.vault.change(name, .remove(.permanent)) } == .secretNotFound)
        try fixture.put(there, "a")
        let id =
            fixture.capabilities.kind == .aws || fixture.capabilities.kind == .azure
            ? try SecretVersionID("00000000000000000000000000000000") : try SecretVersionID("99")
        guard fixture.capabilities.keepsVersions else { return }
        #expect(code { try fixture.vault.read(there, id) } == .secretNotFound)
    }

    @Test("finds its login fit for what it lets it do", arguments: VaultUnderTest.all)
    func preflight(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let found = try fixture.vault.preflight(Set(VaultRight.allCases), under: fixture.prefix)
        #expect(found.missing.isEmpty)
    }
}
