// What passed through a store, for reports.

import Primitives
import Synchronization

/// Calls and bytes that succeeded.
package struct StoreTraffic: Sendable, Hashable {
    package var puts: UInt64 = 0
    package var written = ByteCount(UInt64(0))
    package var reads: UInt64 = 0
    package var read = ByteCount(UInt64(0))
    package var deletes: UInt64 = 0
    package init() {}
}

/// Passes calls on and counts the successful ones.
package final class CountingStore: ObjectStore {
    private let base: any ObjectStore
    private let counted = Mutex(StoreTraffic())

    package init(_ base: any ObjectStore) { self.base = base }

    package var traffic: StoreTraffic { counted.withLock { $0 } }
    package var capabilities: StoreCapabilities { base.capabilities }
    package var location: String { base.location }

    /// A put of an object that was there counts like any other: the store does not tell.
    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        try base.putIfAbsent(key, bytes)
        let count = ByteCount(bytes.byteCount)
        counted.withLock { traffic in
            traffic.puts += 1
            traffic.written += count
        }
    }

    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let bytes = try base.get(key, limit: limit)
        addRead(bytes.count)
        return bytes
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        try base.read(key, at: offset, into: buffer)
        addRead(buffer.count)
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        try base.delete(key)
        counted.withLock { $0.deletes += 1 }
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try base.info(key) }

    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try base.list(prefix, visit)
    }

    package func time() throws(HoldfastError) -> Timestamp { try base.time() }
    package func releaseReserve() throws(HoldfastError) { try base.releaseReserve() }
    package func setAside(_ key: ObjectKey) throws(HoldfastError) { try base.setAside(key) }

    private func addRead(_ count: Int) {
        counted.withLock { traffic in
            traffic.reads += 1
            traffic.read += ByteCount(count)
        }
    }
}
