// Finding things in a snapshot by their paths, below the places that its roots have.

import Primitives
import Repository
import Workloads

/// One snapshot as one tree.
///
/// Thread: one at a time.
package final class SnapshotView {
    /// What stands at a path.
    package enum Node: Sendable {
        case entry([[UInt8]], Entry)
        /// A directory that no backup read: it only holds the places of several roots.
        case holder([[UInt8]])
    }

    package let snapshot: Snapshot
    package let record: SnapshotRecord
    package let layout: SnapshotLayout
    package let tree: SnapshotTree

    /// - Throws: `.notPermitted` when this key may not read the snapshot's structure.
    package init(_ snapshot: Snapshot, tree: SnapshotTree) throws(HoldfastError) {
        self.snapshot = snapshot
        record = try snapshot.readableRecord()
        layout = SnapshotLayout(record.roots)
        self.tree = tree
    }

    /// The thing at `parts`.
    ///
    /// - Throws: `.pathNotFound`.
    package func node(at parts: [[UInt8]]) throws(HoldfastError) -> Node {
        // Of roots within roots the innermost is meant.
        let roots = layout.roots.filter { parts.starts(with: $0.place) }
        if let placed = roots.max(by: { $0.place.count < $1.place.count }) {
            let rest = Array(parts.dropFirst(placed.place.count))
            if let found = try tree.entry(at: rest, below: placed.root.entry) {
                return .entry(parts, named(found, parts))
            }
        }
        if layout.roots.contains(where: { $0.place.starts(with: parts) }) || parts.isEmpty { return .holder(parts) }
        throw HoldfastError(
            .pathNotFound, "\(printablePath(joinedPath(parts))) is not in snapshot \(snapshot.id)",
            hint: "`holdfast ls` shows what is; paths are relative to the snapshot's root.")
    }

    /// Roots carry no name of their own; they get that of their place.
    private func named(_ entry: Entry, _ parts: [[UInt8]]) -> Entry {
        guard entry.metadata.name.isEmpty, let name = parts.last else { return entry }
        var entry = entry
        entry.metadata.name = name
        return entry
    }

    /// Visits what is at `parts`: a thing that is no directory itself, else what is in the directory, and with
    /// `recursive` all below it. Damage goes to `damaged`, and the rest goes on.
    package func list(
        _ parts: [[UInt8]], recursive: Bool, cancellation: Cancellation,
        damaged: ([[UInt8]], HoldfastError) throws(HoldfastError) -> Void,
        _ visit: ([[UInt8]], Entry) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let walk = SnapshotWalk(tree, cancellation: cancellation)
        func step(_ top: Int, _ step: WalkStep) throws(HoldfastError) -> Bool {
            switch step {
            case .enter(let at, let entry, _):
                if at.count > top { try visit(at, named(entry, at)) }
                return recursive || at.count == top
            case .entry(let at, let entry): try visit(at, named(entry, at))
            case .damaged(let at, _, let error): try damaged(at, error)
            case .leave: break
            }
            return true
        }
        switch try node(at: parts) {
        case .entry(let at, let entry):
            try walk.walk(at, entry) { (next) throws(HoldfastError) in try step(at.count, next) }
        case .holder(let at):
            var seen: Set<[UInt8]> = []
            for placed in layout.roots where placed.place.starts(with: at) {
                if placed.place.count > at.count + 1 {
                    let name = placed.place[at.count]
                    if seen.insert(name).inserted {
                        try visit(at + [name], Entry(EntryMetadata(name: name, kind: .directory)))
                    }
                    guard recursive else { continue }
                }
                try walk.walk(placed.place, placed.root.entry) { (next) throws(HoldfastError) in
                    try step(at.count, next)
                }
            }
        }
    }
}
