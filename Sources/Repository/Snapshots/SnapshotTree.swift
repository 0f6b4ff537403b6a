// Walking the trees of a snapshot: directories node by node, contents leaf by leaf.

import Primitives

/// Reads the nodes of snapshots.
///
/// Memory: one node of each level at a time, and the few of directories that entries were last looked up in. Thread:
/// one at a time; make one per thread.
package final class SnapshotTree {
    /// Deeper directories are reported instead of followed: walks use the stack.
    package static let maximumDepth = 1024

    private let chunks: ChunkReader
    /// Those that entries were last looked up in, newest first: lookups come in the order of paths, and to decode a
    /// node with hundreds of entries for each of them takes longer than anything else.
    private var lookedUp: [(id: ChunkID, node: DirectoryNode)] = []
    private static let keptNodes = 4

    package init(_ chunks: ChunkReader) { self.chunks = chunks }

    /// Visits the entries of a directory in order of their names.
    ///
    /// - Throws: what `visit` throws; `.corruptObject` or `.objectMissing` for a node that cannot be read.
    package func entries(
        of tree: NodeReference, _ visit: (Entry) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let node = try directoryNode(tree)
        switch node.items {
        case .entries(let entries):
            guard tree.level == 0 else { throw wrongLevel(tree) }
            for entry in entries { try visit(entry) }
        case .children(let level, let children):
            guard tree.level == level else { throw wrongLevel(tree) }
            for child in children {
                try entries(of: NodeReference(id: child.id, level: level - 1), visit)
            }
        }
    }

    /// The entry called `name` in a directory, found without reading the whole of it; nil when there is none.
    package func entry(_ name: [UInt8], in tree: NodeReference) throws(HoldfastError) -> Entry? {
        let node = try lookupNode(tree)
        switch node.items {
        case .entries(let entries):
            guard tree.level == 0 else { throw wrongLevel(tree) }
            return entries.first { $0.metadata.name == name }
        case .children(let level, let children):
            guard tree.level == level else { throw wrongLevel(tree) }
            guard let child = children.last(where: { !name.lexicographicallyPrecedes($0.firstName) }) else {
                return nil
            }
            return try entry(name, in: NodeReference(id: child.id, level: level - 1))
        }
    }

    private func lookupNode(_ reference: NodeReference) throws(HoldfastError) -> DirectoryNode {
        if let place = lookedUp.firstIndex(where: { $0.id == reference.id }) {
            let found = lookedUp.remove(at: place)
            lookedUp.insert(found, at: 0)
            return found.node
        }
        let node = try directoryNode(reference)
        lookedUp.insert((reference.id, node), at: 0)
        if lookedUp.count > Self.keptNodes { lookedUp.removeLast() }
        return node
    }

    /// The entry at `path` below `root`, part by part; nil when there is none.
    package func entry(at path: [[UInt8]], below root: Entry) throws(HoldfastError) -> Entry? {
        var current = root
        for part in path {
            guard let tree = current.tree, let next = try entry(part, in: tree) else { return nil }
            current = next
        }
        return current
    }

    /// Visits the pieces of a content in order, with the offset of each.
    package func pieces(
        of content: Content, _ visit: (_ offset: UInt64, ContentPiece) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let cursor = ContentCursor(content, tree: self)
        var offset: UInt64 = 0
        while let piece = try cursor.next() {
            try visit(offset, piece)
            offset += piece.length
        }
        guard offset == content.size else {
            throw HoldfastError(
                .corruptObject, "the pieces of a file add up to \(offset) bytes instead of \(content.size)",
                hint: "Run `holdfast check`.")
        }
    }

    /// Visits every node of a tree with its id, directories and contents, children after their parents.
    ///
    /// `isNew` is asked before a node is read; nodes for which it says no are passed over with all below them.
    package func walk(
        _ entry: Entry, isNew: (ChunkID) -> Bool, chunk: (ChunkID, ContentClass) throws(HoldfastError) -> Void,
        failure: (Entry, ChunkID, HoldfastError) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try walk(entry, depth: 0, isNew, chunk, failure)
    }

    private func walk(
        _ entry: Entry, depth: Int, _ isNew: (ChunkID) -> Bool,
        _ chunk: (ChunkID, ContentClass) throws(HoldfastError) -> Void,
        _ failure: (Entry, ChunkID, HoldfastError) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        if let content = entry.content { try walk(content, of: entry, isNew, chunk, failure) }
        if let tree = entry.tree { try walk(tree, of: entry, depth: depth, isNew, chunk, failure) }
    }

    private func walk(
        _ tree: NodeReference, of entry: Entry, depth: Int, _ isNew: (ChunkID) -> Bool,
        _ chunk: (ChunkID, ContentClass) throws(HoldfastError) -> Void,
        _ failure: (Entry, ChunkID, HoldfastError) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try chunk(tree.id, .meta)
        guard isNew(tree.id) else { return }
        let node: DirectoryNode
        do throws(HoldfastError) {
            guard depth <= Self.maximumDepth else {
                throw HoldfastError(
                    .corruptObject, "directories are nested deeper than \(Self.maximumDepth) levels",
                    hint: "No backup writes such a snapshot; forget it, and find out who holds the key that signed it.")
            }
            node = try directoryNode(tree)
        } catch {
            try failure(entry, tree.id, error)
            return
        }
        switch node.items {
        case .entries(let entries):
            for child in entries { try walk(child, depth: depth + 1, isNew, chunk, failure) }
        case .children(let level, let children):
            guard tree.level == level else {
                try failure(entry, tree.id, wrongLevel(tree))
                return
            }
            for child in children {
                try walk(NodeReference(id: child.id, level: level - 1), of: entry, depth: depth, isNew, chunk, failure)
            }
        }
    }

    private func walk(
        _ content: Content, of entry: Entry, _ isNew: (ChunkID) -> Bool,
        _ chunk: (ChunkID, ContentClass) throws(HoldfastError) -> Void,
        _ failure: (Entry, ChunkID, HoldfastError) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        switch content.location {
        case .inline(let pieces):
            for piece in pieces where piece.id != .zeros { try chunk(piece.id, .data) }
        case .tree(let root):
            var pending = [root]
            while let reference = pending.popLast() {
                try chunk(reference.id, .meta)
                guard isNew(reference.id) else { continue }
                let node: ContentNode
                do throws(HoldfastError) {
                    node = try contentNode(reference, of: content)
                } catch {
                    try failure(entry, reference.id, error)
                    continue
                }
                for piece in node.pieces where piece.id != .zeros {
                    if reference.level == 0 {
                        try chunk(piece.id, .data)
                    } else {
                        pending.append(NodeReference(id: piece.id, level: reference.level - 1))
                    }
                }
            }
        }
    }

    package func directoryNode(_ reference: NodeReference) throws(HoldfastError) -> DirectoryNode {
        let bytes = try chunks.read(reference.id, .meta)
        return try DirectoryNode(bytes, name: "directory node \(reference.id)")
    }

    package func contentNode(_ reference: NodeReference, of content: Content) throws(HoldfastError) -> ContentNode {
        let bytes = try chunks.read(reference.id, .meta)
        let blockSize: UInt64 = content.rule == .pages ? 1 << UInt64(content.blockShift) : 0
        let node = try ContentNode(bytes, blockSize: blockSize, name: "content node \(reference.id)")
        guard node.level == reference.level else { throw wrongLevel(reference) }
        return node
    }

    /// The ids of the leaves of a content tree, in order.
    package func leaves(of root: NodeReference, _ content: Content) throws(HoldfastError) -> [ChunkID] {
        var leaves: [ChunkID] = []
        var pending = [root]
        while let reference = pending.popLast() {
            if reference.level == 0 {
                leaves.append(reference.id)
                continue
            }
            for piece in try contentNode(reference, of: content).pieces.reversed() {
                pending.append(NodeReference(id: piece.id, level: reference.level - 1))
            }
        }
        return leaves
    }

    private func wrongLevel(_ reference: NodeReference) -> HoldfastError {
        HoldfastError(
            .corruptObject, "node \(reference.id) is of another level than its parent says",
            hint: "Run `holdfast check`.")
    }
}

/// The pieces of a content one after another, a leaf in memory at a time.
///
/// Thread: one at a time.
package final class ContentCursor {
    private let content: Content
    private let tree: SnapshotTree
    private var leaf: [ContentPiece] = []
    private var place = 0
    /// Bytes of the content that the pieces so far leave.
    private var left: UInt64
    /// Nodes still to be read, the next one last.
    private var pending: [NodeReference] = []

    package init(_ content: Content, tree: SnapshotTree) {
        self.content = content
        self.tree = tree
        left = content.size
        switch content.location {
        case .inline(let pieces): leaf = pieces
        case .tree(let root): pending = [root]
        }
    }

    /// The next piece; nil at the end. All pieces together are never more than the content's size.
    package func next() throws(HoldfastError) -> ContentPiece? {
        while place == leaf.count {
            guard let reference = pending.popLast() else { return nil }
            let node = try tree.contentNode(reference, of: content)
            if reference.level == 0 {
                leaf = node.pieces
                place = 0
            } else {
                for piece in node.pieces.reversed() {
                    pending.append(NodeReference(id: piece.id, level: reference.level - 1))
                }
            }
        }
        let piece = leaf[place]
        guard piece.length <= left else {
            throw HoldfastError(
                .corruptObject, "the pieces of a file add up to more than its \(content.size) bytes",
                hint: "Run `holdfast check`.")
        }
        left -= piece.length
        place += 1
        return piece
    }
}

/// The entries of a directory one after another, a node of each level in memory at a time.
///
/// Thread: one at a time.
package final class EntryCursor {
    private let tree: SnapshotTree
    private var entries: [Entry] = []
    private var place = 0
    private var pending: [NodeReference]

    package init(_ root: NodeReference, tree: SnapshotTree) {
        self.tree = tree
        pending = [root]
    }

    /// The next entry in order of name; nil at the end.
    package func next() throws(HoldfastError) -> Entry? {
        while place == entries.count {
            guard let reference = pending.popLast() else { return nil }
            switch try tree.directoryNode(reference).items {
            case .entries(let read):
                entries = read
                place = 0
            case .children(let level, let children):
                for child in children.reversed() { pending.append(NodeReference(id: child.id, level: level - 1)) }
            }
        }
        defer { place += 1 }
        return entries[place]
    }
}

extension Repository {
    /// What reading snapshots takes: an index, and one reader for a thread.
    package func makeTree(_ index: Index, packs: PackReader? = nil) throws(HoldfastError) -> SnapshotTree {
        let packs = packs ?? PackReader(store: store, keyring: keyring)
        return SnapshotTree(try ChunkReader(index: index, packs: packs, keyring: keyring))
    }
}
