// The work on chunks: id, look-up, encoding plain or as a delta, proof by decoding, and the hand-over to a pack.

import Chunking
import Compression
import Glibc
import Logging
import Primitives
import Repository
import Sealing

/// Works on batches of chunks.
///
/// Thread: one at a time; each worker makes its own, with contexts and buffers of its own.
final class ChunkStage {
    /// A delta this many times smaller than its block is kept without asking how large the block would be alone.
    private static let clearWin = 64

    private let session: WriterSession
    private let dataHash: KeyedHash
    private let metaHash: KeyedHash
    private let secretHash: KeyedHash
    private let encoder: ChunkEncoder
    private let decoder: ChunkDecoder
    private let reader: ChunkReader
    private let readsBases: Bool
    private let verifies: Bool
    private let whole: UnsafeMutableRawBufferPointer
    private let delta: UnsafeMutableRawBufferPointer
    private let proof: UnsafeMutableRawBufferPointer

    init(_ session: WriterSession, setting: CompressionSetting, verifies: Bool) throws(HoldfastError) {
        self.session = session
        self.verifies = verifies
        let keyring = session.repository.keyring
        dataHash = KeyedHash(key: try keyring.key(.dataID))
        metaHash = KeyedHash(key: try keyring.key(.metaID))
        secretHash = KeyedHash(key: try keyring.key(.secretID))
        encoder = try ChunkEncoder(setting)
        decoder = try ChunkDecoder()
        reader = try ChunkReader(index: session.index, packs: session.packReader, keyring: keyring)
        readsBases = keyring.canReadData || keyring.current.rights.contains(.readback)
        whole = .allocate(byteCount: ChunkEncoder.bound(for: ContentJob.capacity), alignment: 64)
        delta = .allocate(byteCount: ContentJob.capacity, alignment: 64)
        proof = .allocate(byteCount: ContentJob.capacity, alignment: 64)
    }

    deinit {
        whole.deallocate()
        delta.deallocate()
        proof.deallocate()
    }

    /// Gives every piece of the batch its id and stores those that the repository lacks.
    func process(_ job: ContentJob) throws(HoldfastError) {
        let places = job.pieces.indices.filter { place in
            !isAllZero(RawSpan(_unsafeBytes: job.bytes(job.pieces[place])))
        }
        identify(places.filter { job.pieces[$0].rule != .secret }, of: job)
        for place in places where job.pieces[place].rule == .secret {
            let bytes = RawSpan(_unsafeBytes: job.bytes(job.pieces[place]))
            job.pieces[place].id = ChunkID(secretHash.digest(bytes))
        }
        let verdicts = try session.resolve(places.map { job.pieces[$0].id })
        for (number, place) in places.enumerated() {
            guard verdicts[number] == .wanted else {
                job.tally.chunksReused += 1
                continue
            }
            let piece = job.pieces[place]
            let bytes = job.bytes(piece)
            if piece.rule == .secret {
                // As it is: a compressed length would tell about the secret.
                try session.append(.secret, id: piece.id, codec: .stored, raw: bytes.count, bytes)
                job.tally.chunksNew += 1
                job.tally.bytesNew += UInt64(bytes.count)
                continue
            }
            let isDelta =
                piece.rule == .pages ? try storeDelta(piece.id, bytes, .delta, parent: piece.parent, .data) : false
            if !isDelta { try storeWhole(piece.id, bytes, piece.rule == .pages ? .page : .data) }
            job.tally.chunksNew += 1
            job.tally.bytesNew += UInt64(bytes.count)
            if isDelta { job.tally.deltas += 1 }
        }
    }

    /// Gives the pieces at `places` their ids, two at a time.
    private func identify(_ places: [Int], of job: ContentJob) {
        var number = 0
        while number + 1 < places.count {
            let (first, second) = (places[number], places[number + 1])
            let ids = dataHash.digests(
                RawSpan(_unsafeBytes: job.bytes(job.pieces[first])),
                RawSpan(_unsafeBytes: job.bytes(job.pieces[second])))
            job.pieces[first].id = ChunkID(ids.0)
            job.pieces[second].id = ChunkID(ids.1)
            number += 2
        }
        if number < places.count {
            let last = places[number]
            job.pieces[last].id = ChunkID(dataHash.digest(RawSpan(_unsafeBytes: job.bytes(job.pieces[last]))))
        }
    }

    /// Stores a node of a tree, as a delta against the node at its place in the parent when that is smaller.
    func storeNode(_ node: [UInt8], parent: ChunkID?) throws(HoldfastError) -> ChunkID {
        let id = ChunkID(metaHash.digest(node.span.bytes))
        guard try session.resolve([id]) == [.wanted] else { return id }
        try node.span.bytes.withUnsafeBytes { (bytes) throws(HoldfastError) in
            if let parent, try storeDelta(id, bytes, .meta, parent: parent, .meta) { return }
            try storeWhole(id, bytes, .meta)
        }
        return id
    }

    private func storeWhole(_ id: ChunkID, _ bytes: UnsafeRawBufferPointer, _ kind: PackKind) throws(HoldfastError) {
        let plain = RawSpan(_unsafeBytes: bytes)
        let (codec, count) = try encoder.encode(plain, isPage: kind == .page, into: whole)
        let encoded = UnsafeRawBufferPointer(rebasing: whole[..<count])
        if codec != .stored { try prove(codec, encoded, base: nil, bytes) }
        try session.append(kind, id: id, codec: codec, raw: bytes.count, encoded)
    }

    /// Stores the chunk as a delta against `parent`; false when there is no base or the delta is not worth it.
    private func storeDelta(
        _ id: ChunkID, _ bytes: UnsafeRawBufferPointer, _ kind: PackKind, parent: ChunkID, _ content: ContentClass
    ) throws(HoldfastError) -> Bool {
        guard parent != .zeros, parent != id, content == .meta || readsBases, encoder.setting != .none,
            let (location, index) = session.base(parent), let base = readBase(location, index, content)
        else { return false }
        let plain = RawSpan(_unsafeBytes: bytes)
        guard let count = try encoder.encodeDelta(plain, base: base.span.bytes, into: delta, limit: bytes.count / 2)
        else { return false }
        if count > bytes.count / Self.clearWin {
            let (_, alone) = try encoder.encode(plain, isPage: kind == .delta, into: whole)
            guard count < alone / 2 else { return false }
        }
        let encoded = UnsafeRawBufferPointer(rebasing: delta[..<count])
        try prove(.zstdDelta, encoded, base: base, bytes)
        try session.append(
            kind, id: id, codec: .zstdDelta, depth: location.entry.depth + 1, raw: bytes.count,
            base: location.entry.id, encoded)
        return true
    }

    /// The base's bytes, its id computed anew right before use; nil when it cannot be read or is not what it should be,
    /// for then the block is stored whole and the damage is left to `check`.
    private func readBase(_ location: ChunkLocation, _ index: Index, _ content: ContentClass) -> [UInt8]? {
        reader.index = index
        do throws(HoldfastError) {
            let bytes = try reader.decode(location)
            let hash = content == .meta ? metaHash : dataHash
            return hash.digest(bytes.span.bytes).prefix == location.entry.id ? bytes : nil
        } catch {
            session.repository.logger.warning("a base cannot be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// Decodes what was encoded and compares, before it goes into a pack: this catches faults of memory and of codecs
    /// while the source is still at hand.
    private func prove(
        _ codec: Codec, _ encoded: UnsafeRawBufferPointer, base: [UInt8]?, _ plain: UnsafeRawBufferPointer
    ) throws(HoldfastError) {
        guard verifies else { return }
        let output = UnsafeMutableRawBufferPointer(rebasing: proof[..<plain.count])
        try decoder.decode(codec, RawSpan(_unsafeBytes: encoded), base: base?.span.bytes, into: output)
        guard let a = output.baseAddress, let b = plain.baseAddress, memcmp(a, b, plain.count) == 0 else {
            throw HoldfastError(
                .cryptography, "an encoded chunk does not decode to what it was made from",
                hint: "Test the memory of this machine; nothing was committed.")
        }
    }
}
