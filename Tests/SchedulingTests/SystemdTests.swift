// Calendar expressions against systemd-analyze, another reader of the same notation.

import Foundation
import Primitives
import Scheduling
import TestSupport
import Testing

/// `systemd-analyze calendar`.
enum SystemdCalendar {
    /// The next instants of each expression, by the machine's clock set to UTC.
    static func next(_ expressions: [String], count: Int, after base: Int64) throws -> [String: [Int64]] {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/systemd-analyze")
        process.arguments =
            ["calendar", "--iterations=\(count)", "--base-time=@\(base)"] + expressions
        process.environment = ["TZ": "UTC", "LC_ALL": "C", "PATH": "/usr/bin:/bin", "SYSTEMD_COLORS": "0"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        try process.run()
        let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        var found: [String: [Int64]] = [:]
        var text = ""
        var original: String?
        for line in output.split(separator: "\n") {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let key = line[..<colon].trimmingCharacters(in: .whitespaces)
            let value = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
            if key == "Original form" { original = value }
            if key == "Normalized form" {
                // Expressions that are in the normal form already have no original one.
                text = original ?? value
                original = nil
                found[text] = []
            }
            guard key == "Next elapse" || key.hasPrefix("Iter.") else { continue }
            // "Fri 2026-01-02 00:00:00 UTC", or "never".
            let words = value.split(separator: " ")
            guard words.count == 4, let instant = Timestamp(text: "\(words[1])T\(words[2])Z") else { continue }
            found[text, default: []].append(instant.seconds)
        }
        return found
    }
}

@Suite("systemd's calendars")
struct SystemdTests {
    /// Expressions out of the grammar.
    private func expressions(_ count: Int, seed: UInt64) -> [String] {
        let entropy = SeededEntropy(seed: seed)
        func pick<T>(_ items: [T]) -> T { items[Int(entropy.next() % UInt64(items.count))] }
        func number(_ range: ClosedRange<UInt64>) -> UInt64 {
            range.lowerBound + entropy.next() % (range.upperBound - range.lowerBound + 1)
        }
        func component(_ range: ClosedRange<UInt64>) -> String {
            let (one, other) = (number(range), number(range))
            let (low, high) = (min(one, other), max(one, other))
            switch number(0...6) {
            case 0: return "\(one)"
            case 1: return "\(low)..\(high)"
            case 2 where low + 2 <= range.upperBound: return "\(low)/2"
            case 3 where low + 3 <= high: return "\(low)..\(high)/3"
            case 4: return "\(one),\(other)"
            default: return "*"
            }
        }
        return (0..<count).map { _ in
            var words: [String] = []
            if number(0...2) == 0 { words.append(pick(["Mon", "Tue..Thu", "sat,sun", "Friday,Mon..Tue", "Sun"])) }
            if number(0...1) == 0 {
                let day = number(0...3) == 0 ? "~\(pick(["1", "3", "1..4", "07/1", "2,5"]))" : "-" + component(1...31)
                words.append("\(pick(["*-", "*-", "2026..2031-", ""]))\(component(1...12))\(day)")
            }
            if words.isEmpty || number(0...1) == 0 {
                let second = number(0...2) == 0 ? ":\(component(0...59))" : ""
                words.append("\(component(0...23)):\(component(0...59))\(second)")
            }
            return words.joined(separator: " ")
        }
    }

    @Test("expressions out of the grammar have the instants that systemd gives them in UTC", arguments: [1, 2, 3])
    func grammar(_ seed: UInt64) throws {
        let base = Timestamp.days(2026, 2, 14) * 86_400 + 12_345
        let expressions = Array(Set(expressions(150, seed: seed))).sorted()
        let theirs = try SystemdCalendar.next(expressions, count: 8, after: base)
        #expect(theirs.count == expressions.count)
        for text in expressions {
            let ours = try Make.calendar(text).occurrences(
                after: Timestamp(seconds: base), through: Timestamp(nanoseconds: .max), limit: 8)
            #expect(ours.map(\.instant.seconds) == theirs[text], "seed \(seed): \(text)")
        }
    }

    @Test("in every zone systemd agrees at each instant that is more than a day from a change of the clocks")
    func zones() throws {
        // Zones whose clocks change at the same time are asked together.
        var batches: [Int64: [Zones.Changing]] = [:]
        for zone in Zones.changing {
            for change in zone.changes where change >= Timestamp.days(2026, 6, 1) * 86_400 {
                batches[change.floorDivided(by: 86_400), default: []].append(zone)
            }
        }
        var differences: Set<Occurrence.Mark> = []
        for (day, zones) in batches.sorted(by: { $0.key < $1.key }) {
            let base = (day - 2) * 86_400
            let texts = zones.flatMap { zone in
                ["*-*-* 01..02/1:30 \(zone.rules.name)", "*-*-* 00/6:00 \(zone.rules.name)"]
            }
            let theirs = try SystemdCalendar.next(texts, count: 18, after: base)
            for zone in zones {
                for text in texts where text.hasSuffix(" \(zone.rules.name)") {
                    guard let instants = theirs[text] else {
                        // systemd 252 gives up on some expressions where a midnight does not exist.
                        #expect(zone.changes.contains { lacksMidnight(zone.rules, $0) }, "\(text)")
                        continue
                    }
                    let found = Set(instants)
                    let end = try #require(found.max())
                    let ours = try Make.calendar(text).occurrences(
                        after: Timestamp(seconds: base), through: Timestamp(seconds: end), limit: 100)
                    for occurrence in ours where !found.contains(occurrence.instant.seconds) {
                        #expect(isNear(occurrence.instant.seconds, zone), "\(text): only ours: \(occurrence)")
                        differences.insert(occurrence.mark)
                    }
                    for instant in found.subtracting(ours.map(\.instant.seconds)) {
                        #expect(isNear(instant, zone), "\(text): only theirs: \(Timestamp(seconds: instant))")
                    }
                }
            }
        }
        #expect(differences.contains(.moved))
    }

    private func isNear(_ instant: Int64, _ zone: Zones.Changing) -> Bool {
        zone.changes.contains { abs($0 - instant) <= 86_400 }
    }

    private func lacksMidnight(_ rules: TimeZoneRules, _ change: Int64) -> Bool {
        let before = change - 1 + rules.segment(at: change - 1).offset
        return (before + 1).floorDivided(by: 86_400) * 86_400 >= before + 1
            && rules.segment(at: change).offset > rules.segment(at: change - 1).offset
    }

    /// Reviewed: each is a run that systemd loses, and nothing that it has is missing here.
    @Test(
        "within a day of a change the differences are these",
        arguments: [
            ("*-*-* 01:30 Europe/London", "2026-03-27T00:00:00Z", 5, ["2026-03-29T01:00:00Z moved"]),
            ("*-*-* 01:30 Europe/London", "2026-10-23T00:00:00Z", 5, []),
            ("*-*-* 02:30 America/New_York", "2026-03-06T00:00:00Z", 5, ["2026-03-08T07:00:00Z moved"]),
            ("*-*-* 02:30 America/New_York", "2026-10-30T00:00:00Z", 5, []),
            ("*-*-* *:00 America/New_York", "2026-11-01T03:30:00Z", 6, ["2026-11-01T06:00:00Z second-of-two"]),
            ("*-*-* *:00 America/New_York", "2026-03-08T03:30:00Z", 6, []),
            ("*-*-* 00:00 Africa/Cairo", "2026-04-22T00:00:00Z", 5, ["2026-04-23T22:00:00Z moved"]),
            (
                "*-*-* *:00 Australia/Lord_Howe", "2026-04-04T12:30:00Z", 5, ["2026-04-04T15:00:00Z added"]
            ),
            ("*-*-* *:00 Australia/Lord_Howe", "2026-10-03T12:30:00Z", 5, ["2026-10-03T15:30:00Z added"]),
        ])
    func differences(_ text: String, _ base: String, _ count: Int, _ expected: [String]) throws {
        let start = try Make.instant(base)
        let theirs = try #require(try SystemdCalendar.next([text], count: count, after: start.seconds)[text])
        let ours = try Make.calendar(text).occurrences(
            after: start, through: Timestamp(seconds: try #require(theirs.max())), limit: 100)
        let onlyOurs = ours.filter { !theirs.contains($0.instant.seconds) }
        #expect(onlyOurs.map { "\($0.instant) \($0.mark.rawValue)" } == expected)
        #expect(
            Set(theirs).subtracting(ours.map(\.instant.seconds)).isEmpty, "\(theirs.map { Timestamp(seconds: $0) })")
    }
}
