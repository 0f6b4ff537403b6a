// What every vault must do with states, labels and attributes. VaultUnderTest.swift says who runs it.

import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing

@Suite("Every vault that is changed", .waiting)
struct SecretVaultChangeConformance {
    // MARK: - States

    @Test("refuses the value of a disabled version until it is enabled", arguments: VaultUnderTest.all)
    func disabled(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.stateChanges.isSuperset(of: [.disable, .enable]) else { return }
        let name = try fixture.name("disabled")
        let id = try fixture.put(name, "a").id
        for _ in 0..<2 { try fixture.vault.change(name, .state(.disable, of: id)) }
        #expect(try fixture.state(name, id) == .disabled)
        #expect(code { try fixture.vault.read(name, id) } == .secretDisabled)
        for _ in 0..<2 { try fixture.vault.change(name, .state(.enable, of: id)) }
        let isHeld = try fixture.holds(name, "a", id)
        #expect(try isHeld && fixture.state(name, id) == .live)
    }

    @Test("gives a soft-deleted version back", arguments: VaultUnderTest.all)
    func softDeleted(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.stateChanges.isSuperset(of: [.softDelete, .undelete]) else { return }
        let name = try fixture.name("deleted")
        let (first, second) = (try fixture.put(name, "a").id, try fixture.put(name, "b").id)
        for _ in 0..<2 { try fixture.vault.change(name, .state(.softDelete, of: first)) }
        #expect(try fixture.state(name, first)?.isSoftDeleted == true)
        #expect(code { try fixture.vault.read(name, first) } == .secretDeleted)
        let isOtherHeld = try fixture.holds(name, "b", second)
        #expect(isOtherHeld)
        for _ in 0..<2 { try fixture.vault.change(name, .state(.undelete, of: first)) }
        let isHeld = try fixture.holds(name, "a", first)
        #expect(isHeld)
        try fixture.vault.change(name, .state(.softDelete, of: second))
        // The newest stays the current one, also while nobody can read it.
        #expect(try fixture.vault.describe(name).current == second)
        #expect(code { try fixture.vault.read(name, nil) } == .secretDeleted)
    }

    @Test("destroys a version for good, also between a listing and a reading", arguments: VaultUnderTest.all)
    func destroyed(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.stateChanges.contains(.destroy) else { return }
        let name = try fixture.name("destroyed")
        let (first, second) = (try fixture.put(name, "a").id, try fixture.put(name, "b").id)
        let listing = try #require(try fixture.list("", by: 10).flatMap(\.secrets).first)
        let listed = try fixture.record(listing).versions.map(\.id)
        #expect(listed == [first, second])
        let other = try fixture.open()
        for _ in 0..<2 { try other.change(name, .state(.destroy, of: first)) }
        #expect(code { try fixture.vault.read(name, listed[0]) } == .secretDestroyed)
        let record = try fixture.vault.describe(name)
        #expect(record.versions.map(\.id) == listed && record[first]?.state.isDestroyed == true)
        let isHeld = try fixture.holds(name, "b", second)
        #expect(isHeld)
        if fixture.capabilities.kind == .embedded {
            #expect(code { try fixture.vault.change(name, .state(.undelete, of: first)) } == .secretDestroyed)
        }
    }

    @Test("pushes out the oldest version over a secret's limit", arguments: VaultUnderTest.all)
    func pruned(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.fields.contains(.limits) else { return }
        let name = try fixture.name("pruned")
        let limits = SecretLimits(maximumVersions: 3)
        let first = try fixture.put(name, "0").id
        try fixture.vault.change(name, .attributes(SecretAttributes(limits: limits)))
        for index in 1..<6 { try fixture.put(name, "\(index)") }
        let record = try fixture.vault.describe(name)
        #expect(record.versions.count == 3 && record.attributes.limits.maximumVersions == 3)
        #expect(record.prunedThrough == 3)
        let found = code { try fixture.vault.read(name, first) }
        #expect(found == .secretPruned || found == .secretNotFound)
    }

    @Test("raises the limit of a secret and nothing else, and never lowers it", arguments: VaultUnderTest.all)
    func raised(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let name = try fixture.name("raised")
        try fixture.put(name, "a")
        guard fixture.capabilities.fields.contains(.limits) else {
            #expect(code { try fixture.vault.change(name, .keepVersions(atLeast: 5)) } == .usage)
            return
        }
        let tags = SecretTags([("team", "db")])
        let limits = SecretLimits(maximumVersions: 3, deletesAfter: .seconds(86_400))
        try fixture.vault.change(name, .attributes(SecretAttributes(tags: tags, limits: limits)))
        for (least, limit) in [(5, 5), (5, 5), (2, 5), (20, 20)] {
            try fixture.vault.change(name, .keepVersions(atLeast: least))
            let attributes = try fixture.vault.describe(name).attributes
            #expect(attributes.limits.maximumVersions == limit && attributes.limits.deletesAfter == .seconds(86_400))
            #expect(attributes.tags == tags)
        }
        #expect(code { try fixture.vault.change(name, .keepVersions(atLeast: SecretBounds.versions + 1)) } != nil)
        let other = try fixture.name("absent")
        #expect(code { try fixture.vault.change(other, .keepVersions(atLeast: 5)) } == .secretNotFound)
    }

    @Test(
        "holds writers to a comparison, and versions to an end, where a secret asks for it",
        arguments: VaultUnderTest.all)
    func limits(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard fixture.capabilities.fields.contains(.limits) else { return }
        let name = try fixture.name("limited")
        let limits = SecretLimits(requiresComparison: true, deletesAfter: .seconds(86_400))
        try fixture.vault.change(name, .attributes(SecretAttributes(limits: limits)))
        #expect(code { try fixture.put(name, "a", .anything) } == .secretConflict)
        let id = try fixture.put(name, "a", .absent).id
        let record = try fixture.vault.describe(name)
        #expect(record.attributes.limits.requiresComparison == true)
        #expect(record.attributes.limits.deletesAfter == .seconds(86_400))
        let version = try #require(record[id])
        let (due, created) = (try #require(version.deletionDue), try #require(version.created))
        #expect(version.state == .live && abs(due.seconds - created.seconds - 86_400) <= 1)
    }

    @Test("removes a secret as a whole, for good or so that it can be had back", arguments: VaultUnderTest.all)
    func removed(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let name = try fixture.name("removed")
        try fixture.put(name, "a")
        if fixture.capabilities.removals.contains(.recoverable) {
            for _ in 0..<2 { try fixture.vault.change(name, .remove(.recoverable)) }
            #expect(code { try fixture.vault.read(name, nil) } == .secretDeleted)
            #expect(code { try fixture.put(name, "b") } == .secretDeleted)
            #expect(try fixture.vault.describe(name).removal != nil)
            #expect(try fixture.list("", by: 10).flatMap(\.secrets).map(\.name) == [name])
            for _ in 0..<2 { try fixture.vault.change(name, .recover) }
            let isHeld = try fixture.holds(name, "a")
            #expect(try isHeld && fixture.vault.describe(name).removal == nil)
        }
        if fixture.capabilities.kind == .azure { try fixture.vault.change(name, .remove(.recoverable)) }
        guard fixture.capabilities.removals.contains(.permanent) else { return }
        try fixture.vault.change(name, .remove(.permanent))
        #expect(code { try fixture.vault.describe(name) } == .secretNotFound)
        #expect(try fixture.list("", by: 10).flatMap(\.secrets).isEmpty)
        // What comes under the name later is another secret.
        let id = try fixture.put(name, "new", .absent).id
        #expect(try fixture.vault.describe(name).versions.map(\.id) == [id])
    }

    // MARK: - Labels

    @Test("moves the labels of current and previous versions along with a put", arguments: VaultUnderTest.all)
    func stages(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard let stages = fixture.capabilities.stages else { return }
        let name = try fixture.name("staged")
        let (first, second) = (try fixture.put(name, "a").id, try fixture.put(name, "b").id)
        let third = try fixture.put(name, "c", .current(second), .labels([stages.pending])).id
        var record = try fixture.vault.describe(name)
        #expect(record.current == second && record[first]?.labels == [stages.previous])
        #expect(record[third]?.labels == [stages.pending])
        let isHeld = try fixture.holds(name, "b")
        #expect(isHeld)
        let move = SecretChange.label(stages.current, from: second, to: third)
        for _ in 0..<2 { try fixture.vault.change(name, move) }
        record = try fixture.vault.describe(name)
        #expect(record.current == third && record[second]?.labels == [stages.previous])
        #expect(record[third]?.labels == [stages.current, stages.pending].sorted())
        try fixture.vault.change(name, .label(stages.pending, from: third, to: nil))
        #expect(try fixture.vault.describe(name)[third]?.labels == [stages.current])
    }

    @Test("moves a label only from where it was said to be", arguments: VaultUnderTest.all)
    func labels(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        guard let stages = fixture.capabilities.stages else { return }
        let name = try fixture.name("labelled")
        let (first, second) = (try fixture.put(name, "a").id, try fixture.put(name, "b").id)
        let pin = try StagingLabel("drbackup-1")
        try fixture.vault.change(name, .label(pin, from: nil, to: first))
        #expect(code { try fixture.vault.change(name, .label(pin, from: nil, to: second)) } == .secretConflict)
        #expect(code { try fixture.vault.change(name, .label(stages.current, from: first, to: nil)) } != nil)
        try fixture.vault.change(name, .label(pin, from: first, to: second))
        let record = try fixture.vault.describe(name)
        #expect(record[first]?.labels == [stages.previous])
        #expect(record[second]?.labels == [stages.current, pin].sorted())
    }

    // MARK: - Attributes

    @Test("keeps the attributes of secrets and versions that it has, and refuses others", arguments: VaultUnderTest.all)
    func attributes(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let fields = fixture.capabilities.fields
        let name = try fixture.name("described")
        let id = try fixture.put(name, "a").id
        var secret = SecretAttributes()
        if fields.contains(.description) { secret.description = "der Schlüssel" }
        if fields.contains(.secretTags) { secret.tags = SecretTags([("team", "db"), ("owner", "ann")]) }
        if secret != SecretAttributes() {
            try fixture.vault.change(name, .attributes(secret))
            #expect(try fixture.vault.describe(name).attributes == secret)
        }
        var version = SecretVersionAttributes()
        if fields.contains(.notBefore) { version.notBefore = Timestamp(seconds: 1_700_000_000) }
        if fields.contains(.expires) { version.expires = Timestamp(seconds: 1_900_000_000) }
        if fields.contains(.contentType) { version.contentType = "text/plain" }
        if fields.contains(.versionTags) { version.tags = SecretTags([("rotation", "17")]) }
        if version != SecretVersionAttributes() {
            try fixture.vault.change(name, .versionAttributes(version, of: id))
            #expect(try fixture.vault.describe(name)[id]?.attributes == version)
            let put = SecretPut(name, fixture.value("b"), expected: .current(id), attributes: version)
            let second = try fixture.vault.put(put)
            #expect(try second.attributes == version && fixture.vault.describe(name)[second.id]?.attributes == version)
        }
        if fields.contains(.created) {
            let created = Timestamp(seconds: 1_600_000_000)
            let put = SecretPut(name, fixture.value("c"), expected: .anything, created: created)
            #expect(try fixture.vault.put(put).created == created)
        }
        let unfit = SecretVersionAttributes(contentType: "text/plain")
        if !fields.contains(.contentType) {
            #expect(code { try fixture.vault.change(name, .versionAttributes(unfit, of: id)) } == .usage)
        }
    }

    @Test("refuses what it has no word for", arguments: VaultUnderTest.all)
    func unsupported(_ subject: VaultUnderTest) throws {
        let fixture = try subject.make()
        let capabilities = fixture.capabilities
        let name = try fixture.name("plain")
        let id = try fixture.put(name, "a").id
        for change in SecretStateChange.allCases where !capabilities.stateChanges.contains(change) {
            #expect(code { try fixture.vault.change(name, .state(change, of: id)) } == .usage)
        }
        for kind in SecretRemovalKind.allCases where !capabilities.removals.contains(kind) {
            #expect(code { try fixture.vault.change(name, .remove(kind)) } == .usage)
        }
        if capabilities.stages == nil {
            let label = try StagingLabel("pin")
            #expect(code { try fixture.vault.change(name, .label(label, from: nil, to: id)) } == .usage)
            #expect(code { try fixture.put(name, "b", .anything, .labels([label])) } == .usage)
        }
        for form in SecretForm.allCases where !capabilities.forms.contains(form) {
            let put = SecretPut(name, SecretValue(form, secret(Array("{}".utf8))), expected: .anything)
            #expect(code { try fixture.vault.put(put) } == .usage)
        }
        let isHeld = try fixture.holds(name, "a")
        #expect(isHeld)
    }
}
