// The key of this installation: what fingerprints are made with, and what candidates are sealed under.

import Glibc
import Primitives
import Sealing
import SecretVaults

/// Keys that come of 32 random bytes in the state's directory.
///
/// A fingerprint is the first 8 bytes of HMAC-SHA256 of a value, in hexadecimal: who has no key can't test a guess with
/// it. A candidate is sealed under a key of its own, HKDF-SHA256 of random salt, and bound to its rotation and secret:
/// that of another rotation does not open.
///
/// Thread: immutable; any.
package struct RotationKey: Sendable {
    package static let fileName = "rotation.key"
    private static let keyCount = 32
    private static let saltCount = 32

    private let fingerprints: SecretBytes
    private let candidates: SecretBytes

    package init(_ key: SecretBytes) throws(HoldfastError) {
        fingerprints = try HKDF.derive(key, salt: [], info: Array("holdfast rotation 1 fingerprints".utf8), count: 32)
        candidates = try HKDF.derive(key, salt: [], info: Array("holdfast rotation 1 candidates".utf8), count: 32)
    }

    /// Reads the key of a state, and makes it where there is none.
    ///
    /// - Durability: a key that was made is on stable storage before anything is sealed under it.
    /// - Throws: `.corruptObject` for a file of another length, `.accessDenied` for one that others may read.
    package static func open(inState directory: String, entropy: any Entropy) throws(HoldfastError) -> RotationKey {
        let path = "\(directory)/\(fileName)"
        if access(path, F_OK) != 0 { try make(path, directory, entropy) }
        let file = try SecretFile.read(path, limit: keyCount)
        guard !file.isWorldReadable else {
            throw HoldfastError(
                .accessDenied, "the key \(path) may be read by everybody",
                hint: "Run `chmod 600` on it, and rotate with --emergency what it sealed.")
        }
        guard file.bytes.count == keyCount, !file.isLonger else {
            throw HoldfastError(
                .corruptObject, "the key \(path) has not \(keyCount) bytes",
                hint: "Restore it with the state; without it rotations that are under way can't go on.")
        }
        return try RotationKey(file.bytes)
    }

    /// Under another name first, so that nobody reads a part of it.
    private static func make(_ path: String, _ directory: String, _ entropy: any Entropy) throws(HoldfastError) {
        guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
            throw HoldfastError.systemCall("make directory", errno, on: directory)
        }
        let name = "\(path).\(Hex.encode(try entropy.bytes(8)))"
        guard let file = try NewSecretFile(name) else {
            throw HoldfastError(.objectExists, "there is a file \(name) already", hint: "Run the command again.")
        }
        defer { file.discard() }
        try file.fill(try entropy.secret(keyCount))
        // Of two that make it at the same moment the first wins.
        guard link(name, path) == 0 || errno == EEXIST else {
            throw HoldfastError.systemCall("link", errno, on: path)
        }
        try syncDirectory(directory)
    }

    // MARK: Fingerprints

    /// Objects count as what they say, since servers write them in a form of their own.
    package func fingerprint(_ value: SecretValue) -> String {
        let bytes = value.form == .fields ? JSONText.canonical(value.bytes) ?? value.bytes : value.bytes
        let form: [UInt8] = [value.form.rawValue]
        let hash = KeyedHash(key: fingerprints)
        let digest = bytes.withBytes { hash.digest(form.span.bytes, $0.bytes) }
        return Hex.encode(Array(digest.array.prefix(8)))
    }

    // MARK: Candidates

    package func seal(
        _ value: SecretValue, for rotation: String, of secret: String, at vault: String, _ entropy: any Entropy
    ) throws(HoldfastError) -> [UInt8] {
        let salt = try entropy.bytes(Self.saltCount)
        let plain = SecretBytes(count: 1 + value.bytes.count)
        plain.withMutableBytes { target in
            target[0] = value.form.rawValue
            value.bytes.withBytes { source in
                UnsafeMutableRawBufferPointer(rebasing: target[1...]).copyMemory(from: source)
            }
        }
        let (key, associated) = (try messageKey(salt), Self.associated(rotation, secret, vault))
        let sealed = try plain.withBytes { (raw) throws(HoldfastError) in
            try SealedBox.seal(raw.bytes, key: key, associated: associated.span.bytes)
        }
        return salt + sealed
    }

    /// - Throws: `.corruptObject` for what was not sealed for this rotation of this secret by this installation.
    package func open(
        _ sealed: [UInt8], for rotation: String, of secret: String, at vault: String
    ) throws(HoldfastError) -> SecretValue {
        guard sealed.count > Self.saltCount else { throw Self.unreadable }
        let box = Array(sealed[Self.saltCount...])
        let (key, associated) = (
            try messageKey(Array(sealed[..<Self.saltCount])), Self.associated(rotation, secret, vault)
        )
        let plain: SecretBytes
        do throws(HoldfastError) {
            plain = try SealedBox.open(box.span.bytes, key: key, associated: associated.span.bytes)
        } catch {
            throw error.code == .corruptObject ? Self.unreadable : error
        }
        return try plain.withBytes { (raw) throws(HoldfastError) in
            guard let first = raw.first, let form = SecretForm(rawValue: first) else { throw Self.unreadable }
            let rest = UnsafeRawBufferPointer(rebasing: raw[1...])
            return SecretValue(form, SecretBytes(copying: rest.bytes))
        }
    }

    private static let unreadable = HoldfastError(
        .corruptObject, "the candidate in the journal does not open",
        hint: "Restore \(fileName) together with the state, or give the rotation up with `holdfast secrets rollback`.")

    private func messageKey(_ salt: [UInt8]) throws(HoldfastError) -> SecretBytes {
        try HKDF.derive(candidates, salt: salt, info: Array("holdfast rotation 1 message".utf8), count: 32)
    }

    /// Each part with its length, so that no two bindings are the same bytes.
    private static func associated(_ parts: String...) -> [UInt8] {
        var writer = ByteWriter(reserving: 256)
        writer.u8(1)
        for part in parts {
            writer.u32(UInt32(clamping: part.utf8.count))
            writer.raw(Array(part.utf8))
        }
        return writer.bytes
    }
}
