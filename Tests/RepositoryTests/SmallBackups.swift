// A repository in memory with a clock that tests turn, and a writer of small snapshots.

import Compression
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

/// What one file of a small snapshot holds.
enum SmallFile {
    case whole([UInt8])
    /// The bytes, stored as a delta against other bytes that the repository holds.
    case delta([UInt8], base: [UInt8])

    var plain: [UInt8] {
        switch self {
        case .whole(let bytes), .delta(let bytes, _): bytes
        }
    }
}

/// A store, a clock, and a repository whose admin key is at hand.
final class SmallHouse {
    let clock = HandClock()
    let store: MemoryStore
    let repository: Repository
    let seed: UInt64

    init(seed: UInt64 = 1, capabilities: StoreCapabilities? = nil) throws {
        self.seed = seed
        store =
            if let capabilities { MemoryStore(clock: clock, capabilities: capabilities) } else {
                MemoryStore(clock: clock)
            }
        repository = try Repository.create(
            in: store, secret: Self.secret(1), derivation: .rawKey, label: "admin", compression: "zstd",
            environment: Self.environment(clock, seed))
    }

    static func secret(_ number: UInt8) -> SecretBytes {
        let bytes = [UInt8](repeating: number, count: 32)
        return SecretBytes(copying: bytes.span.bytes)
    }

    static func environment(_ clock: HandClock, _ seed: UInt64) -> Environment {
        var environment = TestRepository.environment(clock: clock)
        environment.entropy = SeededEntropy(seed: seed)
        return environment
    }

    /// The same repository with another key, or through another store.
    func open(_ number: UInt8 = 1, through other: (any ObjectStore)? = nil, seed: UInt64 = 99) throws -> Repository {
        try Repository.open(
            other ?? store, secret: Self.secret(number), environment: Self.environment(clock, self.seed &+ seed))
    }

    func add(_ role: Role, _ number: UInt8, rights: Rights = []) throws -> Repository {
        _ = try repository.reloadingKeys().addKey(
            .init(
                label: "\(role) \(number)", role: role, rights: rights, secret: Self.secret(number), derivation: .rawKey
            ))
        return try open(number, seed: UInt64(number) &* 1000)
    }

    func names(_ prefix: String) throws -> Set<String> {
        var names: Set<String> = []
        try store.list(prefix) { (info) throws(HoldfastError) in names.insert(info.key.path) }
        return names
    }

    func prune(
        _ repository: Repository? = nil, _ change: (inout PruneOptions) -> Void = { _ in }
    ) throws -> PruneReport {
        var options = PruneOptions()
        options.maximumUnused = 100
        change(&options)
        let collector = try Collector(repository ?? self.repository, options: options)
        return try collector.run(try collector.plan())
    }

    /// Condemns, waits for the grace and sweeps.
    func pruneFully(_ repository: Repository? = nil) throws {
        _ = try prune(repository)
        clock.advance(by: LeaseTimes.grace + .seconds(1))
        _ = try prune(repository)
    }
}

/// A backup that is under way: files are added one by one, and committed when the test says so.
final class SmallBackup {
    let session: WriterSession
    private let repository: Repository
    private let source: String
    private var entries: [Entry] = []
    private let encoder: ChunkEncoder
    var flags: [String] = []

    init(_ repository: Repository, source: String = "home") throws {
        self.repository = repository
        self.source = source
        encoder = try ChunkEncoder(.none)
        session = try WriterSession(repository, tag: try repository.tag(ofSource: source))
    }

    /// Adds a file; true when its chunk had to be stored.
    @discardableResult
    func add(_ name: String, _ file: SmallFile) throws -> Bool {
        let plain = file.plain
        let id = ChunkID(KeyedHash(key: try repository.keyring.key(.dataID)).digest(plain.span.bytes))
        let isWanted = try store(id, .data, file)
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .file)
        metadata.size = UInt64(plain.count)
        let piece = ContentPiece(id: id, length: UInt64(plain.count))
        entries.append(
            Entry(
                metadata,
                content: Content(rule: .content, blockShift: 0, size: UInt64(plain.count), location: .inline([piece]))))
        return isWanted
    }

    private func store(_ id: ChunkID, _ kind: PackKind, _ file: SmallFile) throws -> Bool {
        guard case .wanted? = try session.resolve([id]).first else { return false }
        let plain = file.plain
        if case .delta(_, let base) = file {
            let hash = KeyedHash(key: try repository.keyring.key(.dataID))
            let baseID = ChunkID(hash.digest(base.span.bytes))
            if let location = session.base(baseID)?.location, location.entry.depth < 8 {
                var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: plain.count) + 64)
                let limit = plain.count
                let count = try output.withUnsafeMutableBytes { raw in
                    try encoder.encodeDelta(plain.span.bytes, base: base.span.bytes, into: raw, limit: limit)
                }
                if let count {
                    try output.withUnsafeBytes { raw in
                        try session.append(
                            .delta, id: id, codec: .zstdDelta, depth: location.entry.depth + 1, raw: plain.count,
                            base: baseID.bytes.prefix, UnsafeRawBufferPointer(rebasing: raw[..<count]))
                    }
                    return true
                }
            }
        }
        try plain.withUnsafeBytes { raw in
            try session.append(kind, id: id, codec: .stored, raw: plain.count, raw)
        }
        return true
    }

    /// Stores a directory of entries that are in order.
    func addNode(_ entries: [Entry]) throws -> ChunkID {
        let node = DirectoryNode(.entries(entries)).encoded
        let id = ChunkID(KeyedHash(key: try repository.keyring.key(.metaID)).digest(node.span.bytes))
        _ = try store(id, .meta, .whole(node))
        return id
    }

    /// Writes the directory and puts everything into the store; nothing is committed.
    func flush() throws -> Entry {
        let id = try addNode(entries.sorted { $0.metadata.name.lexicographicallyPrecedes($1.metadata.name) })
        try session.flush()
        return Entry(EntryMetadata(name: [], kind: .directory), tree: NodeReference(id: id, level: 0))
    }

    @discardableResult
    func commit() throws -> SnapshotID {
        try commit(try flush())
    }

    @discardableResult
    func commit(_ root: Entry) throws -> SnapshotID {
        try commit(root, after: try repository.snapshots(of: session.tag).latest(of: session.tag))
    }

    @discardableResult
    func commit(_ root: Entry, after previous: Snapshot?) throws -> SnapshotID {
        let now = repository.clock.now()
        var record = SnapshotRecord(
            source: source, workload: "dir", host: "test", toolVersion: "0", runID: session.lease.id, started: now)
        record.roots = [SnapshotRoot(path: Array("/".utf8), entry: root)]
        record.flags = flags
        let id = try session.commit(record, previous: previous)
        session.close()
        return id
    }
}

extension SmallHouse {
    /// Takes a whole snapshot at once.
    @discardableResult
    func backup(
        _ files: [String: SmallFile], source: String = "home", as repository: Repository? = nil
    ) throws -> SnapshotID {
        let backup = try SmallBackup(repository ?? self.repository, source: source)
        for (name, file) in files.sorted(by: { $0.key < $1.key }) { try backup.add(name, file) }
        return try backup.commit()
    }

    func forget(_ id: SnapshotID, source: String = "home") throws {
        try store.delete(ObjectNames.snapshot(try repository.tag(ofSource: source), id))
    }

    /// Reads every chunk of every snapshot; the plain files by snapshot and name.
    func restoreAll() throws -> [SnapshotID: [String: [UInt8]]] {
        let repository = try open()
        let listing = try repository.snapshots()
        if let (key, error) = listing.damaged.first { throw error.with("snapshot", key) }
        let state = try repository.loadIndex()
        let packs = PackReader(store: store, keyring: repository.keyring)
        let tree = try repository.makeTree(state.index, packs: packs)
        let chunks = try ChunkReader(index: state.index, packs: packs, keyring: repository.keyring)
        var all: [SnapshotID: [String: [UInt8]]] = [:]
        for snapshot in listing.snapshots {
            var files: [String: [UInt8]] = [:]
            guard let root = snapshot.record?.roots.first?.entry.tree else { continue }
            try tree.entries(of: root) { (entry) throws(HoldfastError) in
                var bytes: [UInt8] = []
                if let content = entry.content {
                    try tree.pieces(of: content) { (_, piece) throws(HoldfastError) in
                        bytes += try chunks.read(piece.id, .data)
                    }
                }
                files[String(decoding: entry.metadata.name, as: UTF8.self)] = bytes
            }
            all[snapshot.id] = files
        }
        return all
    }

    /// Bytes that do not compress, the same for the same number.
    func noise(_ number: UInt64, count: Int = 3000) -> [UInt8] {
        let entropy = SeededEntropy(seed: seed &* 7919 &+ number)
        var bytes = [UInt8](repeating: 0, count: count)
        bytes.withUnsafeMutableBytes { entropy.fill($0) }
        return bytes
    }

    /// `base` with a few bytes changed.
    func changed(_ base: [UInt8], _ number: UInt8) -> [UInt8] {
        var bytes = base
        for place in 0..<16 { bytes[place * 7] = bytes[place * 7] &+ number &+ 1 }
        return bytes
    }
}
