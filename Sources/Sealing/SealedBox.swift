// One message under one key: the form of small sealed things such as grants and wrapped keys.

import COpenSSL
import Primitives

/// AES-256-GCM of a single message; the sealed form is the ciphertext followed by the tag of 16 bytes.
///
/// One key seals one message: the nonce is always zero. Derive a fresh key for each.
package enum SealedBox {
    /// How many bytes sealing adds.
    package static let overhead = SegmentCipher.tagCount

    package static func seal(
        _ plain: RawSpan, key: SecretBytes, associated: RawSpan
    ) throws(HoldfastError) -> [UInt8] {
        let cipher = try SegmentCipher(key: key)
        var sealed = [UInt8](repeating: 0, count: plain.byteCount + overhead)
        var span = sealed.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            let text = UnsafeMutableRawBufferPointer(rebasing: raw[..<plain.byteCount])
            let tag = UnsafeMutableRawBufferPointer(rebasing: raw[plain.byteCount...])
            plain.withUnsafeBytes { text.copyMemory(from: $0) }
            try cipher.seal(inPlace: text, tag: tag, nonce: 0, associated: associated)
        }
        return sealed
    }

    /// - Throws: `.corruptObject` when the bytes are too short, changed, or sealed under another key or context.
    package static func open(
        _ sealed: RawSpan, key: SecretBytes, associated: RawSpan
    ) throws(HoldfastError) -> SecretBytes {
        guard sealed.byteCount >= overhead else {
            throw HoldfastError(
                .corruptObject, "a sealed message ends early",
                hint: "Run `holdfast check --read-data` to see what depends on it, and restore it from a mirror.")
        }
        let cipher = try SegmentCipher(key: key)
        let plain = SecretBytes(count: sealed.byteCount - overhead)
        try sealed.withUnsafeBytes { (raw) throws(HoldfastError) in
            try plain.withMutableBytes { (text) throws(HoldfastError) in
                text.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[..<text.count]))
                let tag = UnsafeRawBufferPointer(rebasing: raw[text.count...])
                try cipher.open(inPlace: text, tag: tag, nonce: 0, associated: associated)
            }
        }
        return plain
    }
}
