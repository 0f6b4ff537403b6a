// What jobs and the run store say for `status`.

import Configuration
import ControlPlane
import FoundationEssentials
import Primitives
import Scheduling
import State

/// What jobs and the run store say; what cannot be read is missing, and `failure` says why.
struct StatusSchedule {
    private var jobs: [Job] = []
    private var memories: [JobName: JobMemory] = [:]
    private var active: Set<JobName> = []
    private var checks: [CheckRecord] = []
    private(set) var alerts: [AlertRecord] = []
    private(set) var failure: HoldfastError?
    private let now: Timestamp

    init(_ options: JobOptions, _ context: CommandContext) {
        now = context.clock.now()
        do throws(HoldfastError) {
            jobs = try options.isAbsent(context) ? [] : options.load(context).map(\.job)
            let path = try context.runStorePath()
            // A look makes no state: where there is none, nothing is known of what runs jobs.
            guard FileManager.default.fileExists(atPath: path) else {
                guard !jobs.isEmpty else { return }
                throw HoldfastError(
                    .usage, "there are jobs, and no state of runs at \(path)",
                    hint: "Name that of the daemon or the timers with --state-dir or HOLDFAST_STATE_DIR, or start it.")
            }
            let store = try context.openRunStore()
            memories = try store.memories(of: jobs.map(\.name), at: now)
            let runs = try store.active()
            let now = now
            active = Set(
                jobs.filter { job in runs.contains { JobTrouble.isActive($0, of: job, at: now) } }.map(\.name))
            try PauseAlerts.end(in: store, at: now)
            alerts = try store.alerts(all: false)
            checks = try store.checks()
        } catch {
            failure = error
        }
    }

    /// What is known of the repository at this place by checks, also of jobs that are called otherwise by now.
    func checks(at location: String) -> CheckStanding { CheckStanding(checks, of: RepositoryIdentity.of(location)) }

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
