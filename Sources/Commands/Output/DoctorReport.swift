// What doctor found, for people and for programs.

import Primitives
import Workloads

/// `holdfast.doctor/1`.
struct DoctorReport: Encodable {
    let schema = "holdfast.doctor/1"
    /// `good`, `warning` or `error`.
    let worst: String
    let things: [Thing]

    struct Thing: Encodable {
        let kind, name, worst: String
        let findings: [Finding]
    }

    struct Finding: Encodable {
        let severity, subject, message: String
        let hint: String?
        /// The code of docs/errors.md that an error would be.
        let code: String?
    }

    var worstSeverity: WorkloadFinding.Severity { WorkloadFinding.Severity(rawValue: worst) ?? .error }

    private enum CodingKeys: String, CodingKey { case schema, worst, things }

    init(_ sections: [ExaminedThing]) {
        worst = Self.worst(sections.flatMap(\.findings))
        things = sections.map { section in
            Thing(
                kind: section.kind.rawValue, name: section.name, worst: Self.worst(section.findings),
                findings: section.findings.map {
                    Finding(
                        severity: $0.severity.rawValue, subject: $0.subject, message: $0.message,
                        hint: $0.hint.isEmpty ? nil : $0.hint, code: $0.severity == .error ? $0.code.rawValue : nil)
                })
        }
    }

    private static func worst(_ findings: [WorkloadFinding]) -> String {
        (findings.map(\.severity).max() ?? .good).rawValue
    }

    /// A block for each thing; a line for each finding, and one for what to do about it.
    var lines: [String] {
        var lines: [String] = []
        for thing in things {
            if !lines.isEmpty { lines.append("") }
            lines.append(thing.kind == thing.name ? thing.name : "\(thing.kind) \(ShownText.line(thing.name))")
            for finding in thing.findings {
                let word = finding.severity == WorkloadFinding.Severity.good.rawValue ? "ok" : finding.severity
                let gap = String(repeating: " ", count: 9 - word.count)
                lines.append("  \(word)\(gap)\(finding.subject): \(ShownText.line(finding.message))")
                if let hint = finding.hint { lines.append("           \(ShownText.line(hint))") }
            }
        }
        return lines
    }
}
