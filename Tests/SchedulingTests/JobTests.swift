// Jitter, windows, blackouts, retries and run keys.

import Primitives
import Scheduling
import Testing

@Suite("Jobs")
struct JobTests {
    @Test("jitter is the hash that the documentation gives, below its limit and the same every time")
    func jitter() throws {
        // printf 'nightly\0db1' | sha256sum begins with 19a32ac10ac52e3f; these eight bytes modulo 900.
        let name = JobName("nightly")
        let delay = Jitter.delay(of: name, on: "db1", upTo: .seconds(900))
        #expect(delay == .seconds(139))
        #expect(Jitter.delay(of: name, on: "db2", upTo: .seconds(900)) != delay)
        #expect(Jitter.delay(of: name, on: "db1", upTo: .zero) == .zero)
        let delays = (0..<1000).map { Jitter.delay(of: JobName("job\($0)"), on: "db1", upTo: .seconds(60)) }
        #expect(delays.allSatisfy { $0 >= .zero && $0 < .seconds(60) })
        #expect(Set(delays).count == 60)
    }

    @Test("a run key is the job and the instant in UTC to the second")
    func key() throws {
        let key = RunKey(job: JobName("nightly"), scheduled: Timestamp(seconds: 1_700_000_000, nanoseconds: 5))
        #expect(key.description == "nightly@2023-11-14T22:13:20Z")
        #expect(key == RunKey(job: JobName("nightly"), scheduled: Timestamp(seconds: 1_700_000_000)))
    }

    private func opening(_ windows: [String], _ blackouts: [String] = [], _ zone: String = "UTC") throws -> Opening {
        Opening(
            windows: try windows.map { try Span($0) }, blackouts: try blackouts.map { try Span($0) },
            zone: try TimeZoneRules(named: zone))
    }

    @Test("a window that crosses midnight belongs to the day on which it begins")
    func windows() throws {
        let weekdays = try opening(["Mon..Fri 22:00-06:00"])
        // 2026-11-23 is a Monday.
        for (text, isOpen) in [
            ("2026-11-23T05:59:59Z", false), ("2026-11-23T22:00:00Z", true), ("2026-11-24T05:59:59Z", true),
            ("2026-11-24T06:00:00Z", false), ("2026-11-28T05:00:00Z", true), ("2026-11-28T22:30:00Z", false),
        ] {
            #expect(try (weekdays.refusal(at: Make.instant(text)) == nil) == isOpen, "\(text)")
        }
        #expect(try opening(["00:00-24:00"]).refusal(at: Make.instant("2026-11-23T23:59:59Z")) == nil)
        #expect(try weekdays.refusal(at: Make.instant("2026-11-28T22:30:00Z")) == .outsideWindow)
    }

    @Test("a blackout goes before a window, by the clock of the zone")
    func blackouts() throws {
        let opening = try opening(
            ["20:00-23:00"], ["2026-12-24..2026-12-26", "2026-12-31 21:00..2027-01-01 12:00"], "Europe/Berlin")
        for (text, reason) in [
            ("2026-12-23T22:30:00+01:00", nil), ("2026-12-24T20:30:00+01:00", NonRun.Reason.blackout),
            ("2026-12-26T22:59:59+01:00", .blackout), ("2026-12-27T20:00:00+01:00", nil),
            ("2026-12-31T20:59:59+01:00", nil), ("2026-12-31T21:00:00+01:00", .blackout),
        ] {
            #expect(try opening.refusal(at: Make.instant(text)) == reason, "\(text)")
        }
    }

    @Test("the next opening is found behind blackouts and changes of the clocks, or there is none")
    func next() throws {
        let night = try opening(["Mon..Fri 22:00-06:00"], ["2026-11-30..2026-12-01"])
        #expect(try night.next(from: Make.instant("2026-11-28T12:00:00Z")) == Make.instant("2026-12-02T00:00:00Z"))
        #expect(try night.next(from: Make.instant("2026-11-24T23:00:00Z")) == Make.instant("2026-11-24T23:00:00Z"))
        // 01:30 does not exist in London on this day; the window is open when the clock has come past it.
        let gap = try opening(["01:30-04:00"], [], "Europe/London")
        #expect(try gap.next(from: Make.instant("2026-03-29T00:00:00Z")) == Make.instant("2026-03-29T01:00:00Z"))
        #expect(try opening(["2020-01-01..2020-01-02"]).next(from: Make.instant("2026-01-01")) == nil)
    }

    @Test(
        "spans that cannot be read are refused",
        arguments: [
            "", "22:00", "Mon", "22-06", "24:00-25:00", "25:00-26:00", "24:00-06:00", "Funday 01:00-02:00",
            "2026-12-26..2026-12-24", "2026-13-01..2026-13-02", "2026-12-24..", "Mon 2026-12-24..2026-12-25",
        ])
    func refused(_ text: String) throws { #expect(Make.refusal { _ = try Span(text) }?.contains("`\(text)`") == true) }

    @Test("waits double up to their limit, and only for failures of the kind")
    func retries() {
        var policy = RetryPolicy()
        policy.attempts = 5
        policy.longestBackoff = .seconds(150)
        #expect(
            (2...6).map { policy.wait(beforeAttempt: $0, after: .storeUnavailable, .later) } == [
                .seconds(60), .seconds(120), .seconds(150), .seconds(150), nil,
            ])
        #expect(policy.wait(beforeAttempt: 2, after: .wrongKey, .never) == nil)
        policy.codes = [.processFailed]
        #expect(policy.wait(beforeAttempt: 2, after: .processFailed, .never) == .seconds(60))
        #expect(policy.wait(beforeAttempt: 2, after: .storeUnavailable, .later) == nil)
    }
}
