// Looking before compressing: whether a chunk is likely to shrink at all.

import CZstd
import Primitives

/// Compresses small samples of a chunk at a fast level.
///
/// A chunk counts as hopeless when no sample saves 3 %. After a run of hopeless chunks one sample in turn stands for
/// all, until a chunk shrinks again.
final class Probe {
    private static let sampleCount = 16 << 10
    private static let samples = 4
    /// After so many hopeless chunks in a row one sample is enough.
    private static let patience = 8

    private let compressor: ZstdCompressor
    private var hopeless = 0

    init() throws(HoldfastError) { compressor = try ZstdCompressor(level: 1) }

    /// - Parameter scratch: Overwritten; at least one sample long when the chunk is.
    func isWorthwhile(_ plain: RawSpan, scratch: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Bool {
        let size = Self.sampleCount
        guard plain.byteCount > size * Self.samples else { return true }
        let stride = (plain.byteCount - size) / (Self.samples - 1)
        let room = UnsafeMutableRawBufferPointer(rebasing: scratch[..<(size * ChunkEncoder.keptPercent / 100)])
        let tired = hopeless >= Self.patience
        let places = tired ? (hopeless % Self.samples)..<(hopeless % Self.samples + 1) : 0..<Self.samples
        for place in places {
            let start = place * stride
            if try compressor.encode(plain.extracting(start..<start + size), into: room) != nil {
                hopeless = 0
                return true
            }
        }
        hopeless += 1
        return false
    }
}
