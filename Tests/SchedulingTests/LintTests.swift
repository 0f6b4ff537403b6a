// Whether schedules can keep objectives, and refer to what there is.

import Primitives
import Scheduling
import Testing

@Suite("Lint")
struct LintTests {
    private func job(
        _ name: String, _ when: String = "*-*-* 00:30", zone: String = "UTC", sources: [String] = ["home"],
        duration: Duration? = .seconds(7200)
    ) throws -> Job {
        var job = Job(
            name: JobName(name), action: .backup(sources: sources), schedule: try Make.calendar(when, zone))
        job.expectedDuration = duration
        return job
    }

    private func lint(
        _ jobs: [Job], rpo: Duration? = .seconds(26 * 3600), _ change: (inout LintFacts) -> Void = { _ in },
        durations: any RunDurations = NoMeasuredDurations()
    ) throws -> ScheduleLint {
        var facts = LintFacts(sources: [.init(name: "home", rpo: rpo, repository: "main")])
        facts.repositories = ["main": 1]
        facts.defaultRepository = "main"
        facts.retained = ["home"]
        change(&facts)
        return ScheduleLint(
            jobs, facts, durations: durations, host: "db1", now: try Make.instant("2026-11-01T00:00:00Z"))
    }

    private func rules(_ lint: ScheduleLint) -> [String] {
        lint.findings.map { "\($0.severity.rawValue) \($0.rule.rawValue)" }
    }

    @Test("a nightly job of two hours has a worst loss of 26 hours: an RPO of 26 hours is met, one of 24 is not")
    func nightly() throws {
        let good = try lint([job("nightly")])
        #expect(rules(good) == [])
        #expect(good.forecasts.first?.worst == .seconds(26 * 3600))
        let bad = try lint([job("nightly")], rpo: .seconds(24 * 3600))
        #expect(rules(bad) == ["error rpo"])
        #expect(bad.findings[0].message.contains("can lose 1d2h, and its RPO is 1d"), "\(bad.findings)")
        #expect(bad.hasErrors)
    }

    @Test("jitter counts, and a measured duration goes before the declared one")
    func parts() throws {
        var nightly = try job("nightly")
        nightly.jitter = .seconds(1)
        #expect(try rules(lint([nightly])) == ["error rpo"])
        struct Measured: RunDurations {
            func p95(of job: JobName, source: String) -> Duration? { source == "home" ? .seconds(60) : nil }
        }
        let measured = try lint([nightly], durations: Measured())
        #expect(rules(measured) == [])
        #expect(measured.forecasts.first?.worst == .seconds(24 * 3600 + 61))
    }

    @Test("an autumn night of 25 hours counts, by the instants of the year to come")
    func autumn() throws {
        let lint = try lint([job("nightly", "*-*-* 06:00", zone: "Europe/Berlin")])
        #expect(rules(lint) == ["error rpo"])
        #expect(lint.forecasts.first?.interval == .seconds(25 * 3600))
        #expect(lint.forecasts.first?.worstAt == (try Make.instant("2027-10-31T07:00:00Z")))
    }

    @Test("two jobs together can do what one cannot; windows take runs away; disabled and paused jobs do not count")
    func together() throws {
        let (one, other) = (try job("one", "*-*-* 00:00"), try job("two", "*-*-* 12:00"))
        #expect(try rules(lint([one, other], rpo: .seconds(14 * 3600))) == [])
        var windowed = try job("hourly", "*:00", duration: .zero)
        #expect(try rules(lint([windowed], rpo: .seconds(3600))) == [])
        windowed.windows = [try Span("20:00-06:00")]
        #expect(try lint([windowed], rpo: .seconds(3600)).forecasts.first?.interval == .seconds(15 * 3600))
        var disabled = other
        disabled.isEnabled = false
        #expect(try rules(lint([one, disabled], rpo: .seconds(14 * 3600))) == ["error rpo"])
        var paused = other
        paused.pause = Pause(reason: "migration", until: nil)
        #expect(try rules(lint([one, paused], rpo: .seconds(14 * 3600))) == ["warning paused", "error rpo"])
    }

    @Test("the longest interval of a job on workdays is that over the weekend")
    func longest() throws {
        let now = try Make.instant("2026-11-02T12:00:00Z")
        #expect(try ScheduleLint.longestInterval(job("a", "Mon..Fri 02:00"), "h", now) == .seconds(3 * 86_400))
        #expect(try ScheduleLint.longestInterval(job("a", "2026-12-24 18:00"), "h", now) == nil)
    }

    @Test("a job that comes after another runs no more often than that one, and never when that one does not")
    func predecessors() throws {
        var nightly = try job("nightly")
        nightly.after = [JobName("first")]
        func first(_ when: String, _ change: (inout Job) -> Void = { _ in }) throws -> Job {
            var first = Job(
                name: JobName("first"), action: .command(["true"]), schedule: try Make.calendar(when))
            first.expectedDuration = .seconds(3600)
            change(&first)
            return first
        }
        let weekly = try lint([nightly, first("Sun 00:00") { $0.expectedDuration = nil }])
        #expect(rules(weekly) == ["error rpo"])
        #expect(weekly.forecasts.first?.interval == .seconds(7 * 86_400))
        // One that is due at the same time is waited for until its run has ended; another ran the day before.
        for (when, end) in [("*-*-* 00:30", "2026-11-02T03:30:00Z"), ("*-*-* 05:00", "2026-11-02T02:30:00Z")] {
            let waits = try lint([nightly, first(when)])
            #expect(rules(waits) == [] && waits.forecasts.first?.interval == .seconds(86_400), "\(when)")
            #expect(waits.forecasts.first?.worstAt == (try Make.instant(end)), "\(when)")
        }
        var hasty = nightly
        hasty.startDeadline = .seconds(1800)
        #expect(try rules(lint([hasty, first("*-*-* 00:30")])) == ["error rpo"])
        let disabled = try first("daily") { $0.isEnabled = false }
        #expect(try rules(lint([nightly, disabled])) == ["error never-runs", "error rpo"])
        let paused = try first("daily") { $0.pause = Pause(reason: "r", until: nil) }
        #expect(try rules(lint([nightly, paused], rpo: nil)) == ["warning paused", "error never-runs"])
    }

    @Test("the time until a pause ends counts")
    func pauses() throws {
        var nightly = try job("nightly")
        nightly.pause = Pause(reason: "r", until: try Make.instant("2027-05-01T00:00:00Z"))
        let found = try lint([nightly])
        #expect(rules(found) == ["warning paused", "error rpo"])
        #expect(found.forecasts.first?.interval == .seconds(181 * 86_400 + 1800))
        // Another one goes on in the meantime.
        #expect(try !lint([nightly, job("other")]).hasErrors)
    }

    @Test("a source that comes later in its job takes as long as those before it as well")
    func order() throws {
        struct Measured: RunDurations {
            func p95(of job: JobName, source: String) -> Duration? {
                source == "other" ? .seconds(3 * 3600) : .seconds(600)
            }
        }
        let sources = [["other", "home"], ["home", "other"], []]
        for (names, hours) in zip(sources, [Int64(3), 0, 3]) {
            let found = try lint(
                [job("nightly", sources: names)], rpo: .seconds(30 * 3600),
                { $0.sources.insert(.init(name: "other", rpo: nil, repository: "main"), at: 0) }, durations: Measured())
            #expect(found.forecasts.first?.worst == .seconds(24 * 3600 + hours * 3600 + 600), "\(names)")
        }
    }

    @Test("a source with an RPO and without a job is an error; a duration that is not known a warning")
    func missing() throws {
        #expect(try rules(lint([])) == ["error rpo"])
        #expect(try rules(lint([job("nightly", duration: nil)])) == ["warning no-duration"])
        #expect(try rules(lint([], rpo: nil)) == [])
    }

    @Test("references to what there is not are errors, and so are jobs that wait for each other")
    func references() throws {
        var nightly = try job("nightly", sources: ["home", "nowhere"])
        nightly.repository = "second"
        nightly.after = [JobName("absent")]
        #expect(
            try rules(lint([nightly])) == [
                "error unknown-source", "error unknown-repository", "error unknown-job",
            ])
        func other(_ name: String, _ action: JobAction, after: [String] = []) throws -> Job {
            var job = Job(name: JobName(name), action: action, schedule: try Make.calendar("daily"))
            job.after = after.map { JobName($0) }
            return job
        }
        #expect(try rules(lint([other("d", .drill(plan: "p"))], rpo: nil)) == ["error unknown-plan"])
        #expect(try rules(lint([other("d", .drill(plan: "home"))], rpo: nil)) == [])
        #expect(
            try rules(lint([other("m", .mirror(to: []))], rpo: nil) { $0.repositories["main"] = 0 }) == [
                "error no-mirror"
            ])
        #expect(
            try rules(lint([other("f", .forget(sources: [], prune: true))], rpo: nil) { $0.retained = [] })
                == ["error no-retention"])
        let ring = try lint(
            [
                other("a", .check(.structure), after: ["b"]), other("b", .check(.structure), after: ["c"]),
                other("c", .check(.structure), after: ["b"]),
            ], rpo: nil)
        #expect(rules(ring) == ["error cycle"])
        #expect(ring.findings[0].message.contains("b, c") && !ring.findings[0].message.contains("a, b"))
    }

    @Test("what never runs, too much jitter and wall times where the clocks change are told")
    func timing() throws {
        #expect(try rules(lint([job("never", "*-02-30")], rpo: nil)) == ["error never-runs"])
        var closed = try job("closed", "*-*-* 12:00")
        closed.windows = [try Span("20:00-06:00")]
        #expect(try rules(lint([closed], rpo: nil)) == ["error never-runs"])
        var wide = try job("wide", "*:0/10")
        wide.jitter = .seconds(600)
        #expect(try rules(lint([wide], rpo: nil)) == ["warning jitter"])
        wide.startDeadline = .zero
        #expect(try rules(lint([wide], rpo: nil)) == ["warning jitter", "error deadline"])
        for (when, zone, isTold) in [
            ("*-*-* 01:30", "Europe/London", true), ("*-*-* 02:59", "Europe/Berlin", true),
            ("*-*-* 03:00", "Europe/London", false), ("*-*-* 02:30", "UTC", false),
            ("*-*-* 02:30", "Asia/Tokyo", false), ("*:30", "Europe/London", false),
            // Clocks change at midnight there.
            ("*-*-* 00:00", "Africa/Cairo", true), ("Mon..Fri 00:00", "Europe/Berlin", false),
        ] {
            #expect(
                try rules(lint([job("night", when, zone: zone)], rpo: nil)) == (isTold ? ["warning clock-change"] : []),
                "\(when) \(zone)")
        }
    }

    @Test("placeholders are seen, and what only looks like them is not")
    func placeholders() {
        for text in [
            "dir:/srv/CHANGEME", "https://backup.example.com/x", "dir:/<your directory>", "postgres://${HOST}/x",
            "dir:{{ path }}", "/usr/local/bin/your-script",
        ] {
            #expect(Placeholder.found(in: text) != nil, "\(text)")
        }
        for text in ["dir:/home", "postgres:///?host=/run", "a < b > c", "dir:/srv/${}"] {
            #expect(Placeholder.found(in: text) == nil, "\(text)")
        }
        #expect(Placeholder.found(in: "echo ${HOME} <x>", isCode: true) == nil)
    }
}
