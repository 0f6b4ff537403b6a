// CRC-32C (Castagnoli, RFC 3720 appendix B.4), for heads that are read before any key is at hand.

import CLinux

/// The CRC-32C of `bytes`.
package func crc32c(_ bytes: RawSpan) -> UInt32 {
    bytes.withUnsafeBytes { raw in holdfast_crc32c(0, raw.baseAddress, raw.count) }
}
