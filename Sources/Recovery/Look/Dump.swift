// One file, or a directory as an archive, streamed out of a snapshot.

import Primitives
import Repository
import Workloads

/// Streams parts of a snapshot.
///
/// Memory: that of a ``ContentReader``, and a record for each hard link whose other names are still to come.
/// Thread: one at a time.
package final class Dump {
    package typealias Sink = (UnsafeRawBufferPointer) throws(HoldfastError) -> Void

    /// What was streamed.
    package struct Summary: Sendable {
        package var entries: UInt64 = 0
        package var bytes: UInt64 = 0
        /// What the format cannot hold: sockets, and in a zip device nodes and fifos.
        package var leftOut: UInt64 = 0
    }

    private let view: SnapshotView
    private let reader: ContentReader
    private let progress: Progress
    private let cancellation: Cancellation

    /// - Throws: `.notPermitted` when this key may not read the data.
    package init(
        _ repository: Repository, _ snapshot: Snapshot, index: Index, progress: Progress = Progress()
    ) throws(HoldfastError) {
        reader = try ContentReader(repository, index: index)
        view = try SnapshotView(snapshot, tree: try repository.makeTree(index))
        self.progress = progress
        cancellation = repository.environment.cancellation
    }

    /// What stands at `parts`.
    ///
    /// - Throws: `.pathNotFound`.
    package func node(at parts: [[UInt8]]) throws(HoldfastError) -> SnapshotView.Node { try view.node(at: parts) }

    /// Streams the content of one file.
    ///
    /// - Throws: at the first byte that cannot be had; the stream is never short without an error.
    package func file(_ entry: Entry, to sink: Sink) throws(HoldfastError) -> Summary {
        guard let content = entry.content else {
            throw HoldfastError(
                .usage, "\(printablePath(entry.metadata.name)) is no regular file",
                hint: "Only files and directories are dumped.")
        }
        try read(content, sink)
        return Summary(entries: 1, bytes: content.size)
    }

    private func read(_ content: Content, _ sink: Sink) throws(HoldfastError) {
        try reader.read(content) { (bytes) throws(HoldfastError) in
            try sink(bytes)
            progress.add(bytes: bytes.count)
        }
    }

    /// Streams the directory at `parts` with all below it; names in the archive are relative to it.
    ///
    /// - Throws: at the first thing that cannot be had; the archive then lacks its end.
    package func archive(
        _ parts: [[UInt8]], as format: ArchiveFormat, to sink: @escaping Sink
    ) throws(HoldfastError) -> Summary {
        let writer = try ArchiveWriter(format, to: sink)
        var summary = Summary()
        var links = LinkGroups(keepsNames: false)
        func add(_ at: [[UInt8]], _ entry: Entry) throws(HoldfastError) {
            let name = Array(at.dropFirst(parts.count))
            var metadata = entry.metadata
            metadata.size = entry.content?.size ?? 0
            var existing: [[UInt8]]?
            if metadata.links > 1, metadata.kind != .directory { existing = links.first(name, entry) }
            // A zip knows no hard links: the content comes again.
            if format == .zip { existing = nil }
            guard try writer.add(name, metadata, hardLink: existing) else {
                summary.leftOut += 1
                return
            }
            summary.entries += 1
            progress.add(items: 1)
            guard let content = entry.content, existing == nil else { return }
            summary.bytes += content.size
            do throws(HoldfastError) {
                try read(content) { (bytes) throws(HoldfastError) in try writer.write(bytes) }
            } catch {
                throw error.with("path", printablePath(joinedPath(at)))
            }
        }
        if case .entry(let at, let entry) = try view.node(at: parts) {
            guard entry.metadata.kind == .directory else {
                throw HoldfastError(
                    .usage, "\(printablePath(joinedPath(parts))) is no directory",
                    hint: "Leave --archive out to dump a file.")
            }
            try add(at, entry)
        }
        try view.list(parts, recursive: true, cancellation: cancellation) { (at, error) throws(HoldfastError) in
            throw error.with("path", printablePath(joinedPath(at)))
        } _: { (at, entry) throws(HoldfastError) in
            try add(at, entry)
        }
        try writer.finish()
        return summary
    }
}
