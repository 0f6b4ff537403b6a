// What the embedded vault seals, and under which keys.

import Primitives
import Sealing
import SecretVaults

/// The random id of an embedded vault.
package struct VaultID: ShortID, BitwiseCopyable {
    package let bytes: Bytes16
    package init(_ bytes: Bytes16) { self.bytes = bytes }
}

/// The keyed digest of a secret's name, under which its rows stand.
struct SecretTag: Hashable, Sendable {
    let bytes: Bytes32
}

/// The keys that come of the vault's one random key.
///
/// Each message has a key of its own, HKDF-SHA256 of the vault's key with 32 random bytes of salt, so that no nonce is
/// ever used twice, whatever copies of the file somebody goes on with. What a message is and where it belongs is
/// associated data: a row that was put in the place of another one does not open.
///
/// Thread: immutable; any.
struct VaultKeys: Sendable {
    static let saltCount = 32

    let vault: VaultID
    private let key: SecretBytes
    private let names: SecretBytes
    private let sums: SecretBytes

    init(vault: VaultID, key: SecretBytes) throws(HoldfastError) {
        self.vault = vault
        self.key = key
        let salt = vault.bytes.array
        names = try HKDF.derive(key, salt: salt, info: Array("holdfast vault 1 names".utf8), count: 32)
        sums = try HKDF.derive(key, salt: salt, info: Array("holdfast vault 1 sums".utf8), count: 32)
    }

    func tag(of name: SecretName) -> SecretTag {
        SecretTag(bytes: KeyedHash.digest(key: names, name.bytes.span.bytes))
    }

    /// What a record adds to the sum of all.
    func share(of tag: SecretTag, _ sealed: [UInt8]) -> Bytes32 {
        let both = tag.bytes.array + sealed
        return KeyedHash.digest(key: sums, both.span.bytes)
    }

    // MARK: Messages

    /// Where a message belongs.
    enum Place: Sendable {
        case root
        case record(SecretTag)
        /// The value of the version with this order.
        case value(SecretTag, UInt64)

        fileprivate func associated(_ vault: VaultID) -> [UInt8] {
            var writer = ByteWriter(reserving: 64)
            writer.raw(vault.bytes)
            switch self {
            case .root: writer.u8(1)
            case .record(let tag):
                writer.u8(2)
                writer.raw(tag.bytes)
            case .value(let tag, let order):
                writer.u8(3)
                writer.raw(tag.bytes)
                writer.u64(order)
            }
            return writer.bytes
        }
    }

    /// The ciphertext with its tag; the salt is kept apart.
    func seal(_ plain: RawSpan, at place: Place, salt: Bytes32) throws(HoldfastError) -> [UInt8] {
        let associated = place.associated(vault)
        return try SealedBox.seal(plain, key: try messageKey(salt), associated: associated.span.bytes)
    }

    /// - Throws: `.corruptObject` when the bytes are not what was sealed at this place.
    func open(_ sealed: [UInt8], at place: Place, salt: Bytes32) throws(HoldfastError) -> SecretBytes {
        let associated = place.associated(vault)
        return try SealedBox.open(sealed.span.bytes, key: try messageKey(salt), associated: associated.span.bytes)
    }

    /// A fresh salt, followed by the ciphertext with its tag.
    func sealSalted(_ plain: RawSpan, at place: Place, _ entropy: any Entropy) throws(HoldfastError) -> [UInt8] {
        let salt = try entropy.bytes32()
        return salt.array + (try seal(plain, at: place, salt: salt))
    }

    func openSalted(_ sealed: [UInt8], at place: Place) throws(HoldfastError) -> SecretBytes {
        guard sealed.count > Self.saltCount else {
            throw HoldfastError(
                .corruptObject, "a sealed row ends early", hint: "Restore the vault from a snapshot of it.")
        }
        let salt = Bytes32(sealed.span.bytes)
        return try open(Array(sealed[Self.saltCount...]), at: place, salt: salt)
    }

    private func messageKey(_ salt: Bytes32) throws(HoldfastError) -> SecretBytes {
        try HKDF.derive(key, salt: salt.array, info: Array("holdfast vault 1 message".utf8), count: 32)
    }
}

/// The one row that stands for all others: how many writes there were, how many secrets there are, and a sum over their
/// rows.
///
/// The sum is that of keyed digests of all rows modulo 2^256 (the additive multiset hash of Clarke, Devadas, van Dijk,
/// Gassend and Suh, "Incremental Multiset Hash Functions", ASIACRYPT 2003), so that a write costs two digests whatever
/// there is. It is sealed: who has no key learns no sum, and can't make rows that fit one.
struct VaultRoot: Sendable, Equatable {
    /// Grows by one with each write.
    var generation: UInt64 = 0
    var secrets: UInt64 = 0
    var sum = Bytes32()

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        writer.u8(1)
        writer.u64(generation)
        writer.u64(secrets)
        writer.raw(sum)
        return writer.bytes
    }

    init() {}

    init(_ bytes: [UInt8]) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: "the vault's root")
        guard try reader.u8() == 1 else { throw reader.corrupt("its version is unknown") }
        generation = try reader.u64()
        secrets = try reader.u64()
        sum = try reader.bytes32()
        try reader.expectEnd()
    }

    mutating func add(_ share: Bytes32) { sum = Self.sum(sum, share, subtracting: false) }
    mutating func subtract(_ share: Bytes32) { sum = Self.sum(sum, share, subtracting: true) }

    private static func sum(_ a: Bytes32, _ b: Bytes32, subtracting: Bool) -> Bytes32 {
        var carry = false
        func step(_ x: UInt64, _ y: UInt64) -> UInt64 {
            let (first, one) = subtracting ? x.subtractingReportingOverflow(y) : x.addingReportingOverflow(y)
            let rest: UInt64 = carry ? 1 : 0
            let (second, two) =
                subtracting ? first.subtractingReportingOverflow(rest) : first.addingReportingOverflow(rest)
            carry = one || two
            return second
        }
        let w3 = step(a.w3, b.w3)
        let w2 = step(a.w2, b.w2)
        let w1 = step(a.w1, b.w1)
        return Bytes32(w0: step(a.w0, b.w0), w1: w1, w2: w2, w3: w3)
    }
}
