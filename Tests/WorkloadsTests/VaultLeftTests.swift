// What a restore finds in a vault that it may not take away, and what it does not see at once.

import Primitives
import SecretVaults
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

@Suite("What a restore leaves in a vault")
struct VaultLeftTests {
    private let vaults: VaultPair
    private let context: WorkloadContext
    private let name: SecretName

    init() throws {
        vaults = try VaultPair()
        context = WorkloadContext(clock: vaults.clock, entropy: SystemEntropy(), cancellation: Cancellation())
        name = try SecretName("app")
    }

    private func id(_ text: String) throws -> SecretVersionID { try SecretVersionID(text) }

    private func secret(_ text: String) -> SecretValue {
        SecretValue(.text, SecretBytes(copying: Array(text.utf8).span.bytes))
    }

    private func put(_ text: String, in vault: any SecretVault) throws {
        vaults.clock.advance(by: .seconds(1))
        _ = try vault.put(SecretPut(name, secret(text), expected: .anything))
    }

    /// A record and the values that a snapshot has with it.
    private struct Snapshot {
        var secret: SecretRecord
        var values: [SecretVersionID: SecretValue] = [:]
    }

    /// A snapshot of these versions, each in its state, of which the source was read while they were live.
    private func snapshot(_ states: [SecretStateChange?]) throws -> Snapshot {
        for number in states.indices { try put("value \(number + 1)", in: vaults.source) }
        var values: [SecretVersionID: SecretValue] = [:]
        for version in try vaults.source.describe(name).versions {
            values[version.id] = try vaults.source.read(name, version.id).value
        }
        for (index, state) in states.enumerated() {
            guard let state else { continue }
            try vaults.source.change(name, .state(state, of: try id("\(index + 1)")))
        }
        return Snapshot(secret: try vaults.source.describe(name), values: values)
    }

    private func restore(
        _ snapshot: Snapshot, to vault: any SecretVault, newer: SecretSelection.Newer = .refuse, version: String? = nil
    ) throws -> VaultRestore {
        var selection = SecretSelection()
        selection.version = try version.map { try id($0) }
        selection.newer = newer
        let restore = VaultRestore(vault, selection, context, url: "vault:embedded:a b")
        func value(_ version: SecretVersion) throws(HoldfastError) -> SecretValue? { snapshot.values[version.id] }
        try restore.consider(snapshot.secret, value: value)
        try restore.begin()
        try restore.receive(snapshot.secret, value: value)
        return restore
    }

    private func left(_ restore: VaultRestore) -> [WorkloadFinding] {
        restore.findings().filter { $0.subject == "left-live" }
    }

    /// As a vault that numbers by itself, and tells nothing of a version that was given.
    private func numbering(_ limit: (inout VaultCapabilities) -> Void = { _ in }) -> LimitedVault {
        LimitedVault(vaults.target) { capabilities in
            capabilities.fields.subtract([.created, .versionID])
            capabilities.stages = nil
            limit(&capabilities)
        }
    }

    @Test("of each version the deletion follows its put, before the next one is put")
    func order() throws {
        let snapshot = try snapshot([.destroy, nil, .softDelete, .disable, nil])
        let vault = numbering()
        _ = try restore(snapshot, to: vault)
        #expect(
            vault.written == [
                "put 1", "destroy 1", "put 2", "put 3", "softDelete 3", "put 4", "disable 4", "put 5",
            ])
    }

    @Test("each version that is live and should not be is named with what to do, and is an error")
    func named() throws {
        var snapshot = try snapshot([.softDelete, .destroy, .disable, nil])
        var live = snapshot
        for place in live.secret.versions.indices { live.secret.versions[place].state = .live }
        #expect(try restore(live, to: vaults.target).leftLive == 0)
        let restore = try restore(snapshot, to: vaults.target)
        let left = left(restore)
        #expect(restore.leftLive == 3 && left.allSatisfy { $0.severity == .error })
        for (finding, (number, word, verb)) in zip(
            left, [(1, "deleted", "softDelete"), (2, "destroyed", "destroy"), (3, "disabled", "disable")])
        {
            #expect(finding.message.contains("version \(number) of the secret app is live"), "\(finding.message)")
            #expect(finding.message.hasSuffix("the snapshot has it \(word)"), "\(finding.message)")
            let command = "holdfast vault state 'vault:embedded:a b' app \(number) \(verb)"
            #expect(finding.hint.contains(command), "\(finding.hint)")
        }
        // What was there is as it was.
        #expect(try vaults.target.describe(name).versions.allSatisfy { $0.state == .live })

        snapshot.secret.removal = SecretRemoval(at: nil, purge: nil)
        let removed = try self.restore(snapshot, to: vaults.target)
        let whole = self.left(removed)
        #expect(whole.map(\.message) == ["the secret app is live, and the snapshot has it removed"])
        #expect(whole.first?.hint.contains("holdfast vault remove 'vault:embedded:a b' app") == true)
        #expect(try vaults.target.describe(name).removal == nil)
    }

    @Test("where the vault has no such state that is told with each restore alike, and is no error")
    func unavoidable() throws {
        let snapshot = try snapshot([.softDelete, .destroy, nil])
        let vault = numbering { $0.stateChanges = [] }
        for _ in 0..<2 {
            let left = left(try restore(snapshot, to: vault))
            #expect(left.count == 2 && left.allSatisfy { $0.severity == .warning }, "\(left)")
        }
        #expect(vault.written == ["put 1", "put 2", "put 3"])
    }

    @Test("a placeholder that was left live is no secret to anybody, and is named, whatever the snapshot has there")
    func placeholder() throws {
        var snapshot = try snapshot([nil, nil, .destroy, nil])
        let whole = snapshot
        for number in ["2", "3"] { snapshot.values[try id(number)] = nil }
        snapshot.secret.versions[1].state = .softDeleted(at: nil)
        let placeholder = try #require(SecretFit(vaults.target.capabilities).placeholder)
        #expect(placeholder.bytes.withBytes { String(decoding: $0, as: UTF8.self) }.contains("NOT A SECRET"))
        for version in snapshot.secret.versions {
            var put = SecretPut(name, snapshot.values[version.id] ?? placeholder, expected: .anything)
            put.id = version.id
            put.created = version.created
            _ = try vaults.target.put(put)
        }
        let left = left(try restore(snapshot, to: vaults.target))
        #expect(left.map(\.severity) == [.error, .error])
        for (finding, number) in zip(left, [2, 3]) {
            #expect(finding.message.contains("version \(number) of the secret app is live and is a placeholder"))
            #expect(finding.hint.contains("app \(number) destroy"), "\(finding.hint)")
        }
        // One that has the value says what stands in its place.
        let error = #expect(throws: HoldfastError.self) { try restore(whole, to: vaults.target) }
        #expect(error?.code == .secretConflict && error?.message.contains("version 2 is a placeholder") == true)
    }

    // MARK: What is not seen at once

    @Test("a removed secret that nothing proves to be the snapshot's is a conflict, and stays as it is")
    func removed() throws {
        let snapshot = try snapshot([nil, nil])
        let vault = numbering()
        // That the values are the same can't be seen.
        for number in 1...2 { try put("value \(number)", in: vaults.target) }
        try vaults.target.change(name, .remove(.recoverable))
        let error = #expect(throws: HoldfastError.self) { try restore(snapshot, to: vault) }
        #expect(error?.code == .secretConflict && error?.message.contains("can't be compared") == true)
        _ = try restore(snapshot, to: vault, newer: .keep)
        #expect(vault.written.isEmpty)
        #expect(try vaults.target.describe(name).removal != nil)
        _ = try restore(snapshot, to: vault, newer: .append)
        #expect(vault.written == ["recover"], "the current value is there already")

        // What the snapshot has removed as well is left so, and needs no proof where nothing is missing.
        try vaults.target.change(name, .remove(.recoverable))
        var removed = snapshot
        removed.secret.removal = SecretRemoval(at: nil, purge: nil)
        _ = try restore(removed, to: vault)
        #expect(vault.written == ["recover"])
        try put("value 3", in: vaults.source)
        removed.secret.versions = try vaults.source.describe(name).versions
        removed.values[try id("3")] = secret("value 3")
        #expect(throws: HoldfastError.self) { try restore(removed, to: vault) }
        // On top of what can't be compared it goes for a while alone.
        #expect(try restore(removed, to: vault, newer: .append).leftLive == 0)
        #expect(try vaults.target.describe(name).removal != nil)
    }

    @Test("a removed secret that ids and dates prove to be the snapshot's comes back")
    func recovered() throws {
        let snapshot = try snapshot([nil, nil])
        let vault = LimitedVault(vaults.source) { $0.fields.subtract([.created, .versionID]) }
        try vaults.source.change(name, .remove(.recoverable))
        _ = try restore(snapshot, to: vault)
        #expect(vault.written == ["recover"])
        #expect(try vaults.source.describe(name).removal == nil)
    }

    @Test("a deleted version that nothing proves to be the snapshot's is a conflict, and stays as it is")
    func deleted() throws {
        let snapshot = try snapshot([nil, nil])
        let vault = numbering()
        for text in ["value 1", "another"] { try put(text, in: vaults.target) }
        try vaults.target.change(name, .state(.softDelete, of: try id("2")))
        let error = #expect(throws: HoldfastError.self) { try restore(snapshot, to: vault) }
        #expect(error?.code == .secretConflict && error?.message.contains("version 2 is deleted in the vault") == true)
        #expect(vault.written.isEmpty)
        // What an id and a date prove is given back.
        let same = LimitedVault(vaults.source) { _ in }
        try vaults.source.change(name, .state(.softDelete, of: try id("2")))
        _ = try restore(snapshot, to: same)
        #expect(same.written == ["undelete 2"])
    }

    @Test("what is live is named also of a secret that is kept, or that one version goes on top of")
    func conflicting() throws {
        let snapshot = try snapshot([.softDelete, nil])
        let vault = numbering()
        for text in ["value 1", "value 2", "newer"] { try put(text, in: vaults.target) }
        for newer in [SecretSelection.Newer.keep, .append] {
            let left = left(try restore(snapshot, to: vault, newer: newer))
            #expect(
                left.map(\.severity) == [.error] && left[0].message.hasPrefix("version 1 of the secret app is live"))
        }
        #expect(vault.written == ["put 4"])
        // Of the one that goes on top no other value is opened, and ids and dates tell.
        try vaults.source.change(name, .state(.undelete, of: try id("1")))
        let one = left(try restore(snapshot, to: LimitedVault(vaults.source) { _ in }, version: "2"))
        #expect(one.count == 1 && one[0].message.hasPrefix("version 1 of the secret app is live"))
        var removed = snapshot
        removed.secret.removal = SecretRemoval(at: nil, purge: nil)
        let whole = left(try restore(removed, to: vault, newer: .keep))
        #expect(whole.map(\.message) == ["the secret app is live, and the snapshot has it removed"])
    }

    @Test("a live version is not taken for one that was destroyed, of which there is no value")
    func destroyed() throws {
        var snapshot = try snapshot([.destroy, nil])
        snapshot.values[try id("1")] = nil
        let vault = numbering()
        try put("another", in: vaults.target)
        let error = #expect(throws: HoldfastError.self) { try restore(snapshot, to: vault) }
        #expect(error?.code == .secretConflict && error?.message.contains("version 1 is live") == true)
        let kept = try restore(snapshot, to: vault, newer: .keep)
        #expect(kept.leftLive == 0 && vault.written.isEmpty, "nobody is told to destroy it")
    }

    @Test("more than are named are counted, and are as bad as the worst of them")
    func many() throws {
        var capabilities = vaults.target.capabilities
        let more = Array(repeating: LeftLive(name, .secret), count: LeftLiveAccount.named + 2)
        for severity in [WorkloadFinding.Severity.error, .warning] {
            if severity == .warning { capabilities.removals = [.permanent] }
            var account = LeftLiveAccount()
            account.add(more, capabilities)
            let last = account.findings(capabilities, "u").last
            #expect(account.count == more.count && last?.severity == severity)
            #expect(last?.message.hasPrefix("2 more") == true)
        }
    }

    @Test("versions whose order a vault of seconds can't tell are counted")
    func seconds() throws {
        let snapshot = try snapshot([nil, nil, nil])
        let other = try SecretName("other")
        var moved = snapshot
        moved.secret.name = other
        let vault = LimitedVault(vaults.target) { capabilities in
            let azure = VaultCapabilities(
                kind: .azure, nameRule: .any, maximumNameBytes: 127, maximumValue: .kibi(25), forms: [.text],
                fields: [], comparison: .lookedUp, stateChanges: [], removals: [], concurrency: 1)
            capabilities = azure
        }
        // The clock stands still.
        let findings = try restore(moved, to: vault).findings().map(\.message)
        #expect(findings.contains { $0.contains("2 places of versions") && $0.contains("other") }, "\(findings)")
    }
}
