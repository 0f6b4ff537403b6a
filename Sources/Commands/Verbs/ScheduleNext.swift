// holdfast schedule next: the instants at which jobs are due.

import ArgumentParser
import Configuring
import Primitives
import Scheduling

struct ScheduleNext: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "next",
        abstract: "Print when jobs are due, in UTC and by the local clock.",
        discussion: """
            Runs that a change of the clocks has a part in are marked: `moved` when the wall time does not exist and \
            the run is right after the gap, `first-of-two` and `second-of-two` when the wall time comes twice, `added` \
            where a change that is not by whole hours would leave a hole. A run that may not start is marked with the \
            reason.

            Examples:

              holdfast schedule next

              holdfast schedule next nightly --count 400

              holdfast schedule next nightly --after 2026-03-28 --count 3 --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Argument(help: ArgumentHelp("The job; all jobs where none is given.", valueName: "job"))
    var job: String?

    @Option(name: .long, help: ArgumentHelp("How many.", valueName: "n"))
    var count = 10

    @Option(
        name: .long,
        help: ArgumentHelp(
            "From when on: a date, a time with its zone, or a length of time ago; now where it is not given.",
            valueName: "time"))
    var after: InstantArgument?

    func validate() throws {
        guard (1...100_000).contains(count) else { throw ValidationError("--count takes a number from 1 to 100000.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let start = after?.instant(now: now) ?? now
            let chosen = try jobs.load(job.map { [$0] } ?? [], context).map(\.job).filter { job != nil || $0.isEnabled }
            let runs = Self.runs(
                of: chosen, context.memoriesIfAny(of: chosen.map(\.name)), now: now, after: start, count: count,
                host: Host.name)
            var table = Table([("JOB", .left), ("UTC", .left), ("LOCAL", .left), ("NOTE", .left)])
            for run in runs { table.add([run.job, run.scheduled, run.local, run.note]) }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(ScheduleNextReport(after: start.description, runs: runs))
            return .success
        }
    }

    /// The next `count` of all jobs together, in order.
    ///
    /// - Parameter memories: What was ordered by command of jobs.
    static func runs(
        of jobs: [Job], _ memories: [JobName: JobMemory], now: Timestamp, after start: Timestamp, count: Int,
        host: String
    ) -> [ScheduledRun] {
        let end = Timestamp(nanoseconds: .max)
        let all = jobs.flatMap { job in
            job.schedule.occurrences(after: start, through: end, limit: count).map { (job: job, occurrence: $0) }
        }
        let ordered = all.sorted {
            ($0.occurrence.instant, $0.job.name) < ($1.occurrence.instant, $1.job.name)
        }
        return ordered.prefix(count).map {
            ScheduledRun($0.job, memories[$0.job.name], now: now, $0.occurrence, host: host)
        }
    }
}

/// A run that is due.
struct ScheduledRun: Encodable {
    let job, key, scheduled, local, timeZone: String
    /// With the delay of this host.
    let starts: String
    /// How a change of the clocks had a part in it; `plain` when it had none.
    let mark: String
    /// Why it does not start; nil when it does.
    let refusal: String?

    init(_ job: Job, _ memory: JobMemory?, now: Timestamp, _ occurrence: Occurrence, host: String) {
        let start = occurrence.instant + job.jitter(on: host)
        self.job = job.name.description
        key = RunKey(job: job.name, scheduled: occurrence.instant).description
        scheduled = occurrence.instant.description
        local = LocalTime.text(occurrence.instant, in: job.schedule.zone)
        timeZone = job.schedule.zone.name
        starts = start.description
        mark = occurrence.mark.rawValue
        let reason: NonRun.Reason? =
            !job.isEnabled
            ? .disabled
            : job.pause?.holds(at: start) == true || memory?.pause(at: start) != nil
                ? .paused
                : memory?.skip?.holds(at: start) == true && job.schedule.next(after: now)?.instant == occurrence.instant
                    ? .skipped : Opening(job).refusal(at: start)
        refusal = reason?.rawValue
    }

    var note: String {
        ([mark == Occurrence.Mark.plain.rawValue ? nil : mark, refusal.map { "not run: \($0)" }] as [String?])
            .compactMap { $0 }.joined(separator: ", ")
    }
}

/// `holdfast.schedule-next/1`.
struct ScheduleNextReport: Encodable {
    let schema = "holdfast.schedule-next/1"
    let after: String
    let runs: [ScheduledRun]

    private enum CodingKeys: String, CodingKey { case schema, after, runs }
}
