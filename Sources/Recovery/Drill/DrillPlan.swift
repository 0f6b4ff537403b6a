// What a drill is to do, as a value: systems with their order, points, checks, limits and objectives.

import Primitives
import Repository
import Sealing
import Workloads

/// Which recovery point of a source is tried.
package enum PointChoice: Sendable, Hashable {
    case latest
    /// Any, each as likely as the others.
    case arbitrary
    case oldest
    /// The one with the most log to replay; the newest of several.
    case worstReplay
    /// The newest that is consistent as of this instant or an earlier one.
    case time(Timestamp)
    /// This one, for those who have chosen already.
    case snapshot(SnapshotID)

    package static let form = "latest, random, oldest, worst-replay or a time with its zone"

    /// Reads what ``form`` says; nil for anything else.
    package init?(_ text: String) {
        switch text {
        case "latest": self = .latest
        case "random": self = .arbitrary
        case "oldest": self = .oldest
        case "worst-replay": self = .worstReplay
        default:
            guard let instant = Timestamp(text: text) else { return nil }
            self = .time(instant)
        }
    }

    /// As evidence names it.
    package var name: String {
        switch self {
        case .latest: "latest"
        case .arbitrary: "random"
        case .oldest: "oldest"
        case .worstReplay: "worst-replay"
        case .time: "time"
        case .snapshot: "given"
        }
    }
}

/// What a drill may use.
package struct DrillLimits: Sendable, Hashable {
    /// Of the scratch directory.
    package var disk: ByteCount?
    /// Of all that the drill started, added up.
    package var memory: ByteCount?
    /// From its beginning to its end, teardown apart.
    package var time: Duration?

    package init() {}
}

/// A check of the plan's own.
package struct DrillCheck: Sendable, Hashable {
    /// What a statement must answer.
    package enum Expectation: Sendable, Hashable {
        /// The rows as text: columns parted by `|`, rows by line feeds.
        case text(String)
        /// One number within bounds.
        case number(atLeast: Double?, atMost: Double?)
    }

    package enum Kind: Sendable, Hashable {
        case sql(CopyQuestion, Expectation)
        /// A statement that gives the instant of the newest beat, how often there is one, and how old it may be at the
        /// recovery point.
        case heartbeat(CopyQuestion, every: Duration?, atMost: Duration?)
        /// A program that must exit 0, and print this when it is said.
        case command([String], output: String?)
        /// The same of two systems, within a tolerance for numbers.
        case reconciliation(
            left: CopyQuestion, leftSystem: String, right: CopyQuestion, rightSystem: String, tolerance: Double)
    }

    package var name: String
    package var kind: Kind
    package var timeout: Duration

    package static let standardTimeout = Duration.seconds(600)

    package init(name: String, _ kind: Kind, timeout: Duration = standardTimeout) {
        self.name = name
        self.kind = kind
        self.timeout = timeout
    }
}

/// One system of a plan.
package struct DrillSystem: Sendable, Hashable {
    package var name: String
    /// The source whose snapshot is restored.
    package var source: String
    package var point: PointChoice
    /// Systems that must be there before.
    package var after: [String] = []
    package var checks: [DrillCheck] = []
    package var rpo: Duration?
    package var rto: Duration?

    package init(name: String, source: String, point: PointChoice) {
        self.name = name
        self.source = source
        self.point = point
    }
}

/// A plan that can be carried out.
package struct DrillPlan: Sendable, Hashable {
    package static let maximumSystems = 256

    /// Empty for sources that were named on the command line.
    package var name: String
    package var systems: [DrillSystem]
    /// Checks that concern several systems, made when all are there.
    package var checks: [DrillCheck] = []
    package var limits = DrillLimits()
    package var rpo: Duration?
    package var rto: Duration?
    /// What detecting, deciding and switching over are said to take.
    package var declared: [RecoveryPhase: Duration] = [:]
    package var approver: String?

    package init(name: String, systems: [DrillSystem]) {
        self.name = name
        self.systems = systems
    }

    /// The systems in an order in which each comes after those that it waits for, otherwise as they were given.
    ///
    /// - Throws: `.usage` for a plan without systems or with too many, for names that come twice, are not there or
    ///   can't be those of directories, and for a ring.
    package func ordered() throws(HoldfastError) -> [DrillSystem] {
        guard (1...Self.maximumSystems).contains(systems.count) else {
            throw HoldfastError(
                .usage, "a plan has 1 to \(Self.maximumSystems) systems, not \(systems.count)",
                hint: "Divide it into several plans.")
        }
        for system in systems where !isSafeName(Array(system.name.utf8)) { throw Self.badName(system.name) }
        let tasks = systems.map { PlanTask($0.name, duration: .zero, after: $0.after) }
        let names = try PlanSchedule(tasks, workers: 1).slots.map(\.name)
        let known = Set(names)
        for check in checks {
            guard case .reconciliation(_, let left, _, let right, _) = check.kind else { continue }
            for name in [left, right] where !known.contains(name) {
                throw HoldfastError(
                    .usage, "the check `\(check.name)` is of `\(name)`, which the plan does not have",
                    hint: "Correct the plan.")
            }
        }
        return names.compactMap { name in systems.first { $0.name == name } }
    }

    static func badName(_ name: String) -> HoldfastError {
        HoldfastError(
            .usage, "`\(printablePath(Array(name.utf8)))` can't be the name of a system: it is one of a directory, too",
            hint: "Take letters and figures.")
    }

    /// SHA-256 of all that the plan says.
    package var digest: Bytes32 {
        var lines = [name, approver ?? "", "\(String(describing: rpo)) \(String(describing: rto)) \(limits)"]
        lines += declared.sorted { $0.key.rawValue < $1.key.rawValue }.map { "\($0.key.rawValue) \($0.value)" }
        lines += systems.map { "\($0)" }
        lines += checks.map { "\($0)" }
        let bytes = Array(lines.joined(separator: "\n").utf8)
        return SHA256.digest(bytes.span.bytes)
    }
}
