// Secrets of a snapshot going into a vault that is empty, the same, or another one.

import Primitives
import Repository
import SecretVaults
import TestSupport
import Testing
import VaultProviders

@testable import Workloads

@Suite("Restoring into a vault")
struct VaultRestoreTests {
    private let vaults: VaultPair
    private let clock: HandClock
    private let source: EmbeddedVault
    private let target: EmbeddedVault
    private let context: WorkloadContext
    private let name: SecretName

    init() throws {
        let vaults = try VaultPair()
        (self.vaults, clock, source, target) = (vaults, vaults.clock, vaults.source, vaults.target)
        context = WorkloadContext(clock: clock, entropy: SystemEntropy(), cancellation: Cancellation())
        name = try SecretName("app")
    }

    private func id(_ text: String) throws -> SecretVersionID { try SecretVersionID(text) }

    private func put(_ text: String, in vault: EmbeddedVault, _ staging: SecretStaging = .current) throws {
        clock.advance(by: .seconds(1))
        var bytes = Array(text.utf8)
        _ = try vault.put(
            SecretPut(name, SecretValue(.text, SecretBytes(wiping: &bytes)), expected: .anything, staging: staging))
    }

    private func value(_ version: String? = nil, of vault: EmbeddedVault) throws -> String {
        let reading = try vault.read(name, try version.map { try id($0) })
        return reading.value.bytes.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// What a snapshot of the source would hold: its records as they are, and the values that it can give, or could.
    private struct Snapshot {
        var secret: SecretRecord
        var values: [SecretVersionID: SecretValue] = [:]
    }

    private func snapshot() throws -> Snapshot {
        var snapshot = Snapshot(secret: try source.describe(name))
        for version in snapshot.secret.versions where version.state == .live && snapshot.secret.removal == nil {
            snapshot.values[version.id] = try source.read(name, version.id).value
        }
        return snapshot
    }

    @discardableResult
    private func restore(
        _ snapshot: Snapshot, newer: SecretSelection.Newer = .refuse
    ) throws -> [WorkloadFinding] {
        var selection = SecretSelection()
        selection.newer = newer
        let restore = VaultRestore(target, selection, context)
        try restore.consider(snapshot.secret) { (version) throws(HoldfastError) in snapshot.values[version.id] }
        try restore.begin()
        try restore.receive(snapshot.secret) { (version) throws(HoldfastError) in snapshot.values[version.id] }
        return restore.findings()
    }

    private func standing(_ vault: EmbeddedVault) throws -> String {
        let record = try vault.describe(name)
        let versions = record.versions.map { version in
            let state =
                switch version.state {
                case .live: "live"
                case .disabled: "disabled"
                case .softDeleted: "deleted"
                case .destroyed: "destroyed"
                }
            return ([version.id.text, state] + version.labels.map(\.text)).joined(separator: "-")
        }
        return (versions + (record.removal == nil ? [] : ["removed"])).joined(separator: " ")
    }

    private func losses(_ findings: [WorkloadFinding]) -> [String] {
        findings.filter { $0.subject == "fidelity" }.map(\.message)
    }

    // MARK: Into an empty vault

    @Test("gives the labels of the snapshot and no others, also when the newest version is not the current one")
    func labels() throws {
        try put("one", in: source)
        try put("two", in: source, .labels([EmbeddedVault.stages.pending, try StagingLabel("mine")]))
        #expect(try losses(restore(try snapshot())).isEmpty)
        #expect(try standing(target) == "1-live-current 2-live-mine-pending")
        #expect(try standing(source) == standing(target) && value(of: target) == "one")
    }

    @Test("sets no pin of a snapshot that has one, and tells of none that is there")
    func pins() throws {
        try put("one", in: source)
        try put("two", in: source)
        try source.change(name, .label(.pin(try id("1"), by: "own"), from: nil, to: try id("1")))
        #expect(try losses(restore(try snapshot())).isEmpty)
        #expect(try standing(target) == "1-live-previous 2-live-current")
        try target.change(name, .label(.pin(try id("2"), by: "own"), from: nil, to: try id("2")))
        #expect(try losses(restore(try snapshot())).isEmpty)
        #expect(try target.describe(name).versions.map { $0.labels.count(where: \.isPin) } == [0, 1])
    }

    @Test("makes up no value: what has none in the snapshot is destroyed there, or left out and told")
    func noValues() throws {
        for text in ["one", "two", "three", "four"] { try put(text, in: source) }
        try source.change(name, .state(.softDelete, of: try id("1")))
        try source.change(name, .state(.disable, of: try id("2")))
        try source.change(name, .state(.destroy, of: try id("3")))
        let losses = try losses(restore(try snapshot()))
        #expect(try standing(target) == "1-destroyed 2-destroyed 3-destroyed-previous 4-live-current")
        #expect(losses.count == 1 && losses[0].hasPrefix("2 versions without a value"), "\(losses)")
        for version in ["1", "2", "3"] {
            #expect(throws: HoldfastError.self) { try target.change(name, .state(.undelete, of: try id(version))) }
        }
    }

    @Test("leaves a live version out that has no value, says so, and never makes it current")
    func liveWithoutValue() throws {
        try put("one", in: source)
        try put("two", in: source)
        var snapshot = try snapshot()
        snapshot.values[try id("2")] = nil
        let error = #expect(throws: HoldfastError.self) { try restore(snapshot) }
        #expect(error?.code == .objectMissing && error?.message.contains("app") == true)
        #expect(try standing(target) == "1-live-previous")
        #expect(throws: HoldfastError.self) { try value(of: target) }
        // With the value there the same restore ends it.
        try restore(try self.snapshot())
        #expect(try standing(target) == "1-live-previous 2-live-current" && value(of: target) == "two")
    }

    @Test("brings a removed secret back as removed, and not as empty when it is recovered")
    func removed() throws {
        try put("one", in: source)
        try source.change(name, .remove(.recoverable))
        try restore(try snapshot())
        try target.change(name, .recover)
        #expect(throws: HoldfastError.self) { try value(of: target) }
    }

    // MARK: Into a vault that has it

    private static let states: [SecretStateChange?] = [nil, .disable, .softDelete, .destroy]

    @Test(
        "gives back what was lost and takes nothing away, in every pair of states",
        arguments: states, states)
    func pairs(_ wanted: SecretStateChange?, _ found: SecretStateChange?) throws {
        try put("one", in: source)
        try put("two", in: source)
        var snapshot = try snapshot()
        try restore(snapshot)
        if let wanted { try source.change(name, .state(wanted, of: try id("1"))) }
        snapshot.secret = try source.describe(name)
        if let found { try target.change(name, .state(found, of: try id("1"))) }
        let losses = try losses(restore(snapshot))
        let words: [SecretStateChange?: String] = [
            nil: "live", .disable: "disabled", .softDelete: "deleted", .destroy: "destroyed",
        ]
        let expected: SecretStateChange? =
            switch (wanted, found) {
            case (nil, .disable), (nil, .softDelete): nil
            case (.disable, .softDelete): .disable
            default: found
            }
        #expect(try standing(target) == "1-\(words[expected] ?? "")-previous 2-live-current")
        let isTold = expected != wanted && !(wanted == .destroy && found == .destroy)
        #expect(losses.isEmpty == !isTold, "\(losses)")
        if expected != .destroy, found != .destroy {
            if expected == .softDelete { try target.change(name, .state(.undelete, of: try id("1"))) }
            if expected == .disable { try target.change(name, .state(.enable, of: try id("1"))) }
            #expect(try value("1", of: target) == "one")
        }
    }

    @Test("puts the current value on top where the vault has destroyed it")
    func destroyedCurrent() throws {
        try put("one", in: source)
        try put("two", in: source)
        let snapshot = try snapshot()
        try restore(snapshot)
        for version in ["1", "2"] { try target.change(name, .state(.destroy, of: try id(version))) }
        let losses = try losses(restore(snapshot))
        #expect(try standing(target) == "1-destroyed 2-destroyed-previous 3-live-current")
        #expect(try value(of: target) == "two")
        #expect(losses.count == 1, "\(losses)")
    }

    @Test("recovers a removed secret, and sets labels and attributes back")
    func recovered() throws {
        try put("one", in: source)
        try put("two", in: source)
        var attributes = SecretAttributes(description: "what")
        attributes.limits.maximumVersions = 2
        try source.change(name, .attributes(attributes))
        let snapshot = try snapshot()
        try restore(snapshot)
        #expect(try target.describe(name).attributes == attributes)
        try target.change(name, .label(EmbeddedVault.stages.current, from: try id("2"), to: try id("1")))
        try target.change(name, .attributes(SecretAttributes()))
        try target.change(name, .remove(.recoverable))
        try restore(snapshot)
        #expect(try standing(target) == "1-live-previous 2-live-current")
        #expect(try target.describe(name).attributes == attributes)
    }

    @Test("takes another secret of the same name and numbers for what it is")
    func foreign() throws {
        try put("one", in: source)
        try put("two", in: source)
        try source.change(name, .state(.destroy, of: try id("1")))
        let snapshot = try snapshot()
        clock.advance(by: .seconds(5))
        try put("another", in: target)
        let error = #expect(throws: HoldfastError.self) { try restore(snapshot) }
        #expect(error?.code == .secretConflict)
        #expect(try standing(target) == "1-live-current" && value(of: target) == "another")
        try restore(snapshot, newer: .keep)
        #expect(try standing(target) == "1-live-current")
        try restore(snapshot, newer: .append)
        #expect(try standing(target) == "1-live-previous 2-live-current" && value(of: target) == "two")
    }

    @Test("knows another value under the same id and date")
    func sameDate() throws {
        try put("one", in: source)
        let snapshot = try snapshot()
        var bytes = Array("another".utf8)
        var put = SecretPut(name, SecretValue(.text, SecretBytes(wiping: &bytes)), expected: .absent)
        put.created = snapshot.secret.versions[0].created
        _ = try target.put(put)
        #expect(throws: HoldfastError.self) { try restore(snapshot) }
        #expect(try value(of: target) == "another")
    }

    @Test("puts all versions although the vault's own limit would push them out")
    func limits() throws {
        for number in 1...5 { try put("\(number)", in: source) }
        let snapshot = try snapshot()
        var first = snapshot
        first.secret.versions = Array(snapshot.secret.versions.prefix(1))
        first.secret.current = first.secret.versions[0].id
        first.secret.versions[0].labels = [EmbeddedVault.stages.current]
        try restore(first)
        var attributes = SecretAttributes()
        attributes.limits = SecretLimits(maximumVersions: 1, requiresComparison: true, deletesAfter: nil)
        try target.change(name, .attributes(attributes))
        try restore(snapshot)
        #expect(try standing(target) == "1-live 2-live 3-live 4-live-previous 5-live-current")
        #expect(try target.describe(name).attributes == SecretAttributes())
    }

    @Test("notices who moves the current version meanwhile")
    func raced() throws {
        try put("one", in: source)
        let first = try snapshot()
        try restore(first)
        try put("two", in: source)
        let both = try snapshot()
        let restore = VaultRestore(target, SecretSelection(), context)
        let (target, name) = (target, name)
        var calls = 0
        let error = #expect(throws: HoldfastError.self) {
            try restore.receive(both.secret) { (version) throws(HoldfastError) in
                calls += 1
                // After the comparison, before the put.
                if calls == 3 {
                    var bytes = Array("a rotation's".utf8)
                    _ = try target.put(
                        SecretPut(name, SecretValue(.text, SecretBytes(wiping: &bytes)), expected: .anything))
                }
                return both.values[version.id]
            }
        }
        #expect(error?.code == .secretConflict)
        #expect(try value(of: target) == "a rotation's")
    }
}
