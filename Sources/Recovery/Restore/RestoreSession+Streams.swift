// Files of a snapshot that go into receivers: a pipe into a program instead of a directory.

import Primitives
import Repository
import Workloads

extension RestoreSession {
    /// Feeds the streams of `stage` one after the other.
    ///
    /// A stream that is damaged, or whose receiver fails, is in the result by its path; the others go on.
    /// - Throws: `.interrupted` and what the store throws; the receiver at hand was aborted.
    func feed(
        _ streams: [RestoreStage.Stream], into result: inout RestoreResult, _ progress: Progress
    ) throws(HoldfastError) {
        guard !streams.isEmpty else { return }
        let plan = try plan()
        result.notes += rely(on: plan)
        progress.enter(.restoring, bytesTotal: plan.bytes, itemsTotal: plan.files)
        let view = try SnapshotView(snapshot, tree: try repository.makeTree(index))
        let reader = try ContentReader(repository, index: index)
        for stream in streams {
            do throws(HoldfastError) {
                result.bytesWritten += try feed(stream, view, reader, progress)
                result.files += 1
            } catch {
                stream.receiver.abort()
                let isOwn: Set<ErrorCode> = [.corruptObject, .objectMissing, .targetFailed]
                guard isOwn.contains(error.code) else { throw error }
                result.failureCount += 1
                result.failures.append(PathFailure(path: joinedPath(stream.path), error: error))
            }
        }
        result.bytesFetched += reader.bytesFetched
    }

    private func feed(
        _ stream: RestoreStage.Stream, _ view: SnapshotView, _ reader: ContentReader, _ progress: Progress
    ) throws(HoldfastError) -> UInt64 {
        guard case .entry(_, let entry) = try view.node(at: stream.path), let content = entry.content else {
            throw HoldfastError(
                .corruptObject, "the snapshot lacks \(printablePath(joinedPath(stream.path)))",
                hint: "Run `holdfast check`.")
        }
        try reader.read(content) { (bytes) throws(HoldfastError) in
            try stream.receiver.receive(bytes)
            progress.add(bytes: bytes.count)
        }
        try stream.receiver.finish()
        progress.add(items: 1)
        return content.size
    }
}
