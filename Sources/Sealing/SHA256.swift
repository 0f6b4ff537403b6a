// SHA-256 (FIPS 180-4), at once or in pieces.

import COpenSSL
import Primitives

/// SHA-256 of a byte string that is in memory.
package enum SHA256 {
    package static func digest(_ bytes: RawSpan) -> Bytes32 {
        withDigestBuffer { output in
            let done = bytes.withUnsafeBytes { raw in
                EVP_Digest(raw.baseAddress, raw.count, output, nil, Libcrypto.sha256.pointer, nil)
            }
            precondition(done == 1, "SHA-256 failed")
        }
    }
}

/// SHA-256 of bytes that come in pieces.
///
/// Thread: one at a time. After `finish()` the stream must be `reset()` before it takes bytes again.
package final class SHA256Stream {
    private let context: OpaquePointer

    package init() {
        context = newDigestContext()
        reset()
    }

    deinit { EVP_MD_CTX_free(context) }

    package func update(_ bytes: RawSpan) {
        let done = bytes.withUnsafeBytes { raw in EVP_DigestUpdate(context, raw.baseAddress, raw.count) }
        precondition(done == 1, "SHA-256 failed")
    }

    /// The digest of all bytes since the start or the last reset.
    package func finish() -> Bytes32 {
        withDigestBuffer { output in
            precondition(EVP_DigestFinal_ex(context, output, nil) == 1, "SHA-256 failed")
        }
    }

    /// Forgets the bytes seen so far.
    package func reset() {
        precondition(EVP_DigestInit_ex2(context, Libcrypto.sha256.pointer, nil) == 1, "SHA-256 failed")
    }
}

/// An empty digest context.
func newDigestContext() -> OpaquePointer {
    guard let context = EVP_MD_CTX_new() else { preconditionFailure("no memory for a digest context") }
    return context
}

/// The 32 bytes that `body` writes.
@inline(__always)
func withDigestBuffer(_ body: (UnsafeMutablePointer<UInt8>) -> Void) -> Bytes32 {
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 32) { output in
        guard let start = output.baseAddress else { preconditionFailure("a buffer of 32 bytes has no address") }
        body(start)
        return Bytes32(UnsafeRawBufferPointer(start: start, count: 32).bytes)
    }
}
