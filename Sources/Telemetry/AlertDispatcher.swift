// From alerts in the run store to those who are to know, apart from all that runs jobs.

import Logging
import Primitives
import Scheduling
import State

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

/// Tells changes of alerts. What cannot be told is told no more, and becomes an alert of its own, so that a notifier
/// that
/// is broken does not hold up the others.
package struct AlertDispatcher: Sendable {
    private static let interval = Duration.seconds(5)

    private let store: any AlertStore
    private let routes: [AlertRoute]
    private let host: String
    private let clock: any Clock
    private let logger: Logger

    package init(
        _ store: any AlertStore, _ routes: [AlertRoute], host: String, clock: any Clock, logger: Logger
    ) {
        self.store = store
        self.routes = routes
        self.host = host
        self.clock = clock
        self.logger = logger
    }

    /// Tells until `stop`, on the calling thread.
    package func run(until stop: Cancellation) {
        while !stop.isRaised {
            round(until: stop)
            clock.sleep(for: Self.interval, unless: stop)
        }
    }

    /// Tells what is to be told now, and returns.
    package func round(until stop: Cancellation) {
        do throws(HoldfastError) {
            for alert in try store.untoldAlerts() {
                if stop.isRaised { return }
                for route in routes where alert.severity >= route.severity { try tell(alert, route.notifier) }
                try store.markTold(alert)
            }
        } catch {
            logger.error("alerts cannot be read", metadata: ["error": "\(error.message)"])
        }
    }

    private func tell(_ alert: AlertRecord, _ notifier: any Notifier) throws(HoldfastError) {
        let key = "notifier/\(notifier.name)"
        // That it does not work is not told to itself.
        guard alert.key != key else { return }
        do throws(HoldfastError) {
            try notifier.tell(AlertNote(alert, host: host))
        } catch {
            logger.error(
                "an alert was not told",
                metadata: ["alert": "\(alert.key)", "notifier": "\(notifier.name)", "error": "\(error.message)"])
            _ = try store.fire(
                key, .warning, "the notifier \(notifier.name) does not work: \(error.message)", at: clock.now())
            return
        }
        _ = try store.resolve(key, at: clock.now())
    }
}
