// holdfast schedule list: all jobs, with their next run.

import ArgumentParser
import Configuring
import ControlPlane
import Primitives
import Scheduling

struct ScheduleList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the jobs with their next run.",
        discussion: """
            The next run is the first that is due and may start: inside the job's windows, outside its blackouts, \
            after its pause and not the one that is to be left out. Pauses and skips that were ordered by command are \
            those of this state.

            Examples:

              holdfast schedule list

              holdfast schedule list --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let loaded = try jobs.load(context)
            let memories = context.memoriesIfAny(of: loaded.map(\.job.name))
            let report = ScheduleListReport(
                directory: try jobs.directory(context),
                jobs: loaded.map { JobSummary($0, memories[$0.job.name], now: now, host: Host.name) })
            var table = Table([
                ("JOB", .left), ("DOES", .left), ("WHEN", .left), ("ZONE", .left), ("NEXT", .left), ("STATE", .left),
            ])
            for job in report.jobs {
                table.add([
                    job.name, job.does, ShownText.line(job.when), job.timeZone, job.next ?? "never",
                    job.state + (job.order.map { " (\($0))" } ?? ""),
                ])
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(report)
            return .success
        }
    }
}

/// `holdfast.schedule-list/1`.
struct ScheduleListReport: Encodable {
    let schema = "holdfast.schedule-list/1"
    let directory: String
    let jobs: [JobSummary]

    private enum CodingKeys: String, CodingKey { case schema, directory, jobs }
}

/// A job as it is listed.
struct JobSummary: Encodable {
    let name, file, does, when, timeZone: String
    /// The instant in UTC for which the next run is due, and that at which it starts on this host.
    let next, starts: String?
    let jitterSeconds: Int64
    /// `enabled`, `disabled`, `paused` or `skips-next`.
    let state: String
    let pauseReason: String?
    /// Who paused it or has its next run left out, until when, and why; `by its file` for a pause that stands there.
    let order: String?
    let after: [String]

    init(_ configured: ConfiguredJob, _ memory: JobMemory?, now: Timestamp, host: String) {
        let job = configured.job
        let delay = job.jitter(on: host)
        let pause = job.pause.flatMap { $0.holds(at: now) ? $0 : nil }
        let ordered = memory?.pause(at: now)
        let skip = memory?.skip.flatMap { $0.holds(at: now) ? $0 : nil }
        let found = job.nextStart(memory, after: now, host: host)
        name = job.name.description
        file = configured.path
        does = job.action.kind
        when = job.schedule.text
        timeZone = job.schedule.zone.name
        next = found?.description
        starts = found.map { "\($0 + delay)" }
        jitterSeconds = job.jitter.components.seconds
        let isPaused = pause != nil || ordered != nil
        state = !job.isEnabled ? "disabled" : isPaused ? "paused" : skip == nil ? "enabled" : "skips-next"
        pauseReason = pause?.reason ?? ordered?.reason
        order = (ordered ?? (pause == nil ? skip : nil))?.text ?? pause.map { ShownText.line($0.text) }
        after = job.after.map(\.description)
    }
}
