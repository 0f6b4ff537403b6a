// A regular file of a restore target, open for comparing and writing.

import CLinux
import Glibc
import Primitives
import Repository
import Synchronization

/// Writes one file in any order.
///
/// Durability: nothing is durable before ``TreeWriter/sync()``. Thread: reads and writes of different ranges may run at
/// the same time.
package final class FileTarget: Sendable {
    /// Zero runs are looked for in steps of this many bytes, the block of common file systems.
    private static let block = 4096
    /// So much of a file is gathered in memory before its way to the disk begins. Left to itself the kernel waits for
    /// gigabytes, and ``TreeWriter/sync()`` has them all to wait for.
    private static let share = 32 << 20
    /// Files smaller than this are left to ``TreeWriter/sync()``.
    private static let leastShare = 1 << 20

    /// Smaller files are left to the page cache, which gathers them.
    static let leastDirectSize: UInt64 = 1 << 20
    /// Shorter writes go through the page cache: each direct one waits for the device.
    package static let leastDirectWrite = 64 << 10
    /// What memory, offset and length of a direct write are multiples of, and so what buffers for ``write(_:at:)``
    /// should be aligned to. The sectors of all common devices divide it.
    package static let alignment = block

    let descriptor: OwnedDescriptor
    /// The file once more, opened to go past the page cache: copying into the cache costs more than decoding, and
    /// what is restored is seldom read again soon. Nil where the file is small or the file system cannot.
    private let direct: OwnedDescriptor?
    private let writer: TreeWriter
    package let parts: [[UInt8]]
    /// Whether the file was made just now, so that there is nothing to compare and all of it reads as zeros.
    package let isFresh: Bool
    /// The size that was found; zero for a fresh file.
    package let foundSize: UInt64
    private let isPrepared: Atomic<Bool>
    /// Where the last byte written so far ends; of a fresh file that is its size.
    private let end = Atomic<UInt64>(0)
    /// Bytes written since the kernel was last told to begin.
    private let unsent = Atomic<Int>(0)

    init(
        _ descriptor: OwnedDescriptor, direct: OwnedDescriptor?, writer: TreeWriter, parts: [[UInt8]], isFresh: Bool,
        foundSize: UInt64
    ) {
        self.descriptor = descriptor
        self.direct = direct
        self.writer = writer
        self.parts = parts
        self.isFresh = isFresh
        self.foundSize = foundSize
        isPrepared = Atomic(isFresh)
    }

    /// The open file `number` once more, for direct writes; nil where there is no such thing.
    static func direct(_ number: Int32) -> OwnedDescriptor? {
        let opened = holdfast_openat(AT_FDCWD, "/proc/self/fd/\(number)", O_WRONLY | holdfast_o_direct, 0)
        return opened >= 0 ? OwnedDescriptor(opened) : nil
    }

    private var name: String { writer.directories.describe(parts) }

    /// Fills `buffer` from `offset`; returns fewer bytes only at the end of the file.
    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        guard offset <= UInt64(Int64.max) - UInt64(buffer.count) else { return 0 }
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let (count, number) = retryingInterrupts {
                pread(descriptor.number, rest.baseAddress, rest.count, off_t(offset) + off_t(filled))
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: name) }
            if count == 0 { break }
            filled += count
        }
        return filled
    }

    /// Closes the file to all but its owner before foreign content goes into it.
    private func prepare() throws(HoldfastError) {
        if isPrepared.load(ordering: .acquiring) { return }
        guard fchmod(descriptor.number, 0o600) == 0 else {
            throw HoldfastError.systemCall("change the mode of", errno, on: name, code: .targetFailed)
        }
        isPrepared.store(true, ordering: .releasing)
    }

    /// Writes `bytes` at `offset`. With the option `sparse`, whole zero blocks become holes; call ``setSize(_:)``
    /// first, or every run of zeros at the end so far costs a block.
    package func write(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HoldfastError) {
        guard offset <= UInt64(Int64.max) - UInt64(bytes.count) else { throw tooLarge() }
        try prepare()
        guard writer.options.sparse else { return try writeAll(bytes, at: offset) }
        var start = 0
        while start < bytes.count {
            let isZero = Self.isZero(block(bytes, at: start, offset))
            var end = start
            repeat {
                end += block(bytes, at: end, offset).count
            } while end < bytes.count
                && Self.isZero(block(bytes, at: end, offset)) == isZero
            let run = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
            if isZero {
                try writeZeros(run, at: offset + UInt64(start))
            } else {
                try writeAll(run, at: offset + UInt64(start))
            }
            start = end
        }
    }

    /// The bytes from `start` to the next block boundary of the file.
    private func block(_ bytes: UnsafeRawBufferPointer, at start: Int, _ offset: UInt64) -> UnsafeRawBufferPointer {
        let place = offset + UInt64(start)
        let length = Self.block - Int(place % UInt64(Self.block))
        return UnsafeRawBufferPointer(rebasing: bytes[start..<min(bytes.count, start + length)])
    }

    static func isZero(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let base = bytes.baseAddress, bytes.count > 0 else { return true }
        // The first byte is zero and every byte equals the one after it.
        return bytes[0] == 0 && memcmp(base, base + 1, bytes.count - 1) == 0
    }

    private func writeZeros(_ run: UnsafeRawBufferPointer, at offset: UInt64) throws(HoldfastError) {
        var status = try descriptor.status(of: name)
        let end = offset + UInt64(run.count)
        if !isFresh, UInt64(clamping: status.st_size) > offset {
            let punched = holdfast_punch_hole(descriptor.number, off_t(offset), off_t(run.count))
            guard punched == 0 || errno == EOPNOTSUPP || errno == ENOSYS else {
                throw HoldfastError.systemCall("punch a hole in", errno, on: name, code: .targetFailed)
            }
            if punched != 0 { return try writeAll(run, at: offset) }
            status = try descriptor.status(of: name)
        }
        // Grows only: another thread may be writing further on.
        if UInt64(clamping: status.st_size) < end, run.count > 0 {
            let last = UnsafeRawBufferPointer(rebasing: run[(run.count - 1)...])
            try writeAll(last, at: end - 1)
        }
    }

    private func writeAll(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws(HoldfastError) {
        defer { end.max(offset + UInt64(bytes.count), ordering: .relaxed) }
        var written = writeDirect(bytes, at: offset)
        if written == bytes.count { return }
        let direct = written
        while written < bytes.count {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written...])
            let (count, number) = retryingInterrupts {
                pwrite(descriptor.number, rest.baseAddress, rest.count, off_t(offset) + off_t(written))
            }
            guard count > 0 else {
                throw HoldfastError.systemCall("write", count == 0 ? EIO : number, on: name, code: .targetFailed)
            }
            written += count
        }
        if unsent.add(written - direct, ordering: .relaxed).newValue >= Self.share {
            unsent.store(0, ordering: .relaxed)
            holdfast_begin_writing(descriptor.number)
        }
    }

    /// Writes what is aligned of `bytes` past the page cache.
    ///
    /// - Returns: How much was written; the rest, after any failure too, is left to the page cache, which has the words
    ///   for what is wrong.
    private func writeDirect(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) -> Int {
        let whole = bytes.count / Self.alignment * Self.alignment
        guard let direct, whole >= Self.leastDirectWrite, offset % UInt64(Self.alignment) == 0,
            Int(bitPattern: bytes.baseAddress) % Self.alignment == 0
        else { return 0 }
        var written = 0
        while written < whole {
            let rest = UnsafeRawBufferPointer(rebasing: bytes[written..<whole])
            let (count, _) = retryingInterrupts {
                pwrite(direct.number, rest.baseAddress, rest.count, off_t(offset) + off_t(written))
            }
            guard count > 0, count % Self.alignment == 0 else { break }
            written += count
        }
        return written
    }

    /// Cuts or extends the file; what is added reads as zeros and takes no space.
    package func setSize(_ size: UInt64) throws(HoldfastError) {
        guard size <= UInt64(Int64.max) else { throw tooLarge() }
        let current = try isFresh ? end.load(ordering: .relaxed) : UInt64(clamping: descriptor.status(of: name).st_size)
        if current == size { return }
        try prepare()
        guard ftruncate(descriptor.number, off_t(size)) == 0 else {
            throw HoldfastError.systemCall("set the size of", errno, on: name, code: .targetFailed)
        }
        end.store(size, ordering: .relaxed)
    }

    /// Makes a range read as zeros and gives its space back where the file system can.
    package func punchHole(_ range: Range<UInt64>) throws(HoldfastError) {
        guard range.upperBound <= UInt64(Int64.max) else { throw tooLarge() }
        guard !range.isEmpty else { return }
        try prepare()
        let count = range.upperBound - range.lowerBound
        if holdfast_punch_hole(descriptor.number, off_t(range.lowerBound), off_t(count)) == 0 { return }
        let number = errno
        guard number == EOPNOTSUPP || number == ENOSYS else {
            throw HoldfastError.systemCall("punch a hole in", number, on: name, code: .targetFailed)
        }
        let zeros = [UInt8](repeating: 0, count: 65_536)
        let span = zeros.span.bytes
        var offset = range.lowerBound
        while offset < range.upperBound {
            let step = Int(min(UInt64(zeros.count), range.upperBound - offset))
            try span.withUnsafeBytes { (raw) throws(HoldfastError) in
                try writeAll(UnsafeRawBufferPointer(rebasing: raw[..<step]), at: offset)
            }
            offset += UInt64(step)
        }
    }

    /// Takes the space for `size` bytes beforehand, so that a full disk is seen early and the file is laid out in one
    /// piece. Does nothing with the option `sparse` or where the file system cannot.
    package func preallocate(_ size: UInt64) throws(HoldfastError) {
        guard !writer.options.sparse, size > 0, size <= UInt64(Int64.max) else { return }
        guard holdfast_fallocate_keep_size(descriptor.number, off_t(size)) == 0 else {
            guard errno == ENOSPC || errno == EDQUOT || errno == EFBIG else { return }
            throw HoldfastError.systemCall("reserve space for", errno, on: name, code: .targetFailed)
        }
    }

    /// Sets owner, attributes, mode and times. Call it last: a write after it changes the times.
    package func apply(_ metadata: EntryMetadata) throws(HoldfastError) {
        if unsent.load(ordering: .relaxed) >= Self.leastShare { holdfast_begin_writing(descriptor.number) }
        try writer.apply(metadata, to: descriptor, parts: parts)
        writer.barrier.add(self)
    }

    /// Begins to write what is in memory of the file.
    func beginWriting() { holdfast_begin_writing(descriptor.number) }

    /// Waits until the data of the file is on the device, which may still hold it in a cache of its own.
    func waitForData() throws(HoldfastError) {
        guard holdfast_wait_for_data(descriptor.number) == 0 else {
            throw HoldfastError.systemCall("write", errno, on: name, code: .targetFailed)
        }
    }

    private func tooLarge() -> HoldfastError {
        HoldfastError(.limitExceeded, "\(name) would be larger than a file can be", hint: "The snapshot is damaged.")
    }
}
