// Prune as operators run it: at once, in budgets, with a maintainer's key, and what it does to the index.

import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Prune")
struct PruneTests {
    @Test("an exclusive prune frees at once, and is refused while a lease is alive")
    func exclusive() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        let writer = try SmallBackup(house.open())
        let error = #expect(throws: HoldfastError.self) { try house.prune { $0.isExclusive = true } }
        #expect(error?.code == .busy && error?.message.contains(writer.session.lease.id.description) == true)
        #expect(try house.names("packs/").count == 2)
        writer.session.close()
        let report = try house.prune { $0.isExclusive = true }
        #expect(report.deletedPacks == 2)
        #expect(try house.names("packs/").isEmpty)
    }

    @Test("an exclusive prune fences a writer that has been away for half an hour, and takes what it left")
    func exclusiveFences() throws {
        let house = try SmallHouse()
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        let root = try writer.flush()
        house.clock.advance(by: LeaseTimes.expiry + .seconds(1))
        let report = try house.prune { $0.isExclusive = true }
        #expect(report.fencedLeases == 1 && report.deletedPacks == 2)
        #expect(throws: HoldfastError.self) { try writer.commit(root) }
        writer.session.close()
    }

    @Test("a writer that opens between an exclusive generation and its sweep makes the prune refuse, or honours it")
    func exclusiveRace() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let kept = try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        let store = InterposedStore(house.store)
        var writer: SmallBackup?
        store.before(.put("gc/1")) {
            writer = try? SmallBackup(house.open())
            _ = try? writer?.add("a", .whole(house.noise(1)))
        }
        let error = #expect(throws: HoldfastError.self) {
            try house.prune(house.open(through: store)) { $0.isExclusive = true }
        }
        #expect(error?.code == .busy)
        let id = try #require(try writer?.commit())
        #expect(try house.prune { $0.isExclusive = true }.deletedPacks == 0)
        #expect(try house.restoreAll() == [kept: ["b": house.noise(2)], id: ["a": house.noise(1)]])
    }

    @Test("a plan writes nothing")
    func planWritesNothing() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        let before = try house.names("")
        let plan = try Collector(house.repository).plan()
        #expect(plan.condemnable.count == 2 && plan.packs == 2 && plan.condemnableBytes == plan.bytes)
        #expect(try house.names("") == before)
    }

    @Test("a maintainer prunes and cannot read data; a writer may do neither")
    func roles() throws {
        let house = try SmallHouse()
        let writer = try house.add(.writer, 5)
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))], as: writer)
        let kept = try house.backup(["b": .whole(house.noise(2)), "c": .whole(house.noise(3))], as: writer)
        let maintainer = try house.add(.maintainer, 6)
        let refused = #expect(throws: HoldfastError.self) { try Collector(writer) }
        #expect(refused?.code == .notPermitted)
        try house.forget(old)
        let plan = try Collector(maintainer).plan()
        #expect(plan.repack.isEmpty && plan.unused > 0)
        try house.pruneFully(maintainer)
        #expect(try house.names("packs/").count == 3)
        #expect(try house.restoreAll() == [kept: ["b": house.noise(2), "c": house.noise(3)]])
        let state = try maintainer.loadIndex()
        let reader = PackReader(store: house.store, keyring: maintainer.keyring)
        let data = try #require(state.index.runs.flatMap(\.run.packs).first { $0.kind == .data })
        let error = #expect(throws: HoldfastError.self) { try reader.open(data.id) }
        #expect(error?.code == .notPermitted)
    }

    @Test("what is needed of half-empty packs is copied, and the old packs go with the next generation")
    func repack() throws {
        let house = try SmallHouse()
        let old = try house.backup([
            "a": .whole(house.noise(1, count: 200_000)), "b": .whole(house.noise(2)), "c": .whole(house.noise(3)),
        ])
        let kept = try house.backup(["b": .whole(house.noise(2)), "c": .whole(house.noise(3))])
        try house.forget(old)
        #expect(try house.prune { $0.maximumUnused = 100 }.repackedPacks == 0)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let report = try house.prune { $0.maximumUnused = 5 }
        #expect(report.repackedPacks == 1 && report.repackedBytes == 6000)
        #expect(report.condemned?.packs == 1)
        #expect(try house.restoreAll() == [kept: ["b": house.noise(2), "c": house.noise(3)]])
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let last = try house.prune { $0.maximumUnused = 5 }
        #expect(last.deletedPacks == 1 && last.repackedPacks == 0)
        #expect(try house.restoreAll() == [kept: ["b": house.noise(2), "c": house.noise(3)]])
        #expect(try Collector(house.repository).plan().unused == 0)
    }

    @Test("a repack stays within its budget of bytes")
    func repackBudget() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))])
        try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        let none = try house.prune {
            $0.maximumUnused = 0
            $0.maximumRepack = ByteCount(2999)
        }
        #expect(none.repackedPacks == 0)
    }

    @Test("deltas are copied with their bases, and those whose bases nothing else needs are stored whole")
    func repackDeltas() throws {
        let house = try SmallHouse()
        let base = house.noise(1, count: 60_000)
        let next = house.changed(base, 1)
        let last = house.changed(next, 2)
        let other = house.changed(base, 9)
        let first = try house.backup(["f": .whole(base), "gone": .whole(house.noise(2, count: 90_000))])
        let second = try house.backup(["f": .delta(next, base: base), "gone": .whole(house.noise(4))])
        let third = try house.backup([
            "f": .delta(last, base: next), "g": .delta(other, base: base), "gone": .whole(house.noise(5)),
        ])
        let fourth = try house.backup(["f": .whole(last), "g": .whole(other)])
        for id in [first, second, third] { try house.forget(id) }
        for _ in 0..<3 {
            _ = try house.prune { $0.maximumUnused = 0 }
            #expect(try house.restoreAll() == [fourth: ["f": last, "g": other]])
            house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        }
        _ = try house.prune { $0.maximumUnused = 0 }
        #expect(try house.restoreAll() == [fourth: ["f": last, "g": other]])
        let plan = try Collector(house.repository).plan()
        #expect(plan.unused == 0 && plan.condemnable.isEmpty)
    }

    @Test("a damaged pack is not copied from, and everything else goes on")
    func repackOfDamagedPack() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))])
        try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        let packs = try house.repository.loadIndex().index.runs.flatMap(\.run.packs)
        let data = try #require(packs.first { $0.kind == .data })
        house.store.damage(ObjectNames.pack(data.id)) { $0[700] ^= 1 }
        let report = try house.prune { $0.maximumUnused = 0 }
        #expect(report.damaged.map(\.pack) == [data.id])
        #expect(report.repackedPacks == 0)
        #expect(report.condemned?.packs == 1)
    }

    @Test("many small runs become one, and the old ones go with the next generation")
    func runsAreMerged() throws {
        let house = try SmallHouse()
        var expected: [SnapshotID: [String: [UInt8]]] = [:]
        for number in 1...12 {
            let bytes = house.noise(UInt64(number))
            expected[try house.backup(["f": .whole(bytes)])] = ["f": bytes]
        }
        #expect(try house.prune().mergedRuns == 12)
        #expect(try house.names("index/").count == 13)
        #expect(try house.repository.loadIndex().index.runs.count == 1)
        #expect(try house.restoreAll() == expected)
        try house.pruneFully()
        #expect(try house.names("index/").count == 1)
        #expect(try house.restoreAll() == expected)
        #expect(try house.prune().condemned == nil)
    }

    @Test("entries of packs that are gone leave the index, and an index without any is no trouble")
    func goneEntriesLeave() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        try house.pruneFully()
        #expect(try house.repository.loadIndex().index.entryCount == 0)
        try house.pruneFully()
        let id = try house.backup(["a": .whole(house.noise(1))])
        try house.pruneFully()
        #expect(try house.restoreAll() == [id: ["a": house.noise(1)]])
    }

    @Test("steps of old generations go but for their ends, and tombstones after ninety days")
    func remains() throws {
        let house = try SmallHouse()
        let writer = try SmallBackup(house.open())
        for number in 1...4 {
            let id = try house.backup(["a": .whole(house.noise(UInt64(number)))], source: "other")
            try house.forget(id, source: "other")
            try house.pruneFully()
        }
        let steps = try house.names("gc/")
        #expect(steps.isSuperset(of: ["gc/1.done", "gc/2.done", "gc/3.done"]))
        #expect(steps.isDisjoint(with: ["gc/1", "gc/1.sweep"]))
        #expect(try house.repository.snapshots().tombstones.count == 1)
        house.clock.advance(by: Collector.tombstoneLife + .seconds(1))
        _ = try house.prune()
        #expect(try house.repository.snapshots().tombstones.isEmpty)
        // The tombstone is gone, and the writer that slept through it all is refused by the age of its own lease.
        let error = #expect(throws: HoldfastError.self) { try writer.commit() }
        #expect(error?.code == .leaseLost)
        writer.session.close()
    }

    @Test("a lease of which nothing can be read blocks a sweep and is named")
    func damagedLease() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        let id = writer.session.lease.id
        try house.forget(old)
        _ = try house.prune()
        for number in [UInt32(0), 1] { house.store.damage(ObjectNames.lease(id, number)) { $0[60] ^= 1 } }
        house.clock.advance(by: LeaseTimes.grace * 2)
        let report = try house.prune()
        #expect(report.deletedPacks == 0 && report.waiting?.waitingFor.map(\.id) == [id])
        writer.session.close()
    }

    @Test("a member cannot answer for another's lease", arguments: [true, false])
    func strangersRenewal(isClosed: Bool) throws {
        let house = try SmallHouse()
        let thief = try house.add(.writer, 8)
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        #expect(try !writer.add("a", .whole(house.noise(1))))
        try house.forget(old)
        _ = try house.prune()
        let lease = writer.session.lease.id
        let forged = LeaseObject(
            repository: house.repository.id, lease: lease, number: 77, slot: thief.keyring.slot, purpose: .write,
            tag: writer.session.tag, started: house.clock.now(), honoured: 1, kept: [], isClosed: isClosed)
        let bytes = try forged.encoded(signer: thief.keyring.signing)
        try house.store.putIfAbsent(ObjectNames.lease(lease, 77), bytes.span.bytes)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        try writer.session.renewNow()
        _ = try house.prune()
        let id = try writer.commit()
        #expect(try house.restoreAll()[id] == ["a": house.noise(1)])
    }

    @Test("what a lease keeps counts only when a member signed it")
    func forgedLease() throws {
        let house = try SmallHouse()
        let stranger = try SmallHouse(seed: 5)
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        _ = try house.prune()
        let id = try LeaseID(at: house.clock.now(), entropy: SeededEntropy(seed: 3))
        let forged = LeaseObject(
            repository: house.repository.id, lease: id, number: 0, slot: stranger.repository.keyring.slot,
            purpose: .read, tag: SourceTag(Bytes16()), started: house.clock.now(), honoured: 1,
            kept: Array(try house.repository.listPacks().keys), isClosed: false)
        let bytes = try forged.encoded(signer: stranger.repository.keyring.signing)
        try house.store.putIfAbsent(ObjectNames.lease(id, 0), bytes.span.bytes)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        #expect(try house.prune().deletedPacks == 2)
    }
}
