// Evidence as a person reads it.

import Primitives
import Repository

enum EvidenceText {
    static func flags(_ evidence: Evidence) -> [String] {
        var flags: [String] = []
        if evidence.object.origin == .imported { flags.append("imported") }
        if evidence.record?.sabotage != nil { flags.append("sabotage") }
        return flags
    }

    static func lines(_ record: EvidenceRecord, _ object: EvidenceObject, signer: String) -> [String] {
        func shown(_ text: String) -> String { ShownText.line(text) }
        let who = signer.isEmpty ? object.slot.description : "\(shown(signer)) (\(object.slot))"
        var lines = [
            "record    \(record.id), link \(object.number) of \(who), \(object.origin)",
            "verdict   \(record.kind) \(record.verdict)"
                + (record.sabotage.map { ", on purpose: \(shown($0)) was broken" } ?? ""),
            "time      \(record.started) to \(record.finished)",
            "operator  \(shown(record.operator))" + (record.approver.map { ", approved by \(shown($0))" } ?? ""),
            "where     \(shown(record.environment.target)) on \(shown(record.environment.host)), "
                + (record.environment.isSegregated ? "segregated" : "not segregated") + " (network: "
                + "\(shown(record.environment.network)), account: \(shown(record.environment.account)))",
        ]
        if !record.plan.isEmpty { lines.append("plan      \(shown(record.plan))") }
        if record.kind == .runs {
            let missed = record.runs.filter { !$0.reason.isEmpty }.count
            lines.append(
                "runs      \(record.runs.count - missed) ended, \(missed) lines of runs that did not take place")
        }
        for rotation in record.rotations {
            lines.append(
                "rotation  \(shown(rotation.secret)): \(shown(rotation.from ?? "-")) -> \(shown(rotation.to ?? "-")), "
                    + "\(shown(rotation.outcome)) (\(shown(rotation.policy)), \(shown(rotation.trigger)))")
        }
        lines += summary(record)
        for finding in record.findings {
            lines.append("\(shown(finding.severity)): \(shown(finding.object)): \(shown(finding.message))")
        }
        return lines
    }

    /// What a record comes to: objectives, systems, phases and checks.
    static func summary(_ record: EvidenceRecord) -> [String] {
        var lines: [String] = []
        if let text = objective(record.rpoAchieved, record.rpoObjective) { lines.append("RPO       \(text)") }
        if let text = objective(record.rtoMeasured, record.rtoObjective) { lines.append("RTO       \(text)") }
        if let skew = record.memberSkew { lines.append("skew      \(skew.lengthOfTime) between the systems") }
        lines += record.members.map(member)
        lines += record.members.compactMap(estimate)
        lines += record.phases.map(phase)
        for check in record.checks { lines += self.check(check) }
        return lines
    }

    private static func objective(_ achieved: Duration?, _ objective: Duration?) -> String? {
        guard achieved != nil || objective != nil else { return nil }
        let aim = objective.map { ", objective \($0.lengthOfTime)" } ?? ""
        guard let achieved else { return "not measured\(aim)" }
        let missed = objective.map { achieved > $0 } == true ? ": missed" : ""
        return "\(achieved.lengthOfTime)\(aim)\(missed)"
    }

    private static func member(_ member: EvidenceMember) -> String {
        let snapshot = member.snapshot.map { "snapshot \($0.id)" } ?? "no snapshot"
        let instant = member.consistentAsOf.map { ", as of \($0)" } ?? ""
        return "system    \(ShownText.name(member.name)): \(member.verdict), \(snapshot) "
            + "(\(ShownText.line(member.selection)))\(instant)"
    }

    /// What a recovery of full size would take; never called measured unless a drill was as large.
    private static func estimate(_ member: EvidenceMember) -> String? {
        func fact(_ name: String) -> String? { member.facts["estimate.\(name)"].map { ShownText.line($0) } }
        guard let basis = fact("basis"), let samples = fact("samples"), let confidence = fact("confidence") else {
            return nil
        }
        let size = member.facts["full.bytes"].flatMap { UInt64($0) }.map { " at \(ByteCount($0))" } ?? ""
        let head = "estimate  \(ShownText.name(member.name))\(size):"
        let count = "\(samples) \(samples == "1" ? "drill" : "drills")"
        guard let seconds = fact("seconds") else {
            return "\(head) none, \(count) here; it takes three of different sizes (confidence \(confidence))"
        }
        guard let low = fact("low90.seconds"), let high = fact("high90.seconds") else {
            return "\(head) \(seconds) s \(basis)"
        }
        let fit = fact("rSquared").map { ", R² \($0)" } ?? ""
        return "\(head) \(seconds) s \(basis) from \(count), nine of ten within \(low) to \(high) s"
            + " (confidence \(confidence)\(fit)" + (fact("scale").map { ", \($0) times the largest)" } ?? ")")
    }

    private static func phase(_ phase: EvidencePhase) -> String {
        let member = phase.member.isEmpty ? "" : " of \(ShownText.name(phase.member))"
        let bytes = phase.bytes.map { ", \(ByteCount($0))" } ?? ""
        return "phase     \(ShownText.line(phase.name.rawValue))\(member): "
            + "\(tenths(phase.duration)) s \(phase.isMeasured ? "measured" : "declared")\(bytes)"
    }

    /// Seconds with one place.
    private static func tenths(_ duration: Duration) -> String {
        let tenths = duration.nanosecondsClamped / 100_000_000
        return "\(tenths / 10).\(tenths % 10)"
    }

    private static func check(_ check: EvidenceCheck) -> [String] {
        let member = check.member.isEmpty ? "" : " of \(ShownText.name(check.member))"
        let head = "check     \(ShownText.name(check.id))\(member) (\(ShownText.line(check.kind))): \(check.verdict)"
        guard check.verdict != .passed else { return [head] }
        return [
            head, "          expected \(ShownText.line(check.expected))",
            "          found    \(ShownText.line(check.actual))",
        ]
    }
}
