// What a backup did, for people and for programs.

import Primitives
import Recovery
import Repository
import Workloads

/// `holdfast.backup/1`.
struct BackupReport: Encodable {
    let schema = "holdfast.backup/1"
    let snapshot: String?
    let parent: String?
    let source: String
    let isPartial: Bool
    /// The source itself reported damage.
    let isDamaged: Bool
    /// The instant that the data is consistent as of.
    let consistentAsOf: String
    let files: UInt64
    let directories: UInt64
    let filesRead: UInt64
    let bytes: UInt64
    let bytesRead: UInt64
    let bytesNew: UInt64
    let bytesStored: UInt64
    let chunksNew: UInt64
    let chunksReused: UInt64
    let deltas: UInt64
    let seconds: Double
    let unreadableCount: UInt64
    let unreadable: [Unreadable]
    /// Secrets of vaults that were to open it; missing when none was declared.
    let openings: [OpeningReport]?

    struct Unreadable: Encodable {
        let path: String
        let pathBytes: String?
        let reason: String

        init(_ item: UnreadablePath) {
            let text = PathText(item.path)
            path = text.path
            pathBytes = text.pathBytes
            reason = item.reason
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, snapshot, parent, source, isPartial, isDamaged, consistentAsOf, files, directories, filesRead,
            bytes, bytesRead, bytesNew
        case bytesStored, chunksNew, chunksReused, deltas, seconds, unreadableCount, unreadable, openings
    }

    init(_ summary: BackupSummary, seconds: Double) {
        let record = summary.record
        snapshot = summary.snapshot?.description
        parent = record.parent?.description
        source = record.source
        isPartial = summary.isPartial
        isDamaged = summary.isDamaged
        consistentAsOf = record.consistentAsOf.description
        files = record.counts.files
        directories = record.counts.directories
        filesRead = record.counts.filesRead
        bytes = record.counts.bytes
        bytesRead = record.counts.bytesRead
        bytesNew = record.counts.bytesNew
        bytesStored = record.counts.bytesStored
        chunksNew = record.counts.chunksNew
        chunksReused = record.counts.chunksReused
        deltas = record.counts.deltas
        self.seconds = seconds
        unreadableCount = record.unreadableCount
        unreadable = record.unreadable.map(Unreadable.init)
        openings = record.openings?.openings.map { OpeningReport($0) }
    }
}

/// A backup of several configured sources: one run of each.
struct BackupsReport: Encodable {
    let schema = "holdfast.backups/1"
    let runs: [Run]

    struct Run: Encodable {
        let source: String
        /// `holdfast.backup/1`, when there is a snapshot.
        let backup: BackupReport?
        /// `holdfast.error/1`, when there is none.
        let error: ErrorReport?
    }

    private enum CodingKeys: String, CodingKey { case schema, runs }
}

/// A summary as lines.
enum BackupText {
    static let mostUnreadableShown = 100

    static func show(_ summary: BackupSummary, on output: Output) throws(HoldfastError) {
        let counts = summary.record.counts
        for path in summary.record.unreadable.prefix(mostUnreadableShown) {
            output.warning("\(ShownText.path(path.path)): \(ShownText.line(path.reason))")
        }
        if summary.record.unreadableCount > UInt64(mostUnreadableShown) {
            let more = summary.record.unreadableCount - UInt64(mostUnreadableShown)
            output.warning("\(more) more paths could not be read")
        }
        for finding in summary.findings where finding.severity > .good {
            output.warning("\(finding.subject): \(ShownText.line(finding.message))")
        }
        if summary.isDamaged { output.warning("the source reports damage; this snapshot never counts as proven") }
        try output.line("files     \(counts.files) (\(counts.filesRead) read), directories \(counts.directories)")
        try output.line("read      \(ByteCount(counts.bytesRead)) of \(ByteCount(counts.bytes))")
        guard let snapshot = summary.snapshot else {
            try output.line("dry run: nothing was stored")
            return
        }
        try output.line(
            "new       \(ByteCount(counts.bytesNew)) in \(counts.chunksNew) chunks (\(counts.deltas) as deltas)")
        try output.line("stored    \(ByteCount(counts.bytesStored))")
        try output.line("time      \(Double((seconds(summary) * 100).rounded()) / 100) s")
        try output.line("snapshot  \(snapshot)")
    }

    static func seconds(_ summary: BackupSummary) -> Double {
        Double(summary.duration.components.seconds) + Double(summary.duration.components.attoseconds) / 1e18
    }
}
