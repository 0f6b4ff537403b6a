// Damaged and hostile frames.

import Compression
import Primitives
import TestSupport
import Testing

@Suite("Damaged chunks")
struct DamageTests {
    /// One stored chunk of each codec, with what it needs to decode.
    private func samples() throws -> [(codec: Codec, stored: [UInt8], base: [UInt8]?, count: Int)] {
        let plain = words(600, seed: 71)
        var changed = plain
        changed[300] ^= 0x55
        let zstd = try ChunkEncoder(.zstd(level: 3))
        let delta = try #require(try zstd.delta(changed, base: plain, limit: 600))
        let frame = try zstd.encode(plain)
        let stream = try ChunkEncoder(.zlib(level: 6)).encode(plain)
        #expect(frame.codec == .zstd && stream.codec == .zlib)
        return [
            (.zstd, frame.stored, nil, 600), (.zlib, stream.stored, nil, 600), (.zstdDelta, delta, plain, 600),
            (.stored, plain, nil, 600),
        ]
    }

    @Test("any flipped byte, cut or addition gives an error or bytes of the right length, and never a trap")
    func bent() throws {
        let decoder = try ChunkDecoder()
        for (codec, stored, base, count) in try samples() {
            let good = try decoder.decode(codec, stored, base: base, count: count)
            func attempt(_ bytes: [UInt8], _ count: Int, mustFail: Bool, _ what: String) {
                let code = failure { () throws(HoldfastError) in
                    try decoder.decode(codec, bytes, base: base, count: count)
                }
                #expect(code == .corruptObject || (code == nil && !mustFail), "\(codec): \(what)")
            }
            for index in stored.indices {
                for flip in [UInt8(0x01), 0x10, 0x80, 0xFF] {
                    var bytes = stored
                    bytes[index] ^= flip
                    attempt(bytes, count, mustFail: false, "byte \(index) by \(flip)")
                }
            }
            for length in 0..<stored.count {
                attempt(Array(stored.prefix(length)), count, mustFail: true, "cut to \(length)")
            }
            attempt(stored + [0], count, mustFail: true, "one byte more")
            attempt(stored + stored, count, mustFail: true, "twice")
            attempt(stored + stored, count * 2, mustFail: codec != .stored, "twice in twice the room")
            for wrong in [0, 1, count - 1, count + 1, 8 << 20] {
                attempt(stored, wrong, mustFail: true, "a raw size of \(wrong)")
            }
            let after = try decoder.decode(codec, stored, base: base, count: count)
            #expect(after == good, "the decoder is usable after refusals")
        }
    }

    @Test("random bytes are refused or give bytes of the right length, and never trap")
    func noise() throws {
        let decoder = try ChunkDecoder()
        let base = words(500, seed: 72)
        for seed in UInt64(1)...2_000 {
            let random = SeededEntropy(seed: seed)
            var bytes = try random.bytes(Int(random.next() % 80))
            // Half of them begin like a frame, so that the decoder looks further.
            if seed % 2 == 0 { bytes.replaceSubrange(0..<min(4, bytes.count), with: [0x28, 0xB5, 0x2F, 0xFD]) }
            for codec in [Codec.zstd, .zlib, .zstdDelta] {
                let code = failure { () throws(HoldfastError) in
                    try decoder.decode(codec, bytes, base: base, count: 100)
                }
                #expect(code == .corruptObject || code == nil, "seed \(seed)")
            }
        }
    }

    @Test("frames with a huge window, another content size, none, a dictionary or of the skippable kind are refused")
    func hostile() throws {
        let magic: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD]
        let block: [UInt8] = [0x19, 0x00, 0x00, 0x61, 0x62, 0x63]
        let decoder = try ChunkDecoder()
        func code(_ frame: [UInt8], _ count: Int) -> ErrorCode? {
            failure { () throws(HoldfastError) in try decoder.decode(.zstd, frame, count: count) }
        }
        // A single segment of three bytes is the form that passes; the rest differ in one field.
        #expect(code(magic + [0x20, 3] + block, 3) == nil)
        #expect(code(magic + [0x20, 4] + block, 4) == .corruptObject)
        #expect(code(magic + [0x20, 3] + block, 4) == .corruptObject)
        // Content size in four bytes after a window descriptor: 2^23 passes, one step more or 2^41 does not.
        let size: [UInt8] = [3, 0, 0, 0]
        #expect(code(magic + [0x80, 13 << 3] + size + block, 3) == nil)
        #expect(code(magic + [0x80, 13 << 3 | 1] + size + block, 3) == .corruptObject)
        #expect(code(magic + [0x80, 31 << 3] + size + block, 3) == .corruptObject)
        #expect(code(magic + [0x00, 0x58] + block, 3) == .corruptObject, "no content size")
        #expect(code(magic + [0x21, 7, 3] + block, 3) == .corruptObject, "a dictionary")
        let skippable: [UInt8] = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3]
        #expect(code(skippable, 3) == .corruptObject, "a skippable frame")
        #expect(code(magic + [0x20, 3] + block + skippable, 3) == .corruptObject, "one behind a good frame")
        #expect(
            code(magic + [0x20, 3] + block + magic + [0x20, 0, 1, 0, 0], 3) == .corruptObject, "an empty frame more")
        #expect(code(magic + [0xE0] + [UInt8](repeating: 0xFF, count: 8) + block, 3) == .corruptObject)
    }

    @Test("a codec that was made for another chunk is refused")
    func wrongCodec() throws {
        let decoder = try ChunkDecoder()
        for (codec, stored, base, count) in try samples() {
            for other in [Codec.stored, .zstd, .zlib] where other != codec {
                #expect(
                    failure { () throws(HoldfastError) in
                        try decoder.decode(other, stored, base: base, count: count)
                    } == .corruptObject, "\(codec) read as \(other)")
            }
        }
    }
}
