// A store that fails as it is told, for tests of everything above it.

import Primitives
import Synchronization

/// One of the protocol's methods, for scripts and counts.
package enum StoreMethod: String, Sendable, CaseIterable {
    case put, get, read, info, list, delete, time, releaseReserve, setAside
}

/// What goes wrong, for which calls, and how often.
package struct StoreFault: Sendable {
    /// What happens to a call that the fault is for; an effect that a method cannot have leaves the call alone.
    package enum Effect: Sendable {
        /// Throws without doing anything.
        case fail(HoldfastError)
        /// Does the work, then throws: the lost answer of a network store.
        case failAfterwards(HoldfastError)
        /// `get` and `read` see an object that ends after so many bytes.
        case truncate(to: UInt64)
        /// `get` and `read` see the bit flipped, counted from the object's first byte.
        case flipBit(UInt64)
        /// `put` stores the first so many bytes and reports success.
        case tear(keeping: Int)
        /// Sleeps on the store's clock, then goes on.
        case delay(Duration)
        /// `list` and `info` do not show the object, as on a store whose listings lag behind.
        case hide
        /// Runs before the work: what another process does at just this moment.
        case run(@Sendable () -> Void)
    }

    package var method: StoreMethod?
    package var prefix: String
    /// So many matching calls pass before the fault begins.
    package var skipping: Int
    /// So many calls are hit; nil for every one from then on.
    package var times: Int?
    package var effect: Effect

    /// - Parameter method: nil stands for every method.
    package init(
        _ effect: Effect, on method: StoreMethod? = nil, prefix: String = "", skipping: Int = 0, times: Int? = nil
    ) {
        self.method = method
        self.prefix = prefix
        self.skipping = skipping
        self.times = times
        self.effect = effect
    }

    /// Counts a matching call; true when the fault hits it.
    fileprivate mutating func strikes() -> Bool {
        if skipping > 0 {
            skipping -= 1
            return false
        }
        guard let left = times else { return true }
        times = max(0, left - 1)
        return left > 0
    }
}

/// Passes calls on to another store and applies a script of faults. The same calls in the same order fail the same way.
package final class FaultyStore: ObjectStore {
    private struct State {
        var faults: [StoreFault]
        var calls: [StoreMethod: Int] = [:]
    }

    private let base: any ObjectStore
    private let clock: any Clock
    private let state: Mutex<State>
    private let never = Cancellation()

    package init(_ base: any ObjectStore, clock: any Clock = SystemClock(), faults: [StoreFault] = []) {
        self.base = base
        self.clock = clock
        state = Mutex(State(faults: faults))
    }

    package var capabilities: StoreCapabilities { base.capabilities }
    package var location: String { base.location }

    /// Adds a fault to the end of the script.
    package func add(_ fault: StoreFault) { state.withLock { $0.faults.append(fault) } }

    /// From now on nothing fails.
    package func heal() { state.withLock { $0.faults = [] } }

    /// The calls of a method so far, failed ones included.
    package func count(_ method: StoreMethod) -> Int { state.withLock { $0.calls[method] ?? 0 } }

    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        let effects = try begin(.put, key.path)
        var kept = bytes.byteCount
        for case .tear(let count) in effects { kept = min(kept, max(0, count)) }
        try base.putIfAbsent(key, bytes.extracting(first: kept))
        try end(effects)
    }

    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        let effects = try begin(.get, key.path)
        var bytes = try base.get(key, limit: limit)
        for effect in effects {
            switch effect {
            case .truncate(let size): bytes.removeLast(max(0, bytes.count - Int(clamping: size)))
            case .flipBit(let bit):
                if let index = Int(exactly: bit / 8), index < bytes.count { bytes[index] ^= 1 << UInt8(bit % 8) }
            default: continue
            }
        }
        try end(effects)
        return bytes
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        let effects = try begin(.read, key.path)
        for case .truncate(let size) in effects where offset &+ UInt64(buffer.count) > size {
            throw HoldfastError(
                .corruptObject, "\(key) ends after \(size) bytes, \(offset &+ UInt64(buffer.count)) were due",
                hint: "Run `holdfast check --read-data`.")
        }
        try base.read(key, at: offset, into: buffer)
        for case .flipBit(let bit) in effects where bit / 8 >= offset {
            if let index = Int(exactly: bit / 8 - offset), index < buffer.count { buffer[index] ^= 1 << UInt8(bit % 8) }
        }
        try end(effects)
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? {
        let effects = try begin(.info, key.path)
        let info = try base.info(key)
        try end(effects)
        return hides(effects) ? nil : info
    }

    /// Faults that hide are matched with each object's name and used up by a listing that could show one; the others
    /// are matched with the prefix that is asked for.
    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let effects = try begin(.list, prefix)
        let hidden = state.withLock { state in
            state.faults.indices.compactMap { index -> String? in
                let fault = state.faults[index]
                guard hides([fault.effect]), fault.method == nil || fault.method == .list else { return nil }
                guard fault.prefix.hasPrefix(prefix) || prefix.hasPrefix(fault.prefix) else { return nil }
                return state.faults[index].strikes() ? fault.prefix : nil
            }
        }
        try base.list(prefix) { (info) throws(HoldfastError) in
            if !hidden.contains(where: { info.key.path.hasPrefix($0) }) { try visit(info) }
        }
        try end(effects)
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        let effects = try begin(.delete, key.path)
        try base.delete(key)
        try end(effects)
    }

    package func time() throws(HoldfastError) -> Timestamp {
        let effects = try begin(.time, "")
        let time = try base.time()
        try end(effects)
        return time
    }

    package func releaseReserve() throws(HoldfastError) {
        let effects = try begin(.releaseReserve, "")
        try base.releaseReserve()
        try end(effects)
    }

    package func setAside(_ key: ObjectKey) throws(HoldfastError) {
        let effects = try begin(.setAside, key.path)
        try base.setAside(key)
        try end(effects)
    }

    // MARK: - The script

    /// Counts the call, uses up the faults that it meets, and applies those that come before the work.
    private func begin(_ method: StoreMethod, _ name: String) throws(HoldfastError) -> [StoreFault.Effect] {
        let effects = state.withLock { state in
            state.calls[method, default: 0] += 1
            var effects: [StoreFault.Effect] = []
            for index in state.faults.indices {
                let fault = state.faults[index]
                guard fault.method == nil || fault.method == method, name.hasPrefix(fault.prefix) else { continue }
                if method == .list, hides([fault.effect]) { continue }
                if state.faults[index].strikes() { effects.append(fault.effect) }
            }
            return effects
        }
        for effect in effects {
            switch effect {
            case .delay(let duration): clock.sleep(for: duration, unless: never)
            case .run(let body): body()
            case .fail(let error): throw error
            default: continue
            }
        }
        return effects
    }

    private func end(_ effects: [StoreFault.Effect]) throws(HoldfastError) {
        for case .failAfterwards(let error) in effects { throw error }
    }

    private func hides(_ effects: [StoreFault.Effect]) -> Bool {
        effects.contains { effect in
            if case .hide = effect { true } else { false }
        }
    }
}
