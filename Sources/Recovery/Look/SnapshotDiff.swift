// What changed between two snapshots. Directories with the same node are equal and are not read.

import Primitives
import Repository
import Workloads

/// One difference.
package struct PathChange: Sendable {
    package enum Kind: String, Sendable {
        case added, removed
        /// Another kind of thing stands there.
        case type
        /// Other bytes, or another target of a link.
        case content
        /// The same bytes with other owners, modes, times or attributes.
        case metadata
    }

    package var path: [UInt8]
    package var kind: Kind
    package var before: EntryMetadata?
    package var after: EntryMetadata?
    /// Of snapshots of vaults: what is said differently of a secret or a version.
    package var secret: SecretDifference?
}

/// Sums of a comparison.
package struct DiffSummary: Sendable, Hashable {
    package var added: UInt64 = 0
    package var removed: UInt64 = 0
    package var type: UInt64 = 0
    package var content: UInt64 = 0
    package var metadata: UInt64 = 0
    /// Content of what was added, and of what was removed; changed files count in both by their size.
    package var bytesAdded: UInt64 = 0
    package var bytesRemoved: UInt64 = 0

    package init() {}

    fileprivate mutating func add(_ change: PathChange) {
        switch change.kind {
        case .added: added += 1
        case .removed: removed += 1
        case .type: type += 1
        case .content: content += 1
        case .metadata: metadata += 1
        }
        guard change.kind != .metadata else { return }
        bytesAdded.addClamped(change.after?.size ?? 0)
        bytesRemoved.addClamped(change.before?.size ?? 0)
    }
}

/// Compares two snapshots by their trees.
///
/// Memory: a node of each level of both trees. Thread: one at a time.
package struct SnapshotDiff {
    /// Differences of owner, mode, times and attributes count as well; those in what is said of a secret always do.
    package var includesMetadata = false
    private let tree: SnapshotTree
    private let cancellation: Cancellation

    package init(tree: SnapshotTree, cancellation: Cancellation) {
        self.tree = tree
        self.cancellation = cancellation
    }

    /// Visits what differs, in order of path within each root.
    ///
    /// - Throws: `.notPermitted`; `.corruptObject` or `.objectMissing` when a node that must be read cannot be.
    package func compare(
        _ before: Snapshot, _ after: Snapshot, _ visit: (PathChange) throws(HoldfastError) -> Void
    ) throws(HoldfastError) -> DiffSummary {
        let (first, second) = (try before.readableRecord(), try after.readableRecord())
        let (old, new) = (SnapshotLayout(first.roots).roots, SnapshotLayout(second.roots).roots)
        let (ofVault, intoVault) = (first.workload == VaultWorkload.kind, second.workload == VaultWorkload.kind)
        var summary = DiffSummary()
        func note(_ change: PathChange) throws(HoldfastError) {
            var change = change
            change.secret = try SecretDifference(
                ofVault ? change.before : nil, intoVault ? change.after : nil)
            if change.kind == .metadata, !includesMetadata, change.secret?.isEmpty != false { return }
            summary.add(change)
            try visit(change)
        }
        let places = Set(old.map(\.place)).union(new.map(\.place)).sorted {
            $0.lexicographicallyPrecedes($1) { $0.lexicographicallyPrecedes($1) }
        }
        for place in places {
            let first = old.first { $0.place == place }?.root.entry
            let second = new.first { $0.place == place }?.root.entry
            try pair(place, first, second, note)
        }
        return summary
    }

    private func pair(
        _ parts: [[UInt8]], _ before: Entry?, _ after: Entry?,
        _ note: (PathChange) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try cancellation.check()
        guard parts.count <= SnapshotWalk.maximumDepth else {
            throw HoldfastError(
                .limitExceeded, "directories are nested deeper than \(SnapshotWalk.maximumDepth) levels",
                hint: "The snapshot is damaged.")
        }
        if let kind = Self.change(before, after), !parts.isEmpty || kind != .added && kind != .removed {
            try note(
                PathChange(path: joinedPath(parts), kind: kind, before: before?.shown, after: after?.shown))
        }
        guard before?.tree != nil || after?.tree != nil, before?.tree != after?.tree else { return }
        try children(parts, before?.tree, after?.tree, note)
    }

    private func children(
        _ parts: [[UInt8]], _ before: NodeReference?, _ after: NodeReference?,
        _ note: (PathChange) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let old = before.map { EntryCursor($0, tree: tree) }
        let new = after.map { EntryCursor($0, tree: tree) }
        var first = try old?.next()
        var second = try new?.next()
        while first != nil || second != nil {
            // The name that comes first in the order of bytes, from either side or from both.
            let names = [first, second].compactMap { $0?.metadata.name }
            guard let name = names.min(by: { $0.lexicographicallyPrecedes($1) }) else { break }
            let a = first?.metadata.name == name ? first : nil
            let b = second?.metadata.name == name ? second : nil
            try pair(parts + [name], a, b, note)
            if a != nil { first = try old?.next() }
            if b != nil { second = try new?.next() }
        }
    }

    /// What kind of difference two entries of one path have; nil for none.
    private static func change(_ before: Entry?, _ after: Entry?) -> PathChange.Kind? {
        guard let before else { return after == nil ? nil : .added }
        guard let after else { return .removed }
        guard before.metadata.kind == after.metadata.kind else { return .type }
        if before.content != after.content || before.metadata.linkTarget != after.metadata.linkTarget
            || before.metadata.deviceNumber != after.metadata.deviceNumber
        {
            return .content
        }
        return comparable(before.metadata) == comparable(after.metadata) ? nil : .metadata
    }

    /// Without what the file system numbers by itself.
    private static func comparable(_ metadata: EntryMetadata) -> EntryMetadata {
        var metadata = metadata
        metadata.inode = 0
        metadata.device = 0
        metadata.changed = Timestamp(nanoseconds: 0)
        metadata.size = 0
        if metadata.kind == .directory { metadata.links = 0 }
        return metadata
    }
}

extension Entry {
    /// The metadata with the size of the content that was stored.
    fileprivate var shown: EntryMetadata {
        var shown = metadata
        if let content { shown.size = content.size }
        return shown
    }
}
