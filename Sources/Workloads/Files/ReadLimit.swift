// Keeps reads gentle on a busy host.

import Primitives
import Synchronization

/// A ceiling on bytes read per second, shared by all threads that read one source.
package final class ReadLimit: Sendable {
    private let bytesPerSecond: UInt64
    private let clock: any Clock
    private let cancellation: Cancellation
    /// The uptime at which everything granted so far has been paid for.
    private let paidUntil = Mutex<Duration>(.zero)

    package init(perSecond: ByteCount, clock: any Clock, cancellation: Cancellation) {
        precondition(perSecond.bytes > 0, "a limit of nothing reads nothing")
        bytesPerSecond = perSecond.bytes
        self.clock = clock
        self.cancellation = cancellation
    }

    /// Blocks until `count` more bytes may be read. Returns early when the cancellation is raised.
    package func take(_ count: Int) {
        let cost = Duration.nanoseconds(Int64(Double(count) / Double(bytesPerSecond) * 1e9))
        let now = clock.uptime()
        let wait = paidUntil.withLock { paid -> Duration in
            // Up to a tenth of a second of unused allowance is kept, so that short stalls cost no rate.
            let start = max(paid, now - .milliseconds(100))
            paid = start + cost
            return paid - now
        }
        if wait > .zero { clock.sleep(for: wait, unless: cancellation) }
    }
}
