// The check with a key: clean repositories are clean, and all damage is named with what it hurts.

import Compression
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@Suite struct CheckTests {
    @Test("a clean repository is clean, and everything in it was looked at")
    func clean() throws {
        let history = try History(seed: 1)
        for selection in [DataSelection.none, .all] {
            let report = try history.check(selection)
            #expect(!report.hasErrors && report.findings(.warning).isEmpty, "\(report.text)")
            #expect(report.isComplete && report.transientReads.isEmpty)
            #expect(report.counts.snapshots == 3 && report.counts.nodes == 3)
            #expect(report.counts.packs == report.counts.packsRead || selection == .none)
        }
        let data = try history.check(.all)
        #expect(data.counts.packBytesRead == data.counts.packBytes)
        // 3 blocks and a delta, 8 chunks of text, 8 of the other source, 3 nodes.
        #expect(data.counts.chunksVerified == 3 + 1 + 8 + 8 + 3)
        try data.requireClean()
    }

    @Test("every kind of object in every kind of harm is named", arguments: Harm.allCases)
    func harms(_ harm: Harm) throws {
        let other = try History(seed: 77)
        for directory in ["packs/", "index/", "snapshots/", "grants/", "slots/", "epochs/"] {
            let history = try History(seed: 2)
            // Opened first: without its own slot, grant or epoch a client could not look at all.
            let repository = try history.small.opened(on: history.store)
            let key = try #require(try history.keys(directory).first)
            try harm.apply(to: key, in: history, other: other)
            var options = CheckOptions()
            options.data = .all
            let report = try repository.check(options)
            if directory == "snapshots/", harm == .missing {
                // Whoever may forget may remove a snapshot, so that this is no error.
                #expect(report.counts.snapshots == 2)
                continue
            }
            // What is missing can only be named as far as what points to it tells.
            let isNamed = report.findings(.error).contains { finding in
                harm == .missing ? key.path.hasPrefix(finding.object) : finding.object == key.path
            }
            #expect(isNamed && report.hasErrors, "\(harm) \(key): \(report.text)")
            #expect(throws: HoldfastError.self) { try report.requireClean() }
        }
    }

    @Test("a bad page pack hurts the files of both generations, and nothing else")
    func hurts() throws {
        let history = try History(seed: 3)
        let pack = try #require(try history.packs(.page).first)
        history.store.damage(pack) { $0[PackHead.size + 100] ^= 1 }
        #expect(!(try history.check()).hasErrors, "structure does not read bodies")
        let report = try history.check(.all)
        let finding = try #require(report.errors(about: pack.path).first)
        // The first block is whole in both generations: the flipped byte lies in its segments.
        #expect(finding.damage.names == ["/home/table"])
        #expect(finding.damage.snapshots == Array(history.snapshots.prefix(2)))
        #expect(finding.damage.pathCount == 2)
        #expect(report.findings(.error).count == 1, "\(report.text)")
    }

    @Test("a delta whose base is gone hurts its own snapshot too")
    func missingBase() throws {
        let history = try History(seed: 4)
        let pack = try #require(try history.packs(.page).first)
        try history.store.delete(pack)
        for selection in [DataSelection.none, .all] {
            let report = try history.check(selection)
            let finding = try #require(report.errors(about: pack.path).first, "\(report.text)")
            #expect(finding.problem == .missing)
            #expect(finding.damage.snapshots == Array(history.snapshots.prefix(2)))
            #expect(finding.damage.names == ["/home/table"])
        }
    }

    @Test("a bad delta pack hurts the second generation alone")
    func badDelta() throws {
        let history = try History(seed: 5)
        let pack = try #require(try history.packs(.delta).first)
        history.store.damage(pack) { $0[PackHead.size + 9] ^= 1 }
        let finding = try #require(try history.check(.all).errors(about: pack.path).first)
        #expect(finding.damage.snapshots == [history.snapshots[1]])
        #expect(finding.damage.names == ["/home/table"])
    }

    @Test("a bad node hurts the directory that it lists")
    func badNode() throws {
        let history = try History(seed: 6)
        let pack = try #require(try history.packs(.meta).first)
        history.store.damage(pack) { $0[PackHead.size + 9] ^= 1 }
        let report = try history.check()
        let finding = try #require(report.errors(about: pack.path).first, "\(report.text)")
        #expect(finding.damage.pathCount == 1)
        #expect(finding.damage.names.isSubset(of: ["/home", "/other"]))
    }

    @Test("paths are counted beyond their limit")
    func pathLimit() throws {
        let history = try History(seed: 7)
        try history.store.delete(try #require(try history.packs(.page).first))
        var options = CheckOptions()
        options.pathsPerObject = 1
        let report = try history.small.repository.check(options)
        let damage = try #require(report.findings(.error).first).damage
        #expect(damage.paths.count == 1 && damage.pathCount == 2 && damage.snapshots.count == 2)
    }

    @Test("a read that is bad once is transient")
    func transient() throws {
        let history = try History(seed: 8)
        for (method, prefix, selection) in [
            (StoreMethod.read, "packs/", DataSelection.all), (.read, "packs/", .none), (.get, "index/", .none),
            (.get, "snapshots/", .none),
        ] {
            let repository = try history.small.opened(
                on: FaultyStore(
                    history.store, faults: [StoreFault(.flipBit(8 * 100), on: method, prefix: prefix, times: 1)]))
            var options = CheckOptions()
            options.data = selection
            options.threads = 1
            let report = try repository.check(options)
            #expect(!report.hasErrors, "\(method) \(prefix): \(report.text)")
            #expect(report.transientReads.count == 1, "\(method) \(prefix)")
        }
    }

    @Test("threads that have no pack of their own help with the chunks, and find what one thread finds")
    func helpers() throws {
        let history = try History(seed: 21)
        let writer = HistoryWriter(repository: history.small.repository, source: "large")
        let before = Set(try history.packs(.page))
        _ = try writer.commit([
            HistoryFile(name: "large", bytes: try noise(30 * HistoryWriter.blockSize, seed: 22), isPaged: true)
        ])
        let pack = try #require(try history.packs(.page).first { !before.contains($0) })
        for segment in [2, 20, 33] {
            history.store.damage(pack) { $0[PackHead.size + segment * 65_552 + 9] ^= 1 }
        }
        func report(threads: Int) throws -> CheckReport {
            var options = CheckOptions()
            options.data = .all
            options.threads = threads
            return try history.small.repository.check(options)
        }
        let alone = try report(threads: 1)
        let finding = try #require(alone.errors(about: pack.path).first)
        #expect(finding.message.contains("chunks are bad"), "\(alone.text)")
        for threads in [2, 3, 8, 8, 8, 8] {
            let together = try report(threads: threads)
            // Which of the bad chunks is told first is the threads' affair.
            #expect(together.errors(about: pack.path).map(\.problem) == [finding.problem], "\(together.text)")
            #expect(
                together.errors(about: pack.path).first?.message.prefix { $0 != ":" }
                    == finding.message.prefix { $0 != ":" })
            #expect(together.counts.chunksVerified == alone.counts.chunksVerified)
            #expect(together.counts.plainBytesVerified == alone.counts.plainBytesVerified)
            #expect(together.findings(.error).count == alone.findings(.error).count)
        }
    }

    @Test("a segment in the padding hurts nobody, and is named")
    func padding() throws {
        let history = try History(seed: 9)
        let pack = try #require(try history.packs(.meta).first)
        history.store.damage(pack) { $0[$0.count - PackHead.size - 100] ^= 1 }
        let report = try history.check(.all)
        let finding = try #require(report.errors(about: pack.path).first)
        #expect(finding.damage == CheckDamage(), "\(report.text)")
    }

    @Test("parts of the data add up to all of it, and say what they covered")
    func subsets() throws {
        let history = try History(seed: 10)
        var packs: UInt64 = 0
        for part in 1...3 {
            let report = try history.check(try DataSelection(subset: "\(part)/3"))
            packs += report.counts.packsRead
            #expect(report.counts.packsRead == (try history.check(.part(UInt64(part), of: 3))).counts.packsRead)
        }
        #expect(packs == UInt64(try history.keys("packs/").count))
        #expect(try history.check(try DataSelection(subset: "1%")).counts.packsRead == 1)
        #expect(try history.check(try DataSelection(subset: "1K")).counts.packsRead == 1)
        for text in ["0%", "101%", "0/3", "4/3", "1/0", "x", "", "1/2/3", "-1%"] {
            #expect(throws: HoldfastError.self, "\(text)") { try DataSelection(subset: text) }
        }
    }

    @Test("a hold that a writer signed stops every forget, and the check names it")
    func holdOfAWriter() throws {
        let house = try SmallHouse()
        let id = try house.backup(["a": .whole(house.noise(1))])
        let writer = try house.add(.writer, 8)
        let hold = HoldObject(
            repository: writer.id, id: try ULID(at: house.clock.now(), entropy: SeededEntropy(seed: 4)),
            tag: try writer.tag(ofSource: "home"), snapshot: id, slot: writer.keyring.slot, made: house.clock.now(),
            reason: "none")
        let bytes = try hold.encoded(signer: writer.keyring.signing)
        try house.store.putIfAbsent(ObjectNames.hold(hold.id), bytes.span.bytes)
        let opened = try house.open()
        #expect(throws: HoldfastError.self) { try opened.holds() }
        #expect(try opened.check().errors(about: ObjectNames.hold(hold.id).path).count == 1)
    }

    @Test("a stray object is a warning")
    func strays() throws {
        let history = try History(seed: 11)
        let key = try #require(ObjectKey("packs/zz"))
        let bytes: [UInt8] = [1]
        try history.store.putIfAbsent(key, bytes.span.bytes)
        let report = try history.check()
        #expect(!report.hasErrors && report.findings(.warning).map(\.object) == ["packs/zz"])
    }
}

@Suite struct ForgedIndexTests {
    /// Puts a run of deltas: each item is a chunk, its base and the depth that the run claims.
    private func forge(_ history: History, _ deltas: [(id: UInt64, base: UInt64, depth: UInt8)]) throws -> CheckReport {
        let key = try #require(try history.packs(.delta).first)
        let size = UInt64(try history.store.get(key, limit: .mebi(64)).count)
        let pack = IndexedPack(
            id: try #require(ObjectNames.packID(key)), length: size, kind: .delta,
            slot: history.small.repository.keyring.slot)
        let entries = deltas.map { item in
            (
                entry: IndexEntry(
                    id: Bytes16(w0: item.id), pack: 0, offset: 0, stored: 1, codec: .zstdDelta, depth: item.depth,
                    raw: 1),
                base: Bytes16(w0: item.base)
            )
        }
        _ = try history.small.repository.putRun(packs: [pack], entries: entries, supersedes: [])
        return try history.check()
    }

    @Test("a run with a cycle of deltas ends as entries that fit no pack, and resolves nothing")
    func cycle() throws {
        let history = try History(seed: 12)
        let report = try forge(history, [(1, 2, 3), (2, 1, 3), (3, 3, 1)])
        #expect(report.findings(.error).map(\.problem) == [.indexDiffers], "\(report.text)")
        let index = try history.small.opened(on: history.store).loadIndex().index
        for id in 1...3 { #expect(index.find(Bytes16(w0: UInt64(id)), for: .reading) == nil) }
    }

    @Test("a run with a delta that is too deep is refused as a whole")
    func tooDeep() throws {
        let history = try History(seed: 13)
        let report = try forge(history, [(1, 2, 9)])
        #expect(report.findings(.error).map(\.problem) == [.damaged], "\(report.text)")
    }
}
