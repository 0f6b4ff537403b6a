// AES-256-GCM (NIST SP 800-38D) over many segments under one key.

import COpenSSL
import Primitives

/// Seals and opens the numbered segments of one stream, in place.
///
/// A key seals one stream only: the nonce is the segment's number, so that the same number twice under one key would
/// give the key stream away. The key schedule is made at init; a call changes the nonce alone.
///
/// Thread: one at a time; make one per thread.
package final class SegmentCipher {
    /// Bytes of an authentication tag.
    package static let tagCount = 16
    private let context: OpaquePointer
    private let nonce: UnsafeMutableRawBufferPointer

    /// Takes a key of 32 bytes.
    package init(key: SecretBytes) throws(HoldfastError) {
        precondition(key.count == 32, "a key of AES-256 has 32 bytes")
        guard let context = EVP_CIPHER_CTX_new() else { throw Libcrypto.failure("EVP_CIPHER_CTX_new") }
        let done = key.withBytes { raw in
            EVP_CipherInit_ex2(context, Libcrypto.aes256GCM.pointer, raw.start, nil, 1, nil)
        }
        guard done == 1 else {
            EVP_CIPHER_CTX_free(context)
            throw Libcrypto.failure("EVP_CipherInit_ex2")
        }
        self.context = context
        nonce = .allocate(byteCount: 12, alignment: 8)
        nonce.initializeMemory(as: UInt8.self, repeating: 0)
    }

    deinit {
        EVP_CIPHER_CTX_free(context)
        nonce.deallocate()
    }

    /// Replaces the plaintext in `bytes` by its ciphertext and writes the tag.
    ///
    /// - Parameters:
    ///   - tag: 16 bytes, written.
    ///   - number: The nonce: 4 zero bytes and this number, big-endian. Never the same twice under one key.
    ///   - associated: Bytes that are authenticated and not stored.
    package func seal(
        inPlace bytes: UnsafeMutableRawBufferPointer, tag: UnsafeMutableRawBufferPointer, nonce number: UInt64,
        associated: RawSpan
    ) throws(HoldfastError) {
        precondition(tag.count == Self.tagCount, "a tag has 16 bytes")
        try transform(bytes, number, associated, sealing: 1)
        var last: Int32 = 0
        guard EVP_CipherFinal_ex(context, tag.start, &last) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagCount), tag.baseAddress) == 1
        else { throw Libcrypto.failure("AES-256-GCM") }
    }

    /// Replaces the ciphertext in `bytes` by its plaintext.
    ///
    /// - Throws: `.corruptObject` when the tag does not fit; the buffer then holds zeros.
    package func open(
        inPlace bytes: UnsafeMutableRawBufferPointer, tag: UnsafeRawBufferPointer, nonce number: UInt64,
        associated: RawSpan
    ) throws(HoldfastError) {
        precondition(tag.count == Self.tagCount, "a tag has 16 bytes")
        try transform(bytes, number, associated, sealing: 0)
        // The call copies the tag although its parameter is not const.
        let expected = UnsafeMutableRawPointer(mutating: tag.baseAddress)
        guard EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagCount), expected) == 1 else {
            throw Libcrypto.failure("AES-256-GCM")
        }
        var last: Int32 = 0
        let fits = withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Self.tagCount) { rest in
            EVP_CipherFinal_ex(context, rest.baseAddress, &last) == 1
        }
        guard fits else {
            ERR_clear_error()
            bytes.initializeMemory(as: UInt8.self, repeating: 0)
            throw HoldfastError(
                .corruptObject, "a sealed segment is damaged or was sealed under another key",
                hint: "Run `holdfast check --read-data` to see what depends on it, and restore it from a mirror.")
        }
    }

    /// Sets the nonce and takes the associated bytes and the text; the caller deals with the tag.
    private func transform(
        _ bytes: UnsafeMutableRawBufferPointer, _ number: UInt64, _ associated: RawSpan, sealing: Int32
    ) throws(HoldfastError) {
        guard let textCount = Int32(exactly: bytes.count), let associatedCount = Int32(exactly: associated.byteCount)
        else {
            throw HoldfastError(
                .limitExceeded, "a segment of \(bytes.count) bytes is over the limit of 2 GiB",
                hint: "Seal it in several segments.")
        }
        nonce.storeBytes(of: number.bigEndian, toByteOffset: 4, as: UInt64.self)
        var written: Int32 = 0
        var done = EVP_CipherInit_ex2(context, nil, nil, nonce.start, sealing, nil)
        if done == 1, associatedCount > 0 {
            done = associated.withUnsafeBytes { EVP_CipherUpdate(context, nil, &written, $0.start, associatedCount) }
        }
        if done == 1, textCount > 0 {
            done = EVP_CipherUpdate(context, bytes.start, &written, bytes.start, textCount)
        }
        guard done == 1 else { throw Libcrypto.failure("AES-256-GCM") }
    }
}
