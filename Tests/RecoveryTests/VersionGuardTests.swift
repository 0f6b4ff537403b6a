// Verdicts on versions that a vault is about to forget.

import Primitives
import Repository
import SecretVaults
import Synchronization
import TestSupport
import Testing
import Workloads

@testable import Recovery

/// A vault of any kind that has these records, and cannot be written but for limits.
private final class ToldVault: SecretVault {
    let capabilities: VaultCapabilities
    let location = "told"
    let records: Mutex<[SecretRecord]>
    let found: VaultPreflight
    let refused: [HoldfastError]
    /// What a change of a limit does beside raising it.
    let onChange: @Sendable (SecretName) throws(HoldfastError) -> Bool

    init(
        _ kind: VaultKind, _ records: [SecretRecord], _ found: VaultPreflight = VaultPreflight(),
        refused: [HoldfastError] = [],
        onChange: @escaping @Sendable (SecretName) throws(HoldfastError) -> Bool = { (_) throws(HoldfastError) in true }
    ) {
        capabilities = VaultCapabilities(
            kind: kind, nameRule: .any, maximumNameBytes: 1024, maximumValue: .mebi(1), forms: [.text],
            fields: kind == .embedded || kind == .keyValue2 ? [.limits] : [], keepsVersions: kind != .keyValue1,
            tellsRemovedVersions: kind != .azure, comparison: .atomic, stateChanges: [], removals: [],
            stages: SecretStages.of(kind), concurrency: 1)
        self.records = Mutex(records)
        self.found = found
        self.refused = refused
        self.onChange = onChange
    }

    func preflight(_ rights: Set<VaultRight>, under prefix: String) -> VaultPreflight { found }

    func list(under prefix: String, after mark: VaultPageMark?, limit: Int) -> SecretPage {
        var page = SecretPage()
        page.secrets = records.withLock { $0 }.map { SecretListing(name: $0.name, record: nil) }
        page.refused = refused
        return page
    }

    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord {
        guard name.text != "closed" else {
            throw .vaultAccessDenied(location, .describe, path: "metadata/closed")
        }
        guard let record = records.withLock({ $0.first { $0.name == name } }) else { throw .secretNotFound(name) }
        return record
    }

    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading {
        throw .secretNotFound(name)
    }

    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion {
        throw .unsupported("put", by: capabilities.kind)
    }

    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError) {
        guard case .keepVersions(let least) = change, try onChange(name) else { return }
        records.withLock { records in
            guard let place = records.firstIndex(where: { $0.name == name }) else { return }
            let limit = records[place].attributes.limits.maximumVersions ?? 0
            records[place].attributes.limits.maximumVersions = max(limit, least)
        }
    }
}

@Suite("A guard of versions")
struct VersionGuardTests {
    private static let snapshot = SnapshotID(Bytes16())

    private static func record(_ name: String, _ count: Int, limit: Int?) -> SecretRecord {
        var record = SecretRecord(name: SecretName(validated: Array(name.utf8)))
        record.attributes.limits.maximumVersions = limit
        record.versions = (1...count).map { number in
            SecretVersion(
                id: SecretVersionID(validated: Array("\(number)".utf8)), order: UInt64(number),
                created: Timestamp(seconds: Int64(number)))
        }
        record.current = record.versions.last?.id
        return record
    }

    private static func judge(
        _ vault: ToldVault, _ keepings: [String: [String: VersionKeeping]] = [:], needed: [NeededVersion] = [],
        ahead: Int = 1, margin: Int = 1
    ) throws -> (look: VersionLook, verdict: VersionGuard) {
        let look = try VersionLook(vault, puts: ahead, owner: "own", cancellation: Cancellation())
        var byName: [SecretName: [SecretVersionID: VersionKeeping]] = [:]
        for (name, versions) in keepings {
            byName[SecretName(validated: Array(name.utf8))] = Dictionary(
                uniqueKeysWithValues: versions.map { (SecretVersionID(validated: Array($0.key.utf8)), $0.value) })
        }
        let verdict = VersionGuard(
            look, keepings: byName, needed: needed, margin: margin, now: Timestamp(seconds: 1_000_000))
        return (look, verdict)
    }

    private static let mount: VaultPreflight = {
        var found = VaultPreflight()
        found.defaults.maximumVersions = 10
        return found
    }()

    @Test("finds what no snapshot has, what one names without a value, and what is in a snapshot alone from then on")
    func verdicts() throws {
        let names = ["held", "named", "unsaved"]
        let vault = ToldVault(.keyValue2, names.map { Self.record($0, 10, limit: nil) }, Self.mount)
        let keepings = [
            "held": ["1": VersionKeeping(held: Self.snapshot, named: Self.snapshot)],
            "named": ["1": VersionKeeping(named: Self.snapshot)],
            // The next one is no concern yet.
            "unsaved": ["2": VersionKeeping(held: Self.snapshot)],
        ]
        let verdict = try Self.judge(vault, keepings, margin: 3).verdict
        #expect(verdict.findings.map(\.name.text) == names && verdict.isComplete)
        #expect(verdict.findings.map(\.verdict) == [.restorable, .needed, .needed])
        #expect(verdict.findings.map { $0.drops.map(\.needs) } == [[[]], [[.named(Self.snapshot)]], [[.unsaved]]])
        #expect(verdict.findings[0].drops[0].held == Self.snapshot)
        #expect(verdict.findings.map(\.wanted) == [nil, 13, 13])
        #expect(verdict.inDanger.map(\.name.text) == ["named", "unsaved"])
        // One more put, and one version more of each.
        let ahead = try Self.judge(vault, keepings, ahead: 2).verdict
        #expect(ahead.findings.map(\.verdict) == [.needed, .needed, .needed])
        #expect(ahead.findings[0].drops.map(\.needs) == [[], [.unsaved]])
        let few = ToldVault(.keyValue2, [Self.record("a", 9, limit: nil)], Self.mount)
        #expect(try Self.judge(few).verdict.findings == [])
    }

    @Test("keeps in the vault what somebody named, also when a snapshot has it")
    func asked() throws {
        let vault = ToldVault(.embedded, [Self.record("app", 3, limit: 3)])
        let held = ["app": ["1": VersionKeeping(held: Self.snapshot)]]
        #expect(try Self.judge(vault, held).verdict.findings[0].verdict == .restorable)
        let need = NeededVersion(
            try SecretName("app"), try SecretVersionID("1"), reason: "the snapshot 01J of the database shop")
        let others = [
            NeededVersion(try SecretName("app"), try SecretVersionID("2"), reason: "later"),
            NeededVersion(try SecretName("else"), try SecretVersionID("1"), reason: "elsewhere"),
        ]
        #expect(try Self.judge(vault, held, needed: others).verdict.inDanger.isEmpty)
        let finding = try Self.judge(vault, held, needed: others + [need]).verdict.findings[0]
        #expect(finding.verdict == .needed && finding.drops[0].needs == [.asked(need.reason)])
        #expect(finding.drops[0].held == Self.snapshot && finding.wanted == 4)
    }

    @Test("never calls safe what it could not look at: a secret, a folder, a limit, or the one value of KV 1")
    func unknown() throws {
        let refusal = HoldfastError.vaultAccessDenied("told", .list, path: "metadata/folder/")
        let records = [Self.record("app", 1, limit: nil), Self.record("closed", 1, limit: nil)]
        let vault = ToldVault(.keyValue2, records, Self.mount, refused: [refusal])
        var verdict = try Self.judge(vault).verdict
        #expect(verdict.unseen.map(\.what) == ["metadata/folder/", "closed"] && !verdict.isComplete)
        #expect(verdict.findings == [] && verdict.secrets == 1)
        // The mount's limit may be one as well as a thousand.
        verdict = try Self.judge(ToldVault(.keyValue2, [Self.record("app", 2, limit: nil)])).verdict
        #expect(!verdict.isComplete && verdict.inDanger.isEmpty && verdict.findings[0].wanted == 3)
        #expect(verdict.findings[0].limit == .least(1))
        let held = ["app": ["1": VersionKeeping(held: Self.snapshot), "2": VersionKeeping(held: Self.snapshot)]]
        verdict = try Self.judge(ToldVault(.keyValue2, [Self.record("app", 2, limit: nil)]), held).verdict
        #expect(verdict.isComplete)
        let one = ToldVault(.keyValue1, [Self.record("app", 1, limit: nil)])
        #expect(try Self.judge(one, held).verdict.isComplete == false)
        #expect(try Self.judge(one).verdict.findings.map(\.verdict) == [.needed])
        #expect(try Self.judge(ToldVault(.azure, [Self.record("app", 600, limit: nil)])).verdict.findings == [])
    }

    @Test("wants labels in AWS for what goes and is needed, and for nothing else")
    func labels() throws {
        var record = Self.record("app", 104, limit: nil)
        record.versions[103].labels = [SecretStages.aws.current]
        let kept = Dictionary(uniqueKeysWithValues: (1...104).map { ("\($0)", VersionKeeping(held: Self.snapshot)) })
        var some = kept
        for id in ["2", "3", "50"] { some[id] = nil }
        let vault = ToldVault(.aws, [record])
        let finding = try Self.judge(vault, ["app": some]).verdict.findings[0]
        // Five go; with two that stay a sixth and a seventh go, and the fiftieth is far from it.
        #expect(finding.labelled.map(\.text).sorted() == ["2", "3"] && finding.wanted == nil)
        #expect(finding.drops.map(\.version.id.text) == ["1", "2", "3", "4", "5"])
        #expect(try Self.judge(vault, ["app": kept]).verdict.findings[0].labelled.isEmpty)
    }

    @Test("keeps pins of ours as long as no snapshot has the version, also when nothing is about to go")
    func ownPins() throws {
        var record = Self.record("app", 97, limit: nil)
        for place in [0, 1] { record.versions[place].labels = [.pin(record.versions[place].id, by: "own")] }
        // Another repository looks after its own.
        record.versions[2].labels = [.pin(record.versions[2].id, by: "other")]
        let vault = ToldVault(.aws, [record])
        var verdict = try Self.judge(vault).verdict
        #expect(verdict.findings[0].labelled.map(\.text).sorted() == ["1", "2"])
        #expect(verdict.losses == [] && verdict.inDanger == [])
        verdict = try Self.judge(vault, ["app": ["2": VersionKeeping(held: Self.snapshot)]]).verdict
        #expect(verdict.findings[0].labelled.map(\.text) == ["1"])
        // With six puts the third would go as well, since another's pin may be taken off.
        let held = Dictionary(uniqueKeysWithValues: (4...97).map { ("\($0)", VersionKeeping(held: Self.snapshot)) })
        verdict = try Self.judge(vault, ["app": held], ahead: 6).verdict
        #expect(verdict.findings[0].labelled.map(\.text).sorted() == ["1", "2", "3"])
    }

    @Test("asks snapshots for what may go alone, not for what was put just now")
    func searched() throws {
        let vault = ToldVault(.aws, [Self.record("app", 100, limit: nil)])
        let look = try VersionLook(vault, puts: 1, cancellation: Cancellation())
        #expect(look.endangered[0].dropped.count == 1)
        #expect(look.endangered[0].asked.map(\.id.text) == (1...18).map { "\($0)" })
        let key = ToldVault(.keyValue2, [Self.record("app", 10, limit: nil)], Self.mount)
        let other = try VersionLook(key, puts: 2, cancellation: Cancellation())
        #expect(other.asked.values.flatMap { $0 }.map(\.id.text) == ["1", "2"])
    }

    @Test("names what no backup can read, and raises nothing for it")
    func unreadable() throws {
        for (state, obstacle) in [
            (SecretVersionState.softDeleted(at: nil), VersionGuard.Obstacle.deleted), (.disabled, .disabled),
        ] {
            var record = Self.record("app", 10, limit: nil)
            record.versions[0].state = state
            let vault = ToldVault(.keyValue2, [record], Self.mount)
            let named = ["app": ["1": VersionKeeping(named: Self.snapshot)]]
            let finding = try Self.judge(vault, named).verdict.findings[0]
            #expect(finding.verdict == .needed && finding.drops[0].needs == [.unreadable(obstacle)])
            #expect(finding.wanted == nil && !finding.drops[0].isToBeKept)
            let held = ["app": ["1": VersionKeeping(held: Self.snapshot)]]
            #expect(try Self.judge(vault, held).verdict.findings[0].verdict == .restorable)
            // One beside it that can be read is kept, and by that the older one, too.
            let two = try Self.judge(vault, ahead: 2, margin: 2).verdict.findings[0]
            #expect(two.drops.map(\.needs) == [[.unreadable(obstacle)], [.unsaved]] && two.wanted == 11)
        }
    }

    @Test("names the versions of a removed secret that no snapshot has, and when they go")
    func removed() throws {
        let purge = Timestamp(seconds: 2_000_000)
        var record = Self.record("app", 2, limit: nil)
        record.removal = SecretRemoval(at: nil, purge: purge)
        let held = ["app": ["1": VersionKeeping(held: Self.snapshot), "2": VersionKeeping(held: Self.snapshot)]]
        let aws = ToldVault(.aws, [record])
        let finding = try Self.judge(aws, ["app": ["1": VersionKeeping(held: Self.snapshot)]]).verdict.findings[0]
        #expect(finding.verdict == .needed && finding.drops.map(\.needs) == [[], [.unreadable(.removed)]])
        #expect(finding.drops[0].sparedUntil == purge && finding.labelled.isEmpty)
        #expect(try Self.judge(aws, held).verdict.isComplete)
        // Azure tells the newest version alone.
        let azure = try Self.judge(ToldVault(.azure, [record]), held).verdict
        #expect(!azure.isComplete && azure.inDanger == [])
    }

    @Test("raises limits to what is needed and the margin, looks afterwards, and leaves the others when one fails")
    func raised() throws {
        let records = ["a", "b", "c", "d"].map { Self.record($0, 3, limit: 3) }
        let vault = ToldVault(.embedded, records) { (name) throws(HoldfastError) in
            if name.text == "b" { throw .vaultAccessDenied("told", .write, path: "metadata/b") }
            // A vault that says yes and does nothing.
            return name.text != "c"
        }
        let held = ["d": ["1": VersionKeeping(held: Self.snapshot)]]
        let (look, verdict) = try Self.judge(vault, held, margin: 5)
        let changes = try verdict.raiseLimits(in: vault, look, cancellation: Cancellation())
        let codes = changes.map { change -> ErrorCode? in
            if case .failed(let error) = change.outcome { error.code } else { nil }
        }
        #expect(changes.map(\.name.text) == ["a", "b", "c"])
        #expect(codes == [nil, .vaultAccessDenied, .secretConflict])
        #expect(vault.records.withLock { $0.map(\.attributes.limits.maximumVersions) } == [8, 3, 3, 3])
        // Once more there is nothing to do for the first.
        #expect(try Self.judge(vault, held, margin: 5).verdict.inDanger.map(\.name.text) == ["b", "c"])
    }

    @Test("raises no limit beyond what a vault is read with")
    func bounded() throws {
        var record = Self.record("app", 2, limit: 1)
        record.versions[1].order = UInt64(VersionGuard.largestLimit)
        let verdict = try Self.judge(ToldVault(.keyValue2, [record], Self.mount)).verdict
        #expect(verdict.inDanger.count == 1 && verdict.findings[0].wanted == nil)
    }
}
