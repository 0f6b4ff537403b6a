// Keeping within a rate of bytes, for `--limit-read` and `--limit-write`.

import Primitives
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

/// Keeps the bytes read from and written to a store within rates.
///
/// The grain is a call: an object goes at full speed once its bytes are paid for, and the average holds.
package struct ThrottledStore: ObjectStore {
    private let base: any ObjectStore
    private let reading: ByteRateLimit?
    private let writing: ByteRateLimit?

    package init(_ base: any ObjectStore, reading: ByteRateLimit? = nil, writing: ByteRateLimit? = nil) {
        self.base = base
        self.reading = reading
        self.writing = writing
    }

    package var capabilities: StoreCapabilities { base.capabilities }
    package var location: String { base.location }

    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        writing?.take(ByteCount(bytes.byteCount))
        try base.putIfAbsent(key, bytes)
    }

    /// Pays after the read, since only then the size is known.
    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let bytes = try base.get(key, limit: limit)
        reading?.take(ByteCount(bytes.count))
        return bytes
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        reading?.take(ByteCount(buffer.count))
        try base.read(key, at: offset, into: buffer)
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try base.info(key) }

    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try base.list(prefix, visit)
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) { try base.delete(key) }
    package func time() throws(HoldfastError) -> Timestamp { try base.time() }
    package func releaseReserve() throws(HoldfastError) { try base.releaseReserve() }
    package func setAside(_ key: ObjectKey) throws(HoldfastError) { try base.setAside(key) }
}
