// holdfast schedule run: a job now, by the same way as the daemon runs it.

import ArgumentParser
import Configuring
import ControlPlane
import FoundationEssentials
import Primitives
import Scheduling
import State

struct ScheduleRun: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run jobs now, as the daemon would.",
        discussion: """
            Each run is remembered with how it ended, and no run takes place twice: it is known by its job and the \
            instant for which it is due, which is now unless --scheduled-for says another. Failed attempts are \
            repeated as the job says. A job that is paused, whose group is busy, or that comes after one that did \
            not end well does not run, which is remembered too, and the exit status is 11.

            With --all all jobs run one after the other, those that others come after first. The exit status is that \
            of the worst: 1 failed, 3 partial, 4 a check or drill failed.

            Examples:

              holdfast schedule run nightly

              holdfast schedule run --all

              holdfast schedule run nightly --scheduled-for 2026-11-24T02:00:00Z
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Flag(name: .long, help: "All jobs that are enabled.")
    var all = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The instant for which the run is due, or `latest`: the newest of the job's schedule that has come.",
            discussion: "Now where it is not given. With `latest` it is a run of the schedule, as timers want it.",
            valueName: "time"))
    var scheduledFor: ScheduledInstant?

    @Flag(name: .long, help: ArgumentHelp("The daemon starts this run.", visibility: .hidden))
    var bySchedule = false

    @Argument(help: ArgumentHelp("Jobs.", valueName: "job"))
    var names: [String] = []

    func validate() throws {
        guard all != !names.isEmpty else { throw ValidationError("Name jobs, or give --all.") }
    }

    func run() throws {
        try global.execute { (given) throws(HoldfastError) in
            let context = bySchedule ? try given.keepingHandedPassword() : given
            // As long as this run reads the files that it was started for, nobody takes them away.
            let held = jobs.schedules.flatMap { bySchedule ? AcceptedFiles.hold($0) : nil }
            defer { withExtendedLifetime(held) {} }
            // The daemon has read all files; what became of the others since is not this run's business.
            let looks = RepositoryLooks(context.clock)
            let known = bySchedule ? try alone(context, looks) : try jobs.loadFilledIn(context, looks)
            let wanted =
                all
                ? Self.ordered(known.filter(\.isEnabled))
                : (bySchedule
                    ? known
                    : try jobs.load(names, context).map(\.job).compactMap { job in
                        known.first { $0.name == job.name }
                    })
            let start = try JobStart(context, try context.openRunStore(), jobs: known, looks)
            var runs: [JobRunReport.Run] = []
            var failure: HoldfastError?
            for job in wanted {
                if context.cancellation.isRaised { break }
                do throws(HoldfastError) {
                    let now = context.clock.now()
                    let key = RunKey(job: job.name, scheduled: try instant(of: job, now, start))
                    let run = try one(job, key, start)
                    runs.append(run)
                    try show(run, start, key, context)
                } catch {
                    // The others are run all the same; the first failure is this verb's, the rest are told here.
                    if failure != nil { context.output.warning("\(job.name): \(ShownText.line(error.message))") }
                    failure = failure ?? error
                }
            }
            // The daemon tells of what it runs itself. This process may be the only one to tell why it was refused.
            if !bySchedule { context.tellAlerts(start.store, known) }
            if let failure { throw failure }
            try context.output.json(JobRunReport(runs: runs))
            try context.cancellation.check()
            return runs.map(\.status).max { $0.rawValue < $1.rawValue } ?? .success
        }
    }

    /// The named jobs out of those files that are good.
    private func alone(_ context: CommandContext, _ looks: RepositoryLooks) throws(HoldfastError) -> [Job] {
        let directory = try jobs.directory(context)
        let entries = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
        // Most files have the names of their jobs: not every run of thousands has to read half of them.
        let files = try JobDirectory.files(entries, in: directory)
        let likely = Set(names.map { $0 + ".yaml" })
        for name in files.filter({ likely.contains($0) }) + files.filter({ !likely.contains($0) }) {
            guard case .good(let found) = try JobFile.read("\(directory)/\(name)"),
                names.contains(found.job.name.description)
            else { continue }
            return JobOptions.filledIn([found.job], context, looks)
        }
        throw HoldfastError(
            .configuration, "no good file in \(directory) has the job \(names.joined(separator: ", "))",
            hint: "Correct its file; `holdfast schedule list` says what is wrong.")
    }

    private func instant(of job: Job, _ now: Timestamp, _ start: JobStart) throws(HoldfastError) -> Timestamp {
        switch scheduledFor {
        case nil: return try start.instant(of: job)
        case .instant(let instant): return instant.instant(now: now)
        case .latest:
            let limit = Timestamp(seconds: now.seconds - 10 * 366 * 86_400)
            if let last = job.schedule.last(atOrBefore: now, notBefore: limit) { return last.instant }
            throw HoldfastError(
                .usage, "job \(job.name) was not due in the last ten years", hint: "Leave out --scheduled-for.")
        }
    }

    private func one(_ job: Job, _ key: RunKey, _ start: JobStart) throws(HoldfastError) -> JobRunReport.Run {
        if bySchedule { return try start.ordered(job, key) }
        // Timers fire for the instants of the schedule; everything else is an operator's wish.
        switch scheduledFor == .latest ? try start.whenDue(job, key) : try start.byHand(job, key) {
        case .ran(let run): return run
        case .refused(let reason, let error):
            if !all { throw error }
            return JobRunReport.Run(key, refused: reason, error)
        }
    }

    private func show(
        _ run: JobRunReport.Run, _ start: JobStart, _ key: RunKey, _ context: CommandContext
    ) throws(HoldfastError) {
        if bySchedule { return }
        let message = run.message.map { ": \(ShownText.line($0))" } ?? ""
        let attempts = run.attempts > 1 ? " after \(run.attempts) attempts" : ""
        try context.output.line("\(run.job): \(run.outcome)\(attempts)\(message)")
        guard run.status != .success, let printed = try start.store.output(of: key) else { return }
        for line in printed.errors.split(separator: "\n").suffix(20) {
            context.output.remark("  " + ShownText.line(String(line)))
        }
    }

    /// Those that others come after first, else in the order of their files; retention after backups.
    static func ordered(_ jobs: [Job]) -> [Job] {
        var left = jobs
        var done: [Job] = []
        while !left.isEmpty {
            let names = Set(left.map(\.name))
            func isFree(_ job: Job) -> Bool {
                !job.after.contains { names.contains($0) && $0 != job.name }
                    && !left.contains { job.thinsOut(sourcesOf: $0) }
            }
            // A circle is refused where jobs are read; should there be one, its first goes first.
            let place = left.firstIndex(where: isFree) ?? 0
            done.append(left.remove(at: place))
        }
        return done
    }
}

/// What a run is due for, as it is typed.
enum ScheduledInstant: ExpressibleByArgument, Hashable, Sendable {
    case latest
    case instant(InstantArgument)

    init?(argument: String) {
        if argument == "latest" {
            self = .latest
        } else if let instant = InstantArgument(argument: argument) {
            self = .instant(instant)
        } else {
            return nil
        }
    }
}
