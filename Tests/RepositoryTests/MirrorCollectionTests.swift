// Mirrors of repositories that are pruned, and prunes of mirrors.

import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite("Mirrors and collections")
struct MirrorCollectionTests {
    private func mirror(_ house: SmallHouse, to target: any ObjectStore) throws -> MirrorReport {
        try Mirror(from: house.store, to: target, environment: SmallHouse.environment(house.clock, 7)).run()
    }

    /// Twelve files that stay, and one more with each backup; all but the newest snapshot are forgotten and pruned.
    private func prunedHouse(generations: Int) throws -> SmallHouse {
        let house = try SmallHouse()
        var files: [String: SmallFile] = [:]
        for number in 0..<12 { files["f\(number)"] = .whole(house.noise(UInt64(number))) }
        var last = try house.backup(files)
        for number in 0..<generations {
            files["new"] = .whole(house.noise(UInt64(100 + number)))
            let next = try house.backup(files)
            try house.forget(last)
            try house.pruneFully()
            last = next
        }
        return house
    }

    @Test("a repository that was pruned many times can be mirrored, and its check is clean")
    func mirrorAfterPrunes() throws {
        let house = try prunedHouse(generations: 6)
        let target = MemoryStore(clock: house.clock)
        let report = try mirror(house, to: target)
        #expect(report.isComplete && report.snapshotsCopied == 1, "\(report)")
        let check = try house.open().check(CheckOptions())
        #expect(!check.hasErrors, "\(check.text)")
        #expect(!(try house.open(through: target).check(CheckOptions())).hasErrors)
    }

    @Test("a snapshot whose runs were merged again and again is whole for check and mirror")
    func runsOfAnOldSnapshot() throws {
        let house = try SmallHouse()
        let kept = try house.backup(["a": .whole(house.noise(1))])
        for round in 0..<4 {
            for number in 0..<10 {
                let bytes = house.noise(UInt64(100 * round + number + 10))
                try house.forget(try house.backup(["b": .whole(bytes)], source: "other"), source: "other")
            }
            try house.pruneFully()
        }
        #expect(try house.restoreAll() == [kept: ["a": house.noise(1)]])
        let check = try house.open().check(CheckOptions())
        #expect(!check.hasErrors, "\(check.text)")
        let target = MemoryStore(clock: house.clock)
        let report = try mirror(house, to: target)
        #expect(report.isComplete && report.snapshotsCopied == 1, "\(report)")
        #expect(!(try house.open(through: target).check(CheckOptions())).hasErrors)
    }

    @Test("a mirror that was pruned itself does not get a snapshot back whose packs it swept, and says so")
    func prunedMirror() throws {
        let house = try SmallHouse()
        let kept = try house.backup(["b": .whole(house.noise(2))])
        let target = MemoryStore(clock: house.clock)
        try mirror(house, to: target).requireComplete()
        try target.delete(ObjectNames.snapshot(try house.repository.tag(ofSource: "home"), kept))
        try house.pruneFully(try house.open(through: target))
        let next = try house.backup(["c": .whole(house.noise(3))], source: "other")
        let report = try mirror(house, to: target)
        #expect(report.withheld.map(\.snapshot).contains(kept) && !report.isComplete, "\(report)")
        #expect(report.badAtTarget.count == 2)
        let there = try house.open(through: target)
        #expect(!(try there.snapshots()).snapshots.map(\.id).contains(kept))
        let check = try there.check(CheckOptions())
        #expect(!check.hasErrors, "\(check.text)")
        _ = next
    }

    @Test("a sweep at the source deletes nothing at the mirror, which keeps what it lists")
    func sweepsStayAtHome() throws {
        let house = try SmallHouse()
        let old = try house.backup(["a": .whole(house.noise(1))])
        try house.backup(["b": .whole(house.noise(2))])
        let target = MemoryStore(clock: house.clock)
        try mirror(house, to: target).requireComplete()
        try house.forget(old)
        let packs = try house.names("packs/")
        // A store that refuses deletes keeps the generation swept and not done.
        let locked = FaultyStore(
            house.store, clock: house.clock,
            faults: [
                StoreFault(
                    .fail(HoldfastError(.accessDenied, "locked", hint: "Wait.")), on: .delete, prefix: "packs/",
                    times: .max)
            ])
        try house.pruneFully(try house.open(through: locked))
        #expect(try house.names("gc/") == ["gc/1", "gc/1.sweep"])
        _ = try mirror(house, to: target)
        let there = try house.open(through: target)
        _ = try there.repairIndex(RepairOptions())
        let collector = try Collector(there)
        _ = try collector.run(try collector.plan())
        for pack in packs {
            let key = try #require(ObjectKey(pack))
            #expect(try target.info(key) != nil, "\(pack)")
        }
        #expect(try there.loadIndex().collections.doomedPacks.isEmpty)
    }
}
