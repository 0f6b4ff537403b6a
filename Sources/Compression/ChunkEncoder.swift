// Compression of one chunk at a time.

import CZlib
import CZstd
import Primitives

/// Encodes chunks whole, and changed blocks as deltas against their base.
///
/// Thread: one at a time; make one per thread. Its contexts are reused, so that a chunk costs no allocation.
package final class ChunkEncoder {
    /// A whole encoding is kept when it is at most this many hundredths of the raw size.
    static let keptPercent = 97
    /// The longest chunk, in bytes, that decoders take.
    package static let maximumRaw = 8 << 20

    package let setting: CompressionSetting
    private var zstd: ZstdCompressor?
    /// For blocks of page files; nil where they are encoded like all else.
    private var pages: ZstdCompressor?
    private var zlib: ZlibCompressor?
    private var probe: Probe?
    private let delta: ZstdCompressor

    /// - Parameter deltaLevel: The zstd level of deltas, whatever the setting is.
    package init(_ setting: CompressionSetting, deltaLevel: Int = 3) throws(HoldfastError) {
        precondition(setting.isValid && CompressionSetting.zstdLevels.contains(deltaLevel), "a level is out of range")
        self.setting = setting
        // Given the prefix, zstd makes the window cover a block and its base by itself. Most of a changed block is
        // found in its base in long matches, so the fast strategies gain from not looking for short ones: on blocks of
        // a real table 7 % fewer bytes and 11 % more speed at level 3. Long-distance matching saves about 70 bytes a
        // block for three times the time: not worth it.
        delta = try ZstdCompressor(level: deltaLevel)
        if deltaLevel <= 3 { delta.set(ZSTD_c_minMatch, 6) }
        switch setting {
        case .none: break
        case .zstd(let level):
            zstd = try ZstdCompressor(level: level)
            // The rows of a table repeat at long distances with short differences between them, and so do the entries
            // of an index: on blocks of 1 MiB of a real cluster the fast strategy with matches of six bytes and a
            // table of 2^17 gives 2.2 % fewer bytes than level 3 in two thirds of its time. Matches of seven bytes, or
            // a table of 2^14, give 2.7 % and 10 % more.
            if (2...3).contains(level) {
                let pages = try ZstdCompressor(level: 2)
                pages.set(ZSTD_c_minMatch, 6)
                pages.set(ZSTD_c_hashLog, 17)
                self.pages = pages
            }
        case .zlib(let level): zlib = try ZlibCompressor(level: level)
        case .auto(let level):
            zstd = try ZstdCompressor(level: level)
            probe = try Probe()
        }
    }

    /// How many bytes of output `encode` needs for a chunk of `rawCount` bytes.
    package static func bound(for rawCount: Int) -> Int { max(rawCount, ZSTD_compressBound(rawCount)) }

    /// Encodes a chunk whole; it is stored as it is unless that saves 3 %.
    ///
    /// - Parameters:
    ///   - isPage: Whether the chunk is a block of a page file, for which low levels have a better way.
    ///   - output: At least `bound(for:)` bytes.
    package func encode(
        _ plain: RawSpan, isPage: Bool = false, into output: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) -> (codec: Codec, count: Int) {
        let count = plain.byteCount
        precondition(count <= Self.maximumRaw, "a chunk is at most 8 MiB")
        precondition(output.count >= Self.bound(for: count), "the output of an encoder is too small")
        let limit = count * Self.keptPercent / 100
        if limit > 0 {
            let room = Self.room(for: limit, in: output)
            if let zlib, let size = try zlib.encode(plain, into: room), size <= limit { return (.zlib, size) }
            if let zstd = isPage ? pages ?? zstd : zstd, try probe?.isWorthwhile(plain, scratch: output) ?? true,
                let size = try zstd.encode(plain, into: room), size <= limit
            {
                return (.zstd, size)
            }
        }
        plain.withUnsafeBytes { output.copyMemory(from: $0) }
        return (.stored, count)
    }

    /// Encodes a block as its difference from `base`.
    ///
    /// - Parameters:
    ///   - output: At least `limit` bytes. With less than 64 more, a result just under the limit may not be found.
    ///   - limit: The result must be under this many bytes.
    /// - Returns: The size of the delta, or nil when it is not under `limit`.
    package func encodeDelta(
        _ plain: RawSpan, base: RawSpan, into output: UnsafeMutableRawBufferPointer, limit: Int
    ) throws(HoldfastError) -> Int? {
        precondition(
            plain.byteCount <= Self.maximumRaw && base.byteCount <= Self.maximumRaw, "a chunk is at most 8 MiB")
        precondition(output.count >= limit, "the output of an encoder is too small")
        guard limit > 1, !base.isEmpty, !plain.isEmpty else { return nil }
        let room = Self.room(for: limit, in: output)
        guard let size = try delta.encode(plain, prefix: base, into: room), size < limit else { return nil }
        return size
    }

    /// The part of `output` that an encoder gets, so that it stops soon after `limit`; encoders need some bytes to
    /// spare.
    private static func room(
        for limit: Int, in output: UnsafeMutableRawBufferPointer
    ) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(rebasing: output[..<min(output.count, limit + 64)])
    }
}
