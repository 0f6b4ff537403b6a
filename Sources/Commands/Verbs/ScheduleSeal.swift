// holdfast schedule seal: the history of runs, sealed into the repository.

import ArgumentParser
import ControlPlane
import Primitives
import Repository
import State

struct ScheduleSeal: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Seal what ran and did not run on the days that are over into the repository.",
        discussion: """
            Each day (UTC) of the history becomes a link in the evidence of this key's slot: signed, chained and there \
            when this host is gone; `holdfast schedule history --sealed` shows it. The key needs the right to attest. \
            A job of the type `ledger` does this every day.

            Examples:

              holdfast schedule seal
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let state = try context.stateDirectory()
            let history = try context.openRunStore()
            // Ends that are beside the state are part of its history.
            _ = try Burial(history, try context.outcomeSpool(), host: Host.name, clock: context.clock).takeIn()
            let repository = try context.openRepository()
            var ledger = RunLedger(
                repository: repository, history: history, identity: history.origin, host: Host.name,
                state: state)
            ledger.audit = try context.auditHead()
            let now = context.clock.now()
            let made = try ledger.seal(at: now)
            try history.noteSealed(until: RunLedger.end(at: now))
            let report = SealReport(segments: made.compactMap { SealReport.Segment($0) })
            if report.segments.isEmpty { try context.output.line("nothing to seal: no day is over that is not sealed") }
            for segment in report.segments {
                try context.output.line("sealed \(segment.runs) lines, \(segment.from) to \(segment.to): \(segment.id)")
            }
            try context.output.json(report)
            return .success
        }
    }
}

/// `holdfast.schedule-seal/1`.
struct SealReport: Encodable {
    struct Segment: Encodable {
        let id, slot, from, to: String
        let number: UInt32
        let runs: Int

        init?(_ evidence: Evidence) {
            guard let record = evidence.record else { return nil }
            id = evidence.id.description
            slot = evidence.slot.description
            number = evidence.number
            from = record.started.description
            to = record.finished.description
            runs = record.runs.count
        }
    }

    let schema = "holdfast.schedule-seal/1"
    let segments: [Segment]

    private enum CodingKeys: String, CodingKey { case schema, segments }
}
