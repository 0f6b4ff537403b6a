// Tests and incident restores as rows of a report.

import Primitives
import Recovery
import Repository

extension Report.DrillRow {
    init(_ link: ReportLink, _ record: EvidenceRecord) {
        let place = record.environment
        self.init(
            id: record.id.description, evidence: link.reference, kind: "\(record.kind)",
            occasion: "\(record.occasion)", plan: record.plan,
            planSha256: record.planDigest.map { Hex.encode($0.array) }, started: record.started.description,
            finished: record.finished.description, operator: record.operator, approver: record.approver,
            verdict: "\(record.verdict)", isImported: link.isImported, sabotage: record.sabotage, host: place.host,
            network: place.network, account: place.account, isSegregated: place.isSegregated,
            rpoObjectiveSeconds: record.rpoObjective?.secondsUp, rpoAchievedSeconds: record.rpoAchieved?.secondsUp,
            rtoObjectiveSeconds: record.rtoObjective?.secondsUp, rtoMeasuredSeconds: record.rtoMeasured?.secondsUp,
            members: record.members.map { Report.MemberRow($0, isProven: record.proves($0)) },
            checks: record.checks.map { check in
                Report.CheckRow(
                    id: check.id, member: check.member, kind: check.kind, verdict: "\(check.verdict)",
                    expected: check.expected, actual: check.actual,
                    outputSha256: Hex.encode(check.outputDigest.array))
            },
            findings: record.findings.map { "\($0.severity): \($0.object): \($0.message)" })
    }

    /// A test that counts: what was broken on purpose proves nothing, and what was broken off says nothing.
    var counts: Bool { sabotage == nil && verdict != "interrupted" }
}

extension Report.MemberRow {
    init(_ member: EvidenceMember, isProven: Bool) {
        self.init(
            name: member.name, source: member.source, workload: member.workload, verdict: "\(member.verdict)",
            selection: member.selection, snapshot: member.snapshot?.id.description,
            consistentAsOf: member.consistentAsOf?.description, rpoObjectiveSeconds: member.rpoObjective?.secondsUp,
            rpoAchievedSeconds: member.rpoAchieved?.secondsUp, rtoObjectiveSeconds: member.rtoObjective?.secondsUp,
            rtoMeasuredSeconds: member.rtoMeasured?.secondsUp, logBytes: member.logBytes, isProven: isProven)
    }
}

/// What tests showed of one source.
struct TestFigures: Sendable {
    private(set) var tests = Report.Tests(passed: 0, failed: 0, unclear: 0, lastProof: nil)
    /// Of tests that proved it: measured times, in order.
    private(set) var times: [(at: String, seconds: Int64, objective: Int64?)] = []

    mutating func add(_ drill: Report.DrillRow) {
        guard drill.counts else { return }
        let members = drill.members
        if members.contains(where: { $0.verdict == "failed" }) {
            tests.failed += 1
        } else if members.contains(where: \.isProven) {
            tests.passed += 1
            tests.lastProof = drill.finished
        } else {
            tests.unclear += 1
        }
        // Incident restores measure a recovery as well as drills do.
        for member in members where member.isProven {
            if let seconds = member.rtoMeasuredSeconds {
                times.append((drill.finished, seconds, member.rtoObjectiveSeconds))
            }
        }
    }

    func rto(declared: Int64?) -> Report.RTO {
        let held = times.compactMap { time in (time.objective ?? declared).map { time.seconds <= $0 } }
        return Report.RTO(
            measured: Int64(times.count), worstSeconds: times.map(\.seconds).max(), lastSeconds: times.last?.seconds,
            isMet: held.isEmpty ? nil : held.allSatisfy { $0 })
    }
}
