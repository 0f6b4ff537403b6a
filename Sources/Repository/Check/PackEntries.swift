// The entries of one pack in a run, and the forms in which a table of contents and an index are compared.

import Compression
import ObjectStore
import Primitives

/// What both an index entry and a line of a table of contents say of a chunk.
struct EntryShape: Hashable {
    var id: Bytes16
    var offset: UInt32
    var stored: UInt32
    var raw: UInt32
    var codec: UInt8
    var depth: UInt8
    var base: Bytes16

    init(_ entry: IndexEntry, base: Bytes16?) {
        id = entry.id
        offset = entry.offset
        stored = entry.stored
        raw = entry.raw
        codec = entry.codec?.rawValue ?? .max
        depth = entry.depth
        self.base = base ?? Bytes16()
    }

    init(_ chunk: ChunkRecord) {
        id = chunk.id.bytes.prefix
        offset = chunk.offset
        stored = chunk.stored
        raw = chunk.raw
        codec = chunk.codec.rawValue
        depth = chunk.depth
        base = chunk.base
    }
}

/// A chunk in a pack's stream, from its table of contents or, when that is damaged, from the index.
struct ChunkPiece {
    var id: Bytes16
    /// Nil when only the index tells.
    var fullID: ChunkID?
    var codec: Codec
    var depth: UInt8
    var offset: Int
    var stored: Int
    var raw: Int
    var base: Bytes16

    init(_ chunk: ChunkRecord) {
        id = chunk.id.bytes.prefix
        fullID = chunk.id
        codec = chunk.codec
        depth = chunk.depth
        offset = Int(chunk.offset)
        stored = Int(chunk.stored)
        raw = Int(chunk.raw)
        base = chunk.base
    }

    init?(_ entry: IndexEntry, base: Bytes16?) {
        guard let codec = entry.codec else { return nil }
        id = entry.id
        self.codec = codec
        depth = entry.depth
        offset = Int(entry.offset)
        stored = Int(entry.stored)
        raw = Int(entry.raw)
        self.base = base ?? Bytes16()
    }
}

/// Look-ups by pack in a run, which is sorted by chunk.
enum PackEntries {
    /// All entries of the pack at `place`, in order of chunks; a pass over the run.
    static func entries(of place: Int, in run: LoadedRun) -> [(entry: IndexEntry, base: Bytes16?)] {
        var found: [(entry: IndexEntry, base: Bytes16?)] = []
        for at in 0..<run.run.entryCount {
            let entry = run.entry(at)
            if Int(entry.pack) == place { found.append((entry, entry.depth > 0 ? run.base(of: at) : nil)) }
        }
        return found
    }
}

/// Sweeps that came after the listing of a check.
struct Retired {
    private let objects: CheckedObjects

    init(_ objects: CheckedObjects) { self.objects = objects }

    /// The packs that signed sweeps name now.
    func read(_ collector: CheckCollector) throws(HoldfastError) -> Set<PackID> {
        var keys: [ObjectKey] = []
        try collector.store.list(ObjectNames.collections) { (info) throws(HoldfastError) in keys.append(info.key) }
        var packs: Set<PackID> = []
        for key in keys {
            guard let named = ObjectNames.collection(key), named.kind != .condemned else { continue }
            do throws(HoldfastError) {
                let bytes = try collector.store.get(key, limit: CollectionObject.maximumSize)
                let step = try CollectionObject(bytes, name: key.path)
                try objects.require(step.repository, step.generation == named.generation, name: key.path)
                try objects.verify(bytes, by: step.slot, name: key.path) { $0.mayCollect }
                packs.formUnion(step.packs)
            } catch {
                // A damaged sweep explains nothing; it has a finding of its own at the next check.
                continue
            }
        }
        return packs
    }
}
