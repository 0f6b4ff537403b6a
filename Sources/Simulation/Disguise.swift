// Mutations of the protocol, as a store or a partner that plays it wrongly: shipped code knows nothing of them.

import ObjectStore
import Primitives
import Repository

/// A way to break the collection protocol. The simulator must catch each.
package enum Mutation: String, Sendable, CaseIterable {
    /// The sweep goes by what the first mark saw.
    case noSecondMark = "no-second-mark"
    /// Whatever a generation condemned is deleted, not what its sweep names.
    case deletesBeyondSweep = "deletes-beyond-sweep"
    /// What leases say that they keep is not seen.
    case ignoresKeep = "ignores-keep"
    /// Lost writers are not fenced off.
    case noFence = "no-fence"
    /// Writers list gc/ before they put their lease.
    case listsBeforeLease = "lists-before-lease"
    /// Writers rely on whatever the index names.
    case trustsEntries = "trusts-entries"
    /// Writers look whether a pack is there, and not whether its bases' packs are.
    case trustsBases = "trusts-bases"

    /// Of two sweepers each deletes what its own sweep names.
    case twoSweepers = "two-sweepers"

    /// The step of a collection that writers wait for.
    var awaited: String? {
        switch self {
        case .ignoresKeep, .noFence: ".sweep"
        case .listsBeforeLease: ".done"
        default: nil
        }
    }

    /// Sees to the circumstances in which the mutation does harm.
    func sharpen(_ traits: inout StoreTraits) {
        traits.failures = 0
        traits.lostAnswers = 0
        traits.freezes = 0
        traits.crashes = 0
        traits.stickiness = 3000
    }
}

/// What stands between an actor and the store when a mutation is at work; passes everything on by itself.
class Disguise: @unchecked Sendable {
    // Sendable: as World.
    func put(_ key: ObjectKey, _ bytes: [UInt8]) throws(HoldfastError) -> [UInt8]? { bytes }
    func get(_ key: ObjectKey, _ bytes: [UInt8]) -> [UInt8] { bytes }
    func list(_ prefix: String, _ found: [ObjectInfo]) -> [ObjectInfo] { found }
    func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {}
}

/// A collector that makes no second mark: between a condemned generation and its sweep it sees no newer snapshots.
final class FirstMarkOnly: Disguise, @unchecked Sendable {
    private let world: World
    private var lastMark = Timestamp(nanoseconds: .max)
    init(_ world: World) { self.world = world }

    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard call == "put", let key = ObjectKey(name), ObjectNames.collection(key)?.kind == .condemned else { return }
        if world.object(key) == nil { world.truth.firstMarks[name] = lastMark }
        // Away between the first mark and the generation, so that a backup may come in between.
        store.scheduler.stand(store.actor, for: .seconds(3600 * world.dice.within(1...40)))
    }

    override func list(_ prefix: String, _ found: [ObjectInfo]) -> [ObjectInfo] {
        guard prefix == ObjectNames.snapshots else { return found }
        let steps = world.list(ObjectNames.collections).map(\.key.path)
        let open = steps.last { path in
            !path.hasSuffix(".sweep") && !path.hasSuffix(".done") && !steps.contains(path + ".sweep")
        }
        guard let open, let mark = world.truth.firstMarks[open] else {
            lastMark = world.now
            return found
        }
        return found.filter { $0.modified < mark }
    }
}

/// A collector whose tombstones never arrive.
final class Fenceless: Disguise, @unchecked Sendable {
    override func put(_ key: ObjectKey, _ bytes: [UInt8]) throws(HoldfastError) -> [UInt8]? {
        key.path.hasPrefix(ObjectNames.snapshots) && bytes.count > 8 && bytes[8] == ObjectKind.tombstone.rawValue
            ? nil : bytes
    }
}

/// A writer whose leases say nothing of what they keep.
final class Keepless: Disguise, @unchecked Sendable {
    var repository: Repository?

    override func put(_ key: ObjectKey, _ bytes: [UInt8]) throws(HoldfastError) -> [UInt8]? {
        guard key.path.hasPrefix(ObjectNames.leases), let repository else { return bytes }
        var lease = try LeaseObject(bytes, name: key.path)
        lease.kept = []
        return try lease.encoded(signer: repository.keyring.signing)
    }
}

/// A writer that goes by a listing of gc/ from before its lease was put.
final class EarlyLister: Disguise, @unchecked Sendable {
    private let world: World
    private var early: [ObjectInfo]?
    init(_ world: World) { self.world = world }

    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard call == "put", name.hasPrefix(ObjectNames.leases), name.hasSuffix("/0") else { return }
        early = world.list(ObjectNames.collections)
        // Away between the listing and the lease, for as long as it takes to do harm.
        store.scheduler.stand(store.actor, for: .seconds(4 * 86_400), orUntil: ".sweep")
    }

    override func list(_ prefix: String, _ found: [ObjectInfo]) -> [ObjectInfo] {
        guard prefix == ObjectNames.collections, let early else { return found }
        self.early = nil
        return early.filter { info in found.contains { $0.key == info.key } }
    }
}
