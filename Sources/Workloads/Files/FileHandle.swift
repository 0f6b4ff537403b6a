// A regular file of a source tree, open for reading.

import CLinux
import Glibc
import Primitives
import Repository
import Synchronization

/// Reads one file, and says at the end whether it is still the file that was listed.
///
/// Thread: reads may run at the same time.
package final class FileHandle: Sendable {
    private static let advisedSize: UInt64 = 8 << 20
    /// Larger files are always asked for holes.
    private static let largestDense = 1 << 20

    private let descriptor: OwnedDescriptor
    private let directory: DirectoryHandle
    private let name: [UInt8]
    /// The slash-separated path below the root.
    package let path: [UInt8]
    private let dropsCache: Bool
    /// The size of a small file that has as much space as bytes, and so no hole worth looking for; zero for others.
    private let denseSize: UInt64

    /// - Parameters:
    ///   - size: As it was listed.
    ///   - status: As it is now.
    init(
        _ descriptor: OwnedDescriptor, directory: DirectoryHandle, name: [UInt8], path: [UInt8], size: UInt64,
        status: stat
    ) {
        self.descriptor = descriptor
        self.directory = directory
        self.name = name
        self.path = path
        let isLarge = size >= Self.advisedSize
        dropsCache = isLarge && directory.tree.options.dropsCache
        let isDense = status.st_size <= Self.largestDense && status.st_blocks >= (status.st_size + 511) / 512
        denseSize = isDense ? UInt64(clamping: status.st_size) : 0
        if isLarge { posix_fadvise(descriptor.number, 0, 0, POSIX_FADV_SEQUENTIAL) }
    }

    /// Fills `buffer` from `offset`; returns fewer bytes only at the end of the file.
    ///
    /// Blocks for the read limit, when there is one. Safe to repeat.
    package func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        guard offset <= UInt64(Int64.max) - UInt64(buffer.count) else { return 0 }
        directory.tree.options.readLimit?.take(ByteCount(buffer.count))
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let (count, number) = retryingInterrupts {
                pread(descriptor.number, rest.baseAddress, rest.count, off_t(offset) + off_t(filled))
            }
            guard count >= 0 else { throw HoldfastError.systemCall("read", number, on: printablePath(path)) }
            if count == 0 { break }
            filled += count
        }
        if dropsCache { posix_fadvise(descriptor.number, off_t(offset), off_t(filled), POSIX_FADV_DONTNEED) }
        return filled
    }

    /// The first stretch of data at or after `offset`, or nil when only a hole or nothing follows.
    ///
    /// What lies between stretches reads as zeros. A file system that knows no holes gives one stretch to the end.
    package func dataExtent(from offset: UInt64) throws(HoldfastError) -> Range<UInt64>? {
        if offset < denseSize { return offset..<denseSize }
        guard offset <= UInt64(Int64.max) else { return nil }
        let start = lseek(descriptor.number, off_t(offset), holdfast_seek_data)
        if start < 0 {
            let number = errno
            if number == ENXIO { return nil }
            guard number == EINVAL || number == ENOTSUP else {
                throw HoldfastError.systemCall("find data in", number, on: printablePath(path))
            }
            let size = try size()
            return offset < size ? offset..<size : nil
        }
        let end = lseek(descriptor.number, start, holdfast_seek_hole)
        guard end >= 0 else {
            // The file was cut short in between.
            if errno == ENXIO { return nil }
            throw HoldfastError.systemCall("find holes in", errno, on: printablePath(path))
        }
        return end > start ? UInt64(start)..<UInt64(end) : nil
    }

    /// The length as it is now.
    package func size() throws(HoldfastError) -> UInt64 {
        UInt64(clamping: try descriptor.status(of: printablePath(path)).st_size)
    }

    /// Metadata as it is now. When size, times or inode differ from the listing, the file changed while it was read.
    package func metadata() throws(HoldfastError) -> EntryMetadata {
        try directory.describe(descriptor, name: name, path: path)
    }
}

extension EntryMetadata {
    /// Whether `other` shows the same inode with the same size and times, so that the content is taken as unchanged.
    package func hasSameContentMarks(as other: EntryMetadata) -> Bool {
        kind == other.kind && inode == other.inode && device == other.device && size == other.size
            && modified == other.modified && changed == other.changed
    }
}
