// Content-defined chunking: cuts follow the bytes, so an insertion changes the chunks around it and no others.

import Primitives

/// Cuts a stream by the gear hash with normalised chunking at level 2.
///
/// After Xia et al., "FastCDC: a Fast and Efficient Content-Defined Chunking Approach for Data Deduplication", USENIX
/// ATC 2016. Two things differ: the hash is warmed up over the 64 bytes before the shortest length, so that a cut
/// depends on the bytes around it alone; and the masks are the plain top bits, each of which has seen at least 42
/// bytes.
package struct ContentCutter: Sendable {
    /// How many bytes the hash remembers.
    package static let reach = 64
    /// How many bits the mask gains before the average length and loses after it.
    private static let normalisation = 2

    package let sizes: CutSizes
    private let table: GearTable
    private let strictMask: UInt64
    private let looseMask: UInt64

    package init(table: GearTable, sizes: CutSizes = .standard) {
        self.table = table
        self.sizes = sizes
        let bits = sizes.average.trailingZeroBitCount
        strictMask = Self.topBits(bits + Self.normalisation)
        looseMask = Self.topBits(max(1, bits - Self.normalisation))
    }

    /// The length of the next chunk.
    ///
    /// - Parameter window: Starts where a chunk starts and holds the rest of the stream, or its next `sizes.maximum`
    ///   bytes when there are more.
    /// - Returns: 0 for an empty window only.
    package func boundary(in window: RawSpan) -> Int {
        let count = min(window.byteCount, sizes.maximum)
        guard count > sizes.minimum else { return count }
        let gear = table.words.span
        var hash: UInt64 = 0
        for index in (sizes.minimum - Self.reach)..<sizes.minimum {
            hash = (hash &<< 1) &+ gear[unchecked: Int(window.unsafeLoad(fromByteOffset: index, as: UInt8.self))]
        }
        let middle = min(count, sizes.average)
        if let cut = Self.scan(window, from: sizes.minimum, to: middle, gear, strictMask, &hash) { return cut }
        return Self.scan(window, from: middle, to: count, gear, looseMask, &hash) ?? count
    }

    /// The ends of the chunks in `bytes`, which start where a chunk starts.
    ///
    /// - Parameter isFinal: Whether the stream ends with `bytes`; if not, a rest that may still grow is left uncut.
    package func boundaries(in bytes: RawSpan, isFinal: Bool) -> [Int] {
        var ends: [Int] = []
        var start = 0
        while start < bytes.byteCount {
            if !isFinal, bytes.byteCount - start < sizes.maximum { break }
            start += boundary(in: bytes.extracting(start..<min(bytes.byteCount, start + sizes.maximum)))
            ends.append(start)
        }
        return ends
    }

    private static func topBits(_ count: Int) -> UInt64 { ~0 << UInt64(64 - count) }

    /// The length up to and with the first byte after which the hash has no bit of `mask`.
    @inline(__always)
    private static func scan(
        _ window: RawSpan, from start: Int, to end: Int, _ gear: Span<UInt64>, _ mask: UInt64, _ hash: inout UInt64
    ) -> Int? {
        var rolling = hash
        for index in start..<end {
            // In bounds: `end` is no more than the window's count, and a byte is under 256.
            rolling = (rolling &<< 1) &+ gear[unchecked: Int(window.unsafeLoad(fromByteOffset: index, as: UInt8.self))]
            if rolling & mask == 0 { return index + 1 }
        }
        hash = rolling
        return nil
    }
}
