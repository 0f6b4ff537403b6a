// The head of a pack: 512 bytes at both of its ends, readable without a key.

import Primitives

/// What a pack holds; kinds are never mixed. Raw values are part of format 1.
package enum PackKind: UInt8, Sendable, CaseIterable {
    /// Whole blocks of page files.
    case page = 1
    /// Deltas against blocks of the parent snapshot.
    case delta = 2
    /// Content-defined chunks of everything else.
    case data = 3
    /// Secrets, one chunk each.
    case secret = 4
    /// Nodes of trees and content lists.
    case meta = 5

    /// Whether the pack is sealed to the structure key and its writer instead of the data key.
    package var isStructure: Bool { self == .meta }
}

/// The clear part of a pack.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 16 | object header, kind pack |
/// | 16 | 16 | repository |
/// | 32 | 1 | pack kind |
/// | 33 | 1 | suite, 1: AES-256-GCM in 64 KiB segments, HKDF-SHA256, X25519 |
/// | 34 | 2 | zero |
/// | 36 | 4 | epoch |
/// | 40 | 16 | lease under which it was written |
/// | 56 | 16 | slot that says it wrote it |
/// | 72 | 32 | salt |
/// | 104 | 32 | key commitment, HMAC(seed, "commit") |
/// | 136 | 4 | segments in the body, each 65,536 bytes as stored |
/// | 140 | 4 | stored bytes of the table of contents |
/// | 144 | 4 | chunks |
/// | 148 | 256 | envelope of the seed |
/// | 404 | 104 | zero |
/// | 508 | 4 | CRC-32C of the 508 bytes before |
package struct PackHead: Sendable, Hashable {
    package static let size = 512
    package static let suite: UInt8 = 1

    package var repository: RepositoryID
    package var kind: PackKind
    package var epoch: Epoch
    package var lease: LeaseID
    package var slot: SlotID
    package var salt: Bytes32
    package var commitment: Bytes32
    package var bodySegments: UInt32
    package var contentsLength: UInt32
    package var chunkCount: UInt32
    package var envelope: Envelope

    package var bodyOffset: UInt64 { UInt64(Self.size) }
    package var contentsOffset: UInt64 { bodyOffset + UInt64(bodySegments) * UInt64(Segments.storedSize) }
    /// Length of the whole object.
    package var packLength: UInt64 { contentsOffset + UInt64(contentsLength) + UInt64(Self.size) }
    package var binding: Envelope.Binding {
        Envelope.Binding(repository: repository, kind: kind.rawValue, epoch: epoch, salt: salt)
    }

    package var encoded: [UInt8] {
        var writer = ByteWriter(reserving: Self.size)
        ObjectHeader(.pack).write(to: &writer)
        writer.raw(repository.bytes)
        writer.u8(kind.rawValue)
        writer.u8(Self.suite)
        writer.u16(0)
        writer.u32(epoch)
        writer.raw(lease.bytes)
        writer.raw(slot.bytes)
        writer.raw(salt)
        writer.raw(commitment)
        writer.u32(bodySegments)
        writer.u32(contentsLength)
        writer.u32(chunkCount)
        envelope.write(to: &writer)
        writer.zeros(Self.size - 4 - writer.count)
        let body = writer.bytes
        writer.u32(crc32c(body.span.bytes))
        return writer.bytes
    }

    package init(
        repository: RepositoryID, kind: PackKind, epoch: Epoch, lease: LeaseID, slot: SlotID, salt: Bytes32,
        commitment: Bytes32, bodySegments: UInt32, contentsLength: UInt32, chunkCount: UInt32, envelope: Envelope
    ) {
        self.repository = repository
        self.kind = kind
        self.epoch = epoch
        self.lease = lease
        self.slot = slot
        self.salt = salt
        self.commitment = commitment
        self.bodySegments = bodySegments
        self.contentsLength = contentsLength
        self.chunkCount = chunkCount
        self.envelope = envelope
    }

    /// Reads the 512 bytes that the object `name` begins with.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        guard bytes.count == Self.size else { throw reader.corrupt("its head is short") }
        let stored = bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: Self.size - 4, as: UInt32.self)
        let head = Array(bytes[..<(Self.size - 4)])
        guard crc32c(head.span.bytes) == UInt32(littleEndian: stored) else {
            throw reader.corrupt("the checksum of its head differs")
        }
        try ObjectHeader.read(from: &reader, expecting: .pack, name: name)
        repository = RepositoryID(try reader.bytes16())
        guard let kind = PackKind(rawValue: try reader.u8()) else { throw reader.corrupt("its pack kind is unknown") }
        self.kind = kind
        guard try reader.u8() == Self.suite else {
            throw HoldfastError(
                .unsupportedFormat, "\(name) uses a cipher suite that this holdfast does not know",
                hint: "Upgrade holdfast; nothing was changed.")
        }
        try reader.zeros(2)
        epoch = try reader.u32()
        lease = LeaseID(try reader.bytes16())
        slot = SlotID(try reader.bytes16())
        salt = try reader.bytes32()
        commitment = try reader.bytes32()
        bodySegments = try reader.u32()
        contentsLength = try reader.u32()
        chunkCount = try reader.u32()
        envelope = try Envelope(from: &reader)
        try reader.zeros(Self.size - 4 - reader.offset)
        guard bodySegments >= 1, bodySegments <= Segments.maximumCount,
            contentsLength <= PackContents.maximumStored, chunkCount <= PackContents.maximumChunks
        else { throw reader.corrupt("its lengths are over their limits") }
    }
}
