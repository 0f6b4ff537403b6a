// When a job is due: instants in UTC out of wall times and a zone, also where the clocks change.

import Primitives

/// An instant at which a job is due.
package struct Occurrence: Sendable, Hashable {
    /// How a change of the clocks had a part in it.
    package enum Mark: String, Sendable {
        case plain
        /// The wall time does not exist on this day; this is the first instant after the gap.
        case moved
        /// The wall time comes twice; this is the first.
        case firstOfTwo = "first-of-two"
        /// The wall time comes twice; this is the second, which only wildcard schedules have.
        case secondOfTwo = "second-of-two"
        /// By the clock as it went before the change, so that there is no hole; only wildcard schedules have it.
        case added
    }

    package var instant: Timestamp
    package var mark: Mark

    package init(_ seconds: Int64, _ mark: Mark) {
        instant = Timestamp(seconds: seconds)
        self.mark = mark
    }
}

/// A rule and the zone in which it is read. A pure value: the same schedule always has the same instants.
///
/// Of three kinds:
/// - An *interval* (`every`) names the multiples of its length since 1970-01-01T00:00:00Z.
/// - A *wildcard* schedule names every hour of the day (``CalendarFields/isWildcard``). It follows elapsed time: wall
///   times that come twice count twice, and those in a gap go by the clock as it went before. Where a change is not by
///   whole hours, the last run due by the old clock within an hour is kept, so that there is no hole.
/// - Every other one is a *fixed-time* schedule. A wall time w is due at the first instant at which the local clock
///   shows w or later: once where it comes twice, and right after the gap where it does not exist.
package struct Schedule: Sendable {
    package enum Rule: Sendable, Hashable {
        case calendar(CalendarFields)
        /// Seconds, above 0.
        case every(Int64)
    }

    /// How it was written, for people.
    package let text: String
    package let rule: Rule
    package let zone: TimeZoneRules

    package init(text: String, rule: Rule, zone: TimeZoneRules) {
        if case .every(let interval) = rule { precondition(interval > 0, "an interval is above 0") }
        self.text = text
        self.rule = rule
        self.zone = zone
    }

    /// The first occurrence after `instant`; nil when there is none.
    ///
    /// It takes about a microsecond, however far away the occurrence is.
    package func next(after instant: Timestamp) -> Occurrence? {
        // Occurrences are at whole seconds, so what is after the second is after the instant.
        let seconds = instant.seconds
        switch rule {
        case .every(let interval):
            let (next, overflow) = (seconds.floorDivided(by: interval) + 1).multipliedReportingOverflow(by: interval)
            return overflow ? nil : Occurrence(next, .plain)
        case .calendar(let fields):
            return fields.isWildcard
                ? WildcardSearch(fields: fields, zone: zone).next(after: seconds)
                : FixedTimeSearch(fields: fields, zone: zone).next(after: seconds)
        }
    }

    /// The last occurrence that is not after `instant` and not before `limit`; nil when there is none.
    package func last(atOrBefore instant: Timestamp, notBefore limit: Timestamp) -> Occurrence? {
        let (end, start) = (instant.seconds, limit.seconds - 1)
        func found(after seconds: Int64) -> Occurrence? {
            guard seconds >= start, let next = next(after: Timestamp(seconds: seconds)), next.instant <= instant,
                next.instant >= limit
            else { return nil }
            return next
        }
        // Steps back get longer until there is something between, then the place is closed in on.
        var (low, step): (Int64, Int64) = (end - 1, 1)
        while found(after: low) == nil {
            guard low > start else { return nil }
            step *= 2
            low = max(start, end - step)
        }
        var high = end
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if found(after: middle) == nil { high = middle } else { low = middle }
        }
        return found(after: low)
    }

    /// The occurrences after `start` and up to `end`, at most `limit` of them.
    package func occurrences(after start: Timestamp, through end: Timestamp, limit: Int) -> [Occurrence] {
        var found: [Occurrence] = []
        var instant = start
        while found.count < limit, let next = next(after: instant), next.instant <= end {
            found.append(next)
            instant = next.instant
        }
        return found
    }
}

/// No wall time is read on a clock that is further from UTC.
private let farthestOffset: Int64 = 2 * 86_400

/// Wall times at the first instant at which the local clock shows them or later.
private struct FixedTimeSearch {
    let fields: CalendarFields
    let zone: TimeZoneRules

    func next(after seconds: Int64) -> Occurrence? {
        var segment = zone.segment(at: seconds)
        // What the clock has shown already is done, also when it was turned back since.
        var shown = seconds + segment.offset
        var earlier = segment
        while let start = earlier.start, start > seconds - farthestOffset {
            earlier = zone.segment(at: start - 1)
            shown = max(shown, start - 1 + earlier.offset)
        }
        guard let wall = fields.first(atOrAfter: shown + 1) else { return nil }
        if wall - shown > 3 * farthestOffset { segment = zone.segment(at: wall - farthestOffset) }
        while true {
            let due = max(segment.start ?? .min, wall - segment.offset)
            guard let end = segment.end, due >= end else {
                return Occurrence(due, mark(wall, due, segment))
            }
            segment = zone.segment(at: end)
        }
    }

    private func mark(_ wall: Int64, _ due: Int64, _ segment: TimeZoneRules.Segment) -> Occurrence.Mark {
        if due + segment.offset != wall { return .moved }
        guard let end = segment.end, end - due < farthestOffset else { return .plain }
        return wall - zone.segment(at: end).offset >= end ? .firstOfTwo : .plain
    }
}

/// Wall times whenever the local clock shows them.
private struct WildcardSearch {
    let fields: CalendarFields
    let zone: TimeZoneRules

    func next(after seconds: Int64) -> Occurrence? {
        var segment = zone.segment(at: seconds)
        var added: Int64?
        if let start = segment.start, seconds - start < 3600, let due = kept(over: start), due > seconds {
            added = due
        }
        var from = seconds + segment.offset + 1
        while let wall = fields.first(atOrAfter: from) {
            let due = wall - segment.offset
            guard let end = segment.end, due >= end else {
                if let added, added < due { return Occurrence(added, .added) }
                return Occurrence(due, mark(wall, due, segment))
            }
            if due - end > 3 * farthestOffset {
                segment = zone.segment(at: due - farthestOffset)
                continue
            }
            added = added ?? kept(over: end)
            segment = zone.segment(at: end)
            from = end + segment.offset
        }
        return added.map { Occurrence($0, .added) }
    }

    /// What was due next by the clock before the change, when that comes sooner than by the clock after it.
    private func kept(over change: Int64) -> Int64? {
        let (before, after) = (zone.segment(at: change - 1).offset, zone.segment(at: change).offset)
        guard (after - before) % 3600 != 0, let old = fields.first(atOrAfter: change + before) else { return nil }
        let due = old - before
        guard due - change < 3600 else { return nil }
        if let new = fields.first(atOrAfter: change + after), new - after <= due { return nil }
        return due
    }

    private func mark(_ wall: Int64, _ due: Int64, _ segment: TimeZoneRules.Segment) -> Occurrence.Mark {
        if let start = segment.start, due - start < farthestOffset,
            wall - zone.segment(at: start - 1).offset < start
        {
            return .secondOfTwo
        }
        if let end = segment.end, end - due < farthestOffset, wall - zone.segment(at: end).offset >= end {
            return .firstOfTwo
        }
        return .plain
    }
}
