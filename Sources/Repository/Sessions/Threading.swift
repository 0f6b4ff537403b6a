// Who does what a session has to do beside its caller: threads of its own, or the calling thread.

import Primitives
import Synchronization

/// Where a session puts its packs and renews its lease.
package enum Threading: Sendable {
    /// On threads of its own, which are joined when it closes.
    case own
    /// On the thread that calls: a pack is put where it is handed over, and a lease is renewed when whoever drives the
    /// clock calls ``DueWork/run(at:)``. A simulation needs this to be the same each time; nothing that ships sets it.
    case calling(DueWork)
}

/// Work that recurs, run by whoever drives the clock.
///
/// Thread: may be used from any thread; work runs on the thread that calls ``run(at:)``, without a lock held.
package final class DueWork: Sendable {
    private struct Item: Sendable {
        var number: UInt64
        var period: Duration
        var next: Duration
        var run: @Sendable () -> Void
    }

    private let state = Mutex<(items: [Item], last: UInt64)>(([], 0))

    package init() {}

    /// Has `run` called every `period`, for the first time a period after `now`; the number that ends it.
    func add(every period: Duration, from now: Duration, _ run: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.last += 1
            state.items.append(Item(number: state.last, period: period, next: now + period, run: run))
            return state.last
        }
    }

    func remove(_ number: UInt64) { state.withLock { $0.items.removeAll { $0.number == number } } }

    /// Whether something is due at `now`, on the clock's `uptime`.
    package func isDue(at now: Duration) -> Bool { state.withLock { $0.items.contains { $0.next <= now } } }

    /// Runs what is due, each once, however many periods went by.
    package func run(at now: Duration) {
        let due = state.withLock { state -> [@Sendable () -> Void] in
            var due: [@Sendable () -> Void] = []
            for place in state.items.indices where state.items[place].next <= now {
                state.items[place].next = now + state.items[place].period
                due.append(state.items[place].run)
            }
            return due
        }
        for run in due { run() }
    }
}

/// Renews a lease every five minutes.
final class LeaseRenewer: Sendable {
    private let clock: any Clock
    private let threading: Threading
    private let over = Cancellation()
    private let running = Mutex<(thread: JoinableThread?, number: UInt64?)>((nil, nil))

    init(_ environment: Environment) {
        clock = environment.clock
        threading = environment.threading
    }

    func start(_ renew: @escaping @Sendable () -> Void) {
        if case .calling(let work) = threading {
            let number = work.add(every: LeaseTimes.renewal, from: clock.uptime(), renew)
            running.withLock { $0.number = number }
            return
        }
        let clock = clock
        let over = over
        let started = JoinableThread {
            while true {
                clock.sleep(for: LeaseTimes.renewal, unless: over)
                if over.isRaised { return }
                renew()
            }
        }
        running.withLock { $0.thread = started }
    }

    func stop() {
        over.raise()
        let (thread, number) = running.withLock { running in
            defer { running = (nil, nil) }
            return running
        }
        if case .calling(let work) = threading, let number { work.remove(number) }
        thread?.join()
    }
}
