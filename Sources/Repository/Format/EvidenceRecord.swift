// What a drill or an incident restore showed: the record that is sealed, signed and chained.

import Primitives

package enum EvidenceKind: UInt8, Sendable, CaseIterable {
    case drill = 1
    case incident = 2
    /// What a scheduler ran and did not run: a segment of the run ledger. 3 is for rotations.
    case runs = 4
    /// What is declared to be protected, and the recovery points of a period.
    case inventory = 5
    /// That a finding is known, who owns it and until when; or that it is closed.
    case exception = 6

    /// Whether it tells of a recovery. The others prove none, and nobody means them by `latest`.
    package var isRecovery: Bool { self == .drill || self == .incident }
}

/// Who wanted it. Raw values are part of the format.
package enum EvidenceOccasion: UInt8, Sendable, CaseIterable {
    /// A schedule.
    case automatic = 1
    /// Somebody who typed it.
    case manual = 2
    /// An exercise of people, of which this is the technical part.
    case gameDay = 3
}

package enum EvidenceVerdict: UInt8, Sendable, CaseIterable {
    case passed = 1
    case failed = 2
    /// It was stopped before it could tell.
    case interrupted = 3
}

package enum EvidenceCheckVerdict: UInt8, Sendable, CaseIterable {
    case passed = 1
    case failed = 2
    case timedOut = 3
    /// It did not apply, and the record says why in `actual`.
    case skipped = 4
    /// The drill ended before it.
    case notRun = 5
}

/// A phase of a recovery. Names that are not listed here may be read, and mean nothing to the arithmetic.
package struct RecoveryPhase: RawRepresentable, Sendable, Hashable {
    package let rawValue: String
    package init(rawValue: String) { self.rawValue = rawValue }

    package static let detect = RecoveryPhase(rawValue: "detect")
    package static let decide = RecoveryPhase(rawValue: "decide")
    package static let provision = RecoveryPhase(rawValue: "provision")
    package static let fetch = RecoveryPhase(rawValue: "fetch")
    package static let restore = RecoveryPhase(rawValue: "restore")
    package static let replay = RecoveryPhase(rawValue: "replay")
    package static let validate = RecoveryPhase(rawValue: "validate")
    package static let cutover = RecoveryPhase(rawValue: "cutover")
    package static let teardown = RecoveryPhase(rawValue: "teardown")

    /// Those that people do and no drill can measure.
    package static let declaredOnly: Set<RecoveryPhase> = [.detect, .decide, .cutover]
    /// Those between the start of the work and a service that can be used: technical RTO.
    package static let technical: Set<RecoveryPhase> = [.provision, .fetch, .restore, .replay, .validate]
}

/// One phase as it was, or as it is said to be.
package struct EvidencePhase: Sendable, Hashable {
    package enum Timing: Sendable, Hashable {
        /// The start by the wall clock at the beginning of the drill and the clock that never steps since then, the
        /// duration by the latter.
        case measured(start: Timestamp, duration: Duration)
        case declared(Duration)
    }

    package var name: RecoveryPhase
    /// The member's name; empty for what concerns all.
    package var member: String
    package var timing: Timing
    package var bytes: UInt64?
    /// Places in the list of phases, of those that had to end before this one could, whether it began after them or
    /// ran beside them.
    package var after: [UInt64]
    package var unknown = FieldMap()

    package init(
        _ name: RecoveryPhase, member: String = "", _ timing: Timing, bytes: UInt64? = nil, after: [UInt64] = []
    ) {
        self.name = name
        self.member = member
        self.timing = timing
        self.bytes = bytes
        self.after = after
    }

    package var isMeasured: Bool { if case .measured = timing { true } else { false } }
    package var duration: Duration {
        switch timing {
        case .measured(_, let duration), .declared(let duration): duration
        }
    }
}

/// A snapshot by all that tells it from any other.
package struct EvidenceSnapshot: Sendable, Hashable {
    package var tag: SourceTag
    package var id: SnapshotID
    package var sequence: UInt64
    /// SHA-256 of the whole object.
    package var digest: Bytes32

    package init(tag: SourceTag, id: SnapshotID, sequence: UInt64, digest: Bytes32) {
        self.tag = tag
        self.id = id
        self.sequence = sequence
        self.digest = digest
    }

    package init(_ snapshot: Snapshot) {
        self.init(tag: snapshot.tag, id: snapshot.id, sequence: snapshot.sequence, digest: snapshot.digest)
    }
}

/// One system that was recovered.
package struct EvidenceMember: Sendable, Hashable {
    /// Its name in the plan; unique within a record.
    package var name: String
    package var source: String
    package var workload: String
    /// Nil when none could be chosen.
    package var snapshot: EvidenceSnapshot?
    /// `latest`, `random`, `oldest`, `worst-replay`, `time` or `given`.
    package var selection: String
    /// What the operator or the plan asked for, as it was written: a time, a position, a seed.
    package var wanted: String = ""
    /// The instant that the recovered data is consistent as of.
    package var consistentAsOf: Timestamp?
    /// When the snapshot was on stable storage in the copy that was restored from.
    package var durableAt: Timestamp?
    /// Where replay ended, in the engine's own terms.
    package var reached: String = ""
    /// The newest committed data that was read back, such as the last beat of a heartbeat.
    package var newestData: Timestamp?
    /// Names of the members that had to be there before it.
    package var after: [String] = []
    package var logicalBytes: UInt64?
    package var storedBytes: UInt64?
    package var logBytes: UInt64?
    package var verdict: EvidenceVerdict
    package var rpoObjective: Duration?
    package var rpoAchieved: Duration?
    /// How far the achieved RPO may be off either way: the distance of two beats.
    package var rpoErrorBar: Duration?
    package var rtoObjective: Duration?
    package var rtoMeasured: Duration?
    package var facts: [String: String] = [:]
    package var unknown = FieldMap()

    package init(name: String, source: String, workload: String, selection: String, verdict: EvidenceVerdict) {
        self.name = name
        self.source = source
        self.workload = workload
        self.selection = selection
        self.verdict = verdict
    }

    /// Whether its verdict is about all of the snapshot. A restore of a part, and one into a program that nobody could
    /// look into, say in the fact `proves` that they show less.
    package var provesSnapshot: Bool { facts["proves"] == nil }
}

/// A check with all that is needed to judge it again.
package struct EvidenceCheck: Sendable, Hashable {
    /// Unique within a record.
    package var id: String
    /// The member's name; empty for what concerns several, as a reconciliation does.
    package var member: String
    /// Such as `engine`, `contents`, `sql`, `reconciliation`, `heartbeat`, `command`.
    package var kind: String
    /// The statement or the words of the command.
    package var statement: String
    package var expected: String
    package var actual: String
    package var verdict: EvidenceCheckVerdict
    package var started: Timestamp?
    package var duration: Duration?
    /// SHA-256 of all that the check printed, of which `actual` may be a part. Of the kinds `engine` and `contents` it
    /// is of the sentence in which the program says what it found, and not of what the engine's tool printed.
    package var outputDigest: Bytes32
    package var outputBytes: UInt64
    package var unknown = FieldMap()

    package init(
        id: String, member: String, kind: String, statement: String, expected: String, actual: String,
        verdict: EvidenceCheckVerdict, outputDigest: Bytes32, outputBytes: UInt64
    ) {
        self.id = id
        self.member = member
        self.kind = kind
        self.statement = statement
        self.expected = expected
        self.actual = actual
        self.verdict = verdict
        self.outputDigest = outputDigest
        self.outputBytes = outputBytes
    }
}

/// Where it ran, and how far from the source.
package struct EvidenceEnvironment: Sendable, Hashable {
    package var host: String
    /// What it was restored into.
    package var target: String
    /// How it was kept from the network, such as `namespace` or `loopback only`.
    package var network: String
    /// The user that it ran as.
    package var account: String
    /// Apart from the source in host, network and rights, as far as the drill could see.
    package var isSegregated: Bool
    /// Class of processor, disk and network; estimates are made only within one class.
    package var hardware: [String: String] = [:]
    package var teardownAt: Timestamp?
    package var unknown = FieldMap()

    package init(host: String, target: String, network: String, account: String, isSegregated: Bool) {
        self.host = host
        self.target = target
        self.network = network
        self.account = account
        self.isSegregated = isSegregated
    }
}

/// Something that was found, which somebody should look at.
package struct EvidenceFinding: Sendable, Hashable {
    /// `error`, `warning` or `info`.
    package var severity: String
    /// The object, member or file; may be empty.
    package var object: String
    package var message: String

    package init(severity: String, object: String, message: String) {
        self.severity = severity
        self.object = object
        self.message = message
    }
}

/// The record of one drill or incident restore, of the runs or the inventory of a period, or of an exception.
package struct EvidenceRecord: Sendable, Hashable {
    package static let maximumSize = 8 << 20
    package static let maximumMembers = 1024
    package static let maximumPhases = 8192
    package static let maximumChecks = 8192
    package static let maximumFindings = 1024
    package static let maximumHeads = 16_384
    package static let maximumRuns = 65_536
    /// Sources, jobs, points and exceptions of an inventory, of each.
    package static let maximumInventory = 65_536

    package var id: ULID
    package var kind: EvidenceKind
    package var occasion: EvidenceOccasion
    package var verdict: EvidenceVerdict
    /// The plan's name; empty without one.
    package var plan: String = ""
    /// SHA-256 of the plan's text.
    package var planDigest: Bytes32?
    package var `operator`: String
    package var approver: String?
    package var toolVersion: String
    package var runID: ULID
    package var started: Timestamp
    package var finished: Timestamp
    package var environment: EvidenceEnvironment
    package var members: [EvidenceMember] = []
    package var phases: [EvidencePhase] = []
    package var checks: [EvidenceCheck] = []
    package var findings: [EvidenceFinding] = []
    /// When the service failed, or is supposed to have; what RPO is counted back from.
    package var failedAt: Timestamp?
    package var rpoObjective: Duration?
    package var rpoAchieved: Duration?
    package var rtoObjective: Duration?
    /// From the start of provisioning to the end of validation, measured.
    package var rtoMeasured: Duration?
    /// What was broken on purpose; such a record proves that drills can fail, and no recovery.
    package var sabotage: String?
    /// The newest snapshot of each source that the repository showed.
    package var heads: [EvidenceSnapshot] = []
    /// Of a segment of the run ledger alone, in order of their times; ``started`` and ``finished`` are the period that
    /// it covers.
    package var runs: [EvidenceRun] = []
    /// Of an inventory alone: what was declared at ``finished``.
    package var sources: [EvidenceSource] = []
    package var jobs: [EvidenceJob] = []
    /// Recovery points that the store put from ``started`` until before ``finished``.
    package var points: [EvidencePoint] = []
    /// Exceptions that were open at ``finished``.
    package var openExceptions: [EvidenceHead] = []
    package var facts: [String: String] = [:]
    package var unknown = FieldMap()

    package init(
        id: ULID, kind: EvidenceKind, occasion: EvidenceOccasion, verdict: EvidenceVerdict, operator: String,
        toolVersion: String, runID: ULID, started: Timestamp, finished: Timestamp, environment: EvidenceEnvironment
    ) {
        self.id = id
        self.kind = kind
        self.occasion = occasion
        self.verdict = verdict
        self.operator = `operator`
        self.toolVersion = toolVersion
        self.runID = runID
        self.started = started
        self.finished = finished
        self.environment = environment
    }

    /// The time between the earliest and the latest instant that members are consistent as of; nil for fewer than two.
    package var memberSkew: Duration? {
        let instants = members.compactMap(\.consistentAsOf)
        guard instants.count > 1, let first = instants.min(), let last = instants.max() else { return nil }
        return last.since(first)
    }

    /// Whether it shows that its members can be recovered.
    package var provesRecovery: Bool { verdict == .passed && sabotage == nil && kind.isRecovery }
}
