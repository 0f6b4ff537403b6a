// One object of each kind from fixed inputs, so that its bytes can be held against the committed ones.

import Compression
import Primitives
import Repository
import Sealing
import TestSupport

/// What the samples are made from. Change nothing here: other inputs make other bytes.
struct FormatSamples {
    static let password = "sample password"
    let admin: SigningKey
    let opened: SlotObject.Opened
    let indexKey: SecretBytes
    let dataKey: AgreementKey
    let repository = RepositoryID(Bytes16(w0: 0x0102_0304_0506_0708, w1: 0x090A_0B0C_0D0E_0F10))
    let tag = SourceTag(Bytes16(w0: 0xA0A1_A2A3_A4A5_A6A7, w1: 0xA8A9_AAAB_ACAD_AEAF))
    let snapshot = ULID(Bytes16(w0: 0x019B_0000_0000_1111, w1: 0x2222_3333_4444_5555))
    let made = Timestamp(seconds: 1_767_225_600, nanoseconds: 123_456_789)
    var slot: SlotID { SlotObject.id(sealing: opened.agreement.publicKey, signing: opened.signing.publicKey) }

    init() throws {
        admin = try SigningKey(seed: Self.secret(1))
        opened = SlotObject.Opened(
            agreement: try AgreementKey(raw: Self.secret(2)), signing: try SigningKey(seed: Self.secret(3)),
            adminKey: admin.publicKey)
        indexKey = Self.secret(4)
        dataKey = try AgreementKey(raw: Self.secret(5))
    }

    static func secret(_ byte: UInt8) -> SecretBytes {
        var bytes = [UInt8](repeating: byte, count: 32)
        return SecretBytes(wiping: &bytes)
    }

    /// A chunk's id that says which it is.
    static func chunk(_ number: UInt64) -> ChunkID { ChunkID(Bytes32(w0: number << 32, w1: number, w2: 1, w3: 2)) }

    func all() throws -> [String: [UInt8]] {
        var samples = try keyObjects()
        samples.merge(try packObjects()) { $1 }
        samples.merge(try snapshotObjects()) { $1 }
        samples.merge(try otherObjects()) { $1 }
        samples.merge(try evidenceObjects()) { $1 }
        samples["snapshot record with openings"] = try recordWithOpenings().encoded
        samples["primitives"] = primitives
        return samples
    }

    private var primitives: [UInt8] {
        var writer = ByteWriter()
        for value in [0, 1, 127, 128, 300, 1 << 32, UInt64.max] { writer.varint(value) }
        for value in [0, -1, 1, -64, 64, Int64.min, .max] { writer.signedVarint(value) }
        writer.u16(0x0102)
        writer.u32(0x0102_0304)
        writer.u64(0x0102_0304_0506_0708)
        writer.i64(-2)
        writer.string("größe")
        var map = FieldMap()
        map[300] = [3]
        map[2] = [1, 2]
        map.write(to: &writer)
        return writer.bytes
    }

    // MARK: Keys

    var format: FormatObject {
        var format = FormatObject(
            number: 3, repository: repository, adminKey: admin.publicKey, created: made, compression: "zstd:3")
        format.writeFeatures = 4
        format.extra[1] = [9]
        return format
    }

    var epoch: EpochObject {
        EpochObject(
            repository: repository, epoch: 2, made: made, dataPublic: dataKey.publicKey,
            structurePublic: opened.agreement.publicKey)
    }

    let grantedKeys: [GrantedKey: SecretBytes] = [
        .dataID: secret(11), .metaID: secret(13), .index: secret(17), .dataPublic: secret(20),
        .structurePublic: secret(21),
    ]

    private func keyObjects() throws -> [String: [UInt8]] {
        let entropy = SeededEntropy(seed: 1)
        let slot = try SlotObject(
            repository: repository, revision: 2, created: made, label: "sample", derivation: .scrypt(logN: 10, p: 1),
            opened: opened, secret: TestRepository.secret(Self.password), entropy: entropy)
        let raw = try SlotObject(
            repository: repository, revision: 1, created: made, label: "", derivation: .rawKey, opened: opened,
            secret: Self.secret(9), entropy: entropy)
        var grant = GrantObject(
            repository: repository, sealingKey: opened.agreement.publicKey, signingKey: opened.signing.publicKey,
            epoch: 2, role: .writer, rights: .readback, issued: made, label: "sample", sources: [tag])
        return [
            "format": try format.encoded(signer: admin), "epoch": try epoch.encoded(admin: admin),
            "slot scrypt": try slot.encoded(signer: opened.signing),
            "slot raw key": try raw.encoded(signer: opened.signing),
            "grant": try grant.encoded(keys: grantedKeys, admin: admin, entropy: entropy),
        ]
    }

    // MARK: Packs and runs

    let contents = PackContents([
        ChunkRecord(
            id: chunk(1), codec: .zstd, depth: 0, offset: 0, stored: 1000, raw: 131_072, base: Bytes16()),
        ChunkRecord(
            id: chunk(2), codec: .zstdDelta, depth: 1, offset: 1000, stored: 40, raw: 131_072,
            base: chunk(1).bytes.prefix),
        ChunkRecord(id: chunk(3), codec: .stored, depth: 0, offset: 1040, stored: 5, raw: 5, base: Bytes16()),
    ])

    func envelope(kind: UInt8) throws -> Envelope {
        let binding = Envelope.Binding(repository: repository, kind: kind, epoch: 2, salt: Bytes32(w0: 77))
        return try Envelope.seal(
            Self.secret(30), to: [dataKey.publicKey, opened.agreement.publicKey], binding: binding,
            entropy: SeededEntropy(seed: 2))
    }

    func head() throws -> PackHead {
        PackHead(
            repository: repository, kind: .delta, epoch: 2, lease: snapshot, slot: slot, salt: Bytes32(w0: 77),
            commitment: PackKeys.commitment(Self.secret(30)), bodySegments: 3, contentsLength: 4096, chunkCount: 3,
            envelope: try envelope(kind: PackKind.delta.rawValue))
    }

    var run: IndexRunObject {
        let packs = [
            IndexedPack(id: PackID(Bytes32(w0: 50)), length: 201_728, kind: .delta, slot: slot),
            IndexedPack(id: PackID(Bytes32(w0: 51)), length: 70_656, kind: .meta, slot: SlotID(Bytes16())),
        ]
        let entries = contents.chunks.reversed().map { chunk in
            (
                entry: IndexEntry(
                    id: chunk.id.bytes.prefix, pack: chunk.codec == .stored ? 1 : 0, offset: chunk.offset,
                    stored: chunk.stored, codec: chunk.codec, depth: chunk.depth, raw: chunk.raw),
                base: chunk.base
            )
        }
        return IndexRunObject(
            repository: repository, epoch: 2, slot: slot, made: made, supersedes: [IndexRunID(Bytes32(w0: 60))],
            packs: packs, entries: entries)
    }

    private func packObjects() throws -> [String: [UInt8]] {
        let head = try head().encoded
        let stream = try Segments.seal(
            [UInt8](repeating: 7, count: Segments.plainSize + 100), key: Self.secret(40),
            headDigest: SHA256.digest(head.span.bytes), stream: .contents)
        return [
            "pack head": head, "pack contents": contents.encoded,
            // Two segments are long; what matters is their end and the digest of the whole.
            "stream end": Array(stream.suffix(132)), "stream digest": SHA256.digest(stream.span.bytes).array,
            "index run": try run.encoded(
                indexKey: indexKey, signer: opened.signing, entropy: SeededEntropy(seed: 3)),
        ]
    }

    // MARK: Leases, collections, holds

    var lease: LeaseObject {
        LeaseObject(
            repository: repository, lease: snapshot, number: 4, slot: slot, purpose: .write, tag: tag, started: made,
            honoured: 6, kept: [PackID(Bytes32(w0: 50))], isClosed: true)
    }

    func collection(_ kind: ObjectKind) -> CollectionObject {
        CollectionObject(
            kind: kind, repository: repository, generation: 6, slot: slot, made: made,
            packs: [PackID(Bytes32(w0: 50)), PackID(Bytes32(w0: 51))], runs: [IndexRunID(Bytes32(w0: 60))])
    }

    var tombstone: TombstoneObject {
        TombstoneObject(
            repository: repository, tag: tag, snapshot: snapshot, slot: slot, generation: 6, made: made)
    }

    var hold: HoldObject {
        HoldObject(
            repository: repository, id: ULID(Bytes16(w0: 9)), tag: tag, snapshot: snapshot, slot: slot, made: made,
            reason: "audit")
    }

    private func otherObjects() throws -> [String: [UInt8]] {
        let signer = opened.signing
        return [
            "lease": try lease.encoded(signer: signer),
            "condemned": try collection(.condemned).encoded(signer: signer),
            "sweep": try collection(.sweep).encoded(signer: signer),
            "done": try collection(.done).encoded(signer: signer),
            "tombstone": try tombstone.encoded(signer: signer),
            "hold": try hold.encoded(signer: signer),
        ]
    }
}
