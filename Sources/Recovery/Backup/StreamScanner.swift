// Reads a stream, whole or taken apart into the members of a tar archive.

import Chunking
import Primitives
import Repository
import Workloads

/// Feeds the batches from a stream.
///
/// Thread: the reader's alone.
final class StreamScanner {
    private let filler: BatchFiller
    private let clock: any Clock
    private let limit: ByteRateLimit?

    init(filler: BatchFiller, clock: any Clock, limit: ByteRateLimit?) {
        self.filler = filler
        self.clock = clock
        self.limit = limit
    }

    /// Reads the stream to its end as one file.
    ///
    /// - Throws: what the stream throws; a producer that failed is a failure of the backup.
    func scan(_ stream: any ByteStream, name: String, root: EntryMetadata) throws(HoldfastError) {
        try filler.add(.beginFile(.content, parent: nil))
        try readToEnd { (buffer) throws(HoldfastError) in try stream.fill(buffer) }
        try stream.finish()
        try filler.add(.endFile(root))
    }

    private func readToEnd(
        _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) {
        while true {
            let count = try filler.fill(atMost: ContentJob.capacity / 2) { (buffer) throws(HoldfastError) in
                let count = try read(buffer)
                // Paid for afterwards: how much comes is not known before.
                limit?.take(ByteCount(count))
                return count
            }
            try filler.cutContent(isFinal: count == 0)
            if count == 0 { return }
        }
    }

    /// Takes a tar stream apart. The members' contents go through the batches as they come; the tree is made at the
    /// end, since an archive keeps no order.
    ///
    /// Memory: the metadata of all members.
    func unpack(
        _ stream: any ByteStream, root: EntryMetadata, builder: TreeBuilder
    ) throws(HoldfastError) -> [String] {
        let archive = try ArchiveReader(stream)
        let tree = MemberTree(root)
        var notes: [String] = []
        var key = 0
        while let member = try archive.next() {
            notes.append(contentsOf: member.notes.prefix(max(0, 100 - notes.count)))
            var content: Int?
            if member.metadata.kind == .file, member.hardLink == nil {
                try filler.add(.beginFile(.content, parent: nil))
                try readToEnd { (buffer) throws(HoldfastError) in try archive.read(into: buffer) }
                try filler.add(.endDetached(key))
                content = key
                key += 1
            }
            try tree.add(member, content: content)
        }
        try stream.finish()
        try filler.finish()
        try tree.emit(to: filler, contents: builder.detached)
        return notes
    }
}

/// The members of an archive as a tree in memory.
private final class MemberTree {
    private final class Node {
        var metadata: EntryMetadata
        var content: Int?
        var children: [[UInt8]: Node] = [:]

        init(_ metadata: EntryMetadata) { self.metadata = metadata }
    }

    private let root: Node
    /// Members that are linked to share an inode number of their own.
    private var nextInode: UInt64 = 1

    init(_ metadata: EntryMetadata) { root = Node(metadata) }

    /// Adds a member; the last of several with one name wins, as with tar.
    func add(_ member: ArchiveMember, content: Int?) throws(HoldfastError) {
        guard let name = member.parts.last else {
            // The archive's own root: its metadata are those of the snapshot's root.
            let kept = root.metadata.name
            if member.metadata.kind == .directory { root.metadata = member.metadata }
            root.metadata.name = kept
            return
        }
        guard member.parts.allSatisfy(isSafeName) else {
            throw HoldfastError(
                .unsafePath, "the archive holds a member whose path leads elsewhere",
                hint: "Back the archive up without --unpack.",
                context: [("path", printablePath(Array(member.parts.joined(separator: [UInt8(ascii: "/")]))))])
        }
        let parent = directory(member.parts.dropLast())
        var metadata = member.metadata
        metadata.name = name
        let node = Node(metadata)
        node.content = content
        node.metadata.inode = nextInode
        nextInode += 1
        if let target = member.hardLink {
            guard let linked = find(target), linked.metadata.kind == .file else {
                throw HoldfastError(
                    .sourceFailed, "the archive holds a hard link to a member that is not in it",
                    hint: "Make the archive again, or back it up without --unpack.",
                    context: [("path", printablePath(Array(member.parts.joined(separator: [UInt8(ascii: "/")]))))])
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

    private func find(_ parts: [[UInt8]]) -> Node? {
        var node = root
        for part in parts {
            guard let next = node.children[part] else { return nil }
            node = next
        }
        return node
    }

    /// The directory at `parts`, made as it goes when the archive has no member for it.
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
            let content = node.content.flatMap { contents[$0] }
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
