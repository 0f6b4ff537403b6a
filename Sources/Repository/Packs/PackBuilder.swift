// Gathers encoded chunks into one buffer, laid out so that it is sealed in place and put as it is.

import CLinux
import Compression
import Glibc
import Primitives
import Sealing

/// Sizes of packs.
package enum PackLimits {
    /// Where a pack is closed.
    package static let targetBody = 32 << 20
    package static let targetMetaBody = 8 << 20
    /// A chunk is at most 8 MiB, so that a pack is at most 40 MiB and a bit.
    package static let maximumChunk = 8 << 20

    package static func target(_ kind: PackKind) -> Int { kind == .meta ? targetMetaBody : targetBody }
}

/// A pack that is being filled.
///
/// The buffer is laid out as the object will be: 512 bytes for the head, then segments of 65,536 bytes of which the
/// last 16 are left free for the tag. Memory is mapped anonymously, so that what is never touched costs nothing.
///
/// Thread: one at a time.
package final class PackBuilder: @unchecked Sendable {
    // Sendable: handed from thread to thread as a whole, never shared.
    package let kind: PackKind
    package private(set) var chunks: [ChunkRecord] = []
    private let buffer: UnsafeMutableRawBufferPointer
    private let capacity: Int
    /// Bytes of the body's stream so far.
    package private(set) var streamCount = 0

    package init(_ kind: PackKind) throws(HoldfastError) {
        self.kind = kind
        let stream = PackLimits.target(kind) + PackLimits.maximumChunk
        let segments = (stream + Segments.plainSize - 1) / Segments.plainSize + 1
        capacity = segments * Segments.plainSize
        let size = PackHead.size * 2 + segments * Segments.storedSize + Int(PackContents.maximumStored)
        guard let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            memory != MAP_FAILED
        else { throw HoldfastError.systemCall("mmap", errno, on: "a pack buffer") }
        buffer = UnsafeMutableRawBufferPointer(start: memory, count: size)
    }

    deinit { munmap(buffer.baseAddress, buffer.count) }

    package var isEmpty: Bool { chunks.isEmpty }

    /// Whether the pack is due to be closed.
    package var isFull: Bool {
        streamCount >= PackLimits.target(kind) || chunks.count >= Int(PackContents.maximumChunks)
    }

    /// Adds a chunk's encoded bytes.
    package func append(
        id: ChunkID, codec: Codec, depth: UInt8, raw: Int, base: Bytes16, _ encoded: UnsafeRawBufferPointer
    ) {
        precondition(!isFull && encoded.count <= PackLimits.maximumChunk, "a full pack takes no more")
        chunks.append(
            ChunkRecord(
                id: id, codec: codec, depth: depth, offset: UInt32(streamCount), stored: UInt32(encoded.count),
                raw: UInt32(raw), base: base))
        var rest = encoded
        while !rest.isEmpty {
            let within = streamCount % Segments.plainSize
            let count = min(rest.count, Segments.plainSize - within)
            let place = PackHead.size + streamCount / Segments.plainSize * Segments.storedSize + within
            UnsafeMutableRawBufferPointer(rebasing: buffer[place..<place + count])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            streamCount += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Who writes the pack, and who may read it.
    package struct Sealing: Sendable {
        package var repository: RepositoryID
        package var epoch: Epoch
        package var lease: LeaseID
        package var slot: SlotID
        package var recipients: [Bytes32]
        package var indexKey: SecretBytes
        /// The last data pack of a lease and meta and secret packs are padded by Padmé, full ones to a whole segment.
        package var isLast: Bool

        package init(
            repository: RepositoryID, epoch: Epoch, lease: LeaseID, slot: SlotID, recipients: [Bytes32],
            indexKey: SecretBytes, isLast: Bool
        ) {
            self.repository = repository
            self.epoch = epoch
            self.lease = lease
            self.slot = slot
            self.recipients = recipients
            self.indexKey = indexKey
            self.isLast = isLast
        }
    }

    /// A sealed pack: its name, its bytes, and what it holds.
    package struct Sealed: ~Copyable {
        package let id: PackID
        package let length: Int
        package let head: PackHead
        fileprivate let owner: PackBuilder

        package func withBytes<R>(_ body: (RawSpan) throws(HoldfastError) -> R) throws(HoldfastError) -> R {
            let bytes = UnsafeRawBufferPointer(rebasing: owner.buffer[..<length])
            return try body(RawSpan(_unsafeBytes: bytes))
        }

        package var chunks: [ChunkRecord] { owner.chunks }
    }

    /// Seals the pack in place. The builder is used up.
    ///
    /// The seed is HMAC(32 random bytes, SHA-256(body)): one seed seals one byte string, even if randomness repeats.
    package func seal(_ sealing: Sealing, entropy: any Entropy) throws(HoldfastError) -> Sealed {
        precondition(!isEmpty, "an empty pack is never sealed")
        let segments = segmentCount(isLast: sealing.isLast)
        let hasher = SHA256Stream()
        for number in 0..<segments { hasher.update(RawSpan(_unsafeBytes: plainSegment(number))) }
        let bodyDigest = hasher.finish()
        let random = try entropy.secret(32)
        let seedDigest = bodyDigest.withBytes { raw in KeyedHash.digest(key: random, RawSpan(_unsafeBytes: raw)) }
        let seed = seedDigest.withBytes { SecretBytes(copying: RawSpan(_unsafeBytes: $0)) }
        let salt = try entropy.bytes32()
        let contents = PackContents(chunks).encoded
        let binding = Envelope.Binding(
            repository: sealing.repository, kind: kind.rawValue, epoch: sealing.epoch, salt: salt)
        let head = PackHead(
            repository: sealing.repository, kind: kind, epoch: sealing.epoch, lease: sealing.lease, slot: sealing.slot,
            salt: salt, commitment: PackKeys.commitment(seed),
            bodySegments: UInt32(segments),
            contentsLength: UInt32(Segments.storedCount(plain: contents.count)), chunkCount: UInt32(chunks.count),
            envelope: try Envelope.seal(seed, to: sealing.recipients, binding: binding, entropy: entropy))
        let headBytes = head.encoded
        let headDigest = SHA256.digest(headBytes.span.bytes)
        try sealBody(segments, key: try PackKeys.body(seed, salt: salt), headDigest: headDigest)
        let sealedContents = try Segments.seal(
            contents, key: try PackKeys.contents(sealing.indexKey, salt: salt), headDigest: headDigest,
            stream: .contents)
        precondition(sealedContents.count == Int(head.contentsLength), "a sealed length is known beforehand")
        copy(headBytes, to: 0)
        copy(sealedContents, to: Int(head.contentsOffset))
        copy(headBytes, to: Int(head.contentsOffset) + sealedContents.count)
        let length = Int(head.packLength)
        let id = PackID(SHA256.digest(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<length]))))
        return Sealed(id: id, length: length, head: head, owner: self)
    }

    private func segmentCount(isLast: Bool) -> Int {
        let needed = max(1, (streamCount + Segments.plainSize - 1) / Segments.plainSize)
        guard isLast || kind == .meta || kind == .secret else { return needed }
        let padded = Padding.padme(needed * Segments.storedSize, floor: Segments.storedSize)
        return min((padded + Segments.storedSize - 1) / Segments.storedSize, capacity / Segments.plainSize)
    }

    private func plainSegment(_ number: Int) -> UnsafeRawBufferPointer {
        let start = PackHead.size + number * Segments.storedSize
        return UnsafeRawBufferPointer(rebasing: buffer[start..<start + Segments.plainSize])
    }

    private func sealBody(_ segments: Int, key: SecretBytes, headDigest: Bytes32) throws(HoldfastError) {
        let cipher = try SegmentCipher(key: key)
        let inner = Segments.associated(headDigest: headDigest, stream: .body, isLast: false)
        let last = Segments.associated(headDigest: headDigest, stream: .body, isLast: true)
        for number in 0..<segments {
            let start = PackHead.size + number * Segments.storedSize
            let middle = start + Segments.plainSize
            try cipher.seal(
                inPlace: UnsafeMutableRawBufferPointer(rebasing: buffer[start..<middle]),
                tag: UnsafeMutableRawBufferPointer(rebasing: buffer[middle..<middle + Segments.tagSize]),
                nonce: UInt64(number), associated: number == segments - 1 ? last.span.bytes : inner.span.bytes)
        }
    }

    private func copy(_ bytes: [UInt8], to offset: Int) {
        bytes.withUnsafeBytes { raw in
            UnsafeMutableRawBufferPointer(rebasing: buffer[offset..<offset + raw.count]).copyMemory(from: raw)
        }
    }
}

/// The keys of a pack, from its seed and from the index key.
package enum PackKeys {
    package static func body(_ seed: SecretBytes, salt: Bytes32) throws(HoldfastError) -> SecretBytes {
        try HKDF.derive(seed, salt: salt.array, info: Array("body".utf8), count: 32)
    }

    /// What a head says of its seed, so that one ciphertext cannot open under two seeds.
    package static func commitment(_ seed: SecretBytes) -> Bytes32 {
        let label = Array("commit".utf8)
        return KeyedHash.digest(key: seed, label.span.bytes)
    }

    package static func contents(_ indexKey: SecretBytes, salt: Bytes32) throws(HoldfastError) -> SecretBytes {
        try HKDF.derive(indexKey, salt: salt.array, info: Array("toc".utf8), count: 32)
    }
}
