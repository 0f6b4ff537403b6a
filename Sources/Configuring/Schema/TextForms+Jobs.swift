// The kinds of text that keys of jobs take.

import Primitives
import Scheduling

extension TextForm {
    private static func read(
        _ name: String, _ doc: String, pattern: String,
        _ body: @escaping @Sendable (String) throws(HoldfastError) -> Void
    ) -> TextForm {
        TextForm(name: name, doc: doc, pattern: pattern) { text in
            do throws(HoldfastError) {
                try body(text)
                return nil
            } catch {
                return error.message
            }
        }
    }

    static let cron = read(
        "cron expression", "`[SECOND] MINUTE HOUR DAY MONTH WEEKDAY`, or `@daily` and the like",
        pattern: #"^(@[a-z]+|\S+(\s+\S+){4,5})$"#
    ) { text throws(HoldfastError) in _ = try CronExpression.fields(text) }

    static let calendar = read(
        "calendar expression", "`[WEEKDAYS] [DATE] [TIME] [ZONE]`, or `daily` and the like", pattern: "^.{1,256}$"
    ) { text throws(HoldfastError) in _ = try KnownCalendars.expression(text) }

    static let span = read(
        "span", "`[WEEKDAYS] HH:MM-HH:MM` or `DATE[ HH:MM]..DATE[ HH:MM]`", pattern: #"^.*(-|\.\.).*$"#
    ) { text throws(HoldfastError) in _ = try Span(text) }

    private static func oneOf(_ name: String, _ values: [String]) -> TextForm {
        TextForm(
            name: name, doc: values.map { "`\($0)`" }.joined(separator: ", "),
            pattern: "^(\(values.joined(separator: "|")))$",
            refusal: { text in
                if values.contains(text) { return nil }
                let nearest = Nearest.word(to: text, among: values).map { "; did you mean `\($0)`?" } ?? ""
                let expected = values.count > 8 ? "a \(name)" : values.joined(separator: ", ")
                return "expected \(expected), not `\(text)`\(nearest)"
            }, values: values)
    }

    static let overlap = oneOf("policy", OverlapPolicy.allCases.map(\.rawValue))
    static let catchUp = oneOf("policy", CatchUpPolicy.Which.allCases.map(\.rawValue))
    static let errorCode: TextForm = {
        var form = oneOf("code of docs/errors.md", ErrorCode.allCases.map(\.rawValue))
        form.doc = "a code of [errors.md](errors.md)"
        return form
    }()

    static let instant = TextForm(
        name: "instant", doc: "a date, or an instant such as `2026-12-01T00:00:00Z`",
        pattern: #"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$"#
    ) { Timestamp(text: $0) == nil ? "expected an instant such as 2026-12-01T00:00:00Z, not `\($0)`" : nil }
}
