// A slot of the embedded vault: its key, wrapped under a password.

import Primitives
import Sealing
import SecretVaults

/// What a password costs to try.
package struct PasswordCost: Sendable, Hashable {
    package var logN: UInt8
    package var p: UInt32

    package init(logN: UInt8, p: UInt32) {
        self.logN = logN
        self.p = p
    }

    /// As the slots of a repository: 64 MiB and about a fifth of a second.
    package static let standard = PasswordCost(logN: 16, p: 1)
}

/// A slot as it is stored.
///
/// Version u8 (1), created i64, logN u8, p u32, salt 32; then the vault's key of 32 bytes under AES-256-GCM with the
/// vault's id, the slot's id and what comes before as associated data. Key = HKDF(scrypt(password, salt), salt).
struct VaultSlot: Sendable {
    static let maximumSlots = 8
    static let maximumSize = 256

    let id: Bytes16
    let created: Timestamp
    private let cost: PasswordCost
    private let salt: Bytes32
    private let wrapped: [UInt8]

    init(
        vault: VaultID, wrapping key: SecretBytes, password: SecretBytes, cost: PasswordCost, created: Timestamp,
        entropy: any Entropy
    ) throws(HoldfastError) {
        id = try entropy.bytes16()
        salt = try entropy.bytes32()
        self.cost = cost
        self.created = created
        let own = try Self.wrappingKey(password, cost, salt)
        let associated = Self.associated(vault, id, Self.clear(created, cost, salt))
        wrapped = try key.withBytes { (raw) throws(HoldfastError) in
            try SealedBox.seal(RawSpan(_unsafeBytes: raw), key: own, associated: associated.span.bytes)
        }
    }

    init(id: Bytes16, _ bytes: [UInt8]) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: "the slot \(Hex.encode(id.array)) of the vault")
        guard try reader.u8() == 1 else { throw reader.corrupt("its version is unknown") }
        self.id = id
        created = Timestamp(nanoseconds: try reader.i64())
        cost = PasswordCost(logN: try reader.u8(), p: try reader.u32())
        salt = try reader.bytes32()
        wrapped = try reader.raw(32 + SealedBox.overhead)
        try reader.expectEnd()
    }

    func encoded() -> [UInt8] { Self.clear(created, cost, salt) + wrapped }

    /// The vault's key; nil when the password is not this slot's.
    ///
    /// - Throws: `.limitExceeded`, before anything is computed, for a slot that asks for more than a password may cost.
    func open(_ vault: VaultID, _ password: SecretBytes) throws(HoldfastError) -> SecretBytes? {
        let own = try Self.wrappingKey(password, cost, salt)
        let associated = Self.associated(vault, id, Self.clear(created, cost, salt))
        do throws(HoldfastError) {
            return try SealedBox.open(wrapped.span.bytes, key: own, associated: associated.span.bytes)
        } catch {
            if error.code == .corruptObject { return nil }
            throw error
        }
    }

    private static func wrappingKey(
        _ password: SecretBytes, _ cost: PasswordCost, _ salt: Bytes32
    ) throws(HoldfastError) -> SecretBytes {
        let stretched = try PasswordKey.scrypt(password, salt: salt.array, logN: cost.logN, r: 8, p: cost.p)
        return try HKDF.derive(
            stretched, salt: salt.array, info: Array("holdfast vault 1 slot".utf8), count: 32)
    }

    private static func clear(_ created: Timestamp, _ cost: PasswordCost, _ salt: Bytes32) -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(1)
        writer.i64(created.nanoseconds)
        writer.u8(cost.logN)
        writer.u32(cost.p)
        writer.raw(salt)
        return writer.bytes
    }

    private static func associated(_ vault: VaultID, _ id: Bytes16, _ clear: [UInt8]) -> [UInt8] {
        vault.bytes.array + id.array + clear
    }
}
