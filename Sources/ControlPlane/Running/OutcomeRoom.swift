// Room on the disk for the end of a run, taken before its work.

import Glibc
import Primitives

/// A file beside the state that is empty and has its blocks, for as long as this lives or until it is filled.
///
/// It is locked by its process, so that whoever looks can tell what a dead one left.
package final class OutcomeRoom: Sendable {
    static let ending = ".room"
    /// Both outputs with every byte written as six, and as much for the rest.
    private static let size = 128 << 10
    private static let maximumTries = 1000

    private let path: String
    private let descriptor: Int32

    init(in directory: String) throws(HoldfastError) {
        for number in 0..<Self.maximumTries {
            let path = "\(directory)/\(getpid())-\(number)" + Self.ending
            let (file, failure) = retryingInterrupts {
                open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            }
            // Another namespace may have a process of this number.
            if file < 0, failure == EEXIST { continue }
            guard file >= 0 else { throw Self.failure("create", failure, path) }
            var status = stat()
            guard flock(file, LOCK_EX | LOCK_NB) == 0, fstat(file, &status) == 0, status.st_nlink > 0 else {
                // Somebody looked before it was locked, and took it away.
                close(file)
                continue
            }
            let refusal = Self.allocate(file)
            guard refusal == 0 else {
                unlink(path)
                close(file)
                throw Self.failure("take room for the end of a run in", refusal, path)
            }
            (self.path, descriptor) = (path, file)
            return
        }
        throw HoldfastError(
            .busy, "\(directory) is full of room that runs have taken", hint: "Look at it.", retry: .later)
    }

    /// Takes it away, unless it has got another name.
    deinit {
        unlink(path)
        close(descriptor)
    }

    /// Writes `bytes` and gives the file its name, which is not on stable storage then.
    func fill(_ bytes: [UInt8], as name: String) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            let (count, number) = retryingInterrupts {
                bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress.map { $0 + start }, $0.count - start, start) }
            }
            guard count > 0 else { throw Self.failure("write", count < 0 ? number : ENOSPC, path) }
            start += count
        }
        guard ftruncate(descriptor, bytes.count) == 0, fsync(descriptor) == 0, rename(path, name) == 0 else {
            throw Self.failure("write", errno, path)
        }
    }

    /// Takes a file away whose process is gone.
    static func clear(_ path: String) {
        let file = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
        guard file >= 0 else { return }
        if flock(file, LOCK_EX | LOCK_NB) == 0 { unlink(path) }
        close(file)
    }

    /// 0, or why the blocks cannot be had. A file system that cannot give them ahead gives none.
    private static func allocate(_ file: Int32) -> Int32 {
        while true {
            let number = posix_fallocate(file, 0, off_t(size))
            if number == EINTR { continue }
            return number == EOPNOTSUPP || number == EINVAL ? 0 : number
        }
    }

    private static func failure(_ call: String, _ number: Int32, _ path: String) -> HoldfastError {
        let failure = HoldfastError.systemCall(call, number, on: path)
        guard failure.code == .noSpace else { return failure }
        return HoldfastError(.noSpace, failure.message, hint: failure.hint, retry: .later)
    }
}
