// The entries of one run where they can be searched: in a mapped cache file, or in memory.

import CLinux
import Glibc
import Primitives

/// Read-only bytes that are mapped from a file or owned.
///
/// Thread: immutable.
package final class RunTable: @unchecked Sendable {
    // Sendable: the bytes are never written after init.
    private let base: UnsafeMutableRawPointer
    private let mappedCount: Int
    private let start: Int
    package let count: Int

    /// Copies `bytes`.
    package init(_ bytes: [UInt8]) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(1, bytes.count), alignment: 16)
        bytes.withUnsafeBytes { raw in
            UnsafeMutableRawBufferPointer(start: memory, count: raw.count).copyMemory(from: raw)
        }
        base = memory
        mappedCount = 0
        start = 0
        count = bytes.count
    }

    fileprivate init(mapped: UnsafeMutableRawPointer, mappedCount: Int, start: Int, count: Int) {
        base = mapped
        self.mappedCount = mappedCount
        self.start = start
        self.count = count
    }

    deinit {
        if mappedCount > 0 { munmap(base, mappedCount) } else { base.deallocate() }
    }

    @inline(__always)
    package func withBytes<R>(_ body: (UnsafeRawBufferPointer) -> R) -> R {
        body(UnsafeRawBufferPointer(start: base + start, count: count))
    }
}

/// Opened index runs kept between commands, one file each.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 8 | `HFRUNC02` |
/// | 8 | 4 | length of the clear part |
/// | 12 | 4 | CRC-32C of all that follows |
/// | 16 | 32 | id of the run |
/// | 48 | … | clear part, then the table |
///
/// Checksum and id guard against a torn or rotten file and one under another's name: a wrong entry here would make a
/// backup lean on a chunk that does not exist. Whoever can write here as this user could change the program as well, so
/// there is no stronger seal. The files hold halves of chunk ids and sizes, no content; their mode is 0600.
package struct RunCache: Sendable {
    private static let magic: [UInt8] = Array("HFRUNC02".utf8)
    private static let headSize = 48
    private let directory: String

    package init(directory: String, repository: RepositoryID) {
        self.directory = "\(directory)/\(repository)"
    }

    private func path(_ id: IndexRunID) -> String { "\(directory)/\(id).run" }

    /// The clear part and the mapped table; nil when the file is absent or damaged in any way.
    package func load(_ id: IndexRunID) -> (clear: [UInt8], table: RunTable)? {
        let descriptor = open(path(id), O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_size >= Self.headSize else { return nil }
        let size = Int(status.st_size)
        guard let memory = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), memory != MAP_FAILED else {
            return nil
        }
        let raw = UnsafeRawBufferPointer(start: memory, count: size)
        let clearCount = Int(UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt32.self)))
        let sum = UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: 12, as: UInt32.self))
        let rest = UnsafeRawBufferPointer(rebasing: raw[Self.headSize...])
        guard raw.prefix(8).elementsEqual(Self.magic), clearCount <= rest.count,
            Bytes32(RawSpan(_unsafeBytes: raw), at: 16) == id.bytes,
            crc32c(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: raw[16...]))) == sum
        else {
            munmap(memory, size)
            return nil
        }
        let clear = Array(rest[..<clearCount])
        return (
            clear,
            RunTable(
                mapped: memory, mappedCount: size, start: Self.headSize + clearCount, count: rest.count - clearCount)
        )
    }

    /// Keeps an opened run. A failure costs time at the next command and nothing else, so that it is not an error.
    package func keep(_ id: IndexRunID, clear: [UInt8], table: [UInt8]) {
        makeDirectories()
        let name = id.bytes.array
        var sum = crc32c(name.span.bytes)
        sum = crc32c(clear.span.bytes, after: sum)
        sum = crc32c(table.span.bytes, after: sum)
        var head = ByteWriter(reserving: Self.headSize)
        head.raw(Self.magic)
        head.u32(UInt32(clear.count))
        head.u32(sum)
        head.raw(name)
        let temporary = "\(path(id)).\(getpid())"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return }
        let isWritten =
            Self.write(head.bytes, to: descriptor) && Self.write(clear, to: descriptor)
            && Self.write(table, to: descriptor)
        close(descriptor)
        if !isWritten || rename(temporary, path(id)) != 0 { unlink(temporary) }
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        bytes.withUnsafeBytes { raw -> Bool in
            var done = 0
            while done < raw.count {
                let (count, _) = retryingInterrupts {
                    Glibc.write(descriptor, raw.baseAddress.map { $0 + done }, raw.count - done)
                }
                if count <= 0 { return false }
                done += count
            }
            return true
        }
    }

    /// Removes the files of runs that are not among `live`.
    package func removeAll(except live: Set<IndexRunID>) {
        guard let handle = opendir(directory) else { return }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasSuffix(".run"), let id = IndexRunID(hex: name.dropLast(4)), !live.contains(id) else {
                continue
            }
            unlink("\(directory)/\(name)")
        }
    }

    private func makeDirectories() {
        var path = ""
        for part in directory.split(separator: "/", omittingEmptySubsequences: false) {
            path += path.isEmpty && part.isEmpty ? "/" : path.hasSuffix("/") || path.isEmpty ? part : "/\(part)"
            if path != "/" { mkdir(path, 0o700) }
        }
    }
}
