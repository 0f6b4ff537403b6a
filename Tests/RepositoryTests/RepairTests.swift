// The index is rebuilt from packs, and what is lost heals at the next backup.

import Compression
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite struct RepairTests {
    private func repair(_ history: History, readsData: Bool = false, isDryRun: Bool = false) throws -> RepairReport {
        var options = RepairOptions()
        options.readsData = readsData
        options.isDryRun = isDryRun
        return try history.small.opened(on: history.store).repairIndex(options)
    }

    /// Every chunk of the page file, its delta too, can be read and relied on by a new backup.
    private func expectReuse(_ history: History, _ comment: Comment) throws {
        let index = try history.small.opened(on: history.store).loadIndex().index
        var count = 0
        for run in index.runs {
            for place in 0..<run.run.entryCount {
                #expect(index.find(run.entry(place).id, for: .reuse) != nil, comment)
                count += 1
            }
        }
        #expect(count >= 23, comment)
    }

    @Test("a good index is left alone")
    func nothingToDo() throws {
        let history = try History(seed: 40)
        let before = try history.keys("")
        for readsData in [false, true] {
            let report = try repair(history, readsData: readsData)
            #expect(!report.isNeeded && report.runsKept == 3)
        }
        #expect(try history.keys("") == before)
    }

    @Test("the index is rebuilt after all of its objects are gone")
    func allGone() throws {
        let history = try History(seed: 41)
        for key in try history.keys("index/") { try history.store.delete(key) }
        #expect(try history.check().hasErrors)
        let dry = try repair(history, isDryRun: true)
        #expect(dry.isNeeded && dry.runsWritten.isEmpty)
        #expect(try history.keys("index/").isEmpty)
        let report = try repair(history)
        #expect(report.packsIndexed == (try history.keys("packs/").count) && report.chunksIndexed == 23)
        #expect(report.packsVerified == report.packsIndexed && report.packsOfNobody == 0)
        let after = try history.check(.all)
        #expect(!after.hasErrors && after.counts.chunksVerified == 23, "\(after.text)")
        try expectReuse(history, "all gone")
        let keyless = try KeylessCheck(history.store, environment: history.small.environment).run(CheckOptions())
        #expect(!keyless.hasErrors, "\(keyless.text)")
        #expect(!(try repair(history)).isNeeded, "a second repair has nothing to do")
    }

    @Test("one index object in every kind of harm is replaced", arguments: Harm.allCases)
    func oneHarmed(_ harm: Harm) throws {
        let other = try History(seed: 142)
        for number in 0..<3 {
            let history = try History(seed: 42)
            let key = try history.keys("index/")[number]
            try harm.apply(to: key, in: history, other: other)
            let report = try repair(history)
            #expect(report.runsReplaced == [ObjectNames.indexRunID(key)].compactMap { $0 } && report.runsKept == 2)
            let after = try history.check(.all)
            #expect(!after.hasErrors, "\(harm) \(number): \(after.text)")
            try expectReuse(history, "\(harm) \(number)")
            #expect(history.store.objectsSetAside.map(\.key) == (harm == .missing ? [] : [key]))
        }
    }

    @Test("a repair that breaks off at any call can be repeated")
    func brokenOff() throws {
        var calls = 0
        var isDone = false
        while !isDone {
            let history = try History(seed: 43)
            for key in try history.keys("index/").dropFirst() { try history.store.delete(key) }
            let faulty = FaultyStore(history.store)
            let repository = try history.small.opened(on: faulty)
            faulty.add(
                StoreFault(
                    .fail(HoldfastError(.inputOutput, "pulled", hint: "Plug it in.")), on: .put, skipping: calls))
            do {
                _ = try repository.repairIndex(RepairOptions())
                isDone = true
            } catch {
                #expect(error.message == "pulled")
            }
            _ = try repair(history)
            #expect(!(try history.check()).hasErrors)
            calls += 1
        }
        #expect(calls == 2)
    }

    @Test("chunks of a lost pack are stored again by the next backup")
    func lostPackHeals() throws {
        let history = try History(seed: 44)
        let pack = try #require(try history.packs(.page).first)
        try history.store.delete(pack)
        let report = try repair(history)
        #expect(report.packsMissing.map { ObjectNames.pack($0) } == [pack])
        // What exists is whole; the snapshots that lost chunks still say so.
        let after = try history.check()
        #expect(after.findings(.error).allSatisfy { $0.problem == .chunkMissing }, "\(after.text)")
        #expect(after.hasErrors)
        try heal(history)
        let healed = try history.check(.all)
        #expect(!healed.hasErrors, "\(healed.text)")
    }

    @Test("a rotten pack is set aside, and its chunks are stored again by the next backup")
    func rottenPackHeals() throws {
        let history = try History(seed: 45)
        let pack = try #require(try history.packs(.page).first)
        history.store.damage(pack) { $0[PackHead.size + 700] ^= 1 }
        #expect(!(try repair(history)).isNeeded, "without reading the data nothing shows")
        let dry = try repair(history, readsData: true, isDryRun: true)
        #expect(dry.packsSetAside.count == 1 && history.store.objectsSetAside.isEmpty)
        let report = try repair(history, readsData: true)
        #expect(report.packsSetAside.map { ObjectNames.pack($0) } == [pack])
        #expect(history.store.objectsSetAside.map(\.key) == [pack])
        try heal(history)
        #expect(!(try history.check(.all)).hasErrors)
    }

    /// Backs the two generations up once more.
    private func heal(_ history: History) throws {
        let repository = try history.small.opened(on: history.store)
        let base = try noise(3 * HistoryWriter.blockSize, seed: 1 &+ history.seed)
        try HistoryWriter(repository: repository, source: "home")
            .commit([HistoryFile(name: "table", bytes: base, isPaged: true)])
    }

    @Test("a pack whose table of contents is damaged is named and left")
    func damagedTable() throws {
        let history = try History(seed: 46)
        let pack = try #require(try history.packs(.delta).first)
        history.store.damage(pack) { $0[$0.count - PackHead.size - 900] ^= 1 }
        for key in try history.keys("index/") { try history.store.delete(key) }
        let report = try repair(history)
        #expect(report.unreadable.map(\.object) == [pack.path])
        #expect(try history.keys("packs/").contains(pack))
        let after = try history.check()
        #expect(Set(after.findings(.error).map(\.object)) == [pack.path, "index"], "\(after.text)")
    }

    @Test("a maintainer rebuilds the index, and packs of unknown writers are not relied on")
    func maintainer() throws {
        let history = try History(seed: 47)
        let admin = history.small.repository
        _ = try admin.addKey(
            Repository.NewKey(
                label: "m", role: .maintainer, secret: HistoryRepository.secret("maintainer"),
                derivation: .scrypt(logN: 10, p: 1)))
        for key in try history.keys("index/") { try history.store.delete(key) }
        let repository = try history.small.opened(on: history.store, secret: "maintainer")
        let report = try repository.repairIndex()
        #expect(report.packsOfNobody > 0 && report.packsVerified > 0)
        let after = try history.check(.all)
        #expect(!after.hasErrors && after.counts.chunksVerified == 23, "\(after.text)")
        let page = try #require(try history.packs(.page).first.flatMap(ObjectNames.packID))
        let index = try history.small.opened(on: history.store).loadIndex().index
        let run = try #require(index.runs.first)
        let place = try #require((0..<run.run.entryCount).first { run.run.packs[Int(run.entry($0).pack)].id == page })
        #expect(index.find(run.entry(place).id, for: .reading) != nil)
        #expect(index.find(run.entry(place).id, for: .reuse) == nil)
    }

    @Test("a writer may not repair, and cannot vouch for the packs of others")
    func writer() throws {
        let history = try History(seed: 48)
        _ = try history.small.repository.addKey(
            Repository.NewKey(
                label: "w", role: .writer, secret: HistoryRepository.secret("writer"),
                derivation: .scrypt(logN: 10, p: 1)))
        let writer = try history.small.opened(on: history.store, secret: "writer")
        #expect(throws: HoldfastError.self) { try writer.repairIndex() }
        // A forged run says that the admin wrote a pack; the admin does not rely on it.
        let pack = IndexedPack(
            id: PackID(Bytes32(w0: 5)), length: 3, kind: .data, slot: history.small.repository.keyring.slot)
        let entry = IndexEntry(
            id: Bytes16(w0: 9), pack: 0, offset: 0, stored: 1, codec: .stored, depth: 0, raw: 1)
        _ = try writer.putRun(packs: [pack], entries: [(entry, Bytes16())], supersedes: [])
        let bytes: [UInt8] = [1, 2, 3]
        try history.store.putIfAbsent(ObjectNames.pack(pack.id), bytes.span.bytes)
        let index = try history.small.opened(on: history.store).loadIndex().index
        #expect(index.find(entry.id, for: .reading) != nil && index.find(entry.id, for: .reuse) == nil)
    }
}
