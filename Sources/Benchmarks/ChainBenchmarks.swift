// What ten generations of a page file cost: whole blocks, deltas against the first copy, and chains.

import Chunking
import Compression
import Primitives
import Repository

/// Where the base of a changed block comes from.
private enum Chain: String, CaseIterable {
    case whole
    case root
    case chained
}

extension Bench {
    private static let generations = 10
    private static let deepest = 8

    /// The note tells the bytes stored in all generations after the first.
    mutating func chains(rows: Int) throws(HoldfastError) {
        for chain in Chain.allCases where wants("generations/\(rows)/\(chain.rawValue)") {
            var stored = 0
            var changed = 0
            let clock = ContinuousClock()
            var spent = Duration.zero
            var pages = SyntheticPages(count: 64 << 20, seed: 7)
            var roots = pages.bytes
            var depths = [Int](repeating: 0, count: roots.count / Content.pageBlockSize)
            let encoder = try ChunkEncoder(.zstd(level: 3))
            var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: Content.pageBlockSize))
            for _ in 0..<Self.generations {
                let previous = pages.bytes
                let blocks = pages.update(rows: rows)
                let start = clock.now
                for block in blocks {
                    stored += try encode(
                        block, chain, encoder, now: pages.bytes, before: previous, &roots, &depths, &output)
                }
                spent += clock.now - start
                changed += blocks.count
            }
            let seconds = Double(spent.components.seconds) + Double(spent.components.attoseconds) * 1e-18
            add(
                Measurement(
                    name: "generations/\(rows)/\(chain.rawValue)",
                    rate: Double(changed * Content.pageBlockSize) / seconds / 1e6,
                    note: "\(stored) bytes for \(changed) changed blocks"))
        }
    }

    /// The stored size of one changed block; keeps the root copies and the depths up to date.
    private func encode(
        _ block: Int, _ chain: Chain, _ encoder: ChunkEncoder, now: [UInt8], before: [UInt8], _ roots: inout [UInt8],
        _ depths: inout [Int], _ output: inout [UInt8]
    ) throws(HoldfastError) -> Int {
        let range = block * Content.pageBlockSize..<(block + 1) * Content.pageBlockSize
        let fromRoot = chain == .root || depths[block] == Self.deepest
        let plain = now.span.bytes.extracting(range)
        let result: (count: Int, isDelta: Bool)
        if fromRoot {
            result = try encode(plain, roots.span.bytes.extracting(range), chain, encoder, &output)
        } else {
            result = try encode(plain, before.span.bytes.extracting(range), chain, encoder, &output)
        }
        if result.isDelta {
            depths[block] = fromRoot ? 1 : depths[block] + 1
        } else {
            depths[block] = 0
            for index in range { roots[index] = now[index] }
        }
        return result.count
    }

    private func encode(
        _ plain: RawSpan, _ base: RawSpan, _ chain: Chain, _ encoder: ChunkEncoder, _ output: inout [UInt8]
    ) throws(HoldfastError) -> (count: Int, isDelta: Bool) {
        var span = output.mutableSpan
        return try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) -> (Int, Bool) in
            let room = UnsafeMutableRawBufferPointer(buffer)
            let whole = try encoder.encode(plain, into: room).count
            guard chain != .whole,
                let delta = try encoder.encodeDelta(plain, base: base, into: room, limit: whole / 2)
            else { return (whole, false) }
            return (delta, true)
        }
    }
}
