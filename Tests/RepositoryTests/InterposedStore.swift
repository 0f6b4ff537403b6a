// A store at which a test steps in between two calls of whoever uses it.

import ObjectStore
import Primitives

/// Passes calls on, and runs the test's deed once, just before the first put or list that the test chose.
final class InterposedStore: ObjectStore, @unchecked Sendable {
    // Sendable: deeds stand behind the monitor and run on the test's own thread.
    enum Call: Hashable { case put(String), list(String), delete(String) }

    private let base: any ObjectStore
    private let deeds = Monitor<[(call: Call, deed: () -> Void)]>([])

    init(_ base: any ObjectStore) { self.base = base }

    /// Runs `deed` before the next call on a name that begins as `call` says.
    func before(_ call: Call, _ deed: @escaping () -> Void) { deeds.withLock { $0.append((call, deed)) } }

    /// From the next write after so many on, every call fails.
    var writesLeft: Int? {
        get { limit.withLock { $0 } }
        set { limit.withLock { $0 = newValue } }
    }
    private let limit = Monitor<Int?>(nil)

    private func check(isWrite: Bool) throws(HoldfastError) {
        let isDead = limit.withLock { left -> Bool in
            guard let count = left, count >= 0 else { return left != nil }
            if isWrite { left = count - 1 }
            return isWrite && count == 0
        }
        if isDead { throw HoldfastError(.storeUnavailable, "the power went", hint: "Wait.", retry: .later) }
    }

    private func step(_ matches: (Call) -> Bool) {
        let deed = deeds.withLock { deeds -> (() -> Void)? in
            guard let place = deeds.firstIndex(where: { matches($0.call) }) else { return nil }
            return deeds.remove(at: place).deed
        }
        deed?()
    }

    var capabilities: StoreCapabilities { base.capabilities }
    var location: String { base.location }

    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        try check(isWrite: true)
        step { if case .put(let prefix) = $0 { key.path.hasPrefix(prefix) } else { false } }
        try base.putIfAbsent(key, bytes)
    }

    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        try check(isWrite: false)
        return try base.get(key, limit: limit)
    }

    func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) { try base.read(key, at: offset, into: buffer) }

    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try base.info(key) }

    func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try check(isWrite: false)
        step { if case .list(let wanted) = $0 { prefix.hasPrefix(wanted) } else { false } }
        try base.list(prefix, visit)
    }

    func delete(_ key: ObjectKey) throws(HoldfastError) {
        try check(isWrite: true)
        step { if case .delete(let prefix) = $0 { key.path.hasPrefix(prefix) } else { false } }
        try base.delete(key)
    }

    func time() throws(HoldfastError) -> Timestamp { try base.time() }
    func releaseReserve() throws(HoldfastError) { try base.releaseReserve() }
}
