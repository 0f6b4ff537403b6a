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
    }

    private let bases: BaseReader
    private let decoder: ChunkDecoder
    private let hashes: [ContentClass: KeyedHash]
    private let output = GrowingBuffer()

    init(index: Index, packs: PackReader, keyring: Keyring) throws(HoldfastError) {
        bases = try BaseReader(index: index, packs: packs)
        decoder = try ChunkDecoder()
        var hashes: [ContentClass: KeyedHash] = [:]
        for content in [ContentClass.data, .secret, .meta] {
            if let key = keyring.current.keys[content.idKey] { hashes[content] = KeyedHash(key: key) }
        }
        self.hashes = hashes
    }

    /// - Throws: `.notPermitted` when this client has no id key for such chunks, or may not read a base.
    func examine(
        _ pieces: [ChunkPiece], in stream: UnsafeRawBufferPointer, badSegments: [Int], of pack: PackID,
        _ kind: PackKind
    ) throws(HoldfastError) -> Result {
        guard let hash = hashes[kind.contentClass] else {
            throw HoldfastError(
                .notPermitted, "this key does not hold the id key of \(kind) packs", hint: "Use a key that may read.")
        }
        var result = Result()
        let bad = Set(badSegments)
        for piece in pieces {
            let name = CopyName(pack: pack, id: piece.id)
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
            if piece.depth > 0 {
                try examineDelta(piece, stored, name, hash, &result)
            } else {
                check(piece, stored, base: nil, name, hash, &result)
            }
        }
        return result
    }

    @discardableResult
    private func check(
        _ piece: ChunkPiece, _ stored: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?, _ name: CopyName,
        _ hash: KeyedHash, _ result: inout Result
    ) -> Bool {
        let room = output.room(piece.raw)
        do throws(HoldfastError) {
            let input = RawSpan(_unsafeBytes: stored)
            if let base {
                try decoder.decode(piece.codec, input, base: RawSpan(_unsafeBytes: base), into: room)
            } else {
                try decoder.decode(piece.codec, input, base: nil, into: room)
            }
        } catch {
            result.add(name, error.message)
            return false
        }
        let found = ChunkID(hash.digest(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(room))))
        guard piece.fullID.map({ $0 == found }) ?? (found.bytes.prefix == piece.id) else {
            result.add(name, "a chunk decodes to other bytes than its id says")
            return false
        }
        result.verified += 1
        result.plainBytes += UInt64(piece.raw)
        return true
    }

    private func examineDelta(
        _ piece: ChunkPiece, _ stored: UnsafeRawBufferPointer, _ name: CopyName, _ hash: KeyedHash,
        _ result: inout Result
    ) throws(HoldfastError) {
        switch try bases.base(piece.base, below: piece.depth) {
        case nil, .noBase: result.withoutBase += 1
        case .bad(let link, let error):
            result.add(CopyName(pack: link.pack, id: link.entry.id), error.message)
        case .plain(let base):
            var attempt = Result()
            if check(piece, stored, base: base, name, hash, &attempt) {
                result.verified += 1
                result.plainBytes += UInt64(piece.raw)
                return
            }
            // Only now every base is hashed as well, to tell which link of the chain is to blame.
            let again = try bases.base(piece.base, below: piece.depth) { link, plain in
                hash.digest(RawSpan(_unsafeBytes: plain)).prefix == link.entry.id
            }
            if case .bad(let link, let error) = again {
                result.add(CopyName(pack: link.pack, id: link.entry.id), error.message)
            } else {
                result.add(name, attempt.firstMessage)
            }
        }
    }
}
