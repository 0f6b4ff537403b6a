// leases/<ulid>/<n>: open work, renewed while it lasts.

import Primitives
import Sealing

/// One renewal of a lease. The object's store time says when; nothing inside is trusted as a time.
///
/// Body: header, repository 16, lease 16, number u32, slot 16, purpose u8, tag 16 of the snapshot that will be
/// committed (zero for a reader), started i64, honoured generation u32, kept packs (varint count, 32 each), closed u8.
package struct LeaseObject: Sendable, Hashable {
    package static let maximumSize = ByteCount.mebi(64)

    package enum Purpose: UInt8, Sendable {
        case write = 1
        case read = 2
        case repack = 3
    }

    package var repository: RepositoryID
    package var lease: LeaseID
    package var number: UInt32
    package var slot: SlotID
    package var purpose: Purpose
    package var tag: SourceTag
    package var started: Timestamp
    /// The newest generation of collection whose condemned packs the holder treats as absent, but for `kept`.
    package var honoured: UInt32
    /// Packs of the honoured generation that the holder had relied on before it saw it.
    package var kept: [PackID]
    /// The work is over, and the lease needs no answer any more.
    package var isClosed: Bool

    package init(
        repository: RepositoryID, lease: LeaseID, number: UInt32, slot: SlotID, purpose: Purpose, tag: SourceTag,
        started: Timestamp, honoured: UInt32, kept: [PackID], isClosed: Bool
    ) {
        self.repository = repository
        self.lease = lease
        self.number = number
        self.slot = slot
        self.purpose = purpose
        self.tag = tag
        self.started = started
        self.honoured = honoured
        self.kept = kept
        self.isClosed = isClosed
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.lease).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(lease.bytes)
        writer.u32(number)
        writer.raw(slot.bytes)
        writer.u8(purpose.rawValue)
        writer.raw(tag.bytes)
        writer.i64(started.nanoseconds)
        writer.u32(honoured)
        writer.varint(UInt64(kept.count))
        for pack in kept { writer.raw(pack.bytes) }
        writer.u8(isClosed ? 1 : 0)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// Reads a renewal; the caller verifies the signature with the slot's key through ``SignedFrame``.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let (body, _) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .lease, name: name)
        repository = RepositoryID(try reader.bytes16())
        lease = LeaseID(try reader.bytes16())
        number = try reader.u32()
        slot = SlotID(try reader.bytes16())
        guard let purpose = Purpose(rawValue: try reader.u8()) else { throw reader.corrupt("its purpose is unknown") }
        self.purpose = purpose
        tag = SourceTag(try reader.bytes16())
        started = Timestamp(nanoseconds: try reader.i64())
        honoured = try reader.u32()
        kept = []
        for _ in 0..<(try reader.count(each: 32, atMost: 1 << 20)) { kept.append(PackID(try reader.bytes32())) }
        let closed = try reader.u8()
        guard closed <= 1 else { throw reader.corrupt("it is neither open nor closed") }
        isClosed = closed == 1
        try reader.expectEnd()
    }
}
