// Instants as people write them: a part of RFC 3339.

extension Timestamp {
    /// Reads `2026-11-24`, which is its first instant in UTC, or a date and time with seconds and a zone, such as
    /// `2026-11-24T13:18:21Z`, `2026-11-24 13:18:21.25+01:00`; nil for anything else, and out of range.
    package init?(text: String) {
        var rest = Array(text.utf8)[...]
        func digits(_ count: Int) -> Int64? {
            guard rest.count >= count else { return nil }
            var value: Int64 = 0
            for byte in rest.prefix(count) {
                guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - UInt8(ascii: "0"))
            }
            rest = rest.dropFirst(count)
            return value
        }
        func skip(_ letters: String) -> UInt8? {
            guard let first = rest.first, letters.utf8.contains(first) else { return nil }
            rest = rest.dropFirst()
            return first
        }
        guard let year = digits(4), skip("-") != nil, let month = digits(2), skip("-") != nil, let day = digits(2),
            let days = Self.days(year: year, month: month, day: day)
        else { return nil }
        guard !rest.isEmpty else {
            self.init(seconds: days * 86_400)
            return
        }
        guard skip("Tt ") != nil, let hour = digits(2), hour < 24, skip(":") != nil, let minute = digits(2),
            minute < 60, skip(":") != nil, let second = digits(2), second < 60
        else { return nil }
        var nanoseconds: Int64 = 0
        if skip(".") != nil {
            var (unit, places): (Int64, Int) = (100_000_000, 0)
            while let digit = digits(1) {
                nanoseconds += digit * unit
                unit /= 10
                places += 1
            }
            guard (1...9).contains(places) else { return nil }
        }
        var offset: Int64 = 0
        if skip("Zz") == nil {
            guard let sign = skip("+-"), let hours = digits(2), hours < 24, skip(":") != nil, let minutes = digits(2),
                minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * 60 * (sign == UInt8(ascii: "-") ? -1 : 1)
        }
        guard rest.isEmpty else { return nil }
        self.init(seconds: days * 86_400 + (hour * 60 + minute) * 60 + second - offset, nanoseconds: nanoseconds)
    }

    /// Days since 1970 of a date of the years 1678 to 2261, which fit; nil for one that is not in the calendar
    /// (H. Hinnant, "chrono-compatible low-level date algorithms", days_from_civil).
    private static func days(year: Int64, month: Int64, day: Int64) -> Int64? {
        guard (1678...2261).contains(year), (1...12).contains(month), (1...31).contains(day) else { return nil }
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floorDivided(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        // The thirty-first of a month of thirty days is another day.
        return civil(daysSince1970: days) == (year, month, day) ? days : nil
    }
}
