// The one protocol between the engine and whatever holds its objects.

import Primitives

/// What a store can do; the engine asks instead of guessing from the type.
package struct StoreCapabilities: Sendable, Hashable {
    /// A put fails when the name is taken, whoever else puts at the same moment.
    package var createsIfAbsent: Bool
    /// The most useful number of reads or puts under way at once.
    package var concurrency: Int
    /// Two reads with a smaller gap than this are better done as one.
    package var coalescingGap: ByteCount

    package init(createsIfAbsent: Bool, concurrency: Int, coalescingGap: ByteCount) {
        self.createsIfAbsent = createsIfAbsent
        self.concurrency = concurrency
        self.coalescingGap = coalescingGap
    }
}

/// An object as a listing shows it.
package struct ObjectInfo: Sendable, Hashable {
    package var key: ObjectKey
    package var size: UInt64
    /// When the store says that the object was put. Never compared with a local clock: see ``ObjectStore/time()``.
    package var modified: Timestamp

    package init(key: ObjectKey, size: UInt64, modified: Timestamp) {
        self.key = key
        self.size = size
        self.modified = modified
    }
}

/// What a store offers beside its objects: its clock, its spare room, and a place for damaged objects.
package protocol StoreUpkeep: Sendable {
    /// The store's own time, on the clock that ``ObjectInfo/modified`` is read from.
    func time() throws(HoldfastError) -> Timestamp

    /// Gives back the space that is kept so that objects can be removed when the store is full; refilled at the next
    /// chance. Does nothing on a store that needs none.
    func releaseReserve() throws(HoldfastError)

    /// Takes a damaged object out of the namespace, so that a good one can be put at `key`; success when none is there.
    ///
    /// A store that can keep the damaged bytes for inspection does so; the others delete.
    /// - Throws: as ``delete(_:)``.
    func setAside(_ key: ObjectKey) throws(HoldfastError)
}

/// Write-once objects under names. Implementations pass the suite in Tests/Conformance.
///
/// Thread: every method may be called from any thread, at the same time. Calls block; none runs on the cooperative
/// pool. Cancellation: a call under way completes; callers look at their `Cancellation` between calls.
package protocol ObjectStore: StoreUpkeep {
    var capabilities: StoreCapabilities { get }

    /// Where the store is, for messages; holds no credential.
    var location: String { get }

    /// Puts `bytes` at `key` if nothing is there.
    ///
    /// - Durability: on return the bytes and the name are on stable storage.
    /// - Retry: safe; the same bytes twice is success, other bytes throw `.objectExists`.
    /// - Throws: `.noSpace`, `.accessDenied`, or `.storeUnavailable` with `retry: .later`.
    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError)

    /// Reads the whole object.
    ///
    /// - Throws: `.objectMissing`; `.limitExceeded` when it is larger than `limit`, before memory is taken for it.
    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8]

    /// Fills `buffer` with the object's bytes from `offset`.
    ///
    /// - Throws: `.objectMissing`; `.corruptObject` when the object ends before the buffer is full.
    func read(_ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError)

    /// The object's size and time, or nil when it is not there.
    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo?

    /// Every object whose name begins with `prefix` (whole path parts as in `packs/`, or empty for all), in any order.
    ///
    /// Unfinished puts and names that are no ``ObjectKey`` are not shown.
    func list(_ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void) throws(HoldfastError)

    /// Removes the object; success when it is not there. Durable on return.
    ///
    /// - Throws: `.accessDenied` when the store refuses, as one with object lock does.
    func delete(_ key: ObjectKey) throws(HoldfastError)
}

extension StoreUpkeep where Self: ObjectStore {
    package func setAside(_ key: ObjectKey) throws(HoldfastError) { try delete(key) }
}
