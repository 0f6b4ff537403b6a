// What a drill says while it runs and when it is over.

import Primitives
import Recovery
import Repository

enum DrillText {
    /// What happens, as remarks.
    static func show(_ event: DrillEvent, on output: Output) {
        switch event {
        case .began, .entered: return
        case .ended(let phase, let member, let duration, let bytes):
            let name = member.isEmpty ? "" : "\(ShownText.name(member)): "
            let size = bytes.map { ", \(ByteCount($0))" } ?? ""
            output.remark("holdfast: \(name)\(phase.rawValue) \(RestoreTime.text(duration.inSeconds))\(size)")
        case .checked(let check):
            guard [.failed, .timedOut, .notRun].contains(check.verdict) else { return }
            output.warning(
                "\(ShownText.name(check.id)): \(check.verdict): \(ShownText.line(check.actual)); expected "
                    + ShownText.line(check.expected))
        case .found(let finding):
            let object = finding.object.isEmpty ? "" : "\(ShownText.line(finding.object)): "
            let text = object + ShownText.line(finding.message)
            if finding.severity == "info" { output.remark("holdfast: note: \(text)") } else { output.warning(text) }
        case .settled(let record):
            let what = record.kind == .drill ? "drill" : "restore"
            output.warning(
                "the \(what) \(record.id) of \(record.started) was \(record.verdict) and left no evidence; "
                    + "it has some now"
            )
        }
    }

    /// The end of a drill.
    static func show(_ outcome: DrillOutcome, _ file: String?, on output: Output) throws(HoldfastError) {
        let record = outcome.record
        let name = record.plan.isEmpty ? "" : " of \(ShownText.name(record.plan))"
        try output.line("drill     \(record.verdict)\(name), record \(record.id)")
        for line in EvidenceText.summary(record) { try output.line(line) }
        // What takes less than a tenth of a second is not worth a word.
        let path = (record.facts["criticalPath"] ?? "").split(separator: ",").filter { !$0.hasSuffix(" 0.0") }
        if !path.isEmpty { try output.line("path      \(ShownText.line(path.joined(separator: ",")))") }
        if let seconds = record.facts["plan.atOnce.seconds"] {
            try output.line("at once   \(ShownText.line(seconds)) s if all systems that can were recovered at once")
        }
        if let kept = record.facts["scratch.kept"] {
            try output.line("kept      \(ShownText.name(kept)), until `holdfast drill --clean`")
        }
        if let evidence = outcome.evidence {
            try output.line("evidence  link \(evidence.number) of \(evidence.slot)")
        } else if let file {
            try output.line("evidence  \(ShownText.name(file)), signed by nobody: holdfast evidence import")
        }
    }
}

/// `holdfast.drill/1`: the records, as `evidence show --json` has them.
struct DrillReport: Encodable {
    let schema = "holdfast.drill/1"
    let drills: [EvidenceReport]
    /// The file with the record; nil when it is in the repository.
    let file: String?

    private enum CodingKeys: String, CodingKey { case schema, drills, file }

    init(_ outcomes: [DrillOutcome], file: String?) {
        drills = outcomes.map { outcome in
            EvidenceReport(outcome.evidence?.object, outcome.record, signer: "")
        }
        self.file = file
    }
}

/// `holdfast.drill-clean/1`.
struct DrillCleanReport: Encodable {
    let schema = "holdfast.drill-clean/1"
    let removed: [String]
    /// What could not be removed.
    let failures: [Failure]

    struct Failure: Encodable {
        let path, code, message: String
    }

    private enum CodingKeys: String, CodingKey { case schema, removed, failures }

    init(_ outcomes: [KeptScratch.Outcome]) {
        removed = outcomes.filter { $0.failure == nil }.map(\.path)
        failures = outcomes.compactMap { outcome in
            outcome.failure.map { Failure(path: outcome.path, code: $0.code.rawValue, message: $0.message) }
        }
    }
}
