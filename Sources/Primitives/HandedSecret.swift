// A secret for a child process that is neither in its arguments nor in its environment.

import CLinux
import Glibc

/// A file in memory with a secret, which processes of the same user can open by ``path`` as long as this lives.
package final class HandedSecret: Sendable {
    private let descriptor: Int32

    /// - Throws: `.processFailed` when the kernel has no room for it.
    package init(_ secret: SecretBytes) throws(HoldfastError) {
        descriptor = holdfast_memory_file()
        guard descriptor >= 0, fchmod(descriptor, 0o600) == 0 else {
            throw HoldfastError.systemCall("make", errno, on: "a file in memory", code: .processFailed)
        }
        let count = secret.withBytes { write(descriptor, $0.baseAddress, $0.count) }
        guard count == secret.count else {
            throw HoldfastError.systemCall("write", errno, on: "a file in memory", code: .processFailed)
        }
    }

    deinit { close(descriptor) }

    /// Through this process, so that no descriptor has to be inherited.
    package var path: String { "/proc/\(getpid())/fd/\(descriptor)" }
}
