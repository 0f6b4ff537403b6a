// The one screen of `status`.

import Configuration
import Primitives
import Recovery
import Repository
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
    let lastSnapshot: String?
    /// What would be lost now; missing when there is nothing to recover.
    let exposureSeconds, objectiveSeconds: Int64?
    let isWithinObjective: Bool?
    let lastProof: String?
    let lastCheck, lastCheckOutcome: String?
    let nextRun: String?

    init(_ facts: StatusFacts, _ opened: Result<StatusRepository, HoldfastError>) {
        let name = facts.source.name
        source = name
        lastCheck = facts.check?.ended.description
        lastCheckOutcome = facts.check?.outcome.rawValue
        nextRun = facts.next?.description
        var objective = facts.source.rpo
        var (points, failure): (RecoveryPoints?, HoldfastError?)
        var evidence: [EvidenceRecord] = []
        do throws(HoldfastError) {
            let repository = try opened.get()
            evidence = repository.evidence
            points = try RecoveryPoints(of: name, in: [repository.place])
        } catch {
            failure = error
        }
        objective = objective ?? points?.declaredObjective
        let newest = points?.points.last
        lastSnapshot = newest?.consistentAsOf.description
        exposureSeconds = newest.map { max(0, facts.now.since($0.consistentAsOf).components.seconds) }
        objectiveSeconds = objective?.components.seconds
        let exposure = exposureSeconds
        isWithinObjective = objective.map { objective in exposure.map { $0 <= objective.components.seconds } ?? false }
        let drills = Self.drills(of: name, evidence)
        let proof = drills.last { $0.verdict == .passed }
        lastProof = proof?.finished.description
        (recoverable, reason) = Self.verdict(facts, hasPoint: newest != nil, failure, drills)
    }

    private struct DrillEnd {
        var verdict: EvidenceVerdict
        var finished: Timestamp
    }

    /// What was broken on purpose, and what was broken off, says nothing.
    private static func drills(of source: String, _ evidence: [EvidenceRecord]) -> [DrillEnd] {
        evidence.flatMap { record -> [DrillEnd] in
            guard record.sabotage == nil else { return [] }
            return record.members.compactMap { member in
                guard member.source == source, member.verdict != .interrupted else { return nil }
                return DrillEnd(verdict: member.verdict, finished: record.finished)
            }
        }
    }

    private static func verdict(
        _ facts: StatusFacts, hasPoint: Bool, _ failure: HoldfastError?, _ drills: [DrillEnd]
    ) -> (Recoverability, String?) {
        if let failure {
            return (.no, failure.code == .snapshotNotFound ? "there is no snapshot" : failure.message)
        }
        if facts.check?.outcome == .checkFailed { return (.no, "the newest check of its repository found damage") }
        guard hasPoint else { return (.no, "there is no whole snapshot") }
        guard let last = drills.last else { return (.unproven, "it was never drilled") }
        guard last.verdict == .passed else { return (.no, "its newest drill did not pass") }
        if facts.now.since(last.finished) > facts.period {
            return (.unproven, "its newest drill is older than \(facts.period.lengthOfTime)")
        }
        return (.proven, nil)
    }
}

/// `holdfast.status/1`.
struct StatusReport: Encodable {
    let schema = "holdfast.status/1"
    let at: String
    /// The worst of the sources.
    let recoverable: Recoverability
    let sources: [SourceStatus]
    let alerts: [AlertReport]

    private enum CodingKeys: String, CodingKey { case schema, at, recoverable, sources, alerts }

    private static let mostAlerts = 10

    init(sources: [SourceStatus], alerts: [AlertRecord], at now: Timestamp) {
        at = now.description
        self.sources = sources
        self.alerts = alerts.map { AlertReport($0) }
        let verdicts = sources.map(\.recoverable)
        recoverable =
            verdicts.contains(.no) || sources.isEmpty ? .no : verdicts.contains(.unproven) ? .unproven : .proven
    }

    var status: ExitStatus {
        if recoverable == .no || sources.contains(where: { $0.isWithinObjective == false }) { return .checkFailed }
        return recoverable == .proven ? .success : .partial
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
