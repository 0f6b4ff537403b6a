// A restore into a vault of which one call fails, for each of its calls.

import Primitives
import SecretVaults
import TestSupport
import Testing

@testable import VaultProviders
@testable import Workloads

@Suite("A restore of which a call fails")
struct VaultFaultTests {
    /// What a vault has that is to be restored into.
    private enum Standing { case absent, removed, removedInPart, removedOther, other, deleted }

    private struct Case {
        var name: String
        /// What becomes of each version of the snapshot; of one that is destroyed it has no value.
        var states: [SecretStateChange?]
        var isRemoved = false
        var standing = Standing.absent
    }

    private static let cases = [
        Case(name: "app", states: [nil, .softDelete, .disable, .destroy, nil]),
        Case(name: "gone", states: [nil, nil], isRemoved: true),
        Case(name: "back", states: [nil, nil], standing: .removed),
        Case(name: "half", states: [nil, nil], isRemoved: true, standing: .removedInPart),
        Case(name: "removed", states: [nil], standing: .removedOther),
        Case(name: "newer", states: [nil], isRemoved: true, standing: .removedOther),
        Case(name: "other", states: [nil], standing: .other),
        Case(name: "lost", states: [.disable, nil], standing: .deleted),
    ]

    private let clock = HandClock()
    private let embedded: VaultCapabilities
    private let context: WorkloadContext
    private var secrets: [SecretRecord] = []
    private var values: [SecretName: [SecretVersionID: SecretValue]] = [:]
    private var before = MemoryVault.Contents()

    init() throws {
        embedded = try VaultPair().target.capabilities
        context = WorkloadContext(clock: clock, entropy: SystemEntropy(), cancellation: Cancellation())
        for each in Self.cases { try add(each) }
    }

    private func put(_ text: String, _ name: SecretName, in vault: MemoryVault) throws {
        clock.advance(by: .seconds(1))
        let value = SecretValue(.text, SecretBytes(copying: Array(text.utf8).span.bytes))
        _ = try vault.put(SecretPut(name, value, expected: .anything))
    }

    /// Makes what the snapshot has of a secret, and what the vault has.
    private mutating func add(_ each: Case) throws {
        let name = try SecretName(each.name)
        let source = MemoryVault(MemoryVault.Contents(), embedded, clock)
        var versions: [MemoryVault.Contents] = []
        for place in each.states.indices {
            try put("\(name) \(place + 1)", name, in: source)
            versions.append(source.contents)
        }
        let (all, whole) = (try source.describe(name), source.contents)
        for (version, state) in zip(all.versions, each.states) {
            if state != .destroy { values[name, default: [:]][version.id] = try source.read(name, version.id).value }
            if let state { try source.change(name, .state(state, of: version.id)) }
        }
        if each.isRemoved { try source.change(name, .remove(.recoverable)) }
        secrets.append(try source.describe(name))

        var start = MemoryVault.Contents()
        switch each.standing {
        case .removed, .deleted: start = whole
        case .removedInPart: start = versions[0]
        case .absent, .removedOther, .other: break
        }
        let vault = MemoryVault(start, embedded, clock)
        if [.other, .removedOther].contains(each.standing) { try put("another", name, in: vault) }
        switch each.standing {
        case .absent, .other: break
        case .deleted: try vault.change(name, .state(.softDelete, of: all.versions[0].id))
        case .removed, .removedInPart, .removedOther: try vault.change(name, .remove(.recoverable))
        }
        before.secrets[name] = vault.contents.secrets[name]
        before.values[name] = vault.contents.values[name]
    }

    /// - Returns: What is said of what is live.
    private func restore(to vault: MemoryVault) throws -> [String] {
        var selection = SecretSelection()
        selection.newer = .append
        let restore = VaultRestore(vault, selection, context)
        func each(_ body: (SecretRecord, SecretReceiver.Values) throws(HoldfastError) -> Void) throws(HoldfastError) {
            for secret in secrets {
                do throws(HoldfastError) {
                    try body(secret) { (version) throws(HoldfastError) in values[secret.name]?[version.id] }
                } catch {
                    guard VaultRestore.isOfOneSecret(error.code) else { throw error }
                }
            }
        }
        do throws(HoldfastError) {
            try each { (secret, value) throws(HoldfastError) in try restore.consider(secret, value: value) }
            try restore.begin()
            try each { (secret, value) throws(HoldfastError) in try restore.receive(secret, value: value) }
        } catch {
            // It ends here, as a restore does.
        }
        return restore.findings().filter { $0.subject == "left-live" }.map(\.message)
    }

    private func text(_ value: SecretValue?) -> String? {
        value?.bytes.withBytes { String(decoding: $0, as: UTF8.self) }
    }

    /// What is live in the vault, was not live before, and is not so in the snapshot, by the words that name it.
    private func leftLive(_ after: MemoryVault.Contents) -> [(words: [String], secret: SecretName)] {
        var found: [(words: [String], secret: SecretName)] = []
        for wanted in secrets {
            let name = wanted.name
            guard let now = after.secrets[name]?.record(at: clock.now()), now.removal == nil else { continue }
            let old = before.secrets[name]?.record(at: clock.now())
            let wasLive = old.map { $0.removal == nil } ?? false
            let whole = ["the secret \(name) is live", "the secret \(name) may"]
            if wanted.removal != nil {
                if !wasLive { found.append((whole, name)) }
                continue
            }
            for version in now.versions where version.state == .live {
                let value = text(after.values[name]?[version.order])
                let same = wanted.versions.first { $0.state == .live && text(values[name]?[$0.id]) == value }
                // What goes on top of a removed secret leaves it its history.
                let isOnTop =
                    now.current.flatMap { now[$0] }.map { text(after.values[name]?[$0.order]) }
                    .map { $0 == text(wanted.current.flatMap { values[name]?[$0] }) } ?? false
                let wasThere = (wasLive || isOnTop) && old?[version.id]?.state == .live
                guard same == nil, !wasThere else { continue }
                found.append((whole + ["version \(version.id) of the secret \(name)"], name))
            }
        }
        return found
    }

    private func check(_ vault: MemoryVault, _ told: [String], _ moment: String) {
        for left in leftLive(vault.contents) {
            let isNamed = told.contains { message in left.words.contains { message.contains($0) } }
            #expect(isNamed, "\(moment): \(left) and \(told)")
        }
        for (name, old) in before.secrets where old.removed == nil {
            let now = vault.contents.secrets[name]
            #expect(now?.removed == nil, "\(moment): \(name)")
            for version in old.record(at: clock.now()).versions where version.state == .live {
                #expect(now?.record(at: clock.now())[version.id]?.state == .live, "\(moment): \(name)")
            }
        }
    }

    @Test("leaves all as it was or as the snapshot has it, or names what is live, whichever call that is")
    func faults() throws {
        var numbering = embedded
        numbering.fields.subtract([.created, .versionID])
        numbering.stages = nil
        for capabilities in [embedded, numbering] {
            let good = MemoryVault(before, capabilities, clock)
            #expect(try restore(to: good).isEmpty)
            #expect(leftLive(good.contents).isEmpty && good.calls > 50)
            for code in [ErrorCode.interrupted, .writeUnknown, .vaultAccessDenied] {
                for isLasting in [false, true] {
                    for number in 1...good.calls {
                        let fault = MemoryVault.Fault(code: code, call: number, isLasting: isLasting)
                        let vault = MemoryVault(before, capabilities, clock, fault)
                        let told = try restore(to: vault)
                        check(vault, told, "\(code) at call \(number), lasting \(isLasting)")
                    }
                }
            }
        }
    }
}
