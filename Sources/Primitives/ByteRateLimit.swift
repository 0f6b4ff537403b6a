// Keeping within a rate of bytes, for `--limit-read` and `--limit-write`.

import Synchronization

/// A budget of bytes a second that several threads draw on (a token bucket, kept as the instant when it is full again).
package final class ByteRateLimit: Sendable {
    package let bytesPerSecond: ByteCount
    private let burst: Duration
    private let clock: any Clock
    private let cancellation: Cancellation
    /// On the clock's uptime: everything taken so far is paid for at this instant.
    private let paidUntil: Mutex<Duration>

    /// - Parameter burst: unused budget older than this is lost.
    package init(
        _ bytesPerSecond: ByteCount, burst: Duration = .milliseconds(250), clock: any Clock = SystemClock(),
        cancellation: Cancellation = Cancellation()
    ) {
        precondition(bytesPerSecond.bytes > 0, "a rate of nothing would never end")
        self.bytesPerSecond = bytesPerSecond
        self.burst = burst
        self.clock = clock
        self.cancellation = cancellation
        paidUntil = Mutex(clock.uptime() - burst)
    }

    /// Takes `count` bytes from the budget and blocks until they are paid for, or the cancellation is raised.
    package func take(_ count: ByteCount) {
        let now = clock.uptime()
        let end = paidUntil.withLock { paid in
            paid = max(paid, now - burst) + cost(count)
            return paid
        }
        if end > now { clock.sleep(for: end - now, unless: cancellation) }
    }

    private func cost(_ count: ByteCount) -> Duration {
        let (seconds, rest) = count.bytes.quotientAndRemainder(dividingBy: bytesPerSecond.bytes)
        let nanoseconds = Double(rest) / Double(bytesPerSecond.bytes) * 1e9
        return .seconds(Int64(clamping: seconds)) + .nanoseconds(Int64(nanoseconds))
    }
}
