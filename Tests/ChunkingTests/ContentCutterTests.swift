// Where content is cut: golden cuts, sizes, and resynchronisation after insertions.

import Chunking
import Primitives
import TestSupport
import Testing

@Suite("Content-defined chunks")
struct ContentCutterTests {
    private static let small = CutSizes(minimum: 256, average: 1_024, maximum: 4_096)

    /// A key that is a plain pattern, so that a golden value depends on nothing but the cutter.
    private static let material = (0..<GearTable.materialCount).map {
        UInt8(truncatingIfNeeded: $0 &* 167 &+ ($0 >> 3))
    }

    private func table(seed: UInt64) throws -> (table: GearTable, words: [UInt64]) {
        let bytes = try SeededEntropy(seed: seed).bytes(GearTable.materialCount)
        var words: [UInt64] = []
        for index in 0..<256 {
            var word: UInt64 = 0
            for byte in bytes[index * 8..<index * 8 + 8].reversed() { word = word << 8 | UInt64(byte) }
            words.append(word)
        }
        return (GearTable(material: SecretBytes(copying: bytes.span.bytes)), words)
    }

    private func ends(_ cutter: ContentCutter, _ bytes: [UInt8]) -> [Int] {
        cutter.boundaries(in: bytes.span.bytes, isFinal: true)
    }

    /// The definition, computed afresh at each place from the 64 bytes before it.
    private func naive(_ bytes: [UInt8], _ words: [UInt64], _ sizes: CutSizes) -> [Int] {
        let bits = sizes.average.trailingZeroBitCount
        var ends: [Int] = []
        var start = 0
        while start < bytes.count {
            var length = min(sizes.maximum, bytes.count - start)
            var candidate = sizes.minimum + 1
            while candidate < length {
                var hash: UInt64 = 0
                for back in 0..<64 { hash &+= words[Int(bytes[start + candidate - 1 - back])] << UInt64(back) }
                let zeros = candidate <= sizes.average ? bits + 2 : bits - 2
                if hash.leadingZeroBitCount >= zeros { length = candidate }
                candidate += 1
            }
            start += length
            ends.append(start)
        }
        return ends
    }

    @Test("cuts are those of the definition, for random bytes, text and repetition", arguments: UInt64(1)...6)
    func differential(seed: UInt64) throws {
        let (table, words) = try table(seed: seed)
        let random = SeededEntropy(seed: seed &+ 1_000)
        let sizes = CutSizes(minimum: 64 << (seed % 3), average: 512 << (seed % 2), maximum: 2_048 << (seed % 2))
        let cutter = ContentCutter(table: table, sizes: sizes)
        var bytes = try random.bytes(60_000)
        bytes += [UInt8](repeating: 7, count: 9_000)
        for _ in 0..<3_000 { bytes.append(UInt8(truncatingIfNeeded: random.next() % 4)) }
        #expect(ends(cutter, bytes) == naive(bytes, words, sizes), "seed \(seed)")
    }

    @Test("cuts for a fixed key and a fixed stream never change")
    func golden() throws {
        let bytes = try SeededEntropy(seed: 2_026).bytes(20_000)
        let table = GearTable(material: SecretBytes(copying: Self.material.span.bytes))
        #expect(
            ends(ContentCutter(table: table, sizes: Self.small), bytes) == [
                1851, 3015, 4087, 4548, 5716, 6811, 8611, 9071, 10224, 10593, 11864, 13532, 15260, 16525, 18913, 19824,
                20000,
            ])
    }

    @Test("every chunk keeps within the sizes, the last may be short, and the average is near its aim")
    func sizes() throws {
        let seed: UInt64 = 81
        let cutter = ContentCutter(table: try table(seed: seed).table, sizes: Self.small)
        let bytes = try SeededEntropy(seed: seed).bytes(1_000_000)
        let ends = ends(cutter, bytes)
        #expect(ends.last == bytes.count)
        let lengths = zip(ends, [0] + ends).map { $0 - $1 }
        #expect(lengths.dropLast().allSatisfy { (257...4_096).contains($0) }, "seed \(seed)")
        #expect((900...1_500).contains(bytes.count / lengths.count), "\(bytes.count / lengths.count) bytes on average")
    }

    @Test("streams up to the shortest length are one chunk, and nothing is no chunk")
    func short() throws {
        let cutter = ContentCutter(table: try table(seed: 82).table, sizes: Self.small)
        #expect(ends(cutter, []) == [])
        for count in [1, 63, 64, 255, 256, 257] {
            #expect(ends(cutter, [UInt8](repeating: 1, count: count)) == [count])
        }
        let constant = [UInt8](repeating: 0, count: 10_000)
        #expect(ends(cutter, constant) == [4_096, 8_192, 10_000])
    }

    @Test("an insertion moves the cuts around it and no others", arguments: UInt64(1)...8)
    func resynchronises(seed: UInt64) throws {
        let cutter = ContentCutter(table: try table(seed: 83).table, sizes: Self.small)
        let random = SeededEntropy(seed: seed)
        let before = try random.bytes(200_000)
        let place = 50_000 + Int(random.next() % 50_000)
        let inserted = try random.bytes(1 + Int(random.next() % 100))
        let after = Array(before[..<place] + inserted + before[place...])
        let old = Set(ends(cutter, before))
        let new = Set(ends(cutter, after))
        #expect(old.filter { $0 < place - 4_096 } == new.filter { $0 < place - 4_096 }, "seed \(seed)")
        let settled = place + 40_000
        let moved = Set(old.filter { $0 > settled }.map { $0 + inserted.count })
        #expect(moved == new.filter { $0 > settled + inserted.count }, "seed \(seed)")
    }

    @Test("another key cuts elsewhere")
    func keyed() throws {
        let bytes = try SeededEntropy(seed: 84).bytes(200_000)
        let first = Set(ends(ContentCutter(table: try table(seed: 85).table, sizes: Self.small), bytes))
        let second = Set(ends(ContentCutter(table: try table(seed: 86).table, sizes: Self.small), bytes))
        #expect(first.intersection(second).count < first.count / 10)
    }

    @Test("a stream that is not at its end keeps a rest that may still grow, and ends up cut the same")
    func pieces() throws {
        let seed: UInt64 = 87
        let cutter = ContentCutter(table: try table(seed: seed).table, sizes: Self.small)
        let random = SeededEntropy(seed: seed)
        let bytes = try random.bytes(100_000)
        var found: [Int] = []
        var start = 0
        var filled = 0
        while filled < bytes.count {
            filled = min(bytes.count, filled + Int(random.next() % 9_000))
            let window = bytes.span.bytes.extracting(start..<filled)
            let ends = cutter.boundaries(in: window, isFinal: filled == bytes.count)
            found += ends.map { start + $0 }
            start += ends.last ?? 0
            #expect(filled == bytes.count || filled - start < Self.small.maximum)
        }
        #expect(found == ends(cutter, bytes), "seed \(seed)")
    }
}
