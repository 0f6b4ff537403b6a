// What can be backed up and restored: one protocol, one folder for each kind.

import Primitives
import Repository

/// A source of a backup or a target of a restore, made from a URL by the row of its scheme in ``WorkloadScheme/all``.
///
/// A kind does what its capabilities say; what it does not say it refuses, by the defaults below. The engine calls
/// `preflight`, then `read`, then commits; and for a restore `prepareRestore`, then writes the stage's parts, then
/// `finishRestore`, whatever came of it. A drill starts `startScratch` over a restored copy and asks for `check`.
/// Thread: one call at a time, each on a thread that may block.
package protocol Workload: Sendable {
    /// Who it is. Known without contact to the source.
    var identity: WorkloadIdentity { get }

    var capabilities: WorkloadCapabilities { get }

    /// What a source without a name goes by, where the source itself must be asked; nil when host and URL will do.
    func sourceName(_ context: WorkloadContext) throws(HoldfastError) -> String?

    /// Looks whether a backup would succeed and could be recovered: rights, versions, settings. Changes nothing.
    ///
    /// - Returns: Findings in the order in which they were looked for; `doctor` prints all, a backup refuses to begin
    ///   when one is an error, and keeps warnings.
    /// - Throws: what keeps it from looking at all, such as `.interrupted`.
    func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding]

    /// Pushes all entries into `sink`, one root after the other.
    ///
    /// - Returns: What is known of what was read. To return is to vouch that it is whole.
    /// - Throws: `.sourceFailed` and the like when it is not; nothing is committed then.
    func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome

    /// Makes ready to be restored into, and says which root goes where. Refuses a target that is in use.
    ///
    /// In a dry run it refuses what it would refuse, says where all would go, and changes nothing.
    /// - Throws: `.targetFailed`, `.busy` and the like, with nothing changed.
    func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage

    /// Called after the parts of `stage` are on stable storage, or with `isComplete` false after a failure.
    ///
    /// Verifies and puts in place when it is complete; else leaves what a second run can go on with, and nothing that
    /// could be taken for a restored whole.
    /// - Returns: What was verified, and what is to be known of it.
    func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding]

    /// Starts a throw-away server over the restored copy; nil for a kind that needs none.
    func startScratch(
        over copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> (any WorkloadScratch)?

    /// Asks a restored copy whether it is sound and holds what the record expects.
    ///
    /// - Returns: A finding for each check, also for those that it passed.
    func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding]
}

/// Who a workload is: what "the previous snapshot" goes by when the source has no name.
package struct WorkloadIdentity: Sendable, Hashable {
    /// What the snapshot's record calls it: `dir`, `stdin`, `command`, `sqlite`.
    package var kind: String
    /// The URL in one form for all ways to write it, without credentials.
    package var url: String

    package init(kind: String, url: String) {
        self.kind = kind
        self.url = url
    }
}

/// What a kind of workload can do.
package struct WorkloadCapabilities: Sendable, Hashable {
    package var canBeRead = true
    package var canBeRestoredTo = false
    /// Several of one kind make one snapshot.
    package var canBeJoined = false
    /// Files by their paths: exclusions, `--reread` and unreadable paths have a meaning.
    package var isTree = false
    /// Says row counts and the like of the very state that it reads.
    package var expectsContents = false
    /// A restored copy is asked through a server of its own.
    package var needsScratch = false
    /// A dry run can tell what would be read.
    package var canBeEstimated = false

    package init() {}
}

/// The surroundings of a workload's work.
package struct WorkloadContext: Sendable {
    package var clock: any Clock
    package var entropy: any Entropy
    package var cancellation: Cancellation
    package var runner: any ProcessRunner
    /// The record of the snapshot that this one goes by, to compare the source with; nil for the first.
    package var parent: SnapshotRecord?
    /// Look only, and leave source and target as they are.
    package var isDryRun = false
    /// What programs over restored copies are kept from; nil to find out for each.
    package var isolation: ScratchIsolation?
    /// A directory of ours in which is noted where servers have theirs, to be found after a crash; nil for none.
    package var scratchNotes: String?
    /// Keeps what is found before a server was started over a copy; nil when nobody asks.
    package var startFindings: StartFindings?
    /// Is told how far a long look at a target is.
    package var progress: Progress?

    package init(
        clock: any Clock, entropy: any Entropy, cancellation: Cancellation,
        runner: any ProcessRunner = SystemProcessRunner(), parent: SnapshotRecord? = nil
    ) {
        self.clock = clock
        self.entropy = entropy
        self.cancellation = cancellation
        self.runner = runner
        self.parent = parent
    }

    func settledIsolation() throws(HoldfastError) -> ScratchIsolation {
        if let isolation { return isolation }
        return try ScratchIsolation(self)
    }
}

/// One thing that a look at a workload brought to light.
package struct WorkloadFinding: Sendable, Hashable {
    package enum Severity: String, Sendable, Hashable, Comparable {
        case good
        case warning
        case error

        private var rank: Int {
            switch self {
            case .good: 0
            case .warning: 1
            case .error: 2
            }
        }

        package static func < (a: Severity, b: Severity) -> Bool { a.rank < b.rank }
    }

    package var severity: Severity
    /// What was looked at, in a word or two: stable, for programs.
    package var subject: String
    /// Lower-case, without a full stop.
    package var message: String
    /// What to do, as a sentence; empty when there is nothing to do.
    package var hint: String
    /// The code of the failure that an error becomes.
    package var code: ErrorCode
    /// Whether it was looked at, and what was found speaks against nobody. A warning is else of what could not be.
    package var isOnlyTold = false

    package init(
        _ severity: Severity, _ subject: String, _ message: String, hint: String = "",
        code: ErrorCode = .sourceFailed
    ) {
        self.severity = severity
        self.subject = subject
        self.message = message
        self.hint = hint
        self.code = code
    }

    /// The failure that this finding is when it is an error.
    package var failure: HoldfastError { HoldfastError(code, message, hint: hint) }
}

/// What is known of what a workload read. Becomes part of the snapshot's record.
package struct ReadOutcome: Sendable {
    /// The instant that all of it is consistent as of; nil when there is none better than the start of reading.
    package var consistentAsOf: Timestamp?
    /// Versions, positions and settings of the engine.
    package var facts: [String: String] = [:]
    /// What a restore is expected to hold, taken from the state that was read: row counts, fingerprints.
    package var expectedContents: [String: String] = [:]
    package var flags: Set<Flag> = []
    /// Told to the operator.
    package var findings: [WorkloadFinding] = []

    /// What the record says of the whole snapshot.
    package enum Flag: String, Sendable, Hashable {
        /// The source itself reports that some of it is damaged: committed, exit status 4, and never proven.
        case damaged
    }

    package init() {}
}

extension Workload {
    package func sourceName(_ context: WorkloadContext) throws(HoldfastError) -> String? { nil }

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] { [] }

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        throw HoldfastError(
            .usage, "\(identity.kind): is restored to, not backed up", hint: "Give a source: \(WorkloadScheme.forms).")
    }

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        throw HoldfastError(
            .usage, "nothing can be restored to \(identity.kind):",
            hint: "Give a target: \(WorkloadScheme.targetForms).")
    }

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { [] }

    package func startScratch(
        over copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> (any WorkloadScratch)? { nil }

    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { [] }
}
