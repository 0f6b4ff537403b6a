// How much work would be lost, at any instant: the arithmetic of RPO, exact and without sampling.
//
// With recovery points i that are consistent as of c_i, durable from a_i and gone from x_i on, the exposure at t is
// L(t) = t - max{c_i : a_i <= t < x_i}, and without end where there is no such point. It is a line of slope one between
// the instants at which points come and go, so that everything asked of it is a sum over few segments.

import Primitives

/// One recovery point of a source in one copy.
package struct ExposurePoint: Sendable, Hashable {
    /// The state that it holds, not the end of the job that made it.
    package var consistentAsOf: Timestamp
    /// When it was on stable storage in the copy that counts; when it was also verified, where that is asked for.
    package var availableFrom: Timestamp
    /// When it was deleted, expired or found damaged; nil while it is there.
    package var goneFrom: Timestamp?

    package init(consistentAsOf: Timestamp, availableFrom: Timestamp, goneFrom: Timestamp? = nil) {
        // Nothing can be saved before it is there: clocks that disagree never make an exposure negative.
        self.consistentAsOf = min(consistentAsOf, availableFrom)
        self.availableFrom = availableFrom
        self.goneFrom = goneFrom
    }
}

/// The exposure of one source over one period.
///
/// Thread: a value; computed once, in O(n log n) of the points.
package struct Exposure: Sendable {
    /// A stretch with one newest point; from inclusive, to exclusive, never empty.
    package struct Segment: Sendable, Hashable {
        package var from: Timestamp
        package var to: Timestamp
        /// What could be recovered to; nil when there was nothing.
        package var consistentAsOf: Timestamp?
    }

    /// From inclusive, to exclusive.
    package let from: Timestamp
    package let to: Timestamp
    /// Without gaps and in order; neighbours differ.
    package let segments: [Segment]
    /// The state that could be recovered to at the end of the period, after what came and went at that instant.
    private let last: Timestamp?

    /// Longer periods would not fit the exact sums; it is far over any that is asked for.
    package static let longestPeriod = Duration.seconds(36_525 * 86_400)

    /// - Throws: `.usage` for a period that is empty or longer than a hundred years.
    package init(
        of points: [ExposurePoint], from: Timestamp, to: Timestamp
    ) throws(HoldfastError) {
        let (length, isOver) = to.nanoseconds.subtractingReportingOverflow(from.nanoseconds)
        guard !isOver, length > 0, Duration.nanoseconds(length) <= Self.longestPeriod else {
            throw HoldfastError(
                .usage, "the period from \(from) to \(to) is empty or too long",
                hint: "Give a beginning that is before the end, at most a hundred years.")
        }
        self.from = from
        self.to = to
        (segments, last) = Self.segments(points, from, to)
    }

    private struct Event {
        var at: Timestamp
        var isComing: Bool
        var point: Int
    }

    /// Walks over the instants at which points come and go; what is there is kept in order of what it holds.
    private static func segments(
        _ points: [ExposurePoint], _ from: Timestamp, _ to: Timestamp
    ) -> ([Segment], Timestamp?) {
        var events: [Event] = []
        for (place, point) in points.enumerated() {
            if let gone = point.goneFrom {
                if gone <= point.availableFrom { continue }
                events.append(Event(at: gone, isComing: false, point: place))
            }
            events.append(Event(at: point.availableFrom, isComing: true, point: place))
        }
        events.sort { $0.at < $1.at }
        var there = NewestFirst()
        var segments: [Segment] = []
        var cursor = from
        func close(at end: Timestamp) {
            let end = min(end, to)
            guard cursor < end else { return }
            let newest = there.newest
            if let last = segments.last, last.consistentAsOf == newest {
                segments[segments.count - 1].to = end
            } else {
                segments.append(Segment(from: cursor, to: end, consistentAsOf: newest))
            }
            cursor = end
        }
        for event in events {
            if event.at > to { break }
            close(at: event.at)
            let instant = points[event.point].consistentAsOf
            if event.isComing { there.add(instant) } else { there.remove(instant) }
        }
        close(at: to)
        return (segments, there.newest)
    }

    // MARK: - At an instant

    /// The exposure at `instant`, which is within the period or its end; nil when there was nothing to recover.
    package func at(_ instant: Timestamp) -> Duration? {
        if instant == to { return last.map { to.since($0) } }
        var (low, high) = (0, segments.count)
        while low < high {
            let middle = (low + high) / 2
            if segments[middle].to <= instant { low = middle + 1 } else { high = middle }
        }
        guard low < segments.count, segments[low].from <= instant else { return nil }
        return segments[low].consistentAsOf.map { instant.since($0) }
    }

    // MARK: - Over the period

    package var period: Duration { to.since(from) }

    /// The time in which there was nothing to recover.
    package var unprotected: Duration {
        segments.filter { $0.consistentAsOf == nil }.reduce(.zero) { $0 + $1.to.since($1.from) }
    }

    /// The least upper bound of the exposure; nil when it had no end.
    package var worst: Duration? {
        var worst = Duration.zero
        for segment in segments {
            guard let instant = segment.consistentAsOf else { return nil }
            worst = max(worst, segment.to.since(instant))
        }
        return worst
    }

    /// The mean over time, rounded to the nearest nanosecond; nil when the exposure had no end.
    package var mean: Duration? {
        var doubled: Int128 = 0
        for segment in segments {
            guard let line = Line(segment) else { return nil }
            doubled += (line.high - line.low) * (line.low + line.high)
        }
        let length = 2 * Int128(to.nanoseconds - from.nanoseconds)
        return .nanoseconds(Int64(clamping: (doubled + length / 2) / length))
    }

    /// The smallest exposure in whole nanoseconds that is not passed in `percent` of the time; nil when in more than
    /// the rest of the time the exposure had no end.
    ///
    /// The time in which the exposure is at most v grows with v along straight lines that bend where a segment begins
    /// or ends, so that the answer lies on one of them.
    package func percentile(_ percent: Int) -> Duration? {
        precondition((1...100).contains(percent), "a percentile is one of a hundred parts")
        let lines = segments.compactMap(Line.init)
        var bends: [(at: Int128, slope: Int128)] = []
        for line in lines {
            bends.append((line.low, 1))
            bends.append((line.high, -1))
        }
        bends.sort { $0.at < $1.at }
        // Hundredths of nanoseconds, so that no part is lost.
        let wanted = Int128(to.nanoseconds - from.nanoseconds) * Int128(percent)
        var (covered, slope): (Int128, Int128) = (0, 0)
        for (place, bend) in bends.enumerated() {
            slope += bend.slope
            guard place + 1 < bends.count, slope > 0 else { continue }
            let next = covered + 100 * slope * (bends[place + 1].at - bend.at)
            if next >= wanted {
                let step = (wanted - covered + 100 * slope - 1) / (100 * slope)
                return .nanoseconds(Int64(clamping: bend.at + step))
            }
            covered = next
        }
        return nil
    }

    /// The time in which the exposure was at most `objective`.
    package func within(_ objective: Duration) -> Duration {
        let limit = Int128(objective.nanosecondsClamped)
        var sum: Int128 = 0
        for segment in segments {
            guard let line = Line(segment) else { continue }
            sum += min(max(limit - line.low, 0), line.high - line.low)
        }
        return .nanoseconds(Int64(clamping: sum))
    }

    /// The same as a part of one.
    package func share(within objective: Duration) -> Double {
        Double(within(objective).nanosecondsClamped) / Double(period.nanosecondsClamped)
    }

    /// A segment as the exposures at its ends, in nanoseconds.
    private struct Line {
        var low: Int128
        var high: Int128

        init?(_ segment: Segment) {
            guard let instant = segment.consistentAsOf else { return nil }
            low = Int128(segment.from.nanoseconds) - Int128(instant.nanoseconds)
            high = Int128(segment.to.nanoseconds) - Int128(instant.nanoseconds)
        }
    }
}

/// Instants with how often each is there, the newest at hand: a heap in which what was removed is passed over later.
private struct NewestFirst {
    private var heap: [Timestamp] = []
    private var counts: [Timestamp: Int] = [:]

    var newest: Timestamp? { heap.first }

    mutating func add(_ instant: Timestamp) {
        if let count = counts[instant] {
            counts[instant] = count + 1
            if count > 0 { return }
            // It may still lie in the heap from before; twice does no harm.
        } else {
            counts[instant] = 1
        }
        heap.append(instant)
        var place = heap.count - 1
        while place > 0, heap[(place - 1) / 2] < heap[place] {
            heap.swapAt(place, (place - 1) / 2)
            place = (place - 1) / 2
        }
    }

    mutating func remove(_ instant: Timestamp) {
        counts[instant, default: 1] -= 1
        while let first = heap.first, counts[first, default: 0] <= 0 { dropFirst() }
    }

    private mutating func dropFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        var place = 0
        while true {
            var largest = place
            for child in [2 * place + 1, 2 * place + 2] where child < heap.count && heap[child] > heap[largest] {
                largest = child
            }
            if largest == place { return }
            heap.swapAt(place, largest)
            place = largest
        }
    }
}
