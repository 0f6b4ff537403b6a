// Deltas of page blocks.

import Compression
import Primitives
import TestSupport
import Testing

@Suite("Delta blocks")
struct DeltaTests {
    @Test("a block with one changed row takes less than a twentieth of its whole encoding")
    func oneRow() throws {
        let encoder = try ChunkEncoder(.zstd(level: 3))
        let base = tableBlock(seed: 51)
        var changed = base
        changed.replaceSubrange(70_000..<70_016, with: try SeededEntropy(seed: 52).bytes(16))
        let whole = try encoder.encode(changed).stored.count
        let delta = try #require(try encoder.delta(changed, base: base, limit: whole / 2))
        #expect(delta.count * 20 < whole, "\(delta.count) of \(whole) bytes")
        let back = try ChunkDecoder().decode(.zstdDelta, delta, base: base, count: changed.count)
        #expect(back == changed)
    }

    @Test("deltas of random edits come back, at every level, with bases of other lengths")
    func edits() throws {
        let decoder = try ChunkDecoder()
        for (index, level) in [1, 3, 9, 19].enumerated() {
            let encoder = try ChunkEncoder(.none, deltaLevel: level)
            for round in 0..<6 {
                let seed = UInt64(60 + index * 10 + round)
                let random = SeededEntropy(seed: seed)
                let base = tableBlock(seed: seed)
                var changed = base
                for _ in 0..<(round * 20) {
                    changed[Int(random.next() % UInt64(changed.count))] = UInt8(truncatingIfNeeded: random.next())
                }
                if round == 4 { changed.removeLast(50_000) }
                if round == 5 { changed += words(90_000, seed: seed) }
                let delta = try #require(
                    try encoder.delta(changed, base: base, limit: ChunkEncoder.bound(for: changed.count)))
                let back = try decoder.decode(.zstdDelta, delta, base: base, count: changed.count)
                #expect(back == changed, "seed \(seed), level \(level)")
            }
        }
    }

    @Test("a result that is not under the limit is refused, and the next block is not hurt by it")
    func limit() throws {
        let encoder = try ChunkEncoder(.none)
        let decoder = try ChunkDecoder()
        let base = tableBlock(seed: 53)
        let noise = try SeededEntropy(seed: 54).bytes(base.count)
        #expect(try encoder.delta(noise, base: base, limit: 1_000) == nil)
        let size = try #require(try encoder.delta(base, base: base, limit: base.count)).count
        #expect(try encoder.delta(base, base: base, limit: size) == nil)
        let delta = try #require(try encoder.delta(base, base: base, limit: size + 1))
        #expect(delta.count == size)
        let back = try decoder.decode(.zstdDelta, delta, base: base, count: base.count)
        #expect(back == base)
        for limit in 0...1 { #expect(try encoder.delta(base, base: base, limit: limit) == nil) }
    }

    @Test("a delta does not decode without its base, and a base does not linger in either context")
    func bases() throws {
        let encoder = try ChunkEncoder(.zstd(level: 3))
        let decoder = try ChunkDecoder()
        let base = tableBlock(seed: 55)
        let other = tableBlock(seed: 56)
        var changed = base
        changed[5_000] ^= 1
        let delta = try #require(try encoder.delta(changed, base: base, limit: 60_000))
        let missing: [[UInt8]?] = [nil, []]
        for wrong in missing {
            #expect(
                failure { () throws(HoldfastError) in
                    try decoder.decode(.zstdDelta, delta, base: wrong, count: changed.count)
                } == .corruptObject)
        }
        // Not even one that would decode without it.
        let plain = [UInt8](repeating: 5, count: 1_000)
        let lonely = try #require(try encoder.delta(plain, base: words(1_000, seed: 57), limit: 500))
        let alone = try decoder.decode(.zstd, lonely, count: plain.count)
        #expect(alone == plain)
        for wrong in missing {
            #expect(
                failure { () throws(HoldfastError) in
                    try decoder.decode(.zstdDelta, lonely, base: wrong, count: plain.count)
                } == .corruptObject)
        }
        // Read as a whole frame right after its base was in use, it still has none.
        _ = try decoder.decode(.zstdDelta, delta, base: base, count: changed.count)
        #expect(
            failure { () throws(HoldfastError) in
                try decoder.decode(.zstd, delta, count: changed.count)
            } == .corruptObject)
        // Against another base it gives other bytes or an error, which the chunk id finds out.
        let bent = try? decoder.decode(.zstdDelta, delta, base: other, count: changed.count)
        #expect(bent != changed)
        let whole = try encoder.encode(changed)
        let back = try decoder.decode(whole.codec, whole.stored, count: changed.count)
        #expect(back == changed)
    }
}
