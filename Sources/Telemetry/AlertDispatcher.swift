// From alerts in the run store to those who are to know, apart from all that runs jobs.

import Logging
import Primitives
import Scheduling
import State
import Synchronization

/// A notifier with what it is for.
package struct AlertRoute: Sendable {
    package var notifier: any Notifier
    /// Less severe alerts are not told to it.
    package var severity: AlertRecord.Severity

    package init(_ notifier: any Notifier, from severity: AlertRecord.Severity) {
        self.notifier = notifier
        self.severity = severity
    }
}

/// Tells changes of alerts, each notifier by a thread of its own: one that is broken or hangs holds up no other.
///
/// An alert is told at least once to each notifier. What could not be told is tried again, also by the next process,
/// and that a notifier does not work is an alert of its own.
package final class AlertDispatcher: Sendable {
    private struct Wanted {
        var routes: [AlertRoute]
        var generation = 1
    }

    private static let interval = Duration.seconds(5)
    private static let glance = Duration.seconds(1)

    private let store: any AlertStore
    private let wanted: Mutex<Wanted>
    private let host: String
    private let clock: any Clock
    private let logger: Logger
    private let start: @Sendable (_ body: @escaping @Sendable () -> Void) -> JoinableThread?

    /// - Parameter start: Starts a thread; nil when the system has none to give now.
    package init(
        _ store: any AlertStore, _ routes: [AlertRoute], host: String, clock: any Clock, logger: Logger,
        start: @escaping @Sendable (_ body: @escaping @Sendable () -> Void) -> JoinableThread? = { JoinableThread($0) }
    ) {
        self.store = store
        wanted = Mutex(Wanted(routes: routes))
        self.host = host
        self.clock = clock
        self.logger = logger
        self.start = start
    }

    /// Other notifiers from now on. What is being told is told to its end. Returns at once.
    package func replace(_ routes: [AlertRoute]) {
        wanted.withLock { wanted in
            wanted.routes = routes
            wanted.generation += 1
        }
    }

    /// Tells until `stop`, on the calling thread and one for each notifier, and returns when all of them have ended.
    ///
    /// - Parameter abort: Calls off what is being told; it stays untold.
    package func run(until stop: Cancellation, abort: Cancellation) {
        var generation = 0
        var stopped = Cancellation()
        var threads: [JoinableThread] = []
        // Those that have no thread yet.
        var lacking: [AlertRoute] = []
        var (isSweeping, isToldOfLack) = (false, false)
        while !stop.isRaised {
            let wanted = wanted.withLock { $0 }
            if wanted.generation != generation {
                // The ones that this began with say nothing of those that are gone.
                isSweeping = generation > 0 || wanted.generation > 1
                generation = wanted.generation
                stopped.raise()
                for thread in threads { thread.join() }
                stopped = Cancellation()
                (threads, lacking) = ([], wanted.routes)
            }
            if isSweeping { isSweeping = !sweep() }
            let ours = stopped
            lacking.removeAll { route in
                let thread = thread(route, until: ours, abort: abort)
                if let thread { threads.append(thread) }
                return thread != nil
            }
            if !lacking.isEmpty, !isToldOfLack {
                let names = lacking.map(\.notifier.name).joined(separator: ", ")
                logger.error("no thread for notifiers; it is tried again", metadata: ["notifiers": "\(names)"])
            }
            isToldOfLack = !lacking.isEmpty
            clock.sleep(for: Self.glance, unless: stop)
        }
        stopped.raise()
        for thread in threads { thread.join() }
    }

    /// A thread that tells one notifier until `ours`.
    private func thread(_ route: AlertRoute, until ours: Cancellation, abort: Cancellation) -> JoinableThread? {
        let fresh = mail(route)
        return start { [interval = Self.interval, clock] in
            var mail = fresh
            while !ours.isRaised {
                mail.round(until: ours, abort: abort)
                clock.sleep(for: interval, unless: ours)
            }
        }
    }

    /// Says whether it was done.
    private func sweep() -> Bool {
        do throws(HoldfastError) {
            try resolveGone()
            return true
        } catch {
            logger.error("alerts of notifiers that are gone still fire", metadata: ["error": "\(error.message)"])
            return false
        }
    }

    /// Resolves the alerts of notifiers that there are no more: nobody else would.
    package func resolveGone() throws(HoldfastError) {
        let names = Set(wanted.withLock { $0.routes.map { AlertMail.key(of: $0.notifier.name) } })
        for alert in try store.alerts(all: false)
        where alert.key.hasPrefix(AlertMail.key(of: "")) && !names.contains(alert.key) {
            _ = try store.resolve(alert.key, at: clock.now())
        }
    }

    /// Tells what is to be told now, to all notifiers at once, and returns.
    ///
    /// - Parameter abort: Calls off what is being told; it stays untold.
    package func round(abort: Cancellation) {
        let routes = wanted.withLock { $0.routes }
        guard !routes.isEmpty else { return }
        withThreads(routes.count) { index in
            var mail = self.mail(routes[index])
            mail.round(until: abort, abort: abort)
        }
    }

    private func mail(_ route: AlertRoute) -> AlertMail {
        AlertMail(route, store, host: host, clock: clock, logger: logger)
    }
}
