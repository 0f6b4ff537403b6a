// CRC-32C (Castagnoli, RFC 3720 appendix B.4), for heads that are read before any key is at hand.

import CLinux

/// The CRC-32C of `bytes`.
///
/// - Parameter before: The CRC-32C of the bytes that come before these.
package func crc32c(_ bytes: RawSpan, after before: UInt32 = 0) -> UInt32 {
    bytes.withUnsafeBytes { raw in holdfast_crc32c(before, raw.baseAddress, raw.count) }
}
