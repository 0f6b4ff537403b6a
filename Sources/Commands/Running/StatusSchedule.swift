// What jobs and the run store say for `status`.

import Configuration
import ControlPlane
import FoundationEssentials
import Primitives
import Scheduling
import State

/// What jobs and the run store say; what cannot be read is missing, and `failure` says why.
struct StatusSchedule {
    /// Far more runs than a check fails in a row before somebody looks.
    private static let mostRuns = 1000

    private var jobs: [Job] = []
    private var memories: [JobName: JobMemory] = [:]
    private var active: Set<JobName> = []
    private var checks: [JobName: [CheckRun]] = [:]
    private(set) var alerts: [AlertRecord] = []
    private(set) var failure: HoldfastError?
    private let now: Timestamp

    init(_ options: JobOptions, _ context: CommandContext) {
        now = context.clock.now()
        do throws(HoldfastError) {
            jobs = try options.isAbsent(context) ? [] : options.load(context).map(\.job)
            let store = try context.openRunStore()
            memories = try store.memories(of: jobs.map(\.name), at: now)
            active = Set(try store.active().map(\.key.job))
            try PauseAlerts.end(in: store, at: now)
            alerts = try store.alerts(all: false)
            for job in jobs {
                guard case .check(let budget) = job.action else { continue }
                checks[job.name] = Self.runs(
                    of: job.name, try store.history(HistoryQuery(job: job.name, limit: Self.mostRuns)), budget,
                    memories[job.name])
            }
        } catch {
            failure = error
        }
    }

    /// The ended runs of a job that checks, by the history, and what is remembered where that ends sooner.
    private static func runs(
        of job: JobName, _ lines: [RunRecord], _ budget: CheckBudget, _ memory: JobMemory?
    ) -> [CheckRun] {
        var runs = lines.compactMap { line -> CheckRun? in
            guard case .ended(let outcome) = line.state, let ended = line.ended else { return nil }
            return CheckRun(job: job, budget: budget, ended: ended, outcome: outcome)
        }
        // The same run twice does no harm.
        if let last = memory?.last {
            runs.append(CheckRun(job: job, budget: budget, ended: last.ended, outcome: last.outcome))
        }
        if let good = memory?.lastSuccess {
            runs.append(CheckRun(job: job, budget: budget, ended: good.ended, outcome: .succeeded))
        }
        return runs
    }

    /// What is known of the repository by the jobs that check it.
    func checks(of repository: String?, _ configuration: Configuration) -> CheckStanding {
        let standard = configuration.defaultRepository
        let runs = jobs.flatMap { job -> [CheckRun] in
            guard case .check = job.action, job.repository ?? standard == repository ?? standard else {
                return []
            }
            return checks[job.name] ?? []
        }
        return CheckStanding(runs)
    }

    /// Jobs that do not do what they should.
    func troubles(at now: Timestamp) -> [(job: JobName, trouble: JobTrouble)] {
        jobs.compactMap { job in
            JobTrouble(job, memories[job.name], isActive: active.contains(job.name), host: Host.name, at: now)
                .map { (job.name, $0) }
        }
    }

    /// When the next backup of the source is due.
    func nextBackup(of source: ConfiguredSource, _ now: Timestamp) -> Timestamp? {
        let nexts = jobs.compactMap { job -> Timestamp? in
            guard case .backup(let sources) = job.action, job.isEnabled,
                sources.isEmpty || sources.contains(source.name)
            else { return nil }
            return job.schedule.next(after: now)?.instant
        }
        return nexts.min()
    }

    /// One and a half times the interval of the job that drills the source.
    func proofPeriod(of source: String, _ now: Timestamp, _ configuration: Configuration) -> Duration {
        let plans = configuration.drills.filter { $0.systems.contains { $0.source == source } }.map(\.name)
        let intervals = jobs.compactMap { job -> Duration? in
            guard case .drill(let plan) = job.action, plan == source || plans.contains(plan),
                let first = job.schedule.next(after: now)?.instant,
                let second = job.schedule.next(after: first)?.instant
            else { return nil }
            return second.since(first)
        }
        return intervals.min().map { $0 * 3 / 2 } ?? .seconds(31 * 86_400)
    }
}

/// What is known of a source apart from its repository.
struct StatusFacts {
    var now: Timestamp
    var name: String
    /// That of the configuration.
    var objective: Duration?
    var checks: CheckStanding
    /// False when jobs or the state of runs cannot be read, so that damage may be known there.
    var isScheduleKnown = true
    var next: Timestamp?
    var period: Duration
}
