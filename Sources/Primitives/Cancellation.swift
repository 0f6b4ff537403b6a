// A request to stop that any thread can see.

import CLinux

/// Raised once, by a signal or by a sibling's failure; long work looks at it at every step.
package final class Cancellation: @unchecked Sendable {
    // Sendable: the word is read and written by atomic instructions alone, and lives as long as the object.
    private let flag: UnsafeMutablePointer<UInt32>

    package init() {
        flag = .allocate(capacity: 1)
        flag.initialize(to: 0)
    }

    deinit { flag.deallocate() }

    package var isRaised: Bool { holdfast_flag_is_raised(flag) != 0 }

    /// Wakes all who wait. Safe to call from a signal handler.
    package func raise() { holdfast_flag_raise(flag) }

    /// Blocks the calling thread until the cancellation is raised, for `duration` at most and perhaps for less.
    package func wait(for duration: Duration) {
        let (seconds, attoseconds) = min(duration, .seconds(3600)).components
        holdfast_flag_wait(flag, seconds * 1_000_000_000 + attoseconds / 1_000_000_000)
    }

    /// - Throws: ``HoldfastError`` with `.interrupted` once the cancellation is raised.
    package func check() throws(HoldfastError) {
        if isRaised {
            throw HoldfastError(.interrupted, "interrupted", hint: "Run the command again; finished work is reused.")
        }
    }
}
