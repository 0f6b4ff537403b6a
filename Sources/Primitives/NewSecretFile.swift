// A file for a secret, taken before the secret is made.

import Glibc

/// A file that did not exist before, readable by its owner alone, and empty until it is filled.
///
/// Whoever makes a secret takes the file first, so that no secret is made that cannot be kept. Thread: one at a time.
package final class NewSecretFile {
    package let path: String
    private let file: Int32

    /// - Returns: nil when there is a file of that name already, which is left alone.
    /// - Throws: what open(2) says, such as `.accessDenied` or `.noSpace`.
    package init?(_ path: String) throws(HoldfastError) {
        let (file, number) = retryingInterrupts { open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600) }
        if file < 0, number == EEXIST { return nil }
        guard file >= 0 else { throw HoldfastError.systemCall("create", number, on: path) }
        self.path = path
        self.file = file
    }

    deinit { close(file) }

    /// Writes `bytes`; when that fails the file is taken away.
    ///
    /// - Durability: on return the bytes and the name are on stable storage.
    package func fill(_ bytes: SecretBytes) throws(HoldfastError) {
        do throws(HoldfastError) {
            try bytes.withBytes { (raw) throws(HoldfastError) in
                var start = 0
                while start < raw.count {
                    let (count, number) = retryingInterrupts {
                        write(file, raw.baseAddress.map { $0 + start }, raw.count - start)
                    }
                    guard count > 0 else {
                        throw HoldfastError.systemCall("write", count < 0 ? number : ENOSPC, on: path)
                    }
                    start += count
                }
            }
            guard fsync(file) == 0 else { throw HoldfastError.systemCall("fsync", errno, on: path) }
            try syncParent()
        } catch {
            discard()
            throw error
        }
    }

    /// Takes the file away again.
    package func discard() { unlink(path) }

    private func syncParent() throws(HoldfastError) {
        let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        try syncDirectory(parent)
    }
}
