// Decodes all chunks of a pack that is in memory, and compares each with its id.

import Compression
import Primitives
import Sealing

/// Verifies chunks.
///
/// Thread: one at a time; make one per thread.
final class ChunkExaminer {
    /// What became of a pack's chunks.
    struct Result {
        var verified: UInt64 = 0
        var plainBytes: UInt64 = 0
        /// Copies that are bad, in this pack and among the bases in others.
        var bad: [CopyName] = []
        var withoutBase = 0
        var firstMessage = ""

        mutating func add(_ name: CopyName, _ message: String) {
            if bad.isEmpty { firstMessage = message }
            if !bad.contains(name) || bad.count > 256 { bad.append(name) }
        }

        mutating func add(_ other: Result) {
            verified += other.verified
            plainBytes += other.plainBytes
            withoutBase += other.withoutBase
            if bad.isEmpty { firstMessage = other.firstMessage }
            bad += other.bad
        }
    }

    private let bases: BaseReader
    private let decoder: ChunkDecoder
    private let hashes: [ContentClass: KeyedHash]
    /// One for each chunk that waits.
    private let outputs = [GrowingBuffer(), GrowingBuffer()]
    private var waiting: [Decoded] = []

    /// A chunk that waits to be compared with its id.
    private struct Decoded {
        var piece: ChunkPiece
        var name: CopyName
        var bytes: UnsafeRawBufferPointer
    }

    init(index: Index, packs: PackReader, keyring: Keyring) throws(HoldfastError) {
        bases = try BaseReader(index: index, packs: packs)
        decoder = try ChunkDecoder()
        var hashes: [ContentClass: KeyedHash] = [:]
        for content in [ContentClass.data, .secret, .meta] {
            if let key = keyring.current.keys[content.idKey] { hashes[content] = KeyedHash(key: key) }
        }
        self.hashes = hashes
    }

    /// Verifies some of a pack's chunks.
    ///
    /// - Throws: `.notPermitted` when this client has no id key for such chunks, or may not read a base.
    func examine(
        _ pieces: ArraySlice<ChunkPiece>, of chunks: SharedChunks, _ result: inout Result
    ) throws(HoldfastError) {
        guard let hash = hashes[chunks.kind.contentClass] else {
            throw HoldfastError(
                .notPermitted, "this key does not hold the id key of \(chunks.kind) packs",
                hint: "Use a key that may read.")
        }
        let (stream, bad) = (chunks.stream, chunks.badSegments)
        // A failure has left what it was about to compare.
        waiting.removeAll(keepingCapacity: true)
        for piece in pieces {
            let name = CopyName(pack: chunks.pack, id: piece.id)
            guard piece.offset + piece.stored <= stream.count else {
                result.add(name, "a chunk lies past the end of the body")
                continue
            }
            let segments =
                piece.offset / Segments.plainSize...max(
                    piece.offset, piece.offset + piece.stored - 1) / Segments.plainSize
            if let first = bad.isEmpty ? nil : segments.first(where: bad.contains) {
                result.add(name, "segment \(first) does not open")
                continue
            }
            let stored = UnsafeRawBufferPointer(rebasing: stream[piece.offset..<piece.offset + piece.stored])
            try take(piece, stored, name, hash, &result)
            if waiting.count == outputs.count { try settle(hash, &result) }
        }
        try settle(hash, &result)
    }

    /// Decodes a chunk, which then waits to be compared with its id.
    private func take(
        _ piece: ChunkPiece, _ stored: UnsafeRawBufferPointer, _ name: CopyName, _ hash: KeyedHash,
        _ result: inout Result
    ) throws(HoldfastError) {
        var base: UnsafeRawBufferPointer?
        if piece.depth > 0 {
            switch try bases.base(piece.base, below: piece.depth) {
            case nil, .noBase:
                result.withoutBase += 1
                return
            case .bad(let link, let error):
                result.add(CopyName(pack: link.pack, id: link.entry.id), error.message)
                return
            case .plain(let plain): base = plain
            }
        }
        let room = outputs[waiting.count].room(piece.raw)
        do throws(HoldfastError) {
            let input = RawSpan(_unsafeBytes: stored)
            if let base {
                try decoder.decode(piece.codec, input, base: RawSpan(_unsafeBytes: base), into: room)
            } else {
                try decoder.decode(piece.codec, input, base: nil, into: room)
            }
        } catch {
            return try blame(piece, name, error.message, hash, &result)
        }
        waiting.append(Decoded(piece: piece, name: name, bytes: UnsafeRawBufferPointer(room)))
    }

    /// Compares the chunks that wait with their ids, two at a time.
    private func settle(_ hash: KeyedHash, _ result: inout Result) throws(HoldfastError) {
        defer { waiting.removeAll(keepingCapacity: true) }
        guard let first = waiting.first, let last = waiting.last else { return }
        var digests = [Bytes32]()
        if waiting.count == 2 {
            let both = hash.digests(RawSpan(_unsafeBytes: first.bytes), RawSpan(_unsafeBytes: last.bytes))
            digests = [both.0, both.1]
        } else {
            digests = [hash.digest(RawSpan(_unsafeBytes: first.bytes))]
        }
        for (chunk, digest) in zip(waiting, digests) {
            let (piece, found) = (chunk.piece, ChunkID(digest))
            if piece.fullID.map({ $0 == found }) ?? (found.bytes.prefix == piece.id) {
                result.verified += 1
                result.plainBytes += UInt64(piece.raw)
            } else {
                try blame(piece, chunk.name, "a chunk decodes to other bytes than its id says", hash, &result)
            }
        }
    }

    /// Notes which copy is to blame for a chunk that is not what it should be: itself, or for a delta a link below it.
    private func blame(
        _ piece: ChunkPiece, _ name: CopyName, _ message: String, _ hash: KeyedHash, _ result: inout Result
    ) throws(HoldfastError) {
        guard piece.depth > 0 else { return result.add(name, message) }
        // Only now every base is hashed as well, to tell which link of the chain it is.
        let again = try bases.base(piece.base, below: piece.depth) { link, plain in
            hash.digest(RawSpan(_unsafeBytes: plain)).prefix == link.entry.id
        }
        if case .bad(let link, let error) = again {
            result.add(CopyName(pack: link.pack, id: link.entry.id), error.message)
        } else {
            result.add(name, message)
        }
    }
}
