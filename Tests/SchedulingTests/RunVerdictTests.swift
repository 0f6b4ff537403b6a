// The rules for one run: for timers, for further attempts, and by what jobs have in common.

import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("Whether a run may begin")
struct RunVerdictTests {
    /// A midnight.
    private let start = Timestamp(seconds: 1_799_971_200)

    private func job(_ name: String, _ action: JobAction? = nil, _ change: (inout Job) -> Void = { _ in }) -> Job {
        var job = Job(
            name: JobName(name), action: action ?? .backup(sources: [name]),
            schedule: Schedule(text: "every", rule: .every(3600), zone: .utc))
        change(&job)
        return job
    }

    private func ended(_ outcome: RunOutcome, _ instant: Timestamp) -> JobMemory {
        var memory = JobMemory(through: instant)
        memory.last = JobMemory.Ended(
            scheduled: instant, began: instant, ended: instant + .seconds(1), outcome: outcome)
        return memory
    }

    /// The word on the run of `job` that was due an hour after the start.
    private func verdict(
        _ job: Job, _ others: [Job] = [], _ memories: [String: JobMemory] = [:], active: [ActiveRun] = [],
        after delay: Duration = .zero
    ) -> (verdict: RunVerdict, stops: [RunKey]) {
        let known = Dictionary(uniqueKeysWithValues: memories.map { (JobName($0.key), $0.value) })
        let due = start + .seconds(3600)
        let planner = RunPlanner(jobs: [job] + others, memories: known, active: active, host: "host", at: due)
        return planner.verdict(on: RunKey(job: job.name, scheduled: due), delay: job.jitter, at: due + delay)
    }

    private func running(_ name: String) -> ActiveRun {
        ActiveRun(
            key: RunKey(job: JobName(name), scheduled: start), trigger: .schedule,
            phase: .running(RunHolder(host: "host", process: 1), fence: 1), attempt: 1, began: start)
    }

    @Test("a timer asks for what a job's file and orders say, as the daemon does")
    func timers() throws {
        #expect(verdict(job("a")).verdict == .start)
        #expect(verdict(job("a") { $0.isEnabled = false }).verdict == .refuse(.disabled))
        var skipped = JobMemory(through: start)
        skipped.skip = StandingOrder(reason: "once", actor: "ann", since: start)
        #expect(verdict(job("a"), [], ["a": skipped]).verdict == .refuse(.skipped))
        let spans = (late: try Span("02:00-06:00"), soon: try Span("01:30-06:00"), dark: try Span("00:00-06:00"))
        let night = job("a") {
            $0.windows = [spans.late]
            $0.startDeadline = .seconds(60)
        }
        #expect(verdict(night).verdict == .refuse(.outsideWindow))
        let waits = job("a") { $0.windows = [spans.soon] }
        #expect(verdict(waits).verdict == .wait(until: start + .seconds(5400)))
        let dark = job("a") {
            $0.blackouts = [spans.dark]
            $0.startDeadline = .seconds(60)
        }
        #expect(verdict(dark).verdict == .refuse(.blackout))
        let hasty = job("a") { $0.startDeadline = .seconds(60) }
        #expect(verdict(hasty, after: .seconds(60)).verdict == .start)
        #expect(verdict(hasty, after: .seconds(61)).verdict == .refuse(.startDeadline))
        let late = job("a") {
            $0.startDeadline = .seconds(60)
            $0.jitter = .seconds(600)
        }
        #expect(verdict(late, after: .seconds(660)).verdict == .start)
    }

    @Test("waits while its repository does not answer, and does not take place when its start deadline has passed")
    func silent() {
        let hung = job("a") {
            $0.startDeadline = .seconds(60)
            $0.reach = JobReach(parts: [], repositories: [nil], locations: ["/hung"], silent: ["/hung"])
        }
        #expect(verdict(hung, after: .seconds(60)).verdict == .wait(until: nil))
        #expect(verdict(hung, after: .seconds(61)).verdict == .refuse(.unreachable))
    }

    @Test("a timer waits for a busy group, ends what it replaces, and comes after what it comes after")
    func groups() throws {
        let other = job("b", .backup(sources: ["a"]))
        for policy in OverlapPolicy.allCases {
            let own = job("a") { $0.concurrency = [.source: policy] }
            let found = verdict(own, [other], active: [running("b")])
            #expect(found.verdict == (policy == .skip ? .refuse(.overlap) : .wait(until: nil)))
            #expect(found.stops == (policy == .replace ? [running("b").key] : []))
        }
        let last = job("a", .mirror(to: [])) { $0.after = [JobName("b")] }
        #expect(verdict(last, [other]).verdict == .wait(until: nil))
        #expect(verdict(last, [other], ["b": ended(.failed, start)]).verdict == .refuse(.dependency))
        #expect(verdict(last, [other], ["b": ended(.succeeded, start)]).verdict == .start)
    }

    @Test("a further attempt of retention looks anew at the backups, and waits while they are not good")
    func retention() {
        let forget = job("forget", .forget(sources: ["shop"], prune: true))
        let backup = job("shop")
        let waiting = ActiveRun(
            key: RunKey(job: forget.name, scheduled: start + .seconds(3600)), trigger: .schedule,
            phase: .waiting(until: start + .seconds(3600)), attempt: 1, began: start)
        for outcome in RunOutcome.allCases {
            let found = verdict(forget, [backup], ["shop": ended(outcome, start)], active: [waiting])
            #expect((found.verdict == .start) == (outcome == .succeeded), "\(outcome)")
            if case .refuse = found.verdict { Issue.record("a run that has begun is not refused") }
        }
    }

    @Test("retention minds a failed backup of the same repository, however the two name it")
    func repositories() {
        let names: [String?] = [nil, "main"]
        for (one, other) in names.flatMap({ one in names.map { (one, $0) } }) {
            let forget = job("forget", .forget(sources: [], prune: true)) { $0.repository = one }
            let backup = job("nightly", .backup(sources: [])) { $0.repository = other }
            #expect(forget.thinsOut(sourcesOf: backup))
            #expect(
                verdict(forget, [backup], ["nightly": ended(.failed, start)]).verdict == .refuse(.dependency))
        }
        var forget = job("forget", .forget(sources: [], prune: true)) { $0.repository = "other" }
        var backup = job("nightly", .backup(sources: [])) { $0.repository = "main" }
        #expect(!forget.thinsOut(sourcesOf: backup))
        // What the configuration says counts for more than the names in the files.
        forget.reach = JobReach(parts: [.init(source: "shop", repository: "main")], repositories: ["main"])
        backup.reach = forget.reach
        #expect(forget.thinsOut(sourcesOf: backup))
        backup.reach = JobReach(parts: [.init(source: "shop", repository: "far")], repositories: ["far"])
        #expect(!forget.thinsOut(sourcesOf: backup))
    }

    @Test("what a timer missed is recorded, and is made up for by one run within the time that the job says")
    func missed() {
        func missed(
            after hours: Int64, _ change: (inout Job) -> Void = { _ in }, late: Duration = .zero,
            pause: StandingOrder? = nil, active: [ActiveRun] = []
        ) -> [String] {
            let own = job("a", nil, change)
            var memory = JobMemory(through: start + .seconds(-hours * 3600))
            memory.pause = pause
            let now = start + late
            let planner = RunPlanner(jobs: [own], memories: [own.name: memory], active: active, host: "h", at: now)
            let found = planner.missed(before: RunKey(job: own.name, scheduled: start), at: now)
            return found.nonRuns.map { "\($0.reason.rawValue) \($0.count ?? 0)" }
                + (found.refusal.map { [$0.rawValue] } ?? [])
        }
        #expect(missed(after: 1) == [] && missed(after: 0) == [] && missed(after: -1) == [])
        #expect(missed(after: 5) == ["caught-up 4"])
        #expect(missed(after: 5) { $0.catchUp = CatchUpPolicy(.all) } == ["caught-up 4"])
        let none = CatchUpPolicy(.none)
        #expect(missed(after: 5) { $0.catchUp = none } == ["missed 4"])
        #expect(missed(after: 5, { $0.catchUp = none }, late: .seconds(61)) == ["missed 4", "missed"])
        let delayed = { (job: inout Job) in
            job.catchUp = none
            job.jitter = .seconds(600)
        }
        #expect(missed(after: 1, delayed, late: .seconds(660)) == [])
        let day = CatchUpPolicy(.once, within: .seconds(3 * 3600))
        #expect(missed(after: 5) { $0.catchUp = day } == ["too-long-ago 1", "caught-up 3"])
        #expect(missed(after: 5, { $0.catchUp = day }, late: .seconds(4 * 3600)) == ["too-long-ago 4", "too-long-ago"])
        let pause = StandingOrder(reason: "r", actor: "a", since: start)
        #expect(missed(after: 5, pause: pause) == ["paused 4"])
        let waiting = ActiveRun(
            key: RunKey(job: JobName("a"), scheduled: start), trigger: .schedule, phase: .waiting(until: start),
            attempt: 1, began: start)
        #expect(missed(after: 5, active: [waiting]) == [])
    }

    @Test("what began under a clock that ran ahead holds no other job up")
    func ahead() {
        let mirror = job("a", .mirror(to: [])) { $0.after = [JobName("b")] }
        let memories = [
            "a": ended(.succeeded, start + .seconds(400 * 86_400)), "b": ended(.succeeded, start),
        ]
        #expect(verdict(mirror, [job("b")], memories).verdict == .start)
    }
}
