// A zlib compression stream with an owner.

import CZlib
import Primitives

/// A zlib compression stream, reset for each chunk.
final class ZlibCompressor {
    private let stream: UnsafeMutablePointer<z_stream>

    init(level: Int) throws(HoldfastError) {
        stream = .allocate(capacity: 1)
        stream.initialize(to: z_stream())
        let done = deflateInit_(stream, Int32(level), ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
        guard done == Z_OK else {
            stream.deallocate()
            throw outOfMemory("a zlib encoder")
        }
    }

    deinit {
        deflateEnd(stream)
        stream.deallocate()
    }

    /// One zlib stream of `plain` in `output`, or nil when it does not fit there.
    func encode(_ plain: RawSpan, into output: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int? {
        guard deflateReset(stream) == Z_OK, let inputCount = UInt32(exactly: plain.byteCount),
            let outputCount = UInt32(exactly: output.count)
        else { throw outOfMemory("a zlib encoder") }
        let result = plain.withUnsafeBytes { input in
            // zlib reads its input only, although the field is not const.
            stream.pointee.next_in = UnsafeMutablePointer(
                mutating: input.baseAddress?.assumingMemoryBound(to: UInt8.self))
            stream.pointee.avail_in = inputCount
            stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
            stream.pointee.avail_out = outputCount
            return deflate(stream, Z_FINISH)
        }
        return result == Z_STREAM_END ? output.count - Int(stream.pointee.avail_out) : nil
    }
}
