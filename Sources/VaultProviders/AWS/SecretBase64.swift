// Base64 of secrets, without a copy that is left behind.

import Primitives
import SecretVaults

/// Base64 with padding, as RFC 4648, section 4, has it.
enum SecretBase64 {
    private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    private static let pad = UInt8(ascii: "=")

    static func encode(_ secret: SecretBytes) -> SecretBytes {
        let encoded = SecretBytes(count: (secret.count + 2) / 3 * 4)
        secret.withBytes { source in
            encoded.withMutableBytes { target in
                for group in 0..<((source.count + 2) / 3) {
                    let start = group * 3
                    let count = min(3, source.count - start)
                    var bits: UInt32 = 0
                    for index in 0..<3 { bits = bits << 8 | (index < count ? UInt32(source[start + index]) : 0) }
                    for index in 0..<4 {
                        let letter = letters[Int(bits >> (18 - 6 * UInt32(index)) & 63)]
                        target[group * 4 + index] = index <= count ? letter : pad
                    }
                }
            }
        }
        return encoded
    }

    /// Nil for anything that ``encode(_:)`` does not give.
    static func decode(_ text: SecretBytes) -> SecretBytes? {
        text.withBytes { source in
            guard source.count % 4 == 0 else { return nil }
            let padding = source.reversed().prefix { $0 == pad }.count
            guard padding <= 2 else { return nil }
            let decoded = SecretBytes(count: source.count / 4 * 3 - padding)
            let isFit = decoded.withMutableBytes { target in
                for group in 0..<(source.count / 4) {
                    let isLast = group == source.count / 4 - 1
                    let count = isLast ? 3 - padding : 3
                    var bits: UInt32 = 0
                    for index in 0..<4 {
                        let letter = source[group * 4 + index]
                        let value = index <= count ? value(of: letter) : letter == pad ? 0 : nil
                        guard let value else { return false }
                        bits = bits << 6 | value
                    }
                    // What is beyond the last byte is zero, so that no two texts are one.
                    guard bits & ((1 << (8 * UInt32(3 - count))) - 1) == 0 else { return false }
                    for index in 0..<count { target[group * 3 + index] = UInt8(bits >> (16 - 8 * UInt32(index)) & 255) }
                }
                return true
            }
            return isFit ? decoded : nil
        }
    }

    private static func value(of letter: UInt8) -> UInt32? {
        switch letter {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(letter - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(letter - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(letter - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
