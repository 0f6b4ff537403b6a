// evidence/<slot>/<n>: one link of a slot's chain of evidence.

import Primitives
import Sealing

/// Whether the signer was there.
package enum EvidenceOrigin: UInt8, Sendable, CaseIterable {
    /// The program that did it signed it.
    case witnessed = 1
    /// It was brought in a file that nobody had signed: the signer vouches for when it came, not for what it says.
    case imported = 2
}

/// The newest link of one slot's chain.
package struct EvidenceHead: Sendable, Hashable {
    package var slot: SlotID
    /// From 1.
    package var number: UInt32
    /// SHA-256 of the whole object.
    package var digest: Bytes32

    package static let maximumCount = 1024

    package init(slot: SlotID, number: UInt32, digest: Bytes32) {
        self.slot = slot
        self.number = number
        self.digest = digest
    }

    func write(to writer: inout ByteWriter) {
        writer.raw(slot.bytes)
        writer.u32(number)
        writer.raw(digest)
    }

    init(from reader: inout ByteReader) throws(HoldfastError) {
        slot = SlotID(try reader.bytes16())
        number = try reader.u32()
        digest = try reader.bytes32()
        guard number > 0 else { throw reader.corrupt("it names a link number 0") }
    }

    /// In order of slots, each once.
    static func list(from reader: inout ByteReader) throws(HoldfastError) -> [EvidenceHead] {
        var heads: [EvidenceHead] = []
        for _ in 0..<(try reader.count(each: 52, atMost: maximumCount)) {
            let head = try EvidenceHead(from: &reader)
            if let last = heads.last, last.slot >= head.slot { throw reader.corrupt("its chains are out of order") }
            heads.append(head)
        }
        return heads
    }

    static func write(_ heads: [EvidenceHead], to writer: inout ByteWriter) {
        writer.varint(UInt64(heads.count))
        for head in heads { head.write(to: &writer) }
    }
}

/// A link as stored: a clear part that chains, a sealed record, one signature over both.
///
/// Body: header 16, clear length u32, clear part, sealed record. Clear part: repository 16, slot 16, number u32,
/// SHA-256 of the slot's link before 32 (zero for the first), record's id 16, origin u8, epoch u32, stored i64, heads
/// of the other slots' chains (varint count, 52 each), salt 32, commitment 32, envelope 256, later fields. Sealed
/// record: AES-256-GCM under HKDF(seed, salt, "evidence") with the clear part as associated data. The commitment binds
/// the seed, so that whoever is given it with the object sees what the holders of keys see.
package struct EvidenceObject: Sendable, Hashable {
    package static let maximumSize = ByteCount.mebi(10)
    private static let kindForEnvelope = ObjectKind.evidence.rawValue

    package var repository: RepositoryID
    package var slot: SlotID
    package var number: UInt32
    package var previous: Bytes32
    package var id: ULID
    package var origin: EvidenceOrigin
    package var epoch: Epoch
    /// By the signer's clock.
    package var stored: Timestamp
    package var others: [EvidenceHead]
    package var unknown = FieldMap()

    package init(
        repository: RepositoryID, slot: SlotID, number: UInt32, previous: Bytes32, id: ULID, origin: EvidenceOrigin,
        epoch: Epoch, stored: Timestamp, others: [EvidenceHead]
    ) {
        self.repository = repository
        self.slot = slot
        self.number = number
        self.previous = previous
        self.id = id
        self.origin = origin
        self.epoch = epoch
        self.stored = stored
        self.others = others
    }

    private func binding(salt: Bytes32) -> Envelope.Binding {
        Envelope.Binding(repository: repository, kind: Self.kindForEnvelope, epoch: epoch, salt: salt)
    }

    private static func key(_ seed: SecretBytes, _ salt: Bytes32) throws(HoldfastError) -> SecretBytes {
        try HKDF.derive(seed, salt: salt.array, info: Array("evidence".utf8), count: 32)
    }

    /// Seals `record` to the structure key and the signer's slot key, and signs the whole.
    ///
    /// - Throws: `.limitExceeded` for a record that no reader would take.
    package func encoded(
        _ record: EvidenceRecord, recipients: [Bytes32], signer: SigningKey, entropy: any Entropy
    ) throws(HoldfastError) -> [UInt8] {
        let plain = try record.encodedForKeeping()
        let salt = try entropy.bytes32()
        let seed = try entropy.secret(32)
        let envelope = try Envelope.seal(seed, to: recipients, binding: binding(salt: salt), entropy: entropy)
        var clear = ByteWriter()
        clear.raw(repository.bytes)
        clear.raw(slot.bytes)
        clear.u32(number)
        clear.raw(previous)
        clear.raw(id.bytes)
        clear.u8(origin.rawValue)
        clear.u32(epoch)
        clear.i64(stored.nanoseconds)
        EvidenceHead.write(others, to: &clear)
        clear.raw(salt)
        clear.raw(PackKeys.commitment(seed))
        envelope.write(to: &clear)
        unknown.write(to: &clear)
        var framed = ByteWriter(reserving: plain.count + 16)
        framed.prefixed(plain)
        framed.zeros(Padding.padme(framed.count, floor: 1024) - framed.count)
        let (associated, padded) = (clear.bytes, framed.bytes)
        let sealed = try SealedBox.seal(
            padded.span.bytes, key: try Self.key(seed, salt), associated: associated.span.bytes)
        var writer = ByteWriter()
        ObjectHeader(.evidence).write(to: &writer)
        writer.u32(UInt32(associated.count))
        writer.raw(associated)
        writer.raw(sealed)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// A stored link whose digest held; its signature and its seal are for the caller to open.
    package struct Parsed: Sendable {
        package var object: EvidenceObject
        /// SHA-256 of the whole object, which the slot's next link names.
        package var digest: Bytes32
        package var body: [UInt8]
        package var signature: [UInt8]
        package var salt: Bytes32
        package var commitment: Bytes32
        package var envelope: Envelope
        package var clear: [UInt8]
        package var sealed: [UInt8]

        /// The seed that opens this record and no other; nil when none of `keys` is a recipient.
        package func seed(with keys: [AgreementKey]) throws(HoldfastError) -> SecretBytes? {
            try envelope.open(with: keys, binding: object.binding(salt: salt))
        }

        /// Opens the record.
        ///
        /// - Throws: `.corruptObject` when the seed is not the one that was committed to, or the record is not that of
        ///   the clear part.
        package func record(seed: SecretBytes, name: String) throws(HoldfastError) -> EvidenceRecord {
            let outer = ByteReader([], as: name)
            guard PackKeys.commitment(seed) == commitment else { throw outer.corrupt("its seed is another one") }
            let key = try EvidenceObject.key(seed, salt)
            let plain = try SealedBox.open(sealed.span.bytes, key: key, associated: clear.span.bytes)
            var reader = ByteReader(plain.withBytes { [UInt8]($0) }, as: name)
            let record = try EvidenceRecord(try reader.prefixed(atMost: EvidenceRecord.maximumSize), name: name)
            try reader.zeros(reader.remaining)
            guard record.id == object.id else { throw outer.corrupt("its record has another id") }
            return record
        }

        /// Opens the record; nil when none of `keys` is a recipient.
        package func record(with keys: [AgreementKey], name: String) throws(HoldfastError) -> EvidenceRecord? {
            guard let seed = try seed(with: keys) else { return nil }
            return try record(seed: seed, name: name)
        }
    }

    package static func parse(_ bytes: [UInt8], name: String) throws(HoldfastError) -> Parsed {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var outer = ByteReader(body, as: name)
        try ObjectHeader.read(from: &outer, expecting: .evidence, name: name)
        let clear = try outer.raw(Int(try outer.u32()))
        let sealed = try outer.raw(outer.remaining)
        var reader = ByteReader(clear, as: name)
        let repository = RepositoryID(try reader.bytes16())
        let slot = SlotID(try reader.bytes16())
        let number = try reader.u32()
        let previous = try reader.bytes32()
        guard number > 0, (number == 1) == previous.isZero else {
            throw reader.corrupt("its number does not go with the link before it")
        }
        let id = ULID(try reader.bytes16())
        let rawOrigin = try reader.u8()
        guard let origin = EvidenceOrigin(rawValue: rawOrigin) else { throw reader.corrupt("its origin is unknown") }
        var object = EvidenceObject(
            repository: repository, slot: slot, number: number, previous: previous, id: id, origin: origin,
            epoch: try reader.u32(), stored: Timestamp(nanoseconds: try reader.i64()),
            others: try EvidenceHead.list(from: &reader))
        guard !object.others.contains(where: { $0.slot == slot }) else {
            throw reader.corrupt("it tells of the chain that it is in")
        }
        let salt = try reader.bytes32()
        let commitment = try reader.bytes32()
        let envelope = try Envelope(from: &reader)
        object.unknown = try FieldMap(from: &reader, atMost: 64 << 10)
        try reader.expectEnd()
        return Parsed(
            object: object, digest: SHA256.digest(bytes.span.bytes), body: body, signature: signature, salt: salt,
            commitment: commitment, envelope: envelope, clear: clear, sealed: sealed)
    }
}

extension EvidenceRecord {
    /// The bytes, of which it is sure that they can be read back.
    ///
    /// - Throws: `.limitExceeded` when a part is over its limit, or names a part that is not there.
    package func encodedForKeeping() throws(HoldfastError) -> [UInt8] {
        let bytes = encoded
        let over = { (why: String) in
            HoldfastError(
                .limitExceeded, "the evidence record cannot be kept: \(why)",
                hint: "Give fewer or shorter checks; what was measured is not lost, but it was not recorded.")
        }
        guard bytes.count <= Self.maximumSize else { throw over("it is over its limit of 8 MiB") }
        do throws(HoldfastError) {
            guard try EvidenceRecord(bytes, name: "the record") == self else { throw over("it does not read back") }
        } catch {
            throw error.code == .limitExceeded ? error : over(error.message)
        }
        return bytes
    }
}
