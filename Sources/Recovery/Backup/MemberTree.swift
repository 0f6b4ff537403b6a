// Entries that come in any order, gathered into a tree in memory.

import Primitives
import Repository
import Workloads

/// The entries of a root without order, without their content.
final class MemberTree {
    /// Where the content of a file is.
    enum Place {
        /// In the batches, under this key.
        case toCome(Int)
        /// In the repository.
        case known(Content)
    }

    private final class Node {
        var metadata: EntryMetadata
        var content: Place?
        var children: [[UInt8]: Node] = [:]

        init(_ metadata: EntryMetadata) { self.metadata = metadata }
    }

    private let root: Node
    /// Members that are linked to share an inode number of their own.
    private var nextInode: UInt64 = 1

    init(_ metadata: EntryMetadata) {
        root = Node(metadata)
        root.metadata.name = []
    }

    /// Adds a member; the last of several with one name wins, as with tar.
    func add(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, content: Place?, link: [[UInt8]]?, isLinkable: Bool = true
    ) throws(HoldfastError) {
        guard let name = parts.last else {
            // The root itself: its metadata are those of the snapshot's root.
            if metadata.kind == .directory { root.metadata = metadata }
            root.metadata.name = []
            return
        }
        let parent = directory(parts.dropLast())
        let node = Node(metadata)
        node.metadata.name = name
        node.content = content
        if isLinkable {
            node.metadata.inode = nextInode
            nextInode += 1
        }
        if let link {
            guard let linked = find(link), linked.metadata.kind == .file else {
                throw HoldfastError(
                    .sourceFailed, "the archive holds a hard link to a member that is not in it",
                    hint: "Make the archive again, or back it up without --unpack.",
                    context: [("path", printablePath(joinedPath(parts)))])
            }
            node.content = linked.content
            linked.metadata.links += 1
            node.metadata = linked.metadata
            node.metadata.name = name
        }
        if let old = parent.children[name], old.metadata.kind == .directory, metadata.kind == .directory {
            old.metadata = node.metadata
        } else {
            parent.children[name] = node
        }
    }

    /// Removes what is at `parts`, and what in it is no directory: another secret may stand below.
    func remove(_ parts: [[UInt8]]) {
        guard let node = find(parts) else { return }
        node.children = node.children.filter { $0.value.metadata.kind == .directory }
        guard node.children.isEmpty, let name = parts.last else {
            node.metadata.attributes = []
            return
        }
        find(Array(parts.dropLast()))?.children[name] = nil
    }

    private func find(_ parts: [[UInt8]]) -> Node? {
        var node = root
        for part in parts {
            guard let next = node.children[part] else { return nil }
            node = next
        }
        return node
    }

    /// The directory at `parts`, made as it goes when there is no member for it.
    private func directory(_ parts: some Sequence<[UInt8]>) -> Node {
        var node = root
        for part in parts {
            if let next = node.children[part], next.metadata.kind == .directory {
                node = next
                continue
            }
            var metadata = EntryMetadata(name: part, kind: .directory)
            metadata.mode = 0o755
            let made = Node(metadata)
            node.children[part] = made
            node = made
        }
        return node
    }

    func emit(to filler: BatchFiller, contents: [Int: Content]) throws(HoldfastError) {
        try emit(root, to: filler, contents)
    }

    private func emit(_ node: Node, to filler: BatchFiller, _ contents: [Int: Content]) throws(HoldfastError) {
        guard node.metadata.kind == .directory else {
            var metadata = node.metadata
            let content: Content? =
                switch node.content {
                case .toCome(let key): contents[key]
                case .known(let known): known
                case nil: nil
                }
            metadata.size = content?.size ?? 0
            try filler.add(.entry(Entry(metadata, content: content)))
            return
        }
        try filler.add(.beginDirectory(node.metadata))
        for (_, child) in node.children.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            try emit(child, to: filler, contents)
        }
        try filler.add(.endDirectory)
    }
}
