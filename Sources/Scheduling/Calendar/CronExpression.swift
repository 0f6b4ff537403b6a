// Reads cron expressions: the five fields of crontab(5), with a field of seconds before them where six are given.

import Primitives

/// The reader of cron expressions.
package enum CronExpression {
    private static let words = [
        "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
        "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
    ]
    private static let months = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ]
    private static let weekdays = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]

    /// Reads `[SECOND] MINUTE HOUR DAY MONTH WEEKDAY`, or a word such as `@daily`.
    ///
    /// When the day and the weekday are both given, which is when neither begins with `*`, a day that matches one of
    /// them is enough; that is what crontab(5) says.
    /// - Throws: `.configuration`, naming the field that cannot be read.
    package static func fields(_ text: String) throws(HoldfastError) -> CalendarFields {
        do throws(HoldfastError) {
            return try read(text)
        } catch {
            throw ScheduleText.inText(error, text)
        }
    }

    private static func read(_ text: String) throws(HoldfastError) -> CalendarFields {
        guard text.utf8.count <= ScheduleText.maximumLength else {
            throw ScheduleText.refused("the expression is longer than \(ScheduleText.maximumLength) bytes")
        }
        var pieces = text.split { $0 == " " || $0 == "\t" }
        if let word = pieces.first, word.hasPrefix("@") {
            guard pieces.count == 1, let long = words[word.lowercased()] else {
                let other = word == "@every" ? "write `every: 15m` in place of `cron: @every 15m`" : nil
                throw ScheduleText.refused(other ?? "the words are \(words.keys.sorted().joined(separator: ", "))")
            }
            pieces = long.split(separator: " ")
        }
        guard (5...6).contains(pieces.count) else {
            throw ScheduleText.refused(
                "there are \(pieces.count) fields, not five: MINUTE HOUR DAY MONTH WEEKDAY, or six with SECOND first")
        }
        var fields = CalendarFields()
        if pieces.count == 6 { fields.seconds = try bits(pieces.removeFirst(), .second) }
        fields.minutes = try bits(pieces[0], .minute)
        fields.hours = UInt32(try bits(pieces[1], .hour))
        fields.days = Array(repeating: UInt32(try bits(pieces[2], .day)), count: 4)
        fields.months = UInt16(try bits(pieces[3], .month, names: months, firstName: 1))
        let week = try bits(
            pieces[4], FieldKind(name: "weekday", range: 0...7), names: weekdays, firstName: 0)
        // Sunday is 0 and 7 there, and bit 6 here.
        fields.weekdays = UInt8((week >> 1 | week << 6) & 0x7F)
        let isGiven = [pieces[2], pieces[4]].map { !$0.hasPrefix("*") && $0 != "?" }
        fields.isEitherDay = isGiven[0] && isGiven[1]
        return fields
    }

    private static func bits(
        _ text: Substring, _ kind: FieldKind, names: [String] = [], firstName: Int64 = 0
    ) throws(HoldfastError) -> UInt64 {
        func value(_ text: Substring) throws(HoldfastError) -> Int64 {
            if let place = names.firstIndex(of: text.lowercased()) { return Int64(place) + firstName }
            if text.contains(where: { "LW#".contains($0) }) {
                throw ScheduleText.refused("`\(text)`: cron has no L, W and #; `calendar:` has ~ for the last days")
            }
            return try kind.number(text)
        }
        // Every weekday once, though Sunday has two numbers.
        let (low, high) = (kind.range.lowerBound, kind.range.upperBound == 7 ? 6 : kind.range.upperBound)
        var bits: UInt64 = 0
        for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = piece.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw ScheduleText.refused("`\(piece)` has two steps") }
            var component: Component
            if parts[0] == "*" || (parts[0] == "?" && (kind.name == "day" || kind.name == "weekday")) {
                component = Component(first: low, last: high)
            } else {
                let ends = parts[0].split(separator: "-", omittingEmptySubsequences: false)
                guard ends.count <= 2 else { throw ScheduleText.refused("`\(piece)` is no \(kind.name)") }
                let first = try value(ends[0])
                component = Component(first: first, last: ends.count == 2 ? try value(ends[1]) : first)
                if ends.count == 1, parts.count == 2 { component.last = high }
            }
            guard let last = component.last, component.first <= last else {
                throw ScheduleText.refused("the range `\(parts[0])` goes back")
            }
            if parts.count == 2 { component.step = try kind.step(parts[1], from: component.first, to: last) }
            bits |= ScheduleText.bits(component.values(to: last))
        }
        return bits
    }
}
