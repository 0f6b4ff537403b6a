// The process that carries out a run, as the store names it.

import CLinux
import FoundationEssentials
import Glibc
import Primitives
import Scheduling

/// Looks at holders of this host by their numbers; those of other hosts are left alone.
package enum HolderProcess {
    /// Whether the process is known not to be there any more.
    package static func isGone(_ holder: RunHolder, host: String) -> Bool {
        guard holder.host == host, holder.process > 0, holder.process != getpid() else { return false }
        return kill(holder.process, 0) != 0 && errno == ESRCH
    }

    /// Asks the process to end its run. Another program that has got the number since is left alone.
    ///
    /// - Returns: Whether it was asked.
    package static func stop(_ holder: RunHolder, host: String) -> Bool {
        guard holder.host == host, holder.process > 0, holder.process != getpid() else { return false }
        let handle = holdfast_process_handle(holder.process)
        guard handle >= 0 else { return false }
        defer { close(handle) }
        guard let own = program("self"), program("\(holder.process)") == own else { return false }
        return holdfast_signal_process(handle, SIGTERM) == 0
    }

    private static func program(_ process: String) -> String? {
        try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/exe")
    }
}
