// Deltas whose base is not what it should be: they are refused before they are put, and the block is stored whole.

import Compression
import ObjectStore
import Primitives
import Recovery
import Repository
import Sealing
import TestSupport
import Testing

/// What became of the base since the index was read.
enum BaseRot: String, CaseIterable, Sendable {
    /// Its pack is gone, and a run of the index names it still.
    case missing
    /// Its pack was swept, and a late put of it shows again.
    case doomed
    case condemned
    case flipped
    /// Its pack has another length.
    case truncated
}

@Suite("A delta against a base that is not what it should be")
struct DeltaBaseTests {
    private let tree = SourceTree()
    private let cache = TemporaryDirectory()
    private let test: TestRepository
    private let block = Int(1) << Int(Content.pageBlockShift)
    private let name = "pages.db"

    init() throws { test = try TestRepository() }

    /// A page file of two blocks, cut by pages.
    private func pages(seed: UInt64) -> [UInt8] {
        var bytes = pageFile(blocks: 1, seed: seed)
        bytes += randomBytes(2 * block - bytes.count, seed: seed &+ 1)
        return bytes
    }

    /// `bytes` with a few of them changed in each block, so that a delta pays.
    private func touched(_ bytes: [UInt8], _ mark: UInt8) -> [UInt8] {
        var bytes = bytes
        for start in stride(from: 0, to: bytes.count, by: block) { bytes[start + 5000] ^= mark }
        return bytes
    }

    private func id(_ bytes: some Sequence<UInt8>) throws -> ChunkID {
        let bytes = Array(bytes)
        return ChunkID(KeyedHash.digest(key: try test.repository.keyring.key(.dataID), bytes.span.bytes))
    }

    /// As a new command opens it, with runs of the index kept from earlier ones.
    private func open(on store: (any ObjectStore)? = nil) throws -> Repository {
        var environment = test.environment
        environment.cacheDirectory = cache.path
        return try Repository.open(
            store ?? test.store, secret: TestRepository.secret(TestRepository.password), environment: environment)
    }

    /// That the snapshot holds `bytes`, read from the store as it is now.
    private func expect(_ summary: BackupSummary, _ bytes: [UInt8], _ note: String = "") throws {
        #expect(try contents(open(), try #require(summary.snapshot))["/" + name] == bytes, "\(note)")
    }

    private func packs(_ kind: PackKind) throws -> [PackID] {
        try open().loadIndex().index.runs.flatMap(\.run.packs).filter { $0.kind == kind }.map(\.id)
    }

    @Test("is made where the base is right, or these tests would show nothing")
    func control() throws {
        let first = pages(seed: 700)
        try tree.write(name, first)
        try expect(try backUp(open(), tree), first)
        let second = touched(first, 1)
        try tree.write(name, second)
        let summary = try backUp(open(), tree)
        #expect(summary.record.counts.deltas == 2)
        try expect(summary, second)
    }

    @Test("is not made: the base decodes, and to other bytes than its id says", arguments: [0, 1, 3] as [UInt8])
    func wrongBytes(depth: UInt8) throws {
        let first = pages(seed: 710)
        let right = [Array(first[..<block]), Array(first[block...])]
        // A writer with faulty memory put other bytes under both ids, sealed and signed as they should be.
        let packsBefore = try Set(test.repository.listPacks().keys)
        let session = try WriterSession(open(), tag: try test.repository.tag(ofSource: "faulty"))
        let encoder = try ChunkEncoder(.zstd(level: 3))
        for plain in right {
            var wrong = plain
            wrong[77] ^= 0x20
            guard try session.resolve([id(plain)]) == [.wanted] else { Issue.record("it is there already"); return }
            var below = randomBytes(block, seed: 712)
            for level in 0...depth {
                let bytes = level == depth ? wrong : touched(wrong, level + 1)
                let own = level == depth ? try id(plain) : try id(bytes)
                if level == 0 {
                    try bytes.withUnsafeBytes {
                        try session.append(.page, id: own, codec: .stored, raw: bytes.count, $0)
                    }
                } else {
                    var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: block))
                    let room = output.count
                    let count = try output.withUnsafeMutableBytes {
                        try encoder.encodeDelta(bytes.span.bytes, base: below.span.bytes, into: $0, limit: room)
                    }
                    let stored = try #require(count)
                    let baseID = try id(below).bytes.prefix
                    try output.withUnsafeBytes {
                        try session.append(
                            .delta, id: own, codec: .zstdDelta, depth: level, raw: bytes.count, base: baseID,
                            UnsafeRawBufferPointer(rebasing: $0[..<stored]))
                    }
                }
                below = bytes
            }
        }
        try session.flush()
        session.close()
        let faulty = try Set(test.repository.listPacks().keys).subtracting(packsBefore)
        // The parent snapshot leans on them, since their ids are there: that is for check to find.
        try tree.write(name, first)
        #expect(try backUp(open(), tree).record.counts.chunksReused == 2)
        let second = touched(first, 64)
        try tree.write(name, second)
        let summary = try backUp(open(), tree)
        #expect(summary.record.counts.deltas == 0, "a delta leans on a chunk that is not what its id says")
        try expect(summary, second)
        // And nothing of it needs the packs that the faulty writer put.
        for pack in faulty { try test.store.delete(ObjectNames.pack(pack)) }
        try expect(summary, second, "without the faulty packs")
    }

    @Test("is not made, and the block is stored whole", arguments: BaseRot.allCases)
    func rotten(rot: BaseRot) throws {
        let first = pages(seed: 720)
        try tree.write(name, first)
        _ = try backUp(open(), tree)
        let base = try #require(try packs(.page).first)
        let key = ObjectNames.pack(base)
        let keyring = test.repository.keyring
        func step(_ kind: ObjectKind, _ key: ObjectKey) throws {
            let object = CollectionObject(
                kind: kind, repository: test.repository.id, generation: 1, slot: keyring.slot,
                made: test.clock.now(), packs: [base], runs: [])
            let bytes = try object.encoded(signer: keyring.signing)
            try test.store.putIfAbsent(key, bytes.span.bytes)
        }
        switch rot {
        case .missing: try test.store.delete(key)
        case .flipped:
            test.store.damage(key) { bytes in
                let segments = stride(from: PackHead.size, to: bytes.count, by: Segments.storedSize)
                for start in segments.dropLast() { bytes[start + 100] ^= 1 }
            }
        case .truncated: test.store.damage(key) { $0.removeLast(PackHead.size) }
        case .condemned: try step(.condemned, ObjectNames.condemned(1))
        case .doomed:
            try step(.condemned, ObjectNames.condemned(1))
            try step(.sweep, ObjectNames.sweep(1))
        }
        let second = touched(first, 1)
        try tree.write(name, second)
        let summary = try backUp(open(), tree)
        #expect(summary.record.counts.deltas == 0, "\(rot)")
        #expect(summary.record.counts.chunksNew >= 2, "\(rot)")
        try expect(summary, second, "\(rot)")
        if rot != .missing { try test.store.delete(key) }
        try expect(summary, second, "\(rot), without the base")
    }

    @Test("is not made when the base goes between the look at the index and its reading")
    func goesMeanwhile() throws {
        let first = pages(seed: 730)
        try tree.write(name, first)
        _ = try backUp(open(), tree)
        let base = ObjectNames.pack(try #require(try packs(.page).first))
        let second = touched(first, 1)
        try tree.write(name, second)
        let store = test.store
        let faulty = FaultyStore(store, clock: test.clock)
        // The listing showed it; whoever reads it comes too late.
        faulty.add(StoreFault(.run { _ = try? store.delete(base) }, on: .read, prefix: base.path, times: 1))
        let summary = try backUp(open(on: faulty), tree, threads: 1)
        #expect(try store.info(base) == nil)
        #expect(summary.record.counts.deltas == 0)
        try expect(summary, second)
    }
}
