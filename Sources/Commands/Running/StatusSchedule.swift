// What jobs and the run store say for `status`.

import Configuring
import ControlPlane
import FoundationEssentials
import Primitives
import Recovery
import Scheduling
import State

/// What jobs and the run store say; what cannot be read is missing, and `failure` says why.
struct StatusSchedule {
    private var jobs: [Job] = []
    private var memories: [JobName: JobMemory] = [:]
    private var active: Set<JobName> = []
    /// When runs were to have their next attempts that nobody goes on with.
    private var stuck: [JobName: Timestamp] = [:]
    /// Jobs that do not get to run.
    private var starved: [JobName: StarvedJob] = [:]
    /// When the runs began that are under way for longer than they should be.
    private var overlong: [JobName: Timestamp] = [:]
    private var checks: [CheckRecord] = []
    private(set) var alerts: [AlertRecord] = []
    private(set) var failure: HoldfastError?
    /// Whether the jobs are known and what checks found.
    private(set) var isKnown = true
    private let now: Timestamp

    /// Each thing is read by itself: a job file that is wrong, or a disk that is full, hides no damage that is known.
    init(_ options: JobOptions, _ context: CommandContext) {
        now = context.clock.now()
        let (now, path) = (now, Self.value(&failure) { () throws(HoldfastError) in try context.runStorePath() })
        jobs =
            Self.value(&failure) { () throws(HoldfastError) in
                try options.isAbsent(context) ? [] : options.loadFilledIn(context)
            } ?? []
        let jobs = jobs
        let areJobsKnown = failure == nil
        guard let path else {
            isKnown = false
            return
        }
        // A look makes no state: where there is none, nothing is known of what runs jobs.
        guard FileManager.default.fileExists(atPath: path) else {
            isKnown = failure == nil && jobs.isEmpty
            guard !jobs.isEmpty else { return }
            failure =
                failure
                ?? HoldfastError(
                    .usage, "there are jobs, and no state of runs at \(path)",
                    hint: "Name that of the daemon or the timers with --state-dir or HOLDFAST_STATE_DIR, or start it.")
            return
        }
        let store = Self.value(&failure) { () throws(HoldfastError) in try context.openRunStore() }
        guard let store else {
            isKnown = false
            return
        }
        checks = Self.value(&failure) { () throws(HoldfastError) in try store.checks() } ?? []
        isKnown = failure == nil
        let runs = Self.value(&failure) { () throws(HoldfastError) in try store.active() } ?? []
        active = Set(jobs.filter { job in runs.contains { JobTrouble.isActive($0, of: job, at: now) } }.map(\.name))
        for run in runs where !active.contains(run.key.job) {
            if case .waiting(let until) = run.phase { stuck[run.key.job] = until }
        }
        Self.value(&failure) { () throws(HoldfastError) in
            try areJobsKnown ? PauseAlerts.keep(jobs, in: store, at: now) : PauseAlerts.end(in: store, at: now)
            try StarvedAlerts.keep(areJobsKnown ? jobs : nil, in: store, host: Host.name, at: now)
        }
        let long = Self.value(&failure) { () throws(HoldfastError) in
            try OverlongAlerts.tell(jobs, in: store, at: now)
        }
        overlong = Dictionary(long.map { $0.map { ($0.job, $0.since) } } ?? []) { first, _ in first }
        alerts = Self.value(&failure) { () throws(HoldfastError) in try store.alerts(all: false) } ?? []
        memories =
            Self.value(&failure) { () throws(HoldfastError) in
                try store.memories(of: jobs.map(\.name), at: now)
            } ?? [:]
        lookForStarved(in: store)
        lookForRuns(in: store, path)
    }

    /// Looks into the history of jobs of which something was recorded after their newest run.
    private mutating func lookForStarved(in store: SQLiteRunStore) {
        for job in jobs where isWanted(job) && !active.contains(job.name) {
            guard let memory = memories[job.name], memory.last.map({ $0.scheduled < memory.through }) ?? true else {
                continue
            }
            let lines = Self.value(&failure) { () throws(HoldfastError) in
                try store.history(HistoryQuery(job: job.name, limit: StarvedJob.lines))
            }
            if let lines { starved[job.name] = StarvedJob(job, lines, host: Host.name, at: now) }
        }
    }

    /// Whether nobody ordered that the job is not to run.
    private func isWanted(_ job: Job) -> Bool {
        job.isEnabled && job.pause?.holds(at: now) != true && memories[job.name]?.pause?.holds(at: now) != true
    }

    @discardableResult
    private static func value<R>(
        _ failure: inout HoldfastError?, _ body: () throws(HoldfastError) -> R
    ) -> R? {
        do throws(HoldfastError) { return try body() } catch { failure = failure ?? error }
        return nil
    }

    /// A job that never ran in this state may do so in another, whose failures are not seen here.
    private mutating func lookForRuns(in store: SQLiteRunStore, _ path: String) {
        guard failure == nil else { return }
        var unseen: [JobName] = []
        let wanted = jobs.filter { isWanted($0) }
        for job in wanted where memories[job.name]?.last == nil {
            let lines =
                Self.value(&failure) { () throws(HoldfastError) in
                    try store.history(HistoryQuery(job: job.name, limit: 100))
                } ?? []
            // What an operator was refused says nothing of who runs jobs.
            if !lines.contains(where: { $0.trigger == .schedule || $0.attempt > 0 }) { unseen.append(job.name) }
        }
        guard !unseen.isEmpty, failure == nil else { return }
        // Of a state in which no job ever ran nobody knows what checks found elsewhere.
        isKnown = unseen.count < wanted.count
        failure = HoldfastError(
            .usage,
            "no run of \(unseen.map(\.description).joined(separator: ", ")) is known in the state at \(path)",
            hint: "Name the state of the daemon or the timers with --state-dir or HOLDFAST_STATE_DIR. It ends with the "
                + "first run of each job.")
    }

    /// What is known of the repository at this place by checks, also of jobs that are called otherwise by now.
    func checks(at location: String) -> CheckStanding {
        CheckStanding(checks.compactMap { $0.placed(by: jobs) }, of: RepositoryIdentity.path(of: location))
    }

    /// Jobs that do not do what they should.
    func troubles(at now: Timestamp) -> [(job: JobName, trouble: JobTrouble)] {
        jobs.compactMap { job in
            let trouble =
                JobTrouble(
                    job, memories[job.name], isActive: active.contains(job.name), stuck: stuck[job.name],
                    host: Host.name, at: now)
                ?? overlong[job.name].map { .overlong(since: $0) }
                ?? starved[job.name].map { .starved(since: $0.since, $0.reason) }
            return trouble.map { (job.name, $0) }
        }
    }

    /// When the next backup of the source is due that may start.
    func nextBackup(of source: ConfiguredSource, _ now: Timestamp) -> Timestamp? {
        let nexts = jobs.compactMap { job -> Timestamp? in
            guard case .backup(let sources) = job.action, sources.isEmpty || sources.contains(source.name) else {
                return nil
            }
            return job.nextStart(memories[job.name], after: now, host: Host.name)
        }
        return nexts.min()
    }

    /// One and a half times the longest interval of the job that drills the source.
    func proofPeriod(of source: String, _ now: Timestamp, _ configuration: Configuration) -> Duration {
        let plans = configuration.drills.filter { $0.systems.contains { $0.source == source } }.map(\.name)
        let intervals = jobs.compactMap { job -> Duration? in
            guard case .drill(let plan) = job.action, plan == source || plans.contains(plan), isWanted(job) else {
                return nil
            }
            return ScheduleLint.longestInterval(job, Host.name, now)
        }
        return intervals.min().map { $0 * 3 / 2 } ?? .seconds(31 * 86_400)
    }

    /// The first job whose checks of the repository at this place lie further back than one and a half times its
    /// longest interval, with that length. A check by another job that looks at as much counts as well.
    func lateCheck(at location: String) -> LateCheck? {
        let place = RepositoryIdentity.path(of: location)
        let good = checks.compactMap { $0.placed(by: jobs) }.filter {
            $0.outcome.isGood && ($0.note.repository == nil || $0.note.repository == place)
                && $0.ended.since(now) <= RunMemoryLimits.ahead
        }
        for job in jobs where isWanted(job) {
            guard case .check(let budget) = job.action,
                (job.reach?.repositories ?? []).contains(where: { $0?.path == place }),
                let interval = ScheduleLint.longestInterval(job, Host.name, now),
                let newest = good.filter({ $0.job == job.name || $0.note.extent.covers(budget.extent) })
                    .map(\.ended).max()
            else { continue }
            if now.since(newest) > interval * 3 / 2 { return LateCheck(job: job.name, period: interval * 3 / 2) }
        }
        return nil
    }
}

/// A job whose checks lie too far back.
struct LateCheck {
    var job: JobName
    var period: Duration
}

/// What is known of a source apart from its repository.
struct StatusFacts {
    var now: Timestamp
    var name: String
    /// That of the configuration.
    var objective: Duration?
    var checks: CheckStanding
    var lateCheck: LateCheck?
    /// False when jobs or the state of runs cannot be read, so that damage may be known there.
    var isScheduleKnown = true
    var next: Timestamp?
    var period: Duration
    /// Whether its newest snapshot can be opened.
    var openings = OpeningStanding()
}
