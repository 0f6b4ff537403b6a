// A writer of small snapshots over the real session.

import Compression
import Primitives
import Repository
import Sealing

/// One backup of a source, step by step, with pauses in between.
final class SimulatedBackup {
    private let repository: Repository
    private let session: WriterSession
    private let store: SimulatedStore
    /// Whether the session is closed as soon as the snapshot is committed, for a staged history.
    var goesAtOnce = false
    private let mutation: Mutation?
    private let encoder: ChunkEncoder
    private let dataHash: KeyedHash
    private let metaHash: KeyedHash

    private var world: World { store.world }
    private var patience: Int { world.truth.patience }

    init(_ repository: Repository, _ source: SimulatedSource, _ store: SimulatedStore, _ mutation: Mutation?)
        throws(HoldfastError)
    {
        self.repository = repository
        self.store = store
        self.mutation = mutation
        encoder = try ChunkEncoder(.none)
        dataHash = KeyedHash(key: try repository.keyring.key(.dataID))
        metaHash = KeyedHash(key: try repository.keyring.key(.metaID))
        let opened = store.world.now
        session = try WriterSession(repository, tag: try repository.tag(ofSource: source.name))
        store.world.truth.opened[session.lease.id] = opened
    }

    func close() { session.close() }

    /// Stores `source` and commits.
    func run(_ source: SimulatedSource, parent: SimulatedSource) throws(HoldfastError) {
        let previous = try repository.snapshots(of: session.tag).latest(of: session.tag)
        var entries: [Entry] = []
        for file in source.files.sorted(by: { $0.name < $1.name }) {
            if world.dice.chance(patience / 2) { pause() }
            entries.append(
                try add(file.name, file.blocks, isUnchanged: parent.plain[file.name] == source.plain[file.name]))
            if world.dice.chance(2000) { try session.flush() }
        }
        if world.dice.chance(patience) { pause() }
        let node = DirectoryNode(.entries(entries)).encoded
        let id = ChunkID(metaHash.digest(node.span.bytes))
        try store(id, .meta, node, base: nil)
        try session.flush()
        if world.dice.chance(patience) { pause() }
        var record = SnapshotRecord(
            source: source.name, workload: "dir", host: "simulated", toolVersion: "0", runID: session.lease.id,
            started: repository.clock.now())
        let root = Entry(EntryMetadata(name: [], kind: .directory), tree: NodeReference(id: id, level: 0))
        record.roots = [SnapshotRoot(path: Array("/".utf8), entry: root)]
        world.truth.files[session.lease.id] = source.plain
        _ = try session.commit(record, previous: previous)
        world.truth.committed.insert(session.lease.id)
        world.truth.count("commits")
        world.tell("\(store.actor.name) committed \(session.lease.id)")
        if !goesAtOnce, world.dice.chance(2000) { pause() }
    }

    private func pause() {
        let hours = world.dice.pick([0, 1, 5, 24, 26, 30, 50]) ?? 0
        store.wait(.seconds(hours * 3600 + world.dice.below(1800)))
    }

    private func add(_ name: String, _ blocks: [Block], isUnchanged: Bool) throws(HoldfastError) -> Entry {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: .file)
        var pieces: [ContentPiece] = []
        for block in blocks {
            let plain = block.bytes
            pieces.append(
                ContentPiece(id: ChunkID(dataHash.digest(plain.span.bytes)), length: UInt64(plain.count)))
        }
        metadata.size = pieces.reduce(0) { $0 + $1.length }
        if !(isUnchanged && session.relyOnAll(pieces.map(\.id))) {
            for (block, piece) in zip(blocks, pieces) {
                try store(piece.id, block.version == 0 ? .page : .data, block.bytes, base: block.before?.bytes)
            }
        }
        return Entry(
            metadata,
            content: Content(rule: .content, blockShift: 0, size: metadata.size, location: .inline(pieces)))
    }

    private func store(_ id: ChunkID, _ kind: PackKind, _ plain: [UInt8], base: [UInt8]?) throws(HoldfastError) {
        if isTrustedWrongly(id) { return }
        guard case .wanted? = try session.resolve([id]).first else { return }
        if let base {
            let baseID = ChunkID(dataHash.digest(base.span.bytes))
            if let (location, _) = session.base(baseID), location.entry.depth < 8 {
                var room = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: plain.count) + 64)
                let limit = plain.count
                var span = room.mutableSpan
                let isDelta = try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) -> Bool in
                    let raw = UnsafeMutableRawBufferPointer(buffer)
                    guard
                        let count = try encoder.encodeDelta(
                            plain.span.bytes, base: base.span.bytes, into: raw, limit: limit)
                    else { return false }
                    try session.append(
                        .delta, id: id, codec: .zstdDelta, depth: location.entry.depth + 1, raw: limit,
                        base: baseID.bytes.prefix, UnsafeRawBufferPointer(rebasing: raw[..<count]))
                    return true
                }
                if isDelta { return }
            }
        }
        let span = plain.span.bytes
        try span.withUnsafeBytes { (raw) throws(HoldfastError) in
            try session.append(kind, id: id, codec: .stored, raw: raw.count, raw)
        }
    }

    /// What a writer with a mutation takes for stored although it must not.
    private func isTrustedWrongly(_ id: ChunkID) -> Bool {
        let index = session.index
        guard mutation != nil, index.find(id.bytes.prefix, for: .reuse) == nil else { return false }
        switch mutation {
        case .trustsEntries: return index.runs.contains { !$0.places(of: id.bytes.prefix).isEmpty }
        case .trustsBases: return !index.copies(of: id.bytes.prefix).isEmpty
        default: return false
        }
    }
}
