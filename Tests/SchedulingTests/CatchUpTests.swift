// Missed runs: what is made up for, and what is recorded as not run.

import Primitives
import Scheduling
import Testing

@Suite("Missed runs")
struct CatchUpTests {
    private func plan(
        _ schedule: Schedule, last: String, now: String, _ which: CatchUpPolicy.Which, within: Duration,
        grace: Duration = .zero
    ) throws -> CatchUp {
        CatchUp(
            schedule, after: try Make.instant(last), now: try Make.instant(now), policy: .init(which, within: within),
            grace: grace)
    }

    private func texts(_ plan: CatchUp) -> (runs: [String], nonRuns: [String]) {
        (
            plan.runs.map(\.description),
            plan.nonRuns.map { "\($0.first) \($0.last) \($0.count.map(String.init) ?? "many") \($0.reason.rawValue)" }
        )
    }

    private let week: Duration = .seconds(7 * 86_400)

    @Test("none records all, once runs the newest, all runs each; what is not run says why")
    func policies() throws {
        let daily = try Make.calendar("*-*-* 02:00")
        func plan(_ which: CatchUpPolicy.Which) throws -> (runs: [String], nonRuns: [String]) {
            texts(try self.plan(daily, last: "2026-11-20T02:00:00Z", now: "2026-11-23T12:00:00Z", which, within: week))
        }
        #expect(try plan(.none).runs == [])
        #expect(try plan(.none).nonRuns == ["2026-11-21T02:00:00Z 2026-11-23T02:00:00Z 3 missed"])
        #expect(try plan(.once).runs == ["2026-11-23T02:00:00Z"])
        #expect(try plan(.once).nonRuns == ["2026-11-21T02:00:00Z 2026-11-22T02:00:00Z 2 caught-up"])
        #expect(
            try plan(.all).runs == ["2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"])
        #expect(try plan(.all).nonRuns == [])
    }

    @Test("what was due longer ago than the window is recorded, and what was due at its edge is run")
    func window() throws {
        let daily = try Make.calendar("*-*-* 02:00")
        let plan = texts(
            try plan(
                daily, last: "2026-11-01T02:00:00Z", now: "2026-11-23T02:00:00Z", .all, within: .seconds(2 * 86_400)))
        #expect(plan.runs == ["2026-11-21T02:00:00Z", "2026-11-22T02:00:00Z", "2026-11-23T02:00:00Z"])
        #expect(plan.nonRuns == ["2026-11-02T02:00:00Z 2026-11-20T02:00:00Z 19 too-long-ago"])
    }

    @Test("of more than a hundred the newest are run, and the others recorded as over the cap")
    func cap() throws {
        let plan = texts(
            try plan(
                Make.every("1m"), last: "2026-11-23T00:00:00Z", now: "2026-11-23T05:00:00Z", .all, within: week))
        #expect(plan.runs.count == CatchUp.maximumRuns)
        #expect(plan.runs.first == "2026-11-23T03:21:00Z" && plan.runs.last == "2026-11-23T05:00:00Z")
        #expect(plan.nonRuns == ["2026-11-23T00:01:00Z 2026-11-23T03:20:00Z 200 over-cap"])
    }

    @Test("more non-runs than are counted have no count, and still the right ends")
    func many() throws {
        let plan = texts(
            try plan(
                Make.every("1s"), last: "2026-11-01T00:00:00Z", now: "2026-11-23T05:00:00Z", .once, within: week))
        #expect(plan.runs == ["2026-11-23T05:00:00Z"])
        #expect(
            plan.nonRuns == [
                "2026-11-01T00:00:01Z 2026-11-16T04:59:59Z many too-long-ago",
                "2026-11-16T05:00:00Z 2026-11-23T04:59:59Z many caught-up",
            ])
    }

    @Test("what is just due is run whatever the policy, and makes up for what was missed before it")
    func due() throws {
        let hourly = try Make.every("1h")
        for which in CatchUpPolicy.Which.allCases {
            let plan = texts(
                try plan(
                    hourly, last: "2026-11-23T02:00:00Z", now: "2026-11-23T05:00:10Z", which, within: week,
                    grace: .seconds(60)))
            #expect(plan.runs.last == "2026-11-23T05:00:00Z")
            #expect(plan.runs.count == (which == .all ? 3 : 1), "\(which)")
            #expect(
                plan.nonRuns
                    == (which == .all
                        ? []
                        : [
                            "2026-11-23T03:00:00Z 2026-11-23T04:00:00Z 2 "
                                + (which == .none ? "missed" : "caught-up")
                        ]))
        }
    }

    @Test("a clock that was put back, or no time at all, gives nothing")
    func back() throws {
        let plan = try plan(
            Make.every("1h"), last: "2026-11-23T02:00:00Z", now: "2026-11-22T05:00:10Z", .all, within: week)
        #expect(plan.runs.isEmpty && plan.nonRuns.isEmpty)
    }

    @Test("every missed instant is either run or recorded, once")
    func complete() throws {
        let schedule = try Make.calendar("*:0/10 Europe/London")
        let now = try Make.instant("2026-10-26T00:00:00Z")
        for hours in [1, 5, 23, 40] {
            for within in [0, 3, 24, 100] {
                for which in CatchUpPolicy.Which.allCases {
                    let last = Timestamp(seconds: now.seconds - Int64(hours) * 3600)
                    let plan = CatchUp(
                        schedule, after: last, now: now,
                        policy: .init(which, within: .seconds(Int64(within) * 3600)))
                    let missed = schedule.occurrences(after: last, through: now, limit: 1000).count
                    #expect(plan.runs.count + plan.nonRuns.compactMap(\.count).reduce(0, +) == missed)
                    #expect(plan.runs == plan.runs.sorted())
                    #expect(
                        plan.runs.allSatisfy { run in !plan.nonRuns.contains { $0.first <= run && run <= $0.last } })
                }
            }
        }
    }
}
