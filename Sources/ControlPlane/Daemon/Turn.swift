// One turn of the daemon's loop after another: decisions become processes, ends of processes become records.

import Glibc
import Logging
import Primitives
import Scheduling
import State

/// The state of the loop.
///
/// No failure of the store loses a run: what was decided and could not be written is written first in a later turn, and
/// a run that was to start and did not begin is due still.
struct Turn: Sendable {
    private static let maximumAlertText = 500
    private static let maximumUntold = 1000
    /// Between two tries to let a run begin; doubled up to ``RunPlanner/longestPutOff``.
    private static let putOff = Duration.seconds(2)
    /// For so long it is told that the clock was set.
    private static let clockAlert = Duration.seconds(3600)
    private static let configurationKey = "daemon/configuration"
    private static let clockKey = "daemon/clock"
    private static let placeKey = "repository/"

    /// A run whose process was started.
    private struct Launched: Sendable {
        var process: any RunningProcess
        /// The newest attempt before this one.
        var attempt: Int
    }

    private struct Misfire: Sendable {
        var count = 0
        var isTold = false
    }

    let around: RunLoopSurroundings
    private var planner: RunPlanner
    private var jobs: [JobName: Job]
    private var running: [RunKey: Launched] = [:]
    /// Runs whose processes have ended and of which the store was not asked yet.
    private var ended: [(key: RunKey, launched: Launched)] = []
    /// Runs that do not take place and were not recorded yet.
    private var unwritten: [(job: JobName, nonRuns: [NonRun])] = []
    /// Runs that were to begin and did not.
    private var misfires: [RunKey: Misfire] = [:]
    /// Alerts that could not be written, to be told in a later turn.
    private var untold: [String: (severity: AlertRecord.Severity, summary: String)] = [:]
    /// Whether alerts may fire whose causes went with the jobs before, or with the daemon before.
    private var isSweepDue = true
    private var areJobsGood = true
    /// The places that the jobs wait for by what the planner was told; nil when it has to be told anew.
    private var silent: Set<String>?
    /// When the alert of a clock that was set ends, by the uptime. The daemon before may have left one.
    private var clockAlertEnd: Duration?
    private(set) var wake: Timestamp?
    private var isFaulty = false
    /// Since when the store can be written, by the uptime; nil while it cannot.
    private var writableSince: Duration?
    /// What the planner was told last; nil when it has to be told anew.
    private var revision: Int64?

    init(_ around: RunLoopSurroundings, _ jobs: [Job], at now: Timestamp) throws(HoldfastError) {
        self.around = around
        self.jobs = Dictionary(uniqueKeysWithValues: jobs.map { ($0.name, $0) })
        let memories = try around.store.memories(of: jobs.map(\.name), at: now)
        planner = RunPlanner(
            jobs: jobs, memories: memories, active: try around.store.active(), checks: try around.store.checks(),
            host: around.host, at: now)
        planner.limits = around.limits
        clockAlertEnd = around.clock.uptime() + Self.clockAlert
    }

    var now: Timestamp { around.clock.now() }

    /// Processes that have not ended.
    var runningCount: Int { running.count }

    /// Whether nothing runs, and all ends have been looked at.
    var isIdle: Bool { running.isEmpty && ended.isEmpty }

    /// Lets a turn fail whose store is locked or full: the next one tries again.
    ///
    /// - Throws: `.corruptObject`, after which no turn can be better.
    mutating func guarded(
        _ body: (inout Turn) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        do throws(HoldfastError) {
            try body(&self)
            isFaulty = false
        } catch {
            if error.code == .corruptObject {
                stopAll()
                throw error
            }
            // Once, and not at every turn of a second.
            if !isFaulty { around.logger.error("the state cannot be used", metadata: ["error": "\(error.message)"]) }
            (isFaulty, writableSince) = (true, nil)
            // What could not be done is not to be done again at once: the wait of a turn without anything to do is due.
            wake = nil
        }
    }

    // MARK: Decisions

    mutating func decide() throws(HoldfastError) {
        while let (job, nonRuns) = unwritten.first {
            try record(job, nonRuns)
            unwritten.removeFirst()
        }
        let revision = try around.store.revision()
        if revision != self.revision {
            planner.update(
                memories: try around.store.memories(of: Array(jobs.keys), at: now), active: try around.store.active(),
                checks: try around.store.checks())
            self.revision = revision
        }
        let decision = planner.decide(at: now)
        wake = decision.wake
        var failure: HoldfastError?
        for action in decision.actions {
            do throws(HoldfastError) {
                switch action {
                case .start(let key):
                    // A state that cannot be written lets no run begin either.
                    if failure == nil { start(key) } else { planner.putOff(key, until: now + Self.putOff) }
                case .stop(let key): stop(key)
                case .record(let job, let nonRuns):
                    // In order: a later instant that is written first would hide an earlier one after a restart.
                    if failure != nil { unwritten.append((job, nonRuns)) } else { try record(job, nonRuns) }
                case .giveUp(let key): if failure == nil { try giveUp(key) }
                case .replace(let key): if failure == nil { try ReplacedRun.conclude(key, in: around.store, at: now) }
                }
            } catch {
                failure = error
                if case .record(let job, let nonRuns) = action { unwritten.append((job, nonRuns)) }
            }
        }
        if let failure { throw failure }
    }

    private func record(_ job: JobName, _ nonRuns: [NonRun]) throws(HoldfastError) {
        try around.store.record(nonRuns, of: job, .schedule, at: now)
        for nonRun in nonRuns {
            around.logger.warning(
                "the run did not take place",
                metadata: [
                    "job": "\(job)", "scheduled": "\(nonRun.first)", "reason": "\(nonRun.reason.rawValue)",
                    "count": "\(nonRun.count.map { "\($0)" } ?? "many")",
                ])
        }
        tellStarved(job)
    }

    /// Tells of jobs that do not get to run. What cannot be told now is when the next run does not take place.
    private func tellStarved(_ name: JobName) {
        guard let job = jobs[name] else { return }
        do throws(HoldfastError) {
            try StarvedAlerts.tell(job, in: around.store, host: around.host, at: now)
        } catch {
            around.logger.error("the alert was not written", metadata: ["alert": "\(StarvedAlerts.key(name))"])
        }
    }

    private mutating func start(_ key: RunKey) {
        do throws(HoldfastError) {
            let process = try around.launcher.launch(key)
            running[key] = Launched(process: process, attempt: planner.attempt(of: key))
        } catch {
            around.logger.error("the run was not started", metadata: ["run": "\(key)", "error": "\(error.message)"])
            misfired(key, error.message, mayPass: error.retry != .never, isQuietAtFirst: false)
        }
    }

    private func stop(_ key: RunKey) {
        around.logger.notice("the run is replaced", metadata: ["run": "\(key)"])
        if let launched = running[key] { return launched.process.terminate() }
        // It was begun by hand, or by a daemon before this one.
        if let holder = planner.holder(of: key), HolderProcess.stop(holder, host: around.host) { return }
        around.logger.warning("the run that is to be replaced cannot be stopped", metadata: ["run": "\(key)"])
    }

    /// The next run of the job is due, so this one gets no further attempt.
    private mutating func giveUp(_ key: RunKey) throws(HoldfastError) {
        let completion = RunCompletion(
            .failed, code: ErrorCode.interrupted.rawValue,
            message: "no further attempt: the next run of the job is due, or the job stands still")
        do throws(HoldfastError) {
            try around.store.conclude(key, .schedule, completion, at: now)
        } catch {
            // Somebody has taken the run in the meantime.
            guard error.code == .runTaken else { throw error }
            return
        }
        tell(JobAlert.key(key.job), "job \(key.job) failed in its run \(key), and its next run is due")
    }

    // MARK: Ends

    /// Takes in the runs whose processes have ended. A run is let go only when the store has told how it stands.
    mutating func collect() throws(HoldfastError) {
        for (key, alert) in untold { tell(key, alert.summary, alert.severity) }
        for (key, launched) in running where launched.process.result != nil {
            _ = launched.process.wait()
            running[key] = nil
            ended.append((key, launched))
        }
        while let (key, launched) = ended.first {
            try take(key, launched)
            ended.removeFirst()
        }
    }

    /// Makes sure that there is a word on the run. Its process has said one itself, unless it was killed.
    private mutating func take(_ key: RunKey, _ launched: Launched) throws(HoldfastError) {
        // What it could not write into the store it has put beside it, which is taken in before anything is buried.
        let gone = try around.store.active().compactMap { run -> RunHolder? in
            guard run.key == key, case .running(let holder, _) = run.phase, holder.host == around.host,
                holder.process == launched.process.number
            else { return nil }
            return holder
        }
        try bury(gone: gone, sparing: own.subtracting([key]))
        around.endOrphans()
        let known = try around.store.run(key)
        revision = nil
        let isBegun = (known?.attempt ?? 0) > launched.attempt
        switch known?.state {
        case .waiting where !isBegun, nil:
            if try around.store.active().contains(where: { $0.key.job == key.job && $0.isRunning && $0.isHeld }) {
                // Another run of the job was faster; the rules for that are the planner's.
                return planner.putOff(key, until: now + Self.putOff)
            }
            // Cut after it was scrubbed: half a secret is not found any more.
            let tail = launched.process.errorTail
            let text = around.scrubber.tail(
                tail, limit: Self.maximumAlertText, isCut: tail.count >= RunCompletion.maximumOutput)
            let result = launched.process.wait()
            let isBusy = result == .exited(ErrorCode.busy.exitStatus)
            // The one that held it up may have ended by now, which is nothing to tell of.
            misfired(
                key, "its process ended (\(result)) before it began: \(text)",
                mayPass: isBusy || result == .terminated, isQuietAtFirst: isBusy)
        case .running, .waiting, .ended, .notRun:
            if launched.attempt == 0, !isBegun || known?.trigger == .manual {
                // It is another's, by hand or before its time. It is not due again.
                let nonRun = NonRun(first: key.scheduled, last: key.scheduled, count: 1, reason: .overlap)
                try around.store.record([nonRun], of: key.job, .schedule, at: now)
            }
            misfires[key] = nil
            planner.ended(key)
        }
    }

    /// A run did not begin. It is due again after a wait when that may help, or when not even that can be written;
    /// else it has failed.
    private mutating func misfired(_ key: RunKey, _ message: String, mayPass: Bool, isQuietAtFirst: Bool) {
        revision = nil
        if !mayPass, fail(key, message) {
            misfires[key] = nil
            return planner.ended(key)
        }
        if let locations = jobs[key.job]?.reach?.locations { around.places.ask(locations) }
        var misfire = misfires[key, default: Misfire()]
        let wait = min(RunPlanner.longestPutOff, Self.putOff * (1 << min(misfire.count, 10)))
        planner.putOff(key, until: now + wait)
        if !misfire.isTold, !isQuietAtFirst || misfire.count > 0 {
            around.logger.error("the run did not begin; it is due still", metadata: ["run": "\(key)"])
            tell(JobAlert.key(key.job), "job \(key.job) does not start: \(message)")
            misfire.isTold = true
        }
        misfire.count += 1
        misfires[key] = misfire
    }

    /// Records the failure of a run that nobody holds. Says whether there is a word on it now.
    private mutating func fail(_ key: RunKey, _ message: String) -> Bool {
        do throws(HoldfastError) {
            let completion = RunCompletion(.failed, code: ErrorCode.processFailed.rawValue, message: message)
            try around.store.conclude(key, .schedule, completion, at: now)
        } catch {
            return error.code == .runTaken
        }
        tell(JobAlert.key(key.job), "job \(key.job) did not start: \(message)")
        return true
    }

    /// Looks for runs that died: those whose leases ran out, and those of processes of this host that are gone.
    mutating func bury() throws(HoldfastError) {
        let since = writable()
        note(try burial.run(sparing: own, writableSince: since))
    }

    /// Lets the alerts of pauses and of jobs that do not get to run fire and end with their causes.
    func keepAlerts() throws(HoldfastError) {
        let all = jobs.values.sorted { $0.name < $1.name }
        try PauseAlerts.keep(all, in: around.store, at: now)
        try StarvedAlerts.end(all, in: around.store, at: now)
    }

    private mutating func bury(gone: [RunHolder], sparing own: Set<RunKey>) throws(HoldfastError) {
        let since = writable()
        note(try burial.bury(gone: gone, sparing: own, writableSince: since))
    }

    /// Since when the store can be written, if it can be now.
    private mutating func writable() -> Duration {
        let since = writableSince ?? around.clock.uptime()
        writableSince = since
        return since
    }

    /// What this process started is looked at when it ends.
    private var own: Set<RunKey> { Set(running.keys).union(ended.map(\.key)) }

    private var burial: Burial { Burial(around.store, around.spool, host: around.host, clock: around.clock) }

    private mutating func note(_ dead: [DeadRun]) {
        for run in dead {
            around.logger.error(
                "a run died",
                metadata: [
                    "run": "\(run.key)", "process": "\(run.holder.process)",
                    "next": run.isRestarted ? "it is started once more" : "it has ended",
                ])
            if let job = jobs[run.key.job] { around.cleanUp(job) }
            guard !run.isRestarted else { continue }
            tell(DeadRunAlert.key(run), DeadRunAlert.text(run), .critical)
        }
    }

    func stopAll() {
        for launched in running.values { launched.process.terminate() }
    }

    // MARK: From outside

    /// Takes other jobs with all that was read beside them, or nothing of it.
    mutating func reload() {
        do throws(HoldfastError) {
            let fresh = try around.jobs()
            let memories: [JobName: JobMemory]
            do throws(HoldfastError) {
                memories = try around.store.memories(of: fresh.jobs.map(\.name), at: now)
            } catch {
                fresh.drop()
                throw error
            }
            fresh.take()
            revision = nil
            planner.replace(jobs: fresh.jobs, memories: memories, at: now)
            jobs = Dictionary(uniqueKeysWithValues: fresh.jobs.map { ($0.name, $0) })
            around.logger.notice("the jobs were read again", metadata: ["jobs": "\(fresh.jobs.count)"])
            (isSweepDue, areJobsGood, silent) = (true, true, nil)
            untold[Self.configurationKey] = nil
        } catch {
            noteBadJobs(error, severity: .warning)
        }
    }

    /// Tells that other jobs hold than those of the files.
    mutating func noteBadJobs(_ error: HoldfastError, severity: AlertRecord.Severity) {
        let places = error.context.prefix(5).map { "\($0.key): \($0.value)" }.joined(separator: "; ")
        around.logger.error(
            "the jobs were not read; the old ones hold",
            metadata: ["error": "\(error.message)", "places": "\(places)"])
        areJobsGood = false
        tell(Self.configurationKey, "the jobs cannot be read, the old ones hold: \(error.message)", severity)
    }

    /// Resolves alerts whose causes are over and that nobody else resolves: of files that are good now, of jobs that
    /// there are no more, and of a clock that was set a while ago.
    mutating func sweep() throws(HoldfastError) {
        if isSweepDue {
            if areJobsGood { _ = try around.store.resolve(Self.configurationKey, at: now) }
            let gone = untold.keys.filter { key in JobAlert.job(of: key).map { jobs[$0] == nil } ?? false }
            for key in gone { untold[key] = nil }
            try DamageAlerts.resolveGone(but: Set(jobs.keys), in: around.store, at: now)
            isSweepDue = false
        }
        if let end = clockAlertEnd, around.clock.uptime() >= end {
            _ = try around.store.resolve(Self.clockKey, at: now)
            clockAlertEnd = nil
        }
    }

    /// Lets jobs wait whose repositories do not answer, and go on when they do.
    mutating func lookAtPlaces() throws(HoldfastError) {
        let silent = around.places.silent()
        guard silent != self.silent else { return }
        let fresh = around.places.filledIn(jobs.values.sorted { $0.name < $1.name })
        planner.replace(
            jobs: fresh, memories: try around.store.memories(of: fresh.map(\.name), at: now), at: now)
        jobs = Dictionary(uniqueKeysWithValues: fresh.map { ($0.name, $0) })
        var firing: Set<String> = []
        for place in silent {
            let waiting = fresh.filter { $0.reach?.silent.contains(place) == true }
            guard !waiting.isEmpty else { continue }
            let names = waiting.map { "\($0.name)" }.joined(separator: ", ")
            around.logger.error("a repository does not answer", metadata: ["place": "\(place)", "jobs": "\(names)"])
            firing.insert(Self.placeKey + place)
            _ = try around.store.fire(
                Self.placeKey + place, .warning, "the repository at \(place) does not answer; jobs wait: \(names)",
                at: now)
        }
        for alert in try around.store.alerts(all: false)
        where alert.key.hasPrefix(Self.placeKey) && !firing.contains(alert.key) {
            _ = try around.store.resolve(alert.key, at: now)
        }
        self.silent = silent
    }

    mutating func noteClockStep(_ step: Duration) {
        let text = "\(step < .zero ? "back" : "forward") by \((step < .zero ? .zero - step : step).lengthOfTime)"
        around.logger.warning("the clock was set", metadata: ["step": "\(text)"])
        revision = nil
        clockAlertEnd = around.clock.uptime() + Self.clockAlert
        // With the time: the same step again is another one.
        tell(Self.clockKey, "the clock was set \(text), to \(Timestamp(seconds: now.seconds))", .info)
    }

    /// Lets an alert fire. One that cannot be written now is told in a later turn.
    private mutating func tell(_ key: String, _ summary: String, _ severity: AlertRecord.Severity = .warning) {
        do throws(HoldfastError) {
            _ = try around.store.fire(key, severity, summary, at: now)
            untold[key] = nil
        } catch {
            guard untold[key] != nil || untold.count < Self.maximumUntold else { return }
            if untold[key] == nil {
                around.logger.error("the alert was not written yet", metadata: ["alert": "\(key)"])
            }
            untold[key] = (max(severity, untold[key]?.severity ?? severity), summary)
        }
    }
}
