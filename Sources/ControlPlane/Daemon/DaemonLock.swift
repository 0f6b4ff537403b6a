// One daemon on one state.

import CLinux
import Glibc
import Primitives

/// Held for as long as this lives; the kernel lets go of it with the process, however that ends.
package final class DaemonLock: Sendable {
    package static let fileName = "daemon.lock"
    private let descriptor: Int32

    /// - Throws: `.busy` with who holds it, when another daemon runs on this state.
    package init(directory: String, host: String) throws(HoldfastError) {
        // All that can fail comes before the one assignment: an initializer that throws after it runs `deinit`, which
        // would close a second time what by then may be somebody else's.
        descriptor = try Self.take("\(directory)/\(Self.fileName)", directory, host)
    }

    deinit { close(descriptor) }

    /// The descriptor that holds the lock; closed again on every failure.
    private static func take(
        _ path: String, _ directory: String, _ host: String
    ) throws(HoldfastError) -> Int32 {
        let descriptor = holdfast_openat(AT_FDCWD, path, O_RDWR | O_CREAT, 0o600)
        guard descriptor >= 0 else { throw HoldfastError.systemCall("open", errno, on: path) }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            let number = errno
            let holder = (try? InputFile.read(path, limit: ByteCount(4096), waits: false))
                .map { String(decoding: $0, as: UTF8.self) }
            close(descriptor)
            guard number == EWOULDBLOCK else { throw HoldfastError.systemCall("lock", number, on: path) }
            throw HoldfastError(
                .busy, "another daemon runs on the state in \(directory): \(holder ?? "it says not which")",
                hint: "Stop it first, or give this one a state of its own with --state-dir.")
        }
        let text = Array("process \(getpid()) on \(host)".utf8)
        guard ftruncate(descriptor, 0) == 0, pwrite(descriptor, text, text.count, 0) == text.count else {
            let number = errno
            close(descriptor)
            throw HoldfastError.systemCall("write", number, on: path)
        }
        return descriptor
    }
}
