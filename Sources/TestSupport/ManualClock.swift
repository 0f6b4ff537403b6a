// A clock that tests turn by hand.

import Primitives
import Synchronization

/// Starts where the test says and moves only when told, or by the length of a sleep.
package final class ManualClock: Clock {
    private let time: Mutex<Timestamp>

    package init(_ start: Timestamp = Timestamp(seconds: 1_767_225_600)) { time = Mutex(start) }

    package func now() -> Timestamp { time.withLock { $0 } }
    package func uptime() -> Duration { .nanoseconds(now().nanoseconds) }
    package func sleep(for duration: Duration, unless cancellation: Cancellation) { advance(by: duration) }
    package func advance(by duration: Duration) { time.withLock { $0 = $0 + duration } }
}
