// A request to stop that any thread can see.

import Synchronization

/// Raised once, by a signal or by a sibling's failure; long work looks at it at every step.
package final class Cancellation: Sendable {
    private let raised = Atomic<Bool>(false)

    package init() {}

    package var isRaised: Bool { raised.load(ordering: .acquiring) }

    /// Safe to call from a signal handler.
    package func raise() { raised.store(true, ordering: .releasing) }

    /// - Throws: ``HoldfastError`` with `.interrupted` once the cancellation is raised.
    package func check() throws(HoldfastError) {
        if isRaised {
            throw HoldfastError(.interrupted, "interrupted", hint: "Run the command again; finished work is reused.")
        }
    }
}
