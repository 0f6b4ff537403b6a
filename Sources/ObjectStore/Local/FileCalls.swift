// The seam between the local store and the kernel, so that tests can fail any single call.

import CLinux
import Glibc
import Primitives

/// What the store asks of a file's status.
package struct FileStatus: Sendable, Hashable {
    package enum Kind: Sendable, Hashable { case regular, directory, other }

    package var kind: Kind
    package var size: UInt64
    /// Bytes that the file system has set aside for the file.
    package var allocated: UInt64
    package var modified: Timestamp

    package init(kind: Kind, size: UInt64, allocated: UInt64, modified: Timestamp) {
        self.kind = kind
        self.size = size
        self.allocated = allocated
        self.modified = modified
    }
}

/// The system calls of the local store. Each returns what the kernel returns: a failure is the negative error number.
///
/// Names are relative to the directory descriptor and no symbolic link is followed on the way. Calls that a signal
/// interrupts are made again inside. A call is not split or repeated otherwise: `write` may write less than asked.
package typealias FileCalls = DescriptorCalls & DirectoryCalls

/// Calls on an open file or directory.
package protocol DescriptorCalls: Sendable {
    func close(_ descriptor: Int32) -> Int32
    func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int
    func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int
    func setMode(_ descriptor: Int32, _ mode: UInt32) -> Int32
    func sync(_ descriptor: Int32) -> Int32
    func allocate(_ descriptor: Int32, _ length: UInt64) -> Int32
    func status(_ descriptor: Int32) -> Result<FileStatus, SystemFailure>
    /// Bytes that are free to this user on the file system of the descriptor.
    func space(_ descriptor: Int32) -> Result<(free: UInt64, total: UInt64), SystemFailure>
}

/// Calls on names below an open directory.
package protocol DirectoryCalls: Sendable {
    func open(at directory: Int32, _ name: String, _ flags: Int32, mode: UInt32) -> Int32
    func status(at directory: Int32, _ name: String) -> Result<FileStatus, SystemFailure>
    func link(at directory: Int32, _ name: String, to newName: String) -> Int32
    func rename(_ directory: Int32, _ name: String, to newDirectory: Int32, _ newName: String, replacing: Bool) -> Int32
    func unlink(at directory: Int32, _ name: String) -> Int32
    func makeDirectory(at directory: Int32, _ name: String, mode: UInt32) -> Int32
    /// Removes an empty directory.
    func removeDirectory(at directory: Int32, _ name: String) -> Int32
    /// The names in the directory, without `.` and `..`.
    func names(in directory: Int32) -> Result<[String], SystemFailure>
}

/// The error number of a call that returns more than a number.
package struct SystemFailure: Error, Sendable, Hashable {
    package var errorNumber: Int32
    package init(_ errorNumber: Int32) { self.errorNumber = errorNumber }
}

/// The kernel's own calls.
package struct SystemFileCalls: FileCalls {
    /// What memory and length of a direct write are multiples of.
    private static let directUnit = 4096
    private static let leastDirect = 1 << 20

    package init() {}

    package func open(at directory: Int32, _ name: String, _ flags: Int32, mode: UInt32) -> Int32 {
        // openat2(2) asks for a new try when a rename races with its walk; the walk here is three parts long.
        for _ in 0..<16 {
            // Without O_NOFOLLOW, which would report a symbolic link to a directory as no directory.
            let descriptor = plain { holdfast_open_beneath(directory, name, flags, mode) }
            if descriptor == -EAGAIN { continue }
            // Kernels before 5.6 and some sandboxes lack the call: then only the last part is guarded.
            guard descriptor == -ENOSYS else { return descriptor }
            return plain { Glibc.openat(directory, name, flags | O_NOFOLLOW | O_CLOEXEC, mode_t(mode)) }
        }
        return -EAGAIN
    }

    // Not repeated after a signal: on Linux the descriptor is gone whatever close(2) returns.
    package func close(_ descriptor: Int32) -> Int32 {
        guard Glibc.close(descriptor) < 0 else { return 0 }
        let number = errno
        return number == EINTR ? 0 : -number
    }

    package func write(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        // A pack goes past the page cache, which belongs to the database that is being backed up: it is not read again
        // soon, and there is no copy to make and nothing left for the sync to write. The rest, and all where that
        // cannot be, goes the common way; so does what failed, for its error.
        let whole = bytes.count / Self.directUnit * Self.directUnit
        if whole >= Self.leastDirect, Int(bitPattern: bytes.baseAddress) % Self.directUnit == 0 {
            let written = plain { holdfast_write_direct(descriptor, bytes.baseAddress, whole) }
            if written > 0 { return written }
        }
        return plain { Glibc.write(descriptor, bytes.baseAddress, bytes.count) }
    }

    package func read(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) -> Int {
        guard let offset = off_t(exactly: offset) else { return 0 }
        return plain { pread(descriptor, buffer.baseAddress, buffer.count, offset) }
    }

    package func setMode(_ descriptor: Int32, _ mode: UInt32) -> Int32 { plain { fchmod(descriptor, mode) } }
    package func sync(_ descriptor: Int32) -> Int32 { plain { fsync(descriptor) } }

    package func allocate(_ descriptor: Int32, _ length: UInt64) -> Int32 {
        // Unlike the others this call returns the error number.
        for _ in 0..<1024 {
            let number = posix_fallocate(descriptor, 0, off_t(clamping: length))
            if number != EINTR { return -number }
        }
        return -EINTR
    }

    package func status(_ descriptor: Int32) -> Result<FileStatus, SystemFailure> {
        var status = stat()
        let result = plain { fstat(descriptor, &status) }
        return result < 0 ? .failure(SystemFailure(-result)) : .success(FileStatus(status))
    }

    package func status(at directory: Int32, _ name: String) -> Result<FileStatus, SystemFailure> {
        var status = stat()
        let result = plain { fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) }
        return result < 0 ? .failure(SystemFailure(-result)) : .success(FileStatus(status))
    }

    package func link(at directory: Int32, _ name: String, to newName: String) -> Int32 {
        plain { linkat(directory, name, directory, newName, 0) }
    }

    package func rename(
        _ directory: Int32, _ name: String, to newDirectory: Int32, _ newName: String, replacing: Bool
    ) -> Int32 {
        plain {
            replacing
                ? renameat(directory, name, newDirectory, newName)
                : holdfast_rename_no_replace(directory, name, newDirectory, newName)
        }
    }

    package func unlink(at directory: Int32, _ name: String) -> Int32 { plain { unlinkat(directory, name, 0) } }

    package func removeDirectory(at directory: Int32, _ name: String) -> Int32 {
        plain { unlinkat(directory, name, AT_REMOVEDIR) }
    }

    package func makeDirectory(at directory: Int32, _ name: String, mode: UInt32) -> Int32 {
        plain { mkdirat(directory, name, mode) }
    }

    package func names(in directory: Int32) -> Result<[String], SystemFailure> {
        // A descriptor of its own: the stream closes it and moves its position.
        let own = open(at: directory, ".", O_RDONLY | O_DIRECTORY, mode: 0)
        guard own >= 0 else { return .failure(SystemFailure(-own)) }
        guard let stream = fdopendir(own) else {
            let number = errno
            _ = close(own)
            return .failure(SystemFailure(number))
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                let number = errno
                return number == 0 ? .success(names) : .failure(SystemFailure(number))
            }
            // Bytes that are not UTF-8 become a replacement character, which no object's name holds.
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { raw in
                String(decoding: raw.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != "." && name != ".." { names.append(name) }
        }
    }

    package func space(_ descriptor: Int32) -> Result<(free: UInt64, total: UInt64), SystemFailure> {
        var status = statvfs()
        let result = plain { fstatvfs(descriptor, &status) }
        guard result >= 0 else { return .failure(SystemFailure(-result)) }
        func bytes(_ blocks: fsblkcnt_t) -> UInt64 {
            UInt64(blocks).multipliedReportingOverflow(by: UInt64(status.f_frsize)).partialValue
        }
        return .success((free: bytes(status.f_bavail), total: bytes(status.f_blocks)))
    }

    private func plain<R: SignedInteger & FixedWidthInteger>(_ call: () -> R) -> R {
        let (result, number) = retryingInterrupts(call)
        return result < 0 ? R(-number) : result
    }
}

extension FileStatus {
    fileprivate init(_ status: stat) {
        let kind: Kind =
            switch status.st_mode & S_IFMT {
            case S_IFREG: .regular
            case S_IFDIR: .directory
            default: .other
            }
        self.init(
            kind: kind, size: UInt64(clamping: status.st_size), allocated: UInt64(clamping: status.st_blocks) &* 512,
            modified: Timestamp(
                seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int64(status.st_mtim.tv_nsec)))
    }
}
