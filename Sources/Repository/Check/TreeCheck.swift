// Walks the trees of all snapshots once, then names the paths that damage hurts.

import ObjectStore
import Primitives
import Sealing

/// Every chunk that a snapshot needs is in the index, in a pack that is there, with its bases.
///
/// The first pass visits each node once, whatever the number of snapshots, and remembers the nodes below which
/// something is bad. The second goes, snapshot by snapshot, into those alone, and gathers paths.
///
/// Memory: sixteen bytes for each node. Thread: one at a time.
final class TreeCheck {
    /// Deeper directories are reported instead of followed: the walk uses the stack.
    static let maximumDepth = SnapshotTree.maximumDepth

    let collector: CheckCollector
    let objects: CheckedObjects
    let index: CheckedIndex
    let guessed: Set<PackID>
    private let reader: NodeReader
    private(set) var standing: ChunkStanding
    private var visited: Set<Bytes16> = []
    /// Nodes that are bad, or below which something is.
    private var dirty: Set<Bytes16> = []
    /// Nodes that do not read, whatever the index says, with the packs to blame.
    private var badNodes: [Bytes16: Set<PackID>] = [:]
    private var nodeFaults: [PackID: (count: Int, message: String)] = [:]
    private var used: [[Bool]]
    private var references: UInt64 = 0
    private var unpermitted = 0

    init(
        _ collector: CheckCollector, objects: CheckedObjects, index: CheckedIndex, packs: PackPass.Outcome,
        keyring: Keyring
    ) throws(HoldfastError) {
        self.collector = collector
        self.objects = objects
        self.index = index
        guessed = packs.guessed
        let runs = index.live.compactMap(\.loaded)
        standing = ChunkStanding(runs, badPacks: packs.badPacks, badCopies: packs.badCopies)
        reader = try NodeReader(
            collector, index: standing.makeIndex(badPacks: packs.badPacks), keyring: keyring)
        used = runs.map { [Bool](repeating: false, count: $0.run.packs.count) }
    }

    func run() throws(HoldfastError) {
        var bad: [CheckedSnapshot] = []
        collector.progress.enter(.checking, itemsTotal: UInt64(objects.snapshots.count))
        for snapshot in objects.snapshots {
            guard let record = snapshot.record else { continue }
            var isBad = false
            for root in record.roots where try isDirty(root.entry, depth: 0) { isBad = true }
            if isBad { bad.append(snapshot) }
            collector.progress.add(items: 1)
        }
        report()
        let paths = DamagePaths(self, limit: collector.options.pathsPerObject)
        for snapshot in bad { try paths.gather(snapshot) }
        paths.attach(to: collector)
    }

    private func report() {
        let (references, nodes) = (references, UInt64(visited.count))
        collector.count { counts in
            counts.references = references
            counts.nodes = nodes
        }
        for (pack, fault) in nodeFaults {
            collector.add(
                .error, .damaged, ObjectNames.pack(pack).path, "\(fault.count) nodes in it are bad: \(fault.message)")
        }
        let unread = objects.snapshots.count { $0.record == nil }
        if unread > 0 || unpermitted > 0 {
            collector.setIncomplete()
            collector.add(
                .info, .notDecoded, "snapshots",
                "the trees of \(unread) snapshots and \(unpermitted) nodes cannot be opened with this key")
        }
        reportUnreferenced()
    }

    private func reportUnreferenced() {
        var seen: Set<PackID> = []
        var needed: Set<PackID> = []
        for (number, run) in standing.runs.enumerated() {
            for (place, pack) in run.run.packs.enumerated() where objects.packs[pack.id] != nil {
                seen.insert(pack.id)
                if used[number][place] { needed.insert(pack.id) }
            }
        }
        // Without every tree nobody can tell what is needed.
        guard objects.snapshots.allSatisfy({ $0.record != nil }), unpermitted == 0, dirty.isEmpty else { return }
        let rest = seen.subtracting(needed)
        guard !rest.isEmpty else { return }
        let bytes = ByteCount(rest.reduce(UInt64(0)) { $0 + (objects.packs[$1]?.size ?? 0) })
        collector.add(.info, .unreferenced, "packs", "\(rest.count) packs are needed by no snapshot (\(bytes))")
    }

    // MARK: - The first pass

    private func isDirty(_ entry: Entry, depth: Int) throws(HoldfastError) -> Bool {
        var isBad = false
        if let content = entry.content, try isDirty(content) { isBad = true }
        if let tree = entry.tree, try isDirty(tree, depth: depth) { isBad = true }
        return isBad
    }

    private func isDirty(_ content: Content) throws(HoldfastError) -> Bool {
        switch content.location {
        case .inline(let pieces):
            var isBad = false
            for piece in pieces where !isGood(piece.id) { isBad = true }
            return isBad
        case .tree(let node): return try isDirty(node, of: content)
        }
    }

    private func isDirty(_ reference: NodeReference, of content: Content) throws(HoldfastError) -> Bool {
        let key = reference.id.bytes.prefix
        guard visited.insert(key).inserted else { return dirty.contains(key) }
        var isBad = !isGood(reference.id)
        if !isBad,
            let node = try read(
                reference.id, { () throws(HoldfastError) in try reader.contentNode(reference, of: content) })
        {
            for piece in node.pieces where piece.id != .zeros {
                if reference.level == 0 {
                    if !isGood(piece.id) { isBad = true }
                } else if try isDirty(NodeReference(id: piece.id, level: reference.level - 1), of: content) {
                    isBad = true
                }
            }
        }
        if isBad || badNodes[key] != nil { dirty.insert(key) }
        return dirty.contains(key)
    }

    private func isDirty(_ reference: NodeReference, depth: Int) throws(HoldfastError) -> Bool {
        let key = reference.id.bytes.prefix
        guard visited.insert(key).inserted else { return dirty.contains(key) }
        var isBad = !isGood(reference.id)
        if depth > Self.maximumDepth {
            badNodes[key] = []
        } else if !isBad,
            let node = try read(reference.id, { () throws(HoldfastError) in try reader.directoryNode(reference) })
        {
            switch node.items {
            case .entries(let entries):
                for entry in entries where try isDirty(entry, depth: depth + 1) { isBad = true }
            case .children(let level, let children):
                for child in children {
                    if try isDirty(NodeReference(id: child.id, level: level - 1), depth: depth) { isBad = true }
                }
            }
        }
        if isBad || badNodes[key] != nil { dirty.insert(key) }
        return dirty.contains(key)
    }

    /// Whether the index leads to a copy of the chunk with all its bases.
    private func isGood(_ id: ChunkID) -> Bool {
        guard id != .zeros else { return true }
        references += 1
        return standing.resolve(id.bytes.prefix) { run, pack in used[run][pack] = true }
    }

    /// Reads a node; nil when it is bad, which is remembered, or when this key may not read it.
    private func read<Node>(
        _ id: ChunkID, _ body: () throws(HoldfastError) -> Node
    ) throws(HoldfastError) -> Node? {
        try collector.cancellation.check()
        do throws(HoldfastError) {
            return try body()
        } catch {
            if error.code == .interrupted { throw error }
            guard error.code != .notPermitted else {
                unpermitted += 1
                return nil
            }
            let packs = Set(reader.packs(of: id))
            badNodes[id.bytes.prefix] = packs
            for pack in packs { nodeFaults[pack, default: (0, error.message)].count += 1 }
            return nil
        }
    }

    // MARK: - For the second pass

    func isDirty(_ id: ChunkID) -> Bool { dirty.contains(id.bytes.prefix) }

    /// The objects because of which the chunk itself does not read; empty when it does.
    func culprits(of id: ChunkID, in snapshot: CheckedSnapshot) -> Set<String> {
        guard id != .zeros else { return [] }
        let key = id.bytes.prefix
        if let packs = badNodes[key] {
            return packs.isEmpty ? [snapshot.key.path] : Set(packs.map { ObjectNames.pack($0).path })
        }
        if standing.resolve(key) { return [] }
        let packs = standing.culprits(key)
        if !packs.isEmpty { return Set(packs.map { ObjectNames.pack($0).path }) }
        // No run knows the chunk: one that the snapshot names and that is damaged or missing would.
        let lost = snapshot.object.runs.filter { run in
            index.damaged.contains(run) || objects.runs[run] == nil && !index.superseded.contains(run)
        }
        return lost.isEmpty ? ["index"] : Set(lost.map { ObjectNames.indexRun($0).path })
    }

    func contentNode(_ reference: NodeReference, of content: Content) throws(HoldfastError) -> ContentNode {
        try reader.contentNode(reference, of: content)
    }

    func directoryNode(_ reference: NodeReference) throws(HoldfastError) -> DirectoryNode {
        try reader.directoryNode(reference)
    }
}
