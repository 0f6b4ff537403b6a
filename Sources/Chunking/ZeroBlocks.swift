// Runs of zeros, which are never stored.

import Primitives

/// Whether every byte is zero; stops at the first part that is not.
package func isAllZero(_ bytes: RawSpan) -> Bool {
    let count = bytes.byteCount
    var offset = 0
    // In bounds: each step checks that its whole width is left.
    while offset + 128 <= count {
        let a = bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: SIMD8<UInt64>.self)
        let b = bytes.unsafeLoadUnaligned(fromByteOffset: offset + 64, as: SIMD8<UInt64>.self)
        let merged = a | b
        let half = merged.lowHalf | merged.highHalf
        if half.x | half.y | half.z | half.w != 0 { return false }
        offset += 128
    }
    while offset + 8 <= count {
        if bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self) != 0 { return false }
        offset += 8
    }
    while offset < count {
        if bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self) != 0 { return false }
        offset += 1
    }
    return true
}
