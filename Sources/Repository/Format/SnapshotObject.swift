// snapshots/<tag>/<ulid>: the commit point of a backup.

import Primitives
import Sealing

/// A snapshot as stored: a clear part that chains and names what it needs, a sealed record, one signature over both.
///
/// Body: header 16, clear length u32, clear part, sealed record. Clear part: repository 16, tag 16, snapshot 16,
/// sequence u64, SHA-256 of the source's previous snapshot object 32 (zero for the first), epoch u32, format number
/// u32, slot 16, salt 32, index runs (varint count, 32 each), envelope 256. Sealed record: AES-256-GCM under HKDF(seed,
/// salt, "snapshot") with the clear part as associated data. The lease has the snapshot's own id.
package struct SnapshotObject: Sendable {
    /// The largest record with its padding, and the names of 65,536 runs.
    package static let maximumSize = ByteCount.mebi(72)
    private static let kindForEnvelope = ObjectKind.snapshot.rawValue

    package var repository: RepositoryID
    package var tag: SourceTag
    package var id: SnapshotID
    package var sequence: UInt64
    package var previous: Bytes32
    package var epoch: Epoch
    package var formatNumber: UInt32
    package var slot: SlotID
    package var runs: [IndexRunID]

    package init(
        repository: RepositoryID, tag: SourceTag, id: SnapshotID, sequence: UInt64, previous: Bytes32, epoch: Epoch,
        formatNumber: UInt32, slot: SlotID, runs: [IndexRunID]
    ) {
        self.repository = repository
        self.tag = tag
        self.id = id
        self.sequence = sequence
        self.previous = previous
        self.epoch = epoch
        self.formatNumber = formatNumber
        self.slot = slot
        self.runs = runs
    }

    private func binding(salt: Bytes32) -> Envelope.Binding {
        Envelope.Binding(repository: repository, kind: Self.kindForEnvelope, epoch: epoch, salt: salt)
    }

    /// Seals `record` to the structure key and the writer's slot key, and signs the whole.
    package func encoded(
        _ record: SnapshotRecord, recipients: [Bytes32], signer: SigningKey, entropy: any Entropy
    ) throws(HoldfastError) -> [UInt8] {
        let salt = try entropy.bytes32()
        let seed = try entropy.secret(32)
        let envelope = try Envelope.seal(seed, to: recipients, binding: binding(salt: salt), entropy: entropy)
        var clear = ByteWriter()
        clear.raw(repository.bytes)
        clear.raw(tag.bytes)
        clear.raw(id.bytes)
        clear.u64(sequence)
        clear.raw(previous)
        clear.u32(epoch)
        clear.u32(formatNumber)
        clear.raw(slot.bytes)
        clear.raw(salt)
        clear.varint(UInt64(runs.count))
        for run in runs { clear.raw(run.bytes) }
        envelope.write(to: &clear)
        let key = try HKDF.derive(seed, salt: salt.array, info: Array("snapshot".utf8), count: 32)
        var plain = record.encoded
        // What no reader would take must not be committed.
        guard plain.count <= SnapshotRecord.maximumSize else {
            throw HoldfastError(
                .limitExceeded, "the record of the snapshot is over its limit of 64 MiB",
                hint: "Take fewer directories into one snapshot; nothing was committed.")
        }
        // The record is padded like all sealed objects; its reader knows where it ends.
        var framed = ByteWriter(reserving: plain.count + 16)
        framed.prefixed(plain)
        framed.zeros(Padding.padme(framed.count, floor: 1024) - framed.count)
        let associated = clear.bytes
        let padded = framed.bytes
        let sealed = try SealedBox.seal(padded.span.bytes, key: key, associated: associated.span.bytes)
        wipe(&plain)
        var writer = ByteWriter()
        ObjectHeader(.snapshot).write(to: &writer)
        writer.u32(UInt32(associated.count))
        writer.raw(associated)
        writer.raw(sealed)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// A stored snapshot whose digest held; its signature and its seal are for the caller to open.
    package struct Parsed: Sendable {
        package var object: SnapshotObject
        /// SHA-256 of the whole object, which the source's next snapshot names.
        package var digest: Bytes32
        package var body: [UInt8]
        package var signature: [UInt8]
        package var salt: Bytes32
        package var envelope: Envelope
        package var clear: [UInt8]
        package var sealed: [UInt8]

        /// Opens the record; nil when none of `keys` is a recipient.
        package func record(with keys: [AgreementKey], name: String) throws(HoldfastError) -> SnapshotRecord? {
            let binding = object.binding(salt: salt)
            guard let seed = try envelope.open(with: keys, binding: binding) else { return nil }
            let key = try HKDF.derive(seed, salt: salt.array, info: Array("snapshot".utf8), count: 32)
            let plain = try SealedBox.open(sealed.span.bytes, key: key, associated: clear.span.bytes)
            var reader = ByteReader(plain.withBytes { [UInt8]($0) }, as: name)
            let record = try SnapshotRecord(try reader.prefixed(atMost: SnapshotRecord.maximumSize), name: name)
            try reader.zeros(reader.remaining)
            return record
        }
    }

    package static func parse(_ bytes: [UInt8], name: String) throws(HoldfastError) -> Parsed {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var outer = ByteReader(body, as: name)
        try ObjectHeader.read(from: &outer, expecting: .snapshot, name: name)
        let clear = try outer.raw(Int(try outer.u32()))
        let sealed = try outer.raw(outer.remaining)
        var reader = ByteReader(clear, as: name)
        let repository = RepositoryID(try reader.bytes16())
        let tag = SourceTag(try reader.bytes16())
        let id = SnapshotID(try reader.bytes16())
        let sequence = try reader.u64()
        // The next one counts on from it.
        guard sequence > 0 else { throw reader.corrupt("its number is below the first") }
        guard sequence < .max else { throw reader.corrupt("its number is the last that there can be") }
        let previous = try reader.bytes32()
        let epoch = try reader.u32()
        let formatNumber = try reader.u32()
        let slot = SlotID(try reader.bytes16())
        let salt = try reader.bytes32()
        var runs: [IndexRunID] = []
        for _ in 0..<(try reader.count(each: 32, atMost: 1 << 16)) { runs.append(IndexRunID(try reader.bytes32())) }
        let envelope = try Envelope(from: &reader)
        try reader.expectEnd()
        let object = SnapshotObject(
            repository: repository, tag: tag, id: id, sequence: sequence, previous: previous, epoch: epoch,
            formatNumber: formatNumber, slot: slot, runs: runs)
        return Parsed(
            object: object, digest: SHA256.digest(bytes.span.bytes), body: body, signature: signature, salt: salt,
            envelope: envelope, clear: clear, sealed: sealed)
    }
}
