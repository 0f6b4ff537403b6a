// The judgement over a history: what was promised, and what the store holds.

import ObjectStore
import Primitives
import Repository

/// Looks at the world when all actors have ended, collects twice, and looks again.
struct Judge {
    private let world: World
    private let stage: Stage

    init(_ scheduler: Scheduler, seed: UInt64) {
        world = scheduler.world
        let actor = Actor("judge")
        actor.isQuiet = true
        stage = Stage(scheduler, actor, seed: seed &* 31 &+ 1_000_003, mutation: nil)
    }

    func judge() {
        world.calmDown()
        if !world.truth.harmed.isEmpty {
            demand("the report of losses") { () throws(HoldfastError) in
                try reportLosses()
                world.heal()
                _ = try stage.open(.admin).repairIndex()
            }
        }
        demand("before the last collections") { () throws(HoldfastError) in try restoreAll() }
        demand("the last collections") { () throws(HoldfastError) in
            let garbage = try unreachable()
            try collect()
            try collect()
            try lookFor(garbage)
            // Of two copies of a chunk one may have become superfluous by the merging of runs, and goes as well.
            if try !Collector(try stage.open(.admin)).plan().condemnable.isEmpty {
                try collect()
                try collect()
            }
            try lookForRemains()
        }
        demand("after the last collections") { () throws(HoldfastError) in
            try restoreAll()
            try check()
        }
    }

    private func demand(_ when: String, _ body: () throws(HoldfastError) -> Void) {
        do throws(HoldfastError) {
            try body()
        } catch {
            blame("\(when): \(error)")
        }
    }

    private func blame(_ what: String) { world.truth.violations.append(what) }

    /// Every snapshot reads back byte for byte, and none is missing.
    private func restoreAll() throws(HoldfastError) {
        let repository = try stage.open(.admin)
        let listing = try repository.snapshots()
        for (key, error) in listing.damaged { blame("\(key) cannot be read: \(error)") }
        let state = try repository.loadIndex()
        for (run, error) in state.damaged { blame("run \(run) cannot be read: \(error)") }
        let packs = PackReader(store: stage.store, keyring: repository.keyring)
        for snapshot in listing.snapshots {
            do throws(HoldfastError) {
                let draft = try RestoreDraft(repository, snapshot, state.index, packs)
                guard try draft.read(repository, state.index, packs) == world.truth.files[snapshot.id] else {
                    blame("snapshot \(snapshot.id) reads back as other bytes")
                    continue
                }
            } catch {
                blame("snapshot \(snapshot.id) does not restore: \(error)")
            }
        }
        let lost = world.truth.committed.subtracting(world.truth.forgotten).subtracting(listing.snapshots.map(\.id))
        for id in lost.sorted() { blame("snapshot \(id) was committed and is gone") }
    }

    /// What a lost or rotten pack costs is reported, by the restore and by a check, and never read as other bytes; a
    /// backup that began after a loss leans on nothing lost.
    private func reportLosses() throws(HoldfastError) {
        let repository = try stage.open(.admin)
        let listing = try repository.snapshots()
        for (key, error) in listing.damaged { blame("\(key) cannot be read: \(error)") }
        let state = try repository.loadIndex()
        let packs = PackReader(store: stage.store, keyring: repository.keyring)
        var lost = 0
        for snapshot in listing.snapshots {
            do throws(HoldfastError) {
                let draft = try RestoreDraft(repository, snapshot, state.index, packs)
                if try draft.read(repository, state.index, packs) != world.truth.files[snapshot.id] {
                    blame("snapshot \(snapshot.id) reads back as other bytes, and nothing says so")
                }
            } catch {
                lost += 1
                world.truth.count("losses reported")
                if error.code != .objectMissing && error.code != .corruptObject {
                    blame("the loss of snapshot \(snapshot.id) is reported as \(error)")
                }
                guard !world.truth.hasRot, let lastLoss = world.truth.lastLoss,
                    let opened = world.truth.opened[snapshot.id], opened > lastLoss + .seconds(400)
                else { continue }
                blame("snapshot \(snapshot.id) was begun after the loss and leans on what was lost: \(error)")
            }
        }
        guard lost > 0 else { return }
        var options = CheckOptions()
        options.threads = 1
        options.data = .all
        if try repository.check(options).findings(.error).isEmpty {
            blame("\(lost) snapshots do not restore, and check finds no error")
        }
    }

    private func collect() throws(HoldfastError) {
        world.advance(by: .seconds(25 * 3600))
        var options = PruneOptions()
        options.maximumUnused = 100
        let collector = try Collector(try stage.open(.admin), options: options)
        let report = try collector.run(try collector.plan())
        world.tell("the judge collected: \(report)")
    }

    /// Packs without a copy of anything that a snapshot reaches, and runs that are superseded.
    private func unreachable() throws(HoldfastError) -> Set<ObjectKey> {
        let repository = try stage.open(.admin)
        let listing = try repository.snapshots()
        let state = try repository.loadIndex()
        let packs = PackReader(store: stage.store, keyring: repository.keyring)
        var pending: [Bytes16] = []
        for snapshot in listing.snapshots {
            let draft = try RestoreDraft(repository, snapshot, state.index, packs)
            pending += draft.files.flatMap { $0.pieces.map(\.id.bytes.prefix) }
            pending += snapshot.record?.roots.compactMap { $0.entry.tree?.id.bytes.prefix } ?? []
        }
        var seen: Set<Bytes16> = []
        var needed: Set<PackID> = []
        while let id = pending.popLast() {
            guard seen.insert(id).inserted else { continue }
            for copy in state.index.copies(of: id) {
                needed.insert(copy.pack)
                if let base = state.index.baseID(of: copy) { pending.append(base) }
            }
        }
        let garbage = Set(state.packs.keys).subtracting(needed).map { ObjectNames.pack($0) }
        return Set(garbage + state.superseded.map { ObjectNames.indexRun($0) })
    }

    private func lookFor(_ garbage: Set<ObjectKey>) throws(HoldfastError) {
        let left = (world.list(ObjectNames.packs) + world.list(ObjectNames.index)).map(\.key)
        for key in left where garbage.contains(key) { blame("\(key) was unreachable and is still there") }
    }

    private func lookForRemains() throws(HoldfastError) {
        let plan = try Collector(try stage.open(.admin)).plan()
        for pack in plan.condemnable.keys.sorted() { blame("pack \(pack) is unneeded and was never condemned") }
        for pack in plan.doomed.keys.sorted() { blame("pack \(pack) was swept and is still there") }
        if plan.spared > 0 { blame("\(plan.spared) packs of open work are left, and nobody works") }
        for (pack, error) in plan.foreign { blame("pack \(pack) is foreign: \(error)") }
        let leases = world.list(ObjectNames.leases)
        if let lease = leases.first { blame("\(lease.key) and \(leases.count - 1) others are left, and nobody works") }
    }

    private func check() throws(HoldfastError) {
        var options = CheckOptions()
        options.threads = 1
        options.data = world.dice.chance(1000) ? .all : .none
        let report = try stage.open(.admin).check(options)
        for finding in report.findings(.error) {
            blame("check: \(finding.problem.rawValue) \(finding.object): \(finding.message)")
        }
    }
}
