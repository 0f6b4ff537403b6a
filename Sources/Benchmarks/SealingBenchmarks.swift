// Hashes and ciphers.

import Primitives
import Sealing
import TestSupport

extension Bench {
    mutating func sealing(_ data: [UInt8], entropy: SeededEntropy) throws(HoldfastError) {
        let key = try entropy.secret(32)
        let span = data.span.bytes
        try measure("hash/sha256/whole", bytes: data.count) { () throws(HoldfastError) in
            _ = SHA256.digest(span)
        }
        let hash = KeyedHash(key: key)
        for size in [4 << 10, 128 << 10, 1 << 20] {
            try measure("hash/hmac/\(size >> 10)K", bytes: data.count) { () throws(HoldfastError) in
                for start in stride(from: 0, to: span.byteCount, by: size) {
                    _ = hash.digest(span.extracting(start..<start + size))
                }
            }
        }
        try segments(data, key: key)
    }

    private mutating func segments(_ data: [UInt8], key: SecretBytes) throws(HoldfastError) {
        let segment = 65_520
        let cipher = try SegmentCipher(key: key)
        let count = data.count / segment
        var buffer = Array(data.prefix(count * segment))
        var tags = [UInt8](repeating: 0, count: count * 16)
        let associated = [UInt8](repeating: 3, count: 40)
        var bufferSpan = buffer.mutableSpan
        var tagSpan = tags.mutableSpan
        try bufferSpan.withUnsafeMutableBufferPointer { (text) throws(HoldfastError) in
            try tagSpan.withUnsafeMutableBufferPointer { (tags) throws(HoldfastError) in
                let text = UnsafeMutableRawBufferPointer(text)
                let tags = UnsafeMutableRawBufferPointer(tags)
                func each(
                    _ body: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer, UInt64) throws(HoldfastError)
                        -> Void
                ) throws(HoldfastError) {
                    for index in 0..<count {
                        let part = UnsafeMutableRawBufferPointer(
                            rebasing: text[index * segment..<(index + 1) * segment])
                        let tag = UnsafeMutableRawBufferPointer(rebasing: tags[index * 16..<(index + 1) * 16])
                        try body(part, tag, UInt64(index))
                    }
                }
                func seal() throws(HoldfastError) {
                    try each { (part, tag, number) throws(HoldfastError) in
                        try cipher.seal(inPlace: part, tag: tag, nonce: number, associated: associated.span.bytes)
                    }
                }
                try measure("seal/64K", bytes: count * segment) { () throws(HoldfastError) in try seal() }
                // Opening restores what sealing made, so the pair can repeat.
                try measure("seal+open/64K", bytes: count * segment) { () throws(HoldfastError) in
                    try seal()
                    try each { (part, tag, number) throws(HoldfastError) in
                        try cipher.open(
                            inPlace: part, tag: UnsafeRawBufferPointer(tag), nonce: number,
                            associated: associated.span.bytes)
                    }
                }
            }
        }
    }
}
