// The decision what runs, without a store and without processes.

import Primitives
import Scheduling
import TestSupport
import Testing

/// A planner with a small store in memory: what it decides is done at once, and ends when the test says.
private struct Stage {
    var planner: RunPlanner
    var memories: [JobName: JobMemory]
    var running: Set<RunKey> = []
    var started: [RunKey] = []
    var recorded: [(job: JobName, nonRun: NonRun)] = []
    var stopped: [RunKey] = []
    var now: Timestamp
    var wake: Timestamp?

    init(_ jobs: [Job], at now: Timestamp) {
        self.now = now
        memories = Dictionary(
            uniqueKeysWithValues: jobs.map { ($0.name, JobMemory(through: Timestamp(seconds: now.seconds))) })
        planner = RunPlanner(jobs: jobs, memories: memories, active: [], host: "host", at: now)
    }

    mutating func tick(_ step: Duration = .zero) {
        now = now + step
        let decision = planner.decide(at: now)
        wake = decision.wake
        for action in decision.actions {
            switch action {
            case .start(let key):
                started.append(key)
                running.insert(key)
                advance(key.job, key.scheduled)
            case .record(let job, let nonRuns):
                recorded += nonRuns.map { (job, $0) }
                advance(job, nonRuns.map(\.last).max() ?? now)
                if nonRuns.contains(where: { $0.reason == .skipped }) { memories[job]?.skip = nil }
            case .stop(let key): stopped.append(key)
            case .giveUp, .replace: break
            }
        }
        planner.update(memories: memories, active: [])
    }

    private mutating func advance(_ job: JobName, _ instant: Timestamp) {
        guard let through = memories[job]?.through else { return }
        memories[job]?.through = max(through, instant)
    }

    mutating func end(_ key: RunKey, _ outcome: RunOutcome = .succeeded) {
        #expect(running.remove(key) != nil)
        let ended = JobMemory.Ended(scheduled: key.scheduled, began: now, ended: now + .seconds(1), outcome: outcome)
        memories[key.job]?.last = ended
        if outcome == .succeeded { memories[key.job]?.lastSuccess = ended }
        planner.ended(key)
        planner.update(memories: memories, active: [])
    }

    mutating func order(_ job: String, _ body: (inout JobMemory) -> Void) {
        guard var memory = memories[JobName(job)] else { return }
        body(&memory)
        memories[JobName(job)] = memory
        planner.update(memories: memories, active: [])
    }

    var names: [String] { started.map(\.job.description) }
    var reasons: [NonRun.Reason] { recorded.map(\.nonRun.reason) }
}

@Suite("The planner of runs")
struct RunPlannerTests {
    /// A midnight.
    private let start = Timestamp(seconds: 1_799_971_200)

    private func job(
        _ name: String, _ action: JobAction? = nil, every: Int64 = 3600, _ change: (inout Job) throws -> Void = { _ in }
    ) throws -> Job {
        var job = Job(
            name: JobName(name), action: action ?? .backup(sources: [name]),
            schedule: Schedule(text: "every", rule: .every(every), zone: .utc))
        try change(&job)
        return job
    }

    @Test("starts a run when it is due, and again only when the next is")
    func due() throws {
        var stage = Stage([try job("a")], at: start)
        stage.tick()
        #expect(stage.started.isEmpty && stage.wake == start + .seconds(3600))
        stage.tick(.seconds(3600))
        stage.tick(.seconds(5))
        #expect(stage.started == [RunKey(job: JobName("a"), scheduled: start + .seconds(3600))])
        stage.end(stage.started[0])
        stage.tick(.seconds(10))
        #expect(stage.started.count == 1)
        stage.tick(.seconds(3600))
        #expect(stage.started.count == 2 && stage.recorded.isEmpty)
    }

    @Test("puts a run off by the job's own delay, and keeps its key")
    func jitter() throws {
        let late = try job("a") { $0.jitter = .seconds(600) }
        let delay = late.jitter(on: "host")
        var stage = Stage([late], at: start)
        stage.tick(.seconds(3600))
        #expect(stage.started.isEmpty && stage.wake == start + .seconds(3600) + delay)
        stage.tick(delay)
        #expect(stage.started.map(\.scheduled) == [start + .seconds(3600)])
    }

    @Test("makes up once for a day that the clock jumped over, and records the rest")
    func forward() throws {
        var stage = Stage([try job("a")], at: start)
        stage.tick(.seconds(86_400 + 120))
        #expect(stage.started.map(\.scheduled) == [start + .seconds(86_400)])
        #expect(
            stage.recorded.map(\.nonRun) == [
                NonRun(first: start + .seconds(3600), last: start + .seconds(82_800), count: 23, reason: .caughtUp)
            ])
    }

    @Test("runs nothing twice when the clock goes back an hour")
    func back() throws {
        var stage = Stage([try job("a", every: 600)], at: start)
        for _ in 0..<12 {
            stage.tick(.seconds(600))
            stage.end(stage.started[stage.started.count - 1])
        }
        stage.tick(.seconds(-3600))
        for _ in 0..<6 { stage.tick(.seconds(600)) }
        #expect(stage.started.count == 12)
        stage.tick(.seconds(600))
        #expect(stage.started.count == 13)
        #expect(Set(stage.started).count == 13 && stage.recorded.isEmpty)
    }

    @Test("records a run whose group is busy, waits for it, or ends it, as its policy says")
    func overlap() throws {
        for policy in OverlapPolicy.allCases {
            let one = try job("a", .backup(sources: ["shop"]))
            let other = try job("b", .backup(sources: ["shop", "web"]), every: 3600) {
                $0.concurrency = [.source: policy]
            }
            var stage = Stage([one, other], at: start)
            stage.tick(.seconds(3600))
            #expect(stage.names == ["a"])
            #expect(stage.reasons == (policy == .skip ? [.overlap] : []))
            #expect(stage.stopped == (policy == .replace ? [stage.started[0]] : []))
            stage.tick(.seconds(10))
            #expect(stage.stopped.count == (policy == .replace ? 1 : 0))
            stage.end(stage.started[0])
            stage.tick(.seconds(10))
            #expect(stage.names == (policy == .skip ? ["a"] : ["a", "b"]))
        }
    }

    @Test("keeps jobs of one repository and of one host apart when both say so")
    func groups() throws {
        let jobs = try ["a", "b", "c"].map { name in
            try job(name) { job in
                job.repository = name == "c" ? "other" : "main"
                job.concurrency = [.repository: .queue]
            }
        }
        var stage = Stage(jobs, at: start)
        stage.tick(.seconds(3600))
        #expect(stage.names == ["a", "c"])
        var hosts = Stage(try ["a", "b"].map { try job($0) { $0.concurrency = [.host: .queue] } }, at: start)
        hosts.tick(.seconds(3600))
        #expect(hosts.names == ["a"])
    }

    @Test("does not start a run after its start deadline, and says so")
    func startDeadline() throws {
        let one = try job("a", .backup(sources: ["shop"]), every: 7200)
        let other = try job("b", .backup(sources: ["shop"]), every: 7200) {
            $0.concurrency = [.source: .queue]
            $0.startDeadline = .seconds(300)
        }
        var stage = Stage([one, other], at: start)
        stage.tick(.seconds(7200))
        #expect(stage.wake == start + .seconds(7500))
        stage.tick(.seconds(301))
        #expect(stage.reasons == [.startDeadline])
        stage.end(stage.started[0])
        stage.tick(.seconds(1))
        #expect(stage.names == ["a"])
    }

    @Test("waits for a window that opens in time, and records what it kept out")
    func windows() throws {
        let night = try Span("02:30-06:00")
        let waits = try job("a", every: 7200) { $0.windows = [night] }
        let refused = try job("b", every: 7200) {
            $0.windows = [night]
            $0.startDeadline = .seconds(60)
        }
        let dark = try job("c", every: 7200) {
            $0.blackouts = [try Span("00:00-06:00")]
            $0.startDeadline = .seconds(60)
        }
        var stage = Stage([waits, refused, dark], at: start)
        stage.tick(.seconds(7200))
        #expect(stage.started.isEmpty)
        #expect(stage.reasons.sorted { $0.rawValue < $1.rawValue } == [.blackout, .outsideWindow])
        #expect(stage.wake == start + .seconds(9000))
        stage.tick(.seconds(1800))
        #expect(stage.names == ["a"])
    }

    @Test("starts a run after those it comes after, and not when one of them failed")
    func dependencies() throws {
        for outcome in [RunOutcome.succeeded, .partial, .failed, .checkFailed, .died] {
            let first = try job("b", every: 3600)
            let second = try job("a", .mirror(to: []), every: 3600) { $0.after = [JobName("b")] }
            var stage = Stage([second, first], at: start)
            stage.tick(.seconds(3600))
            #expect(stage.names == ["b"])
            stage.end(stage.started[0], outcome)
            stage.tick(.seconds(5))
            #expect(stage.names == (outcome == .succeeded ? ["b", "a"] : ["b"]))
            #expect(stage.reasons == (outcome == .succeeded ? [] : [.dependency]))
        }
    }

    @Test("thins out no source whose last backup did not end well, or is not known")
    func retention() throws {
        let backup = try job("shop", every: 7200)
        let forget = try job("forget", .forget(sources: ["shop"], prune: true), every: 3600)
        for outcome in RunOutcome.allCases {
            var stage = Stage([backup, forget], at: start)
            // Before the first backup nothing is known.
            stage.tick(.seconds(3600))
            #expect(stage.names.isEmpty)
            stage.tick(.seconds(3600))
            #expect(stage.names == ["shop"])
            #expect(stage.reasons == [.dependency])
            stage.end(stage.started[0], outcome)
            stage.tick(.seconds(5))
            #expect(stage.names == (outcome == .succeeded ? ["shop", "forget"] : ["shop"]), "\(outcome)")
            #expect(stage.reasons == (outcome == .succeeded ? [.dependency] : [.dependency, .dependency]))
        }
    }

    @Test("records what was due of a job that is paused or disabled, and goes on when the pause is over")
    func paused() throws {
        let disabled = try job("b") { $0.isEnabled = false }
        var stage = Stage([try job("a"), disabled], at: start)
        let until = start + .seconds(7300)
        stage.order("a") { $0.pause = StandingOrder(reason: "move", actor: "ann", since: start, until: until) }
        stage.tick(.seconds(3600))
        stage.tick(.seconds(3600))
        #expect(stage.started.isEmpty)
        #expect(stage.reasons == [.paused, .disabled, .paused, .disabled])
        stage.tick(.seconds(3600))
        #expect(stage.names == ["a"])
    }

    @Test("leaves out one run when told to")
    func skip() throws {
        var stage = Stage([try job("a")], at: start)
        stage.order("a") { $0.skip = StandingOrder(reason: "once", actor: "ann", since: start) }
        stage.tick(.seconds(3600))
        stage.tick(.seconds(3600))
        #expect(stage.reasons == [.skipped])
        #expect(stage.started.map(\.scheduled) == [start + .seconds(7200)])
    }

    @Test("lets a thousand jobs that are due at one instant wait for their turn, each once")
    func thousand() throws {
        let jobs = try (0..<1000).map { try job("job-\($0)", every: 86_400) }
        var stage = Stage(jobs, at: start)
        stage.tick(.seconds(86_400))
        #expect(stage.started.count == 8)
        var turns = 0
        while !stage.running.isEmpty {
            #expect(stage.running.count == 8)
            for key in stage.running { stage.end(key) }
            stage.tick(.seconds(1))
            turns += 1
        }
        #expect(turns == 125)
        #expect(Set(stage.started).count == 1000 && stage.recorded.isEmpty)
    }

    @Test("lets a run that it ended for another have no further attempt, and one that was stopped otherwise go on")
    func replaced() throws {
        let one = try job("a", .backup(sources: ["shop"]))
        let other = try job("b", .backup(sources: ["shop"])) { $0.concurrency = [.source: .replace] }
        let memories = [one.name: JobMemory(through: start), other.name: JobMemory(through: start)]
        var planner = RunPlanner(jobs: [one, other], memories: memories, active: [], host: "host", at: start)
        let due = start + .seconds(3600)
        let (old, new) = (RunKey(job: one.name, scheduled: due), RunKey(job: other.name, scheduled: due))
        #expect(planner.decide(at: due).actions == [.start(old), .stop(old)])
        planner.ended(old)
        let waiting = ActiveRun(key: old, trigger: .schedule, phase: .waiting(until: due), attempt: 1, began: due)
        var ended = memories
        ended[one.name]?.through = due
        planner.update(memories: ended, active: [waiting])
        #expect(planner.decide(at: due).actions == [.replace(old), .start(new)])
        // Another planner knows nothing of that, and goes on with it.
        var next = RunPlanner(jobs: [one], memories: ended, active: [waiting], host: "host", at: due)
        #expect(next.decide(at: due).actions == [.start(old)])
    }

    @Test("records what waits of a job of which somebody else has run a later run")
    func overtaken() throws {
        let (one, other) = (try job("a", .backup(sources: ["shop"])), try job("b", .backup(sources: ["shop"])))
        let queued = { (job: Job) in
            var job = job
            job.concurrency = [.source: .queue]
            return job
        }
        let memories = [one.name: JobMemory(through: start), other.name: JobMemory(through: start)]
        var planner = RunPlanner(
            jobs: [one, queued(other)], memories: memories, active: [], host: "host", at: start)
        let due = start + .seconds(3600)
        #expect(planner.decide(at: due).actions == [.start(RunKey(job: one.name, scheduled: due))])
        planner.update(memories: [other.name: JobMemory(through: due + .seconds(3600))], active: [])
        let nonRun = NonRun(first: due, last: due, count: 1, reason: .caughtUp)
        #expect(planner.decide(at: due + .seconds(60)).actions == [.record(other.name, [nonRun])])
        #expect(planner.decide(at: due + .seconds(61)).actions.isEmpty)
    }

    @Test("starts another attempt when its wait is over, and gives it up when the next run is due")
    func retries() throws {
        let one = try job("a")
        var planner = RunPlanner(
            jobs: [one], memories: [one.name: JobMemory(through: start)], active: [], host: "host", at: start)
        let key = RunKey(job: one.name, scheduled: start)
        func waiting(until: Timestamp) -> ActiveRun {
            ActiveRun(key: key, trigger: .schedule, phase: .waiting(until: until), attempt: 1, began: start)
        }
        planner.update(memories: [:], active: [waiting(until: start + .seconds(60))])
        let before = planner.decide(at: start + .seconds(30))
        #expect(before.actions.isEmpty && before.wake == start + .seconds(60))
        #expect(planner.decide(at: start + .seconds(60)).actions == [.start(key)])
        planner.ended(key)
        planner.update(memories: [:], active: [waiting(until: start + .seconds(7200))])
        #expect(planner.decide(at: start + .seconds(3600)).actions.first == .giveUp(key))
    }

    @Test("gives up a run that waits when its job is disabled, or paused beyond its next instant")
    func forsaken() throws {
        let key = RunKey(job: JobName("a"), scheduled: start)
        let waits = ActiveRun(
            key: key, trigger: .schedule, phase: .waiting(until: start), attempt: 1, began: start)
        func actions(through: Timestamp, _ change: (inout Job) -> Void) throws -> [RunAction] {
            var one = try job("a")
            change(&one)
            var planner = RunPlanner(
                jobs: [one], memories: [one.name: JobMemory(through: through)], active: [], host: "host", at: start)
            planner.update(memories: [:], active: [waits])
            return planner.decide(at: start + .seconds(60)).actions
        }
        #expect(try actions(through: start) { $0.isEnabled = false } == [.giveUp(key)])
        #expect(try actions(through: start) { $0.pause = Pause(reason: "disk", until: nil) } == [])
        #expect(
            try actions(through: start + .seconds(1)) { $0.pause = Pause(reason: "disk", until: nil) } == [.giveUp(key)]
        )
        #expect(try actions(through: start) { _ in } == [.start(key)])
    }
}
