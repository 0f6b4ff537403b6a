// The pieces that calendar and cron expressions have in common: values, ranges, steps and lists.

import Primitives

/// A part of a list: a value, a range, or either with a step.
struct Component: Hashable {
    var first: Int64
    /// The end of a range; nil for one value, or with a step for all that follow.
    var last: Int64?
    var step: Int64?

    /// The values up to `limit`.
    func values(to limit: Int64) -> [Int64] {
        guard let step else { return Array(first...(last ?? first)) }
        return Array(stride(from: first, through: last ?? limit, by: Int(step)))
    }
}

/// What a field takes, and what it is called in messages.
struct FieldKind {
    var name: String
    var range: ClosedRange<Int64>

    static let second = FieldKind(name: "second", range: 0...59)
    static let minute = FieldKind(name: "minute", range: 0...59)
    static let hour = FieldKind(name: "hour", range: 0...23)
    static let day = FieldKind(name: "day", range: 1...31)
    static let month = FieldKind(name: "month", range: 1...12)
    static let year = FieldKind(name: "year", range: 1970...CalendarFields.lastYear)

    /// A whole number of ASCII digits, in range.
    func number(_ text: Substring) throws(HoldfastError) -> Int64 {
        guard text.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }), text.utf8.count <= 4,
            let number = Int64(text)
        else { throw ScheduleText.refused("`\(text)` is no \(name)") }
        guard range.contains(number) else {
            throw ScheduleText.refused(
                "\(name) \(number) is out of range, which is \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// A step, which must lead from `first` to another value of the range.
    func step(_ text: Substring, from first: Int64, to last: Int64) throws(HoldfastError) -> Int64 {
        guard let step = Int64(text), step > 0, text.first != "+" else {
            throw ScheduleText.refused("`\(text)` is no step; a step is a whole number above 0")
        }
        guard first + step <= last else {
            throw ScheduleText.refused("the step \(step) leads from \(name) \(first) to no other \(name)")
        }
        return step
    }
}

/// Failures of reading, and bit sets.
enum ScheduleText {
    static let maximumLength = 256
    static let hint = "See \"Calendars\" in docs/SCHEDULING.md for what can be written."

    static func refused(_ message: String) -> HoldfastError { HoldfastError(.configuration, message, hint: hint) }

    /// A failure that also says in which text.
    static func inText(_ error: HoldfastError, _ text: String) -> HoldfastError {
        HoldfastError(error.code, "`\(text)`: \(error.message)", hint: error.hint)
    }

    static func bits(_ values: [Int64]) -> UInt64 { values.reduce(0) { $0 | 1 << UInt64($1) } }
}
