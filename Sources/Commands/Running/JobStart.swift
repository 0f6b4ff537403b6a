// The run of a job in this process, for an operator, a timer, or the daemon.

import Configuring
import ControlPlane
import Glibc
import Primitives
import Recovery
import Scheduling
import State

/// Requests to run jobs.
struct JobStart {
    enum End {
        case ran(JobRunReport.Run)
        /// It does not run now, which is remembered.
        case refused(NonRun.Reason, HoldfastError)
    }

    /// Between two looks at a state in which a run has to wait.
    private static let look = Duration.seconds(2)

    let context: CommandContext
    let store: SQLiteRunStore
    /// All jobs of the directory.
    let jobs: [Job]
    private let looks: RepositoryLooks
    private let runner: JobRunner

    /// - Parameter looks: Those by which the jobs were filled in.
    init(
        _ context: CommandContext, _ store: SQLiteRunStore, jobs: [Job], _ looks: RepositoryLooks
    ) throws(HoldfastError) {
        self.context = context
        self.looks = looks
        self.store = store
        self.jobs = jobs
        var settings = JobRunner.Settings(
            program: try OwnProgram.path(), host: Host.name, spool: try context.outcomeSpool())
        settings.globals = try context.childOptions()
        settings.scrubber = context.scrubber
        settings.password = context.inheritedPassword
        settings.ownsDescendants = true
        Descendants.adoptOrphans()
        runner = JobRunner(
            store, settings, runner: context.runner, clock: context.clock, cancellation: context.cancellation,
            logger: context.serviceLogger(context.scrubber))
    }

    private var now: Timestamp { context.clock.now() }

    /// The instant of a run of `job` that is wanted now: the first second from now on that no run of it has had.
    func instant(of job: Job) throws(HoldfastError) -> Timestamp {
        let first = now
        for second in Int64(0)..<60 {
            let key = RunKey(job: job.name, scheduled: first + .seconds(second))
            switch try store.run(key)?.state {
            case .ended, .notRun: continue
            case nil, .running, .waiting: return key.scheduled
            }
        }
        return first
    }

    /// One attempt, which the daemon has decided upon.
    func ordered(_ job: Job, _ key: RunKey) throws(HoldfastError) -> JobRunReport.Run {
        // The daemon looks again as well, and tries again until the start deadline.
        if let place = job.reach?.silent.sorted().first {
            throw HoldfastError(
                .busy, "the repository at \(place) does not answer", hint: "Look at the mount and its server.",
                retry: .later)
        }
        do throws(HoldfastError) {
            return JobRunReport.Run(key, try runner.run(job, key, .schedule), attempts: 1)
        } catch {
            // The daemon lets a run be due still that ends as busy before it begins.
            guard error.code == .noSpace, error.retry == .later else { throw error }
            throw HoldfastError(.busy, error.message, hint: error.hint, cause: error, retry: .later)
        }
    }

    /// Runs `job` now with its further attempts, unless something speaks against it.
    func byHand(_ job: Job, _ key: RunKey) throws(HoldfastError) -> End {
        try tidy()
        let rules = try handRules()
        if let (reason, error) = rules.refusal(of: job) {
            return try refuse(job, key, reason, error)
        }
        try takePlace(of: job, key)
        var attempts = 0
        while true {
            attempts += 1
            let completion: RunCompletion
            do throws(HoldfastError) {
                completion = try runner.run(job, key, .manual)
            } catch {
                guard attempts == 1, Self.isSecond(error) else { throw error }
                return try refuse(job, key, .overlap, error)
            }
            let run = JobRunReport.Run(key, completion, attempts: attempts)
            guard let next = completion.retryAt else { return .ran(run) }
            context.clock.sleep(for: next.since(now), unless: context.cancellation)
            if context.cancellation.isRaised { return .ran(run) }
            // A backup may have failed, or somebody may have paused the job since.
            let rules = try handRules()
            if let (_, error) = rules.refusalToRepeat(job) {
                return .ran(JobRunReport.Run(key, try giveUp(key, error.message), attempts: attempts))
            }
        }
    }

    /// Runs `job` for an instant of its schedule, by all the rules that the daemon has: it waits where the job says so,
    /// and what does not take place is recorded.
    func whenDue(_ job: Job, _ key: RunKey) throws(HoldfastError) -> End {
        try tidy()
        try checkFree(key)
        var planner = RunPlanner(
            jobs: jobs, memories: try memories(), active: try store.active(), checks: try store.checks(),
            host: Host.name, at: now)
        let (missed, isNotMadeUpFor) = planner.missed(before: key, at: now)
        try store.record(missed, of: job.name, .schedule, at: now)
        if let reason = isNotMadeUpFor { return try leaveOut(job, key, reason) }
        var asked: Set<RunKey> = []
        var (job, silent) = (job, looks.silent)
        var (attempts, turns) = (0, 0)
        while true {
            try context.cancellation.check()
            turns += 1
            if turns % 5 == 0 { try tidy() }
            if looks.silent != silent {
                silent = looks.silent
                let fresh = JobOptions.filledIn(jobs, context, looks, isAnew: false)
                planner.replace(jobs: fresh, memories: try memories(), at: now)
                job = fresh.first { $0.name == key.job } ?? job
            }
            planner.update(memories: try memories(), active: try store.active(), checks: try store.checks())
            // The delay of a timer is within the job's limit, and by its own measure.
            let (verdict, stops) = planner.verdict(on: key, delay: job.jitter, at: now)
            for other in stops where asked.insert(other).inserted {
                if let holder = planner.holder(of: other) { _ = HolderProcess.stop(holder, host: Host.name) }
            }
            for other in asked where try store.run(other).map(Self.isWaiting) == true {
                try ReplacedRun.conclude(other, in: store, at: now)
            }
            switch verdict {
            case .start:
                try takePlace(of: job, key)
                let completion: RunCompletion
                do throws(HoldfastError) {
                    completion = try runner.run(job, key, .schedule)
                } catch {
                    // The rules for that are the planner's.
                    guard Self.isSecond(error) else { throw error }
                    context.clock.sleep(for: .milliseconds(10), unless: context.cancellation)
                    continue
                }
                attempts += 1
                let run = JobRunReport.Run(key, completion, attempts: attempts)
                if completion.retryAt == nil || context.cancellation.isRaised { return .ran(run) }
            case .wait(let until):
                if attempts > 0, let next = job.schedule.next(after: key.scheduled), next.instant <= now {
                    let text = "the next run of the job is due"
                    return .ran(JobRunReport.Run(key, try giveUp(key, text), attempts: attempts))
                }
                let most = until.map { max(.milliseconds(10), min(Self.look, $0.since(now))) } ?? Self.look
                context.clock.sleep(for: most, unless: context.cancellation)
            case .refuse(let reason): return try leaveOut(job, key, reason)
            }
        }
    }

    // MARK: Parts

    /// A run of the schedule does not take place.
    private func leaveOut(_ job: Job, _ key: RunKey, _ reason: NonRun.Reason) throws(HoldfastError) -> End {
        let nonRun = NonRun(first: key.scheduled, last: key.scheduled, count: 1, reason: reason)
        try store.record([nonRun], of: job.name, .schedule, at: now)
        try StarvedAlerts.tell(job, in: store, host: Host.name, at: now)
        return .refused(
            reason,
            HoldfastError(
                .busy, "the run \(key) does not take place: \(reason.rawValue)",
                hint: "docs/SCHEDULING.md says what that means. `holdfast schedule run \(job.name)` runs it."))
    }

    private func refuse(
        _ job: Job, _ key: RunKey, _ reason: NonRun.Reason, _ error: HoldfastError
    ) throws(HoldfastError) -> End {
        let nonRun = NonRun(first: key.scheduled, last: key.scheduled, count: 1, reason: reason)
        try store.record([nonRun], of: job.name, .manual, at: now)
        return .refused(reason, error)
    }

    /// Whether another run of the job was faster than this one. It may have ended by now, so that nobody looks for it;
    /// a state that is locked says that a later try may help.
    private static func isSecond(_ error: HoldfastError) -> Bool { error.code == .busy && error.retry == .never }

    private func handRules() throws(HoldfastError) -> HandRules {
        HandRules(
            jobs: jobs, memories: try memories(), active: try store.active(),
            faults: RepositoryFaults(try store.checks(), jobs: jobs), now: now)
    }

    private static func isWaiting(_ run: RunRecord) -> Bool {
        if case .waiting = run.state { true } else { false }
    }

    private func memories() throws(HoldfastError) -> [JobName: JobMemory] {
        try store.memories(of: jobs.map(\.name), at: now)
    }

    /// Takes in the ends of runs that are beside the store, and finds those that died: there may be no daemon.
    private func tidy() throws(HoldfastError) {
        let burial = Burial(store, try context.outcomeSpool(), host: Host.name, clock: context.clock)
        for run in try burial.run() {
            context.output.warning("the run \(run.key) died with process \(run.holder.process)")
            guard let job = jobs.first(where: { $0.name == run.key.job }), JobTypes.leavesScratch(job) else {
                continue
            }
            for parent in DaemonVerb.scratch(of: job, try? context.configuration()) {
                _ = Drill.removeLeftovers(scratch: parent.isEmpty ? nil : parent)
            }
        }
    }

    /// - Throws: `.runTaken` when there is a word on the run already; an order to skip is for another one then.
    private func checkFree(_ key: RunKey) throws(HoldfastError) {
        switch try store.run(key)?.state {
        case nil, .waiting: return
        case .running, .ended, .notRun:
            throw HoldfastError(
                .runTaken, "the run \(key) is under way, has ended, or was recorded as not run",
                hint: "`holdfast schedule history \(key.job)` says which. Leave out --scheduled-for to run the job now."
            )
        }
    }

    /// What of this job waits for another attempt gets none: this run takes its place.
    private func takePlace(of job: Job, _ key: RunKey) throws(HoldfastError) {
        for run in try store.active() where run.key.job == job.name && run.key != key && !run.isRunning {
            _ = try giveUp(run.key, "another run of the job takes its place")
        }
    }

    private func giveUp(_ key: RunKey, _ reason: String) throws(HoldfastError) -> RunCompletion {
        let completion = RunCompletion(
            .failed, code: ErrorCode.interrupted.rawValue, message: "no further attempt: \(reason)")
        do throws(HoldfastError) {
            try store.conclude(key, .manual, completion, at: now)
        } catch {
            // The daemon has taken it in the meantime.
            guard error.code == .runTaken else { throw error }
        }
        return completion
    }
}
