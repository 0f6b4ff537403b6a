// A zstd compression context with an owner.

import CZstd
import Primitives

/// A zstd compression context with its parameters set once.
final class ZstdCompressor {
    private let context: OpaquePointer

    /// - Parameter windowLog: The window, or 0 for what the level and the size of the input suggest.
    init(level: Int, windowLog: Int = 0) throws(HoldfastError) {
        guard let context = ZSTD_createCCtx() else { throw outOfMemory("a zstd encoder") }
        self.context = context
        set(ZSTD_c_compressionLevel, level)
        if windowLog > 0 { set(ZSTD_c_windowLog, windowLog) }
        set(ZSTD_c_contentSizeFlag, 1)
        set(ZSTD_c_checksumFlag, 0)
        set(ZSTD_c_dictIDFlag, 0)
    }

    deinit { ZSTD_freeCCtx(context) }

    func set(_ parameter: ZSTD_cParameter, _ value: Int) {
        let result = ZSTD_CCtx_setParameter(context, parameter, Int32(value))
        precondition(ZSTD_isError(result) == 0, "a zstd parameter is out of range")
    }

    /// One frame of `plain` in `output`, or nil when it does not fit there.
    func encode(
        _ plain: RawSpan, prefix: RawSpan? = nil, into output: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) -> Int? {
        let result = plain.withUnsafeBytes { input in
            guard let prefix else {
                return ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
            }
            // The prefix holds for one frame, and its bytes must stay until the frame is done.
            return prefix.withUnsafeBytes { base in
                let set = ZSTD_CCtx_refPrefix(context, base.baseAddress, base.count)
                guard ZSTD_isError(set) == 0 else { return set }
                return ZSTD_compress2(context, output.baseAddress, output.count, input.baseAddress, input.count)
            }
        }
        guard ZSTD_isError(result) != 0 else { return result }
        // A frame that was given up leaves the context in its middle, where no prefix can be set.
        ZSTD_CCtx_reset(context, ZSTD_reset_session_only)
        if ZSTD_getErrorCode(result) == ZSTD_error_dstSize_tooSmall { return nil }
        throw HoldfastError(
            .inputOutput, "zstd failed: \(String(cString: ZSTD_getErrorName(result)))",
            hint: "Check the memory of this machine.")
    }
}

func outOfMemory(_ thing: String) -> HoldfastError {
    HoldfastError(
        .inputOutput, "no memory for \(thing)", hint: "Try again when the machine is less busy, or with fewer threads.",
        retry: .later)
}
