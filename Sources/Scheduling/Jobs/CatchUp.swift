// What becomes of the runs that were due while nothing ran jobs: a pure function of the last run, now and the policy.

import Primitives

/// Whether missed runs are made up for.
package struct CatchUpPolicy: Sendable, Hashable {
    package enum Which: String, Sendable, CaseIterable {
        case none, once, all
    }

    package var which = Which.once
    /// Runs that were due longer ago are not made up for.
    package var within: Duration = .seconds(7 * 86_400)

    package init(_ which: Which = .once, within: Duration = .seconds(7 * 86_400)) {
        self.which = which
        self.within = within
    }
}

/// Runs that were due and do not take place, with why. Every one leaves a record.
package struct NonRun: Sendable, Hashable {
    package enum Reason: String, Sendable, CaseIterable {
        /// Nothing ran jobs when it was due, and the policy makes up for none.
        case missed
        /// It was due longer ago than the policy makes up for.
        case tooLongAgo = "too-long-ago"
        /// One run makes up for it and for later ones.
        case caughtUp = "caught-up"
        /// There were more than ``CatchUp/maximumRuns`` to make up for.
        case overCap = "over-cap"
        case outsideWindow = "outside-window"
        case blackout, paused, disabled
        /// An operator had it left out.
        case skipped
        /// Another run of its group was under way.
        case overlap
        /// It could not start before its deadline.
        case startDeadline = "start-deadline"
        /// A job that it comes after has not ended well.
        case dependency
        /// Its repository did not answer until its start deadline.
        case unreachable
    }

    package var first: Timestamp
    package var last: Timestamp
    /// Nil when there are more than ``CatchUp/maximumCounted``.
    package var count: Int?
    package var reason: Reason

    package init(first: Timestamp, last: Timestamp, count: Int?, reason: Reason) {
        self.first = first
        self.last = last
        self.count = count
        self.reason = reason
    }
}

/// What to do about the time between the last run and now.
package struct CatchUp: Sendable, Hashable {
    /// At most so many runs are made up for, the newest of them.
    package static let maximumRuns = 100
    /// Non-runs are counted up to here.
    package static let maximumCounted = 10_000

    /// Instants for which the job is to be run now, oldest first.
    package var runs: [Timestamp] = []
    /// Oldest first.
    package var nonRuns: [NonRun] = []

    /// - Parameters:
    ///   - last: The newest instant that was run or recorded; what was due after it and up to `now` is missed. Give the
    ///     instant before the one that is just due, and that one is the last of `runs`.
    ///   - grace: What was due no longer ago than this is not missed, but due: it is run whatever the policy.
    package init(
        _ schedule: Schedule, after last: Timestamp, now: Timestamp, policy: CatchUpPolicy, grace: Duration = .zero
    ) {
        let fresh = Timestamp(nanoseconds: now.nanoseconds &- grace.nanosecondsClamped)
        let due = schedule.occurrences(after: max(last, fresh), through: now, limit: Self.maximumRuns).map(\.instant)
        let missedEnd = min(fresh, now)
        defer { runs += due }
        guard last < missedEnd else { return }
        let oldest = max(Timestamp(nanoseconds: now.nanoseconds &- policy.within.nanosecondsClamped), last)
        if policy.which == .none {
            note(schedule, after: last, through: missedEnd, .missed)
            return
        }
        if oldest > last {
            // What was due at the very edge is still made up for.
            note(schedule, after: last, through: Timestamp(seconds: oldest.seconds - 1), .tooLongAgo)
        }
        let begin = oldest > last ? Timestamp(seconds: oldest.seconds - 1) : last
        let newest = Self.newest(
            policy.which == .once ? (due.isEmpty ? 1 : 0) : Self.maximumRuns, schedule, after: begin, missedEnd)
        let covered = newest.first ?? Timestamp(seconds: missedEnd.seconds + 1)
        note(
            schedule, after: begin, through: Timestamp(seconds: covered.seconds - 1),
            policy.which == .once ? .caughtUp : .overCap)
        runs = newest
    }

    /// The last `count` instants in order.
    private static func newest(
        _ count: Int, _ schedule: Schedule, after start: Timestamp, _ end: Timestamp
    ) -> [Timestamp] {
        var found: [Timestamp] = []
        var until = end
        let limit = Timestamp(seconds: start.seconds + 1)
        while found.count < count, let last = schedule.last(atOrBefore: until, notBefore: limit) {
            found.append(last.instant)
            until = Timestamp(seconds: last.instant.seconds - 1)
        }
        return found.reversed()
    }

    private mutating func note(
        _ schedule: Schedule, after start: Timestamp, through end: Timestamp, _ reason: NonRun.Reason
    ) {
        let found = schedule.occurrences(after: start, through: end, limit: Self.maximumCounted + 1)
        guard let first = found.first, var last = found.last else { return }
        let isCounted = found.count <= Self.maximumCounted
        if !isCounted, let newest = schedule.last(atOrBefore: end, notBefore: first.instant) { last = newest }
        nonRuns.append(
            NonRun(
                first: first.instant, last: last.instant, count: isCounted ? found.count : nil, reason: reason))
    }
}
