// Stretches of time in which jobs may start, or may not.

import Primitives

/// A stretch of time on the clock of a zone: one that comes again on some days of the week, or one between two dates.
package struct Span: Sendable, Hashable {
    enum Kind: Sendable, Hashable {
        /// Bit 0 is Monday, the day on which it begins. Seconds of the day; an end that is not after the start is on
        /// the next day.
        case weekly(days: UInt8, from: Int64, to: Int64)
        /// Wall times; the end is not in it.
        case once(from: Int64, to: Int64)
    }

    /// How it was written.
    package let text: String
    let kind: Kind

    /// Reads `[WEEKDAYS] HOUR:MINUTE-HOUR:MINUTE`, such as `Mon..Fri 22:00-06:00`, or `DATE[ HOUR:MINUTE]..DATE[
    /// HOUR:MINUTE]`, such as `2026-12-24..2026-12-26`, of which an end without a time is the end of that day.
    ///
    /// - Throws: `.configuration`, saying what cannot be read.
    package init(_ text: String) throws(HoldfastError) {
        self.text = text
        do throws(HoldfastError) {
            // A year and a hyphen; times have a colon there.
            let isDated = text.first?.isNumber == true && text.utf8.dropFirst(4).first == UInt8(ascii: "-")
            kind = try isDated ? Self.dates(text) : Self.week(text)
        } catch {
            throw ScheduleText.inText(error, text)
        }
    }

    /// Whether `wall` is in it.
    func contains(_ wall: Int64) -> Bool {
        switch kind {
        case .once(let from, let to): return wall >= from && wall < to
        case .weekly(let days, let from, let to):
            let day = wall.floorDivided(by: 86_400)
            let second = wall - day * 86_400
            func isNamed(_ day: Int64) -> Bool { days >> UInt8((day + 3) - (day + 3).floorDivided(by: 7) * 7) & 1 == 1 }
            if to > from { return second >= from && second < to && isNamed(day) }
            return second >= from && isNamed(day) || second < to && isNamed(day - 1)
        }
    }

    /// The first wall time after `wall` at which it begins or ends; nil when it is over.
    func boundary(after wall: Int64) -> Int64? {
        switch kind {
        case .once(let from, let to): return wall < from ? from : wall < to ? to : nil
        case .weekly(_, let from, let to):
            let day = wall.floorDivided(by: 86_400) * 86_400
            return [day + from, day + to, day + 86_400 + min(from, to)].filter { $0 > wall }.min()
        }
    }

    // MARK: Reading

    private static func week(_ text: String) throws(HoldfastError) -> Kind {
        let words = text.split(separator: " ")
        guard let last = words.last, words.count <= 2, last.contains(":") else {
            throw ScheduleText.refused("write FROM-TO, as in 22:00-06:00, with weekdays before it if wanted")
        }
        var days = CalendarFields.everyWeekday
        if words.count == 2 { days = try CalendarExpression(String(words[0])).fields.weekdays }
        let ends = last.split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2 else { throw ScheduleText.refused("`\(last)` is no FROM-TO, as in 22:00-06:00") }
        let (from, to) = (try time(ends[0]), try time(ends[1]))
        guard from < 86_400 else { throw ScheduleText.refused("a day begins at 00:00, not at 24:00") }
        return .weekly(days: days, from: from, to: to)
    }

    private static func dates(_ text: String) throws(HoldfastError) -> Kind {
        guard let dots = text.firstRange(of: "..") else { throw ScheduleText.refused("two dates are needed") }
        let from = try wall(text[..<dots.lowerBound], isEnd: false)
        let to = try wall(text[dots.upperBound...], isEnd: true)
        guard from < to else { throw ScheduleText.refused("it ends before it begins") }
        return .once(from: from, to: to)
    }

    private static func wall(_ text: Substring, isEnd: Bool) throws(HoldfastError) -> Int64 {
        let words = text.split(separator: " ")
        guard let date = words.first, words.count <= 2, date.utf8.count == 10,
            let midnight = Timestamp(text: String(date))
        else {
            throw ScheduleText.refused("`\(text)` is no date such as 2026-12-24, with a time such as 18:00 if wanted")
        }
        if words.count == 2 { return midnight.seconds + (try time(words[1])) }
        return midnight.seconds + (isEnd ? 86_400 : 0)
    }

    /// Seconds of the day; 24:00 is the end of it.
    private static func time(_ text: Substring) throws(HoldfastError) -> Int64 {
        if text == "24:00" { return 86_400 }
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ (1...2).contains($0.utf8.count) }) else {
            throw ScheduleText.refused("`\(text)` is no time such as 22:00")
        }
        return try FieldKind.hour.number(parts[0]) * 3600 + FieldKind.minute.number(parts[1]) * 60
    }
}

/// When runs of a job may start.
package struct Opening: Sendable {
    package let windows: [Span]
    package let blackouts: [Span]
    package let zone: TimeZoneRules
    /// Beginnings and ends that are looked at for the next opening: a year of three a day.
    private static let maximumBoundaries = 1100

    package init(windows: [Span], blackouts: [Span], zone: TimeZoneRules) {
        self.windows = windows
        self.blackouts = blackouts
        self.zone = zone
    }

    package init(_ job: Job) {
        self.init(windows: job.windows, blackouts: job.blackouts, zone: job.schedule.zone)
    }

    /// Why a run may not start at `instant`; nil when it may.
    package func refusal(at instant: Timestamp) -> NonRun.Reason? {
        let wall = instant.seconds + zone.offset(at: instant)
        if blackouts.contains(where: { $0.contains(wall) }) { return .blackout }
        return windows.isEmpty || windows.contains { $0.contains(wall) } ? nil : .outsideWindow
    }

    /// The first instant from `instant` on at which a run may start; nil when there is none within about a year.
    package func next(from instant: Timestamp) -> Timestamp? {
        var seconds = instant.seconds
        for _ in 0..<Self.maximumBoundaries {
            if refusal(at: Timestamp(seconds: seconds)) == nil { return max(instant, Timestamp(seconds: seconds)) }
            let segment = zone.segment(at: seconds)
            let walls = (windows + blackouts).compactMap { $0.boundary(after: seconds + segment.offset) }
            // A change of the clocks can open or close as well.
            let nexts = walls.map { $0 - segment.offset } + [segment.end].compactMap { $0 }
            guard let next = nexts.min() else { return nil }
            seconds = min(next, segment.end ?? next)
        }
        return nil
    }
}
