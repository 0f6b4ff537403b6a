// Every zone's changes of the clocks, against a clock that is walked minute by minute.

import Foundation
import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("Every zone")
struct ZonePropertyTests {
    private struct Sample: Sendable {
        let text: String
        /// Whether a wall time, in minutes of the day, is named.
        let names: @Sendable (Int64) -> Bool

        static let all = [
            Sample(text: "*-*-* 02:30") { $0 == 150 },
            Sample(text: "*-*-* 00:00") { $0 == 0 },
            Sample(text: "*-*-* 00/2:15") { $0 % 120 == 15 },
            Sample(text: "*-*-* 01..03:0/10") { (60..<240).contains($0) && $0 % 10 == 0 },
            Sample(text: "*:00") { $0 % 60 == 0 },
            Sample(text: "*:10/20") { $0 % 20 == 10 },
        ]
    }

    /// The clock on the wall in minutes, minute by minute.
    private func walk(_ rules: TimeZoneRules, from: Int64, to: Int64) -> [(instant: Int64, wall: Int64)] {
        stride(from: from, to: to, by: 60).map { instant in
            (instant, (instant + rules.offset(at: Timestamp(seconds: instant))) / 60)
        }
    }

    /// Instants of a fixed-time schedule: whenever the clock comes past a named wall time that it has not shown before.
    private func fixed(_ sample: Sample, _ walk: [(instant: Int64, wall: Int64)], from: Int64) -> [Int64] {
        var found: [Int64] = []
        var shown = walk[0].wall - 1
        for (instant, wall) in walk where wall > shown {
            if (shown + 1...wall).contains(where: { sample.names($0 % 1440) }), instant >= from {
                found.append(instant)
            }
            shown = wall
        }
        return found
    }

    private func wildcard(_ sample: Sample, _ walk: [(instant: Int64, wall: Int64)], from: Int64) -> [Int64] {
        walk.filter { $0.instant >= from && sample.names($0.wall % 1440) }.map(\.instant)
    }

    @Test("instants around each change are those of a clock that is watched, without hole and without double")
    func walked() throws {
        #expect(Zones.changing.count > 40)
        for zone in Zones.changing {
            for change in zone.changes {
                let (from, to) = (change - 13 * 3600, change + 13 * 3600)
                let walk = walk(zone.rules, from: from - 4 * 3600, to: to)
                for sample in Sample.all {
                    let expression = try CalendarExpression(sample.text)
                    let schedule = Schedule(
                        text: sample.text, rule: .calendar(expression.fields), zone: zone.rules)
                    let found = schedule.occurrences(
                        after: Timestamp(seconds: from - 1), through: Timestamp(seconds: to - 1), limit: 10_000)
                    let instants = found.filter { $0.mark != .added }.map(\.instant.seconds)
                    let isWildcard = expression.fields.isWildcard
                    let due = isWildcard ? wildcard(sample, walk, from: from) : fixed(sample, walk, from: from)
                    #expect(instants == due, "\(sample.text) in \(zone.rules.name) around \(change)")
                    let all = found.map(\.instant.seconds)
                    let gaps = zip(all, all.dropFirst()).map { $1 - $0 }
                    #expect(gaps.allSatisfy { $0 > 0 })
                    if isWildcard {
                        #expect(
                            gaps.allSatisfy { $0 <= (sample.text == "*:00" ? 3600 : 1200) },
                            "a hole: \(sample.text) in \(zone.rules.name) around \(change)")
                    }
                }
            }
        }
    }

    @Test("the next instant is the same from wherever it is asked")
    func stable() throws {
        for name in ["Australia/Lord_Howe", "Europe/London", "America/New_York", "Africa/Casablanca", "Asia/Gaza"] {
            let rules = try TimeZoneRules(named: name)
            let start = Timestamp.days(2026, 1, 1) * 86_400
            for sample in Sample.all {
                let schedule = Schedule(
                    text: sample.text, rule: .calendar(try CalendarExpression(sample.text).fields), zone: rules)
                for change in Zones.changes(rules, from: start, to: start + 365 * 86_400).prefix(2) {
                    var due = schedule.next(after: Timestamp(seconds: change - 7200))
                    for instant in stride(from: change - 7200, to: change + 7200, by: 97) {
                        let now = Timestamp(seconds: instant)
                        while let past = due, past.instant <= now { due = schedule.next(after: past.instant) }
                        #expect(schedule.next(after: now) == due, "\(sample.text) in \(name) at \(now)")
                    }
                }
            }
        }
    }

    @Test("a database that was replaced counts from then on, also within one process")
    func replaced() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/Zone"
        let instant = Timestamp(seconds: 1_700_000_000)
        func put(_ zone: String) throws {
            let bytes = try Data(contentsOf: URL(filePath: "\(TimeZoneRules.databaseDirectory)/\(zone)"))
            try bytes.write(to: URL(filePath: path), options: .atomic)
        }
        try put("Asia/Kolkata")
        for _ in 0..<2 {
            #expect(try TimeZoneRules(named: "Zone", in: directory.path).offset(at: instant) == 19_800)
        }
        try put("Asia/Tokyo")
        #expect(try TimeZoneRules(named: "Zone", in: directory.path).offset(at: instant) == 32_400)
        try FileManager.default.removeItem(atPath: path)
        #expect(throws: HoldfastError.self) { try TimeZoneRules(named: "Zone", in: directory.path) }
    }
}
