// Key pairs as texts, for programs that read PEM.

import COpenSSL
import Primitives

/// What a key pair is of.
package enum KeyPairKind: String, Sendable, Hashable, CaseIterable {
    case ed25519
    case rsa2048 = "rsa-2048"
    case rsa3072 = "rsa-3072"
    case rsa4096 = "rsa-4096"

    fileprivate var bits: Int32? {
        switch self {
        case .ed25519: nil
        case .rsa2048: 2048
        case .rsa3072: 3072
        case .rsa4096: 4096
        }
    }
}

/// A key pair as PEM: the private half in PKCS #8 (RFC 5208), the public one as SubjectPublicKeyInfo (RFC 5280).
package struct KeyPairText: Sendable {
    package let privateKey: SecretBytes
    package let publicKey: String

    /// Makes a key pair with libcrypto's own generator; a large RSA key takes seconds.
    ///
    /// - Throws: `.cryptography`.
    package static func generate(_ kind: KeyPairKind) throws(HoldfastError) -> KeyPairText {
        let type = kind.bits == nil ? EVP_PKEY_ED25519 : EVP_PKEY_RSA
        guard let context = EVP_PKEY_CTX_new_id(type, nil) else { throw Libcrypto.failure("EVP_PKEY_CTX_new_id") }
        defer { EVP_PKEY_CTX_free(context) }
        guard EVP_PKEY_keygen_init(context) == 1 else { throw Libcrypto.failure("EVP_PKEY_keygen_init") }
        if let bits = kind.bits {
            guard EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits) == 1 else {
                throw Libcrypto.failure("EVP_PKEY_CTX_set_rsa_keygen_bits")
            }
        }
        var key: OpaquePointer?
        guard EVP_PKEY_keygen(context, &key) == 1, let key else { throw Libcrypto.failure("EVP_PKEY_keygen") }
        defer { EVP_PKEY_free(key) }
        let secret = try text { PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil) }
        let shown = try text { PEM_write_bio_PUBKEY($0, key) }
        return KeyPairText(
            privateKey: secret, publicKey: shown.withBytes { String(decoding: $0, as: UTF8.self) })
    }

    /// What `write` puts into a file of memory, which libcrypto wipes when it is freed.
    private static func text(_ write: (OpaquePointer) -> Int32) throws(HoldfastError) -> SecretBytes {
        guard let file = BIO_new(BIO_s_mem()) else { throw Libcrypto.failure("BIO_new") }
        defer { BIO_free(file) }
        guard write(file) == 1 else { throw Libcrypto.failure("PEM") }
        let buffer = SecretBytes(count: 16 << 10)
        let count = buffer.withMutableBytes { BIO_read(file, $0.baseAddress, Int32($0.count)) }
        guard count > 0, Int(count) < buffer.count else { throw Libcrypto.failure("BIO_read") }
        return buffer.withBytes { raw in
            let own = UnsafeRawBufferPointer(rebasing: raw[..<Int(count)])
            return SecretBytes(copying: own.bytes)
        }
    }
}
