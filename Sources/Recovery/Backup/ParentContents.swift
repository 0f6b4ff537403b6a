// What the parent snapshot holds of the things that a backup reads.

import Primitives
import Repository

/// The chunks of a page file in the parent snapshot, block by block.
final class ParentPieces {
    private let cursor: ContentCursor?
    private var isBroken = false

    init(_ content: Content?, tree: SnapshotTree?) {
        if let content, content.rule == .pages, content.blockShift == Content.pageBlockShift, let tree {
            cursor = ContentCursor(content, tree: tree)
        } else {
            cursor = nil
        }
    }

    /// The chunk of the next block; zeros past the end, or when the parent's list cannot be read.
    func next() -> ChunkID {
        guard let cursor, !isBroken else { return .zeros }
        do throws(HoldfastError) {
            return try cursor.next()?.id ?? .zeros
        } catch {
            isBroken = true
            return .zeros
        }
    }

    func skip(_ length: UInt64) throws(HoldfastError) {
        for _ in 0..<(length >> UInt64(Content.pageBlockShift)) { _ = next() }
    }
}

/// The entries of a directory in the parent snapshot, asked for in ascending order of names.
final class ParentEntries {
    private let cursor: EntryCursor?
    private var current: Entry?
    private var isOver = false

    init(_ tree: NodeReference?, tree reader: SnapshotTree?) {
        if let tree, let reader { cursor = EntryCursor(tree, tree: reader) } else { cursor = nil }
    }

    /// The entry called `name`; nil when there is none, or when the parent's directory cannot be read.
    func entry(_ name: [UInt8]) -> Entry? {
        guard let cursor, !isOver else { return nil }
        do throws(HoldfastError) {
            while true {
                if current == nil { current = try cursor.next() }
                guard let entry = current else {
                    isOver = true
                    return nil
                }
                if entry.metadata.name == name {
                    current = nil
                    return entry
                }
                if name.lexicographicallyPrecedes(entry.metadata.name) { return nil }
                current = nil
            }
        } catch {
            isOver = true
            return nil
        }
    }
}

/// The files of a root in the parent snapshot, asked for in any order.
///
/// Keeps the entries of the directory that was asked for last, since streams come by directories.
final class ParentFiles {
    /// Larger directories are searched for each file, so that memory stays bounded.
    private static let mostKept = 100_000

    private let root: Entry?
    private let tree: SnapshotTree?
    private var directory: [[UInt8]]?
    private var kept: [[UInt8]: Entry]?

    init(_ root: Entry?, tree: SnapshotTree?) {
        self.root = root
        self.tree = tree
    }

    /// The entry at `parts`; nil when there is none, or when the parent's directories cannot be read.
    func entry(at parts: [[UInt8]]) -> Entry? {
        do throws(HoldfastError) {
            return try find(parts)
        } catch {
            return nil
        }
    }

    /// The entry at `parts`; nil when there is none.
    ///
    /// - Throws: what reading the parent's directories throws.
    func find(_ parts: [[UInt8]]) throws(HoldfastError) -> Entry? {
        guard let root, let tree else { return nil }
        guard let name = parts.last else { return root }
        let path = Array(parts.dropLast())
        if directory != path {
            directory = nil
            kept = [:]
            guard let found = try tree.entry(at: path, below: root)?.tree else {
                directory = path
                return nil
            }
            let cursor = EntryCursor(found, tree: tree)
            var entries: [[UInt8]: Entry] = [:]
            while let entry = try cursor.next() {
                entries[entry.metadata.name] = entry
                if entries.count > Self.mostKept { break }
            }
            kept = entries.count > Self.mostKept ? nil : entries
            directory = path
        }
        return if let kept { kept[name] } else { try tree.entry(at: parts, below: root) }
    }
}
