// How far a long piece of work is: counters that the engine adds to and that whoever shows them reads.

import Synchronization

/// Counters of one run. The engine adds to them from any thread without a lock; a renderer reads them now and then.
///
/// Values are read one by one: a reader may see the bytes of a chunk and not yet its file.
package final class Progress: Sendable {
    /// What is being done, in the order in which most verbs do it.
    package enum Phase: UInt8, Sendable, CaseIterable {
        case starting, loadingIndex, scanning, backingUp, planning, restoring, comparing, checking, collecting
        case repacking, deleting, copying, rebuilding, committing, replaying, validating, finished
    }

    /// A reading of all counters.
    package struct Values: Sendable, Hashable {
        package var phase = Phase.starting
        package var bytesDone: UInt64 = 0
        /// 0 while it is not known.
        package var bytesTotal: UInt64 = 0
        package var itemsDone: UInt64 = 0
        /// 0 while it is not known.
        package var itemsTotal: UInt64 = 0
        /// Plain bytes that the repository did not hold before.
        package var bytesNew: UInt64 = 0
        /// Bytes that were added to the repository.
        package var bytesStored: UInt64 = 0

        package init() {}
    }

    private let phase = Atomic<UInt8>(Phase.starting.rawValue)
    private let bytesDone = Atomic<UInt64>(0)
    private let bytesTotal = Atomic<UInt64>(0)
    private let itemsDone = Atomic<UInt64>(0)
    private let itemsTotal = Atomic<UInt64>(0)
    private let bytesNew = Atomic<UInt64>(0)
    private let bytesStored = Atomic<UInt64>(0)

    package init() {}

    /// Begins a phase: done counts start at nothing, and the totals are those given (0 when unknown).
    ///
    /// `bytesNew` and `bytesStored` are of the whole run and stay.
    package func enter(_ phase: Phase, bytesTotal: UInt64 = 0, itemsTotal: UInt64 = 0) {
        bytesDone.store(0, ordering: .relaxed)
        itemsDone.store(0, ordering: .relaxed)
        self.bytesTotal.store(bytesTotal, ordering: .relaxed)
        self.itemsTotal.store(itemsTotal, ordering: .relaxed)
        self.phase.store(phase.rawValue, ordering: .releasing)
    }

    package func add(bytes: Int) { bytesDone.wrappingAdd(UInt64(bytes), ordering: .relaxed) }
    package func add(items: Int) { itemsDone.wrappingAdd(UInt64(items), ordering: .relaxed) }
    package func add(bytesNew bytes: Int) { bytesNew.wrappingAdd(UInt64(bytes), ordering: .relaxed) }
    package func add(bytesStored bytes: Int) { bytesStored.wrappingAdd(UInt64(bytes), ordering: .relaxed) }

    /// Raises the totals, as a scan finds more.
    package func expect(bytes: UInt64 = 0, items: UInt64 = 0) {
        if bytes > 0 { bytesTotal.wrappingAdd(bytes, ordering: .relaxed) }
        if items > 0 { itemsTotal.wrappingAdd(items, ordering: .relaxed) }
    }

    package var values: Values {
        var values = Values()
        values.phase = Phase(rawValue: phase.load(ordering: .acquiring)) ?? .starting
        values.bytesDone = bytesDone.load(ordering: .relaxed)
        values.bytesTotal = bytesTotal.load(ordering: .relaxed)
        values.itemsDone = itemsDone.load(ordering: .relaxed)
        values.itemsTotal = itemsTotal.load(ordering: .relaxed)
        values.bytesNew = bytesNew.load(ordering: .relaxed)
        values.bytesStored = bytesStored.load(ordering: .relaxed)
        return values
    }
}
