// HMAC-SHA256 (FIPS 198-1, RFC 2104) with the key's blocks hashed once.

import COpenSSL
import Primitives

/// HMAC-SHA256 under one key, for chunk ids.
///
/// The states after the inner and the outer key block are computed at init and copied for each message, which saves two
/// compressions and a key set-up a message.
///
/// Thread: one at a time, since the working state is shared between calls; make one per thread.
package final class KeyedHash {
    private let inner: OpaquePointer
    private let outer: OpaquePointer
    private let working: OpaquePointer
    /// For two messages at once; nil where the processor gains nothing from it.
    private let pair: KeyedHashPair?

    /// Takes a key of any length; one over 64 bytes is hashed first, as the standard says.
    package init(key: SecretBytes) {
        let (inner, outer) = (newDigestContext(), newDigestContext())
        self.inner = inner
        self.outer = outer
        working = newDigestContext()
        let block = SecretBytes(count: 64)
        if key.count > 64 {
            let short = key.withBytes { SHA256.digest($0.bytes) }
            short.withBytes { raw in block.withMutableBytes { $0.copyMemory(from: raw) } }
        } else {
            key.withBytes { raw in block.withMutableBytes { $0.copyMemory(from: raw) } }
        }
        let innerBlock = SecretBytes(count: 64)
        block.withMutableBytes { raw in
            for index in raw.indices { raw[index] ^= 0x36 }
            Self.start(inner, with: raw)
            innerBlock.withMutableBytes { $0.copyMemory(from: UnsafeRawBufferPointer(raw)) }
            for index in raw.indices { raw[index] ^= 0x36 ^ 0x5C }
            Self.start(outer, with: raw)
        }
        pair = innerBlock.withBytes { inner in block.withBytes { KeyedHashPair(inner: inner, outer: $0) } }
    }

    deinit {
        EVP_MD_CTX_free(inner)
        EVP_MD_CTX_free(outer)
        EVP_MD_CTX_free(working)
    }

    package func digest(_ bytes: RawSpan) -> Bytes32 {
        begin()
        update(bytes)
        return finish()
    }

    /// The digest of `first` followed by `second`.
    package func digest(_ first: RawSpan, _ second: RawSpan) -> Bytes32 {
        begin()
        update(first)
        update(second)
        return finish()
    }

    /// The digests of two messages, which together take little longer than one of them.
    package func digests(_ first: RawSpan, _ second: RawSpan) -> (Bytes32, Bytes32) {
        if let pair { return pair.digests(first, second) }
        return (digest(first), digest(second))
    }

    /// The digest of one message under a key that is used once.
    package static func digest(key: SecretBytes, _ bytes: RawSpan) -> Bytes32 {
        KeyedHash(key: key).digest(bytes)
    }

    private static func start(_ context: OpaquePointer, with block: UnsafeMutableRawBufferPointer) {
        precondition(
            EVP_DigestInit_ex2(context, Libcrypto.sha256.pointer, nil) == 1
                && EVP_DigestUpdate(context, block.baseAddress, block.count) == 1, "HMAC set-up failed")
    }

    private func begin() {
        precondition(EVP_MD_CTX_copy_ex(working, inner) == 1, "HMAC failed")
    }

    private func update(_ bytes: RawSpan) {
        let done = bytes.withUnsafeBytes { raw in EVP_DigestUpdate(working, raw.baseAddress, raw.count) }
        precondition(done == 1, "HMAC failed")
    }

    private func finish() -> Bytes32 {
        withDigestBuffer { output in
            precondition(
                EVP_DigestFinal_ex(working, output, nil) == 1 && EVP_MD_CTX_copy_ex(working, outer) == 1
                    && EVP_DigestUpdate(working, output, 32) == 1 && EVP_DigestFinal_ex(working, output, nil) == 1,
                "HMAC failed")
        }
    }
}
