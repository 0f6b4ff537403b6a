// Reads stretches of packs into one buffer and opens them in place.

import Primitives
import Repository
import Synchronization

/// The plain bytes of one stretch at a time.
///
/// Thread: one at a time; make one per thread. Memory: the longest stretch so far.
final class StretchReader {
    private let packs: PackReader
    private let counters: RestoreCounters
    private var buffer: UnsafeMutableRawBufferPointer

    init(packs: PackReader, counters: RestoreCounters) {
        self.packs = packs
        self.counters = counters
        buffer = .allocate(byteCount: UnitMaker.stretchSize + 2 * Segments.storedSize, alignment: 16)
    }

    deinit { buffer.deallocate() }

    /// Reads `bytes` of the stream of `pack`; the result holds until the next call.
    ///
    /// - Throws: `.objectMissing`, `.corruptObject` for a segment that does not open, and what the store throws.
    func read(_ pack: PackID, _ bytes: Range<Int>) throws(HoldfastError) -> UnsafeRawBufferPointer {
        let opened = try packs.open(pack)
        let first = bytes.lowerBound / Segments.plainSize
        let end = max(first + 1, (bytes.upperBound + Segments.plainSize - 1) / Segments.plainSize)
        let stored = (end - first) * Segments.storedSize
        if buffer.count < stored {
            buffer.deallocate()
            buffer = .allocate(byteCount: stored, alignment: 16)
        }
        _ = try packs.readSegments(opened, pack, first..<end, into: buffer)
        counters.add(fetched: stored)
        let skip = bytes.lowerBound - first * Segments.plainSize
        return UnsafeRawBufferPointer(rebasing: buffer[skip..<skip + bytes.count])
    }
}
