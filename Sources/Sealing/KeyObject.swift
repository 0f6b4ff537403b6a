// Key objects of libcrypto with an owner.

import COpenSSL
import Primitives

/// Owns a key object of libcrypto, which wipes it at the end.
///
/// A private key is held twice while a ``SigningKey`` or an ``AgreementKey`` lives: in the ``SecretBytes`` that it was
/// made from, and as libcrypto's own copy. The first is wiped when its last owner lets it go; the second in `deinit`,
/// because EVP_PKEY_free clears the private half of an X25519 or Ed25519 key before it frees it. Neither outlives the
/// keys. Libcrypto's copy is in its ordinary heap, which is not locked against swapping.
///
/// Thread: may be used from any thread.
final class KeyObject: @unchecked Sendable {
    // Sendable: libcrypto lets threads sign and agree with one key object, and nothing here changes it.
    let pointer: OpaquePointer

    init(_ type: Int32, private raw: SecretBytes) throws(HoldfastError) {
        let made = raw.withBytes { EVP_PKEY_new_raw_private_key(type, nil, $0.start, $0.count) }
        guard let made else { throw Libcrypto.failure("EVP_PKEY_new_raw_private_key") }
        pointer = made
    }

    init(_ type: Int32, public raw: Bytes32) throws(HoldfastError) {
        let made = raw.withBytes { EVP_PKEY_new_raw_public_key(type, nil, $0.start, $0.count) }
        guard let made else { throw Libcrypto.failure("EVP_PKEY_new_raw_public_key") }
        pointer = made
    }

    deinit { EVP_PKEY_free(pointer) }

    func publicKey() throws(HoldfastError) -> Bytes32 {
        var done: Int32 = 0
        var count = 32
        let key = withDigestBuffer { done = EVP_PKEY_get_raw_public_key(pointer, $0, &count) }
        guard done == 1, count == 32 else { throw Libcrypto.failure("EVP_PKEY_get_raw_public_key") }
        return key
    }
}
