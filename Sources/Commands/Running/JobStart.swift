// Whether a job may run now when somebody asks for it, and its run in this process.

import Configuration
import ControlPlane
import Glibc
import Primitives
import Scheduling
import State

/// One request to run a job, by an operator or by a timer.
struct JobStart {
    let context: CommandContext
    let store: SQLiteRunStore
    /// All jobs of the directory.
    let jobs: [Job]

    /// Why `job` may not run now, with what an operator can do; nil when it may.
    func refusal(of job: Job) throws(HoldfastError) -> (reason: NonRun.Reason, error: HoldfastError)? {
        let now = context.clock.now()
        let memories = try store.memories(of: jobs.map(\.name), at: now)
        func refused(_ reason: NonRun.Reason, _ text: String, _ hint: String) -> (NonRun.Reason, HoldfastError) {
            (reason, HoldfastError(.busy, "job \(job.name) does not run: \(text)", hint: hint))
        }
        if !job.isEnabled { return refused(.disabled, "it is disabled", "Enable it in its file.") }
        let standing = memories[job.name]?.pause.flatMap { $0.holds(at: now) ? $0 : nil }
        if let reason = standing?.reason ?? (job.pause?.holds(at: now) == true ? job.pause?.reason : nil) {
            return refused(
                .paused, "it is paused (\(ShownText.line(reason)))", "`holdfast schedule resume \(job.name)` ends that."
            )
        }
        let active = try store.active()
        for other in jobs where job.thinsOut(sourcesOf: other) {
            let last = memories[other.name]?.last
            guard last?.outcome == .succeeded, !active.contains(where: { $0.key.job == other.name }) else {
                return refused(
                    .dependency,
                    "the newest run of \(other.name) has not ended well, and retention could take the last "
                        + "good snapshot", "Run `holdfast schedule run \(other.name)` first.")
            }
        }
        for name in job.after {
            guard memories[name]?.last?.outcome == .succeeded else {
                return refused(
                    .dependency, "it comes after \(name), whose newest run has not ended well",
                    "Run `holdfast schedule run \(name)` first.")
            }
        }
        for run in active where run.isRunning {
            guard let other = jobs.first(where: { $0.name == run.key.job }), job.overlap(with: other) != nil else {
                continue
            }
            return refused(
                .overlap, "\(run.key) is under way", "Wait for its end; `holdfast schedule history` shows it.")
        }
        return nil
    }

    /// Runs `job` under `key`, with its further attempts unless `once`.
    func run(_ job: Job, _ key: RunKey, _ trigger: RunTrigger, once: Bool) throws(HoldfastError) -> JobRunReport.Run {
        var settings = JobRunner.Settings(
            program: try OwnProgram.path(), host: Host.name, spool: try context.outcomeSpool())
        settings.globals = try context.childOptions()
        settings.scrubber = context.scrubber
        settings.password = context.inheritedPassword
        settings.ownsDescendants = true
        Descendants.adoptOrphans()
        let runner = JobRunner(
            store, settings, runner: context.runner, clock: context.clock, cancellation: context.cancellation,
            logger: context.serviceLogger(context.scrubber))
        var attempt = 0
        while true {
            attempt += 1
            let completion = try runner.run(job, key, trigger)
            guard let next = completion.retryAt, !once, !context.cancellation.isRaised else {
                return JobRunReport.Run(key, completion, attempts: attempt)
            }
            context.clock.sleep(for: next.since(context.clock.now()), unless: context.cancellation)
            if context.cancellation.isRaised { return JobRunReport.Run(key, completion, attempts: attempt) }
        }
    }
}

/// `holdfast.schedule-run/1`.
struct JobRunReport: Encodable {
    let schema = "holdfast.schedule-run/1"
    let runs: [Run]

    struct Run: Encodable {
        let job, scheduled, outcome: String
        let code, message: String?
        let attempts: Int
        let retryAt: String?

        init(_ key: RunKey, _ completion: RunCompletion, attempts: Int) {
            job = key.job.description
            scheduled = key.scheduled.description
            outcome = completion.outcome.rawValue
            code = completion.code
            message = completion.message
            self.attempts = attempts
            retryAt = completion.retryAt?.description
        }

        init(_ key: RunKey, refused: NonRun.Reason, _ error: HoldfastError) {
            job = key.job.description
            scheduled = key.scheduled.description
            outcome = "not-run"
            code = refused.rawValue
            message = error.message
            attempts = 0
            retryAt = nil
        }

        var status: ExitStatus {
            switch outcome {
            case RunOutcome.succeeded.rawValue: .success
            case RunOutcome.partial.rawValue: .partial
            case RunOutcome.checkFailed.rawValue: .checkFailed
            default: .failed
            }
        }
    }

    private enum CodingKeys: String, CodingKey { case schema, runs }
}
