// Reads calendar expressions in the notation of systemd.time(7), to whole seconds.

import Primitives

/// What a calendar expression says: the wall times, and the zone when it names one.
package struct CalendarExpression: Sendable, Hashable {
    package var fields: CalendarFields
    /// A name of the time zone database.
    package var zone: String?
    /// The expression without the zone, as it was written.
    package var text: String

    private static let shorthands = [
        "minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00",
        "weekly": "Mon *-*-* 00:00:00", "monthly": "*-*-01 00:00:00", "quarterly": "*-01,04,07,10-01 00:00:00",
        "semiannually": "*-01,07-01 00:00:00", "semi-annually": "*-01,07-01 00:00:00",
        "biannually": "*-01,07-01 00:00:00", "bi-annually": "*-01,07-01 00:00:00",
        "yearly": "*-01-01 00:00:00", "annually": "*-01-01 00:00:00",
    ]
    private static let weekdays = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

    /// Reads `[WEEKDAYS] [[YEAR-]MONTH-DAY] [HOUR:MINUTE[:SECOND]] [ZONE]`, or a shorthand such as `daily`.
    ///
    /// - Throws: `.configuration`, naming the piece that cannot be read.
    package init(_ text: String) throws(HoldfastError) {
        do throws(HoldfastError) {
            try self.init(checked: text)
        } catch {
            throw ScheduleText.inText(error, text)
        }
    }

    private init(checked text: String) throws(HoldfastError) {
        guard text.utf8.count <= ScheduleText.maximumLength else {
            throw ScheduleText.refused("the expression is longer than \(ScheduleText.maximumLength) bytes")
        }
        var words = text.split(separator: " ")
        zone = nil
        if words.count > 1, let last = words.last, last.contains(where: \.isLetter) {
            zone = try TimeZoneRules(named: String(last)).name
            words.removeLast()
        }
        self.text = words.joined(separator: " ")
        if words.count == 1, let long = Self.shorthands[words[0].lowercased()] { words = long.split(separator: " ") }
        fields = CalendarFields()
        guard !words.isEmpty else { throw ScheduleText.refused("the expression is empty") }
        var rest = words[...]
        if let word = rest.first, word.first?.isLetter == true {
            fields.weekdays = try Self.weekdays(word)
            rest = rest.dropFirst()
        }
        if let word = rest.first, !word.contains(":"), word.contains("-") || word.contains("~") {
            try Self.date(word, &fields)
            rest = rest.dropFirst()
        }
        if let word = rest.first, word.contains(":") {
            try Self.time(word, &fields)
            rest = rest.dropFirst()
        }
        if let word = rest.first {
            throw ScheduleText.refused(
                "`\(word)` is neither weekdays, a date such as *-*-01, nor a time such as 02:30, in this order")
        }
    }

    // MARK: Weekdays

    /// `Mon,Wed..Fri`; full names and small letters are taken, and a hyphen for the dots.
    private static func weekdays(_ word: Substring) throws(HoldfastError) -> UInt8 {
        var bits: UInt8 = 0
        for piece in word.split(separator: ",") {
            let names = piece.contains("..") ? piece.split(separator: ".") : piece.split(separator: "-")
            guard let first = names.first, let last = names.last, names.count <= 2 else {
                throw ScheduleText.refused("`\(piece)` is no weekday")
            }
            let (from, to) = (try weekday(first), try weekday(last))
            guard from <= to else {
                throw ScheduleText.refused("the range `\(piece)` goes back; write it as two, as in Sat..Sun,Mon")
            }
            for day in from...to { bits |= 1 << UInt8(day) }
        }
        guard bits != 0 else { throw ScheduleText.refused("`\(word)` is no weekday") }
        return bits
    }

    /// 0 is Monday.
    static func weekday(_ name: Substring) throws(HoldfastError) -> Int {
        let lower = name.lowercased()
        guard let index = weekdays.firstIndex(where: { lower == $0 || (lower.count == 3 && $0.hasPrefix(lower)) })
        else { throw ScheduleText.refused("`\(name)` is no weekday; they are Mon, Tue, Wed, Thu, Fri, Sat and Sun") }
        return index
    }

    // MARK: Dates

    private static func date(_ word: Substring, _ fields: inout CalendarFields) throws(HoldfastError) {
        var pieces: [Substring] = []
        var rest = word
        var isFromEnd = false
        while let place = rest.firstIndex(where: { $0 == "-" || $0 == "~" }) {
            guard !isFromEnd else { throw ScheduleText.refused("in `\(word)` the `~` stands before the day alone") }
            isFromEnd = rest[place] == "~"
            pieces.append(rest[..<place])
            rest = rest[rest.index(after: place)...]
        }
        pieces.append(rest)
        guard (2...3).contains(pieces.count) else {
            throw ScheduleText.refused("`\(word)` is no date; write YEAR-MONTH-DAY or MONTH-DAY, with * for each")
        }
        if pieces.count == 3, let years = try components(pieces[0], .year) {
            fields.years = Array(Set(years.flatMap { $0.values(to: FieldKind.year.range.upperBound) })).sorted()
        }
        if let months = try components(pieces[pieces.count - 2], .month) {
            fields.months = UInt16(ScheduleText.bits(months.flatMap { $0.values(to: 12) }))
        }
        guard let days = try components(pieces[pieces.count - 1], .day) else {
            if isFromEnd { throw ScheduleText.refused("`~` needs a day, as in ~01 for the last of the month") }
            return
        }
        if isFromEnd {
            fields.days = (28...31).map { length in Self.fromEnd(days, length: Int64(length)) }
        } else {
            fields.days = Array(
                repeating: UInt32(ScheduleText.bits(days.flatMap { $0.values(to: 31) })), count: 4)
        }
    }

    /// Days of a month of `length` days that `~` names: 1 is the last. A step goes on towards the end of the month.
    private static func fromEnd(_ days: [Component], length: Int64) -> UInt32 {
        let numbers = days.flatMap { day -> [Int64] in
            let (early, late) = (length + 1 - (day.last ?? day.first), length + 1 - day.first)
            guard let step = day.step else { return Array(early...late) }
            return Array(stride(from: early, through: day.last == nil ? length : late, by: Int(step)))
        }
        return UInt32(ScheduleText.bits(numbers.filter { $0 >= 1 }))
    }

    // MARK: Times

    private static func time(_ word: Substring, _ fields: inout CalendarFields) throws(HoldfastError) {
        let pieces = word.split(separator: ":", omittingEmptySubsequences: false)
        guard (2...3).contains(pieces.count) else {
            throw ScheduleText.refused("`\(word)` is no time; write HOUR:MINUTE or HOUR:MINUTE:SECOND")
        }
        func bits(_ piece: Substring, _ kind: FieldKind) throws(HoldfastError) -> UInt64? {
            try components(piece, kind).map { ScheduleText.bits($0.flatMap { $0.values(to: kind.range.upperBound) }) }
        }
        fields.hours = try bits(pieces[0], .hour).map { UInt32($0) } ?? CalendarFields.everyHour
        fields.minutes = try bits(pieces[1], .minute) ?? CalendarFields.everyMinute
        if pieces.count == 3 {
            if pieces[2].replacing("..", with: "").contains(".") {
                throw ScheduleText.refused("`\(pieces[2])`: parts of seconds are not kept; give whole seconds")
            }
            fields.seconds = try bits(pieces[2], .second) ?? CalendarFields.everyMinute
        }
    }

    // MARK: Lists

    /// `*`, which is nil, or a list of values, ranges and steps.
    private static func components(_ text: Substring, _ kind: FieldKind) throws(HoldfastError) -> [Component]? {
        if text == "*" { return nil }
        var components: [Component] = []
        for piece in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = piece.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count <= 2 else { throw ScheduleText.refused("`\(piece)` has two steps") }
            if parts[0] == "*" {
                throw ScheduleText.refused(
                    parts.count == 2
                        ? "a step goes from a value here: write \(kind.range.lowerBound)/\(parts[1]), not \(piece)"
                        : "`*` stands alone, not in a list")
            }
            var ends: [Substring] = [parts[0]]
            if let dots = parts[0].firstRange(of: "..") {
                ends = [parts[0][..<dots.lowerBound], parts[0][dots.upperBound...]]
            }
            let first = try value(ends[0], kind)
            let last = ends.count == 2 ? try value(ends[1], kind) : nil
            if let last, last < first { throw ScheduleText.refused("the range `\(parts[0])` goes back") }
            let step =
                parts.count == 2
                ? try kind.step(parts[1], from: first, to: last ?? kind.range.upperBound) : nil
            components.append(Component(first: first, last: last, step: step))
        }
        return components
    }

    /// Years of two digits are 1970 to 2069.
    private static func value(_ text: Substring, _ kind: FieldKind) throws(HoldfastError) -> Int64 {
        if kind.range.lowerBound == 1970, text.utf8.count == 2, text.first != "+", let short = Int64(text), short >= 0 {
            return short < 70 ? 2000 + short : 1900 + short
        }
        return try kind.number(text)
    }
}
