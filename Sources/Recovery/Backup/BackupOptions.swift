// What a backup is told, and what it tells.

import Compression
import Primitives
import Repository
import SecretVaults
import Workloads

/// How to back up.
package struct BackupOptions: Sendable {
    /// What retention and "the previous snapshot" go by.
    package var source: String
    package var host: String
    package var toolVersion: String
    package var tags: [String: String] = [:]
    /// Facts that the snapshot keeps besides those of the engine.
    package var facts: [String: String] = [:]
    /// References to the secrets that open the data.
    package var opensWith: [String] = []
    /// Secrets of vaults that are to open it.
    package var openings: [OpeningWish] = []
    package var exclusions = Exclusions()
    package var oneFileSystem = false
    /// Read files again whose size, times and inode did not change.
    package var reread = false
    /// Read and count, store nothing.
    package var dryRun = false
    /// Take a tar stream apart into its members.
    package var unpack = false
    /// A stream of fewer bytes is refused.
    package var minimumSize = ByteCount(1)
    package var compression: CompressionSetting
    /// Workers beyond which a backup does not go by itself: each takes about 13 MiB, and 256 MiB are the most that a
    /// backup may take unasked (measured: 206 MiB with 2, 383 MiB with 16).
    package static let mostThreadsByDefault = 4

    /// Worker threads; the reader has one of its own.
    package var threads = 2
    package var readLimit: ByteCount?
    /// What opens vaults.
    package var vaultOpener: any VaultOpener = NoVaultOpener()
    /// Decode each chunk before it goes into a pack, and compare.
    package var verifies = true

    package init(source: String, host: String, toolVersion: String, compression: CompressionSetting = .standard) {
        self.source = source
        self.host = host
        self.toolVersion = toolVersion
        self.compression = compression
    }

    /// What concerns the workloads of this backup.
    package var workload: WorkloadOptions {
        var workload = WorkloadOptions()
        workload.exclusions = exclusions
        workload.oneFileSystem = oneFileSystem
        workload.unpack = unpack
        workload.minimumSize = minimumSize
        workload.vaultOpener = vaultOpener
        return workload
    }
}

/// What a backup did.
package struct BackupSummary: Sendable {
    /// Nil for a dry run.
    package var snapshot: SnapshotID?
    package var record: SnapshotRecord
    package var duration: Duration
    /// What the workloads had to say besides.
    package var findings: [WorkloadFinding] = []
    /// Whether some paths could not be read; the snapshot holds the rest.
    package var isPartial: Bool { record.unreadableCount > 0 }
    /// Whether every secret that was said to open it was seen to.
    package var isOpened: Bool { record.openings?.openings.allSatisfy { $0.failure == nil } ?? true }
    /// Versions that opened it are in no snapshot, or some secret was not seen to open it.
    package var isWithoutSecret: Bool { !isOpened || findings.contains { $0.subject == Self.unkept } }
    /// The subject of findings of versions that no snapshot holds.
    package static let unkept = "secret"
    /// Whether the source itself reported that some of it is damaged.
    package var isDamaged: Bool { record.flags.contains(ReadOutcome.Flag.damaged.rawValue) }
}
