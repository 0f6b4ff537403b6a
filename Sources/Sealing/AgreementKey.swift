// X25519 (RFC 7748): a secret that two key pairs share.

import COpenSSL
import Primitives

/// A key pair that others seal to. Its private half is wiped with the last copy of it; see ``KeyObject``.
package struct AgreementKey: Sendable {
    package let publicKey: Bytes32
    /// The 32 private bytes, as the slot stores them sealed.
    package let privateKey: SecretBytes
    /// Made once: libcrypto works out the public half each time, which costs as much as an agreement.
    private let key: KeyObject

    package static func generate(entropy: any Entropy) throws(HoldfastError) -> AgreementKey {
        try AgreementKey(raw: try entropy.secret(32))
    }

    /// - Throws: `.cryptography` unless `raw` has 32 bytes.
    package init(raw: SecretBytes) throws(HoldfastError) {
        key = try KeyObject(EVP_PKEY_X25519, private: raw)
        publicKey = try key.publicKey()
        privateKey = raw
    }

    /// The shared secret with the holder of `peer`; derive keys from it, do not use it as one.
    ///
    /// - Throws: `.cryptography` when the peer's key is of low order, so that the secret would be all zero.
    package func sharedSecret(with peer: Bytes32) throws(HoldfastError) -> SecretBytes {
        let other = try KeyObject(EVP_PKEY_X25519, public: peer)
        guard let context = EVP_PKEY_CTX_new(key.pointer, nil) else { throw Libcrypto.failure("EVP_PKEY_CTX_new") }
        defer { EVP_PKEY_CTX_free(context) }
        let shared = SecretBytes(count: 32)
        var count = 32
        let done = shared.withMutableBytes { raw in
            EVP_PKEY_derive_init(context) == 1 && EVP_PKEY_derive_set_peer(context, other.pointer) == 1
                && EVP_PKEY_derive(context, raw.start, &count) == 1
        }
        guard done, count == 32 else { throw Libcrypto.failure("X25519") }
        guard !shared.equals(SecretBytes(count: 32)) else {
            throw HoldfastError(
                .cryptography, "the agreement gave an all-zero secret",
                hint: "The other public key is not a valid one; get it again from its holder.")
        }
        return shared
    }
}
