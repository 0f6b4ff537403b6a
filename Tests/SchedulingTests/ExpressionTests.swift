// What can be written as a calendar or cron expression, and how what cannot is refused.

import Primitives
import Scheduling
import Testing

@Suite("Calendar and cron expressions")
struct ExpressionTests {
    private func next(_ text: String) throws -> [String] {
        try Make.next(2, of: Make.calendar(text), after: "2026-01-01T00:00:00Z")
    }

    @Test("weekdays, lists, ranges, steps, last days and zones are read as systemd reads them")
    func calendars() throws {
        #expect(try next("Mon..Fri 09:05") == ["2026-01-01T09:05:00Z", "2026-01-02T09:05:00Z"])
        #expect(try next("Mon,wednesday..Fri") == ["2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"])
        #expect(try next("*-*~1") == ["2026-01-31T00:00:00Z", "2026-02-28T00:00:00Z"])
        #expect(try next("*-02~01..03") == ["2026-02-26T00:00:00Z", "2026-02-27T00:00:00Z"])
        #expect(try next("Mon *-05~07/1") == ["2026-05-25T00:00:00Z", "2027-05-31T00:00:00Z"])
        #expect(try next("*-*-1..20/3 8..17:0/20") == ["2026-01-01T08:00:00Z", "2026-01-01T08:20:00Z"])
        #expect(try next("2026..2030/2-1-1") == ["2028-01-01T00:00:00Z", "2030-01-01T00:00:00Z"])
        #expect(try next("26-5-10 1:2:3") == ["2026-05-10T01:02:03Z"])
        #expect(try next("*-02-29") == ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"])
        #expect(try next("*-02-30") == [])
        #expect(try next("daily Europe/Berlin") == ["2026-01-01T23:00:00Z", "2026-01-02T23:00:00Z"])
        #expect(try next("quarterly") == ["2026-04-01T00:00:00Z", "2026-07-01T00:00:00Z"])
    }

    @Test("cron expressions have five fields or six, names, words, and either day when both are given")
    func cron() throws {
        func next(_ text: String) throws -> [String] {
            try Make.next(3, of: Make.cron(text), after: "2026-01-01T00:00:00Z")
        }
        #expect(
            try next("30 2 13 * fri") == ["2026-01-02T02:30:00Z", "2026-01-09T02:30:00Z", "2026-01-13T02:30:00Z"])
        // A field that begins with a star does not count as given: both must match.
        #expect(try next("0 0 */10 * 5").map { $0.prefix(10) } == ["2026-05-01", "2026-07-31", "2026-08-21"])
        #expect(
            try next("15 30 4 ? JAN,jul 7") == ["2026-01-04T04:30:15Z", "2026-01-11T04:30:15Z", "2026-01-18T04:30:15Z"])
        #expect(try next("@weekly").first == "2026-01-04T00:00:00Z")
        #expect(try next("*/20 22-23 1 * *")[1] == "2026-01-01T22:20:00Z")
        #expect(try next("0 0 * * 5-7").prefix(2) == ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"])
    }

    @Test(
        "what cannot be read is refused with the piece that is wrong",
        arguments: [
            ("", "empty"), ("*", "neither weekdays"), ("10", "neither weekdays"), ("Wed..Mon 10:00", "goes back"),
            ("Mon.Fri", "no weekday"), ("*-*-5..1", "goes back"), ("*-*-0", "day 0 is out of range"),
            ("*-*-* 24:00", "hour 24 is out of range"), ("*:*/15", "write 0/15"), ("10:00/30m", "no step"),
            ("10:00/60", "leads from minute 0 to no other minute"), ("*-*-~1", "is no date"),
            ("*~*-1", "before the day alone"), ("10:00 Europe/Lodon", "no time zone Europe/Lodon"),
            ("2026-01-01T10:00", "is no hour"), ("10:00:00.5", "parts of seconds"), ("10:00 *-*-01", "in this order"),
            ("Mon,Funday", "`Funday` is no weekday"), ("*-13-01", "month 13"), ("+1-1-1", "is no year"),
        ])
    func refusedCalendars(_ text: String, _ reason: String) throws {
        let refusal = try #require(Make.refusal { _ = try CalendarExpression(text) }, "\(text)")
        #expect(refusal.contains(reason) && refusal.contains("`\(text)`"), "\(refusal)")
    }

    @Test(
        "cron expressions that cannot be read are refused with the field that is wrong",
        arguments: [
            ("* * * *", "4 fields"), ("60 * * * *", "minute 60"), ("* * L * *", "has ~ for the last days"),
            ("@every 5m", "every: 15m"), ("@reboot", "the words are"), ("*/0 * * * *", "no step"),
            ("5-1 * * * *", "goes back"), ("* * * * mon#2", "`mon#2`"), ("1,,2 * * * *", "is no minute"),
            ("*/60 * * * *", "leads from minute 0"), ("0 0 ? ? *", "is no month"),
        ])
    func refusedCron(_ text: String, _ reason: String) throws {
        let refusal = try #require(Make.refusal { _ = try CronExpression.fields(text) }, "\(text)")
        #expect(refusal.contains(reason), "\(refusal)")
    }

    @Test("the last occurrence is the one before the next")
    func last() throws {
        for text in ["*:0/7", "Mon..Fri 01:30 Europe/London", "*-02-29 12:00", "*:*:*", "1-1 *:*:0/7"] {
            let schedule = try Make.calendar(text)
            var from = try Make.instant("2026-10-24T11:22:33Z")
            for occurrence in schedule.occurrences(
                after: from, through: Timestamp(nanoseconds: .max), limit: 20)
            {
                let before = schedule.last(
                    atOrBefore: Timestamp(seconds: occurrence.instant.seconds - 1), notBefore: Timestamp(seconds: 0))
                #expect(try #require(before).instant <= from)
                let same = schedule.last(atOrBefore: occurrence.instant, notBefore: from)
                #expect(same == occurrence, "\(text)")
                from = occurrence.instant
            }
        }
        let never = try Make.calendar("2199-01-01")
        #expect(
            never.last(atOrBefore: try Make.instant("2026-01-01"), notBefore: Timestamp(seconds: 0)) == nil)
    }
}
