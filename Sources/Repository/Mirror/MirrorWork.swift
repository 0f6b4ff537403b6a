// The copying of a mirror: in the order of commits, and no snapshot before all that it may need.

import ObjectStore
import Primitives
import Sealing
import Synchronization

/// One run of a mirror.
///
/// Thread: `run` once; its threads share the state behind the lock.
final class MirrorWork: Sendable {
    private let source: any ObjectStore
    private let target: any ObjectStore
    private let options: MirrorOptions
    private let collector: CheckCollector
    private let objects: CheckedObjects
    private let index: CheckedIndex
    private let there: [ObjectKey: UInt64]
    private let state = Mutex(State())

    private struct State: Sendable {
        var report = MirrorReport()
        /// Objects that are not at the target as they should be.
        var failed: Set<String> = []
        var failure: HoldfastError?
        var next = 0
    }

    init(
        source: any ObjectStore, target: any ObjectStore, options: MirrorOptions, collector: CheckCollector,
        objects: CheckedObjects, index: CheckedIndex, there: [ObjectKey: UInt64]
    ) {
        self.source = source
        self.target = target
        self.options = options
        self.collector = collector
        self.objects = objects
        self.index = index
        self.there = there
    }

    func run() throws(HoldfastError) -> MirrorReport {
        noteBadObjects()
        try noteSweptAtTarget()
        let packs = wanted(objects.packs.map { ($0.value.key, $0.value.size) })
        let runs = wanted(objects.runs.map { (ObjectNames.indexRun($0.key), $0.value) })
        state.withLock { $0.report.isDryRun = options.isDryRun }
        options.progress.enter(
            .copying, bytesTotal: (packs + runs).reduce(0) { $0 + $1.size },
            itemsTotal: UInt64(packs.count + runs.count))
        for prefix in [ObjectNames.formats, ObjectNames.epochs, ObjectNames.grants, ObjectNames.slots] {
            try copyAll(prefix)
        }
        let (data, meta) = try byKind(packs)
        try copyPacks(data)
        try copyPacks(meta)
        let open = openRuns()
        for run in runs where !open.contains(run.key) { try copyRun(run.key) }
        // Before the snapshots, which name the newest links.
        try copyEvidence()
        try copySnapshots()
        try copyAll(ObjectNames.holds)
        try copyCollections()
        return state.withLock { state in
            state.report.transientReads = collector.report().transientReads
            state.report.badAtSource.sort { $0.object < $1.object }
            state.report.badAtTarget.sort { $0.object < $1.object }
            return state.report
        }
    }

    // MARK: - What is to be copied

    /// What the check of the source found bad is never copied.
    private func noteBadObjects() {
        for finding in collector.report().findings(.error) where !finding.object.hasPrefix(ObjectNames.leases) {
            fail(finding.object, finding.message)
        }
        for run in index.damaged { state.withLock { _ = $0.failed.insert(ObjectNames.indexRun(run).path) } }
        // What runs list and nobody has.
        for run in index.live {
            for pack in run.run.packs where !objects.sweptPacks.contains(pack.id) {
                let name = ObjectNames.pack(pack.id).path
                guard !state.withLock({ $0.failed.contains(name) }) else { continue }
                if let info = objects.packs[pack.id] {
                    if info.size != pack.length { fail(name, "it has \(info.size) bytes, not \(pack.length)") }
                } else if there[ObjectNames.pack(pack.id)] != pack.length {
                    fail(name, "it is not in the store, and the index lists it")
                }
            }
        }
    }

    /// Packs that a prune of the target itself swept: put again they would be deleted again, or never be indexed.
    private func noteSweptAtTarget() throws(HoldfastError) {
        for key in there.keys.sorted() {
            guard let (number, kind) = ObjectNames.collection(key), kind == .sweep else { continue }
            let bytes = try target.get(key, limit: CollectionObject.maximumSize)
            let sweep = try CollectionObject(bytes, name: key.path)
            try objects.require(sweep.repository, sweep.generation == number, name: key.path)
            try objects.verify(bytes, by: sweep.slot, name: key.path) { $0.mayCollect }
            for pack in sweep.packs where objects.packs[pack] != nil {
                failAtTarget(
                    ObjectNames.pack(pack).path,
                    "a prune of the target deleted it; mirror into a place that is not pruned by itself")
            }
        }
    }

    private func fail(_ object: String, _ message: String) {
        state.withLock { state in
            state.failed.insert(object)
            state.report.badAtSource.append(MirrorReport.Failure(object: object, message: message))
        }
    }

    private func failAtTarget(_ object: String, _ message: String) {
        state.withLock { state in
            state.failed.insert(object)
            state.report.badAtTarget.append(MirrorReport.Failure(object: object, message: message))
        }
    }

    /// Those that the target lacks, in order of their names; others of the wrong length are noted.
    private func wanted(_ list: [(ObjectKey, UInt64)]) -> [(key: ObjectKey, size: UInt64)] {
        var wanted: [(key: ObjectKey, size: UInt64)] = []
        for (key, size) in list.sorted(by: { $0.0 < $1.0 }) where isWanted(key, size) { wanted.append((key, size)) }
        return wanted
    }

    private func isWanted(_ key: ObjectKey, _ size: UInt64) -> Bool {
        guard !state.withLock({ $0.failed.contains(key.path) }) else { return false }
        guard let known = there[key] else { return true }
        if known == size {
            state.withLock { $0.report.objectsPresent += 1 }
        } else {
            failAtTarget(key.path, "it has \(known) bytes at the target and \(size) at the source")
        }
        return false
    }

    // MARK: - Small objects

    private func copyAll(_ prefix: String) throws(HoldfastError) {
        var infos: [(ObjectKey, UInt64)] = []
        try source.list(prefix) { (info) throws(HoldfastError) in infos.append((info.key, info.size)) }
        for (key, _) in wanted(infos) {
            try copy(key, limit: CollectionObject.maximumSize) { (bytes) throws(HoldfastError) in
                if let grant = ObjectNames.grantName(key), SHA256.digest(bytes.span.bytes) != grant.digest {
                    throw ByteReader([], as: key.path).corrupt("its bytes do not match its name")
                }
                _ = try SignedFrame.open(bytes, name: key.path)
            }
        }
    }

    /// Copies chains of evidence link by link, so that one that breaks off is the beginning of the chain.
    private func copyEvidence() throws(HoldfastError) {
        var found: [(slot: SlotID, number: UInt32, info: ObjectInfo)] = []
        try source.list(ObjectNames.evidence) { (info) throws(HoldfastError) in
            if let name = ObjectNames.evidenceNumber(info.key) { found.append((name.slot, name.number, info)) }
        }
        found.sort { ($0.slot, $0.number) < ($1.slot, $1.number) }
        for (_, _, info) in found where isWanted(info.key, info.size) {
            try copySigned(info.key, limit: EvidenceObject.maximumSize)
        }
    }

    /// Copies generations that are done, their `.done` first.
    ///
    /// A sweep speaks of one store: carried out at the target, it would take the packs of snapshots that were forgotten
    /// at the source and are still listed here. Under its `.done` it only tells that these packs are gone for a reason.
    /// A number that the target has given to a generation of its own is passed over.
    private func copyCollections() throws(HoldfastError) {
        var found: [UInt32: [ObjectKind: ObjectInfo]] = [:]
        try source.list(ObjectNames.collections) { (info) throws(HoldfastError) in
            if let (number, kind) = ObjectNames.collection(info.key) { found[number, default: [:]][kind] = info }
        }
        for (_, steps) in found.sorted(by: { $0.key < $1.key }) where steps[.done] != nil {
            let keys = [ObjectKind.done, .sweep, .condemned].compactMap { steps[$0]?.key }
            let lacking = keys.filter { there[$0] == nil }
            var isSame = true
            if !lacking.isEmpty {
                for key in keys where there[key] != nil {
                    let limit = CollectionObject.maximumSize
                    if try target.get(key, limit: limit) != source.get(key, limit: limit) { isSame = false }
                }
            }
            let present = UInt64(keys.count - lacking.count)
            state.withLock { $0.report.objectsPresent += present }
            if isSame { for key in lacking { try copySigned(key, limit: CollectionObject.maximumSize) } }
        }
    }

    private func copyRun(_ key: ObjectKey) throws(HoldfastError) {
        try copy(key, limit: IndexRunObject.maximumSize) { (bytes) throws(HoldfastError) in
            guard ObjectNames.indexRun(IndexRunID(SHA256.digest(bytes.span.bytes))) == key else {
                throw ByteReader([], as: key.path).corrupt("its bytes do not match its name")
            }
        }
    }

    /// Live runs that list a pack which the target lacks: with them it would claim what it does not hold.
    private func openRuns() -> Set<ObjectKey> {
        state.withLock { state in
            Set(
                index.live.filter { checked in
                    checked.run.packs.contains { state.failed.contains(ObjectNames.pack($0.id).path) }
                }.map { ObjectNames.indexRun($0.id) })
        }
    }

    /// Copies an object that `verify` accepts; a bad read is repeated once, a bad object is noted.
    private func copy(
        _ key: ObjectKey, limit: ByteCount, _ verify: ([UInt8]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try collector.cancellation.check()
        var bytes: [UInt8] = []
        do throws(HoldfastError) {
            try collector.object(key, limit: limit) { (read) throws(HoldfastError) in
                try verify(read)
                bytes = read
            }
        } catch {
            if error.code == .interrupted { throw error }
            // Whoever retired it in the meantime had the right to.
            if error.code == .objectMissing, ObjectNames.packID(key) == nil { return }
            return fail(key.path, error.description)
        }
        try put(key, bytes.span.bytes)
    }

    private func put(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        let count = UInt64(bytes.byteCount)
        do throws(HoldfastError) {
            if !options.isDryRun { try target.putIfAbsent(key, bytes) }
        } catch {
            guard error.code == .objectExists else { throw error }
            return failAtTarget(key.path, error.message)
        }
        copied(key, count)
    }

    private func copied(_ key: ObjectKey, _ count: UInt64) {
        state.withLock { state in
            state.report.objectsCopied += 1
            state.report.bytesCopied += count
            if key.path.hasPrefix(ObjectNames.packs) { state.report.packsCopied += 1 }
            if key.path.hasPrefix(ObjectNames.snapshots) { state.report.snapshotsCopied += 1 }
        }
        // Small objects are not part of the totals.
        guard key.path.hasPrefix(ObjectNames.packs) || key.path.hasPrefix(ObjectNames.index) else { return }
        options.progress.add(items: 1)
        options.progress.add(bytes: Int(count))
    }

    // MARK: - Packs

    /// Data before the nodes that lead to it. A pack whose head cannot be read shows that when it is copied.
    private func byKind(
        _ packs: [(key: ObjectKey, size: UInt64)]
    ) throws(HoldfastError) -> (data: [(key: ObjectKey, size: UInt64)], meta: [(key: ObjectKey, size: UInt64)]) {
        var kinds: [ObjectKey: PackKind] = [:]
        for run in index.live { for pack in run.run.packs { kinds[ObjectNames.pack(pack.id)] = pack.kind } }
        // Packs in no run are needed by no snapshot that is copied now, so that their order is of no account.
        return (packs.filter { kinds[$0.key] != .meta }, packs.filter { kinds[$0.key] == .meta })
    }

    private func copyPacks(_ packs: [(key: ObjectKey, size: UInt64)]) throws(HoldfastError) {
        guard !packs.isEmpty else { return }
        guard !options.isDryRun else { return packs.forEach { copied($0.key, $0.size) } }
        state.withLock { $0.next = 0 }
        withThreads(max(1, min(options.threads, packs.count))) { _ in
            let buffer = PackBuffer()
            do throws(HoldfastError) {
                while let number = self.state.withLock({ state -> Int? in
                    guard state.failure == nil, state.next < packs.count else { return nil }
                    defer { state.next += 1 }
                    return state.next
                }) {
                    try self.copyPack(packs[number], buffer)
                }
            } catch {
                self.state.withLock { $0.failure = $0.failure ?? error }
            }
        }
        if let failure = state.withLock({ $0.failure }) { throw failure }
    }

    private func copyPack(_ pack: (key: ObjectKey, size: UInt64), _ buffer: PackBuffer) throws(HoldfastError) {
        do throws(HoldfastError) {
            try collector.repeating(pack.key.path) { () throws(HoldfastError) in
                let digest = try buffer.read(pack.key, size: pack.size, from: source, collector.cancellation)
                guard ObjectNames.pack(PackID(digest)) == pack.key, buffer.count == Int(pack.size) else {
                    throw ByteReader([], as: pack.key.path).corrupt("its bytes do not match its name")
                }
                let head = try PackHead(buffer.copy(0..<min(PackHead.size, buffer.count)), name: pack.key.path)
                try objects.require(head.repository, true, name: pack.key.path)
            }
        } catch {
            if error.code == .interrupted { throw error }
            if error.code == .objectMissing, try isSwept(pack.key) { return }
            return fail(pack.key.path, error.description)
        }
        try buffer.withBytes { (bytes) throws(HoldfastError) in try put(pack.key, bytes) }
    }

    /// Whether a sweep took the pack since the listing; then no snapshot needs it.
    private func isSwept(_ key: ObjectKey) throws(HoldfastError) -> Bool {
        guard let id = ObjectNames.packID(key) else { return false }
        return try Retired(objects).read(collector).contains(id)
    }

    // MARK: - Snapshots

    /// Copies tombstones and every snapshot all of whose runs and packs are at the target.
    private func copySnapshots() throws(HoldfastError) {
        let failed = state.withLock { $0.failed }
        var reasons: [IndexRunID: [String]] = [:]
        for checked in index.live {
            let bad = checked.run.packs.map { ObjectNames.pack($0.id).path }.filter { failed.contains($0) }
            let own = ObjectNames.indexRun(checked.id).path
            let all = bad + (failed.contains(own) ? [own] : [])
            guard !all.isEmpty else { continue }
            for run in [checked.id] + checked.run.supersedes { reasons[run, default: []] += all }
        }
        for info in objects.tombstones where there[info.key].map({ $0 == info.size }) ?? true {
            // Of another size it is the snapshot itself: the copy keeps what was forgotten at the original.
            if isWanted(info.key, info.size) { try copySigned(info.key) }
        }
        for snapshot in objects.snapshots {
            var waits: Set<String> = []
            for run in snapshot.object.runs {
                waits.formUnion(reasons[run] ?? [])
                let name = ObjectNames.indexRun(run).path
                if failed.contains(name), !index.superseded.contains(run) { waits.insert(name) }
            }
            guard waits.isEmpty else {
                if there[snapshot.key] == nil {
                    let first = Array(waits.sorted().prefix(MirrorReport.Withheld.maximumReasons))
                    state.withLock { state in
                        state.report.withheld.append(
                            MirrorReport.Withheld(
                                snapshot: snapshot.object.id, object: snapshot.key.path, waitsFor: first))
                    }
                }
                continue
            }
            // What the copy has forgotten is not taken there again.
            if there[snapshot.key] == TombstoneObject.storedSize { continue }
            if isWanted(snapshot.key, snapshot.size) { try copySigned(snapshot.key) }
        }
    }

    private func copySigned(
        _ key: ObjectKey, limit: ByteCount = SnapshotObject.maximumSize
    ) throws(HoldfastError) {
        try copy(key, limit: limit) { (bytes) throws(HoldfastError) in
            _ = try SignedFrame.open(bytes, name: key.path)
        }
    }
}
