// Jobs that something runs, and that never get to run.

import ControlPlane
import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import Testing

@Suite("A job that does not get to run")
struct StarvedJobTests {
    /// A full hour.
    private let start = Timestamp(seconds: 1_800_000_000)

    /// Lines by hours and words, newest first.
    private func starved(
        _ lines: [(hour: Int64, word: String)], after hour: Double, _ change: (inout Job) -> Void = { _ in }
    ) -> StarvedJob? {
        let records = lines.map { line in
            let instant = start + .seconds(line.hour * 3600)
            let reason = NonRun.Reason(rawValue: line.word)
            return RunRecord(
                key: RunKey(job: JobName("a"), scheduled: instant), trigger: line.word == "hand" ? .manual : .schedule,
                state: line.word == "good"
                    ? .ended(.succeeded) : .notRun(reason ?? .overlap, last: instant, count: 1), attempt: 0, fence: 0,
                host: "", began: nil, ended: nil, code: nil, message: nil)
        }
        return StarvedJob(
            everyJob("a", 3600, change), records, host: "h", at: start + .seconds(Int64(hour * 3600)))
    }

    @Test("is one of which two runs in a row did not take place, when the time of the second is over")
    func rule() {
        let lines: [(hour: Int64, word: String)] = [(3, "dependency"), (2, "overlap"), (1, "good")]
        #expect(starved(lines, after: 3.9) == nil)
        let found = starved(lines, after: 4)
        #expect(found?.since == start + .seconds(7200) && found?.reason == .dependency)
        #expect(starved(lines, after: 3.5) { $0.startDeadline = .seconds(60) } != nil)
        #expect(starved([(3, "overlap"), (2, "good"), (1, "overlap")], after: 9) == nil)
        #expect(starved([(4, "good"), (3, "overlap"), (2, "overlap")], after: 9) == nil)
        #expect(starved([(4, "overlap"), (3, "hand"), (2, "start-deadline")], after: 9) != nil)
        #expect(starved([(4, "hand"), (3, "hand")], after: 9) == nil)
    }

    @Test("is none that somebody ordered not to run, nor one that a later run made up for")
    func orders() {
        for word in ["paused", "disabled", "skipped"] {
            #expect(starved([(3, word), (2, "overlap"), (1, "overlap")], after: 9) == nil, "\(word)")
            #expect(starved([(3, "overlap"), (2, word), (1, "overlap")], after: 9) == nil, "\(word)")
        }
        #expect(starved([(3, "caught-up"), (2, "caught-up")], after: 9) == nil)
        #expect(starved([(3, "outside-window"), (2, "outside-window")], after: 9) == nil)
        let night = (try? Span("2000-01-01..2000-01-02")).map { [$0] } ?? []
        #expect(starved([(3, "outside-window"), (2, "outside-window")], after: 9) { $0.windows = night } != nil)
    }

    @Test("is one whose only instant went by as well")
    func single() throws {
        let instant = try CalendarExpression("2027-01-15 10:00").fields
        let once = { (job: inout Job) in
            job.schedule = Schedule(text: "once", rule: .calendar(instant), zone: .utc)
        }
        #expect(starved([(2, "overlap")], after: 25.9, once) == nil)
        #expect(starved([(2, "overlap")], after: 26, once) != nil)
        // Nothing is recorded of it any more that could tell of it.
        let store = MemoryRunStore(clock: RunStoreClock(boot: "one") { .seconds(1) })
        let job = everyJob("a", 60, once)
        let due = start + .seconds(7200)
        _ = try store.memories(of: [job.name], at: start)
        try store.record([NonRun(first: due, last: due, count: 1, reason: .missed)], of: job.name, .schedule, at: due)
        try StarvedAlerts.keep([job], in: store, host: "h", at: due + .seconds(86_399))
        #expect(try store.alerts(all: false).isEmpty)
        try StarvedAlerts.keep([job], in: store, host: "h", at: due + .seconds(86_400))
        #expect(try store.alerts(all: false).map(\.key) == ["job/a/not-run"])
        // One that its file pauses now is told no more, however often it is looked at.
        var paused = job
        paused.pause = Pause(reason: "r", until: nil)
        for second in [86_410, 86_420] as [Int64] {
            try StarvedAlerts.keep([paused], in: store, host: "h", at: due + .seconds(second))
            let alert = try store.alerts(all: true).first
            #expect(alert?.state == .resolved && alert?.changed == due + .seconds(86_410))
        }
    }

    @Test("is told no more when it has run, also if the clock was ahead when that was told")
    func clockAhead() throws {
        let store = MemoryRunStore(clock: RunStoreClock(boot: "one") { .seconds(1) })
        let job = everyJob("a", 60)
        let key = StarvedAlerts.key(job.name)
        _ = try store.memories(of: [job.name], at: start)
        // Two were left out by the right clock, and one by the wrong one.
        for due in [start + .seconds(-120), start + .seconds(-60), start + .seconds(365 * 86_400)] {
            try store.record(
                [NonRun(first: due, last: due, count: 1, reason: .overlap)], of: job.name, .schedule, at: due)
        }
        _ = try store.fire(key, .warning, "text", at: start + .seconds(365 * 86_400))
        try StarvedAlerts.keep([job], in: store, host: "h", at: start)
        #expect(try store.alerts(all: false).map(\.key) == [key], "it has not run yet")
        let claim = try store.begin(
            RunKey(job: job.name, scheduled: start + .seconds(60)), .schedule,
            holder: RunHolder(host: "h", process: 1), lease: .seconds(60), at: start + .seconds(60))
        try store.complete(claim, RunCompletion(.succeeded), at: start + .seconds(61))
        try StarvedAlerts.keep([job], in: store, host: "h", at: start + .seconds(62))
        #expect(try store.alerts(all: false).isEmpty)
    }

    @Test("fires an alert, which ends when it runs")
    func alert() throws {
        let jobs = [everyJob("a", 60) { $0.concurrency = [.host: .skip] }, everyJob("b", 60)]
        var busy = jobs[1]
        busy.concurrency = [.host: .queue]
        let held = Mutex<(claim: RunClaim, process: PlayedProcess)?>(nil)
        let stage = LoopStage([jobs[0], busy], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            if key.job == JobName("b"), stage.launched.count < 3 {
                held.withLock { $0 = (claim, process) }
                return
            }
            try stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
            process.finish(.exited(0))
        }
        let told = Mutex<Set<String>>([])
        // A run by somebody else is under way in the group from the beginning.
        let hand = try stage.store.begin(
            RunKey(job: JobName("b"), scheduled: start), .manual, holder: RunHolder(host: "elsewhere", process: 1),
            lease: .seconds(1000), at: start)
        try stage.run(for: .seconds(400)) { stage, age in
            let firing = (try? stage.store.alerts(all: false)) ?? []
            told.withLock { $0.formUnion(firing.map(\.key)) }
            if age >= .seconds(250) {
                try? stage.store.complete(hand, RunCompletion(.succeeded), at: stage.clock.now())
            }
            if let (claim, process) = held.withLock({ $0.take() }) {
                try? stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
                process.finish(.exited(0))
            }
        }
        #expect(told.withLock { $0.contains("job/a/not-run") }, "\(told.withLock { $0 })")
        #expect(stage.launched.contains { $0.job == JobName("a") })
        #expect(try !stage.store.alerts(all: false).map(\.key).contains("job/a/not-run"))
    }
}
