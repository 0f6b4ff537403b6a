// The second walk of a check: into damaged parts of snapshots alone, gathering the paths that are hurt.

import ObjectStore
import Primitives

/// Paths by the object that is to blame.
///
/// Memory: the paths that are kept. Thread: one at a time.
final class DamagePaths {
    private let trees: TreeCheck
    private let limit: Int
    private var damage: [String: CheckDamage] = [:]

    init(_ trees: TreeCheck, limit: Int) {
        self.trees = trees
        self.limit = limit
    }

    func gather(_ snapshot: CheckedSnapshot) throws(HoldfastError) {
        for root in snapshot.record?.roots ?? [] { try gather(root.entry, root.path, snapshot) }
    }

    /// Adds what is hurt to the findings, and findings for objects that had none.
    func attach(to collector: CheckCollector) {
        let known = Set(collector.report().findings(.error).map(\.object))
        for (object, hurt) in damage where !known.contains(object) {
            let what = object == "index" ? "chunks are in no index run" : "chunks in it cannot be resolved by the index"
            collector.add(.error, .chunkMissing, object, "\(what); \(hurt.pathCount) paths need them")
        }
        for (object, _) in damage {
            damage[object]?.snapshots.sort()
            if let name = ObjectKey(object).flatMap(ObjectNames.packID), trees.guessed.contains(name) {
                damage[object]?.isGuess = true
            }
        }
        collector.attach(damage)
    }

    private func note(_ objects: Set<String>, _ path: [UInt8], _ snapshot: CheckedSnapshot) {
        for object in objects {
            var hurt = damage[object] ?? CheckDamage()
            let id = snapshot.object.id
            if hurt.snapshots.last != id { hurt.snapshots.append(id) }
            hurt.pathCount += 1
            if hurt.paths.count < limit { hurt.paths.append(HurtPath(snapshot: id, path: path)) }
            damage[object] = hurt
        }
    }

    private func gather(
        _ entry: Entry, _ path: [UInt8], _ snapshot: CheckedSnapshot
    ) throws(HoldfastError) {
        try trees.collector.cancellation.check()
        if let content = entry.content {
            var objects: Set<String> = []
            switch content.location {
            case .inline(let pieces):
                for piece in pieces { objects.formUnion(trees.culprits(of: piece.id, in: snapshot)) }
            case .tree(let node): try gather(node, of: content, snapshot, &objects)
            }
            note(objects, path, snapshot)
        }
        if let tree = entry.tree, trees.isDirty(tree.id) { try gather(tree, path, snapshot) }
    }

    private func gather(
        _ reference: NodeReference, of content: Content, _ snapshot: CheckedSnapshot, _ objects: inout Set<String>
    ) throws(HoldfastError) {
        guard trees.isDirty(reference.id) else { return }
        let own = trees.culprits(of: reference.id, in: snapshot)
        guard own.isEmpty else {
            objects.formUnion(own)
            return
        }
        for piece in try trees.contentNode(reference, of: content).pieces where piece.id != .zeros {
            if reference.level == 0 {
                objects.formUnion(trees.culprits(of: piece.id, in: snapshot))
            } else {
                try gather(NodeReference(id: piece.id, level: reference.level - 1), of: content, snapshot, &objects)
            }
        }
    }

    /// A directory whose node does not read stands for all that is below it.
    private func gather(
        _ reference: NodeReference, _ path: [UInt8], _ snapshot: CheckedSnapshot
    ) throws(HoldfastError) {
        let own = trees.culprits(of: reference.id, in: snapshot)
        guard own.isEmpty else { return note(own, path, snapshot) }
        switch try trees.directoryNode(reference).items {
        case .entries(let entries):
            for entry in entries { try gather(entry, path + [UInt8(ascii: "/")] + entry.metadata.name, snapshot) }
        case .children(let level, let children):
            for child in children where trees.isDirty(child.id) {
                try gather(NodeReference(id: child.id, level: level - 1), path, snapshot)
            }
        }
    }
}
