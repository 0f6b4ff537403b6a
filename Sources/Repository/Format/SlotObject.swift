// slots/<slot>-<revision>: one holder's key pairs, wrapped under a password or a raw key.

import Primitives
import Sealing

/// How the wrapping key of a slot is made.
package enum KeyDerivation: Sendable, Hashable {
    /// RFC 7914 with r = 8.
    case scrypt(logN: UInt8, p: UInt32)
    /// 32 random bytes from a file or a key service.
    case rawKey

    /// 2^16 × 8 × 128 B = 64 MiB and about a fifth of a second.
    package static let standard = KeyDerivation.scrypt(logN: 16, p: 1)
}

/// A key slot as stored.
///
/// Body: header, repository 16, slot 16, revision u32, created i64, label, kdf u8 (1 scrypt, 2 raw), logN u8, r u32, p
/// u32, salt 32, sealing public key 32, signing public key 32; then under AES-256-GCM with the body so far as
/// associated data: X25519 private 32 ‖ Ed25519 seed 32 ‖ admin public key 32. The SHA-256 of all that closes it; it is
/// signed by the slot's own key. Key = HKDF(scrypt or raw key, salt, "slot").
package struct SlotObject: Sendable {
    package static let maximumSize = ByteCount.kibi(16)
    package static let maximumSlots = 64

    package var repository: RepositoryID
    package var id: SlotID
    package var revision: UInt32
    package var created: Timestamp
    package var label: String
    package var derivation: KeyDerivation
    package var salt: Bytes32
    package var sealingKey: Bytes32
    package var signingKey: Bytes32
    private var wrapped: [UInt8] = []

    /// The secret half of a slot.
    package struct Opened: Sendable {
        package var agreement: AgreementKey
        package var signing: SigningKey
        /// The pinned key of the admin: grants and formats that it did not sign do not exist for this slot.
        package var adminKey: Bytes32

        package init(agreement: AgreementKey, signing: SigningKey, adminKey: Bytes32) {
            self.agreement = agreement
            self.signing = signing
            self.adminKey = adminKey
        }
    }

    /// The id that a pair of public keys has.
    package static func id(sealing: Bytes32, signing: Bytes32) -> SlotID {
        let both = sealing.array + signing.array
        return SlotID(SHA256.digest(both.span.bytes).prefix)
    }

    package init(
        repository: RepositoryID, revision: UInt32, created: Timestamp, label: String, derivation: KeyDerivation,
        opened: Opened, secret: SecretBytes, entropy: any Entropy
    ) throws(HoldfastError) {
        self.repository = repository
        self.revision = revision
        self.created = created
        self.label = label
        self.derivation = derivation
        salt = try entropy.bytes32()
        sealingKey = opened.agreement.publicKey
        signingKey = opened.signing.publicKey
        id = Self.id(sealing: sealingKey, signing: signingKey)
        var plain = opened.agreement.privateKey.withBytes { [UInt8]($0) }
        plain.append(contentsOf: opened.signing.seed.withBytes { [UInt8]($0) })
        plain.append(contentsOf: opened.adminKey.array)
        defer { wipe(&plain) }
        let key = try Self.wrappingKey(secret, derivation, salt)
        let clear = clearPart
        wrapped = try SealedBox.seal(plain.span.bytes, key: key, associated: clear.span.bytes)
    }

    private var clearPart: [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.slot).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(id.bytes)
        writer.u32(revision)
        writer.i64(created.nanoseconds)
        writer.string(label)
        switch derivation {
        case .scrypt(let logN, let p):
            writer.u8(1)
            writer.u8(logN)
            writer.u32(8)
            writer.u32(p)
        case .rawKey:
            writer.u8(2)
            writer.u8(0)
            writer.u32(0)
            writer.u32(0)
        }
        writer.raw(salt)
        writer.raw(sealingKey)
        writer.raw(signingKey)
        return writer.bytes
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        try SignedFrame.close(clearPart + wrapped, signer: signer)
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .slot, name: name)
        repository = RepositoryID(try reader.bytes16())
        id = SlotID(try reader.bytes16())
        revision = try reader.u32()
        created = Timestamp(nanoseconds: try reader.i64())
        label = try reader.string(atMost: 256)
        let kind = try reader.u8()
        let logN = try reader.u8()
        let r = try reader.u32()
        let p = try reader.u32()
        switch (kind, logN, r, p) {
        case (1, _, 8, _):
            // Checked here as well as before allocation: a hostile slot must not cost memory or hours.
            guard (10...20).contains(logN), (1...4).contains(p) else {
                throw HoldfastError(
                    .limitExceeded, "\(name) asks for scrypt parameters over the limits (2^\(logN), p \(p))",
                    hint: "The slot is hostile or damaged; remove it and open the repository with another slot.")
            }
            derivation = .scrypt(logN: logN, p: p)
        case (2, 0, 0, 0): derivation = .rawKey
        default: throw reader.corrupt("its key derivation is unknown")
        }
        salt = try reader.bytes32()
        sealingKey = try reader.bytes32()
        signingKey = try reader.bytes32()
        wrapped = try reader.raw(96 + 16)
        try reader.expectEnd()
        guard id == Self.id(sealing: sealingKey, signing: signingKey) else {
            throw reader.corrupt("its id is not of its keys")
        }
        try SignedFrame.verify(body, signature, key: signingKey, name: name)
    }

    /// Unwraps the keys; nil when `secret` is not the slot's.
    package func open(with secret: SecretBytes) throws(HoldfastError) -> Opened? {
        let key = try Self.wrappingKey(secret, derivation, salt)
        let clear = clearPart
        let plain: SecretBytes
        do throws(HoldfastError) {
            plain = try SealedBox.open(wrapped.span.bytes, key: key, associated: clear.span.bytes)
        } catch {
            guard error.code == .corruptObject else { throw error }
            return nil
        }
        let parts = plain.withBytes { raw in
            (
                SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[0..<32]))),
                SecretBytes(copying: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[32..<64]))),
                Bytes32(RawSpan(_unsafeBytes: raw), at: 64)
            )
        }
        return Opened(
            agreement: try AgreementKey(raw: parts.0), signing: try SigningKey(seed: parts.1), adminKey: parts.2)
    }

    private static func wrappingKey(
        _ secret: SecretBytes, _ derivation: KeyDerivation, _ salt: Bytes32
    ) throws(HoldfastError) -> SecretBytes {
        let stretched: SecretBytes
        switch derivation {
        case .scrypt(let logN, let p):
            stretched = try PasswordKey.scrypt(secret, salt: salt.array, logN: logN, r: 8, p: p)
        case .rawKey: stretched = secret
        }
        return try HKDF.derive(stretched, salt: salt.array, info: Array("slot".utf8), count: 32)
    }
}
