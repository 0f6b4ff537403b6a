// The time that a report is about.

import Primitives

/// From inclusive, to exclusive; never empty.
package struct ReportPeriod: Sendable, Hashable {
    package let from: Timestamp
    package let to: Timestamp
    /// More would be no period that anybody audits, and would not fit exact sums.
    package static let longest = Duration.seconds(20 * 366 * 86_400)

    /// - Throws: `.usage` for a period that is empty or longer than twenty years.
    package init(from: Timestamp, to: Timestamp) throws(HoldfastError) {
        guard from < to, to.since(from) > .zero, to.since(from) <= Self.longest else {
            throw HoldfastError(
                .usage, "the period from \(from) to \(to) is empty or too long",
                hint: "Give --from before --to, at most twenty years apart.")
        }
        self.from = from
        self.to = to
    }

    package func contains(_ instant: Timestamp) -> Bool { from <= instant && instant < to }

    /// Whether both have an instant in common.
    package func overlaps(_ start: Timestamp, _ end: Timestamp) -> Bool {
        start < to && (from < end || start == end && from <= start)
    }

    package var length: Duration { to.since(from) }
}

/// Stretches of time, joined where they touch.
struct TimeCover: Sendable, Hashable {
    struct Stretch: Sendable, Hashable {
        var from: Timestamp
        var to: Timestamp
    }

    private var added: [Stretch] = []

    mutating func add(_ from: Timestamp, _ to: Timestamp) {
        if from < to { added.append(Stretch(from: from, to: to)) }
    }

    var joined: [Stretch] {
        var joined: [Stretch] = []
        for stretch in added.sorted(by: { ($0.from, $0.to) < ($1.from, $1.to) }) {
            if let last = joined.last, stretch.from <= last.to {
                joined[joined.count - 1].to = max(last.to, stretch.to)
            } else {
                joined.append(stretch)
            }
        }
        return joined
    }

    /// What of the period is not covered.
    func gaps(in period: ReportPeriod) -> [Stretch] {
        var gaps: [Stretch] = []
        var cursor = period.from
        for stretch in joined where stretch.to > period.from && stretch.from < period.to {
            if stretch.from > cursor { gaps.append(Stretch(from: cursor, to: stretch.from)) }
            cursor = max(cursor, stretch.to)
        }
        if cursor < period.to { gaps.append(Stretch(from: cursor, to: period.to)) }
        return gaps
    }
}

extension Duration {
    /// Whole seconds, rounded up: a loss is never told smaller than it was.
    var secondsUp: Int64 {
        let parts = components
        return parts.seconds + (parts.attoseconds > 0 ? 1 : 0)
    }
}

extension ReportPeriod {
    /// The calendar month before the one of `now`, in UTC.
    package static func monthBefore(_ now: Timestamp) throws(HoldfastError) -> ReportPeriod {
        let today = now.seconds.floorDivided(by: 86_400)
        let thisMonth = today - (Timestamp.civil(daysSince1970: today).day - 1)
        let lastMonth = thisMonth - Timestamp.civil(daysSince1970: thisMonth - 1).day
        return try ReportPeriod(
            from: Timestamp(seconds: lastMonth * 86_400), to: Timestamp(seconds: thisMonth * 86_400))
    }
}
