// A tiny writer of snapshots for tests: whole files in memory, one chunk or a few for each, straight over a session.

import Compression
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

/// A repository in memory with a clock and randomness of its own.
struct HistoryRepository {
    static let password = "correct horse"
    let store: MemoryStore
    let clock: HandClock
    let environment: Environment
    let repository: Repository

    init(seed: UInt64, store: MemoryStore? = nil) throws {
        let clock = HandClock()
        self.clock = clock
        self.store = store ?? MemoryStore(clock: clock)
        environment = Environment(clock: clock, entropy: SeededEntropy(seed: seed), logger: LocalStore.silent)
        repository = try Repository.create(
            in: self.store, secret: Self.secret(Self.password), derivation: .scrypt(logN: 10, p: 1), label: "admin",
            compression: "zstd", environment: environment)
    }

    static func secret(_ text: String) -> SecretBytes {
        var bytes = Array(text.utf8)
        return SecretBytes(wiping: &bytes)
    }

    /// The same repository through another store.
    func opened(on store: any ObjectStore, secret: String = Self.password) throws -> Repository {
        try Repository.open(store, secret: Self.secret(secret), environment: environment)
    }
}

/// A file of a small snapshot.
struct HistoryFile {
    var name: String
    var bytes: [UInt8]
    /// Stored as page blocks of 128 KiB, as deltas against the parent's where there is one.
    var isPaged = false
}

/// Writes snapshots of flat directories.
struct HistoryWriter {
    let repository: Repository
    let source: String
    static let blockSize = 1 << 17

    /// Commits a snapshot of `files` in order of their names; deltas are made against `parent`.
    @discardableResult
    func commit(_ files: [HistoryFile], parent: [HistoryFile] = [], closing: Bool = true) throws -> SnapshotID {
        let tag = try repository.tag(ofSource: source)
        let previous = try repository.snapshots(of: tag).latest(of: tag)
        let session = try WriterSession(repository, tag: tag)
        defer { if closing { session.close() } }
        let dataHash = KeyedHash(key: try repository.keyring.key(.dataID))
        let metaHash = KeyedHash(key: try repository.keyring.key(.metaID))
        let encoder = try ChunkEncoder(.standard)
        var entries: [Entry] = []
        for file in files.sorted(by: { Array($0.name.utf8).lexicographicallyPrecedes(Array($1.name.utf8)) }) {
            var metadata = EntryMetadata(name: Array(file.name.utf8), kind: .file)
            metadata.size = UInt64(file.bytes.count)
            let old = parent.first { $0.name == file.name }
            let pieces = try store(file, old, session, dataHash, encoder)
            entries.append(
                Entry(
                    metadata,
                    content: Content(
                        rule: file.isPaged ? .pages : .content, blockShift: file.isPaged ? 17 : 0,
                        size: UInt64(file.bytes.count), location: .inline(pieces))))
        }
        let node = DirectoryNode(.entries(entries)).encoded
        let id = ChunkID(metaHash.digest(node.span.bytes))
        if case .wanted? = try session.resolve([id]).first {
            try node.withUnsafeBytes { raw in
                try session.append(.meta, id: id, codec: .stored, raw: raw.count, raw)
            }
        }
        try session.flush()
        var record = SnapshotRecord(
            source: source, workload: "dir", host: "host", toolVersion: "1", runID: session.lease.id,
            started: repository.clock.now())
        let root = Entry(
            EntryMetadata(name: [], kind: .directory), tree: NodeReference(id: id, level: 0))
        record.roots = [SnapshotRoot(path: Array("/\(source)".utf8), entry: root)]
        return try session.commit(record, previous: previous)
    }

    private func store(
        _ file: HistoryFile, _ old: HistoryFile?, _ session: WriterSession, _ hash: KeyedHash, _ encoder: ChunkEncoder
    ) throws -> [ContentPiece] {
        var pieces: [ContentPiece] = []
        let size = file.isPaged ? Self.blockSize : max(1, (file.bytes.count + 7) / 8)
        for start in stride(from: 0, to: file.bytes.count, by: size) {
            let plain = Array(file.bytes[start..<min(file.bytes.count, start + size)])
            let id = ChunkID(hash.digest(plain.span.bytes))
            pieces.append(ContentPiece(id: id, length: UInt64(plain.count)))
            guard case .wanted? = try session.resolve([id]).first else { continue }
            if file.isPaged, let old, start < old.bytes.count {
                let base = Array(old.bytes[start..<min(old.bytes.count, start + size)])
                let baseID = ChunkID(hash.digest(base.span.bytes))
                if let (location, _) = session.base(baseID), location.entry.depth < 8 {
                    var room = [UInt8](repeating: 0, count: plain.count + 64)
                    let size = try room.withUnsafeMutableBytes { raw in
                        try encoder.encodeDelta(
                            plain.span.bytes, base: base.span.bytes, into: raw, limit: plain.count / 2)
                    }
                    if let size {
                        try room.withUnsafeBytes { raw in
                            try session.append(
                                .delta, id: id, codec: .zstdDelta, depth: location.entry.depth + 1,
                                raw: plain.count, base: baseID.bytes.prefix,
                                UnsafeRawBufferPointer(rebasing: raw[..<size]))
                        }
                        continue
                    }
                }
            }
            try plain.withUnsafeBytes { raw in
                try session.append(file.isPaged ? .page : .data, id: id, codec: .stored, raw: plain.count, raw)
            }
        }
        return pieces
    }
}

/// Bytes that do not compress and do not repeat.
func noise(_ count: Int, seed: UInt64) throws -> [UInt8] { try SeededEntropy(seed: seed).bytes(count) }
