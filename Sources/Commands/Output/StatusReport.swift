// The one screen of `status`.

import Configuring
import ControlPlane
import Primitives
import Recovery
import Scheduling

/// Whether a source can be recovered.
enum Recoverability: String, Encodable, CaseIterable {
    /// A drill showed it within the period.
    case proven
    /// There is a snapshot, and no proof within the period.
    case unproven
    case no
}

/// One source of `holdfast.status/1`.
struct SourceStatus: Encodable {
    let source: String
    let recoverable: Recoverability
    /// Why it is not proven.
    let reason: String?
    /// The state that could be recovered to now.
    let lastSnapshot: String?
    /// What would be lost now; missing when there is nothing to recover.
    let exposureSeconds, objectiveSeconds: Int64?
    let isWithinObjective: Bool?
    let lastProof: String?
    /// The newest check, however it ended.
    let lastCheck, lastCheckOutcome: String?
    /// When damage was found that no later check has shown to be gone.
    let damageFound: String?
    let nextRun: String?

    /// - Parameter found: What is known of its recovery points, by the rules of `rpo`.
    init(_ facts: StatusFacts, _ found: Result<RecoveryPoints, HoldfastError>) {
        source = facts.name
        lastCheck = facts.checks.newest?.ended.description
        lastCheckOutcome = facts.checks.newest?.outcome.rawValue
        damageFound = facts.checks.damage?.ended.description
        nextRun = facts.next?.description
        var points: RecoveryPoints?
        var exposure: Duration?
        var failure: HoldfastError?
        do throws(HoldfastError) {
            let known = try found.get()
            points = known
            exposure = try known.exposure(
                ExposureView(), from: facts.now + (.zero - Self.glance), to: facts.now
            ).at(facts.now)
        } catch {
            failure = error
        }
        let objective = facts.objective ?? points?.declaredObjective
        lastSnapshot = exposure.map { (facts.now + (.zero - $0)).description }
        exposureSeconds = exposure?.components.seconds
        objectiveSeconds = objective?.components.seconds
        isWithinObjective = objective.map { objective in exposure.map { $0 <= objective } ?? false }
        let drills = DrillStanding(points?.drills ?? [], at: facts.now)
        lastProof = drills.lastProof?.description
        let verdict = Self.verdict(facts, points, failure, hasPoint: exposure != nil, drills)
        (recoverable, reason) = verdict.map { ($0.0, $0.1) } ?? (.proven, nil)
    }

    /// The exposure is asked for now alone, and takes a period.
    private static let glance = Duration.seconds(1)

    /// Nil when nothing speaks against it.
    private static func verdict(
        _ facts: StatusFacts, _ points: RecoveryPoints?, _ failure: HoldfastError?, hasPoint: Bool,
        _ drills: DrillStanding
    ) -> (Recoverability, String)? {
        guard let points, failure == nil else {
            let isEmpty = failure?.code == .snapshotNotFound
            return (.no, isEmpty ? "there is no snapshot" : failure?.message ?? "it cannot be read")
        }
        if let damage = facts.checks.damage {
            return (
                .no,
                (damage.job == CheckRecord.byHand ? "a check by hand" : "the check \(damage.job)")
                    + " of its repository found damage at \(damage.ended), and none since has shown "
                    + "it to be gone"
            )
        }
        if let damaged = points.damaged.first { return (.no, "a snapshot is damaged: \(damaged)") }
        guard hasPoint else { return (.no, "there is no whole snapshot that can be recovered") }
        if let lost = facts.openings.lost.first { return (.no, lost) }
        guard let newest = drills.newest else { return (.unproven, "it was never drilled") }
        switch newest.verdict {
        case .failed:
            let why = newest.isLocked ? ": no secret was shown to open what it restored" : ""
            return (.no, "its newest drill did not pass" + why)
        case .unclear: return (.unproven, "its newest drill failed in a check of several systems")
        case .proven: break
        }
        if let unknown = facts.openings.unknown.first { return (.unproven, unknown) }
        if facts.now.since(newest.at) > facts.period {
            return (.unproven, "its newest drill is older than \(facts.period.lengthOfTime)")
        }
        if !points.seesAllEvidence {
            return (.unproven, "not all evidence can be read, so that a drill may have failed since")
        }
        if let late = facts.lateCheck {
            return (
                .unproven,
                "no check of its repository by \(late.job) ended well within \(late.period.lengthOfTime)"
            )
        }
        if !facts.isScheduleKnown { return (.unproven, "what checks of its repository found cannot be read") }
        return nil
    }
}

/// `holdfast.status/1`.
struct StatusReport: Encodable {
    let schema = "holdfast.status/1"
    let at: String
    /// The worst of the sources.
    let recoverable: Recoverability
    let sources: [SourceStatus]
    /// Jobs that do not do what they should.
    let jobs: [Trouble]
    let alerts: [AlertReport]
    /// Why jobs and their runs are not known.
    let unknown: ErrorReport?

    private enum CodingKeys: String, CodingKey { case schema, at, recoverable, sources, jobs, alerts, unknown }

    private static let mostAlerts = 10

    struct Trouble: Encodable {
        let job: String
        /// `failing`, `overdue`, `overlong` or `starved`.
        let trouble: String
        /// Since when it is overdue or starved, when its run began that is overlong, or when it ended last.
        let since: String
        /// How it ended last; missing when it does not fail.
        let outcome: String?
        /// Why it does not get to run; missing unless it is starved.
        let reason: String?

        init(_ job: JobName, _ trouble: JobTrouble) {
            self.job = job.description
            switch trouble {
            case .failing(let outcome, let ended):
                (self.trouble, since, self.outcome, reason) = ("failing", ended.description, outcome.rawValue, nil)
            case .overdue(let due): (self.trouble, since, outcome, reason) = ("overdue", due.description, nil, nil)
            case .overlong(let began):
                (self.trouble, since, outcome, reason) = ("overlong", began.description, nil, nil)
            case .starved(let due, let why):
                (self.trouble, since, outcome, reason) = ("starved", due.description, nil, why.rawValue)
            }
        }

        var line: String {
            let name = ShownText.name(job)
            if let reason {
                return "job \(name): starved: what was due since \(since) did not take place, at last by \(reason)"
            }
            if trouble == "overlong" {
                return "job \(name): overlong: its run of \(since) is under way still, for longer than it should be"
            }
            return outcome.map { "job \(name): failing: it ended as \($0) at \(since)" }
                ?? "job \(name): overdue: it was due at \(since), and nothing has run it"
        }
    }

    init(
        sources: [SourceStatus], jobs: [(job: JobName, trouble: JobTrouble)], alerts: [AlertRecord],
        unknown: HoldfastError?, at now: Timestamp
    ) {
        at = now.description
        self.sources = sources
        self.jobs = jobs.map { Trouble($0.job, $0.trouble) }
        self.alerts = alerts.map { AlertReport($0) }
        self.unknown = unknown.map { ErrorReport($0) }
        let verdicts = sources.map(\.recoverable)
        recoverable =
            verdicts.contains(.no) || sources.isEmpty ? .no : verdicts.contains(.unproven) ? .unproven : .proven
    }

    var status: ExitStatus {
        if recoverable == .no || sources.contains(where: { $0.isWithinObjective == false }) { return .checkFailed }
        let isCritical = alerts.contains { $0.severity == AlertRecord.Severity.critical.rawValue }
        return recoverable == .proven && jobs.isEmpty && unknown == nil && !isCritical ? .success : .partial
    }

    var lines: [String] {
        var table = Table([
            ("SOURCE", .left), ("RECOVERABLE", .left), ("LAST SNAPSHOT", .left), ("EXPOSURE", .right),
            ("OBJECTIVE", .right), ("LAST CHECK", .left), ("NEXT RUN", .left),
        ])
        for source in sources {
            let exposure = source.exposureSeconds.map { Duration.seconds($0).lengthOfTime } ?? "all"
            table.add([
                ShownText.name(source.source), source.recoverable.rawValue, source.lastSnapshot ?? "never",
                exposure + (source.isWithinObjective == false ? " OVER" : ""),
                source.objectiveSeconds.map { Duration.seconds($0).lengthOfTime } ?? "none",
                source.lastCheck.map { "\($0) \(source.lastCheckOutcome ?? "")" } ?? "never", source.nextRun ?? "never",
            ])
        }
        var lines = table.lines
        for source in sources {
            if let reason = source.reason {
                lines.append(
                    "\(ShownText.name(source.source)): \(source.recoverable.rawValue): \(ShownText.line(reason))")
            }
        }
        lines += jobs.map(\.line)
        if let unknown { lines.append("jobs and their runs are not known: \(ShownText.line(unknown.message))") }
        if sources.isEmpty { lines.append("there are no sources, so nothing can be recovered") }
        for alert in alerts.prefix(Self.mostAlerts) {
            lines.append("\(alert.severity) since \(alert.since): \(ShownText.line(alert.summary))")
        }
        if alerts.count > Self.mostAlerts { lines.append("and \(alerts.count - Self.mostAlerts) more alerts") }
        return lines
    }
}

/// An alert in JSON.
struct AlertReport: Encodable {
    let key, severity, state, summary, since, changed: String

    init(_ alert: AlertRecord) {
        key = alert.key
        severity = alert.severity.rawValue
        state = alert.state.rawValue
        summary = alert.summary
        since = alert.since.description
        changed = alert.changed.description
    }
}
