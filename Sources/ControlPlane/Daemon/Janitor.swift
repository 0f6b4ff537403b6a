// Clearing away what dead runs left, beside the loop: directories can be large and disks slow.

import Primitives

/// Does what it is asked for, one after the other, on a thread of its own. Nobody waits for it: what it has not done
/// when the process ends is left to the next that looks.
package final class Janitor: Sendable {
    /// What is asked for beyond it is done with the rest, or by the next daemon.
    private static let mostWaiting = 1000

    private struct State {
        var waiting: [String] = []
        var isOver = false
    }

    private let state = Monitor(State())

    /// - Parameter clear: Clears what a name stands for. It may block for long.
    package init(_ clear: @escaping @Sendable (String) -> Void) {
        let state = state
        let thread = JoinableThread {
            while let next = state.wait({ state -> String?? in
                if state.isOver { return .some(nil) }
                return state.waiting.isEmpty ? nil : .some(state.waiting.removeFirst())
            }) { clear(next) }
        }
        thread?.leave()
    }

    deinit { state.withLock { $0.isOver = true } }

    /// Has a name cleared, unless it waits already. Returns at once.
    package func clear(_ name: String) {
        state.withLock { state in
            guard state.waiting.count < Self.mostWaiting, !state.waiting.contains(name) else { return }
            state.waiting.append(name)
        }
    }
}
