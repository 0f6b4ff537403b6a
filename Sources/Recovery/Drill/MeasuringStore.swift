// When a store was first and last read from, so that fetching can be told from what is done with the bytes.

import ObjectStore
import Primitives
import Synchronization

/// Passes calls on and keeps the time of reads.
final class MeasuringStore: ObjectStore {
    /// Reads since the last reset.
    struct Reading: Sendable {
        var first: Duration?
        var last: Duration?
        var bytes: UInt64 = 0
    }

    private let base: any ObjectStore
    private let clock: any Clock
    private let state = Mutex(Reading())

    init(_ base: any ObjectStore, clock: any Clock) {
        self.base = base
        self.clock = clock
    }

    var reading: Reading { state.withLock { $0 } }
    func reset() { state.withLock { $0 = Reading() } }

    private func note(_ start: Duration, _ count: Int) {
        let now = clock.uptime()
        state.withLock { reading in
            reading.first = min(reading.first ?? start, start)
            reading.last = max(reading.last ?? now, now)
            reading.bytes += UInt64(count)
        }
    }

    var capabilities: StoreCapabilities { base.capabilities }
    var location: String { base.location }

    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let start = clock.uptime()
        let bytes = try base.get(key, limit: limit)
        note(start, bytes.count)
        return bytes
    }

    func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        let start = clock.uptime()
        try base.read(key, at: offset, into: buffer)
        note(start, buffer.count)
    }

    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) { try base.putIfAbsent(key, bytes) }
    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try base.info(key) }
    func list(_ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try base.list(prefix, visit)
    }
    func delete(_ key: ObjectKey) throws(HoldfastError) { try base.delete(key) }
    func time() throws(HoldfastError) -> Timestamp { try base.time() }
    func releaseReserve() throws(HoldfastError) { try base.releaseReserve() }
    func setAside(_ key: ObjectKey) throws(HoldfastError) { try base.setAside(key) }
}
