// Garbage collection: what is needed stays, what is not goes, whoever else is at work.

import Compression
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Garbage collection")
struct CollectionTests {
    @Test("packs of a forgotten snapshot go after the grace, and the rest restores")
    func forgottenPacksGo() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))])
        let kept = try house.backup(["c": .whole(house.noise(3))])
        let before = try house.names("packs/")
        try house.forget(old)
        let first = try house.prune()
        #expect(first.condemned?.packs == 2)
        #expect(try house.names("packs/") == before)
        house.clock.advance(by: LeaseTimes.grace - .seconds(1))
        #expect(try house.prune().deletedPacks == 0)
        house.clock.advance(by: .seconds(2))
        #expect(try house.prune().deletedPacks == 2)
        #expect(try house.names("packs/").count == 2)
        #expect(try house.restoreAll() == [kept: ["c": house.noise(3)]])
        #expect(try house.names("gc/").contains("gc/1.done"))
    }

    @Test("what a repack left that died is condemned by the first collection after a day")
    func deadRepack() throws {
        let house = try SmallHouse()
        let kept = try house.backup(["a": .whole(house.noise(1))])
        let session = try WriterSession(house.open(), tag: SourceTag(Bytes16()), purpose: .repack)
        let bytes = house.noise(2)
        try bytes.withUnsafeBytes { raw in
            try session.append(.data, id: ChunkID(Bytes32(raw.bytes)), codec: .stored, raw: raw.count, raw)
        }
        try session.flush()
        let key = ObjectNames.lease(session.lease.id, 0)
        let lease = try house.store.get(key, limit: LeaseObject.maximumSize)
        session.close()
        // As if the process had died before it took its lease away.
        try house.store.putIfAbsent(key, lease.span.bytes)
        #expect(try Collector(house.open()).plan().spared == 1)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        #expect(try house.prune().condemned?.packs == 1)
        #expect(try house.restoreAll() == [kept: ["a": house.noise(1)]])
    }

    @Test("bases live as long as their deltas, whatever is forgotten below them")
    func basesOfDeltasLive() throws {
        let house = try SmallHouse()
        var bytes = house.noise(1, count: 20_000)
        var snapshots = [try house.backup(["f": .whole(bytes)])]
        for step in 1...5 {
            let next = house.changed(bytes, UInt8(step))
            snapshots.append(try house.backup(["f": .delta(next, base: bytes)]))
            bytes = next
        }
        for id in snapshots.dropLast() { try house.forget(id) }
        try house.pruneFully()
        #expect(try house.restoreAll() == [snapshots[5]: ["f": bytes]])
        // Five nodes of directories went, no data did.
        #expect(try house.names("packs/").count == 7)
        try house.forget(snapshots[5])
        try house.pruneFully()
        #expect(try house.names("packs/").isEmpty)
    }

    @Test("a node that is a base only is still walked when a snapshot needs it itself")
    func baseNodesAreWalked() throws {
        let house = try SmallHouse()
        let first = house.noise(1, count: 20_000)
        let second = house.changed(first, 3)
        try house.backup(["new": .whole(first)])
        let backup = try house.backup(["f": .delta(second, base: first), "g": .whole(first)])
        try house.pruneFully()
        #expect(try house.restoreAll()[backup] == ["f": second, "g": first])
    }

    @Test("a writer in the middle of its work keeps what it relies on through a whole collection")
    func writerKeepsWhatItReliesOn() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1)), "b": .whole(house.noise(2))])
        let writer = try SmallBackup(house.open())
        #expect(try !writer.add("a", .whole(house.noise(1))))
        try house.forget(old)
        #expect(try house.prune().condemned?.packs == 2)
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        // Not renewed for a day: it would be fenced, so it renews like the thread of a living writer.
        try writer.session.renewNow()
        // After it honoured, what it had not relied on is absent for it.
        #expect(try writer.add("new", .whole(house.noise(5))))
        let swept = try house.prune()
        #expect(swept.deletedPacks == 1)
        #expect(swept.fencedLeases == 0)
        let id = try writer.commit()
        #expect(try house.restoreAll()[id] == ["a": house.noise(1), "new": house.noise(5)])
        try house.pruneFully()
        #expect(try house.restoreAll()[id] == ["a": house.noise(1), "new": house.noise(5)])
    }

    @Test("a writer that committed and kept packs is nobody at work, though its snapshot is forgotten")
    func keeperIsOver() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        try house.forget(old)
        #expect(try house.prune().condemned?.packs == 2)
        try writer.session.renewNow()
        let id = try writer.commit()
        let last = try house.backup(["b": .whole(house.noise(2))])
        #expect(try !house.names("leases/").isEmpty, "its lease says what it keeps of the open generation")
        try house.forget(id)
        // Ten minutes later, with no one at work.
        house.clock.advance(by: .seconds(600))
        let swept = try house.prune { $0.isExclusive = true }
        #expect(swept.deletedPacks > 0)
        #expect(try house.restoreAll() == [last: ["b": house.noise(2)]])
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        try house.pruneFully()
        #expect(try house.names("leases/").isEmpty)
        #expect(try house.names("packs/").count == 2)
    }

    @Test("a writer that opens after a generation does not rely on its packs")
    func lateWriterDoesNotReuse() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.forget(old)
        _ = try house.prune()
        let writer = try SmallBackup(house.open())
        #expect(try writer.add("a", .whole(house.noise(1))))
        house.clock.advance(by: LeaseTimes.grace + .seconds(1))
        try writer.session.renewNow()
        #expect(try house.prune().deletedPacks == 2)
        let id = try writer.commit()
        #expect(try house.restoreAll() == [id: ["a": house.noise(1)]])
    }

    @Test("an unrenewed writer blocks a sweep for half an hour, then is fenced and cannot commit")
    func frozenWriterIsFenced() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        let writer = try SmallBackup(house.open())
        try writer.add("a", .whole(house.noise(1)))
        let root = try writer.flush()
        try house.forget(old)
        _ = try house.prune()
        house.clock.advance(by: LeaseTimes.grace - .seconds(600))
        try writer.session.lease.renew()
        house.clock.advance(by: .seconds(601))
        let waiting = try house.prune()
        #expect(waiting.deletedPacks == 0)
        #expect(waiting.waiting?.waitingFor.map(\.id) == [writer.session.lease.id])
        house.clock.advance(by: LeaseTimes.expiry)
        let swept = try house.prune()
        #expect(swept.fencedLeases == 1)
        #expect(swept.deletedPacks == 2)
        let error = #expect(throws: HoldfastError.self) { try writer.commit(root) }
        #expect(error?.code == .leaseLost)
        writer.session.close()
        #expect(try house.restoreAll().isEmpty)
        try house.pruneFully()
        #expect(try house.names("packs/").isEmpty)
        #expect(try house.names("leases/").isEmpty)
    }
}
