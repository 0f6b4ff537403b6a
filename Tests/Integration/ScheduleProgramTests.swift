// The verbs that look at jobs, by the real program.

import Foundation
import TestSupport
import TestThreads
import Testing

@Suite("Schedules", .waiting)
struct ScheduleProgramTests {
    private func prepared(rpo: String = "26h", _ jobs: [String: String]) throws -> ProgramRun {
        var run = ProgramRun()
        run.password = nil
        try run.makeDirectory("site")
        try run.randomFile("site/first", 100_000, seed: 1)
        try run.makeDirectory("schedules")
        _ = try run.file("password", "integration\n")
        _ = try run.file(
            "holdfast.yaml",
            """
            repositories: {main: {location: repository, password: file:password}}
            sources: {site: {url: dir:site, rpo: \(rpo), retention: {daily: 7}}}
            """)
        for (name, text) in jobs { _ = try run.file("schedules/\(name).yaml", text) }
        return run
    }

    private static let nightly = "backup: {sources: [site]}\nwhen: {calendar: '*-*-* 01:30 Europe/London'}\n"

    @Test("next prints UTC and local time with its offset, and marks what a change of the clocks moved")
    func next() throws {
        let run = try prepared(["nightly": Self.nightly, "off": Self.nightly + "enabled: false\n"])
        let spring = try run("schedule", "next", "--after", "2026-03-27T12:00:00Z", "--count", "3", naming: false)
        #expect(spring.status == 0, "\(spring.errors)")
        #expect(
            spring.output == """
                JOB      UTC                   LOCAL                      NOTE
                nightly  2026-03-28T01:30:00Z  2026-03-28T01:30:00+00:00
                nightly  2026-03-29T01:00:00Z  2026-03-29T02:00:00+01:00  moved
                nightly  2026-03-30T00:30:00Z  2026-03-30T01:30:00+01:00

                """)
        let json = try run(
            "schedule", "next", "nightly", "--after", "2026-10-24T12:00:00Z", "--count", "400", "--json", naming: false
        ).json()
        let runs = try #require(json["runs"] as? [[String: Any]])
        #expect(runs.count == 400 && runs[0]["mark"] as? String == "first-of-two")
        #expect(runs[0]["key"] as? String == "nightly@2026-10-25T00:30:00Z")
        #expect(Set(runs.compactMap { $0["key"] as? String }).count == 400)
        let unknown = try run("schedule", "next", "nightli", naming: false)
        #expect(unknown.status == 64 && unknown.errors.contains("There are: nightly, off."), "\(unknown.errors)")
    }

    @Test("list shows the next run that may start")
    func list() throws {
        let run = try prepared([
            "hourly": "check: {}\nwhen: {cron: 0 * * * *}\nblackouts: [2020-01-01..2189-12-31]\n",
            "nightly": Self.nightly, "held": Self.nightly + "paused: {reason: migration}\n",
            "yearly": "command: [echo]\nwhen: {calendar: 2190-01-01}\nenabled: false\n",
        ])
        let json = try run("schedule", "list", "--json", naming: false).json()
        let jobs = try #require(json["jobs"] as? [[String: Any]])
        #expect(jobs.compactMap { $0["name"] as? String } == ["held", "hourly", "nightly", "yearly"])
        #expect(jobs.map { $0["next"] is String } == [false, false, true, false])
        #expect(jobs.compactMap { $0["state"] as? String } == ["paused", "enabled", "enabled", "disabled"])
        let text = try run("schedule", "list", naming: false)
        #expect(text.output.contains("nightly  backup   *-*-* 01:30  Europe/London"), "\(text.output)")
    }

    @Test("list and next show what was ordered by command, with who and why, and make no state")
    func orders() throws {
        let run = try prepared(["nightly": Self.nightly, "other": Self.nightly])
        func listed() throws -> [String: String] {
            let jobs = try run("schedule", "list", "--json", naming: false).json()["jobs"] as? [[String: Any]] ?? []
            return Dictionary(uniqueKeysWithValues: jobs.map { ("\($0["name"] ?? "")", "\($0["state"] ?? "")") })
        }
        func next() throws -> [String?] {
            let report = try run("schedule", "next", "nightly", "--count", "3", "--json", naming: false).json()
            return (report["runs"] as? [[String: Any]] ?? []).map { $0["refusal"] as? String }
        }
        #expect(try listed() == ["nightly": "enabled", "other": "enabled"])
        #expect(!FileManager.default.fileExists(atPath: run.directory.path + "/.local/state/holdfast/runs.sqlite"))
        // A run makes the state, to which orders belong.
        _ = try run("schedule", "run", "other", naming: false)
        #expect(try run("schedule", "skip", "nightly", "--reason", "load test", naming: false).status == 0)
        #expect(try listed() == ["nightly": "skips-next", "other": "enabled"])
        #expect(try next() == ["skipped", nil, nil])
        #expect(try run("schedule", "list", naming: false).output.contains("load test"))
        #expect(
            try run("schedule", "pause", "nightly", "--reason", "new disk", "--until", "36h", naming: false).status == 0
        )
        #expect(try listed()["nightly"] == "paused")
        let paused = try next()
        #expect(paused.first == "paused" && paused.last == .some(nil), "\(paused)")
        #expect(try run("schedule", "list", naming: false).output.contains("new disk"))
    }

    @Test("lint fails a plan that cannot meet an objective with status 4, and names file and line")
    func lint() throws {
        let job = "backup: {sources: [site]}\nwhen:\n  calendar: 06:00\nduration: 2h\n"
        let good = try prepared(["nightly": job])
        let passed = try good("schedule", "lint", naming: false)
        #expect(passed.status == 0 && passed.output.contains("no findings"), "\(passed.output)\(passed.errors)")
        let bad = try prepared(rpo: "24h", ["nightly": job])
        let failed = try bad("schedule", "lint", naming: false)
        #expect(failed.status == 4)
        #expect(
            failed.output.contains("/schedules/nightly.yaml:2: source `site` can lose 1d2h, and its RPO is 1d"),
            "\(failed.output)")
        let json = try bad("schedule", "lint", "--json", naming: false)
        #expect(json.status == 4)
        let sources = try #require(try json.json()["sources"] as? [[String: Any]])
        #expect(sources[0]["worstSeconds"] as? Int == 26 * 3600)
        let wrong = try prepared([
            "a": "backup: {sources: [sight]}\nwhen: {every: 1h}\nafter: [b]\n",
            "b": "drill: {plan: none}\nwhen: {every: 1h}\nafter: [a]\n",
            "c": "command: [curl, 'https://hc.example.com/ping']\nwhen: {every: 1h}\n",
        ])
        let rules = try #require(
            try wrong("schedule", "lint", "--json", naming: false).json()["findings"] as? [[String: Any]])
        #expect(
            rules.compactMap { $0["rule"] as? String } == [
                "unknown-source", "unknown-plan", "cycle", "placeholder", "rpo",
            ])
    }

    @Test("with --measured the durations are those of the snapshots")
    func measured() throws {
        let run = try prepared(["nightly": "backup: {sources: [site]}\nwhen: {calendar: 06:00}\n"])
        let unknown = try run("schedule", "lint", naming: false)
        #expect(unknown.output.contains("warning: ") && unknown.output.contains("is not known"), "\(unknown.output)")
        #expect(try run("init", naming: false).status == 0)
        #expect(try run("backup", "site", naming: false).status == 0)
        let known = try run("schedule", "lint", "--measured", naming: false)
        #expect(known.status == 0 && known.output.contains("no findings"), "\(known.output)\(known.errors)")
    }

    @Test("export writes units that systemd finds good, and refuses what no timer can have")
    func export() throws {
        let run = try prepared(["nightly": Self.nightly + "jitter: 10m\n"])
        try run.makeDirectory("units")
        let result = try run("schedule", "export", "systemd", "--to", "units", naming: false)
        #expect(result.status == 0, "\(result.errors)")
        #expect(result.output == "units/holdfast-nightly.timer\nunits/holdfast-nightly.service\n")
        #expect(result.errors.contains("lines of their own"), "\(result.errors)")
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/systemd-analyze")
        process.arguments = ["verify", "--man=no", run.directory.path + "/units/holdfast-nightly.timer"]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        #expect(process.terminationStatus == 0)
        let service = try String(
            contentsOfFile: run.directory.path + "/units/holdfast-nightly.service", encoding: .utf8)
        #expect(service.contains("ExecStart=\(ProductBinary.path) schedule run nightly --scheduled-for latest"))
        #expect(!service.contains("--state-dir"), "the state is where systemd says")
        let words = ["--state-dir", "own state", "--cache-dir", "own-cache"]
        let moved = try run.start(["schedule", "export", "systemd"] + words, naming: false).finish()
        let own = run.directory.path
        #expect(
            moved.output.contains(" --state-dir ") && !moved.errors.contains("of no enabled job"), "\(moved.errors)")
        for text in ["\(own)/own state", "\(own)/own-cache"] {
            #expect(moved.output.contains(text), "\(text): \(moved.output)")
        }
        _ = try run.file("units/holdfast-gone.timer", "")
        _ = try run.file("units/holdfast-gone.service", service.replacing("nightly", with: "gone"))
        let again = try run("schedule", "export", "systemd", "--to", "units", naming: false)
        #expect(again.errors.contains("units/holdfast-gone.timer is of no enabled job"), "\(again.errors)")
        _ = try run.file("schedules/odd.yaml", "backup: {}\nwhen: {every: 7m}\n")
        let refused = try run("schedule", "export", "systemd", "odd", "--to", "units", naming: false)
        #expect(refused.status == 64 && refused.errors.contains("does not divide a day"), "\(refused.errors)")
    }

    @Test("errors in job files are told by file, line and column; without a directory it is said where it would be")
    func errors() throws {
        let run = try prepared(["bad": "backup: {}\nwhen: {every: soon}\n"])
        let result = try run("schedule", "list", naming: false)
        #expect(result.status == 64)
        #expect(result.errors.contains("/schedules/bad.yaml:2:15: `every`: expected a duration"), "\(result.errors)")
        let absent = try run("schedule", "list", "--schedules", "absent", naming: false)
        #expect(absent.status == 64 && absent.errors.contains("absent cannot be read"), "\(absent.errors)")
        #expect(try ProgramRun()("schedule", "list", naming: false).status == 64)
    }

    @Test("the jobs of the repository are good as they are, and keep the example's objectives")
    func example() throws {
        var root = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { root.deleteLastPathComponent() }
        let run = ProgramRun()
        let result = try run(
            "schedule", "lint", "--config", root.path + "/schedules/holdfast.yaml", "--at", "2026-11-01", naming: false)
        #expect(result.status == 0 && result.output.contains("no findings"), "\(result.output)\(result.errors)")
    }
}
