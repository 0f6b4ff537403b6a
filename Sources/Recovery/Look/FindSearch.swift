// Looks for names and paths over many snapshots, once for each directory that they share.

import Primitives
import Repository
import Workloads

/// One version of a path, and the snapshots that hold it.
package struct FoundVersion: Sendable {
    package var kind: EntryKind
    package var size: UInt64
    package var modified: Timestamp
    /// In the order in which they were searched.
    package var snapshots: [SnapshotID]
    /// Tells versions apart that have the same size and time.
    fileprivate var marks: Int
}

/// A path that matches, with its versions from the first to the last that was met.
package struct FoundPath: Sendable {
    package var path: [UInt8]
    package var versions: [FoundVersion]
}

/// A search over snapshots of one repository.
///
/// Memory: the matches, at most ``maximumMatches``, and the ids of directories without any, at most ``maximumBarren``.
/// Thread: one at a time.
package final class FindSearch {
    package static let maximumMatches = 200_000
    static let maximumBarren = 1 << 20

    private struct Barren: Hashable {
        var node: Bytes32
        /// Patterns with a slash look at the whole path.
        var path: Int
    }

    private var patterns = Exclusions()
    private let tree: SnapshotTree
    private let cancellation: Cancellation
    private let looksAtPaths: Bool
    private var barren: Set<Barren> = []
    private var matches: [[UInt8]: [FoundVersion]] = [:]
    private var count = 0
    package private(set) var damaged: [(snapshot: SnapshotID, path: [UInt8], error: HoldfastError)] = []

    /// - Parameter pattern: A glob over names, or over whole paths when it holds a slash.
    /// - Throws: `.usage` for a pattern that cannot be read.
    package init(_ pattern: [UInt8], tree: SnapshotTree, cancellation: Cancellation) throws(HoldfastError) {
        // A leading `!` is part of the name here, not a way to take back in.
        try patterns.add(pattern: pattern.first == UInt8(ascii: "!") ? [UInt8(ascii: "\\")] + pattern : pattern)
        looksAtPaths = pattern.dropLast().contains(UInt8(ascii: "/"))
        self.tree = tree
        self.cancellation = cancellation
    }

    /// Searches one snapshot more.
    ///
    /// - Throws: `.notPermitted`; `.limitExceeded` when the pattern matches too much.
    package func search(_ snapshot: Snapshot) throws(HoldfastError) {
        let layout = SnapshotLayout(try snapshot.readableRecord().roots)
        let walk = SnapshotWalk(tree, cancellation: cancellation)
        // Matches found when each open directory began.
        var open: [(key: Barren?, count: Int)] = []
        var found = 0
        try walk.visit(layout) { (step) throws(HoldfastError) in
            switch step {
            case .enter(let parts, let entry, _):
                let key = entry.tree.map { self.key($0.id, parts) }
                if try note(parts, entry, snapshot) { found += 1 }
                if let key, barren.contains(key) { return false }
                open.append((key, found))
            case .leave:
                guard let last = open.popLast(), let key = last.key, last.count == found else { break }
                if barren.count >= Self.maximumBarren { barren.removeAll(keepingCapacity: true) }
                barren.insert(key)
            case .entry(let parts, let entry):
                if try note(parts, entry, snapshot) { found += 1 }
            case .damaged(let parts, _, let error):
                // What cannot be read may hold a match.
                found += 1
                if damaged.count < RestoreResult.maximumKept {
                    damaged.append((snapshot.id, joinedPath(parts), error))
                }
            }
            return true
        }
    }

    private func key(_ node: ChunkID, _ parts: [[UInt8]]) -> Barren {
        guard looksAtPaths else { return Barren(node: node.bytes, path: 0) }
        var hasher = Hasher()
        hasher.combine(parts)
        return Barren(node: node.bytes, path: hasher.finalize())
    }

    /// Adds the thing at `parts` when it matches by itself.
    private func note(_ parts: [[UInt8]], _ entry: Entry, _ snapshot: Snapshot) throws(HoldfastError) -> Bool {
        guard !parts.isEmpty else { return false }
        let path = joinedPath(parts)
        let isDirectory = entry.metadata.kind == .directory
        guard patterns.excludes(path, isDirectory: isDirectory) else { return false }
        var hasher = Hasher()
        hasher.combine(entry.content)
        hasher.combine(entry.tree?.id)
        hasher.combine(entry.metadata.linkTarget)
        let marks = hasher.finalize()
        let metadata = entry.metadata
        var versions = matches[path] ?? []
        let known = versions.firstIndex {
            $0.marks == marks && $0.kind == metadata.kind && $0.modified == metadata.modified
        }
        if let known {
            if versions[known].snapshots.last != snapshot.id { versions[known].snapshots.append(snapshot.id) }
        } else {
            versions.append(
                FoundVersion(
                    kind: metadata.kind, size: entry.content?.size ?? metadata.size, modified: metadata.modified,
                    snapshots: [snapshot.id], marks: marks))
        }
        matches[path] = versions
        count += 1
        guard count <= Self.maximumMatches else {
            throw HoldfastError(
                .limitExceeded, "the pattern matches more than \(Self.maximumMatches) times",
                hint: "Use a narrower pattern, or search one snapshot with --snapshot.")
        }
        return true
    }

    /// What was found, in order of path.
    package var results: [FoundPath] {
        matches.map { FoundPath(path: $0.key, versions: $0.value) }
            .sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }
}
