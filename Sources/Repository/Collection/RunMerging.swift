// Merging runs of the index, so that their number stays small and entries of packs that are gone go too.

import Logging
import ObjectStore
import Primitives

/// When runs are merged.
enum RunLimits {
    /// As many small runs may lie about.
    static let smallRuns = 8
    /// A run with fewer entries is small.
    static let smallEntries = 1 << 19
    /// A merged run is closed at so many entries; merging takes about 150 bytes of memory for each.
    static let mergedEntries = 1 << 20
    /// As many runs are merged into one at most.
    static let mergedRuns = 1 << 12
    /// Share of a run's entries, in percent, whose packs may be gone.
    static let goneShare = 20
}

extension Collector {
    /// Rewrites runs of which too much is gone, and small ones when there are many.
    ///
    /// Each new run supersedes those that it was merged from, and what these had superseded before, so that a failure
    /// in between loses nothing. The old runs are condemned and deleted with the next generation, for readers that
    /// listed them.
    func mergeRuns() throws(HoldfastError) {
        let state = try repository.loadIndex()
        // Listed after the runs: a pack that a loaded run names and that is missing here is gone, not new.
        let packs = try repository.listPacks()
        let doomed = state.collections.doomedPacks
        var gone = doomed
        for pack in Set(state.index.runs.flatMap { $0.run.packs.map(\.id) }) where packs[pack] == nil {
            gone.insert(pack)
        }
        try excuseUnlisted(&gone, try sweptPacks().values.reduce(into: doomed) { $0.formUnion($1) })
        func isGone(_ pack: IndexedPack) -> Bool { gone.contains(pack.id) }
        var small: [LoadedRun] = []
        var stale: [LoadedRun] = []
        for run in state.index.runs {
            let flags = run.run.packs.map(isGone)
            var gone = 0
            if flags.contains(true) {
                for place in 0..<run.run.entryCount where Self.isGone(run.entry(place), flags) { gone += 1 }
            }
            if gone * 100 > run.run.entryCount * RunLimits.goneShare {
                stale.append(run)
            } else if run.run.entryCount < RunLimits.smallEntries {
                small.append(run)
            }
        }
        let merged = stale + (small.count > RunLimits.smallRuns ? small : [])
        guard !merged.isEmpty else { return }
        let known = try namesInUse()
        var group: [LoadedRun] = []
        var entries = 0
        for run in merged {
            let isFull =
                entries + run.run.entryCount > RunLimits.mergedEntries || group.count >= RunLimits.mergedRuns
            if !group.isEmpty, isFull {
                try merge(group, known, isGone)
                group = []
                entries = 0
            }
            group.append(run)
            entries += run.run.entryCount
        }
        if !group.isEmpty { try merge(group, known, isGone) }
    }

    /// Runs that are in the store or that a snapshot names: what was superseded under these names must stay so.
    private func namesInUse() throws(HoldfastError) -> Set<IndexRunID> {
        var names: Set<IndexRunID> = []
        for snapshot in try repository.snapshots().snapshots { names.formUnion(snapshot.runs) }
        try store.list(ObjectNames.index) { (info) throws(HoldfastError) in
            if let id = ObjectNames.indexRunID(info.key) { names.insert(id) }
        }
        return names
    }

    /// Takes out of `gone` what is there although the listing lacks it. What a sweep named need not be asked for.
    private func excuseUnlisted(_ gone: inout Set<PackID>, _ swept: Set<PackID>) throws(HoldfastError) {
        for pack in gone.subtracting(swept).sorted() where try store.info(ObjectNames.pack(pack)) != nil {
            gone.remove(pack)
        }
    }

    private static func isGone(_ entry: IndexEntry, _ flags: [Bool]) -> Bool {
        Int(entry.pack) >= flags.count || flags[Int(entry.pack)]
    }

    private func merge(
        _ runs: [LoadedRun], _ known: Set<IndexRunID>, _ isGone: (IndexedPack) -> Bool
    ) throws(HoldfastError) {
        try repository.environment.cancellation.check()
        // What these runs stand for, the new one stands for: they will be deleted.
        var superseded = Set(runs.map(\.id))
        for run in runs where repository.keyring.roster[run.run.slot]?.mayCollect == true {
            superseded.formUnion(known.intersection(run.run.supersedes))
        }
        guard superseded.count <= IndexRunObject.maximumSuperseded else {
            repository.logger.debug("runs were not merged", metadata: ["superseded": "\(superseded.count)"])
            return
        }
        var packs: [IndexedPack] = []
        var numbers: [IndexedPack: UInt32] = [:]
        var entries: [(entry: IndexEntry, base: Bytes16)] = []
        var seen: Set<IndexEntry> = []
        for run in runs.sorted(by: { ($0.run.made, $0.id) > ($1.run.made, $1.id) }) {
            let flags = run.run.packs.map(isGone)
            for place in 0..<run.run.entryCount {
                var entry = run.entry(place)
                if Self.isGone(entry, flags) { continue }
                let pack = run.run.packs[Int(entry.pack)]
                if let number = numbers[pack] {
                    entry.pack = number
                } else {
                    entry.pack = UInt32(packs.count)
                    numbers[pack] = entry.pack
                    packs.append(pack)
                }
                // The same pack may stand in several runs, after a repair or a merge by two collectors.
                guard seen.insert(entry).inserted else { continue }
                entries.append((entry, entry.depth > 0 ? run.base(of: place) ?? Bytes16() : Bytes16()))
            }
        }
        _ = try repository.putRun(packs: packs, entries: entries, supersedes: superseded.sorted())
        report.mergedRuns += runs.count
    }
}
