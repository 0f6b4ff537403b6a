// Chains of evidence: who may sign, what holds them together, and what finds a link that is gone.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Evidence")
struct EvidenceTests {
    private let house: SmallHouse

    init() throws { house = try SmallHouse() }

    private func problems(_ report: CheckReport) -> [String] {
        report.findings(.error).map { "\($0.problem.rawValue) \($0.object)" }
    }

    private func key(_ number: UInt32, _ repository: Repository? = nil) -> ObjectKey {
        ObjectNames.evidence((repository ?? house.repository).keyring.slot, number)
    }

    // MARK: Records

    @Test("a record with every field reads back, with what is unknown at every level")
    func record() throws {
        let record = EvidenceSamples.full()
        #expect(try EvidenceRecord(record.encoded, name: "record") == record)
        let bare = EvidenceRecord(
            id: record.id, kind: .drill, occasion: .automatic, verdict: .interrupted, operator: "", toolVersion: "",
            runID: record.runID, started: record.started, finished: record.finished, environment: record.environment)
        #expect(try EvidenceRecord(bare.encoded, name: "record") == bare)
        #expect(record.memberSkew == nil)
    }

    @Test("the difference of the members' instants is that of the earliest and the latest")
    func skew() {
        var record = EvidenceSamples.full()
        record.members[0].consistentAsOf = EvidenceSamples.time(-90)
        #expect(record.memberSkew == .seconds(30))
    }

    @Test("no damage to a record traps, and every truncation is refused")
    func damage() throws {
        let bytes = EvidenceSamples.full().encoded
        for place in bytes.indices {
            #expect(throws: HoldfastError.self) { try EvidenceRecord(Array(bytes[..<place]), name: "record") }
            for bit: UInt8 in [1, 0x80] {
                var changed = bytes
                changed[place] ^= bit
                guard let read = try? EvidenceRecord(changed, name: "record") else { continue }
                #expect(read.encoded == changed, "one record has two encodings, byte \(place)")
            }
        }
    }

    @Test(
        "a record that speaks of what it does not have is neither kept nor read",
        arguments: [
            { $0.checks[0].member = "nobody" }, { $0.phases[0].after = [0] }, { $0.phases[1].member = "nobody" },
            { $0.members[0].name = "database" }, { $0.members[0].name = "" }, { $0.members[0].after = ["nobody"] },
            { $0.checks[1].id = "rows" }, { $0.plan = String(repeating: "x", count: 5000) },
        ] as [@Sendable (inout EvidenceRecord) -> Void])
    func sense(change: @Sendable (inout EvidenceRecord) -> Void) throws {
        var record = EvidenceSamples.full()
        change(&record)
        #expect(throws: HoldfastError.self) { try EvidenceRecord(record.encoded, name: "record") }
        let error = #expect(throws: HoldfastError.self) { try house.repository.attest(record) }
        #expect(error?.code == .limitExceeded)
        #expect(try house.names("evidence/").isEmpty)
    }

    // MARK: Chains

    @Test("links follow each other, are sealed, and read back by whoever holds a key")
    func chain() throws {
        let first = try house.repository.attest(EvidenceSamples.full(1))
        let second = try house.repository.attest(EvidenceSamples.passed(2))
        #expect(first.number == 1 && first.object.previous.isZero)
        #expect(second.number == 2 && second.object.previous == first.digest)
        let restorer = try house.add(.restorer, 2)
        let listing = try restorer.evidence()
        #expect(listing.damaged.isEmpty)
        #expect(listing.evidence.map(\.record) == [EvidenceSamples.full(1), EvidenceSamples.passed(2)])
        // A writer sees the links and not what they say.
        let writer = try house.add(.writer, 3)
        #expect(try writer.evidence().evidence.map { $0.record == nil } == [true, true])
        let stored = try house.store.get(key(1), limit: EvidenceObject.maximumSize)
        #expect(!String(decoding: stored, as: UTF8.self).contains("orders"))
        #expect(try house.open().check().findings(.error).isEmpty)
    }

    @Test("repeating what was stored last gives the same link")
    func again() throws {
        let first = try house.repository.attest(EvidenceSamples.full())
        let again = try house.repository.attest(EvidenceSamples.full())
        #expect(first.digest == again.digest)
        #expect(try house.names("evidence/").count == 1)
    }

    @Test("only an admin and a slot with the right may sign", arguments: [Role.writer, .maintainer, .restorer])
    func rights(role: Role) throws {
        let without = try house.add(role, 2)
        let error = #expect(throws: HoldfastError.self) { try without.attest(EvidenceSamples.full()) }
        #expect(error?.code == .notPermitted)
        #expect(error?.hint.contains("--evidence FILE") == true)
        let with = try house.add(role, 3, rights: .attest)
        _ = try with.attest(EvidenceSamples.full())
        #expect(try house.open().evidence().evidence.map(\.slot) == [with.keyring.slot])
        #expect(try house.open().check().findings(.error).isEmpty)
    }

    @Test("what a slot without the right signs all the same is damage")
    func forged() throws {
        let writer = try house.add(.writer, 2)
        let object = EvidenceObject(
            repository: house.repository.id, slot: writer.keyring.slot, number: 1, previous: Bytes32(),
            id: EvidenceSamples.full().id, origin: .witnessed, epoch: 1, stored: house.clock.now(), others: [])
        let bytes = try object.encoded(
            EvidenceSamples.full(), recipients: writer.keyring.recipients(structure: true),
            signer: writer.keyring.signing, entropy: SystemEntropy())
        try house.store.putIfAbsent(key(1, writer), bytes.span.bytes)
        let listing = try house.open().evidence()
        #expect(listing.evidence.isEmpty && listing.damaged.map(\.key) == [key(1, writer)])
        #expect(try problems(house.open().check()) == ["damaged \(key(1, writer))"])
        // Nor does it get into snapshots.
        try house.backup(["a": .whole([1])])
        #expect(try house.open().snapshots().snapshots.first?.record?.evidence == [])
    }

    @Test("a link under another's name is damage")
    func renamed() throws {
        let first = try house.repository.attest(EvidenceSamples.full(1))
        let bytes = try house.store.get(key(1), limit: EvidenceObject.maximumSize)
        try house.store.putIfAbsent(key(2), bytes.span.bytes)
        #expect(try problems(house.open().check()) == ["damaged \(key(2))"])
        #expect(first.number == 1)
        let error = #expect(throws: HoldfastError.self) { try house.repository.attest(EvidenceSamples.full(2)) }
        #expect(error?.code == .corruptObject)
    }

    @Test("two who append with one key at once both get a link")
    func race() throws {
        let other = try house.open(seed: 5)
        let store = InterposedStore(house.store)
        let slow = try house.open(through: store, seed: 6)
        store.before(.put("evidence/")) { _ = try? other.attest(EvidenceSamples.full(1)) }
        let late = try slow.attest(EvidenceSamples.full(2))
        #expect(late.number == 2)
        #expect(try house.open().evidence().evidence.map(\.id) == [1, 2].map { EvidenceSamples.full($0).id })
        #expect(try house.open().check().findings(.error).isEmpty)
    }

    @Test("a chain goes on through a new epoch, and stays good when its slot is removed")
    func rotation() throws {
        let drill = try house.add(.restorer, 2, rights: .attest)
        let first = try drill.attest(EvidenceSamples.full(1))
        _ = try house.repository.reloadingKeys().rotateEpoch()
        let second = try house.open(2).attest(EvidenceSamples.full(2))
        #expect(second.object.epoch == 2 && second.object.previous == first.digest)
        try house.open().removeKey(drill.keyring.slot)
        let admin = try house.open()
        #expect(try admin.evidence().evidence.compactMap(\.record).count == 2)
        #expect(try admin.check().findings(.error).isEmpty)
        #expect(throws: HoldfastError.self) { try house.open(2) }
    }

    // MARK: Heads

    @Test("every later snapshot names the newest links of all chains")
    func heads() throws {
        let drill = try house.add(.restorer, 2, rights: .attest)
        _ = try house.repository.attest(EvidenceSamples.full(1))
        let second = try house.repository.attest(EvidenceSamples.full(2))
        let other = try drill.attest(EvidenceSamples.full(3))
        #expect(other.object.others == [second.head])
        let writer = try house.add(.writer, 3)
        try house.backup(["a": .whole([1])], as: writer)
        let heads = try #require(try house.open().snapshots().snapshots.first?.record?.evidence)
        #expect(heads == [second.head, other.head].sorted { $0.slot < $1.slot })
    }

    @Test("an end that was cut off is found against a head in a snapshot, and not without one")
    func truncated() throws {
        for number in 1...3 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        try house.store.delete(key(3))
        #expect(try house.open().check().findings(.error).isEmpty)
        _ = try house.repository.attest(EvidenceSamples.full(3))
        let id = try house.backup(["a": .whole([1])])
        try house.store.delete(key(3))
        try house.store.delete(key(2))
        let report = try house.open().check()
        #expect(problems(report) == ["missing \(key(2))", "missing \(key(3))"])
        #expect(report.findings(.error).first?.message.contains("snapshot \(id)") == true)
        // What is written over the gap is not the link that was there.
        _ = try house.open().attest(EvidenceSamples.full(4))
        _ = try house.open().attest(EvidenceSamples.full(5))
        #expect(problems(try house.open().check()) == ["broken-chain \(key(3))"])
    }

    @Test("a whole chain that is gone is found as well")
    func gone() throws {
        _ = try house.repository.attest(EvidenceSamples.full(1))
        try house.backup(["a": .whole([1])])
        try house.store.delete(key(1))
        #expect(try problems(house.open().check()) == ["missing \(key(1))"])
    }

    @Test("later snapshots carry on what is gone, so that it is known when the earlier ones are forgotten")
    func carried() throws {
        let head = try house.repository.attest(EvidenceSamples.full(1)).head
        let first = try house.backup(["a": .whole([1])])
        try house.store.delete(key(1))
        house.clock.advance(by: .seconds(60))
        try house.backup(["a": .whole([2])])
        try house.forget(first)
        #expect(try house.open().snapshots().snapshots.map(\.record?.evidence) == [[head]])
        #expect(try problems(house.open().check()) == ["missing \(key(1))"])
    }

    @Test("a hole in a chain and a link that follows another are found without any snapshot and without a key")
    func holes() throws {
        for number in 1...4 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        try house.store.delete(key(2))
        let environment = SmallHouse.environment(house.clock, 4)
        let report = try KeylessCheck(house.store, environment: environment).run(CheckOptions())
        #expect(problems(report) == ["missing \(key(2))"])
        #expect(report.counts.evidence == 3)
    }

    @Test("another chain's later link tells of a cut end, also without a key")
    func neighbours() throws {
        let drill = try house.add(.restorer, 2, rights: .attest)
        _ = try drill.attest(EvidenceSamples.full(1))
        _ = try house.repository.reloadingKeys().attest(EvidenceSamples.full(2))
        try house.store.delete(key(1, drill))
        let environment = SmallHouse.environment(house.clock, 4)
        let report = try KeylessCheck(house.store, environment: environment).run(CheckOptions())
        #expect(problems(report) == ["missing \(key(1, drill))"])
    }

    @Test("a flipped bit of a link is damage of that link alone")
    func bits() throws {
        for number in 1...3 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        var bytes = try house.store.get(key(2), limit: EvidenceObject.maximumSize)
        bytes[bytes.count / 2] ^= 4
        try house.store.delete(key(2))
        try house.store.putIfAbsent(key(2), bytes.span.bytes)
        #expect(try problems(house.open().check()) == ["damaged \(key(2))"])
        let listing = try house.open().evidence()
        #expect(listing.evidence.map(\.number) == [1, 3])
    }

    // MARK: Those who must leave it alone

    @Test("prune deletes no evidence, not even exclusively")
    func prune() throws {
        _ = try house.repository.attest(EvidenceSamples.full(1))
        let id = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(id)
        let before = try house.names("evidence/")
        try house.pruneFully()
        _ = try house.prune { $0.isExclusive = true }
        #expect(try house.names("evidence/") == before && before.count == 1)
        #expect(try house.names("packs/").isEmpty)
    }

    @Test("a mirror copies chains, link by link, and does not copy what is bad")
    func mirror() throws {
        for number in 1...3 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        try house.backup(["a": .whole([1])])
        let target = MemoryStore(clock: house.clock)
        let environment = SmallHouse.environment(house.clock, 8)
        let report = try Mirror(from: house.store, to: target, environment: environment).run()
        #expect(report.isComplete)
        let copy = try house.open(through: target)
        #expect(try copy.evidence().evidence.compactMap(\.record).count == 3)
        #expect(try copy.check().findings(.error).isEmpty)
        var bytes = try house.store.get(key(3), limit: EvidenceObject.maximumSize)
        bytes[100] ^= 1
        try house.store.delete(key(3))
        try house.store.putIfAbsent(key(3), bytes.span.bytes)
        let empty = MemoryStore(clock: house.clock)
        let second = try Mirror(from: house.store, to: empty, environment: environment).run()
        #expect(second.badAtSource.map(\.object) == [key(3).path])
        var copied: Set<String> = []
        try empty.list("evidence/") { (info) throws(HoldfastError) in copied.insert(info.key.path) }
        #expect(copied == [key(1).path, key(2).path])
    }

    @Test("a client that saw a link notices that it is gone or another one")
    func memory() throws {
        let directory = TemporaryDirectory()
        func open(_ answer: StoreWitness.Answer) throws -> Repository {
            var environment = SmallHouse.environment(house.clock, 12)
            environment.witness = StoreWitness(directory: directory.path, answer: answer) { _ in }
            return try Repository.open(house.store, secret: SmallHouse.secret(1), environment: environment)
        }
        _ = try open(.refuse).attest(EvidenceSamples.full(1))
        _ = try open(.refuse).attest(EvidenceSamples.full(2))
        let bytes = try house.store.get(key(2), limit: EvidenceObject.maximumSize)
        try house.store.delete(key(2))
        let error = #expect(throws: HoldfastError.self) { try open(.refuse) }
        #expect(error?.code == .rollbackDetected && error?.message.contains(key(2).path) == true)
        try house.store.putIfAbsent(key(2), bytes.span.bytes)
        _ = try open(.refuse)
        // Another second link, by someone with the same key.
        try house.store.delete(key(2))
        _ = try house.open(seed: 77).attest(EvidenceSamples.full(3))
        let replaced = #expect(throws: HoldfastError.self) { try open(.refuse).evidence() }
        #expect(replaced?.code == .rollbackDetected)
        let accepting = try open(.accept)
        _ = try accepting.evidence()
        accepting.environment.witness?.save()
        _ = try open(.refuse).evidence()
        _ = try open(.refuse).attest(EvidenceSamples.full(4))
    }
}
