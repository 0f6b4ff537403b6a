// What a snapshot says of itself, under seal: numbered fields, of which an older reader keeps those it does not know.

import Primitives

/// Counts and bytes of one run of `backup`.
package struct SnapshotCounts: Sendable, Hashable {
    package var files: UInt64 = 0
    package var directories: UInt64 = 0
    package var others: UInt64 = 0
    /// Files whose content was read, for size, times or inode had changed.
    package var filesRead: UInt64 = 0
    /// Bytes of content in the snapshot.
    package var bytes: UInt64 = 0
    package var bytesRead: UInt64 = 0
    /// Plain bytes that the repository did not hold before.
    package var bytesNew: UInt64 = 0
    /// Bytes added to the repository, all objects counted.
    package var bytesStored: UInt64 = 0
    package var chunksNew: UInt64 = 0
    package var chunksReused: UInt64 = 0
    package var deltas: UInt64 = 0

    package init() {}
}

/// One path that the user named, with the tree below it.
package struct SnapshotRoot: Sendable, Hashable {
    /// The absolute path at the source, or the stream's name.
    package var path: [UInt8]
    package var entry: Entry

    package init(path: [UInt8], entry: Entry) {
        self.path = path
        self.entry = entry
    }
}

/// A path that could not be read in full.
package struct UnreadablePath: Sendable, Hashable {
    package var path: [UInt8]
    package var reason: String

    package init(path: [UInt8], reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// The sealed part of a snapshot.
package struct SnapshotRecord: Sendable, Hashable {
    package static let maximumSize = 64 << 20
    /// How many unreadable paths are kept by name; `unreadableCount` counts all.
    package static let maximumUnreadableKept = 1000

    /// What "the previous snapshot" and retention go by.
    package var source: String
    /// Kind of workload: `dir`, `stdin`.
    package var workload: String
    package var host: String
    package var tags: [String: String] = [:]
    package var toolVersion: String
    package var runID: ULID
    package var started: Timestamp
    /// The instant that the data is consistent as of; the start of reading when the source gives no better.
    package var consistentAsOf: Timestamp
    package var finished: Timestamp
    package var parent: SnapshotID?
    package var counts = SnapshotCounts()
    /// Facts of the engine that was read: versions, positions, settings.
    package var facts: [String: String] = [:]
    /// What a restore is expected to hold: row counts, fingerprints.
    package var expectedContents: [String: String] = [:]
    /// References to the secrets that open this data.
    package var opensWith: [String] = []
    package var exclusions: [String] = []
    /// `partial`, `damaged` and the like.
    package var flags: [String] = []
    package var roots: [SnapshotRoot] = []
    package var unreadable: [UnreadablePath] = []
    package var unreadableCount: UInt64 = 0
    /// The newest links of evidence that were there or known of, in order of slots.
    package var evidence: [EvidenceHead] = []
    /// Which versions of secrets were seen to open it; nil when nobody said any.
    package var openings: SnapshotOpenings?
    /// Fields that this version does not know, kept as they are.
    package var unknown = FieldMap()

    package init(
        source: String, workload: String, host: String, toolVersion: String, runID: ULID, started: Timestamp
    ) {
        self.source = source
        self.workload = workload
        self.host = host
        self.toolVersion = toolVersion
        self.runID = runID
        self.started = started
        consistentAsOf = started
        finished = started
    }
}
