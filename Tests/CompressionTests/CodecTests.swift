// Round trips through every codec and setting.

import Compression
import Primitives
import TestSupport
import Testing

@Suite("Chunk codecs")
struct CodecTests {
    private static let settings: [CompressionSetting] = [
        .none, .zstd(level: 1), .zstd(level: 3), .zstd(level: 19), .zlib(level: 1), .zlib(level: 6), .zlib(level: 9),
        .auto(level: 3),
    ]

    @Test("chunks of every size come back, whatever they hold", arguments: settings)
    func roundTrip(setting: CompressionSetting) throws {
        let encoder = try ChunkEncoder(setting)
        let decoder = try ChunkDecoder()
        for count in Array(0...300) + [4_095, 4_096, 65_536, 65_537, 131_072, 1 << 20] {
            let seed = UInt64(count) + 1
            let random = try SeededEntropy(seed: seed).bytes(count)
            for plain in [words(count, seed: seed), random, [UInt8](repeating: 0, count: count)] {
                let (codec, stored) = try encoder.encode(plain)
                #expect(stored.count <= max(plain.count * 97 / 100, codec == .stored ? plain.count : 0))
                let back = try decoder.decode(codec, stored, count: count)
                #expect(back == plain, "seed \(seed), \(setting)")
            }
        }
    }

    @Test("blocks of page files have a way of their own at levels 2 and 3, and are encoded like all else at others")
    func pages() throws {
        let plain = words(1 << 20, seed: 44)
        for level in [1, 2, 3, 4, 9] {
            let encoder = try ChunkEncoder(.zstd(level: level))
            let (codec, stored) = try encoder.encode(plain, isPage: true)
            #expect((try encoder.encode(plain).stored == stored) == !(2...3).contains(level), "level \(level)")
            let back = try ChunkDecoder().decode(codec, stored, count: plain.count)
            #expect(back == plain, "level \(level)")
        }
    }

    @Test("the longest chunk round-trips and a longer output is refused")
    func longest() throws {
        let plain = words(ChunkEncoder.maximumRaw, seed: 41)
        for setting in [CompressionSetting.zstd(level: 1), .zlib(level: 1)] {
            let (codec, stored) = try ChunkEncoder(setting).encode(plain)
            let back = try ChunkDecoder().decode(codec, stored, count: plain.count)
            #expect(back == plain)
            #expect(
                failure { () throws(HoldfastError) in
                    try ChunkDecoder().decode(codec, stored, count: plain.count + 1)
                } == .limitExceeded)
        }
    }

    @Test("what shrinks is compressed by the codec that was asked for; what does not is stored")
    func choice() throws {
        let text = words(100_000, seed: 42)
        let noise = try SeededEntropy(seed: 43).bytes(100_000)
        for (setting, expected) in [
            (CompressionSetting.zstd(level: 3), Codec.zstd), (.zlib(level: 6), .zlib), (.auto(level: 3), .zstd),
            (.none, .stored),
        ] {
            let encoder = try ChunkEncoder(setting)
            #expect(try encoder.encode(text).codec == expected)
            #expect(try encoder.encode(noise).codec == .stored)
        }
    }

    @Test("a saving of less than 3 % is not taken")
    func threshold() throws {
        let encoder = try ChunkEncoder(.zstd(level: 3))
        let noise = try SeededEntropy(seed: 44).bytes(100_000)
        let little = Array(noise.prefix(98_000)) + [UInt8](repeating: 0, count: 2_000)
        let enough = Array(noise.prefix(96_000)) + [UInt8](repeating: 0, count: 4_000)
        #expect(try encoder.encode(little).codec == .stored)
        #expect(try encoder.encode(enough).codec == .zstd)
    }

    @Test("auto stores noise, and finds text again after a long run of noise")
    func auto() throws {
        let encoder = try ChunkEncoder(.auto(level: 3))
        let plain = try ChunkEncoder(.zstd(level: 3))
        let text = words(300_000, seed: 45)
        for round in 0..<3 {
            for index in 0..<40 {
                let noise = try SeededEntropy(seed: UInt64(100 + index)).bytes(100_000)
                #expect(try encoder.encode(noise).codec == .stored)
            }
            let found = try encoder.encode(text)
            let expected = try plain.encode(text)
            #expect(found.codec == .zstd && found.stored == expected.stored, "round \(round)")
        }
    }

    @Test("auto sees text anywhere in a chunk that is otherwise noise")
    func autoSamples() throws {
        let encoder = try ChunkEncoder(.auto(level: 3))
        let noise = try SeededEntropy(seed: 46).bytes(400_000)
        for place in [0, 200_000, 300_000] {
            var mixed = noise
            mixed.replaceSubrange(place..<place + 100_000, with: words(100_000, seed: 47))
            #expect(try encoder.encode(mixed).codec == .zstd, "text at \(place)")
        }
    }

    @Test("auto looks closely again once a chunk has shrunk after a long run of noise")
    func autoRecovers() throws {
        let encoder = try ChunkEncoder(.auto(level: 3))
        let noise = try SeededEntropy(seed: 48).bytes(400_000)
        for _ in 0..<21 { #expect(try encoder.encode(noise).codec == .stored) }
        #expect(try encoder.encode(words(400_000, seed: 49)).codec == .zstd)
        for place in [0, 120_000, 250_000, 370_000] {
            var mixed = noise
            mixed.replaceSubrange(place..<place + 30_000, with: words(30_000, seed: 50))
            #expect(try encoder.encode(mixed).codec == .zstd, "text at \(place)")
        }
    }
}
