// scrypt (RFC 7914): a password into a key, at a price in memory.

import COpenSSL
import Primitives

/// Stretches passwords under bounded parameters.
package enum PasswordKey {
    /// The most memory that parameters read from a slot may ask for, in bytes.
    package static let maximumMemory: UInt64 = 1 << 30

    /// A key of 32 bytes. Takes `128 · r · (2^logN + p)` bytes of memory while it runs.
    ///
    /// - Throws: `.limitExceeded`, before anything is allocated, unless r is 8, logN 10…20, p 1…4
    ///   and the memory 1 GiB at most.
    package static func scrypt(
        _ password: SecretBytes, salt: [UInt8], logN: UInt8, r: UInt32, p: UInt32
    ) throws(HoldfastError) -> SecretBytes {
        guard r == 8, (10...20).contains(logN), (1...4).contains(p) else { throw refused(logN, r, p) }
        // The table of 2^logN blocks is what the limit is about; the p working blocks are a few KiB beside it.
        guard (UInt64(128) * UInt64(r)) << UInt64(logN) <= maximumMemory else { throw refused(logN, r, p) }
        let key = SecretBytes(count: 32)
        let done = password.withBytes { raw in
            key.withMutableBytes { output in
                let letters = raw.baseAddress?.assumingMemoryBound(to: CChar.self)
                return EVP_PBE_scrypt(
                    letters, raw.count, salt, salt.count, 1 << UInt64(logN), UInt64(r), UInt64(p),
                    maximumMemory + (1 << 20), output.start, output.count)
            }
        }
        guard done == 1 else { throw Libcrypto.failure("scrypt") }
        return key
    }

    private static func refused(_ logN: UInt8, _ r: UInt32, _ p: UInt32) -> HoldfastError {
        HoldfastError(
            .limitExceeded, "password parameters are outside their limits",
            hint: "The key slot is damaged or hostile; use another slot.",
            context: [("log2 N", "\(logN)"), ("r", "\(r)"), ("p", "\(p)")])
    }
}
