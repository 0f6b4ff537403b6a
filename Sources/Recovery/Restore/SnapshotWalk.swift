// Walks the tree of a snapshot, parents before their children, one node of each level in memory.

import Primitives
import Repository
import Workloads

/// What a walk tells of.
package enum WalkStep: Sendable {
    /// A directory begins; `isTaken` is false when it is only passed through to what a filter takes within.
    case enter([[UInt8]], Entry, isTaken: Bool)
    /// The directory ends.
    case leave([[UInt8]], Entry)
    /// Anything else.
    case entry([[UInt8]], Entry)
    /// A directory whose list cannot be read, or not to its end.
    case damaged([[UInt8]], Entry, HoldfastError)
}

/// Goes through a snapshot in order of names.
///
/// Thread: one at a time.
package struct SnapshotWalk {
    /// Directories nested deeper are not followed: a hostile snapshot must not exhaust the stack.
    package static let maximumDepth = 512

    private let tree: SnapshotTree
    private let filter: PathFilter
    private let cancellation: Cancellation

    package init(_ tree: SnapshotTree, filter: PathFilter = PathFilter(), cancellation: Cancellation) {
        self.tree = tree
        self.filter = filter
        self.cancellation = cancellation
    }

    /// Visits all roots of `layout`. `visit` answers an `enter` with whether to go into the directory.
    ///
    /// - Throws: what `visit` throws, and failures of the store that are no damage of the snapshot.
    package func visit(
        _ layout: SnapshotLayout, _ visit: (WalkStep) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        for placed in layout.roots { try walk(placed.place, placed.root.entry, visit) }
    }

    /// Visits `entry`, which stands at `parts`, and all below it.
    package func walk(
        _ parts: [[UInt8]], _ entry: Entry, _ visit: (WalkStep) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        try cancellation.check()
        let isDirectory = entry.metadata.kind == .directory
        var isTaken = true
        if !filter.isEmpty, !parts.isEmpty {
            let path = Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
            switch filter.decision(path, isDirectory: isDirectory) {
            case .include: break
            case .excludeAll: return
            case .descend: isTaken = false
            }
        } else if !filter.isEmpty {
            isTaken = filter.decision([], isDirectory: true) == .include
        }
        guard isDirectory else {
            if isTaken { _ = try visit(.entry(parts, entry)) }
            return
        }
        guard try visit(.enter(parts, entry, isTaken: isTaken)) else { return }
        if let node = entry.tree {
            try walkNode(node, parts, entry, visit)
        } else {
            _ = try visit(.damaged(parts, entry, Self.noList(parts)))
        }
        _ = try visit(.leave(parts, entry))
    }

    private func walkNode(
        _ reference: NodeReference, _ parts: [[UInt8]], _ entry: Entry,
        _ visit: (WalkStep) throws(HoldfastError) -> Bool
    ) throws(HoldfastError) {
        let node: DirectoryNode
        do throws(HoldfastError) {
            guard parts.count < Self.maximumDepth else { throw Self.tooDeep(parts) }
            node = try tree.directoryNode(reference)
        } catch {
            guard error.isDamage else { throw error }
            _ = try visit(.damaged(parts, entry, error))
            return
        }
        switch node.items {
        case .entries(let entries):
            guard reference.level == 0 else {
                _ = try visit(.damaged(parts, entry, Self.wrongLevel(reference)))
                return
            }
            for child in entries { try walk(parts + [child.metadata.name], child, visit) }
        case .children(let level, let children):
            guard reference.level == level else {
                _ = try visit(.damaged(parts, entry, Self.wrongLevel(reference)))
                return
            }
            for child in children {
                try walkNode(NodeReference(id: child.id, level: level - 1), parts, entry, visit)
            }
        }
    }

    private static func noList(_ parts: [[UInt8]]) -> HoldfastError {
        HoldfastError(.corruptObject, "a directory of the snapshot has no list", hint: "Run `holdfast check`.")
    }

    private static func wrongLevel(_ reference: NodeReference) -> HoldfastError {
        HoldfastError(
            .corruptObject, "node \(reference.id) is of another level than its parent says",
            hint: "Run `holdfast check`.")
    }

    private static func tooDeep(_ parts: [[UInt8]]) -> HoldfastError {
        HoldfastError(
            .limitExceeded, "directories are nested deeper than \(maximumDepth) levels",
            hint: "Restore a part of the snapshot with `--include`.")
    }
}

extension HoldfastError {
    /// Whether something stored is bad or gone, so that the rest can still be read; everything else ends the work.
    var isDamage: Bool {
        switch code {
        case .corruptObject, .objectMissing, .unsupportedFormat, .limitExceeded: true
        default: false
        }
    }
}
