// holdfast schedule seal: the history of runs, sealed into the repository.

import ArgumentParser
import Configuring
import ControlPlane
import Primitives
import Repository
import State

struct ScheduleSeal: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "seal",
        abstract: "Seal what ran and did not run, and what is protected, into the repository.",
        discussion: """
            Each day (UTC) of the history that is over becomes a link in the evidence of this key's slot: signed, \
            chained and there when this host is gone; `holdfast schedule history --sealed` shows it. Beside it goes an \
            inventory: the sources of the configuration with their objectives, the jobs, and the recovery points that \
            came, so that reports have a denominator when configuration and snapshots are gone. The key needs the \
            right to attest. A job of the type `ledger` does this every day.

            --until-now also seals the day that is not over yet. What is written down later with an earlier time is in \
            the history alone then, so give it when no run is under way.

            Examples:

              holdfast schedule seal

              holdfast schedule seal --until-now
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Flag(name: .long, help: "Seal the day that is not over as well, up to now.")
    var untilNow = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let state = try context.stateDirectory()
            let history = try context.openRunStore()
            // Ends that are beside the state are part of its history.
            _ = try Burial(history, try context.outcomeSpool(), host: Host.name, clock: context.clock).takeIn()
            let place = try context.place()
            let repository = try context.openRepository(at: place)
            var ledger = RunLedger(
                repository: repository, history: history, identity: history.origin, host: Host.name,
                state: state)
            ledger.audit = try context.auditHead()
            let now = context.clock.now()
            let end = untilNow ? now : RunLedger.end(at: now)
            let made = try ledger.seal(at: now, until: end)
            try history.noteSealed(until: end)
            // What ran is sealed, whatever is wrong with the files that are read now.
            let configuration = try context.configuration()
            let isWithoutJobs = configuration == nil && !jobs.isNamed(context)
            var loaded: [ConfiguredJob] = []
            if !isWithoutJobs, try !jobs.isAbsent(context) { loaded = try jobs.load(context) }
            let inventory = try Inventory(
                repository: repository, configuration: configuration, jobs: loaded.map(\.job),
                place: place, identity: history.origin, host: Host.name, state: state
            ).seal(until: end, segments: made, at: now)
            let report = SealReport(
                segments: made.compactMap { SealReport.Segment($0) },
                inventory: inventory.flatMap { SealReport.Inventory($0) })
            if report.segments.isEmpty, report.inventory == nil {
                try context.output.line("nothing to seal: no day is over that is not sealed")
            }
            for segment in report.segments {
                try context.output.line("sealed \(segment.runs) lines, \(segment.from) to \(segment.to): \(segment.id)")
            }
            if let inventory = report.inventory {
                try context.output.line(
                    "sealed an inventory of \(inventory.sources) sources, \(inventory.jobs) jobs and "
                        + "\(inventory.points) recovery points, \(inventory.from) to \(inventory.to): \(inventory.id)")
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

    struct Inventory: Encodable {
        let id, slot, from, to: String
        let number: UInt32
        let sources, jobs, points: Int

        init?(_ evidence: Evidence) {
            guard let record = evidence.record else { return nil }
            id = evidence.id.description
            slot = evidence.slot.description
            number = evidence.number
            from = record.started.description
            to = record.finished.description
            (sources, jobs, points) = (record.sources.count, record.jobs.count, record.points.count)
        }
    }

    let schema = "holdfast.schedule-seal/1"
    let segments: [Segment]
    /// Missing when there was nothing new to say.
    let inventory: Inventory?

    private enum CodingKeys: String, CodingKey { case schema, segments, inventory }
}
