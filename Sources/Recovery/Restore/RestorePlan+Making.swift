// Making a plan: one walk over the snapshot's structure and a look-up for each piece.

import Primitives
import Repository
import Workloads

extension RestorePlan {
    /// Chunks that are read to learn how fast this store is.
    private static let samples = 12

    /// Plans a restore of what `filter` takes of `snapshot`.
    ///
    /// Damage is counted, not thrown: the restore names it. Reads meta packs, and a few chunks to measure the rate.
    /// - Parameters:
    ///   - layout: Some of the snapshot's roots; all of them where not given.
    ///   - existing: The target's path when what stands there is to be compared, which reads all of it.
    /// - Throws: `.notPermitted` when this key may not read the data; what the store throws.
    package static func make(
        _ repository: Repository, snapshot: Snapshot, index: Index, layout: SnapshotLayout? = nil,
        filter: PathFilter = PathFilter(), comparing existing: [UInt8]? = nil
    ) throws(HoldfastError) -> RestorePlan {
        try repository.keyring.requireReadingData()
        let record = try snapshot.readableRecord()
        var plan = RestorePlan(
            snapshot: snapshot.id, tag: snapshot.tag, source: record.source,
            layout: layout ?? SnapshotLayout(record.roots), filter: filter)
        let packs = PackReader(store: repository.store, keyring: repository.keyring)
        let tree = try repository.makeTree(index, packs: packs)
        let walk = SnapshotWalk(tree, filter: filter, cancellation: repository.environment.cancellation)
        var seen = CopySet(index)
        var samples: [(id: ChunkID, packs: PackID)] = []
        let comparison = try existing.map { (path) throws(HoldfastError) in
            try TreeComparison(path, key: try repository.keyring.key(.dataID))
        }
        try walk.visit(plan.layout) { (step) throws(HoldfastError) in
            switch step {
            case .enter(let parts, _, let isTaken):
                if isTaken { plan.directories += 1 }
                comparison?.enter(parts)
            case .leave: comparison?.leave()
            case .damaged: plan.missing += 1
            case .entry(_, let entry):
                guard entry.metadata.kind == .file else {
                    plan.others += 1
                    break
                }
                plan.files += 1
                guard let content = entry.content else {
                    plan.missing += 1
                    break
                }
                plan.bytes.addClamped(content.size)
                if content.rule == .secret { plan.secrets += 1 }
                comparison?.open(entry.metadata)
                var pieces = PieceWalk(content, tree: tree)
                while let piece = try pieces.next() {
                    // A secret is decoded where it is needed, and no speed is measured with it.
                    try plan.add(piece, index, &seen, &samples, comparison, isSampled: content.rule != .secret)
                }
            }
            return true
        }
        plan.isCompared = comparison != nil
        try plan.measure(samples.map(\.id), try repository.makeReader(index, packs), repository.clock)
        return plan
    }

    private mutating func add(
        _ step: PieceStep, _ index: Index, _ seen: inout CopySet, _ samples: inout [(id: ChunkID, packs: PackID)],
        _ comparison: TreeComparison?, isSampled: Bool
    ) throws(HoldfastError) {
        guard case .piece(let offset, let piece) = step else {
            missing += 1
            return
        }
        guard piece.id != .zeros else {
            zeroBytes.addClamped(piece.length)
            return
        }
        if let comparison, comparison.holds(piece, at: offset) {
            bytesAlreadyThere.addClamped(piece.length)
            return
        }
        guard var link = index.find(piece.id.bytes.prefix, for: .reading) else {
            missing += 1
            return
        }
        if isSampled, samples.count < Self.samples, samples.last?.packs != link.pack || samples.count < 4 {
            samples.append((piece.id, link.pack))
        }
        chunks += 1
        if link.entry.depth > 0 { deltas += 1 }
        while true {
            if seen.insert(link) { bytesToFetch += UInt64(link.entry.stored) }
            packs.insert(link.pack)
            guard link.entry.depth > 0, let base = index.base(of: link, for: .reading) else { return }
            link = base
        }
    }

    /// Reads the sampled chunks and takes the time.
    private mutating func measure(
        _ samples: [ChunkID], _ reader: ChunkReader, _ clock: any Clock
    ) throws(HoldfastError) {
        guard !samples.isEmpty else { return }
        let start = clock.uptime()
        var bytes = 0
        for id in samples {
            do throws(HoldfastError) {
                bytes += try reader.read(id, .data).count
            } catch {
                // Damage is the restore's to name; a store that is away ends the plan as well.
                guard error.isDamage else { throw error }
            }
        }
        let taken = clock.uptime() - start
        let seconds = Double(taken.components.seconds) + Double(taken.components.attoseconds) / 1e18
        if bytes > 0, seconds > 0 { measuredRate = Double(bytes) / seconds }
    }
}

extension Repository {
    func makeReader(_ index: Index, _ packs: PackReader) throws(HoldfastError) -> ChunkReader {
        try ChunkReader(index: index, packs: packs, keyring: keyring)
    }
}

extension UInt64 {
    /// Adds, and stays at the maximum: sizes in a damaged snapshot may be anything.
    mutating func addClamped(_ other: UInt64) {
        let (sum, overflow) = addingReportingOverflow(other)
        self = overflow ? .max : sum
    }
}
