// SIGINT and SIGTERM as a cancellation. Only the program installs this; engines and tests pass cancellations of their own.

import CLinux
import Glibc
import Synchronization

/// The signals that ask this process to stop.
package enum Signals {
    private static let cancellation = Cancellation()
    private static let interrupts = Atomic<Int>(0)

    /// Makes SIGINT and SIGTERM raise the result, and ignores SIGPIPE. A second SIGINT ends the process with 130 at once.
    ///
    /// What the handler touches is made here, before it can run, and is only atomics: it is safe in a signal handler.
    package static func install() -> Cancellation {
        interrupts.store(0, ordering: .releasing)
        let cancellation = cancellation
        _ = holdfast_catch_signal(SIGINT) { _ in
            if Signals.interrupts.wrappingAdd(1, ordering: .acquiringAndReleasing).oldValue > 0 { _exit(130) }
            Signals.cancellation.raise()
        }
        _ = holdfast_catch_signal(SIGTERM) { _ in Signals.cancellation.raise() }
        holdfast_ignore_signal(SIGPIPE)
        return cancellation
    }
}
