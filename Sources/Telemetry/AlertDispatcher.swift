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

    package init(
        _ store: any AlertStore, _ routes: [AlertRoute], host: String, clock: any Clock, logger: Logger
    ) {
        self.store = store
        wanted = Mutex(Wanted(routes: routes))
        self.host = host
        self.clock = clock
        self.logger = logger
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
        while !stop.isRaised {
            let wanted = wanted.withLock { $0 }
            if wanted.generation != generation {
                generation = wanted.generation
                stopped.raise()
                for thread in threads { thread.join() }
                let ours = Cancellation()
                stopped = ours
                threads = wanted.routes.compactMap { route in
                    let fresh = mail(route)
                    let thread = JoinableThread { [interval = Self.interval, clock] in
                        var mail = fresh
                        while !ours.isRaised {
                            mail.round(until: ours, abort: abort)
                            clock.sleep(for: interval, unless: ours)
                        }
                    }
                    if thread == nil {
                        logger.error("no thread for a notifier", metadata: ["notifier": "\(route.notifier.name)"])
                    }
                    return thread
                }
            }
            clock.sleep(for: Self.glance, unless: stop)
        }
        stopped.raise()
        for thread in threads { thread.join() }
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
