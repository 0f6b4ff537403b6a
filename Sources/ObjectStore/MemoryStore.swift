// A store in memory, for tests and for the simulation.

import Primitives
import Synchronization

/// Objects in a dictionary behind a lock; times come from the clock given.
package final class MemoryStore: ObjectStore {
    private struct Object {
        var bytes: [UInt8]
        var modified: Timestamp
    }

    package let capabilities: StoreCapabilities
    package let location: String
    private let clock: any Clock
    private let capacity: ByteCount
    private let objects = Mutex<[ObjectKey: Object]>([:])
    private let aside = Mutex<[(key: ObjectKey, bytes: [UInt8])]>([])

    /// - Parameter capacity: puts that would hold more bytes than this in all throw `.noSpace`.
    package init(
        clock: any Clock = SystemClock(), location: String = "memory:", capacity: ByteCount = ByteCount(UInt64.max),
        capabilities: StoreCapabilities = StoreCapabilities(
            createsIfAbsent: true, concurrency: 4, coalescingGap: .kibi(64))
    ) {
        self.clock = clock
        self.location = location
        self.capacity = capacity
        self.capabilities = capabilities
    }

    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        let copy = bytes.withUnsafeBytes { [UInt8]($0) }
        let now = clock.now()
        try objects.withLock { (objects) throws(HoldfastError) in
            if let there = objects[key] {
                if there.bytes == copy { return }
                throw HoldfastError(.objectExists, "\(key) is taken by other bytes", hint: "Run `holdfast check`.")
            }
            let used = objects.values.reduce(UInt64(0)) { $0 + UInt64($1.bytes.count) }
            if capacity.bytes < UInt64.max, used + UInt64(copy.count) > capacity.bytes {
                throw HoldfastError(.noSpace, "\(location) is full", hint: "Run `holdfast prune --exclusive`.")
            }
            objects[key] = Object(bytes: copy, modified: now)
        }
    }

    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let bytes = try object(key).bytes
        guard UInt64(bytes.count) <= limit.bytes else {
            throw HoldfastError(
                .limitExceeded, "\(key) has \(ByteCount(bytes.count)), more than the \(limit) that it may have",
                hint: "Run `holdfast check`: the object may be foreign.")
        }
        return bytes
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        let bytes = try object(key).bytes
        if buffer.isEmpty { return }
        guard offset <= UInt64(bytes.count), UInt64(buffer.count) <= UInt64(bytes.count) - offset else {
            throw HoldfastError(
                .corruptObject, "\(key) ends after \(bytes.count) bytes, \(buffer.count) from \(offset) were due",
                hint: "Run `holdfast check --read-data` to see what depends on it.")
        }
        buffer.copyBytes(from: bytes[Int(offset)..<Int(offset) + buffer.count])
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? {
        objects.withLock { objects in
            objects[key].map { ObjectInfo(key: key, size: UInt64($0.bytes.count), modified: $0.modified) }
        }
    }

    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let found = objects.withLock { objects in
            objects.filter { $0.key.path.hasPrefix(prefix) }
                .map { ObjectInfo(key: $0.key, size: UInt64($0.value.bytes.count), modified: $0.value.modified) }
        }
        // Sorted, so that a run under the simulation is the same each time.
        for info in found.sorted(by: { $0.key < $1.key }) { try visit(info) }
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        objects.withLock { _ = $0.removeValue(forKey: key) }
    }

    package func time() throws(HoldfastError) -> Timestamp { clock.now() }
    package func releaseReserve() throws(HoldfastError) {}

    package func setAside(_ key: ObjectKey) throws(HoldfastError) {
        guard let object = objects.withLock({ $0.removeValue(forKey: key) }) else { return }
        aside.withLock { $0.append((key, object.bytes)) }
    }

    // MARK: - For tests

    /// Changes the bytes of an object in place, as rot or an attacker would; false when it is not there.
    @discardableResult
    package func damage(_ key: ObjectKey, _ change: (inout [UInt8]) -> Void) -> Bool {
        objects.withLock { objects in
            guard objects[key] != nil else { return false }
            change(&objects[key, default: Object(bytes: [], modified: Timestamp(nanoseconds: 0))].bytes)
            return true
        }
    }

    /// The objects that were set aside, oldest first.
    package var objectsSetAside: [(key: ObjectKey, bytes: [UInt8])] { aside.withLock { $0 } }

    private func object(_ key: ObjectKey) throws(HoldfastError) -> Object {
        guard let object = objects.withLock({ $0[key] }) else {
            throw HoldfastError(
                .objectMissing, "\(key) is not in the store", hint: "Run `holdfast check` to see what depends on it.")
        }
        return object
    }
}
