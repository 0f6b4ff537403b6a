// Where a dump goes: standard output, or a file that appears when it is whole.

import Glibc
import Primitives

/// Writes bytes in order.
///
/// A file is written under a temporary name beside it and renamed by ``finish()``; without that call it is removed.
/// Thread: one at a time.
final class DumpSink {
    private let descriptor: Int32
    private let path: String?
    private let temporary: String
    private var isFinished = false

    /// - Parameter path: The file, or nil for standard output.
    init(path: String?) throws(HoldfastError) {
        self.path = path
        temporary = (path ?? "") + ".\(getpid()).part"
        guard path != nil else {
            descriptor = 1
            return
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw HoldfastError.systemCall("create", errno, on: temporary, code: .targetFailed)
        }
    }

    deinit {
        guard path != nil else { return }
        close(descriptor)
        if !isFinished { unlink(temporary) }
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        var start = 0
        while start < bytes.count {
            let (count, number) = retryingInterrupts {
                Glibc.write(descriptor, bytes.baseAddress.map { $0 + start }, bytes.count - start)
            }
            guard count > 0 else {
                throw HoldfastError.systemCall(
                    "write", count == 0 ? EIO : number, on: path == nil ? "standard output" : temporary,
                    code: .targetFailed)
            }
            start += count
        }
    }

    /// - Durability: on return the file is on stable storage under its name.
    func finish() throws(HoldfastError) {
        guard let path else { return }
        guard fsync(descriptor) == 0 else { throw HoldfastError.systemCall("sync", errno, on: temporary) }
        guard rename(temporary, path) == 0 else {
            throw HoldfastError.systemCall("rename", errno, on: temporary, code: .targetFailed)
        }
        isFinished = true
        // The name is durable once its directory is.
        let parent = String(path[..<(path.lastIndex(of: "/") ?? path.startIndex)]) + "/"
        let directory = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard directory >= 0 else { throw HoldfastError.systemCall("open", errno, on: parent) }
        defer { close(directory) }
        guard fsync(directory) == 0 else { throw HoldfastError.systemCall("sync", errno, on: parent) }
    }
}
