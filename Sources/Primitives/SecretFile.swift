// Files that hold a password or a key.

import CLinux
import Glibc

/// The beginning of a small file, read without a copy that outlives it.
package struct SecretFile: Sendable {
    package let bytes: SecretBytes
    /// There is more in the file than was asked for.
    package let isLonger: Bool
    package let isWorldReadable: Bool

    /// Reads at most `limit` bytes; a pipe will do.
    ///
    /// - Throws: `.configuration` when the file cannot be opened or read.
    package static func read(_ path: String, limit: Int) throws(HoldfastError) -> SecretFile {
        let (file, number) = retryingInterrupts { open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) }
        guard file >= 0 else { throw failure("open", number, path) }
        defer { close(file) }
        var status = stat()
        guard fstat(file, &status) == 0 else { throw failure("stat", errno, path) }
        let buffer = SecretBytes(count: limit + 1)
        let filled = try buffer.withMutableBytes { (raw) throws(HoldfastError) in
            var filled = 0
            while filled < raw.count {
                let rest = UnsafeMutableRawBufferPointer(rebasing: raw[filled...])
                let (count, number) = retryingInterrupts { Glibc.read(file, rest.baseAddress, rest.count) }
                guard count >= 0 else { throw failure("read", number, path) }
                if count == 0 { break }
                filled += count
            }
            return filled
        }
        let bytes = buffer.withBytes { raw in
            let own = UnsafeRawBufferPointer(rebasing: raw[..<min(filled, limit)])
            return SecretBytes(copying: RawSpan(_unsafeBytes: own))
        }
        let isOpen = status.st_mode & S_IFMT == S_IFREG && status.st_mode & S_IROTH != 0
        return SecretFile(bytes: bytes, isLonger: filled > limit, isWorldReadable: isOpen)
    }

    /// Makes a file with `bytes`, readable by its owner alone.
    ///
    /// - Durability: on return the bytes and the name are on stable storage.
    /// - Returns: false when there is a file of that name already, which is left alone.
    package static func create(_ path: String, _ bytes: SecretBytes) throws(HoldfastError) -> Bool {
        let (file, number) = retryingInterrupts { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
        if file < 0, number == EEXIST { return false }
        guard file >= 0 else { throw HoldfastError.systemCall("create", number, on: path) }
        defer { close(file) }
        do throws(HoldfastError) {
            try bytes.withBytes { (raw) throws(HoldfastError) in
                let (count, number) = retryingInterrupts { write(file, raw.baseAddress, raw.count) }
                guard count == raw.count else {
                    throw HoldfastError.systemCall("write", count < 0 ? number : ENOSPC, on: path)
                }
            }
            guard fsync(file) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: path) }
            try syncParent(of: path)
        } catch {
            unlink(path)
            throw error
        }
        return true
    }

    private static func syncParent(of path: String) throws(HoldfastError) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        let (directory, number) = retryingInterrupts { open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC) }
        guard directory >= 0 else { throw HoldfastError.systemCall("open", number, on: parent) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: parent) }
    }

    private static func failure(_ call: String, _ number: Int32, _ path: String) -> HoldfastError {
        HoldfastError(
            .configuration, "\(call) \(path): \(describeErrno(number))",
            hint: "Check the path of the file, its owner and its mode.")
    }
}
