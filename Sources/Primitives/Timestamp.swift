// An instant in UTC, and the clock seam.

import CLinux
import Glibc

/// An instant: nanoseconds since 1970-01-01T00:00:00Z, without leap seconds.
package struct Timestamp: Hashable, Sendable, BitwiseCopyable, Comparable {
    package var nanoseconds: Int64

    package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package init(seconds: Int64, nanoseconds: Int64 = 0) {
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        self.nanoseconds = overflow ? (seconds < 0 ? .min : .max) : product &+ nanoseconds
    }

    package var seconds: Int64 { nanoseconds.floorDivided(by: 1_000_000_000) }

    package static func < (a: Timestamp, b: Timestamp) -> Bool { a.nanoseconds < b.nanoseconds }

    /// The time from `earlier` to this instant; negative when `earlier` is later.
    package func since(_ earlier: Timestamp) -> Duration { .nanoseconds(nanoseconds &- earlier.nanoseconds) }

    package static func + (instant: Timestamp, duration: Duration) -> Timestamp {
        let parts = duration.components
        let added = parts.seconds.multipliedReportingOverflow(by: 1_000_000_000)
        let delta = added.overflow ? (parts.seconds < 0 ? Int64.min : .max) : added.partialValue
        let sum = instant.nanoseconds.addingReportingOverflow(delta)
        let total = sum.overflow ? (delta < 0 ? Int64.min : .max) : sum.partialValue
        return Timestamp(nanoseconds: total &+ parts.attoseconds / 1_000_000_000)
    }
}

extension Timestamp: CustomStringConvertible {
    /// RFC 3339 in UTC with seconds, as `2026-11-24T13:18:21Z`.
    package var description: String {
        let (year, month, day) = Self.civil(daysSince1970: seconds.floorDivided(by: 86_400))
        let second = seconds - seconds.floorDivided(by: 86_400) * 86_400
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let padded = String(repeating: "0", count: max(0, 4 - "\(year)".count)) + "\(year)"
        return "\(padded)-\(two(month))-\(two(day))T\(two(second / 3600)):\(two(second / 60 % 60)):\(two(second % 60))Z"
    }

    /// Days to year, month and day in the proleptic Gregorian calendar
    /// (H. Hinnant, "chrono-compatible low-level date algorithms", civil_from_days).
    package static func civil(daysSince1970 days: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = days + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shiftedMonth + 2) / 5 + 1)
    }
}

extension Int64 {
    /// Division that rounds towards minus infinity; the divisor is positive.
    package func floorDivided(by divisor: Int64) -> Int64 {
        self >= 0 ? self / divisor : (self + 1) / divisor - 1
    }
}

/// The seam for time. Nothing outside Primitives asks the system for it.
package protocol Clock: Sendable {
    /// The wall clock; it can step in either direction and is never used for safety.
    func now() -> Timestamp
    /// A clock that never steps back, for durations; its origin means nothing.
    func uptime() -> Duration
    /// Blocks the calling thread for `duration`; returns early when `cancellation` is raised.
    func sleep(for duration: Duration, unless cancellation: Cancellation)
}

/// The machine's clocks.
package struct SystemClock: Clock {
    package init() {}

    package func now() -> Timestamp { Timestamp(nanoseconds: holdfast_clock(CLOCK_REALTIME)) }

    package func uptime() -> Duration { .nanoseconds(holdfast_clock(CLOCK_MONOTONIC)) }

    package func sleep(for duration: Duration, unless cancellation: Cancellation) {
        let end = uptime() + duration
        while !cancellation.isRaised {
            let left = end - uptime()
            if left <= .zero { return }
            cancellation.wait(for: left)
        }
    }
}
