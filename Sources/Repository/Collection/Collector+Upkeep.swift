// What collections leave behind: steps of old generations, leases of lost writers, tombstones past their time.

import ObjectStore
import Primitives
import Sealing

extension Collector {
    /// How long the name of a fenced writer stays taken. A lease lives no longer than a third of it.
    package static let tombstoneLife = Duration.seconds(90 * 86_400)

    /// Removes what no one needs any more. Whatever the store refuses to delete stays.
    func removeRemains() throws(HoldfastError) {
        try removeOldSteps()
        try removeLostLeases()
        try removeOldTombstones()
    }

    /// What each generation swept, as far as its steps are there.
    func sweptPacks() throws(HoldfastError) -> [UInt32: Set<PackID>] {
        var names: [UInt32: Set<ObjectKind>] = [:]
        try store.list(ObjectNames.collections) { (info) throws(HoldfastError) in
            if let (number, kind) = ObjectNames.collection(info.key) { names[number, default: []].insert(kind) }
        }
        var swept: [UInt32: Set<PackID>] = [:]
        for (number, kinds) in names.sorted(by: { $0.key < $1.key }) where kinds.isSuperset(of: [.condemned, .sweep]) {
            do throws(HoldfastError) {
                let condemned = try repository.readCollection(ObjectNames.condemned(number), .condemned, number)
                let sweep = try repository.readCollection(ObjectNames.sweep(number), .sweep, number)
                swept[number] = Set(sweep.packs).intersection(condemned.packs)
            } catch {
                // Removed by another collector since the listing.
                guard error.code == .objectMissing else { throw error }
            }
        }
        return swept
    }

    /// gc/n and gc/n.sweep of generations that are done, but for the two newest. The `.done` objects stay: they make
    /// every late step of their generation void.
    ///
    /// A sweep stays for as long as a run lists one of its packs: to whoever checks or mirrors, it is the only thing
    /// that tells a pack that was swept from one that was lost.
    private func removeOldSteps() throws(HoldfastError) {
        let generations = try Generations(repository)
        let old = generations.leftovers.filter { key in
            ObjectNames.collection(key).map { generations.newest - $0.generation >= 2 } ?? false
        }
        guard !old.isEmpty else { return }
        var listed: Set<PackID> = []
        for run in try repository.loadIndex().index.runs { listed.formUnion(run.run.packs.map(\.id)) }
        var needed: Set<UInt32> = []
        for key in old {
            guard let (number, kind) = ObjectNames.collection(key), kind == .sweep else { continue }
            if try !listed.isDisjoint(with: repository.readCollection(key, .sweep, number).packs) {
                needed.insert(number)
            }
        }
        for key in old {
            guard let (number, _) = ObjectNames.collection(key), !needed.contains(number) else { continue }
            _ = try delete(key)
        }
    }

    /// Leases that were not renewed for long and that can commit nothing: fenced, committed, or of a reader.
    ///
    /// What a writer kept of a generation that is not swept yet stays kept, even when its snapshot is forgotten: a
    /// reader of that snapshot has a whole grace from the generation after.
    private func removeLostLeases() throws(HoldfastError) {
        let now = try store.time()
        let open = try Generations(repository).open?.object.generation
        let survey = try repository.surveyLeases()
        let lost = survey.settled + survey.open.filter { $0.object != nil && !$0.mayCommit }
        for lease in lost where lease.isExpired(at: now) {
            if let open, lease.honours(open), lease.object?.kept.isEmpty == false { continue }
            var keys: [(number: UInt32, key: ObjectKey)] = []
            try store.list(ObjectNames.leases(of: lease.id)) { (info) throws(HoldfastError) in
                if let name = ObjectNames.leaseNumber(info.key) { keys.append((name.number, info.key)) }
            }
            for (_, key) in keys.sorted(by: { $0.number > $1.number }) {
                guard try delete(key) else { break }
            }
        }
    }

    private func removeOldTombstones() throws(HoldfastError) {
        let now = try store.time()
        for (tag, id) in try repository.snapshots().tombstones {
            let key = ObjectNames.snapshot(tag, id)
            guard let info = try store.info(key), now.since(info.modified) > Self.tombstoneLife else { continue }
            _ = try delete(key)
        }
    }
}
