// A clock that tests turn by hand while threads really wait on it.

import Primitives

/// Shows a time that tests turn by hand, and really sleeps: the threads of sessions wait on it and must not turn it.
package struct HandClock: Clock {
    private let hand: ManualClock
    private let system = SystemClock()

    package init(_ start: Timestamp = Timestamp(seconds: 1_767_225_600)) { hand = ManualClock(start) }

    package func now() -> Timestamp { hand.now() }
    package func uptime() -> Duration { hand.uptime() }
    package func sleep(for duration: Duration, unless cancellation: Cancellation) {
        system.sleep(for: duration, unless: cancellation)
    }
    package func advance(by duration: Duration) { hand.advance(by: duration) }
}
