// Rebuilds the index from the tables of contents of packs.

import Logging
import ObjectStore
import Primitives
import Sealing

extension Repository {
    /// Puts new index runs for every pack that no good run covers, and replaces the runs that are damaged or list packs
    /// that are lost.
    ///
    /// The index is a cache of what packs say of themselves, so that all of it can be lost. New runs are put first and
    /// the last of them carries the names of those it replaces: a repair that is broken off leaves an index that is no
    /// worse, and can be repeated.
    ///
    /// Memory: the table of the index, and a pack for each thread.
    /// - Throws: `.notPermitted` unless the role is admin or maintainer, what listings and puts throw, `.interrupted`.
    package func repairIndex(_ options: RepairOptions = RepairOptions()) throws(HoldfastError) -> RepairReport {
        try keyring.require(.admin, .maintainer, toDo: "repair the index")
        try checkFormat()
        return try IndexRepair(self, options).run()
    }
}

/// One repair.
struct IndexRepair {
    /// A run is closed when it holds this many entries, about 32 MiB.
    static let entriesPerRun = 1 << 20

    private let repository: Repository
    private let options: RepairOptions
    private let collector: CheckCollector

    init(_ repository: Repository, _ options: RepairOptions) {
        self.repository = repository
        self.options = options
        var checking = CheckOptions()
        checking.threads = options.threads
        checking.progress = options.progress
        checking.data = options.readsData ? .all : .none
        collector = CheckCollector(
            repository.store, options: checking, cancellation: repository.environment.cancellation)
    }

    func run() throws(HoldfastError) -> RepairReport {
        let keyring = repository.keyring
        var objects = try ObjectCheck(collector, keyring: keyring).run()
        let index = try RunCheck(collector: collector, objects: objects, keyring: keyring, cache: nil).run()
        let outcome = try PackPass(
            collector: collector, objects: objects, runs: index.live, keyring: keyring, entropy: repository.entropy
        ).run()
        var report = RepairReport()
        report.isDryRun = options.isDryRun
        if options.readsData {
            for pack in outcome.rotten.sorted() {
                if !options.isDryRun { try repository.store.setAside(ObjectNames.pack(pack)) }
                objects.packs[pack] = nil
                report.packsSetAside.append(pack)
            }
        }
        let (kept, replaced) = sort(index, outcome, objects, &report)
        report.runsKept = kept.count
        let superseding = replacedNames(index, replaced, objects)
        report.runsReplaced = superseding.filter { index.damaged.contains($0) || replaced.map(\.id).contains($0) }
        report.runsReplaced += superseding.filter { objects.runs[$0] == nil && !index.superseded.contains($0) }
        report.runsReplaced = Array(Set(report.runsReplaced)).sorted()
        var built = try build(kept, replaced, objects, &report)
        try attribute(&built, kept, objects, &report)
        guard report.isNeeded else { return report }
        try put(built, superseding, index, &report)
        return report
    }

    /// Runs that stay, and runs that list a pack that is lost or other chunks than a pack holds.
    private func sort(
        _ index: CheckedIndex, _ outcome: PackPass.Outcome, _ objects: CheckedObjects, _ report: inout RepairReport
    ) -> (kept: [CheckedRun], replaced: [CheckedRun]) {
        var kept: [CheckedRun] = []
        var replaced: [CheckedRun] = []
        var missing: Set<PackID> = []
        for run in index.live {
            let lost = run.run.packs.filter { objects.packs[$0.id]?.size != $0.length }
            missing.formUnion(lost.map(\.id).filter { objects.packs[$0] == nil })
            // A run that this key does not open cannot be written again.
            if run.loaded == nil || lost.isEmpty && !outcome.differing.contains(run.id) {
                kept.append(run)
            } else {
                replaced.append(run)
            }
        }
        report.packsMissing = missing.subtracting(report.packsSetAside).sorted()
        return (kept, replaced)
    }

    /// Every name that the new runs stand for: what they replace, what that replaced, and lost runs of snapshots.
    private func replacedNames(
        _ index: CheckedIndex, _ replaced: [CheckedRun], _ objects: CheckedObjects
    ) -> [IndexRunID] {
        var names = index.damaged.subtracting(index.superseded)
        for run in replaced {
            names.insert(run.id)
            names.formUnion(run.run.supersedes)
        }
        for snapshot in objects.snapshots {
            for run in snapshot.object.runs
            where objects.runs[run] == nil && !index.superseded.contains(run) && !objects.sweptRuns.contains(run) {
                names.insert(run)
            }
        }
        return names.sorted()
    }

    // MARK: - New runs

    /// Reads the tables of contents of all packs that no kept run covers.
    private func build(
        _ kept: [CheckedRun], _ replaced: [CheckedRun], _ objects: CheckedObjects, _ report: inout RepairReport
    ) throws(HoldfastError) -> [IndexRunObject] {
        let covered = Set(kept.flatMap { $0.run.packs.map(\.id) })
        let writers = writers(kept + replaced)
        let reader = PackReader(store: repository.store, keyring: repository.keyring)
        var built: [IndexRunObject] = []
        var packs: [IndexedPack] = []
        var entries: [(entry: IndexEntry, base: Bytes16)] = []
        let wanted = objects.packs.keys.filter { !covered.contains($0) && !objects.sweptPacks.contains($0) }.sorted()
        collector.progress.enter(.rebuilding, itemsTotal: UInt64(wanted.count))
        for id in wanted {
            try collector.cancellation.check()
            let name = ObjectNames.pack(id).path
            let size = objects.packs[id]?.size ?? 0
            var found: (pack: IndexedPack, entries: [(entry: IndexEntry, base: Bytes16)])?
            do throws(HoldfastError) {
                let (head, contents) = try collector.repeating(name) { () throws(HoldfastError) in
                    try reader.contents(id)
                }
                guard head.packLength == size else {
                    throw ByteReader([], as: name).corrupt("it has \(size) bytes and its head says \(head.packLength)")
                }
                let pack = IndexedPack(id: id, length: size, kind: head.kind, slot: writers[id] ?? SlotID(Bytes16()))
                found = (pack, contents.chunks.map { Self.entry($0, UInt32(packs.count)) })
            } catch {
                if error.code == .interrupted { throw error }
                report.unreadable.append(RepairReport.Failure(object: name, message: error.description))
                found = Self.known(id, length: size, in: replaced, UInt32(packs.count))
            }
            guard let found else { continue }
            packs.append(found.pack)
            entries += found.entries
            report.packsIndexed += 1
            report.chunksIndexed += found.entries.count
            collector.progress.add(items: 1)
            if entries.count >= Self.entriesPerRun { close(&packs, &entries, &built) }
        }
        if !packs.isEmpty { close(&packs, &entries, &built) }
        return built
    }

    private func close(
        _ packs: inout [IndexedPack], _ entries: inout [(entry: IndexEntry, base: Bytes16)],
        _ built: inout [IndexRunObject]
    ) {
        let keyring = repository.keyring
        built.append(
            IndexRunObject(
                repository: repository.id, epoch: keyring.current.epoch, slot: keyring.slot,
                made: repository.clock.now(), supersedes: [], packs: packs, entries: entries))
        packs = []
        entries = []
    }

    private static func entry(_ chunk: ChunkRecord, _ pack: UInt32) -> (entry: IndexEntry, base: Bytes16) {
        let entry = IndexEntry(
            id: chunk.id.bytes.prefix, pack: pack, offset: chunk.offset, stored: chunk.stored, codec: chunk.codec,
            depth: chunk.depth, raw: chunk.raw)
        return (entry, chunk.base)
    }

    /// What a replaced run says of a pack whose own table is damaged.
    private static func known(
        _ id: PackID, length: UInt64, in replaced: [CheckedRun], _ number: UInt32
    ) -> (pack: IndexedPack, entries: [(entry: IndexEntry, base: Bytes16)])? {
        for checked in replaced {
            guard let run = checked.loaded,
                let place = run.run.packs.firstIndex(where: { $0.id == id && $0.length == length })
            else { continue }
            let entries = PackEntries.entries(of: place, in: run).map { item in
                var entry = item.entry
                entry.pack = number
                return (entry: entry, base: item.base ?? Bytes16())
            }
            return (run.run.packs[place], entries)
        }
        return nil
    }

    /// Who wrote each pack, as good runs vouch.
    private func writers(_ runs: [CheckedRun]) -> [PackID: SlotID] {
        var writers: [PackID: SlotID] = [:]
        for run in runs {
            let vouched = repository.attributed(run.run)
            for pack in vouched.packs where !pack.slot.bytes.isZero { writers[pack.id] = pack.slot }
        }
        return writers
    }

    /// Packs of an unknown writer are decoded chunk by chunk where this key can; then this client vouches for them.
    private func attribute(
        _ built: inout [IndexRunObject], _ kept: [CheckedRun], _ objects: CheckedObjects, _ report: inout RepairReport
    ) throws(HoldfastError) {
        var unknown: Set<PackID> = []
        for pack in built.flatMap(\.packs) where pack.slot.bytes.isZero { unknown.insert(pack.id) }
        guard !unknown.isEmpty else { return }
        var provisional: [CheckedRun] = []
        for run in built {
            let id = IndexRunID(SHA256.digest(run.table.span.bytes))
            let table = RunTable(run.table)
            var clear = run
            clear.table = []
            provisional.append(
                CheckedRun(id: id, run: clear, loaded: try LoadedRun(id: id, run: clear, table: table)))
        }
        let silent = CheckCollector(
            repository.store, options: collector.options, cancellation: collector.cancellation)
        var pass = PackPass(
            collector: silent, objects: objects, runs: kept + provisional, keyring: repository.keyring,
            entropy: repository.entropy)
        pass.chosen = unknown
        let outcome = try pass.run()
        for number in built.indices {
            for place in built[number].packs.indices where unknown.contains(built[number].packs[place].id) {
                if outcome.verified.contains(built[number].packs[place].id) {
                    built[number].packs[place].slot = repository.keyring.slot
                    report.packsVerified += 1
                } else {
                    report.packsOfNobody += 1
                }
            }
        }
    }

    // MARK: - Putting

    private func put(
        _ built: [IndexRunObject], _ superseding: [IndexRunID], _ index: CheckedIndex, _ report: inout RepairReport
    ) throws(HoldfastError) {
        guard !options.isDryRun else { return }
        var runs = built
        var (packs, entries): ([IndexedPack], [(entry: IndexEntry, base: Bytes16)]) = ([], [])
        if runs.isEmpty, !superseding.isEmpty { close(&packs, &entries, &runs) }
        for number in runs.indices {
            // The last one makes the others rule.
            if number == runs.count - 1 { runs[number].supersedes = superseding }
            report.runsWritten.append(try repository.putRun(runs[number]).loaded.id)
        }
        for run in index.damaged { try repository.store.setAside(ObjectNames.indexRun(run)) }
    }
}
