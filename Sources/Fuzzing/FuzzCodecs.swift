// The codecs of chunks: hostile frames, and round trips of any content.

import Compression
import Primitives

/// Encoders and decoders that are kept from input to input, as a restore keeps them.
final class FuzzCodecs {
    private static let room = 1 << 18
    private let decoder: ChunkDecoder
    private let encoders: [ChunkEncoder]
    private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 22, alignment: 16)
    private let encoded = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 22, alignment: 16)
    private let sentinel = Array("a frame that is good, a frame that is good, a frame that is good".utf8)
    private let good: [UInt8]

    init() throws(HoldfastError) {
        decoder = try ChunkDecoder()
        encoders = [
            try ChunkEncoder(.zstd(level: 1)), try ChunkEncoder(.zstd(level: 3)), try ChunkEncoder(.zlib(level: 1)),
            try ChunkEncoder(.auto(level: 3)),
        ]
        let text = sentinel
        let (codec, count) = try encoders[1].encode(text.span.bytes, into: encoded)
        good = codec == .zstd ? Array(encoded[..<count]) : []
    }

    deinit {
        buffer.deallocate()
        encoded.deallocate()
    }

    /// Three bytes of the raw size, for deltas two of the base's size and the base, then the frame. A sound frame must
    /// decode after it whatever happened.
    func decode(_ codec: Codec, _ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var bytes = input
        let raw = take(3, from: &bytes) % (1 << 22)
        let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<raw])
        var base: [UInt8] = []
        if codec == .zstdDelta {
            let count = min(take(2, from: &bytes), bytes.count)
            base = Array(bytes[..<count])
            bytes.removeFirst(count)
        }
        do throws(HoldfastError) {
            try decoder.decode(codec, bytes.span.bytes, base: base.span.bytes, into: output)
        } catch {
            guard try isSound() else { return .wrong("after a refused frame a good one does not decode") }
            throw error
        }
        let first = Array(output)
        try decoder.decode(codec, bytes.span.bytes, base: base.span.bytes, into: output)
        guard first.elementsEqual(output) else { return .wrong("a frame decodes to two things") }
        return try isSound() ? .accepted : .wrong("after a frame a good one does not decode")
    }

    private func isSound() throws(HoldfastError) -> Bool {
        let output = UnsafeMutableRawBufferPointer(rebasing: buffer.suffix(sentinel.count))
        let frame = good.isEmpty ? sentinel : good
        try decoder.decode(good.isEmpty ? .stored : .zstd, frame.span.bytes, base: nil, into: output)
        return sentinel.elementsEqual(output)
    }

    /// A byte that chooses the setting and whether it is a page, then the content.
    func roundTrip(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var plain = input
        let choice = take(1, from: &plain)
        let encoder = encoders[choice % encoders.count]
        let (codec, count) = try encoder.encode(plain.span.bytes, isPage: choice & 128 != 0, into: encoded)
        let stored = Array(encoded[..<count])
        let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<plain.count])
        do throws(HoldfastError) {
            try decoder.decode(codec, stored.span.bytes, base: nil, into: output)
        } catch {
            return .wrong("what was encoded does not decode: \(error)")
        }
        return plain.elementsEqual(output) ? .accepted : .wrong("what was encoded decodes to other bytes")
    }

    /// Two bytes of the base's size, the base, and the content.
    func deltaRoundTrip(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var plain = input
        let count = min(take(2, from: &plain), plain.count)
        let base = Array(plain[..<count])
        plain.removeFirst(count)
        guard
            let size = try encoders[1].encodeDelta(
                plain.span.bytes, base: base.span.bytes, into: encoded, limit: max(1, plain.count))
        else { return .refused }
        let stored = Array(encoded[..<size])
        let output = UnsafeMutableRawBufferPointer(rebasing: buffer[..<plain.count])
        do throws(HoldfastError) {
            try decoder.decode(.zstdDelta, stored.span.bytes, base: base.span.bytes, into: output)
        } catch {
            return .wrong("a delta does not decode: \(error)")
        }
        return plain.elementsEqual(output) ? .accepted : .wrong("a delta decodes to other bytes")
    }
}
