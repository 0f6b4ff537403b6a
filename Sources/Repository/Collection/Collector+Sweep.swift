// The sweep: who honours, who is fenced, the second mark, and the deletes that follow.

import Logging
import ObjectStore
import Primitives

extension Collector {
    /// Sweeps generation n if its grace is over and nobody stands in the way; else says who does.
    ///
    /// In this order: leases are listed and each honours n or is fenced; snapshots are listed; marked again;
    /// gc/n.sweep is put. Whoever commits after the listing had honoured n, and its kept packs are spared.
    func sweep(_ open: Generations.Open) throws(HoldfastError) {
        let number = open.object.generation
        let now = try store.time()
        let leases = try repository.surveyLeases()
        let waiting = try describe(open, leases)
        let isRipe = options.isExclusive || now >= waiting.sweepableFrom
        guard isRipe, waiting.waitingFor.isEmpty else {
            report.waiting = waiting
            if options.isExclusive { throw Self.busy(waiting.waitingFor) }
            return
        }
        progress("sweeping generation \(number)")
        var kept: Set<PackID> = []
        for lease in leases.open {
            let isLost = lease.isLost(at: now) || lease.isExpired(at: now) && !lease.honours(number)
            if isLost, lease.mayCommit {
                try repository.fence(lease, generation: number)
                report.fencedLeases += 1
            }
        }
        // Of settled leases too: their snapshots may be forgotten since, and are perhaps being read.
        for lease in leases.open + leases.settled where lease.honours(number) {
            kept.formUnion(lease.object?.kept ?? [])
        }
        let listing = try repository.snapshots()
        guard try !isBehind(listing, leases) else {
            report.waiting = waiting
            return
        }
        let state = try repository.loadIndex()
        let marking = try repository.mark(listing, state, condemned: Set(open.object.packs))
        let packs = open.object.packs.filter { marking.livePacks[$0] == nil && !kept.contains($0) }
        let runs = open.object.runs.filter { state.superseded.contains($0) }
        try repository.environment.cancellation.check()
        let object = CollectionObject(
            kind: .sweep, repository: repository.id, generation: number, slot: repository.keyring.slot,
            made: repository.clock.now(), packs: packs, runs: runs)
        // When another collector was first, its sweep is the one that counts, and deleteDoomed reads it.
        _ = try put(object, at: ObjectNames.sweep(number))
        hasFreed = packs.count < open.object.packs.count
        try deleteDoomed()
    }

    /// Whether the listing lacks a snapshot that is there by its name: then it cannot be trusted with others, and the
    /// sweep waits for the next prune.
    private func isBehind(_ listing: SnapshotListing, _ leases: LeaseSurvey) throws(HoldfastError) -> Bool {
        var seen = Set(listing.snapshots.map { ObjectNames.snapshot($0.tag, $0.id) })
        seen.formUnion(listing.tombstones.map { ObjectNames.snapshot($0.tag, $0.id) })
        seen.formUnion(listing.damaged.map(\.key))
        for lease in leases.open + leases.settled where lease.mayCommit {
            guard let tag = lease.object?.tag else { continue }
            let key = ObjectNames.snapshot(tag, lease.id)
            if !seen.contains(key), try store.info(key) != nil {
                progress("the store does not list \(key) yet")
                return true
            }
        }
        return false
    }

    /// Deletes what sweeps name, and only that. What the store refuses to delete waits for a later prune.
    func deleteDoomed() throws(HoldfastError) {
        for generation in try Generations(repository).swept {
            let number = generation.condemned.generation
            let condemned = Set(generation.condemned.packs)
            let condemnedRuns = Set(generation.condemned.runs)
            let present = try repository.listPacks()
            var refused = 0
            for pack in generation.sweep.packs where condemned.contains(pack) {
                guard let info = present[pack] else { continue }
                if try delete(ObjectNames.pack(pack)) {
                    report.deletedPacks += 1
                    report.deletedBytes += info.size
                } else {
                    report.refused.append(pack)
                    refused += 1
                }
            }
            for run in generation.sweep.runs where condemnedRuns.contains(run) {
                if try !delete(ObjectNames.indexRun(run)) { refused += 1 }
            }
            // Some stores acknowledge a delete before it shows. While anything shows, writers must treat it as absent.
            if refused > 0 { continue }
            if try isAnythingLeft(of: generation) { continue }
            let object = CollectionObject(
                kind: .done, repository: repository.id, generation: number, slot: repository.keyring.slot,
                made: repository.clock.now(), packs: [], runs: [])
            _ = try put(object, at: ObjectNames.done(number))
            progress("generation \(number) is done")
        }
    }

    /// Whether a listing still shows what a sweep names.
    private func isAnythingLeft(of generation: Generations.Swept) throws(HoldfastError) -> Bool {
        let packs = Set(generation.sweep.packs).intersection(generation.condemned.packs)
        if try !packs.isDisjoint(with: repository.listPacks().keys) { return true }
        let runs = Set(generation.sweep.runs).intersection(generation.condemned.runs)
        var isLeft = false
        try store.list(ObjectNames.index) { (info) throws(HoldfastError) in
            if let run = ObjectNames.indexRunID(info.key), runs.contains(run) { isLeft = true }
        }
        return isLeft
    }

    /// - Returns: false when the store refuses, as one with object lock does.
    func delete(_ key: ObjectKey) throws(HoldfastError) -> Bool {
        try repository.environment.cancellation.check()
        do throws(HoldfastError) {
            try store.delete(key)
            return true
        } catch {
            guard error.code == .accessDenied else { throw error }
            repository.logger.debug("a delete was refused", metadata: ["object": "\(key)"])
            return false
        }
    }

    /// Fences writers that nobody heard of for a whole grace, so that what they left can be condemned. Without this it
    /// would be spared until a generation is swept for another reason.
    ///
    /// - Returns: whether there were any.
    func fenceLostWriters() throws(HoldfastError) -> Bool {
        // Where a fence does not hold, a lost writer cannot be told from a late one.
        guard store.capabilities.createsIfAbsent else { return false }
        let now = try store.time()
        let lost = try repository.surveyLeases().open.filter { $0.mayCommit && $0.isLost(at: now) }
        if lost.isEmpty { return false }
        let generation = try Generations(repository).newest
        for lease in lost {
            try repository.fence(lease, generation: generation)
            report.fencedLeases += 1
        }
        return true
    }

    /// Makes room on a full disk, and refuses while anyone is at work. Leases that nobody renewed are fenced, so that
    /// what their writers left goes at once.
    func beginExclusive() throws(HoldfastError) {
        let now = try store.time()
        let leases = try repository.surveyLeases().open
        let live = leases.filter { $0.object == nil || !$0.isExpired(at: now) }
        guard live.isEmpty else { throw Self.busy(live) }
        // A writer that stands still in the middle of its commit would write over the tombstone when it goes on.
        let late = store.capabilities.createsIfAbsent ? [] : leases.filter(\.mayCommit)
        guard late.isEmpty else { throw Self.notFenced(late) }
        try store.releaseReserve()
        for lease in leases where lease.mayCommit {
            try repository.fence(lease, generation: 0)
            report.fencedLeases += 1
        }
    }

    private static func names(_ leases: [OpenLease]) -> String {
        leases.prefix(3).map { "\($0.id) of \($0.label), renewed \($0.renewed)" }.joined(separator: "; ")
    }

    private static func notFenced(_ leases: [OpenLease]) -> HoldfastError {
        HoldfastError(
            .busy,
            "\(leases.count) backups did not end, and this store cannot keep them from going on: \(names(leases))",
            hint:
                "Make sure that these backups run no more, then delete their directories in `leases/` of the "
                + "repository; or use a file system with hard links.")
    }

    static func busy(_ leases: [OpenLease]) -> HoldfastError {
        HoldfastError(
            .busy, "\(leases.count) leases are open: \(names(leases))",
            hint:
                "Wait for the backups and restores to end, or prune without `--exclusive`; a lease that is not renewed "
                + "counts for nothing after 30 minutes.")
    }
}
