// Snapshots made by hand from the structs of the format, also such as no backup would write.

import Compression
import ObjectStore
import Primitives
import Recovery
import Repository
import Sealing
import TestSupport
import Testing

/// Writes chunks, nodes and one snapshot.
final class SnapshotForge {
    let session: WriterSession
    private let keys: Keyring

    init(_ repository: Repository, source: String = "forged") throws {
        session = try WriterSession(repository, tag: try repository.tag(ofSource: source))
        keys = repository.keyring
    }

    func put(_ bytes: [UInt8], _ kind: PackKind) throws -> ChunkID {
        let key = try keys.key(kind.contentClass.idKey)
        let id = ChunkID(KeyedHash.digest(key: key, bytes.span.bytes))
        if case .wanted = try session.resolve([id])[0] {
            try bytes.withUnsafeBytes {
                try session.append(kind, id: id, codec: .stored, raw: bytes.count, $0)
            }
        }
        return id
    }

    /// Stores `bytes` as a delta of the given depth against `base`, without asking whether that is wise.
    func putDelta(_ bytes: [UInt8], base: [UInt8], depth: UInt8) throws -> ChunkID {
        let key = try keys.key(.dataID)
        let id = ChunkID(KeyedHash.digest(key: key, bytes.span.bytes))
        let baseID = ChunkID(KeyedHash.digest(key: key, base.span.bytes))
        let encoder = try ChunkEncoder(.zstd(level: 3))
        var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: bytes.count))
        let room = output.count
        let count = try output.withUnsafeMutableBytes {
            try encoder.encodeDelta(bytes.span.bytes, base: base.span.bytes, into: $0, limit: room)
        }
        let stored = try #require(count)
        try output.withUnsafeBytes {
            try session.append(
                .delta, id: id, codec: .zstdDelta, depth: depth, raw: bytes.count, base: baseID.bytes.prefix,
                UnsafeRawBufferPointer(rebasing: $0[..<stored]))
        }
        return id
    }

    func file(_ name: String, _ bytes: [UInt8], _ change: (inout EntryMetadata) -> Void = { _ in }) throws -> Entry {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .file)
        metadata.size = UInt64(bytes.count)
        metadata.mode = 0o644
        change(&metadata)
        let piece = ContentPiece(id: try put(bytes, .data), length: UInt64(bytes.count))
        return Entry(
            metadata, content: Content(rule: .content, blockShift: 0, size: piece.length, location: .inline([piece])))
    }

    func link(_ name: String, to target: String, _ change: (inout EntryMetadata) -> Void = { _ in }) -> Entry {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .symbolicLink)
        metadata.linkTarget = Array(target.utf8)
        change(&metadata)
        return Entry(metadata)
    }

    func directory(_ name: String, _ entries: [Entry]) throws -> Entry {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .directory)
        metadata.mode = 0o755
        let sorted = entries.sorted { $0.metadata.name.lexicographicallyPrecedes($1.metadata.name) }
        let node = try put(DirectoryNode(.entries(sorted)).encoded, .meta)
        return Entry(metadata, tree: NodeReference(id: node, level: 0))
    }

    func commit(_ roots: [SnapshotRoot], workload: String = "dir") throws -> SnapshotID {
        try session.flush()
        let clock = session.repository.clock
        var record = SnapshotRecord(
            source: "forged", workload: workload, host: "h", toolVersion: "t",
            runID: try ULID(at: clock.now(), entropy: session.repository.entropy), started: clock.now())
        record.roots = roots
        let id = try session.commit(record, previous: nil)
        session.close()
        return id
    }

    /// Commits a single directory.
    func commit(_ entries: [Entry]) throws -> SnapshotID {
        try commit([SnapshotRoot(path: Array("/source".utf8), entry: try directory("", entries))])
    }
}
