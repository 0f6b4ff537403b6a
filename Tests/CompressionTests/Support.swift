// Data that shrinks and data that does not, and short forms of the codecs.

import Compression
import Primitives
import TestSupport

/// Lines of text that repeat often enough to shrink well.
func words(_ count: Int, seed: UInt64) -> [UInt8] {
    let random = SeededEntropy(seed: seed)
    let vocabulary = ["account", "balance", "teller", "branch", "history", "filler", "delta", "stamp"]
    var result: [UInt8] = []
    result.reserveCapacity(count + 32)
    while result.count < count {
        result += vocabulary[Int(random.next() % 8)].utf8
        result += " \(random.next() % 1_000);".utf8
    }
    return Array(result.prefix(count))
}

/// A 128 KiB block like one of a table: sixteen pages of 8 KiB with a header and rows of 100 bytes.
func tableBlock(seed: UInt64) -> [UInt8] {
    let random = SeededEntropy(seed: seed)
    var block = [UInt8](repeating: 0, count: 128 << 10)
    for page in 0..<16 {
        let start = page * 8_192
        block[start + 18] = 4
        block[start + 19] = 0x20
        for row in 0..<61 {
            let at = start + 8_192 - (row + 1) * 128
            for byte in 0..<16 { block[at + byte] = UInt8(truncatingIfNeeded: random.next()) }
            for byte in 16..<100 { block[at + byte] = 32 }
        }
    }
    return block
}

extension ChunkEncoder {
    func encode(_ plain: [UInt8], isPage: Bool = false) throws(HoldfastError) -> (codec: Codec, stored: [UInt8]) {
        var output = [UInt8](repeating: 0xEE, count: Self.bound(for: plain.count))
        var span = output.mutableSpan
        let (codec, count) = try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try encode(plain.span.bytes, isPage: isPage, into: UnsafeMutableRawBufferPointer(buffer))
        }
        return (codec, Array(output.prefix(count)))
    }

    func delta(_ plain: [UInt8], base: [UInt8], limit: Int) throws(HoldfastError) -> [UInt8]? {
        var output = [UInt8](repeating: 0xEE, count: limit + 64)
        var span = output.mutableSpan
        let count = try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try encodeDelta(
                plain.span.bytes, base: base.span.bytes, into: UnsafeMutableRawBufferPointer(buffer), limit: limit)
        }
        return count.map { Array(output.prefix($0)) }
    }
}

extension ChunkDecoder {
    func decode(
        _ codec: Codec, _ stored: [UInt8], base: [UInt8]? = nil, count: Int
    ) throws(HoldfastError) -> [UInt8] {
        // Guard bytes behind the output show a write out of bounds.
        var output = [UInt8](repeating: 0xEE, count: count + 64)
        var span = output.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            let room = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count])
            if let base {
                try decode(codec, stored.span.bytes, base: base.span.bytes, into: room)
            } else {
                try decode(codec, stored.span.bytes, base: nil, into: room)
            }
        }
        guard output[count...].allSatisfy({ $0 == 0xEE }) else {
            throw HoldfastError(.checkFailed, "the decoder wrote behind its buffer")
        }
        return Array(output[..<count])
    }
}

/// The code that `body` fails with, or nil when it does not fail.
func failure<R>(_ body: () throws(HoldfastError) -> R) -> ErrorCode? {
    do throws(HoldfastError) {
        _ = try body()
        return nil
    } catch {
        return error.code
    }
}
