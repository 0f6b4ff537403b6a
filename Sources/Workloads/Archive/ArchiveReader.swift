// Takes a tar stream apart into its members (libarchive; no filter programs, tar formats alone).

import CArchive
import Glibc
import Primitives
import Repository

/// One member of an archive.
package struct ArchiveMember: Sendable {
    /// The path in parts; empty for the archive's root.
    package var parts: [[UInt8]]
    package var metadata: EntryMetadata
    /// The earlier member that this one is a further name of.
    package var hardLink: [[UInt8]]?
    /// What of the metadata could not be taken over.
    package var notes: [String]
}

/// Yields the members of a tar stream in order: ustar, pax and GNU, with sparse files, attributes and access lists.
///
/// Memory: one block of the stream and one member's header. Thread: one at a time.
package final class ArchiveReader {
    static let blockBytes = 256 << 10
    /// The most attribute bytes that one member may carry.
    static let maximumAttributeBytes = 1 << 20

    /// What libarchive calls back into.
    private final class Input {
        let stream: any ByteStream
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ArchiveReader.blockBytes, alignment: 4096)
        var failure: HoldfastError?
        var total: UInt64 = 0
        /// One past the last byte that is not zero.
        var lastContent: UInt64 = 0
        /// The last bytes of the stream, up to eight.
        var tail: [UInt8] = []

        init(_ stream: any ByteStream) { self.stream = stream }
        deinit { buffer.deallocate() }

        func next() throws(HoldfastError) -> Int {
            let count = try stream.read(into: buffer)
            var end = count
            while end > 0, buffer[end - 1] == 0 { end -= 1 }
            if end > 0 { lastContent = total + UInt64(end) }
            total += UInt64(count)
            tail = (tail + buffer[max(0, count - 8)..<count]).suffix(8)
            return count
        }
    }

    private let archive: OpaquePointer
    private let input: Input
    private var isAtEnd = false
    private var size: UInt64 = 0
    /// The content position that the caller has reached, and what libarchive gave beyond it.
    private var position: UInt64 = 0
    private var pending = UnsafeRawBufferPointer(start: nil, count: 0)
    private var pendingStart: UInt64 = 0
    private var isContentAtEnd = true

    private let isCompressed: Bool

    /// Begins to read `stream`.
    ///
    /// - Parameter isCompressed: It is compressed by gzip. Its checksum is then not looked at, but its length: who
    ///   wrote the archive has sums of its own for the content.
    /// - Throws: `.sourceFailed` when the stream does not begin as a tar archive.
    package init(_ stream: any ByteStream, isCompressed: Bool = false) throws(HoldfastError) {
        guard let archive = archive_read_new() else {
            throw HoldfastError(.sourceFailed, "no memory for an archive reader", retry: .later)
        }
        self.archive = archive
        input = Input(stream)
        self.isCompressed = isCompressed
        archive_read_support_format_tar(archive)
        if isCompressed { archive_read_support_filter_gzip(archive) } else { archive_read_support_filter_none(archive) }
        let client = Unmanaged.passUnretained(input).toOpaque()
        let status = ArchiveLocale.use {
            archive_read_open(
                archive, client, nil,
                { _, client, block in
                    guard let client else { return -1 }
                    let input = Unmanaged<Input>.fromOpaque(client).takeUnretainedValue()
                    do throws(HoldfastError) {
                        let count = try input.next()
                        block?.pointee = UnsafeRawPointer(input.buffer.baseAddress)
                        return la_ssize_t(count)
                    } catch {
                        input.failure = error
                        return -1
                    }
                }, nil)
        }
        // All properties are set, so `deinit` frees the archive.
        guard status == ARCHIVE_OK else { throw failure() }
    }

    deinit { archive_read_free(archive) }

    /// The next member, or nil at the archive's end, which is then known to be whole.
    ///
    /// - Throws: `.sourceFailed` for a damaged or truncated archive, `.unsafePath` for a member that leads out of it.
    package func next() throws(HoldfastError) -> ArchiveMember? {
        guard !isAtEnd else { return nil }
        var found: OpaquePointer?
        let status = ArchiveLocale.use { archive_read_next_header(archive, &found) }
        if status == ARCHIVE_EOF {
            isAtEnd = true
            try checkEnd()
            return nil
        }
        // A warning is about names that do not fit the locale; the bytes are there.
        guard status == ARCHIVE_OK || status == ARCHIVE_WARN, let entry = found else { throw failure() }
        let member = try ArchiveLocale.use { () throws(HoldfastError) in try ArchiveEntryReader(entry).member() }
        size = member.metadata.size
        position = 0
        pending = UnsafeRawBufferPointer(start: nil, count: 0)
        isContentAtEnd = size == 0
        return member
    }

    /// Reads the content of the member last returned; holes read as zeros. 0 at its end.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        var filled = 0
        while filled < buffer.count, position < size {
            if pending.isEmpty, !isContentAtEnd { try nextBlock() }
            let room = UInt64(buffer.count - filled)
            let target = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            if pending.isEmpty || pendingStart > position {
                let gap = (pending.isEmpty ? size : pendingStart) - position
                let count = Int(min(gap, room))
                _ = UnsafeMutableRawBufferPointer(rebasing: target[..<count]).initializeMemory(
                    as: UInt8.self, repeating: 0)
                filled += count
                position += UInt64(count)
            } else {
                let count = min(pending.count, target.count)
                target.copyMemory(from: UnsafeRawBufferPointer(rebasing: pending[..<count]))
                pending = UnsafeRawBufferPointer(rebasing: pending[count...])
                pendingStart += UInt64(count)
                filled += count
                position += UInt64(count)
            }
        }
        return filled
    }

    private func nextBlock() throws(HoldfastError) {
        var block: UnsafeRawPointer?
        var count = 0
        var offset: la_int64_t = 0
        let status = archive_read_data_block(archive, &block, &count, &offset)
        if status == ARCHIVE_EOF {
            isContentAtEnd = true
            return
        }
        guard status == ARCHIVE_OK || status == ARCHIVE_WARN else { throw failure() }
        guard offset >= 0, UInt64(offset) >= position, count >= 0, UInt64(offset) + UInt64(count) <= size else {
            throw damaged("a member's content does not fit its size")
        }
        pending = UnsafeRawBufferPointer(start: block, count: count)
        pendingStart = UInt64(offset)
    }

    /// libarchive takes a stream that stops between two members for a whole one, and does not look past the end mark.
    private func checkEnd() throws(HoldfastError) {
        let end = UInt64(clamping: archive_read_header_position(archive))
        while true {
            // Read on, so that the producer can end, and so that a second archive is not lost in silence.
            guard try input.next() > 0 else { break }
        }
        if isCompressed { return try checkTrailer(end) }
        guard input.total >= end + 512 else { throw damaged("it stops before its end mark") }
        guard input.lastContent <= end else { throw damaged("more data follows its end mark") }
    }

    /// The last four bytes are how much was compressed, modulo 2^32 (RFC 1952, section 2.3.1): the archive with its end
    /// mark, and perhaps what fills its last block.
    private func checkTrailer(_ end: UInt64) throws(HoldfastError) {
        guard input.tail.count == 8 else { throw damaged("it has no end") }
        let length = input.tail.suffix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        let beyond = length &- UInt32(truncatingIfNeeded: end)
        guard beyond % 512 == 0, beyond <= 20 * 512 else { throw damaged("it does not end as long as it says") }
    }

    private func failure() -> HoldfastError { input.failure ?? damaged(archiveMessage(archive)) }

    private func damaged(_ what: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the tar archive is damaged: \(what)",
            hint: "Check the command that writes it; leave out `--unpack` to keep the stream as it is.")
    }
}
