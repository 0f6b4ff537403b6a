// Runs that go on for longer than they should.

import ControlPlane
import Primitives
import Scheduling
import State
import StateSupport
import Testing

@Suite("A run without end")
struct OverlongRunTests {
    /// A full hour.
    private let start = Timestamp(seconds: 1_800_000_000)

    private func isOverlong(
        after seconds: Int64, known: [Int64] = [], every interval: Int64 = 3600, isHeld: Bool = true,
        _ change: (inout Job) -> Void = { _ in }
    ) -> Bool {
        let job = everyJob("a", interval, change)
        let run = ActiveRun(
            key: RunKey(job: job.name, scheduled: start), trigger: .schedule,
            phase: .running(RunHolder(host: "h", process: 1), fence: 1), attempt: 1, began: start, isHeld: isHeld)
        let lines = known.enumerated().map { index, length in
            let began = start + .seconds(-Int64(index + 1) * interval)
            return RunRecord(
                key: RunKey(job: job.name, scheduled: began), trigger: .schedule, state: .ended(.succeeded),
                attempt: 1, fence: 1, host: "h", began: began, ended: began + .seconds(length), code: nil, message: nil)
        }
        return OverlongRun(run, of: job, lines, at: start + .seconds(seconds)) != nil
    }

    @Test("is one of more than twice the longest that is known, when the next is due or a day has gone by")
    func rule() {
        #expect(!isOverlong(after: 3599, known: [60, 400]))
        #expect(isOverlong(after: 3600, known: [60, 400]))
        #expect(!isOverlong(after: 6000, known: [60, 3000]) && isOverlong(after: 6001, known: [3000, 60]))
        // Neither the first backup of everything nor a clock that was set says how long runs are.
        let many = [Int64](repeating: 60, count: 9)
        #expect(
            isOverlong(after: 3600, known: many + [72_000]) && !isOverlong(after: 7200, known: [3600] + many.prefix(8)))
        #expect(isOverlong(after: 3600, known: [60, 365 * 86_400]))
        #expect(!isOverlong(after: 7200, known: [60]) { $0.expectedDuration = .seconds(3600) })
        #expect(isOverlong(after: 7201, known: [60]) { $0.expectedDuration = .seconds(3600) })
        // What is over within minutes holds nobody up.
        #expect(!isOverlong(after: 600, known: [1], every: 60) && isOverlong(after: 601, known: [1], every: 60))
        // A first run may take long.
        #expect(!isOverlong(after: 86_400) && isOverlong(after: 86_401))
        #expect(!isOverlong(after: 86_400, known: [60], every: 604_800))
        #expect(isOverlong(after: 86_401, known: [60], every: 604_800))
        #expect(!isOverlong(after: 86_401, isHeld: false), "that one is found dead")
    }

    @Test("fires an alert of its own until it ends, and is none that did not take place")
    func alert() throws {
        let store = MemoryRunStore(clock: RunStoreClock(boot: "one") { .seconds(1) })
        let jobs = [everyJob("a", 60)]
        _ = try store.memories(of: [jobs[0].name], at: start)
        let before = try store.begin(
            RunKey(job: jobs[0].name, scheduled: start), .schedule, holder: RunHolder(host: "h", process: 1),
            lease: .seconds(60), at: start)
        try store.complete(before, RunCompletion(.succeeded), at: start + .seconds(30))
        let claim = try store.begin(
            RunKey(job: jobs[0].name, scheduled: start + .seconds(60)), .schedule,
            holder: RunHolder(host: "h", process: 1), lease: .seconds(60), at: start + .seconds(60))
        let later = start + .seconds(100_000)
        for second in [120, 180, 240] as [Int64] {
            let due = start + .seconds(second)
            try store.record(
                [NonRun(first: due, last: due, count: 1, reason: .overlap)], of: jobs[0].name, .schedule, at: later)
            try StarvedAlerts.tell(jobs[0], in: store, host: "h", at: later)
        }
        try OverlongAlerts.tell(jobs, in: store, at: later)
        #expect(try store.alerts(all: false).map(\.key) == ["job/a/overlong"])
        try OverlongAlerts.tell(jobs, in: store, at: later + .seconds(60))
        #expect(try store.alerts(all: false).map(\.changed) == [later], "it is the same for as long as it lasts")
        // Runs that are left out meanwhile, and who knows other jobs, change nothing.
        let left = (300..<550).map { number in
            let due = start + .seconds(Int64(number) * 60)
            return NonRun(first: due, last: due, count: 1, reason: .overlap)
        }
        try store.record(left, of: jobs[0].name, .schedule, at: later)
        #expect(try OverlongAlerts.tell(jobs, in: store, at: later + .seconds(60)).map(\.job) == [jobs[0].name])
        #expect(try OverlongAlerts.tell([], in: store, at: later + .seconds(60)).isEmpty)
        #expect(try store.alerts(all: false).map(\.key) == ["job/a/overlong"])
        try store.complete(claim, RunCompletion(.succeeded), at: later + .seconds(60))
        #expect(try store.alerts(all: false).isEmpty)
    }
}
