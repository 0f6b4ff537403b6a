// One turn of the daemon's loop after another: decisions become processes, ends of processes become records.

import Glibc
import Logging
import Primitives
import Scheduling
import State

/// The state of the loop.
struct Turn: Sendable {
    private static let maximumAlertText = 500

    private let around: RunLoopSurroundings
    private var planner: RunPlanner
    private var jobs: [JobName: Job]
    private(set) var running: [RunKey: any RunningProcess] = [:]
    private(set) var wake: Timestamp?
    private var isFaulty = false
    /// What the planner was told last; nil when it has to be told anew.
    private var revision: Int64?

    init(_ around: RunLoopSurroundings, _ jobs: [Job], at now: Timestamp) throws(HoldfastError) {
        self.around = around
        self.jobs = Dictionary(uniqueKeysWithValues: jobs.map { ($0.name, $0) })
        let memories = try around.store.memories(of: jobs.map(\.name), at: now)
        planner = RunPlanner(
            jobs: jobs, memories: memories, active: try around.store.active(), host: around.host, at: now)
        planner.limits = around.limits
    }

    private var now: Timestamp { around.clock.now() }

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
            isFaulty = true
        }
    }

    // MARK: Decisions

    mutating func decide() throws(HoldfastError) {
        let revision = try around.store.revision()
        if revision != self.revision {
            planner.update(
                memories: try around.store.memories(of: Array(jobs.keys), at: now), active: try around.store.active())
            self.revision = revision
        }
        let decision = planner.decide(at: now)
        wake = decision.wake
        for action in decision.actions {
            switch action {
            case .start(let key): start(key)
            case .stop(let key):
                around.logger.notice("the run is replaced", metadata: ["run": "\(key)"])
                running[key]?.terminate()
            case .record(let job, let nonRuns):
                try around.store.record(nonRuns, of: job, .schedule, at: now)
                for nonRun in nonRuns {
                    around.logger.warning(
                        "the run did not take place",
                        metadata: [
                            "job": "\(job)", "scheduled": "\(nonRun.first)", "reason": "\(nonRun.reason.rawValue)",
                            "count": "\(nonRun.count.map { "\($0)" } ?? "many")",
                        ])
                }
            case .giveUp(let key): try giveUp(key)
            }
        }
    }

    private mutating func start(_ key: RunKey) {
        do throws(HoldfastError) {
            running[key] = try around.launcher.launch(key)
        } catch {
            around.logger.error("the run was not started", metadata: ["run": "\(key)", "error": "\(error.message)"])
            fail(key, error.message)
            planner.ended(key)
        }
    }

    /// The next run of the job is due, so this one gets no further attempt.
    private func giveUp(_ key: RunKey) throws(HoldfastError) {
        let claim = try around.store.begin(key, .schedule, holder: ownHolder, lease: .seconds(60), at: now)
        let completion = RunCompletion(
            .failed, code: ErrorCode.interrupted.rawValue,
            message: "no further attempt: the next run of the job is due")
        try around.store.complete(claim, completion, at: now)
    }

    private var ownHolder: RunHolder { RunHolder(host: around.host, process: getpid()) }

    // MARK: Ends

    /// Takes in the runs whose processes have ended.
    mutating func collect() throws(HoldfastError) {
        for (key, process) in running where process.result != nil {
            let result = process.wait()
            running[key] = nil
            planner.ended(key)
            try take(key, result, process)
        }
    }

    /// Makes sure that there is a word on the run. Its process has said one itself, unless it was killed.
    private func take(_ key: RunKey, _ result: ProcessResult, _ process: any RunningProcess) throws(HoldfastError) {
        let holder = RunHolder(host: around.host, process: process.number)
        let dead = try around.store.buryDead(gone: holder, at: now)
        note(dead)
        around.endOrphans()
        guard dead.isEmpty, !result.isSuccess else { return }
        // Cut after it was scrubbed: half a secret is not found any more.
        let tail = process.errorTail
        let text = around.scrubber.tail(
            tail, limit: Self.maximumAlertText, isCut: tail.count >= RunCompletion.maximumOutput)
        fail(key, "its process ended (\(result)) before it began: \(text)")
    }

    /// Records the failure of a run that nobody holds and nobody recorded.
    private func fail(_ key: RunKey, _ message: String) {
        do throws(HoldfastError) {
            let claim = try around.store.begin(key, .schedule, holder: ownHolder, lease: .seconds(60), at: now)
            let completion = RunCompletion(.failed, code: ErrorCode.processFailed.rawValue, message: message)
            try around.store.complete(claim, completion, at: now)
            _ = try around.store.fire(
                "job/\(key.job)/failed", .warning, "job \(key.job) did not start: \(message)", at: now)
        } catch {
            // `.busy`: it was recorded by its own process, or waits for its next attempt at a later time.
            guard error.code != .busy else { return }
            around.logger.error("the end of a run was not written", metadata: ["run": "\(key)"])
        }
    }

    /// Looks for runs that died: those whose leases ran out, and those of processes of this host that are gone.
    mutating func bury() throws(HoldfastError) {
        _ = try around.spool.absorb(into: around.store)
        note(try around.store.buryDead(gone: nil, at: now))
        for run in try around.store.active() {
            guard case .running(let holder, _) = run.phase, holder.host == around.host, running[run.key] == nil,
                holder.process != getpid(), kill(holder.process, 0) != 0, errno == ESRCH
            else { continue }
            note(try around.store.buryDead(gone: holder, at: now))
        }
    }

    private func note(_ dead: [DeadRun]) {
        for run in dead {
            around.logger.error(
                "a run died",
                metadata: [
                    "run": "\(run.key)", "process": "\(run.holder.process)",
                    "next": run.isRestarted ? "it is started once more" : "it has ended",
                ])
            if let job = jobs[run.key.job] { around.cleanUp(job) }
            guard !run.isRestarted else { continue }
            do throws(HoldfastError) {
                _ = try around.store.fire(
                    "job/\(run.key.job)/failed", .critical, "job \(run.key.job) died twice in its run \(run.key)",
                    at: now)
            } catch {
                around.logger.error("the alert was not written", metadata: ["run": "\(run.key)"])
            }
        }
    }

    func stopAll() {
        for process in running.values { process.terminate() }
    }

    // MARK: From outside

    mutating func reload() {
        do throws(HoldfastError) {
            let fresh = try around.jobs()
            let memories = try around.store.memories(of: fresh.map(\.name), at: now)
            revision = nil
            planner.replace(jobs: fresh, memories: memories, at: now)
            jobs = Dictionary(uniqueKeysWithValues: fresh.map { ($0.name, $0) })
            around.logger.notice("the jobs were read again", metadata: ["jobs": "\(fresh.count)"])
            _ = try around.store.resolve("daemon/configuration", at: now)
        } catch {
            let places = error.context.prefix(5).map { "\($0.key): \($0.value)" }.joined(separator: "; ")
            around.logger.error(
                "the jobs were not read again; the old ones hold",
                metadata: ["error": "\(error.message)", "places": "\(places)"])
            tell("daemon/configuration", "the jobs cannot be read, the old ones hold: \(error.message)")
        }
    }

    func noteClockStep(_ step: Duration) {
        let text = "\(step < .zero ? "back" : "forward") by \((step < .zero ? .zero - step : step).lengthOfTime)"
        around.logger.warning("the clock was set", metadata: ["step": "\(text)"])
        tell("daemon/clock", "the clock was set \(text)", .info)
    }

    private func tell(_ key: String, _ summary: String, _ severity: AlertRecord.Severity = .warning) {
        do throws(HoldfastError) {
            _ = try around.store.fire(key, severity, summary, at: now)
        } catch {
            around.logger.error("the alert was not written", metadata: ["alert": "\(key)"])
        }
    }
}
