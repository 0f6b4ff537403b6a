// What the module shares: algorithms fetched once, and libcrypto's failures as the project's own.

import COpenSSL
import Primitives

/// Algorithms of libcrypto 3, fetched once for the process: a fetch takes locks and costs more than a small digest.
enum Libcrypto {
    /// An algorithm that is immutable after its fetch.
    struct Algorithm: @unchecked Sendable {
        // Sendable: libcrypto's method objects are immutable and counted with atomics.
        let pointer: OpaquePointer

        init(_ pointer: OpaquePointer?, _ name: String) {
            guard let pointer else { preconditionFailure("libcrypto does not offer \(name)") }
            self.pointer = pointer
        }
    }

    static let sha256 = Algorithm(EVP_MD_fetch(nil, "SHA256", nil), "SHA-256")
    static let aes256GCM = Algorithm(EVP_CIPHER_fetch(nil, "AES-256-GCM", nil), "AES-256-GCM")

    /// The failure of `call`, with the oldest reason that libcrypto queued for this thread; empties the queue.
    static func failure(_ call: String) -> HoldfastError {
        let number = ERR_get_error()
        var text = [CChar](repeating: 0, count: 256)
        ERR_error_string_n(number, &text, text.count)
        ERR_clear_error()
        let reason = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return HoldfastError(
            .cryptography, "\(call) failed: \(number == 0 ? "no reason given" : reason)",
            hint: "Check that the installed libcrypto is version 3 and passes its own self-test.")
    }
}

extension UnsafeRawBufferPointer {
    /// The start as bytes; libcrypto does not look at it when the count is zero.
    var start: UnsafePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}

extension UnsafeMutableRawBufferPointer {
    /// The start as bytes; libcrypto does not look at it when the count is zero.
    var start: UnsafeMutablePointer<UInt8>? { baseAddress?.assumingMemoryBound(to: UInt8.self) }
}
