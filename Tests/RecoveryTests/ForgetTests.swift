// Forgetting against a repository: holds, last snapshots, clocks that are off, roles.

import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing

@Suite("Forgetting")
struct ForgetTests {
    private let clock = ManualClock()
    private let store: MemoryStore
    private let repository: Repository

    init() throws {
        store = MemoryStore(clock: clock)
        repository = try Repository.create(
            in: store, secret: Self.secret(1), derivation: .rawKey, label: "admin", compression: "zstd",
            environment: TestRepository.environment(clock: clock))
    }

    private static func secret(_ number: UInt8) -> SecretBytes {
        let bytes = [UInt8](repeating: number, count: 32)
        return SecretBytes(copying: bytes.span.bytes)
    }

    /// Puts an empty snapshot as a writer would, without a session: its thread would turn the clock.
    @discardableResult
    private func put(
        _ source: String = "web", flags: [String] = [], skew: Duration = .zero, after given: Snapshot? = nil
    ) throws -> SnapshotID {
        let tag = try repository.tag(ofSource: source)
        let now = clock.now() + skew
        let id = try ULID(at: now, entropy: repository.entropy)
        let previous = try given ?? repository.snapshots(of: tag).latest(of: tag)
        var record = SnapshotRecord(
            source: source, workload: "dir", host: "h", toolVersion: "1", runID: id, started: now)
        record.flags = flags
        let keyring = repository.keyring
        let object = SnapshotObject(
            repository: repository.id, tag: tag, id: id, sequence: (previous?.sequence ?? 0) + 1,
            previous: previous?.digest ?? Bytes32(), epoch: 1, formatNumber: 1, slot: keyring.slot, runs: [])
        let bytes = try object.encoded(
            record, recipients: keyring.recipients(structure: true), signer: keyring.signing,
            entropy: repository.entropy)
        try store.putIfAbsent(ObjectNames.snapshot(tag, id), bytes.span.bytes)
        clock.advance(by: .seconds(86_400))
        return id
    }

    private func left() throws -> [SnapshotID] { try repository.snapshots().snapshots.map(\.id).sorted() }

    private func keepLast(_ count: Int) -> RetentionPolicy {
        var policy = RetentionPolicy()
        policy.last = count
        return policy
    }

    private func forget(
        _ policy: RetentionPolicy = RetentionPolicy(), _ set: (inout ForgetSelection) -> Void = { _ in }
    ) throws -> ForgetPlan {
        var selection = ForgetSelection()
        set(&selection)
        let forgetter = try Forgetter(repository)
        let plan = try forgetter.plan(policy, selection)
        #expect(try forgetter.run(plan).isEmpty)
        return plan
    }

    @Test("rules are applied source by source")
    func bySource() throws {
        let web = [try put(), try put(), try put()]
        let mail = [try put("mail"), try put("mail")]
        _ = try forget(keepLast(1)) { $0.source = "web" }
        #expect(try left() == [web[2], mail[0], mail[1]].sorted())
        _ = try forget(keepLast(1))
        #expect(try left() == [web[2], mail[1]].sorted())
    }

    @Test("the newest snapshot and the newest whole one are kept, whatever the rules say")
    func newestStays() throws {
        let old = try put()
        let whole = try put()
        let partial = try put(flags: ["partial"])
        var policy = RetentionPolicy()
        policy.tags = [("none", nil)]
        _ = try forget(policy)
        #expect(try left() == [whole, partial].sorted())
        #expect(try !left().contains(old))
    }

    @Test("a named snapshot that is the last, or the last whole one, goes only when that is said")
    func lastByName() throws {
        let only = try put()
        let partial = try put(flags: ["partial"])
        let error = #expect(throws: HoldfastError.self) { try forget { $0.named = [only] } }
        #expect(error?.code == .usage)
        #expect(try left() == [only, partial].sorted())
        _ = try forget { $0.named = [partial] }
        #expect(throws: HoldfastError.self) { try forget { $0.named = [only] } }
        _ = try forget {
            $0.named = [only]
            $0.allowsLast = true
        }
        #expect(try left().isEmpty)
    }

    @Test("a held snapshot stays, by rule and by name, until it is released")
    func holds() throws {
        let held = try put()
        let later = try put()
        let snapshot = try #require(try repository.snapshots().snapshots.first { $0.id == held })
        try repository.hold(snapshot, reason: "audit")
        _ = try forget(keepLast(1))
        #expect(try left() == [held, later].sorted())
        let error = #expect(throws: HoldfastError.self) { try forget { $0.named = [held] } }
        #expect(error?.code == .usage)
        #expect(try repository.release(held) == 1)
        _ = try forget(keepLast(1))
        #expect(try left() == [later])
    }

    @Test("a hold that came after the plan is honoured")
    func lateHold() throws {
        let old = try put()
        try put()
        let forgetter = try Forgetter(repository)
        let plan = try forgetter.plan(keepLast(1), ForgetSelection())
        #expect(plan.dropped.map(\.id) == [old])
        try repository.hold(try #require(plan.dropped.first), reason: "audit")
        #expect(try forgetter.run(plan).isEmpty)
        #expect(try left().contains(old))
    }

    @Test("a hold that cannot be read stops everything")
    func damagedHold() throws {
        try put()
        try put()
        let snapshot = try #require(try repository.snapshots().snapshots.first)
        let hold = try repository.hold(snapshot, reason: "audit")
        store.damage(ObjectNames.hold(hold.id)) { $0[40] ^= 1 }
        #expect(throws: HoldfastError.self) { try forget(keepLast(1)) }
        #expect(try left().count == 2)
    }

    @Test("a source whose clock is off by more than an hour is left alone, the others are not")
    func skew() throws {
        try put(skew: .seconds(3601))
        try put()
        try put("mail", skew: .seconds(-3600))
        let kept = try put("mail")
        let plan = try forget(keepLast(1))
        #expect(plan.obstacles.map(\.source) == ["web"])
        #expect(plan.obstacles.first?.error.code == .clockSkew)
        #expect(try left().count == 3)
        #expect(try left().contains(kept))
    }

    @Test("a snapshot taken after the clocks were set back is the latest, and no rule drops it")
    func clocksSetBack() throws {
        try put()
        try put()
        // Both the host's clock and the store's: no skew between them shows.
        clock.advance(by: .seconds(-30 * 86_400))
        let newest = try put()
        let tag = try repository.tag(ofSource: "web")
        #expect(try repository.snapshots().latest(of: tag)?.id == newest)
        #expect(try repository.snapshot(.latestOf(source: "web")).snapshot.sequence == 3)
        let plan = try forget(keepLast(1))
        #expect(plan.obstacles.isEmpty)
        #expect(try left().contains(newest))
        #expect(try repository.snapshots().latest(of: tag)?.id == newest)
    }

    @Test("a host whose clock alone was set back takes the latest, and its source is left alone")
    func hostSetBack() throws {
        try put()
        let newest = try put(skew: .seconds(-9 * 86_400))
        let tag = try repository.tag(ofSource: "web")
        #expect(try repository.snapshots().latest(of: tag)?.id == newest)
        let plan = try forget(keepLast(1))
        #expect(plan.obstacles.first?.error.code == .clockSkew)
        #expect(try left().count == 2)
    }

    @Test("a dropped head leaves a tombstone, and what has successors leaves none")
    func tombstones() throws {
        let first = try put()
        try put()
        let third = try put()
        _ = try forget { $0.named = [first] }
        #expect(try repository.snapshots().tombstones.isEmpty)
        _ = try forget { $0.named = [third] }
        #expect(try repository.snapshots().tombstones.map(\.id) == [third])
        let bytes = try store.get(
            ObjectNames.snapshot(try repository.tag(ofSource: "web"), third), limit: .kibi(4))
        #expect(UInt64(bytes.count) == TombstoneObject.storedSize)
    }

    @Test("a dropped snapshot that none of those after it followed leaves a tombstone, alone in its number or not")
    func lonelyTwin() throws {
        let directory = TemporaryDirectory()
        func snapshot(_ id: SnapshotID) throws -> Snapshot {
            try #require(try repository.snapshots().snapshots.first { $0.id == id })
        }
        let first = try snapshot(try put())
        // Two writers at once, and a third that had seen one of them.
        let followed = try snapshot(try put(after: first))
        let lonely = try snapshot(try put(after: first))
        var environment = repository.environment
        environment.witness = StoreWitness(directory: directory.path, answer: .refuse) { _ in }
        _ = try Repository.open(store, secret: Self.secret(1), environment: environment).snapshots()
        environment.witness?.save()
        try put(after: followed)
        _ = try forget { $0.named = [followed.id] }
        _ = try forget { $0.named = [lonely.id] }
        #expect(try repository.snapshots().tombstones.map(\.id).contains(lonely.id))
        // To a host that saw it as the newest nothing was hidden.
        environment.witness = StoreWitness(directory: directory.path, answer: .refuse) { _ in }
        #expect(throws: Never.self) {
            try Repository.open(store, secret: Self.secret(1), environment: environment).snapshots()
        }
    }

    @Test("a host that forgot the newest snapshot itself does not ask where it is, with no room for a tombstone either")
    func ownForget() throws {
        let directory = TemporaryDirectory()
        let full = FaultyStore(store, clock: clock)
        func open() throws -> Repository {
            var environment = repository.environment
            environment.witness = StoreWitness(directory: directory.path, answer: .refuse) { _ in }
            return try Repository.open(full, secret: Self.secret(1), environment: environment)
        }
        try put()
        let newest = try put()
        let own = try open()
        let forgetter = try Forgetter(own)
        var selection = ForgetSelection()
        selection.named = [newest]
        let plan = try forgetter.plan(RetentionPolicy(), selection)
        full.add(StoreFault(.fail(HoldfastError(.noSpace, "it is full", hint: "")), on: .put))
        #expect(try forgetter.run(plan).isEmpty)
        own.environment.witness?.save()
        full.heal()
        #expect(try repository.snapshots().tombstones.isEmpty)
        #expect(throws: Never.self) { try open().snapshots() }
    }

    @Test("a damaged snapshot leaves its source alone")
    func damagedSnapshot() throws {
        let ids = [try put(), try put(), try put()]
        store.damage(ObjectNames.snapshot(try repository.tag(ofSource: "web"), ids[2])) { $0[50] ^= 1 }
        let plan = try forget(keepLast(1))
        #expect(plan.obstacles.count == 1)
        #expect(try left() == ids.dropLast().sorted())
    }

    @Test("a forget without rule or name is refused, and so is a writer's")
    func refused() throws {
        #expect(throws: HoldfastError.self) { try forget() }
        _ = try repository.addKey(
            .init(label: "w", role: .writer, secret: Self.secret(2), derivation: .rawKey))
        let writer = try Repository.open(store, secret: Self.secret(2), environment: repository.environment)
        let error = #expect(throws: HoldfastError.self) { try Forgetter(writer) }
        #expect(error?.code == .notPermitted)
        let unknown = try ULID(at: clock.now(), entropy: repository.entropy)
        let missing = #expect(throws: HoldfastError.self) { try forget { $0.named = [unknown] } }
        #expect(missing?.code == .snapshotNotFound)
    }
}
