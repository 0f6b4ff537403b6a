// A store whose traffic keeps within rates.

import Primitives

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
