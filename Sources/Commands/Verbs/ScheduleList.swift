// holdfast schedule list: all jobs, with their next run.

import ArgumentParser
import Configuration
import Primitives
import Scheduling

struct ScheduleList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the jobs with their next run.",
        discussion: """
            The next run is the first that is due and may start: inside the job's windows, outside its blackouts and \
            after its pause.

            Examples:

              holdfast schedule list

              holdfast schedule list --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let report = ScheduleListReport(
                directory: try jobs.directory(context),
                jobs: try jobs.load(context).map { JobSummary($0, now: now, host: Host.name) })
            var table = Table([
                ("JOB", .left), ("DOES", .left), ("WHEN", .left), ("ZONE", .left), ("NEXT", .left), ("STATE", .left),
            ])
            for job in report.jobs {
                table.add([job.name, job.does, ShownText.line(job.when), job.timeZone, job.next ?? "never", job.state])
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
    /// `enabled`, `disabled` or `paused`.
    let state: String
    let pauseReason: String?
    let after: [String]

    /// Instants that are looked at for the next one that may start.
    private static let maximumInstants = 10_000

    init(_ configured: ConfiguredJob, now: Timestamp, host: String) {
        let job = configured.job
        let (delay, opening) = (job.jitter(on: host), Opening(job))
        let pause = job.pause.flatMap { $0.holds(at: now) ? $0 : nil }
        var found: Timestamp?
        var from = max(now, pause?.until ?? now)
        if job.isEnabled, pause == nil || pause?.until != nil {
            for _ in 0..<Self.maximumInstants {
                guard let next = job.schedule.next(after: from)?.instant else { break }
                if opening.refusal(at: next + delay) == nil {
                    found = next
                    break
                }
                from = next
            }
        }
        name = job.name.description
        file = configured.path
        does = job.action.kind
        when = job.schedule.text
        timeZone = job.schedule.zone.name
        next = found?.description
        starts = found.map { "\($0 + delay)" }
        jitterSeconds = job.jitter.components.seconds
        state = !job.isEnabled ? "disabled" : pause == nil ? "enabled" : "paused"
        pauseReason = pause?.reason
        after = job.after.map(\.description)
    }
}
