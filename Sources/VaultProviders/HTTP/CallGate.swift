// How many calls go to a vault at once, and how many in a second.

import Primitives
import SecretVaults

/// Lets so many callers through at once, and so many in a second; the others wait on their own threads.
///
/// A wait ends since every call that is under way has a timeout. A burst is a quarter of a second's calls.
package final class CallGate: Sendable {
    private let free: Monitor<Int>
    /// A call counts as one byte of the budget.
    private let rate: ByteRateLimit?

    package init(concurrency: Int, callsPerSecond: Int?, clock: any Clock) {
        free = Monitor(max(concurrency, 1))
        rate = callsPerSecond.map { ByteRateLimit(ByteCount(UInt64(max($0, 1))), clock: clock) }
    }

    package func pass<R>(_ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        rate?.take(ByteCount(1))
        free.wait { count in
            guard count > 0 else { return Optional<Void>.none }
            count -= 1
            return ()
        }
        defer { free.withLock { $0 += 1 } }
        return try body()
    }
}
