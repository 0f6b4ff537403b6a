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
        guard let file = try NewSecretFile(path) else { return false }
        try file.fill(bytes)
        return true
    }

    private static func failure(_ call: String, _ number: Int32, _ path: String) -> HoldfastError {
        HoldfastError(
            .configuration, "\(call) \(path): \(describeErrno(number))",
            hint: "Check the path of the file, its owner and its mode.")
    }
}
