// Checks every index run: name, signature, order, and that each entry is one that a reader can use.

import Compression
import ObjectStore
import Primitives
import Sealing

/// A run whose bytes and signature are good.
struct CheckedRun: Sendable {
    var id: IndexRunID
    /// Clear fields; the table inside is empty.
    var run: IndexRunObject
    /// Nil when no key at hand opens the table.
    var loaded: LoadedRun?
}

/// The index as a check found it.
struct CheckedIndex: Sendable {
    /// Runs that no good run of a maintainer replaces.
    var live: [CheckedRun] = []
    /// Runs that are replaced by a good one, damaged ones too.
    var superseded: Set<IndexRunID> = []
    /// Runs that are in the store and cannot be used.
    var damaged: Set<IndexRunID> = []
}

/// Reads all index runs.
struct RunCheck {
    let collector: CheckCollector
    let objects: CheckedObjects
    let keyring: Keyring?
    /// Where opened runs are kept, so that their tables are mapped instead of held in memory.
    let cache: RunCache?

    func run() throws(HoldfastError) -> CheckedIndex {
        var index = CheckedIndex()
        var good: [CheckedRun] = []
        var failures: [(id: IndexRunID, error: HoldfastError)] = []
        for id in objects.runs.keys.sorted() {
            let key = ObjectNames.indexRun(id)
            do throws(HoldfastError) {
                let run = try collector.object(key, limit: IndexRunObject.maximumSize) {
                    (bytes) throws(HoldfastError) in try examine(id, bytes, name: key.path)
                }
                if objects.roster[run.run.slot]?.mayCollect == true { index.superseded.formUnion(run.run.supersedes) }
                good.append(run)
            } catch {
                if error.code == .interrupted { throw error }
                // What vanished since the listing was superseded, and its heir was listed or is not needed.
                if error.code == .objectMissing, try collector.store.info(key) == nil { continue }
                failures.append((id, error))
            }
        }
        for (id, error) in failures {
            index.damaged.insert(id)
            let isReplaced = index.superseded.contains(id)
            collector.add(error, about: ObjectNames.indexRun(id).path, severity: isReplaced ? .warning : .error)
        }
        for run in good where !index.superseded.contains(run.id) { index.live.append(run) }
        let unopened = index.live.count { $0.loaded == nil }
        if keyring != nil, unopened > 0 {
            collector.setIncomplete()
            collector.add(.info, .notDecoded, "index", "\(unopened) index runs are of epochs whose key is not at hand")
        }
        let replaced = good.filter { index.superseded.contains($0.id) }
        if !replaced.isEmpty {
            let bytes = ByteCount(replaced.reduce(UInt64(0)) { $0 + (objects.runs[$1.id] ?? 0) })
            collector.add(.info, .unreferenced, "index", "\(replaced.count) runs are replaced by others (\(bytes))")
        }
        checkThatRunsExist(index)
        return index
    }

    private func examine(_ id: IndexRunID, _ bytes: [UInt8], name: String) throws(HoldfastError) -> CheckedRun {
        guard IndexRunID(SHA256.digest(bytes.span.bytes)) == id else {
            throw ByteReader([], as: name).corrupt("its bytes do not match its name")
        }
        let parsed = try IndexRunObject.parse(bytes, name: name)
        try objects.require(parsed.run.repository, true, name: name)
        try objects.verify(parsed.body, parsed.signature, by: parsed.run.slot, name: name) { !$0.roles.isEmpty }
        guard let keyring, let indexKey = keyring.epochs[parsed.run.epoch]?.keys[.index] else {
            return CheckedRun(id: id, run: parsed.run, loaded: nil)
        }
        var opened = try parsed.opened(indexKey: indexKey, name: name)
        try RunEntries.check(opened, name: name)
        cache?.keep(id, clear: parsed.clear, table: opened.table)
        let mapped = cache?.load(id)?.table
        let table = mapped ?? RunTable(opened.table)
        opened.table = []
        return CheckedRun(id: id, run: opened, loaded: try LoadedRun(id: id, run: opened, table: table))
    }

    /// Every run that a snapshot names is there, or was replaced, or was swept.
    private func checkThatRunsExist(_ index: CheckedIndex) {
        var missing: [IndexRunID: [SnapshotID]] = [:]
        for snapshot in objects.snapshots {
            for run in snapshot.object.runs
            where objects.runs[run] == nil && !index.superseded.contains(run) && !objects.sweptRuns.contains(run) {
                missing[run, default: []].append(snapshot.object.id)
            }
        }
        for (run, snapshots) in missing {
            var finding = CheckFinding(
                .error, .missing, ObjectNames.indexRun(run).path,
                "it is not in the store, no other run replaces it, and \(snapshots.count) snapshots name it")
            finding.damage.snapshots = snapshots.sorted()
            finding.damage.isGuess = true
            collector.add(finding)
        }
    }
}

/// The rules for the table of a run.
enum RunEntries {
    /// - Throws: `.corruptObject` for the first entry that breaks a rule.
    static func check(_ run: IndexRunObject, name: String) throws(HoldfastError) {
        let reader = ByteReader([], as: name)
        let table = run.table
        let bytes = table.span.bytes
        guard table.count == run.tableSize else { throw reader.corrupt("its table has the wrong length") }
        let bases = run.entryCount * IndexEntry.size
        var last: IndexEntry?
        var base = 0
        for place in 0..<run.entryCount {
            let entry = IndexEntry(bytes, at: place * IndexEntry.size)
            if let last {
                guard (last.id, last.pack, last.offset) < (entry.id, entry.pack, entry.offset) else {
                    throw reader.corrupt("its entries are out of order")
                }
            }
            last = entry
            guard Int(entry.pack) < run.packs.count else { throw reader.corrupt("an entry names no pack of its table") }
            guard let codec = entry.codec else { throw reader.corrupt("an entry has an unknown codec") }
            guard entry.depth <= PackContents.maximumDepth, (entry.depth > 0) == (codec == .zstdDelta),
                entry.raw <= PackContents.maximumRaw, entry.rawWord >> 24 == 0
            else { throw reader.corrupt("an entry is over its limits") }
            guard entry.depth > 0 else { continue }
            guard base < run.baseCount,
                UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: bases + base * 20, as: UInt32.self))
                    == UInt32(place)
            else { throw reader.corrupt("a delta has no base in its table") }
            base += 1
        }
        guard base == run.baseCount else { throw reader.corrupt("its table has bases of no entry") }
    }
}
