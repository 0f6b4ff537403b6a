// Blocking work runs on threads of its own, joined before the caller returns: the cooperative pool never waits for a
// disk.

import CLinux
import Glibc
import Synchronization

/// Runs `body` on `count` threads at once and returns when all have returned.
///
/// `body` must not throw; it hands failures over through state of its own. The index tells the threads apart.
package func withThreads(_ count: Int, _ body: @escaping @Sendable (_ index: Int) -> Void) {
    precondition(count > 0, "at least one thread is needed")
    let threads = (1..<count).map { index in JoinableThread { body(index) } }
    body(0)
    for (offset, thread) in threads.enumerated() {
        // A thread that the system could not start is made up for here: a shortage costs time, not work.
        if let thread { thread.join() } else { body(offset + 1) }
    }
}

/// Runs two pieces of work at once and returns when both have returned.
///
/// - Throws: what the first throws, else what the second does. Neither ends because the other failed.
package func atOnce<First: Sendable, Second: Sendable>(
    _ first: @escaping @Sendable () throws(HoldfastError) -> First,
    _ second: @escaping @Sendable () throws(HoldfastError) -> Second
) throws(HoldfastError) -> (First, Second) {
    let results = Mutex<(first: Result<First, HoldfastError>?, second: Result<Second, HoldfastError>?)>((nil, nil))
    withThreads(2) { index in
        if index == 0 {
            let result = Result { () throws(HoldfastError) in try first() }
            results.withLock { $0.first = result }
        } else {
            let result = Result { () throws(HoldfastError) in try second() }
            results.withLock { $0.second = result }
        }
    }
    let (one, other) = results.withLock { ($0.first, $0.second) }
    guard let one, let other else { preconditionFailure("both have returned") }
    return (try one.get(), try other.get())
}

/// One thread that must be joined, or left to itself.
package final class JoinableThread: @unchecked Sendable {
    // Sendable: `handle` is written once in init, and `join` is called by the owner alone.
    private var handle = pthread_t()
    private var isJoined = false

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a thread; nil when the system has none to give.
    package init?(_ run: @escaping @Sendable () -> Void) {
        let body = Unmanaged.passRetained(Body(run))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setstacksize(&attributes, 1 << 20)
        let status = pthread_create(
            &handle, &attributes,
            { pointer in
                if let pointer { Unmanaged<Body>.fromOpaque(pointer).takeRetainedValue().run() }
                return nil
            }, body.toOpaque())
        if status != 0 {
            body.release()
            return nil
        }
    }

    package func join() {
        precondition(!isJoined, "a thread is joined or left once")
        isJoined = true
        pthread_join(handle, nil)
    }

    /// Waits no more for a call into a library that cannot be told to end. The thread goes when that returns.
    package func leave() {
        precondition(!isJoined, "a thread is joined or left once")
        isJoined = true
        pthread_detach(handle)
    }
}

/// A mutex with a condition, for queues between threads.
package final class Monitor<State>: @unchecked Sendable {
    // Sendable: `state` is touched only inside `withLock` and `wait`, under the mutex.
    private let mutex: UnsafeMutablePointer<pthread_mutex_t>
    private let condition: UnsafeMutablePointer<pthread_cond_t>
    private var state: State

    package init(_ state: sending State) {
        self.state = state
        mutex = .allocate(capacity: 1)
        mutex.initialize(to: pthread_mutex_t())
        pthread_mutex_init(mutex, nil)
        condition = .allocate(capacity: 1)
        condition.initialize(to: pthread_cond_t())
        pthread_cond_init(condition, nil)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// Runs `body` under the lock and wakes every waiter after it.
    package func withLock<R, E: Error>(_ body: (inout State) throws(E) -> R) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        return try body(&state)
    }

    /// Runs `body` under the lock again and again, waiting for a change in between, until it returns a value.
    package func wait<R, E: Error>(_ body: (inout State) throws(E) -> R?) throws(E) -> R {
        pthread_mutex_lock(mutex)
        defer {
            pthread_cond_broadcast(condition)
            pthread_mutex_unlock(mutex)
        }
        while true {
            if let result = try body(&state) { return result }
            pthread_cond_wait(condition, mutex)
        }
    }
}
