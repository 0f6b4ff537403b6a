// Which wall times a calendar or cron expression names, as bit sets that are searched without walking over seconds.

import Primitives

/// The wall times that an expression names. A wall time is seconds since 1970-01-01 00:00:00 on a clock without zone.
package struct CalendarFields: Sendable, Hashable {
    /// Later years are not searched, as in systemd.
    package static let lastYear: Int64 = 2199
    static let everyHour: UInt32 = (1 << 24) - 1
    static let everyMinute: UInt64 = (1 << 60) - 1
    static let everyWeekday: UInt8 = (1 << 7) - 1
    static let everyMonth: UInt16 = 0b1_1111_1111_1110
    static let everyDay: UInt32 = ~1

    /// Ascending; nil for every year.
    var years: [Int64]?
    /// Bits 1 to 12.
    var months = everyMonth
    /// Bits 1 to 31, for months of 28, 29, 30 and 31 days: days that count from the end differ.
    var days = [everyDay, everyDay, everyDay, everyDay]
    /// Bit 0 is Monday.
    var weekdays = everyWeekday
    /// A day matches by its number or by its weekday, as in cron when both are given; else by both.
    var isEitherDay = false
    /// Bits 0 to 23.
    var hours: UInt32 = 1
    /// Bits 0 to 59.
    var minutes: UInt64 = 1
    var seconds: UInt64 = 1

    /// The expression names no hour: each hour of the day is in it. Such a schedule follows elapsed time when the
    /// clocks change; any other goes by the clock on the wall.
    package var isWildcard: Bool { hours == Self.everyHour }

    /// No day is named either.
    var isEveryDay: Bool {
        years == nil && months == Self.everyMonth && days.allSatisfy { $0 == Self.everyDay }
            && (weekdays == Self.everyWeekday || isEitherDay)
    }

    /// The first wall time that is named and not before `wall`; nil when there is none up to ``lastYear``.
    func first(atOrAfter wall: Int64) -> Int64? {
        let day = wall.floorDivided(by: 86_400)
        let date = Timestamp.civil(daysSince1970: day)
        if hasDay(date.year, date.month, date.day), let time = time(atOrAfter: wall - day * 86_400) {
            return day * 86_400 + time
        }
        guard let start = time(atOrAfter: 0), let next = nextDay(date.year, date.month, date.day + 1) else {
            return nil
        }
        return next * 86_400 + start
    }

    // MARK: Time of day

    private func time(atOrAfter second: Int64) -> Int64? {
        let (hour, minute) = (second / 3600, second / 60 % 60)
        if hours >> UInt32(hour) & 1 == 1 {
            if minutes >> UInt64(minute) & 1 == 1, let found = Self.bit(seconds, from: second % 60) {
                return hour * 3600 + minute * 60 + found
            }
            if let found = Self.bit(minutes, from: minute + 1), let start = Self.bit(seconds, from: 0) {
                return hour * 3600 + found * 60 + start
            }
        }
        guard let found = Self.bit(UInt64(hours), from: hour + 1), let startMinute = Self.bit(minutes, from: 0),
            let startSecond = Self.bit(seconds, from: 0)
        else { return nil }
        return found * 3600 + startMinute * 60 + startSecond
    }

    /// The lowest bit that is set and not below `place`.
    private static func bit(_ bits: UInt64, from place: Int64) -> Int64? {
        let rest = place >= 64 ? 0 : bits & (~0 << UInt64(place))
        return rest == 0 ? nil : Int64(rest.trailingZeroBitCount)
    }

    // MARK: Days

    private func hasDay(_ year: Int64, _ month: Int64, _ day: Int64) -> Bool {
        guard hasYear(year), months >> UInt16(month) & 1 == 1 else { return false }
        return daysOfMonth(year, month) >> UInt32(day) & 1 == 1
    }

    private func hasYear(_ year: Int64) -> Bool { years.map { $0.contains(year) } ?? true }

    /// Days since 1970 of the first day that is named, from this one on; `day` may be one more than the month has.
    private func nextDay(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64? {
        var (year, month, day) = (year, month, day)
        while year <= Self.lastYear {
            if hasYear(year) {
                while let found = Self.bit(UInt64(months), from: month) {
                    if found > month { day = 1 }
                    if let day = Self.bit(UInt64(daysOfMonth(year, found)), from: day) {
                        return Timestamp.days(year, found, day)
                    }
                    (month, day) = (found + 1, 1)
                }
                year += 1
            } else {
                guard let next = years?.first(where: { $0 > year }) else { return nil }
                year = next
            }
            (month, day) = (1, 1)
        }
        return nil
    }

    /// The days of a month that are named, as bits 1 to 31.
    private func daysOfMonth(_ year: Int64, _ month: Int64) -> UInt32 {
        let first = Timestamp.days(year, month, 1)
        let length = Self.length(year, month)
        let existing: UInt32 = ~1 >> UInt32(31 - length)
        let numbered = days[Int(length - 28)] & existing
        if weekdays == Self.everyWeekday { return isEitherDay ? existing : numbered }
        // 1970-01-01 was a Thursday. The week is turned until its lowest bit is the first of the month, then repeated.
        let shift = UInt32(first + 3 - (first + 3).floorDivided(by: 7) * 7)
        let week = UInt32(weekdays)
        let turned = (week >> shift | week << (7 - shift)) & 0x7F
        let named = (turned | turned << 7 | turned << 14 | turned << 21 | turned << 28) << 1 & existing
        return isEitherDay ? named | numbered : named & numbered
    }

    private static func length(_ year: Int64, _ month: Int64) -> Int64 {
        switch month {
        case 2: (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }
}
