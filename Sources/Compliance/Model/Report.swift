// A report as values: what every format is written from. All numbers are integers, so that one report has one text.

import Primitives

/// A report over one period. Lengths of time are whole seconds, rounded up; shares are parts of a million, rounded
/// down.
package struct Report: Sendable, Hashable, Codable {
    package var framework: String
    package var frameworkName: String
    package var repository: String
    package var adminKey: String
    package var from: String
    package var to: String
    package var chains: [Chain]
    package var coverage: Coverage
    package var totals: Population
    package var jobs: [JobRow]
    package var sources: [SourceRow]
    package var drills: [DrillRow]
    package var exceptions: [ExceptionRow]
    package var isolation: Isolation
    package var rotation: RotationFigures
    package var auditHeads: [AuditHeadRow]
    package var copies: Copies
    package var trends: [TrendRow]
    package var findings: [Finding]
    package var controls: [ControlRow]

    /// A chain of evidence as far as the report rests on it.
    package struct Chain: Sendable, Hashable, Codable {
        package var slot: String
        /// The first link of the unbroken stretch that is looked at, and the newest that there was.
        package var first: UInt32
        package var last: UInt32
        package var lastSha256: String
        /// Records that the report was made from.
        package var used: Int64
        package var imported: Int64
    }

    /// Of which time the ledger of runs says anything.
    package struct Coverage: Sendable, Hashable, Codable {
        package var stretches: [Stretch]
        package var gaps: [Stretch]
        package var segments: Int64
        package var inventories: Int64
        package var newestInventory: String?
    }

    package struct Stretch: Sendable, Hashable, Codable {
        package var from: String
        package var to: String
    }

    /// Runs by what came of them, so that a sample can be drawn.
    package struct Population: Sendable, Hashable, Codable {
        /// By the schedules, where they held for the whole time between two seals.
        package var expected: Int64 = 0
        /// Stretches between seals in which a schedule was new or changed, so that nothing is expected of them.
        package var unknownStretches: Int64 = 0
        package var done: Int64 = 0
        /// Some of it was done and is committed.
        package var partial: Int64 = 0
        package var failed: Int64 = 0
        /// Not run though nobody ordered so.
        package var missed: Int64 = 0
        /// Not run since a later run made up for it.
        package var madeUp: Int64 = 0
        /// Not run by order: a pause, a window, a blackout.
        package var excused: Int64 = 0
        /// Runs that began later than their jitter and ten minutes.
        package var late: Int64 = 0
        /// Of all of these, those that a person or a timer started.
        package var manual: Int64 = 0
        /// Expected, and no line says what became of it.
        package var unaccounted: Int64 = 0

        package var recorded: Int64 { done + partial + failed + missed + madeUp + excused }
    }

    package struct JobRow: Sendable, Hashable, Codable {
        package var job: String
        package var kind: String
        package var schedule: String
        package var isEnabled: Bool
        /// Of a check: whether it reads back what is stored.
        package var readsData: Bool
        package var sources: [String]
        package var population: Population
        package var outcomes: [Count]
    }

    package struct Count: Sendable, Hashable, Codable {
        package var name: String
        package var count: Int64
    }

    package struct SourceRow: Sendable, Hashable, Codable {
        package var source: String
        package var workload: String
        package var owner: String?
        package var tier: String?
        package var dataClass: String?
        /// In the configuration at some time of the period.
        package var isDeclared: Bool
        /// A job that is enabled backs it up.
        package var isPlanned: Bool
        package var jobs: [String]
        /// When it came or went within the period, between two seals.
        package var added: String?
        package var retired: String?
        package var objectives: [Objective]
        package var points: Int64
        package var incompletePoints: Int64
        package var newestPoint: String?
        package var rpo: RPO?
        package var rto: RTO
        package var tests: Tests
    }

    package struct Objective: Sendable, Hashable, Codable {
        package var from: String
        package var rpoSeconds: Int64?
        package var rtoSeconds: Int64?
    }

    package struct RPO: Sendable, Hashable, Codable {
        package var from: String
        package var to: String
        /// Nil for no end: at some time there was nothing to recover.
        package var worstSeconds: Int64?
        package var meanSeconds: Int64?
        package var unprotectedSeconds: Int64
        /// Of the time with an objective; nil without one.
        package var withinMillionths: Int64?
        package var isMet: Bool?
    }

    package struct RTO: Sendable, Hashable, Codable {
        package var measured: Int64
        package var worstSeconds: Int64?
        package var lastSeconds: Int64?
        package var isMet: Bool?
    }

    package struct Tests: Sendable, Hashable, Codable {
        package var passed: Int64
        package var failed: Int64
        package var unclear: Int64
        package var lastProof: String?
    }

    package struct DrillRow: Sendable, Hashable, Codable {
        package var id: String
        package var evidence: EvidenceReference
        package var kind: String
        package var occasion: String
        package var plan: String
        package var planSha256: String?
        package var started: String
        package var finished: String
        package var `operator`: String
        package var approver: String?
        package var verdict: String
        package var isImported: Bool
        /// What was broken on purpose; such a drill proves no recovery.
        package var sabotage: String?
        package var host: String
        package var network: String
        package var account: String
        package var isSegregated: Bool
        package var rpoObjectiveSeconds: Int64?
        package var rpoAchievedSeconds: Int64?
        package var rtoObjectiveSeconds: Int64?
        package var rtoMeasuredSeconds: Int64?
        package var members: [MemberRow]
        package var checks: [CheckRow]
        package var findings: [String]
    }

    package struct MemberRow: Sendable, Hashable, Codable {
        package var name: String
        package var source: String
        package var workload: String
        package var verdict: String
        package var selection: String
        package var snapshot: String?
        package var consistentAsOf: String?
        package var rpoObjectiveSeconds: Int64?
        package var rpoAchievedSeconds: Int64?
        package var rtoObjectiveSeconds: Int64?
        package var rtoMeasuredSeconds: Int64?
        package var logBytes: UInt64?
        package var isProven: Bool
    }

    package struct CheckRow: Sendable, Hashable, Codable {
        package var id: String
        package var member: String
        package var kind: String
        package var verdict: String
        package var expected: String
        package var actual: String
        package var outputSha256: String
    }

    package struct ExceptionRow: Sendable, Hashable, Codable {
        package var id: String
        package var evidence: EvidenceReference
        package var finding: String
        package var severity: String
        package var owner: String
        package var reason: String
        package var ticket: String?
        package var opened: String
        package var due: String
        package var closed: String?
        package var closedBecause: String?
        /// The record of the test that showed it to be mended.
        package var retest: String?
        package var isOverdue: Bool
    }

    package struct Isolation: Sendable, Hashable, Codable {
        package var status: Status
        package var drills: Int64
        package var failed: [String]
    }

    package struct AuditHeadRow: Sendable, Hashable, Codable {
        package var log: String
        package var host: String
        package var state: String
        package var records: UInt64
        package var sha256: String
        package var sealed: String
    }

    /// Copies as the newest inventory of the period declares them; nothing here measures where a disk stands.
    package struct Copies: Sendable, Hashable, Codable {
        package var declared: Int64
        package var offsite: Int64
        package var immutable: Int64
    }

    package enum Status: String, Sendable, Hashable, Codable, CaseIterable {
        case met
        case partial
        case notMet = "not-met"
        case noEvidence = "no-evidence"
        case notApplicable = "not-applicable"
    }

    package enum Severity: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
        case info, warning, error

        private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
        package static func < (one: Self, other: Self) -> Bool { one.rank < other.rank }
    }

    package struct Finding: Sendable, Hashable, Codable {
        /// The same as long as its cause: `rpo/app`; what an exception names.
        package var key: String
        package var severity: Severity
        package var text: String
        package var evidence: [EvidenceReference]
        /// The exception that is open for it.
        package var exception: String?
    }

    package struct ControlRow: Sendable, Hashable, Codable {
        package var control: String
        package var title: String
        package var asks: String
        /// Whether the words above were held to the text of the clause, and to which.
        package var text: String
        package var isTextChecked: Bool
        package var asksForTest: Bool
        package var status: Status
        package var needs: [NeedRow]
        /// What the clause asks for and no record of this program can show.
        package var notShown: [String]
    }

    package struct NeedRow: Sendable, Hashable, Codable {
        package var need: String
        package var status: Status
        package var text: String
    }
}
