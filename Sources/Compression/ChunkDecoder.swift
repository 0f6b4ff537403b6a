// Decoding of chunks whose bytes come from a store and may be anything.

import CZlib
import CZstd
import Primitives

/// Decodes chunks into buffers of exactly their raw size.
///
/// Thread: one at a time; make one per thread.
package final class ChunkDecoder {
    /// The largest window of a frame, as a power of two.
    private static let windowLogMaximum: UInt64 = 23
    private let context: OpaquePointer
    private let stream: UnsafeMutablePointer<z_stream>

    package init() throws(HoldfastError) {
        guard let context = ZSTD_createDCtx() else { throw outOfMemory("a zstd decoder") }
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        guard inflateInit_(stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            stream.deallocate()
            ZSTD_freeDCtx(context)
            throw outOfMemory("a zlib decoder")
        }
        self.context = context
        let result = ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, Int32(Self.windowLogMaximum))
        precondition(ZSTD_isError(result) == 0, "a zstd parameter is out of range")
    }

    deinit {
        ZSTD_freeDCtx(context)
        inflateEnd(stream)
        stream.deallocate()
    }

    /// Fills `output` with the raw bytes of a chunk.
    ///
    /// - Parameters:
    ///   - base: The raw bytes that a delta was made against; not looked at by other codecs.
    ///   - output: Exactly as long as the chunk's raw size; what it holds after a failure is undefined.
    /// - Throws: `.corruptObject` when the bytes do not decode to exactly that size, `.limitExceeded` over 8 MiB.
    package func decode(
        _ codec: Codec, _ stored: RawSpan, base: RawSpan?, into output: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        guard output.count <= ChunkEncoder.maximumRaw else {
            throw HoldfastError(
                .limitExceeded, "a chunk of \(output.count) bytes is over the limit of 8 MiB",
                hint: "The repository is damaged or was written by a later version.")
        }
        switch codec {
        case .stored:
            guard stored.byteCount == output.count else { throw corrupt("its length is wrong") }
            stored.withUnsafeBytes { output.copyMemory(from: $0) }
        case .zstd:
            try expand(stored, base: nil, into: output)
        case .zlib:
            try inflate(stored, into: output)
        case .zstdDelta:
            guard let base, !base.isEmpty else { throw corrupt("it is a delta and its base is missing") }
            guard base.byteCount <= ChunkEncoder.maximumRaw else { throw corrupt("its base is over 8 MiB") }
            try expand(stored, base: base, into: output)
        }
    }

    private func expand(
        _ stored: RawSpan, base: RawSpan?, into output: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        try stored.withUnsafeBytes { (input) throws(HoldfastError) in
            var header = ZSTD_frameHeader()
            guard ZSTD_getFrameHeader(&header, input.baseAddress, input.count) == 0,
                header.frameType == ZSTD_frame, header.dictID == 0
            else { throw corrupt("its frame header is not one of ours") }
            // The one-shot decoder knows no window limit, so the header is asked.
            guard header.frameContentSize == UInt64(output.count), header.windowSize <= 1 << Self.windowLogMaximum
            else { throw corrupt("its frame declares another size") }
            guard ZSTD_findFrameCompressedSize(input.baseAddress, input.count) == input.count else {
                throw corrupt("it is not exactly one frame")
            }
            let result: Int
            if let base {
                result = base.withUnsafeBytes { prefix in
                    let set = ZSTD_DCtx_refPrefix(context, prefix.baseAddress, prefix.count)
                    guard ZSTD_isError(set) == 0 else { return set }
                    return ZSTD_decompressDCtx(
                        context, output.baseAddress, output.count, input.baseAddress, input.count)
                }
            } else {
                result = ZSTD_decompressDCtx(context, output.baseAddress, output.count, input.baseAddress, input.count)
            }
            guard ZSTD_isError(result) == 0, result == output.count else {
                // A prefix that the failed frame did not use up must not reach the next one.
                ZSTD_DCtx_reset(context, ZSTD_reset_session_only)
                throw corrupt("its frame does not decode")
            }
        }
    }

    private func inflate(_ stored: RawSpan, into output: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        // Chunks of no bytes are stored; the stream would have nowhere to write.
        guard !output.isEmpty, !stored.isEmpty, let count = UInt32(exactly: stored.byteCount),
            inflateReset(stream) == Z_OK
        else { throw corrupt("its length is wrong") }
        let result = stored.withUnsafeBytes { input in
            // zlib reads its input only, although the field is not const.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = count
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = UInt32(output.count)
            return CZlib.inflate(stream, Z_FINISH)
        }
        guard result == Z_STREAM_END, stream.pointee.avail_out == 0, stream.pointee.avail_in == 0 else {
            throw corrupt("its stream does not decode to its size")
        }
    }

    private func corrupt(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "a chunk is damaged: \(what)",
            hint: "Run `holdfast check --read-data` to see what depends on it, and restore it from a mirror.")
    }
}
