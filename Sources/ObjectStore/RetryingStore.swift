// Passing faults of a store are waited out here, and nowhere else.

import Primitives

/// How often and how long a failed call is tried again.
package struct RetryPolicy: Sendable, Hashable {
    /// Tries in all, the first one included.
    package var attempts: Int
    /// The wait after the first failure; it doubles with each further one.
    package var firstDelay: Duration
    package var longestDelay: Duration

    package init(attempts: Int = 6, firstDelay: Duration = .milliseconds(200), longestDelay: Duration = .seconds(30)) {
        precondition(attempts > 0, "a call is made at least once")
        self.attempts = attempts
        self.firstDelay = firstDelay
        self.longestDelay = longestDelay
    }

    /// The wait before the next try, without its random part.
    package func delay(after failures: Int) -> Duration {
        var delay = firstDelay
        for _ in 1..<max(1, min(failures, 32)) where delay < longestDelay { delay = delay * 2 }
        return min(delay, longestDelay)
    }
}

/// Repeats calls that failed with `retry: .later` (after a wait) or `.now` (at once), within a policy's bound.
///
/// Every method of a store may be repeated safely. Cancellation: raised, it ends the wait and no further try is made.
package struct RetryingStore: ObjectStore {
    private let base: any ObjectStore
    private let policy: RetryPolicy
    private let clock: any Clock
    private let entropy: any Entropy
    private let cancellation: Cancellation

    package init(
        _ base: any ObjectStore, policy: RetryPolicy = RetryPolicy(), clock: any Clock = SystemClock(),
        entropy: any Entropy = SystemEntropy(), cancellation: Cancellation = Cancellation()
    ) {
        self.base = base
        self.policy = policy
        self.clock = clock
        self.entropy = entropy
        self.cancellation = cancellation
    }

    package var capabilities: StoreCapabilities { base.capabilities }
    package var location: String { base.location }

    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        // A span cannot enter a closure that is passed on, so this loop stands here once more.
        var failures = 0
        while true {
            do throws(HoldfastError) { return try base.putIfAbsent(key, bytes) } catch {
                failures += 1
                try pause(after: error, failures)
            }
        }
    }

    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        try retrying { () throws(HoldfastError) in try base.get(key, limit: limit) }
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        try retrying { () throws(HoldfastError) in try base.read(key, at: offset, into: buffer) }
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? {
        try retrying { () throws(HoldfastError) in try base.info(key) }
    }

    /// Gathers the whole listing first, about 150 bytes an object, so that a try after half a listing shows no object
    /// twice; failures of `visit` are its caller's and are not repeated.
    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let found = try retrying { () throws(HoldfastError) in
            var found: [ObjectInfo] = []
            try base.list(prefix) { (info) throws(HoldfastError) in found.append(info) }
            return found
        }
        for info in found { try visit(info) }
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        try retrying { () throws(HoldfastError) in try base.delete(key) }
    }

    package func time() throws(HoldfastError) -> Timestamp {
        try retrying { () throws(HoldfastError) in try base.time() }
    }

    package func releaseReserve() throws(HoldfastError) {
        try retrying { () throws(HoldfastError) in try base.releaseReserve() }
    }

    package func setAside(_ key: ObjectKey) throws(HoldfastError) {
        try retrying { () throws(HoldfastError) in try base.setAside(key) }
    }

    private func retrying<R>(_ call: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        var failures = 0
        while true {
            do throws(HoldfastError) { return try call() } catch {
                failures += 1
                try pause(after: error, failures)
            }
        }
    }

    /// Waits as the failure asks; throws it on when no further try is due.
    private func pause(after error: HoldfastError, _ failures: Int) throws(HoldfastError) {
        if error.retry == .never || cancellation.isRaised { throw error }
        guard failures < policy.attempts else { throw error.with("tries", failures) }
        guard error.retry == .later else { return }
        // Between half and all of the delay, so that clients that failed together do not come back together.
        let random = try entropy.bytes(2)
        let fraction = Int(random[0]) << 8 | Int(random[1])
        clock.sleep(for: policy.delay(after: failures) * (65_536 + fraction) / 131_072, unless: cancellation)
        if cancellation.isRaised { throw error }
    }
}
