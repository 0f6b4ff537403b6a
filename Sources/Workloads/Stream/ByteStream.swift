// Streams of bytes that are read once: a pipe, or what a command prints.

import CLinux
import Glibc
import Primitives
import Synchronization

/// A source that is read from its beginning to its end.
///
/// Thread: one at a time.
package protocol ByteStream: AnyObject, Sendable {
    /// Reads at most the buffer's length; 0 at the end and only there. Blocks.
    ///
    /// - Throws: `.inputOutput`, or `.interrupted` on cancellation.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int

    /// To be called after the end and before anything is committed: says whether the stream was whole.
    ///
    /// - Throws: `.sourceFailed` when the producer failed, `.emptyStream` when it gave too little.
    func finish() throws(HoldfastError)

    /// Bytes read so far.
    var count: UInt64 { get }
}

extension ByteStream {
    /// Fills the buffer unless the stream ends before; returns the bytes read.
    package func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        var filled = 0
        while filled < buffer.count {
            let count = try read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            if count == 0 { break }
            filled += count
        }
        return filled
    }
}

/// Refuses a stream that gave nothing, or less than the operator expects.
func checkStreamSize(_ count: UInt64, _ minimum: ByteCount, of thing: String) throws(HoldfastError) {
    guard count > 0 else {
        throw HoldfastError(
            .emptyStream, "\(thing) gave no data", hint: "Check the command that produces it; nothing was committed.")
    }
    guard count >= minimum.bytes else {
        throw HoldfastError(
            .emptyStream, "\(thing) gave \(count) bytes, less than the minimum of \(minimum.bytes)",
            hint: "Check the command that produces it, or lower `--min-size`; nothing was committed.")
    }
}

/// Bytes from an open descriptor: a bare pipe, whose producer's failure cannot be seen.
package final class StreamSource: ByteStream {
    private static let nap: Int32 = 50

    private let descriptor: Int32
    private let minimumSize: ByteCount
    private let cancellation: Cancellation
    private let total = Atomic<UInt64>(0)

    /// Reads `descriptor`, which stays the caller's.
    package init(descriptor: Int32, minimumSize: ByteCount = ByteCount(1), cancellation: Cancellation) {
        self.descriptor = descriptor
        self.minimumSize = minimumSize
        self.cancellation = cancellation
    }

    package var count: UInt64 { total.load(ordering: .relaxed) }

    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        guard buffer.count > 0 else { return 0 }
        while true {
            try cancellation.check()
            var watched = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let ready = poll(&watched, 1, Self.nap)
            if ready < 0, errno != EINTR { throw HoldfastError.systemCall("wait for", errno, on: "the stream") }
            guard ready > 0 else { continue }
            let read = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
            if read >= 0 {
                total.add(UInt64(read), ordering: .relaxed)
                return read
            }
            guard errno == EINTR || errno == EAGAIN else {
                throw HoldfastError.systemCall("read", errno, on: "the stream")
            }
        }
    }

    package func finish() throws(HoldfastError) { try checkStreamSize(count, minimumSize, of: "the stream") }
}
