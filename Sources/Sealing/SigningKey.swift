// Ed25519 (RFC 8032): signatures over snapshots, runs and grants.

import COpenSSL
import Primitives

/// A key pair that signs. Its private half is wiped with the last copy of it; see ``KeyObject``.
package struct SigningKey: Sendable {
    /// Bytes of a signature.
    package static let signatureCount = 64
    package let publicKey: Bytes32
    /// The 32 private bytes, as the slot stores them sealed.
    package let seed: SecretBytes
    /// Made once: libcrypto works out the public half each time, which costs as much as a signature.
    private let key: KeyObject

    package static func generate(entropy: any Entropy) throws(HoldfastError) -> SigningKey {
        try SigningKey(seed: try entropy.secret(32))
    }

    /// - Throws: `.cryptography` unless `seed` has 32 bytes.
    package init(seed: SecretBytes) throws(HoldfastError) {
        key = try KeyObject(EVP_PKEY_ED25519, private: seed)
        publicKey = try key.publicKey()
        self.seed = seed
    }

    /// The signature of `message`: 64 bytes, the same each time.
    package func sign(_ message: RawSpan) throws(HoldfastError) -> [UInt8] {
        let context = newDigestContext()
        defer { EVP_MD_CTX_free(context) }
        var signature = [UInt8](repeating: 0, count: Self.signatureCount)
        var count = Self.signatureCount
        let done = message.withUnsafeBytes { raw in
            EVP_DigestSignInit(context, nil, nil, nil, key.pointer) == 1
                && EVP_DigestSign(context, &signature, &count, raw.start, raw.count) == 1
        }
        guard done, count == Self.signatureCount else { throw Libcrypto.failure("Ed25519") }
        return signature
    }

    /// Whether `signature` is one of `message` by the holder of `publicKey`; false for anything malformed. What was
    /// found valid once is remembered for the process; see ``VerifiedSignatures``.
    package static func verify(_ signature: RawSpan, _ message: RawSpan, publicKey: Bytes32) -> Bool {
        guard signature.byteCount == signatureCount else { return false }
        let name = VerifiedSignatures.name(signature, message, publicKey: publicKey)
        if let name, VerifiedSignatures.shared.contains(name) { return true }
        guard isValid(signature, message, publicKey) else { return false }
        if let name { VerifiedSignatures.shared.insert(name) }
        return true
    }

    private static func isValid(_ signature: RawSpan, _ message: RawSpan, _ publicKey: Bytes32) -> Bool {
        let key: KeyObject
        do throws(HoldfastError) {
            key = try KeyObject(EVP_PKEY_ED25519, public: publicKey)
        } catch {
            return false
        }
        let context = newDigestContext()
        defer { EVP_MD_CTX_free(context) }
        let valid = signature.withUnsafeBytes { mark in
            message.withUnsafeBytes { raw in
                EVP_DigestVerifyInit(context, nil, nil, nil, key.pointer) == 1
                    && EVP_DigestVerify(context, mark.start, mark.count, raw.start, raw.count) == 1
            }
        }
        if !valid { ERR_clear_error() }
        return valid
    }
}
