// What a prune would do, as a value that is printed and then carried out; and what it did.

import Primitives

/// How a prune is bounded.
package struct PruneOptions: Sendable {
    /// Condemn and sweep at once, without the grace for readers that hold no lease; refused while a lease is open.
    package var isExclusive = false
    /// Share of the repository, in percent, that may lie unused in packs that are partly needed.
    package var maximumUnused = 5.0
    /// Bytes that may be copied out of packs that are partly needed.
    package var maximumRepack = ByteCount(UInt64.max)
    /// Time for repacking; nil for no end.
    package var maximumTime: Duration?

    package init() {}
}

/// A generation that is condemned and not swept yet.
package struct OpenGeneration: Sendable {
    package var number: UInt32
    package var packs: Int
    /// By the store's clock.
    package var condemned: Timestamp
    package var sweepableFrom: Timestamp
    /// Leases that neither honour it nor may be fenced yet.
    package var waitingFor: [OpenLease]
}

/// A pack that is partly needed.
package struct PartlyUsedPack: Sendable {
    package var id: PackID
    package var length: UInt64
    package var needed: UInt64
    package var unused: UInt64 { length > needed ? length - needed : 0 }
}

/// A prune before it is done.
package struct PrunePlan: Sendable {
    package var options: PruneOptions
    package var snapshots: Int
    package var packs: Int
    package var bytes: UInt64
    /// Packs that no snapshot needs and that no generation names yet.
    package var condemnable: [PackID: UInt64]
    /// Packs that no snapshot needs yet, whose lease is open: a backup under way.
    package var spared: Int
    /// Unneeded packs that are foreign or unreadable, and why they stay.
    package var foreign: [(pack: PackID, error: HoldfastError)]
    package var open: OpenGeneration?
    /// Packs that a sweep names and that are still there.
    package var doomed: [PackID: UInt64]
    /// Packs to copy the needed chunks out of, worst first.
    package var repack: [PartlyUsedPack]
    /// Bytes unused in packs that are partly needed, those of `repack` included.
    package var unused: UInt64
    var marking: Marking
    var state: IndexState

    package var condemnableBytes: UInt64 { condemnable.values.reduce(0, +) }
    package var doomedBytes: UInt64 { doomed.values.reduce(0, +) }
    package var repackBytes: UInt64 { repack.reduce(0) { $0 + $1.needed } }
}

/// A prune after it is done.
package struct PruneReport: Sendable {
    /// The generation that this prune condemned; nil when there was nothing to condemn or one was open.
    package var condemned: (generation: UInt32, packs: Int, bytes: UInt64)?
    /// The generation that waits for its grace or for leases.
    package var waiting: OpenGeneration?
    package var deletedPacks = 0
    package var deletedBytes: UInt64 = 0
    /// Packs that a sweep names and that the store refused to delete.
    package var refused: [PackID] = []
    package var fencedLeases = 0
    package var repackedPacks = 0
    package var repackedBytes: UInt64 = 0
    /// Packs that could not be copied out of, and why.
    package var damaged: [(pack: PackID, error: HoldfastError)] = []
    /// Runs of the index that were merged into fewer.
    package var mergedRuns = 0
}
