// gc/<n>, gc/<n>.sweep, gc/<n>.done and tombstones: the steps of a collection without locks.

import Primitives
import Sealing

/// One step of generation n: the packs that are condemned, doomed or gone, and the index runs that go with them.
///
/// Body: header (kind tells the step), repository 16, generation u32, slot 16, made i64, packs (varint count, 32 each),
/// runs (varint count, 32 each).
package struct CollectionObject: Sendable, Hashable {
    package static let maximumSize = ByteCount.mebi(256)
    /// 128 MiB of names: 4 million packs, 128 TiB of full ones; what is over waits for the next generation.
    package static let maximumPacks = 1 << 22
    package static let maximumRuns = 1 << 16

    package var kind: ObjectKind
    package var repository: RepositoryID
    package var generation: UInt32
    package var slot: SlotID
    package var made: Timestamp
    package var packs: [PackID]
    package var runs: [IndexRunID]

    package init(
        kind: ObjectKind, repository: RepositoryID, generation: UInt32, slot: SlotID, made: Timestamp,
        packs: [PackID], runs: [IndexRunID]
    ) {
        self.kind = kind
        self.repository = repository
        self.generation = generation
        self.slot = slot
        self.made = made
        self.packs = packs
        self.runs = runs
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(kind).write(to: &writer)
        writer.raw(repository.bytes)
        writer.u32(generation)
        writer.raw(slot.bytes)
        writer.i64(made.nanoseconds)
        writer.varint(UInt64(packs.count))
        for pack in packs { writer.raw(pack.bytes) }
        writer.varint(UInt64(runs.count))
        for run in runs { writer.raw(run.bytes) }
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// Reads a step; the caller verifies the signature with the slot's key through ``SignedFrame``.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let (body, _) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        kind = try ObjectHeader.read(from: &reader, expecting: .condemned, .sweep, .done, name: name).kind
        repository = RepositoryID(try reader.bytes16())
        generation = try reader.u32()
        slot = SlotID(try reader.bytes16())
        made = Timestamp(nanoseconds: try reader.i64())
        packs = []
        for _ in 0..<(try reader.count(each: 32, atMost: Self.maximumPacks)) {
            packs.append(PackID(try reader.bytes32()))
        }
        runs = []
        for _ in 0..<(try reader.count(each: 32, atMost: Self.maximumRuns)) {
            runs.append(IndexRunID(try reader.bytes32()))
        }
        try reader.expectEnd()
    }
}

/// A snapshot's name taken by the collector, so that the late commit of a lost writer fails.
///
/// Body: header, repository 16, tag 16, snapshot 16, slot 16, generation u32, made i64.
package struct TombstoneObject: Sendable, Hashable {
    /// The length of every tombstone: its body, a signature and a digest.
    package static let storedSize: UInt64 = 16 + 4 * 16 + 4 + 8 + 64 + 32

    package var repository: RepositoryID
    package var tag: SourceTag
    package var snapshot: SnapshotID
    package var slot: SlotID
    package var generation: UInt32
    package var made: Timestamp

    package init(
        repository: RepositoryID, tag: SourceTag, snapshot: SnapshotID, slot: SlotID, generation: UInt32,
        made: Timestamp
    ) {
        self.repository = repository
        self.tag = tag
        self.snapshot = snapshot
        self.slot = slot
        self.generation = generation
        self.made = made
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.tombstone).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(tag.bytes)
        writer.raw(snapshot.bytes)
        writer.raw(slot.bytes)
        writer.u32(generation)
        writer.i64(made.nanoseconds)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let (body, _) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .tombstone, name: name)
        repository = RepositoryID(try reader.bytes16())
        tag = SourceTag(try reader.bytes16())
        snapshot = SnapshotID(try reader.bytes16())
        slot = SlotID(try reader.bytes16())
        generation = try reader.u32()
        made = Timestamp(nanoseconds: try reader.i64())
        try reader.expectEnd()
    }
}

/// holds/<ulid>: a snapshot that retention must keep.
///
/// Body: header, repository 16, hold 16, tag 16, snapshot 16, slot 16, made i64, reason.
package struct HoldObject: Sendable, Hashable {
    package static let maximumSize = ByteCount.kibi(16)

    package var repository: RepositoryID
    package var id: ULID
    package var tag: SourceTag
    package var snapshot: SnapshotID
    package var slot: SlotID
    package var made: Timestamp
    package var reason: String

    package init(
        repository: RepositoryID, id: ULID, tag: SourceTag, snapshot: SnapshotID, slot: SlotID, made: Timestamp,
        reason: String
    ) {
        self.repository = repository
        self.id = id
        self.tag = tag
        self.snapshot = snapshot
        self.slot = slot
        self.made = made
        self.reason = reason
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.hold).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(id.bytes)
        writer.raw(tag.bytes)
        writer.raw(snapshot.bytes)
        writer.raw(slot.bytes)
        writer.i64(made.nanoseconds)
        writer.string(reason)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let (body, _) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .hold, name: name)
        repository = RepositoryID(try reader.bytes16())
        id = ULID(try reader.bytes16())
        tag = SourceTag(try reader.bytes16())
        snapshot = SnapshotID(try reader.bytes16())
        slot = SlotID(try reader.bytes16())
        made = Timestamp(nanoseconds: try reader.i64())
        reason = try reader.string(atMost: 4096)
        try reader.expectEnd()
    }
}
