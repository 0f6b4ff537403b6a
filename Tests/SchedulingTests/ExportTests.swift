// Units of systemd: their timers have the instants of the jobs, by systemd itself.

import Foundation
import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("Units of systemd")
struct ExportTests {
    private let now = Timestamp(seconds: Timestamp.days(2026, 2, 20) * 86_400)

    private func job(_ schedule: Schedule) -> Job {
        Job(name: JobName("nightly"), action: .backup(sources: ["home"]), schedule: schedule)
    }

    private func units(_ job: Job) throws -> SystemdUnits {
        try SystemdExport(program: "/bin/true", options: [], now: now).units(job)
    }

    @Test("the timers' instants are the job's, also where the clocks change")
    func instants() throws {
        let schedules = [
            try Make.calendar("*-*-* 01:30", "Europe/London"),
            try Make.calendar("Mon..Fri *-*-* 02..03:15", "Europe/Berlin"),
            try Make.calendar("*:0/20", "America/New_York"), try Make.calendar("*-*~1 23:00", "Europe/Paris"),
            try Make.cron("30 2 13 * fri", "America/New_York"), try Make.cron("15 */6 * * *"),
            try Make.calendar("*:00", "Australia/Lord_Howe"), try Make.every("90m"), try Make.every("15m"),
            try Make.every("4h"), try Make.every("1d"), try Make.every("20s"),
        ]
        for schedule in schedules {
            let calendars = try units(job(schedule)).calendars
            for start in [
                "2026-03-06T12:00:00Z", "2026-03-28T00:00:00Z", "2026-04-04T00:00:00Z", "2026-10-24T12:00:00Z",
                "2026-10-31T20:00:00Z",
            ] {
                let base = try Make.instant(start)
                let theirs = try SystemdCalendar.next(calendars, count: 60, after: base.seconds)
                #expect(theirs.count == calendars.count, "\(calendars)")
                // Each line is known up to its own sixtieth instant.
                let end = theirs.values.filter { $0.count == 60 }.compactMap(\.last).min() ?? base.seconds + 40 * 86_400
                let due = schedule.occurrences(after: base, through: Timestamp(seconds: end), limit: 10_000)
                #expect(
                    Set(theirs.values.joined().filter { $0 <= end }).sorted() == due.map(\.instant.seconds),
                    "\(schedule.text) in \(schedule.zone.name) after \(start): \(calendars)")
            }
        }
    }

    @Test("what no timer can have is refused, with what to do")
    func refused() throws {
        for text in ["7m", "2d", "1w", "7s", "61s"] {
            let refusal = try #require(Make.refusal { _ = try units(job(try Make.every(text))) }, "\(text)")
            #expect(refusal.contains("no timer of systemd has the instants"), "\(refusal)")
        }
        // A second hour of single seconds, each of which would be a line.
        #expect(Make.refusal { _ = try units(job(try Make.calendar("Sun *:*:*", "Europe/London"))) } != nil)
    }

    @Test("systemd finds the units good, whatever is in the words of the command")
    func verified() throws {
        let directory = TemporaryDirectory()
        var nightly = job(try Make.calendar("*-*-* 01:30", "Europe/London"))
        nightly.jitter = .seconds(900)
        nightly.after = [JobName("other")]
        let export = SystemdExport(
            program: "/bin/true", options: ["--config", "/etc/a b%h$HOME\"q\\.yaml"], now: now)
        let units = try export.units(nightly)
        #expect(units.notes.count == 3)
        for (name, text) in [(units.timerName, units.timer), (units.serviceName, units.service)] {
            try Data(text.utf8).write(to: URL(filePath: "\(directory.path)/\(name)"))
        }
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/systemd-analyze")
        process.arguments = ["verify", "--man=no", "\(directory.path)/\(units.timerName)"]
        let pipe = Pipe()
        process.standardError = pipe
        process.standardOutput = pipe
        try process.run()
        let output = String(decoding: try pipe.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(output)")
        #expect(!output.contains("holdfast-nightly"), "\(output)")
        #expect(units.service.contains(#""/etc/a b%%h$$HOME\"q\\.yaml""#), "\(units.service)")
    }
}
