// A queue with a named maximum between threads.

/// First in, first out; `push` waits while it is full, `pop` waits while it is empty.
package final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element?]
        var head = 0
        var count = 0
        var isClosed = false
    }

    private let monitor: Monitor<State>

    package init(capacity: Int) {
        precondition(capacity > 0, "a queue needs room")
        monitor = Monitor(State(elements: Array(repeating: nil, count: capacity)))
    }

    /// Adds an element, waiting for room; false when the queue was closed, and the element is dropped.
    @discardableResult
    package func push(_ element: Element) -> Bool {
        monitor.wait { state -> Bool? in
            if state.isClosed { return false }
            guard state.count < state.elements.count else { return nil }
            state.elements[(state.head + state.count) % state.elements.count] = element
            state.count += 1
            return true
        }
    }

    /// Takes the oldest element, waiting for one; nil once the queue is closed and empty.
    package func pop() -> Element? {
        monitor.wait { state -> Element?? in
            guard state.count > 0 else { return state.isClosed ? .some(nil) : nil }
            let element = state.elements[state.head]
            state.elements[state.head] = nil
            state.head = (state.head + 1) % state.elements.count
            state.count -= 1
            return .some(element)
        }
    }

    /// No more elements are taken in; what is queued can still be popped.
    package func close() { monitor.withLock { $0.isClosed = true } }
}
