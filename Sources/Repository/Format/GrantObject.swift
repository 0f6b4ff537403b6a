// grants/<slot>/<epoch>-<sha256>: what a slot may do in one epoch, signed by the admin, its keys sealed to the slot.

import Primitives
import Sealing

/// What a holder of a key may do. Raw values are part of format 1.
package enum Role: UInt8, Sendable, CaseIterable, CustomStringConvertible {
    case admin = 1
    case writer = 2
    case maintainer = 3
    case restorer = 4
    /// The slot was removed: it gets no further epoch, and what it signed before stays readable.
    case revoked = 255

    package var description: String {
        switch self {
        case .admin: "admin"
        case .writer: "writer"
        case .maintainer: "maintainer"
        case .restorer: "restorer"
        case .revoked: "revoked"
        }
    }

    package init?(_ name: String) {
        guard let role = Self.allCases.first(where: { $0.description == name }), role != .revoked else { return nil }
        self = role
    }
}

/// Rights beyond the role.
package struct Rights: OptionSet, Sendable, Hashable {
    package let rawValue: UInt32
    package init(rawValue: UInt32) { self.rawValue = rawValue }
    /// A writer's own data packs are sealed to its slot too, so that it can make deltas against them.
    package static let readback = Rights(rawValue: 1)
    /// The slot may sign evidence; an admin always may.
    package static let attest = Rights(rawValue: 2)
}

/// One kind of key in a grant. Raw values are part of format 1; unknown ones are kept and ignored.
package enum GrantedKey: UInt8, Sendable, CaseIterable {
    case dataID = 1
    case secretID = 2
    case metaID = 3
    case logID = 4
    case sourceID = 5
    case cut = 6
    case index = 7
    case dataPrivate = 8
    case structurePrivate = 9
    case dataPublic = 10
    case structurePublic = 11
    case adminSeed = 12
}

/// A signed grant.
///
/// Body: header, repository 16, slot 16, sealing key 32, signing key 32, epoch u32, role u8, rights u32, issued i64,
/// label, sources (varint count, 16 each; none means all), ephemeral 32, sealed keys (length-prefixed; AES-256-GCM
/// under HKDF(X25519(ephemeral, slot), ephemeral, "grant" ‖ repository ‖ slot ‖ epoch) with the body so far as
/// associated data). Then the admin's signature and the SHA-256. The object is named by the SHA-256 of all its bytes.
package struct GrantObject: Sendable {
    package static let maximumSize = ByteCount.kibi(256)
    package static let maximumSources = 4096

    package var repository: RepositoryID
    package var slot: SlotID
    package var sealingKey: Bytes32
    package var signingKey: Bytes32
    package var epoch: Epoch
    package var role: Role
    package var rights: Rights
    package var issued: Timestamp
    package var label: String
    /// The sources whose snapshots the slot may sign; empty for all.
    package var sources: [SourceTag]
    private var ephemeral = Bytes32()
    private var sealedKeys: [UInt8] = []

    package init(
        repository: RepositoryID, sealingKey: Bytes32, signingKey: Bytes32, epoch: Epoch, role: Role, rights: Rights,
        issued: Timestamp, label: String, sources: [SourceTag]
    ) {
        self.repository = repository
        slot = SlotObject.id(sealing: sealingKey, signing: signingKey)
        self.sealingKey = sealingKey
        self.signingKey = signingKey
        self.epoch = epoch
        self.role = role
        self.rights = rights
        self.issued = issued
        self.label = label
        self.sources = sources
    }

    private var clearPart: [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.grant).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(slot.bytes)
        writer.raw(sealingKey)
        writer.raw(signingKey)
        writer.u32(epoch)
        writer.u8(role.rawValue)
        writer.u32(rights.rawValue)
        writer.i64(issued.nanoseconds)
        writer.string(label)
        writer.varint(UInt64(sources.count))
        for source in sources { writer.raw(source.bytes) }
        writer.raw(ephemeral)
        return writer.bytes
    }

    /// Seals `keys` to the slot and signs the whole.
    package mutating func encoded(
        keys: [GrantedKey: SecretBytes], admin: SigningKey, entropy: any Entropy
    ) throws(HoldfastError) -> [UInt8] {
        var plain: [UInt8] = []
        defer { wipe(&plain) }
        for (kind, key) in keys.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
            precondition(key.count == 32, "granted keys are 32 bytes")
            plain.append(kind.rawValue)
            key.withBytes { plain.append(contentsOf: $0) }
        }
        let pair = try AgreementKey.generate(entropy: entropy)
        ephemeral = pair.publicKey
        let key = try wrappingKey(try pair.sharedSecret(with: sealingKey))
        let clear = clearPart
        sealedKeys = try SealedBox.seal(plain.span.bytes, key: key, associated: clear.span.bytes)
        var writer = ByteWriter()
        writer.raw(clear)
        writer.prefixed(sealedKeys)
        return try SignedFrame.close(writer.bytes, signer: admin)
    }

    /// Reads a grant and verifies that the admin signed it.
    package init(_ bytes: [UInt8], name: String, adminKey: Bytes32) throws(HoldfastError) {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .grant, name: name)
        repository = RepositoryID(try reader.bytes16())
        slot = SlotID(try reader.bytes16())
        sealingKey = try reader.bytes32()
        signingKey = try reader.bytes32()
        epoch = try reader.u32()
        guard let role = Role(rawValue: try reader.u8()) else { throw reader.corrupt("its role is unknown") }
        self.role = role
        rights = Rights(rawValue: try reader.u32())
        issued = Timestamp(nanoseconds: try reader.i64())
        label = try reader.string(atMost: 256)
        sources = []
        for _ in 0..<(try reader.count(each: 16, atMost: Self.maximumSources)) {
            sources.append(SourceTag(try reader.bytes16()))
        }
        ephemeral = try reader.bytes32()
        sealedKeys = try reader.prefixed(atMost: 64 << 10)
        try reader.expectEnd()
        guard slot == SlotObject.id(sealing: sealingKey, signing: signingKey) else {
            throw reader.corrupt("its slot is not of its keys")
        }
        try SignedFrame.verify(body, signature, key: adminKey, name: name)
    }

    /// Opens the sealed keys with the slot's private key.
    package func keys(_ slotKey: AgreementKey, name: String) throws(HoldfastError) -> [GrantedKey: SecretBytes] {
        let key = try wrappingKey(try slotKey.sharedSecret(with: ephemeral))
        let clear = clearPart
        let plain = try SealedBox.open(sealedKeys.span.bytes, key: key, associated: clear.span.bytes)
        return try Self.readKeys(plain, name: name)
    }

    /// Takes the opened keys apart: for each its number and 32 bytes; unknown numbers are passed over.
    package static func readKeys(_ plain: SecretBytes, name: String) throws(HoldfastError) -> [GrantedKey: SecretBytes]
    {
        guard plain.count % 33 == 0 else { throw ByteReader([], as: name).corrupt("its keys are cut short") }
        var keys: [GrantedKey: SecretBytes] = [:]
        plain.withBytes { raw in
            for place in stride(from: 0, to: raw.count, by: 33) {
                guard let kind = GrantedKey(rawValue: raw[place]) else { continue }
                let bytes = UnsafeRawBufferPointer(rebasing: raw[(place + 1)..<(place + 33)])
                keys[kind] = SecretBytes(copying: RawSpan(_unsafeBytes: bytes))
            }
        }
        return keys
    }

    private func wrappingKey(_ shared: SecretBytes) throws(HoldfastError) -> SecretBytes {
        var info = ByteWriter()
        info.raw(Array("grant".utf8))
        info.raw(repository.bytes)
        info.raw(slot.bytes)
        info.u32(epoch)
        return try HKDF.derive(shared, salt: ephemeral.array, info: info.bytes, count: 32)
    }
}
