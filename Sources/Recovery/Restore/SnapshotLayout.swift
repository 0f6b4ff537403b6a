// Where the roots of a snapshot stand when it is looked at or restored: one tree, whatever was backed up.

import Primitives
import Repository
import Workloads

/// A root of a snapshot with its place below the target.
package struct PlacedRoot: Sendable, Hashable {
    /// Empty for a root whose contents go straight into the target.
    package var place: [[UInt8]]
    package var root: SnapshotRoot
}

/// The roots of a snapshot as one tree.
///
/// A single directory gives its contents; a single file stands under its name. Of several roots each stands under the
/// last part of its path, and under the whole path when last parts clash.
package struct SnapshotLayout: Sendable, Hashable {
    package let roots: [PlacedRoot]
    /// Whether a root lies within another, so that a path can come twice.
    package let overlaps: Bool

    package init(_ roots: [SnapshotRoot]) {
        if roots.count == 1, roots[0].entry.metadata.kind == .directory {
            self.roots = [PlacedRoot(place: [], root: roots[0])]
            overlaps = false
            return
        }
        let names = roots.map { root -> [[UInt8]] in
            let parts = pathParts(root.path)
            // The name of a stream may hold slashes of its own.
            return roots.count == 1 && root.path.first != UInt8(ascii: "/") ? parts : Array(parts.suffix(1))
        }
        var seen: [[[UInt8]]: Int] = [:]
        for name in names { seen[name, default: 0] += 1 }
        var placed = zip(roots, names).map { root, name in
            let isAlone = seen[name] == 1 && !name.isEmpty
            return PlacedRoot(place: isAlone ? name : pathParts(root.path), root: root)
        }
        if Self.nested(placed) {
            placed = roots.map { PlacedRoot(place: pathParts($0.path), root: $0) }
        }
        self.roots = placed
        overlaps = Self.nested(placed)
    }

    /// Where each root stands when all are restored into `directory`, by the roots' paths.
    func places(below directory: String) -> [[UInt8]: String] {
        var places: [[UInt8]: String] = [:]
        for placed in roots {
            let below = placed.place.map { "/" + String(decoding: $0, as: UTF8.self) }.joined()
            places[placed.root.path] = directory + below
        }
        return places
    }

    private static func nested(_ placed: [PlacedRoot]) -> Bool {
        let sorted = placed.map(\.place).sorted { a, b in a.lexicographicallyPrecedes(b, by: before) }
        // In this order whatever lies within a place comes right after it.
        return zip(sorted, sorted.dropFirst()).contains { $1.starts(with: $0) }
    }

    private static func before(_ a: [UInt8], _ b: [UInt8]) -> Bool { a.lexicographicallyPrecedes(b) }
}

extension Snapshot {
    /// What the snapshot says of itself.
    ///
    /// - Throws: `.notPermitted` when this key may not read it.
    package func readableRecord() throws(HoldfastError) -> SnapshotRecord {
        guard let record else {
            throw HoldfastError(
                .notPermitted, "this key may not read snapshot \(id)",
                hint: "Use the key that wrote it, or one with the role restorer or admin.")
        }
        return record
    }
}
