// One snapshot in JSON, the same in the output of every verb that names snapshots.

import Primitives
import Repository

/// What a snapshot says of itself; all but the first four are missing when this key may not read it.
struct SnapshotSummary: Encodable {
    let id: String
    let sourceTag: String
    let sequence: UInt64
    /// The slot that signed it.
    let slot: String
    var source: String?
    var workload: String?
    var host: String?
    var started: String?
    var consistentAsOf: String?
    var finished: String?
    var parent: String?
    var toolVersion: String?
    var tags: [String: String]?
    /// What was declared of the source and what its engine said.
    var facts: [String: String]?
    var opensWith: [String]?
    var openings: [OpeningReport]?
    var flags: [String]?
    var roots: [RootSummary]?
    var counts: Counts?
    var unreadable: UInt64?

    struct RootSummary: Encodable {
        let path: String
        let pathBytes: String?
    }

    struct Counts: Encodable {
        let files, directories, others, filesRead: UInt64
        let bytes, bytesRead, bytesNew, bytesStored: UInt64
        let chunksNew, chunksReused, deltas: UInt64

        init(_ counts: SnapshotCounts) {
            files = counts.files
            directories = counts.directories
            others = counts.others
            filesRead = counts.filesRead
            bytes = counts.bytes
            bytesRead = counts.bytesRead
            bytesNew = counts.bytesNew
            bytesStored = counts.bytesStored
            chunksNew = counts.chunksNew
            chunksReused = counts.chunksReused
            deltas = counts.deltas
        }
    }

    init(_ snapshot: Snapshot) {
        id = snapshot.id.description
        sourceTag = snapshot.tag.description
        sequence = snapshot.sequence
        slot = snapshot.slot.description
        guard let record = snapshot.record else { return }
        source = record.source
        workload = record.workload
        host = record.host
        started = record.started.description
        consistentAsOf = record.consistentAsOf.description
        finished = record.finished.description
        parent = record.parent?.description
        toolVersion = record.toolVersion
        tags = record.tags
        facts = record.facts
        opensWith = record.opensWith
        openings = record.openings?.openings.map { OpeningReport($0) }
        flags = record.flags
        roots = record.roots.map { root in
            let path = PathText(root.path)
            return RootSummary(path: path.path, pathBytes: path.pathBytes)
        }
        counts = Counts(record.counts)
        unreadable = record.unreadableCount
    }
}
