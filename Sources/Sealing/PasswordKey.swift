// scrypt (RFC 7914): a password into a key, at a price in memory.

import CSodium
import Glibc
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
        // A second call says 1, which is no failure; it tells the library which instructions the processor has.
        guard sodium_init() >= 0 else { throw failed("libsodium cannot be used here") }
        let status = password.withBytes { raw in
            key.withMutableBytes { output -> Int32 in
                guard let result = output.start else { return -1 }
                // The library wants an address for an empty password too; it reads none of its bytes.
                let letters = raw.start ?? UnsafePointer(result)
                return crypto_pwhash_scryptsalsa208sha256_ll(
                    letters, raw.count, salt, salt.count, 1 << UInt64(logN), r, p, result, output.count)
            }
        }
        guard status == 0 else { throw failed("scrypt failed: \(String(cString: strerror(errno)))") }
        return key
    }

    private static func failed(_ message: String) -> HoldfastError {
        HoldfastError(
            .cryptography, message,
            hint: "Opening with a password takes 64 MiB of memory for a moment: see whether there is so much.")
    }

    private static func refused(_ logN: UInt8, _ r: UInt32, _ p: UInt32) -> HoldfastError {
        HoldfastError(
            .limitExceeded, "password parameters are outside their limits",
            hint: "The key slot is damaged or hostile; use another slot.",
            context: [("log2 N", "\(logN)"), ("r", "\(r)"), ("p", "\(p)")])
    }
}
