// Walks a source tree side by side with the parent snapshot's, and reads what changed.

import Chunking
import Primitives
import Repository
import Workloads

/// Feeds the batches from a directory.
///
/// Thread: the reader's alone.
final class TreeScanner {
    private let session: WriterSession
    private let filler: BatchFiller
    private let options: BackupOptions
    private let parents: SnapshotTree?
    private let failures: FailureList
    private let clock: any Clock

    init(
        _ session: WriterSession, filler: BatchFiller, options: BackupOptions, parents: SnapshotTree?,
        failures: FailureList
    ) {
        self.session = session
        self.filler = filler
        self.options = options
        self.parents = parents
        self.failures = failures
        clock = session.repository.clock
    }

    /// Reads the tree below `root`; `parent` is the entry of the same root in the parent snapshot.
    func scan(_ root: DirectoryHandle, parent: Entry?) throws(HoldfastError) {
        try filler.add(.beginDirectory(try root.metadata()))
        try scanEntries(of: root, parent: parent)
        try filler.add(.endDirectory)
    }

    private func scanEntries(of directory: DirectoryHandle, parent: Entry?) throws(HoldfastError) {
        let known = ParentEntries(parent?.tree, tree: parents)
        do throws(HoldfastError) {
            // What is read anyway tells its attributes at its end.
            let readsAll = options.reread || parent == nil
            try directory.visitEntries(leavesFileAttributes: readsAll) { (step) throws(HoldfastError) in
                switch step {
                case .entry(let entry): try scan(entry, in: directory, parent: known.entry(entry.name))
                case .failure(let failure): failures.add(failure.path, failure.error)
                }
            }
        } catch {
            guard failures.isOfSource(error) else { throw error }
            failures.add(directory.path, error)
        }
    }

    private func scan(
        _ entry: EntryMetadata, in directory: DirectoryHandle, parent: Entry?
    ) throws(HoldfastError) {
        switch entry.kind {
        case .directory:
            let child: DirectoryHandle
            do throws(HoldfastError) {
                child = try directory.directory(entry)
            } catch {
                guard failures.isOfSource(error) else { throw error }
                failures.add(joinPath(directory.path, entry.name), error)
                return
            }
            try filler.add(.beginDirectory(entry))
            try scanEntries(of: child, parent: parent)
            try filler.add(.endDirectory)
        case .file:
            if !options.reread, let parent, parent.metadata.hasSameContentMarks(as: entry),
                let content = parent.content, isHeld(content)
            {
                try filler.add(.entry(Entry(entry, content: content)))
            } else {
                try scanFile(entry, in: directory, parent: parent?.content)
            }
        case .symbolicLink, .fifo, .characterDevice, .blockDevice, .socket:
            try filler.add(.entry(Entry(entry)))
        }
    }

    /// Whether every chunk of an unchanged file can be relied on: if not, it is read again, and so what was lost heals.
    private func isHeld(_ content: Content) -> Bool {
        switch content.location {
        case .inline(let pieces): return session.relyOnAll(pieces.lazy.map(\.id))
        case .tree(let root):
            guard let parents else { return false }
            var pending = [root]
            while let reference = pending.popLast() {
                guard session.relyOnAll(CollectionOfOne(reference.id)),
                    let node = try? parents.contentNode(reference, of: content)
                else { return false }
                if reference.level == 0 {
                    guard session.relyOnAll(node.pieces.lazy.map(\.id)) else { return false }
                } else {
                    for piece in node.pieces { pending.append(NodeReference(id: piece.id, level: reference.level - 1)) }
                }
            }
            return true
        }
    }

    private func scanFile(
        _ entry: EntryMetadata, in directory: DirectoryHandle, parent: Content?
    ) throws(HoldfastError) {
        var hasBegun = false
        do throws(HoldfastError) {
            let file = try directory.file(entry)
            let began = clock.now()
            let rule = try beginFile(file, entry, parent)
            hasBegun = true
            try readFile(file, entry, rule, parent)
            let after = try file.metadata()
            try filler.add(.endFile(settled(entry, after, began: began)))
        } catch {
            // A failure of the source costs this file; a failure of the store or the pipeline ends the backup.
            guard failures.isOfSource(error) else { throw error }
            if hasBegun { try filler.abandonFile() }
            failures.add(joinPath(directory.path, entry.name), error)
        }
    }

    /// Metadata to keep for a file that was read. Where its marks cannot vouch for the content, the change time is
    /// cleared, so that the next backup reads it again: when it changed while it was read, or so shortly before that a
    /// later change may leave the same times.
    private func settled(_ listed: EntryMetadata, _ after: EntryMetadata, began: Timestamp) -> EntryMetadata {
        var result = after
        result.name = listed.name
        let margin: Duration = after.changed.nanoseconds % 1_000_000_000 == 0 ? .seconds(2) : .milliseconds(50)
        if !after.hasSameContentMarks(as: listed) || began.since(after.changed) < margin {
            result.changed = Timestamp(nanoseconds: 0)
        }
        return result
    }

    /// Looks at the beginning of the file and decides how it is cut.
    private func beginFile(
        _ file: FileHandle, _ entry: EntryMetadata, _ parent: Content?
    ) throws(HoldfastError) -> CutRule {
        var rule = CutRule.content
        if parent?.rule == .pages {
            rule = .pages
        } else if PageFormat.isPossible(size: entry.size) {
            let head = try withUnsafeTemporaryBuffer(min(16 << 10, Int(entry.size))) { (buffer) throws(HoldfastError) in
                let count = try file.read(at: 0, into: buffer)
                let bytes = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                return PageFormat.recognise(firstBytes: bytes, size: entry.size, name: entry.name)
            }
            if head != nil { rule = .pages }
        }
        try filler.add(.beginFile(rule, parent: parent))
        return rule
    }

    private func readFile(
        _ file: FileHandle, _ entry: EntryMetadata, _ rule: CutRule, _ parent: Content?
    ) throws(HoldfastError) {
        let places = ParentPieces(rule == .pages ? parent : nil, tree: parents)
        var offset: UInt64 = 0
        // A file is read to the size that it was listed with, and no further, even if it grows meanwhile.
        while offset < entry.size {
            let extent = try file.dataExtent(from: offset)
            // Past the end of a file that was cut short there is no data either, and that is no hole.
            if extent == nil, try file.size() < entry.size { throw Self.shrank }
            var start = min(extent?.lowerBound ?? entry.size, entry.size)
            var end = min(extent?.upperBound ?? entry.size, entry.size)
            if rule == .pages {
                // Blocks that data touches are read whole; a hole is a run of whole blocks.
                let block = UInt64(1) << UInt64(Content.pageBlockShift)
                start = max(offset, start / block * block)
                end = min(entry.size, (end + block - 1) / block * block)
            }
            if start > offset {
                try filler.add(.hole(start - offset))
                if rule == .pages { try places.skip(start - offset) }
                offset = start
            }
            if extent == nil || start >= entry.size { break }
            try readExtent(file, offset..<end, rule, places)
            offset = end
        }
    }

    private static var shrank: HoldfastError {
        HoldfastError(
            .sourceIncomplete, "the file shrank while it was read", hint: "Back up again when the source is quiet.",
            retry: .now)
    }

    private func readExtent(
        _ file: FileHandle, _ range: Range<UInt64>, _ rule: CutRule, _ places: ParentPieces
    ) throws(HoldfastError) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let limit = Int(min(UInt64(ContentJob.capacity / 2), range.upperBound - offset))
            let count = try filler.fill(atMost: limit) { (buffer) throws(HoldfastError) in
                try file.read(at: offset, into: buffer)
            }
            guard count > 0 else { throw Self.shrank }
            offset += UInt64(count)
            let isFinal = offset == range.upperBound
            switch rule {
            case .pages: try filler.cutBlocks(isFinal: isFinal) { () throws(HoldfastError) in places.next() }
            case .content: try filler.cutContent(isFinal: isFinal)
            case .secret: preconditionFailure("files of a tree are no secrets")
            }
        }
    }
}

/// Runs `body` with `count` bytes of scratch memory.
private func withUnsafeTemporaryBuffer<R>(
    _ count: Int, _ body: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> R
) throws(HoldfastError) -> R {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: count, alignment: 16)
    defer { buffer.deallocate() }
    return try body(buffer)
}
