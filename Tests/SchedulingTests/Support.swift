// What the tests of this target share.

import Glibc
import Primitives
import Scheduling
import Testing

/// Schedules and instants as people write them.
enum Make {
    static func calendar(_ text: String, _ zone: String? = nil) throws -> Schedule {
        let expression = try CalendarExpression(text)
        let rules = try TimeZoneRules(named: zone ?? expression.zone ?? "UTC")
        return Schedule(text: text, rule: .calendar(expression.fields), zone: rules)
    }

    static func cron(_ text: String, _ zone: String = "UTC") throws -> Schedule {
        Schedule(
            text: text, rule: .calendar(try CronExpression.fields(text)), zone: try TimeZoneRules(named: zone))
    }

    static func every(_ text: String) throws -> Schedule {
        let length = try #require(Duration(lengthOfTime: text))
        return Schedule(text: text, rule: .every(length.components.seconds), zone: .utc)
    }

    static func instant(_ text: String) throws -> Timestamp { try #require(Timestamp(text: text), "\(text)") }

    /// The next `count` occurrences as `instant` or `instant mark`.
    static func next(_ count: Int, of schedule: Schedule, after text: String) throws -> [String] {
        schedule.occurrences(after: try instant(text), through: Timestamp(nanoseconds: .max), limit: count).map {
            $0.mark == .plain ? "\($0.instant)" : "\($0.instant) \($0.mark.rawValue)"
        }
    }

    /// Why a text is refused; nil when it is read.
    static func refusal(_ body: () throws -> Void) -> String? {
        do {
            try body()
            return nil
        } catch {
            return (error as? HoldfastError)?.message ?? "\(error)"
        }
    }
}
