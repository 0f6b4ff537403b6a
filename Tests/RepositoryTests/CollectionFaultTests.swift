// Garbage collection when calls fail, collectors race, objects are damaged and keys are stolen.

import Compression
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Garbage collection under failure")
struct CollectionFaultTests {
    /// Two sources, deltas, and a pack of which half is needed.
    private func makeHouse() throws -> (house: SmallHouse, expected: [SnapshotID: [String: [UInt8]]]) {
        let house = try SmallHouse(seed: 42)
        let base = house.noise(1, count: 20_000)
        let next = house.changed(base, 1)
        let last = house.changed(next, 2)
        let first = try house.backup([
            "f": .whole(base), "gone": .whole(house.noise(2)), "stays": .whole(house.noise(3)),
        ])
        let second = try house.backup(["f": .delta(next, base: base), "stays": .whole(house.noise(3))])
        let third = try house.backup(["f": .delta(last, base: next)])
        try house.forget(first)
        try house.forget(second)
        let other = try house.backup(["stays": .whole(house.noise(3))], source: "other")
        return (house, [third: ["f": last], other: ["stays": house.noise(3)]])
    }

    @Test("a collector that dies after any write loses nothing, and what is left goes within two collections")
    func crashesAtEveryCall() throws {
        var isOver = false
        var calls = 0
        while !isOver {
            let (house, expected) = try makeHouse()
            let mortal = InterposedStore(house.store)
            let repository = try house.open(through: mortal)
            mortal.writesLeft = calls
            do {
                _ = try house.prune(repository) { $0.maximumUnused = 0 }
                house.clock.advance(by: LeaseTimes.grace + .seconds(1))
                _ = try house.prune(repository) { $0.maximumUnused = 0 }
                isOver = true
            } catch {
                #expect((error as? HoldfastError)?.code == .storeUnavailable, "after \(calls) calls: \(error)")
            }
            #expect(try house.restoreAll() == expected, "right after \(calls) calls")
            for _ in 0..<3 {
                house.clock.advance(by: LeaseTimes.grace + .seconds(1))
                _ = try house.prune { $0.maximumUnused = 0 }
                #expect(try house.restoreAll() == expected, "later after \(calls) calls")
            }
            let plan = try Collector(house.repository).plan()
            #expect(plan.condemnable.isEmpty && plan.doomed.isEmpty && plan.unused == 0, "after \(calls) calls")
            #expect(try house.names("leases/").isEmpty, "after \(calls) calls")
            calls += 1
        }
        #expect(calls > 12)
    }

    @Test("of two collectors one condemns and one sweeps, and neither minds")
    func twoCollectors() throws {
        let (house, expected) = try makeHouse()
        let store = InterposedStore(house.store)
        let slow = try house.open(through: store)
        store.before(.put("gc/1")) {
            house.clock.advance(by: .seconds(1))
            _ = try? house.prune()
        }
        let late = try house.prune(slow)
        #expect(late.condemned == nil)
        #expect(try house.names("gc/") == ["gc/1"])
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        store.before(.put("gc/1.sweep")) { _ = try? house.prune() }
        _ = try house.prune(slow)
        #expect(try house.restoreAll() == expected)
        #expect(try house.names("gc/").isSuperset(of: ["gc/1.done"]))
        #expect(try Collector(house.repository).plan().doomed.isEmpty)
    }

    @Test("a sweep that was put after its generation was done deletes nothing")
    func lateSweepIsVoid() throws {
        let (house, expected) = try makeHouse()
        try house.pruneFully()
        let admin = house.repository
        let packs = try admin.listPacks().keys.sorted()
        for (kind, key) in [(ObjectKind.condemned, ObjectNames.condemned(1)), (.sweep, ObjectNames.sweep(1))] {
            try house.store.delete(key)
            let object = CollectionObject(
                kind: kind, repository: admin.id, generation: 1, slot: admin.keyring.slot, made: house.clock.now(),
                packs: packs, runs: [])
            let bytes = try object.encoded(signer: admin.keyring.signing)
            try house.store.putIfAbsent(key, bytes.span.bytes)
        }
        try house.pruneFully()
        #expect(try house.restoreAll() == expected)
    }

    @Test("a writer that commits between the leases and the sweep is not robbed")
    func commitDuringSweep() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))])
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        try house.forget(old)
        _ = try house.prune()
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        try writer.session.renewNow()
        let root = try writer.flush()
        let store = InterposedStore(house.store)
        store.before(.put("gc/1.sweep")) {
            do { try writer.commit(root) } catch { Issue.record(error) }
        }
        _ = try house.prune(house.open(through: store))
        #expect(try house.restoreAll().count == 1)
    }

    @Test("a snapshot that is committed without honouring is found by the second mark")
    func secondMark() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        let root = try writer.flush()
        try house.forget(old)
        // Committed between the listing of snapshots and gc/1: no generation to honour was there.
        let store = InterposedStore(house.store)
        store.before(.put("gc/1")) {
            do { try writer.commit(root) } catch { Issue.record(error) }
        }
        _ = try house.prune(house.open(through: store))
        #expect(try house.names("gc/") == ["gc/1"])
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        #expect(try house.prune().deletedPacks == 0)
        #expect(try house.restoreAll().count == 1)
    }

    @Test("a refused delete is kept for later, and other generations go on")
    func refusedDeletes() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let next = try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        let locked = FaultyStore(house.store, clock: house.clock)
        locked.add(
            StoreFault(.fail(HoldfastError(.accessDenied, "locked", hint: "Wait.")), on: .delete, prefix: "packs/"))
        let repository = try house.open(through: locked)
        _ = try house.prune(repository)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let swept = try house.prune(repository)
        #expect(swept.refused.count == 2 && swept.deletedPacks == 0)
        try house.forget(next)
        #expect(try house.prune(repository).condemned?.generation == 2)
        #expect(try !house.names("gc/").contains("gc/1.done"))
        let writer = try SmallBackup(house.open())
        #expect(try writer.add("a", .whole(house.noise(1))), "a doomed pack is relied on")
        writer.session.close()
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let healed = try house.prune()
        #expect(healed.deletedPacks == 4)
        #expect(try house.names("gc/").isSuperset(of: ["gc/1.done", "gc/2.done"]))
    }

    @Test("a node that cannot be read stops the collection before anything is condemned")
    func damagedNode() throws {
        let (house, _) = try makeHouse()
        let state = try house.repository.loadIndex()
        let metas = state.index.runs.flatMap(\.run.packs).filter { $0.kind == .meta }
        for pack in metas { house.store.damage(ObjectNames.pack(pack.id)) { $0[600] ^= 1 } }
        let error = #expect(throws: HoldfastError.self) { try house.prune() }
        #expect(error?.code == .corruptObject && error?.message.hasPrefix("nothing is collected") == true)
        #expect(try house.names("gc/").isEmpty)
    }

    @Test("a missing index run stops the collection: its packs look unneeded and are not")
    func missingRun() throws {
        let (house, _) = try makeHouse()
        for name in try house.names("index/") {
            if let key = ObjectKey(name) { try house.store.delete(key) }
        }
        let error = #expect(throws: HoldfastError.self) { try house.prune() }
        #expect(error?.code == .objectMissing)
        #expect(try house.names("gc/").isEmpty)
    }

    @Test("a damaged snapshot stops the collection")
    func damagedSnapshot() throws {
        let (house, expected) = try makeHouse()
        let id = try #require(expected.keys.first)
        for snapshot in try house.repository.snapshots().snapshots where snapshot.id == id {
            house.store.damage(ObjectNames.snapshot(snapshot.tag, id)) { $0[100] ^= 1 }
        }
        let error = #expect(throws: HoldfastError.self) { try house.prune() }
        #expect(error?.message.contains(id.description) == true)
        #expect(try house.names("gc/").isEmpty)
    }

    @Test("a damaged index run stops the collection and is named")
    func damagedRun() throws {
        let (house, _) = try makeHouse()
        let name = try #require(try house.names("index/").min())
        house.store.damage(try #require(ObjectKey(name))) { $0[200] ^= 1 }
        let error = #expect(throws: HoldfastError.self) { try house.prune() }
        #expect(error?.message.contains(name) == true)
        #expect(try house.names("gc/").isEmpty)
    }

    @Test("packs that a sweep names are not relied on, even while they are still there")
    func doomedPacksAreAbsent() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        _ = try house.prune()
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let faulty = FaultyStore(house.store, clock: house.clock)
        faulty.add(
            StoreFault(
                .fail(HoldfastError(.storeUnavailable, "the power went", hint: "Wait.")), on: .delete, prefix: "packs/")
        )
        let repository = try house.open(through: faulty)
        #expect(throws: HoldfastError.self) { try house.prune(repository) }
        #expect(try house.names("gc/") == ["gc/1", "gc/1.sweep"])
        let id = try house.backup(["a": .whole(house.noise(1))])
        #expect(try house.prune().deletedPacks == 2)
        #expect(try house.restoreAll() == [id: ["a": house.noise(1)]])
    }

    @Test("directories that are nested without end stop the collection before the stack does")
    func deepTree() throws {
        let house = try SmallHouse()
        let backup = try SmallBackup(house.repository)
        var root = Entry(EntryMetadata(name: [], kind: .directory))
        for _ in 0..<SnapshotTree.maximumDepth + 8 {
            root.metadata.name = Array("d".utf8)
            root.tree = NodeReference(id: try backup.addNode([root]), level: 0)
        }
        root.metadata.name = []
        try backup.session.flush()
        try backup.commit(root)
        let error = #expect(throws: HoldfastError.self) { try house.prune() }
        #expect(error?.code == .corruptObject)
        #expect(try house.names("gc/").isEmpty)
    }

    @Test("an end of a collection that nobody with the right signed frees nothing")
    func forgedEnd() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        _ = try house.prune()
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        let faulty = FaultyStore(
            house.store, clock: house.clock,
            faults: [StoreFault(.fail(HoldfastError(.storeUnavailable, "gone")), on: .delete, prefix: "packs/")])
        let repository = try house.open(through: faulty)
        #expect(throws: HoldfastError.self) { try house.prune(repository) }
        let writer = try house.add(.writer, 8)
        let forged = CollectionObject(
            kind: .done, repository: writer.id, generation: 1, slot: writer.keyring.slot, made: house.clock.now(),
            packs: [], runs: [])
        let bytes = try forged.encoded(signer: writer.keyring.signing)
        try house.store.putIfAbsent(ObjectNames.done(1), bytes.span.bytes)
        let backup = try SmallBackup(house.open())
        #expect(try backup.add("a", .whole(house.noise(1))), "a doomed pack must not be relied on")
        #expect(try house.prune().deletedPacks == 2)
        let id = try backup.commit()
        #expect(try house.restoreAll() == [id: ["a": house.noise(1)]])
    }

    @Test("the highest number of a generation is refused and does not trap", arguments: ["", ".sweep", ".done"])
    func lastNumber(_ step: String) throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        let junk: [UInt8] = [1]
        let key = try #require(ObjectKey("gc/\(UInt32.max)\(step)"))
        try house.store.putIfAbsent(key, junk.span.bytes)
        #expect(throws: HoldfastError.self) { try house.prune() }
    }

    @Test("a sweep deletes nothing that its generation had not condemned")
    func sweepBeyondItsGeneration() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let kept = try house.backup(["b": .whole(house.noise(2))])
        try house.forget(old)
        _ = try house.prune()
        let admin = house.repository
        let object = CollectionObject(
            kind: .sweep, repository: admin.id, generation: 1, slot: admin.keyring.slot, made: house.clock.now(),
            packs: try admin.listPacks().keys.sorted(), runs: [])
        let bytes = try object.encoded(signer: admin.keyring.signing)
        try house.store.putIfAbsent(ObjectNames.sweep(1), bytes.span.bytes)
        #expect(try house.prune().deletedPacks == 2)
        #expect(try house.open().listPacks().count == 2)
        _ = kept
    }

    @Test(
        "a collection that comes while a writer opens finds its lease, or is found by it",
        arguments: [InterposedStore.Call.put("leases/"), .list("gc/"), .list("packs/"), .list("index/")])
    func collectionDuringOpening(_ call: InterposedStore.Call) throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let store = InterposedStore(house.store)
        let repository = try house.open(through: store)
        store.before(call) {
            do {
                try house.forget(old)
                try house.pruneFully()
            } catch { Issue.record(error) }
        }
        let writer = try SmallBackup(repository)
        try writer.add("a", .whole(house.noise(1)))
        let root = try writer.flush()
        do {
            try writer.commit(root)
        } catch {
            #expect((error as? HoldfastError)?.code == .leaseLost)
            writer.session.close()
        }
        // Whatever is committed restores.
        _ = try house.restoreAll()
    }

    @Test("packs of a writer at work are spared, whether or not a run names them")
    func packsOfOpenLease() throws {
        let house = try SmallHouse()
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        let root = try writer.flush()
        for name in try house.names("index/") { try house.store.delete(try #require(ObjectKey(name))) }
        let plan = try Collector(house.repository).plan()
        #expect(plan.spared == 2 && plan.condemnable.isEmpty)
        #expect(try house.prune().condemned == nil)
        _ = root
        writer.session.close()
        #expect(try house.prune().condemned?.packs == 2)
    }

    @Test(
        "junk that a stolen writer key lists under other chunks' ids makes no good copy go", arguments: [false, true])
    func junkOfStolenKey(_ forgesOwner: Bool) throws {
        let house = try SmallHouse()
        let plain = house.noise(1)
        try house.backup(["a": .whole(plain)])
        let good = try house.names("packs/")
        house.clock.advance(by: .seconds(60))
        let thief = try house.add(.writer, 7)
        let session = try WriterSession(thief, tag: try thief.tag(ofSource: "home"))
        let id = ChunkID(KeyedHash(key: try thief.keyring.key(.dataID)).digest(plain.span.bytes))
        let junk = house.noise(66)
        try junk.withUnsafeBytes { raw in
            try session.append(.data, id: id, codec: .stored, raw: junk.count, raw)
        }
        try session.flush()
        session.close()
        if forgesOwner {
            house.clock.advance(by: .seconds(60))
            let run = try #require(try thief.loadIndex().index.runs.first { $0.run.slot == thief.keyring.slot })
            var packs = run.run.packs
            for place in packs.indices { packs[place].slot = house.repository.keyring.slot }
            let entries = (0..<run.run.entryCount).map { (entry: run.entry($0), base: Bytes16()) }
            _ = try thief.putRun(packs: packs, entries: entries, supersedes: [])
        }
        try house.pruneFully()
        #expect(try house.names("packs/") == good)
    }

    @Test("a writer that cannot be fenced on a store without create-if-absent blocks the sweep")
    func storeWithoutCreateIfAbsent() throws {
        let house = try SmallHouse(
            capabilities: StoreCapabilities(createsIfAbsent: false, concurrency: 1, coalescingGap: .kibi(64)))
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        try house.forget(old)
        _ = try house.prune()
        house.clock.advance(by: LeaseTimes.grace * 3)
        #expect(try house.prune().waiting?.waitingFor.count == 1)
        writer.session.close()
        #expect(try house.prune().deletedPacks == 2)
    }

    @Test("an exclusive prune on a store without create-if-absent refuses while a writer may stand still in its commit")
    func exclusiveWithoutCreateIfAbsent() throws {
        let house = try SmallHouse(
            capabilities: StoreCapabilities(createsIfAbsent: false, concurrency: 1, coalescingGap: .kibi(64)))
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        try house.forget(old)
        house.clock.advance(by: LeaseTimes.maximumLife * 2)
        let packs = try house.names("packs/")
        let snapshots = try house.names("snapshots/")
        let error = #expect(throws: HoldfastError.self) { try house.prune { $0.isExclusive = true } }
        #expect(error?.code == .busy && error?.message.contains("cannot keep them from going on") == true)
        #expect(try house.names("packs/") == packs && house.names("snapshots/") == snapshots)
        writer.session.close()
        #expect(try house.prune { $0.isExclusive = true }.deletedPacks == 2)
    }
}
