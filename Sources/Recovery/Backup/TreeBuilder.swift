// Builds the tree of a snapshot from the events of the batches, a node of each open directory and file in memory at a
// time.

import Primitives
import Repository
import Synchronization

/// Builds directories and content lists, and stores their nodes as they fill up.
///
/// Thread: `consume` is called by one worker at a time, in the order of the batches; the pipeline orders the calls.
final class TreeBuilder: @unchecked Sendable {
    // Sendable: the pipeline's sequencer lets one thread in at a time, through a monitor that orders their accesses.

    private var directories: [DirectoryBuilder] = []
    private var file: ContentBuilder?
    /// Contents of files that are placed later.
    private var detached: [Int: Content] = [:]
    /// The finished roots, in the order in which they were begun.
    private(set) var roots: [Entry] = []
    private(set) var counts = SnapshotCounts()
    private let progress: Progress
    private let parents: SnapshotTree?

    /// - Parameter parents: Reads leaves of the parent snapshot, for deltas of leaves.
    init(parents: SnapshotTree?, progress: Progress) {
        self.parents = parents
        self.progress = progress
    }

    /// The contents that were detached since the last call; to be called when all batches have gone through.
    func takeDetached() -> [Int: Content] {
        defer { detached = [:] }
        return detached
    }

    func consume(_ job: ContentJob, _ stage: ChunkStage) throws(HoldfastError) {
        for event in job.events { try consume(event, job, stage) }
        counts.bytesNew += job.tally.bytesNew
        counts.chunksNew += job.tally.chunksNew
        counts.chunksReused += job.tally.chunksReused
        counts.deltas += job.tally.deltas
        progress.add(bytesNew: Int(job.tally.bytesNew))
    }

    private func consume(_ event: TreeEvent, _ job: ContentJob, _ stage: ChunkStage) throws(HoldfastError) {
        switch event {
        case .beginDirectory(let metadata):
            directories.append(DirectoryBuilder(metadata))
        case .endDirectory:
            guard let directory = directories.popLast() else {
                preconditionFailure("a directory ends that never began")
            }
            counts.directories += 1
            try place(Entry(directory.metadata, tree: try directory.finish(stage)), stage)
        case .entry(let entry):
            count(entry)
            try place(entry, stage)
        case .beginFile(let rule, let parent):
            file = ContentBuilder(rule, parent: parent, parents: parents)
        case .piece(let number):
            let piece = job.pieces[number]
            try file?.append(ContentPiece(id: piece.id, length: UInt64(piece.length)), stage)
        case .hole(let length):
            try file?.appendHole(length, stage)
        case .endFile(var metadata):
            guard let content = try file?.finish(stage) else { preconditionFailure("a file ends that never began") }
            file = nil
            metadata.size = content.size
            let entry = Entry(metadata, content: content)
            counts.filesRead += 1
            count(entry)
            try place(entry, stage)
        case .endDetached(let key):
            detached[key] = try file?.finish(stage)
            file = nil
            counts.filesRead += 1
        case .abandonFile:
            file = nil
        }
    }

    private func count(_ entry: Entry) {
        if entry.metadata.kind == .file {
            counts.files += 1
            counts.bytes += entry.content?.size ?? 0
            progress.add(items: 1)
        } else {
            counts.others += 1
        }
    }

    private func place(_ entry: Entry, _ stage: ChunkStage) throws(HoldfastError) {
        if let directory = directories.last {
            try directory.append(entry, stage)
        } else {
            roots.append(entry)
        }
    }
}

/// One open directory: entries gather into nodes of about 128 KiB.
///
/// Where a node ends is decided by the names, so that a file that comes or goes changes one node and not all behind it.
final class DirectoryBuilder {
    let metadata: EntryMetadata
    private var entries: [Entry] = []
    private var size = 0
    private var children: [DirectoryNode.Child] = []

    init(_ metadata: EntryMetadata) { self.metadata = metadata }

    func append(_ entry: Entry, _ stage: ChunkStage) throws(HoldfastError) {
        var writer = ByteWriter()
        entry.write(to: &writer)
        entries.append(entry)
        size += writer.count
        // From half the target on, one name in 64 ends the node; at twice the target any does.
        let isDue =
            size >= DirectoryNode.targetSize * 2
            || size >= DirectoryNode.targetSize / 2 && Self.ends(entry.metadata.name)
        if isDue { try flush(stage) }
    }

    private static func ends(_ name: [UInt8]) -> Bool {
        // FNV-1a (Fowler, Noll, Vo), folded.
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return (hash >> 32 ^ hash) & 63 == 0
    }

    private func flush(_ stage: ChunkStage) throws(HoldfastError) {
        guard let first = entries.first else { return }
        let id = try stage.storeNode(DirectoryNode(.entries(entries)).encoded, parent: nil)
        children.append(DirectoryNode.Child(firstName: first.metadata.name, id: id))
        entries.removeAll(keepingCapacity: true)
        size = 0
    }

    /// Stores what is left and the nodes above; returns the root of the directory's tree.
    func finish(_ stage: ChunkStage) throws(HoldfastError) -> NodeReference {
        if children.isEmpty {
            let id = try stage.storeNode(DirectoryNode(.entries(entries)).encoded, parent: nil)
            return NodeReference(id: id, level: 0)
        }
        try flush(stage)
        var level: UInt8 = 0
        while children.count > 1 || level == 0 {
            level += 1
            guard level <= DirectoryNode.maximumLevel else {
                throw HoldfastError(.limitExceeded, "a directory has too many entries", hint: "Split the directory.")
            }
            var above: [DirectoryNode.Child] = []
            for start in stride(from: 0, to: children.count, by: 1024) {
                let part = Array(children[start..<min(children.count, start + 1024)])
                let node = DirectoryNode(.children(level: level, part))
                above.append(
                    DirectoryNode.Child(
                        firstName: part[0].firstName, id: try stage.storeNode(node.encoded, parent: nil)))
            }
            children = above
        }
        return NodeReference(id: children[0].id, level: level)
    }
}

/// The content of one open file: pieces gather into leaves.
final class ContentBuilder {
    private let rule: CutRule
    private let blockSize: UInt64
    private var size: UInt64 = 0
    private var pieces: [ContentPiece] = []
    private var leaves: [ContentPiece] = []
    /// The leaves of the same file in the parent snapshot, by place; read when the first leaf is full.
    private var parentLeaves: [ChunkID]?
    private let parent: Content?
    private let parents: SnapshotTree?

    init(_ rule: CutRule, parent: Content?, parents: SnapshotTree?) {
        self.rule = rule
        blockSize = rule == .pages ? 1 << UInt64(Content.pageBlockShift) : 0
        self.parent = parent
        self.parents = parents
    }

    func append(_ piece: ContentPiece, _ stage: ChunkStage) throws(HoldfastError) {
        size += piece.length
        // Zeros beside zeros are one stretch, but for the blocks of a page file, which keep their places.
        if rule == .content, piece.id == .zeros, let last = pieces.last, last.id == .zeros {
            pieces[pieces.count - 1].length += piece.length
            return
        }
        pieces.append(piece)
        let limit = rule == .pages ? ContentNode.maximumPieces : ContentNode.maximumContentPieces
        if pieces.count == limit { try flush(stage) }
    }

    func appendHole(_ length: UInt64, _ stage: ChunkStage) throws(HoldfastError) {
        var rest = length
        while rest > 0 {
            let part = rule == .pages ? min(rest, blockSize) : rest
            try append(ContentPiece(id: .zeros, length: part), stage)
            rest -= part
        }
    }

    private func flush(_ stage: ChunkStage) throws(HoldfastError) {
        let node = ContentNode(level: 0, pieces: pieces)
        let length = pieces.reduce(0) { $0 + $1.length }
        let known = parentLeaf(leaves.count)
        let id = try stage.storeNode(node.encoded(blockSize: blockSize), parent: known)
        leaves.append(ContentPiece(id: id, length: length))
        pieces.removeAll(keepingCapacity: true)
    }

    /// Leaves of page files are fixed by place, so that the parent's leaf at the same place is the best base.
    private func parentLeaf(_ place: Int) -> ChunkID? {
        guard rule == .pages, let parent, parent.rule == .pages, let parents, case .tree(let root) = parent.location
        else { return nil }
        if parentLeaves == nil {
            do throws(HoldfastError) {
                parentLeaves = try parents.leaves(of: root, parent)
            } catch {
                // Without the parent's leaves this file's are stored whole; `check` names the damage.
                parentLeaves = []
            }
        }
        guard let parentLeaves, place < parentLeaves.count else { return nil }
        return parentLeaves[place]
    }

    func finish(_ stage: ChunkStage) throws(HoldfastError) -> Content {
        let shift: UInt8 = rule == .pages ? Content.pageBlockShift : 0
        if leaves.isEmpty, pieces.count <= Content.maximumInline {
            return Content(rule: rule, blockShift: shift, size: size, location: .inline(pieces))
        }
        if !pieces.isEmpty { try flush(stage) }
        var level: UInt8 = 0
        while leaves.count > 1 {
            level += 1
            guard level <= ContentNode.maximumLevel else {
                throw HoldfastError(.limitExceeded, "a file is too large", hint: "Split the file.")
            }
            var above: [ContentPiece] = []
            for start in stride(from: 0, to: leaves.count, by: ContentNode.maximumPieces) {
                let part = Array(leaves[start..<min(leaves.count, start + ContentNode.maximumPieces)])
                let node = ContentNode(level: level, pieces: part)
                let id = try stage.storeNode(node.encoded(blockSize: blockSize), parent: nil)
                above.append(ContentPiece(id: id, length: part.reduce(0) { $0 + $1.length }))
            }
            leaves = above
        }
        return Content(
            rule: rule, blockShift: shift, size: size, location: .tree(NodeReference(id: leaves[0].id, level: level)))
    }
}
