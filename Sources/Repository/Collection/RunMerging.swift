// Merging runs of the index, so that their number stays small and entries of packs that are gone go too.

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
    /// Share of a run's entries, in percent, whose packs may be gone.
    static let goneShare = 20
}

extension Collector {
    /// Rewrites runs of which too much is gone, and small ones when there are many.
    ///
    /// Each new run supersedes exactly those that it was merged from, so that a failure in between loses nothing. The
    /// old runs are condemned and deleted with the next generation, for readers that listed them.
    ///
    /// - Returns: packs that are gone and that runs still name.
    func mergeRuns() throws(HoldfastError) -> Set<PackID> {
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
        var group: [LoadedRun] = []
        var entries = 0
        for run in merged {
            if !group.isEmpty, entries + run.run.entryCount > RunLimits.mergedEntries {
                try merge(group, isGone)
                group = []
                entries = 0
            }
            group.append(run)
            entries += run.run.entryCount
        }
        if !group.isEmpty { try merge(group, isGone) }
        let kept = Set(state.index.runs.map(\.id)).subtracting(merged.map(\.id))
        return Set(state.index.runs.filter { kept.contains($0.id) }.flatMap { $0.run.packs.map(\.id) })
            .intersection(gone)
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

    private func merge(_ runs: [LoadedRun], _ isGone: (IndexedPack) -> Bool) throws(HoldfastError) {
        try repository.environment.cancellation.check()
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
        _ = try repository.putRun(packs: packs, entries: entries, supersedes: Self.superseded(by: runs))
        report.mergedRuns += runs.count
    }

    /// What a run merged from `runs` replaces: these, and all that they had replaced. A snapshot may name a run long
    /// after it and its heirs are gone, and a check must know that it is not missing.
    private static func superseded(by runs: [LoadedRun]) -> [IndexRunID] {
        var seen: Set<IndexRunID> = []
        let all = (runs.map(\.id) + runs.flatMap(\.run.supersedes)).filter { seen.insert($0).inserted }
        return Array(all.prefix(IndexRunObject.maximumSuperseded))
    }
}
