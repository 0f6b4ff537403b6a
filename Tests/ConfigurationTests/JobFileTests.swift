// What a job file comes to, and what is wrong with a bad one.

import Configuring
import Foundation
import Primitives
import Scheduling
import TestSupport
import Testing

@Suite("Job files")
struct JobFileTests {
    private func problems(_ text: String) -> [String] {
        guard case .bad(let problems) = JobFile.parse(Array(text.utf8), path: "/j/nightly.yaml", directory: "/j") else {
            return []
        }
        return problems.map { "\($0.position.line):\($0.position.column): \($0.message)" }
    }

    private func job(_ text: String) throws -> ConfiguredJob {
        guard case .good(let job) = JobFile.parse(Array(text.utf8), path: "/j/nightly.yaml", directory: "/j") else {
            Issue.record("\(problems(text))")
            throw Parsing.Unexpected()
        }
        return job
    }

    @Test("every key has its meaning")
    func whole() throws {
        let configured = try job(
            """
            name: night
            backup:
              sources: [home, web]
            repository: main
            when:
              cron: 30 2 * * mon-fri
            timeZone: Europe/Berlin
            jitter: 10m
            windows: [Mon..Fri 22:00-06:00]
            blackouts: [2026-12-24..2026-12-26]
            after: [other]
            before: [mirror]
            concurrency: {source: queue, host: replace}
            retries: {attempts: 3, backoff: 10s, longestBackoff: 1m, on: [store-unavailable, busy]}
            deadlines: {start: 1h, run: 6h}
            catchUp: {policy: all, within: 2d}
            duration: 20m
            enabled: false
            paused: {reason: migration, until: 2026-12-01}
            """)
        let job = configured.job
        #expect(job.name == JobName("night") && job.action == .backup(sources: ["home", "web"]))
        #expect(job.schedule.text == "30 2 * * mon-fri" && job.schedule.zone.name == "Europe/Berlin")
        #expect(job.repository == "main" && job.jitter == .seconds(600))
        #expect(job.windows.map(\.text) == ["Mon..Fri 22:00-06:00"] && job.blackouts.count == 1)
        #expect(job.after == [JobName("other")] && configured.before == [JobName("mirror")])
        #expect(job.concurrency == [.source: .queue, .host: .replace])
        #expect(job.retries.attempts == 3 && job.retries.backoff == .seconds(10))
        #expect(job.retries.longestBackoff == .seconds(60) && job.retries.codes == [.storeUnavailable, .busy])
        #expect(job.startDeadline == .seconds(3600) && job.runDeadline == .seconds(6 * 3600))
        #expect(job.catchUp == CatchUpPolicy(.all, within: .seconds(2 * 86_400)))
        #expect(job.expectedDuration == .seconds(1200) && !job.isEnabled)
        #expect(job.pause == Pause(reason: "migration", until: Timestamp(text: "2026-12-01")))
        #expect(configured.positions["jitter"] == Position(line: 8, column: 1))
    }

    @Test("the least file has the defaults, and its name from its path")
    func least() throws {
        let job = try job("backup: {}\nwhen: {every: 15m}\n").job
        #expect(job.name == JobName("nightly") && job.action == .backup(sources: []))
        #expect(job.schedule.zone.name == "UTC" && job.schedule.text == "every 15m")
        #expect(job.concurrency == [.source: .skip] && job.retries.attempts == 1)
        #expect(job.catchUp == CatchUpPolicy(.once, within: .seconds(7 * 86_400)))
    }

    @Test("what is done is one of these")
    func actions() throws {
        for (text, action) in [
            ("forget: {}", JobAction.forget(sources: [], prune: true)),
            ("forget: {sources: [a], prune: false}", .forget(sources: ["a"], prune: false)),
            ("check: {}", .check(.structure)), ("check: {readData: true}", .check(.everything)),
            ("check: {time: 1h}", .check(.time(.seconds(3600)))),
            ("check: {bytes: 1G}", .check(.bytes(ByteCount(1 << 30)))), ("drill: {plan: p}", .drill(plan: "p")),
            ("ledger: {}", .ledger), ("rotate: {}", .rotate(policies: [])),
            ("rotate: {policies: [tokens]}", .rotate(policies: ["tokens"])), ("mirror: {}", .mirror(to: [])),
            ("mirror: {to: [second, /x]}", .mirror(to: ["/j/second", "/x"])),
            ("command: [report, --weekly]", .command(["report", "--weekly"])),
        ] {
            #expect(try job(text + "\nwhen: {calendar: '*-*-* *:30 Europe/London'}").job.action == action, "\(text)")
        }
    }

    @Test(
        "all that is wrong is told with line and column",
        arguments: [
            ("when: {every: 1h}", ["1:1: the file has neither `backup`, `forget`"]),
            ("backup: {}\ncheck: {}\nwhen: {every: 1h}", ["2:1: `backup` and `check` contradict each other"]),
            ("backup: {}", ["1:1: the file has no `when`"]),
            ("backup: {}\nwhen: {every: 1h, cron: '* * * * *'}", ["2:19: `every` and `cron` contradict"]),
            ("backup: {}\nwhen: {every: 0s}", ["2:8: `every`: an interval is 1s at least"]),
            ("backup: {}\nwhen:\n  cron: 61 * * * *", ["3:9: `cron`: `61 * * * *`: minute 61 is out of range"]),
            ("backup: {}\nwhen:\n  calendar: *-*-* 01:30", ["3:13: a text that begins with `*` stands in quotes"]),
            ("backup: {}\nwhen:\n  cron: */5 * * * *", ["3:10: not valid YAML: while scanning an alias"]),
            ("backup: {}\nwhen:\n  calendar: 01:30 Europe/Lodon", ["3:13: `calendar`: `01:30 Europe/Lodon`: there is"]),
            (
                "backup: {}\nwhen: {calendar: '01:30 Europe/London'}\ntimeZone: UTC",
                ["3:1: `timeZone` is UTC, and the calendar says Europe/London"]
            ),
            ("backup: {}\nwhen: {every: 1h}\nafter: [nightly]", ["3:9: `after`: a job cannot wait for itself"]),
            ("backup: {}\nwhen: {every: 1h}\nwindows: [22-06]", ["3:11: `windows`: `22-06`: write FROM-TO"]),
            ("backup: {}\nwhen: {every: 1h}\nconcurrency: {source: skipp}", ["3:23: `source`: expected queue, skip"]),
            ("backup: {}\nwhen: {every: 1h}\nretries: {attempts: 2, on: [bussy]}", ["did you mean `busy`?"]),
            ("backup: {}\nwhen: {every: 1h}\ncatchup: {}", ["3:1: unknown key `catchup` in the file; did you mean"]),
            ("backup: {}\nwhen: {every: 1h}\npaused: {}", ["3:9: `paused` has no `reason`"]),
            ("check: {time: 1h, bytes: 1G}\nwhen: {every: 1h}", ["1:19: `time` and `bytes` contradict each other"]),
            ("command: [curl, -u, 'a:b', --password, s3cret]\nwhen: {every: 1h}", ["`command`: "]),
            ("backup: {}\nwhen: {every: 1h}\ndeadlines: {run: 0s}", ["3:13: `run`: a run needs some time"]),
        ])
    func bad(_ text: String, _ expected: [String]) {
        let found = problems(text)
        #expect(found.count == expected.count, "\(found)")
        for (one, other) in zip(found, expected) { #expect(one.contains(other), "\(found)") }
    }

    @Test(
        "calendars full of asterisks are no aliases, in quotes and behind a word",
        arguments: [
            "{calendar: '*-*-* *:30'}", "{calendar: 'Mon *-*-* *:30'}", "{calendar: Mon *-*-1}", "{cron: 0 * * * *}",
            "{calendar: \"*:*:00\"}", "{cron: '*/5 * * * *'}",
        ])
    func asterisks(_ when: String) throws { #expect(problems("backup: {}\nwhen: \(when)\n") == []) }

    @Test("`before` of one is `after` of the other; two of one name and names of nobody are told by file")
    func directory() throws {
        let directory = TemporaryDirectory()
        func write(_ name: String, _ text: String) throws -> String {
            let path = "\(directory.path)/\(name)"
            try Data(text.utf8).write(to: URL(filePath: path))
            return path
        }
        let one = try write("one.yaml", "backup: {}\nwhen: {every: 1h}\nbefore: [two]\n")
        let two = try write("two.yaml", "mirror: {}\nwhen: {every: 1h}\n")
        guard case .good(let jobs) = try JobDirectory.read([one, two]) else {
            Issue.record("not good")
            return
        }
        #expect(jobs[1].job.after == [JobName("one")])
        let three = try write("three.yaml", "name: two\nmirror: {}\nwhen: {every: 1h}\nbefore: [nobody]\n")
        guard case .bad(let problems) = try JobDirectory.read([one, two, three]) else {
            Issue.record("not bad")
            return
        }
        #expect(problems.map(\.path) == [three])
        #expect(problems[0].problem.message == "\(two) has a job `two` already")
        #expect(
            try JobDirectory.files(["b.yaml", "holdfast.yaml", ".a.yaml", "x.env", "a.yaml"], in: "/d")
                == ["a.yaml", "b.yaml"])
    }

    @Test("a thousand files are read in their order, and each problem is told of its own file")
    func many() throws {
        let directory = TemporaryDirectory()
        let zones = ["UTC", "Europe/Berlin", "Asia/Kolkata"]
        let paths = try (0..<1000).map { number in
            let path = "\(directory.path)/job-\(number).yaml"
            let text = "backup: {}\nwhen: {every: \(number + 1)h}\ntimeZone: \(zones[number % 3])\n"
            try Data(text.utf8).write(to: URL(filePath: path))
            return path
        }
        guard case .good(let jobs) = try JobDirectory.read(paths) else {
            Issue.record("not good")
            return
        }
        #expect(jobs.map(\.path) == paths)
        for (number, job) in jobs.enumerated() {
            #expect(job.job.name == JobName("job-\(number)"))
            #expect(job.job.schedule.rule == .every(Int64(number + 1) * 3600))
            #expect(job.job.schedule.zone.name == zones[number % 3])
        }
        for number in [700, 71, 999] { try Data("nothing: {}\n".utf8).write(to: URL(filePath: paths[number])) }
        guard case .bad(let problems) = try JobDirectory.read(paths) else {
            Issue.record("not bad")
            return
        }
        let told = problems.map(\.path)
        #expect(Set(told) == [paths[71], paths[700], paths[999]])
        let order = [paths[71], paths[700], paths[999]]
        #expect(told.compactMap { order.firstIndex(of: $0) } == told.compactMap { order.firstIndex(of: $0) }.sorted())
    }
}
