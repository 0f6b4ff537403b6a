// Garbage collection without locks: condemn, wait until every open work has honoured it, sweep.

import Logging
import ObjectStore
import Primitives
import Sealing

/// Runs the steps of a prune. Any number of collectors and writers may run beside it.
///
/// The order of every step is the protocol; see "Garbage collection" in docs/format.md. A step that fails leaves the
/// store so that the next prune goes on from there, and no step deletes what the `.sweep` of a generation does not
/// name.
///
/// Memory: see ``Repository/mark(_:_:condemned:)``, and 32 bytes for each pack. Thread: one at a time.
package final class Collector {
    let repository: Repository
    let options: PruneOptions
    /// Told of each step, for progress.
    let progress: (String) -> Void
    var report = PruneReport()
    /// Whether a sweep spared packs of its generation: they can be condemned again.
    var hasFreed = false

    var store: any ObjectStore { repository.store }

    /// - Throws: `.notPermitted` unless the key is an admin's or a maintainer's.
    package init(
        _ repository: Repository, options: PruneOptions = PruneOptions(),
        progress: @escaping (String) -> Void = { _ in }
    ) throws(HoldfastError) {
        try repository.keyring.require(.admin, .maintainer, toDo: "prune")
        try repository.checkFormatForCollecting()
        // Members who were added since this client opened must be known to it.
        self.repository = try repository.reloadingKeys()
        self.options = options
        self.progress = progress
    }

    /// Marks, and decides what is to be done. Nothing is written.
    ///
    /// The listings are taken in the order packs, leases, snapshots, index. A pack that is listed and not needed was
    /// written under a lease that is listed too, or under one that has ended, and then its snapshot is listed.
    package func plan() throws(HoldfastError) -> PrunePlan {
        progress("looking for packs that no snapshot needs")
        let packs = try repository.listPacks()
        let leases = try repository.surveyLeases()
        let listing = try repository.snapshots()
        let state = try repository.loadIndex()
        let generations = try Generations(repository)
        let condemned = state.collections.condemnedPacks
        let marking = try repository.mark(listing, state, condemned: condemned)
        let doomed = state.collections.doomedPacks
        let unneeded = packs.filter { marking.livePacks[$0.key] == nil && !doomed.contains($0.key) }
        var plan = PrunePlan(
            options: options, snapshots: listing.snapshots.count, packs: packs.count,
            bytes: packs.values.reduce(0) { $0 + $1.size }, condemnable: [:], spared: 0, foreign: [], open: nil,
            doomed: packs.filter { doomed.contains($0.key) }.mapValues(\.size), repack: [], unused: 0,
            marking: marking, state: state)
        try sort(unneeded.filter { !condemned.contains($0.key) }, leases, into: &plan)
        if let open = generations.open { plan.open = try describe(open, leases) }
        planRepack(&plan)
        return plan
    }

    /// Carries out `plan`, and whatever earlier prunes left to be done.
    ///
    /// - Throws: `.busy` when the prune is exclusive and a lease is open. What was done before a failure stays done.
    package func run(_ plan: PrunePlan) throws(HoldfastError) -> PruneReport {
        report = PruneReport()
        hasFreed = false
        if options.isExclusive { try beginExclusive() }
        try deleteDoomed()
        let hasFenced = try fenceLostWriters()
        var generations = try Generations(repository)
        if let open = generations.open {
            try sweep(open)
            generations = try Generations(repository)
        }
        if generations.open == nil {
            let repacked = try repack(plan)
            // What was swept, copied or left by lost writers is known by a fresh look only.
            let plan = repacked || hasFenced || hasFreed || options.isExclusive ? try self.plan() : plan
            try condemn(plan, generations)
            if options.isExclusive, let open = try Generations(repository).open { try sweep(open) }
        }
        try mergeRuns()
        try removeRemains()
        return report
    }

    /// Splits unneeded packs into those that may go and those of open work.
    private func sort(
        _ unneeded: [PackID: ObjectInfo], _ leases: LeaseSurvey, into plan: inout PrunePlan
    ) throws(HoldfastError) {
        let now = try store.time()
        // A repack that was silent for a whole grace commits nothing any more, and what it left needs no fence.
        let open = Set(leases.open.filter { $0.object == nil || $0.mayCommit || !$0.isLost(at: now) }.map(\.id))
        let reader = PackReader(store: store, keyring: repository.keyring)
        for (pack, info) in unneeded.sorted(by: { $0.key < $1.key }) {
            try repository.environment.cancellation.check()
            do throws(HoldfastError) {
                if open.contains(try reader.head(pack).head.lease) {
                    plan.spared += 1
                } else {
                    plan.condemnable[pack] = info.size
                }
            } catch {
                switch error.code {
                case .objectMissing: continue
                case .corruptObject, .unsupportedFormat: plan.foreign.append((pack, error))
                default: throw error
                }
            }
        }
    }

    /// Puts gc/n: from now on every writer that looks treats its packs as absent, but for those it keeps.
    ///
    /// Of two collectors one puts it, and the other goes on with what is there.
    private func condemn(_ plan: PrunePlan, _ generations: Generations) throws(HoldfastError) {
        guard generations.open == nil else { return }
        let packs = Array(plan.condemnable.keys.sorted().prefix(CollectionObject.maximumPacks))
        let runs = try supersededRuns(plan.state).subtracting(generations.doomedRuns).sorted()
            .prefix(CollectionObject.maximumRuns)
        guard !packs.isEmpty || !runs.isEmpty else { return }
        try repository.environment.cancellation.check()
        guard generations.newest < UInt32.max else {
            throw HoldfastError(
                .limitExceeded, "`gc/` holds a step of generation \(generations.newest), the last that there can be",
                hint: "Someone put it there; remove it, and find out who can write to the store.")
        }
        let number = generations.newest + 1
        let object = CollectionObject(
            kind: .condemned, repository: repository.id, generation: number, slot: repository.keyring.slot,
            made: repository.clock.now(), packs: packs, runs: Array(runs))
        guard try put(object, at: ObjectNames.condemned(number)) else { return }
        progress("condemned \(packs.count) packs as generation \(number)")
        report.condemned = (number, packs.count, plan.condemnableBytes)
        if !options.isExclusive, let open = try Generations(repository).open {
            report.waiting = try describe(open, try repository.surveyLeases())
        }
    }

    /// Runs that are still there and that a run of a maintainer replaces.
    private func supersededRuns(_ state: IndexState) throws(HoldfastError) -> Set<IndexRunID> {
        var present: Set<IndexRunID> = []
        try store.list(ObjectNames.index) { (info) throws(HoldfastError) in
            if let id = ObjectNames.indexRunID(info.key) { present.insert(id) }
        }
        return present.intersection(state.superseded)
    }

    /// Puts a step of a collection; false when another collector was first.
    func put(_ object: CollectionObject, at key: ObjectKey) throws(HoldfastError) -> Bool {
        let bytes = try object.encoded(signer: repository.keyring.signing)
        do throws(HoldfastError) {
            try store.putIfAbsent(key, bytes.span.bytes)
            return true
        } catch {
            guard error.code == .objectExists else { throw error }
            return false
        }
    }

    func describe(_ open: Generations.Open, _ leases: LeaseSurvey) throws(HoldfastError) -> OpenGeneration {
        let now = try store.time()
        let number = open.object.generation
        return OpenGeneration(
            number: number, packs: open.object.packs.count, condemned: open.put,
            sweepableFrom: open.put + LeaseTimes.grace,
            waitingFor: leases.open.filter { blocks($0, number, now) })
    }

    /// Whether `lease` forbids a sweep of generation `number` for now.
    ///
    /// A lease that honours it has said what it keeps. One that can be fenced cannot commit any more. A reader that was
    /// not heard of for as long holds nothing. One of which nothing can be read names no snapshot that could be fenced.
    func blocks(_ lease: OpenLease, _ number: UInt32, _ now: Timestamp) -> Bool {
        if !store.capabilities.createsIfAbsent { return true }
        if lease.honours(number) { return false }
        return lease.object == nil || !lease.isExpired(at: now)
    }
}
