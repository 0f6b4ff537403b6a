// The numbers of a report, each recomputed here from the raw records.

import Compliance
import Primitives
import Repository
import TestSupport
import Testing

@Suite("The figures of a report")
struct ReportFigureTests {
    private let story: Story

    init() throws { story = try Story() }

    @Test("are counts of the lines of the ledger, each once, and of the period alone")
    func populations() throws {
        let reasons = ["missed", "too-long-ago", "caught-up", "blackout", "paused", "overlap", "a-new-word"]
        let outcomes = ["succeeded", "failed", "partial", "check-failed", "died", "succeeded", "timed-out"]
        for day in Int64(0)..<14 {
            var lines = [
                Story.run("nightly", Story.at(day, 1), outcomes[Int(day) % 7], late: day == 3 ? 700 : 5),
                Story.absent(
                    "hourly", Story.at(day, 2), reasons[Int(day) % 7], count: day == 8 ? nil : UInt64(day + 1)),
            ]
            if day == 5 { lines.append(Story.run("nightly", Story.at(day, 9), trigger: "manual")) }
            try story.seal(day, lines)
            // The same segment again, as a crash leaves it.
            if day == 6 { try story.seal(day, lines) }
            try story.declare(
                day, [Story.source("app")], jobs: [Story.job("nightly", ["app"], due: day == 9 ? nil : 2)])
        }
        let report = try story.report(2, 12).report
        var seen: Set<String> = []
        var expected: [String: [String: Int64]] = [:]
        for record in story.records where record.kind == .runs {
            for run in record.runs where run.due >= Story.at(2) && run.due < Story.at(12) {
                guard seen.insert("\(run.job) \(run.due) \(run.reason)").inserted else { continue }
                let word = run.outcome + run.reason
                expected[run.job, default: [:]][word, default: 0] +=
                    run.outcome.isEmpty ? run.count.map { Int64($0) } ?? 10_001 : 1
            }
        }
        for job in report.jobs {
            #expect(Dictionary(uniqueKeysWithValues: job.outcomes.map { ($0.name, $0.count) }) == expected[job.job])
        }
        let nightly = try #require(report.jobs.first { $0.job == "nightly" }).population
        let hourly = try #require(report.jobs.first { $0.job == "hourly" }).population
        func sum(_ job: String, _ words: [String]) -> Int64 { words.reduce(0) { $0 + (expected[job]?[$1] ?? 0) } }
        #expect(nightly.done == sum("nightly", ["succeeded"]) && nightly.partial == sum("nightly", ["partial"]))
        #expect(nightly.failed == sum("nightly", ["failed", "check-failed", "died", "timed-out"]))
        #expect(hourly.missed == sum("hourly", ["missed", "too-long-ago", "overlap", "a-new-word"]))
        #expect(hourly.madeUp == sum("hourly", ["caught-up"]))
        #expect(hourly.excused == sum("hourly", ["blackout", "paused"]))
        #expect(nightly.late == 1 && nightly.manual == 1)
        // Ten days, of which one has a schedule that was new.
        #expect(nightly.expected == 18 && nightly.unknownStretches == 1)
        #expect(nightly.unaccounted == 18 - nightly.recorded)
        #expect(report.totals.recorded == nightly.recorded + hourly.recorded)
        #expect(report.has("unaccounted-runs/nightly") && report.has("missed-runs/hourly"))
        #expect(report.coverage.gaps.isEmpty && report.coverage.segments == 11)
    }

    @Test("tell the worst exposure, the share within the objective, and each objective for its own time")
    func exposure() throws {
        // Points at one each day but the fifth; the objective is tightened for the last five days.
        for day in Int64(0)..<12 {
            let rpo: Duration = day < 7 ? .seconds(26 * 3600) : .seconds(20 * 3600)
            if day == 5 {
                try story.seal(day, [Story.run("nightly", Story.at(day, 1), "failed")])
                try story.declare(day, [Story.source("app", rpo: rpo)], jobs: [Story.job("nightly", ["app"])])
            } else {
                try story.quietDay(day, [Story.source("app", rpo: rpo)])
            }
        }
        let row = try #require(try story.report(2, 12).report.source("app"))
        // By steps of a minute, with nothing but the raw points.
        let points = story.records.flatMap(\.points)
        var (worst, within, steps) = (Int64(0), Int64(0), Int64(0))
        for minute in stride(from: Story.at(2).seconds, to: Story.at(12).seconds, by: 60) {
            let newest = points.filter { $0.durableAt.seconds <= minute }.map(\.consistentAsOf.seconds).max() ?? 0
            worst = max(worst, minute + 60 - newest)
            within += minute - newest < (minute < Story.at(7).seconds ? 26 * 3600 : 20 * 3600) ? 1 : 0
            steps += 1
        }
        #expect(row.rpo?.worstSeconds == worst)
        #expect(row.rpo?.withinMillionths == within * 1_000_000 / steps)
        #expect(row.rpo?.isMet == false && row.objectives.map(\.rpoSeconds) == [26 * 3600, 20 * 3600])
        #expect(row.objectives.last?.from == Story.at(7).description)
        #expect(row.points == 9 && row.isPlanned && row.jobs == ["nightly"])
        #expect(row.newestPoint == Story.at(11, 1).description)
        let report = try story.report(2, 12).report
        #expect(report.has("rpo/app") && report.has("objective/app") && report.has("failed-runs/nightly"))
        // Within the days in which all went well, nothing is wrong.
        #expect(try story.report(1, 5).report.source("app")?.rpo?.isMet == true)
    }

    @Test("are of the month before by themselves, across the end of a year and in leap years")
    func months() throws {
        for (now, from, to) in [
            ("2026-01-31", "2025-12-01", "2026-01-01"), ("2028-03-01", "2028-02-01", "2028-03-01"),
            ("2028-03-31", "2028-02-01", "2028-03-01"), ("2027-03-15", "2027-02-01", "2027-03-01"),
        ] {
            let period = try ReportPeriod.monthBefore(try #require(Timestamp(text: now)))
            #expect(period.from == Timestamp(text: from) && period.to == Timestamp(text: to))
        }
        #expect(throws: HoldfastError.self) { try ReportPeriod(from: Story.at(1), to: Story.at(1)) }
        #expect(throws: HoldfastError.self) { try ReportPeriod(from: Story.at(0), to: Story.at(9000)) }
    }

    @Test("know a source that came and one that went by the inventories")
    func cameAndWent() throws {
        let (old, new) = (Story.source("old"), Story.source("new"))
        for day in Int64(0)..<10 {
            try story.quietDay(day, day < 4 ? [old] : day < 6 ? [old, new] : [new])
        }
        let report = try story.report(1, 10).report
        let (came, went) = (try #require(report.source("new")), try #require(report.source("old")))
        #expect(came.added == Story.at(5).description && came.retired == nil)
        #expect(went.retired == Story.at(6).description && went.added == nil)
        // From its first point, not from before it was there.
        #expect(came.rpo?.from == Story.at(4, 1.25).description && came.rpo?.isMet == true)
        #expect(went.rpo?.to == Story.at(6).description && went.rpo?.isMet == true)
        // A source that never gets a point is exposed without end from when it is known.
        let other = try Story()
        try other.quietDay(0, [old])
        try other.declare(1, [old, new], jobs: [Story.job("nightly", ["old"])])
        try other.declare(2, [old, new], jobs: [Story.job("nightly", ["old"])])
        let never = try other.report(0, 3).report
        #expect(never.source("new")?.rpo?.isMet == false && never.source("new")?.rpo?.worstSeconds == nil)
        #expect(never.has("no-point/new") && never.has("unplanned/new") && !never.has("unplanned/old"))
        #expect(never.control("CP-9")?.needs.first { $0.need == "inventory" }?.status == .partial)
    }

    @Test("tell of time that no ledger covers, and of a period without any inventory")
    func coverage() throws {
        try story.quietDay(0, [Story.source("app")])
        try story.quietDay(3, [Story.source("app")])
        let report = try story.report(0, 5).report
        #expect(report.coverage.gaps.map(\.from) == [Story.at(1).description, Story.at(4).description])
        #expect(report.has("coverage/\(Story.at(1))"))
        #expect(report.control("CP-9")?.needs.first { $0.need == "coverage" }?.status == .partial)
        let empty = try story.report(20, 30).report
        #expect(
            empty.has("inventory")
                && empty.controls.allSatisfy {
                    $0.control == "CP-9(8)" || $0.status == .noEvidence
                        || $0.needs.contains { $0.need == "follow-up" || $0.need == "encryption" }
                })
    }

    @Test("show growth as a line with what it is worth, and points that stand out of the thirty days before")
    func trends() throws {
        for day in Int64(0)..<40 {
            let at = Story.at(day, 1)
            let bytes = day == 35 ? UInt64(50 << 20) : UInt64(10 << 20) + UInt64(day) * 100_000
            try story.seal(day, [Story.run("nightly", at)])
            try story.declare(
                day, [Story.source("app")], jobs: [Story.job("nightly", ["app"])],
                points: [
                    Story.point(
                        "app", UInt64(day + 1), asOf: at, durable: at, bytes: bytes, new: 2 << 20,
                        stored: day == 36 ? 2 << 20 : 1 << 20)
                ])
        }
        let early = try #require(try story.report(0, 35).report.trends.first)
        #expect(early.growth?.bytesPerDay == 100_000 && early.growth?.confidence == "high" && early.anomalies.isEmpty)
        #expect(early.growth?.forecastBytes == Int64(10 << 20) + 124 * 100_000)
        #expect(early.growth?.lowBytes == early.growth?.highBytes && early.growth?.rSquaredThousandths == 1000)
        #expect(early.months.map(\.points) == [31, 4])
        let late = try #require(try story.report(0, 40).report.trends.first)
        #expect(late.anomalies.map(\.kind) == ["size", "compressibility"])
        #expect(late.anomalies.first?.at == Story.at(35, 1).description && late.anomalies.first?.value == 50 << 20)
    }
}
