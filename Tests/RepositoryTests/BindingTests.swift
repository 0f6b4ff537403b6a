// Objects under names that are not theirs, packs under the names of other writers, and numbers that do not add up.

import Compression
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Bindings of the format")
struct BindingTests {
    /// Stores one chunk of `class` under a session of its own and leaves it indexed.
    private func store(_ bytes: [UInt8], _ kind: PackKind, by repository: Repository) throws -> ChunkID {
        let key = try repository.keyring.key(kind.contentClass.idKey)
        let id = ChunkID(KeyedHash.digest(key: key, bytes.span.bytes))
        let session = try WriterSession(repository, tag: SourceTag(Bytes16(w0: 1)))
        defer { session.close() }
        #expect(try session.resolve([id]) == [.wanted])
        try bytes.span.bytes.withUnsafeBytes { (raw) throws(HoldfastError) in
            try session.append(kind, id: id, codec: .stored, raw: raw.count, raw)
        }
        try session.flush()
        return id
    }

    @Test("a writer cannot pass its packs off as the admin's")
    func vouching() throws {
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let id = try store([1, 2, 3], .data, by: writer)
        let admin = try test.open()
        let run = try #require(try writer.loadIndex().index.runs.first)
        #expect(try writer.loadIndex().index.find(id.bytes.prefix, for: .reuse) != nil)
        #expect(try admin.loadIndex().index.find(id.bytes.prefix, for: .reuse) == nil)
        // The same pack and the same entry in a run that names the admin as the writer of the pack.
        var pack = run.run.packs[0]
        pack.slot = admin.keyring.slot
        _ = try writer.putRun(packs: [pack], entries: [(run.entry(0), Bytes16())], supersedes: [])
        #expect(try admin.loadIndex().index.runs.count == 2)
        #expect(try admin.loadIndex().index.find(id.bytes.prefix, for: .reuse) == nil)
        #expect(try admin.loadIndex().index.find(id.bytes.prefix, for: .reading) != nil)
        // Whoever may merge runs speaks for others.
        _ = try admin.putRun(packs: [pack], entries: [(run.entry(0), Bytes16())], supersedes: [])
        #expect(try admin.loadIndex().index.find(id.bytes.prefix, for: .reuse) != nil)
    }

    @Test("a run that names an epoch which nobody was granted stops no reader and no writer")
    func runOfNoEpoch() throws {
        let house = try SmallHouse()
        let first = try house.backup(["a": .whole(house.noise(1))])
        let writer = try house.add(.writer, 8)
        let run = IndexRunObject(
            repository: writer.id, epoch: 999, slot: writer.keyring.slot, made: house.clock.now(), supersedes: [],
            packs: [], entries: [])
        let bytes = try run.encoded(
            indexKey: try writer.keyring.indexKey(1), signer: writer.keyring.signing, entropy: SeededEntropy(seed: 5))
        let id = IndexRunID(SHA256.digest(bytes.span.bytes))
        try house.store.putIfAbsent(ObjectNames.indexRun(id), bytes.span.bytes)
        #expect(try house.open().loadIndex().damaged.map(\.run) == [id])
        let second = try house.backup(["a": .whole(house.noise(1))])
        #expect(try Set(house.restoreAll().keys) == [first, second])
    }

    @Test("an old format object under a new number is refused")
    func formatNumber() throws {
        let test = try TestRepository()
        let bytes = try test.store.get(ObjectNames.format(1), limit: FormatObject.maximumSize)
        try test.store.putIfAbsent(ObjectNames.format(2), bytes.span.bytes)
        let error = #expect(throws: HoldfastError.self) { try test.open() }
        #expect(error?.code == .rollbackDetected)
    }

    @Test("a tombstone under another name than its own is damage, not a tombstone")
    func tombstoneName() throws {
        let test = try TestRepository()
        let admin = test.repository
        let tag = SourceTag(Bytes16(w0: 5))
        let (buried, other) = (ULID(Bytes16(w0: 7)), ULID(Bytes16(w0: 8)))
        let bytes = try TombstoneObject(
            repository: admin.id, tag: tag, snapshot: buried, slot: admin.keyring.slot, generation: 1,
            made: test.clock.now()
        ).encoded(signer: admin.keyring.signing)
        try test.store.putIfAbsent(ObjectNames.snapshot(tag, buried), bytes.span.bytes)
        try test.store.putIfAbsent(ObjectNames.snapshot(tag, other), bytes.span.bytes)
        let listing = try admin.snapshots()
        #expect(listing.tombstones.map(\.id) == [buried])
        #expect(listing.damaged.map(\.key) == [ObjectNames.snapshot(tag, other)])
    }

    @Test("an init that broke off after its first object can be repeated in the same directory")
    func brokenInit() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/repository"
        let first = try LocalStore.create(at: path, reserve: .kibi(0))
        let remains: [UInt8] = [1, 2, 3]
        try first.putIfAbsent(ObjectNames.epoch(1), remains.span.bytes)
        let again = try LocalStore.create(at: path, reserve: .kibi(0))
        let repository = try Repository.create(
            in: again, secret: TestRepository.secret("password"), derivation: TestRepository.derivation, label: "test",
            compression: "zstd:3", environment: TestRepository.environment(clock: SystemClock()))
        #expect(repository.keyring.role == .admin)
    }

    @Test("pieces whose lengths run over do not add up to a size")
    func inlineOverflow() throws {
        let pieces = [ContentPiece(id: .zeros, length: .max), ContentPiece(id: .zeros, length: 6)]
        var writer = ByteWriter()
        Content(rule: .content, blockShift: 0, size: 5, location: .inline(pieces)).write(to: &writer)
        let bytes = writer.bytes
        let error = #expect(throws: HoldfastError.self) {
            var reader = ByteReader(bytes, as: "content")
            return try Content(from: &reader)
        }
        #expect(error?.code == .corruptObject)
    }

    @Test("a tree whose lengths run over is damage, not a trap")
    func treeOverflow() throws {
        let test = try TestRepository()
        let pieces = [ContentPiece(id: .zeros, length: .max), ContentPiece(id: .zeros, length: 6)]
        let node = try store(ContentNode(level: 0, pieces: pieces).encoded(blockSize: 0), .meta, by: test.repository)
        let tree = try test.repository.makeTree(try test.repository.loadIndex().index)
        for size in [5, UInt64.max] {
            let content = Content(
                rule: .content, blockShift: 0, size: size, location: .tree(NodeReference(id: node, level: 0)))
            let error = #expect(throws: HoldfastError.self) {
                try tree.pieces(of: content) { (_, _) throws(HoldfastError) in }
            }
            #expect(error?.code == .corruptObject)
        }
    }

    @Test("a record that no reader would take is not committed")
    func recordSize() throws {
        let test = try TestRepository()
        let keyring = test.repository.keyring
        let object = SnapshotObject(
            repository: test.repository.id, tag: SourceTag(Bytes16()), id: ULID(Bytes16()), sequence: 1,
            previous: Bytes32(), epoch: 1, formatNumber: 1, slot: keyring.slot, runs: [])
        let record = SnapshotRecord(
            source: String(repeating: "x", count: SnapshotRecord.maximumSize), workload: "dir", host: "host",
            toolVersion: "test", runID: ULID(Bytes16()), started: test.clock.now())
        let error = #expect(throws: HoldfastError.self) {
            try object.encoded(
                record, recipients: keyring.recipients(structure: true), signer: keyring.signing,
                entropy: SystemEntropy())
        }
        #expect(error?.code == .limitExceeded)
    }

    @Test("of two grants for one slot and epoch the one issued last rules, in whatever order they are read")
    func lastGrant() throws {
        func grant(_ role: Role, issued: Int64) -> GrantObject {
            GrantObject(
                repository: RepositoryID(Bytes16(w0: 1)), sealingKey: Bytes32(w0: 1), signingKey: Bytes32(w0: 2),
                epoch: 1, role: role, rights: [], issued: Timestamp(seconds: issued), label: "", sources: [])
        }
        let (old, new) = (grant(.admin, issued: 1), grant(.writer, issued: 2))
        for grants in [[old, new], [new, old]] {
            #expect(Keyring.roster(of: grants)[old.slot]?.roles == [1: .writer])
        }
    }
}
