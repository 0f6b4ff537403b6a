// Schedules where the clocks change, by examples whose instants were worked out by hand.

import Primitives
import Scheduling
import Testing

@Suite("Changes of the clocks")
struct ClockChangeTests {
    @Test("a time in the gap runs at the first valid instant after it, once for all times of the gap")
    func gap() throws {
        // 01:00 to 02:00 on 29 March 2026 does not exist in London.
        #expect(
            try Make.next(3, of: Make.calendar("*-*-* 01:30 Europe/London"), after: "2026-03-27T12:00:00Z") == [
                "2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z moved", "2026-03-30T00:30:00Z",
            ])
        #expect(
            try Make.next(3, of: Make.cron("0,15,30 2 * * *", "America/New_York"), after: "2026-03-07T07:20:00Z") == [
                "2026-03-07T07:30:00Z", "2026-03-08T07:00:00Z moved", "2026-03-09T06:00:00Z",
            ])
        // The first minute after the gap is due anyway: one run, and not a moved one twice.
        #expect(
            try Make.next(
                3, of: Make.calendar("02..03:00 America/New_York"),
                after: "2026-03-08T00:00:00-05:00") == [
                    "2026-03-08T07:00:00Z moved", "2026-03-09T06:00:00Z", "2026-03-09T07:00:00Z",
                ])
    }

    @Test("a time that comes twice runs once, the first time")
    func fold() throws {
        #expect(
            try Make.next(3, of: Make.calendar("*-*-* 01:30 Europe/London"), after: "2026-10-24T12:00:00Z") == [
                "2026-10-25T00:30:00Z first-of-two", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z",
            ])
        // From inside the second hour the next is that of the day after.
        #expect(
            try Make.next(1, of: Make.calendar("*-*-* 01:30 Europe/London"), after: "2026-10-25T01:10:00Z")
                == ["2026-10-26T01:30:00Z"])
        #expect(
            try Make.next(2, of: Make.calendar("01:*:00 America/New_York"), after: "2026-11-01T05:58:30Z")
                == ["2026-11-01T05:59:00Z first-of-two", "2026-11-02T06:00:00Z"])
    }

    @Test("a wildcard schedule follows elapsed time: no hole and no double")
    func wildcard() throws {
        #expect(
            try Make.next(4, of: Make.calendar("*:00 America/New_York"), after: "2026-11-01T04:30:00Z") == [
                "2026-11-01T05:00:00Z first-of-two", "2026-11-01T06:00:00Z second-of-two", "2026-11-01T07:00:00Z",
                "2026-11-01T08:00:00Z",
            ])
        #expect(
            try Make.next(3, of: Make.cron("30 * * * *", "America/New_York"), after: "2026-03-08T06:00:00Z")
                == ["2026-03-08T06:30:00Z", "2026-03-08T07:30:00Z", "2026-03-08T08:30:00Z"])
    }

    @Test("where the clocks change by half an hour a wildcard schedule has no hole either")
    func halfAnHour() throws {
        // Lord Howe Island goes from 02:00 back to 01:30 on 5 April, and from 02:00 to 02:30 on 4 October 2026.
        let hourly = try Make.calendar("*:00 Australia/Lord_Howe")
        #expect(
            try Make.next(3, of: hourly, after: "2026-04-04T13:30:00Z") == [
                "2026-04-04T14:00:00Z", "2026-04-04T15:00:00Z added", "2026-04-04T15:30:00Z",
            ])
        // The same from the very instant before and after the added one.
        #expect(try Make.next(1, of: hourly, after: "2026-04-04T15:00:00Z") == ["2026-04-04T15:30:00Z"])
        #expect(try Make.next(1, of: hourly, after: "2026-04-04T14:59:59Z") == ["2026-04-04T15:00:00Z added"])
        #expect(
            try Make.next(3, of: hourly, after: "2026-10-03T14:30:00Z")
                == ["2026-10-03T15:30:00Z", "2026-10-03T16:00:00Z", "2026-10-03T17:00:00Z"].enumerated().map {
                    $0.offset == 0 ? $0.element + " added" : $0.element
                })
    }

    @Test("a day that a zone left out runs when the next begins")
    func day() throws {
        // Samoa had no 30 December 2011.
        #expect(
            try Make.next(3, of: Make.calendar("Fri 12:00 Pacific/Apia"), after: "2011-12-25T00:00:00Z") == [
                "2011-12-30T10:00:00Z moved", "2012-01-05T22:00:00Z", "2012-01-12T22:00:00Z",
            ])
    }

    @Test("an interval counts elapsed time from 1970 and knows no zone")
    func interval() throws {
        #expect(
            try Make.next(2, of: Make.every("90m"), after: "1970-01-01T01:30:00Z")
                == ["1970-01-01T03:00:00Z", "1970-01-01T04:30:00Z"])
        #expect(try Make.next(1, of: Make.every("15m"), after: "1969-12-31T23:50:00Z") == ["1970-01-01T00:00:00Z"])
        #expect(try Make.next(1, of: Make.every("15m"), after: "1969-12-31T23:44:59Z") == ["1969-12-31T23:45:00Z"])
    }

    @Test("what an expression that names each hour is: the star, the step of one, and the list of all")
    func definition() throws {
        for text in ["*:30", "0/1:30", "0..23:30", "hourly", "minutely"] {
            #expect(try CalendarExpression(text).fields.isWildcard, "\(text)")
        }
        for text in ["0/2:30", "1..23:30", "01:*", "daily"] {
            #expect(try !CalendarExpression(text).fields.isWildcard, "\(text)")
        }
        #expect(try CronExpression.fields("*/5 * * * *").isWildcard)
        #expect(try !CronExpression.fields("*/5 */2 * * *").isWildcard)
    }
}
