// The one screen of `status`, its exit status and its JSON, against what docs/SCHEDULING.md says of them.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("The status", .waiting)
struct StatusTests {
    private struct Seen {
        let status: Int32
        let json: [String: Any]
        let source: [String: Any]
        let jobs: [[String: Any]]
        var trouble: [String] { jobs.map { "\($0["job"] ?? "") \($0["trouble"] ?? "")" } }
    }

    private func look(_ jobs: JobRun) throws -> Seen {
        let result = try jobs("status", "--json")
        let json = try result.json()
        #expect(json["schema"] as? String == "holdfast.status/1")
        return Seen(
            status: result.status, json: json, source: try #require((json["sources"] as? [[String: Any]])?.first),
            jobs: try #require(json["jobs"] as? [[String: Any]]))
    }

    /// A source with a snapshot that a drill restored.
    private func proven() throws -> JobRun {
        let jobs = try JobRun()
        // Large enough that most of its pack is content.
        try jobs.run.randomFile("data/large", 300_000, seed: 7)
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        #expect(try jobs("schedule", "run", "nightly").status == 0)
        #expect(try jobs("drill", "data").status == 0)
        return jobs
    }

    private func state(_ jobs: JobRun) -> String { jobs.run.directory.path + "/.local/state/holdfast/runs.sqlite" }

    @Test("is green when all is proven, within its objective, and every job does what it should")
    func green() throws {
        let jobs = try proven()
        let seen = try look(jobs)
        #expect(seen.status == 0 && seen.json["recoverable"] as? String == "proven")
        #expect(seen.source["isWithinObjective"] as? Bool == true && seen.source["lastProof"] != nil)
        #expect(seen.source["nextRun"] != nil && seen.source["objectiveSeconds"] as? Int == 86_400)
        #expect(seen.jobs.isEmpty && seen.json["unknown"] == nil && (seen.json["alerts"] as? [Any])?.isEmpty == true)
        // Without any jobs there is nothing that could be wrong with them.
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules")
        #expect(try look(jobs).status == 0)
        #expect(try jobs("status", "--schedules", "nowhere").status == 3)
        // Where jobs are and no state is, nothing is known of them, and none is made.
        try FileManager.default.createDirectory(
            atPath: jobs.run.directory.path + "/schedules", withIntermediateDirectories: true)
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        #expect(try jobs("status", "--state-dir", "new").status == 3)
        #expect(!FileManager.default.fileExists(atPath: jobs.run.directory.path + "/new/runs.sqlite"))
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules")
        // A backup that is too old is over its objective, proven or not.
        let path = jobs.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        _ = try jobs.run.file("holdfast.yaml", text.replacing("rpo: 1d", with: "rpo: 1s"))
        pause(.seconds(2))
        let stale = try look(jobs)
        #expect(stale.status == 4 && stale.source["isWithinObjective"] as? Bool == false)
        #expect(stale.json["recoverable"] as? String == "proven")
        #expect(try jobs("status").output.contains(" OVER"))
    }

    @Test("is 3 while a job fails or is overdue, and while jobs or their runs cannot be read")
    func jobs() throws {
        let jobs = try proven()
        try jobs.script("bad", "exit 1")
        #expect(try jobs("schedule", "run", "bad").status == 1)
        var seen = try look(jobs)
        #expect(seen.status == 3 && seen.trouble == ["bad failing"] && seen.jobs[0]["outcome"] as? String == "failed")
        #expect(seen.json["recoverable"] as? String == "proven")
        #expect((seen.json["alerts"] as? [[String: Any]])?.map { $0["key"] as? String } == ["job/bad/failed"])
        #expect(try jobs("status").output.contains("job bad: failing: it ended as failed"))
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules/bad.yaml")
        #expect(try look(jobs).status == 0)

        try jobs.run.sqlite(state(jobs), "UPDATE jobs SET through = through - 4 * 86400 WHERE job = 'nightly';")
        seen = try look(jobs)
        #expect(seen.status == 3 && seen.trouble == ["nightly overdue"] && seen.jobs[0]["since"] != nil)
        #expect(try jobs("schedule", "pause", "nightly", "--reason", "r", "--until", "1d").status == 0)
        #expect(try look(jobs).status == 0, "what is told not to run is not overdue")

        try jobs.job("nightly", "when: nonsense")
        seen = try look(jobs)
        #expect(seen.status == 3 && (seen.json["unknown"] as? [String: Any])?["code"] as? String == "configuration")
        #expect(seen.source["recoverable"] as? String == "unproven")
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        for ending in ["-wal", "-shm"] { unlink(state(jobs) + ending) }
        try Data("this is no database, and was one when it was still whole".utf8).write(
            to: URL(filePath: state(jobs)))
        seen = try look(jobs)
        #expect(seen.status == 3 && (seen.json["unknown"] as? [String: Any])?["code"] as? String == "corrupt-object")
        #expect(try jobs("status").output.contains("jobs and their runs are not known"))
    }

    @Test("is 4 over damage that a check found, until one that reads as much finds none")
    func damage() throws {
        let jobs = try proven()
        try jobs.job("deep", "check: {readData: true}\nwhen: {every: 1d}")
        try jobs.job("quick", "check: {}\nwhen: {every: 1d}")
        let pack = try #require(jobs.run.objects("packs").first)
        let good = try Data(contentsOf: URL(filePath: pack))
        try jobs.run.flipByte(of: pack)
        #expect(try jobs("schedule", "run", "deep").status == 4)
        #expect(try look(jobs).status == 4)
        #expect(try jobs("schedule", "run", "quick").status == 0)
        let seen = try look(jobs)
        #expect(seen.status == 4 && seen.source["recoverable"] as? String == "no")
        #expect(seen.source["damageFound"] != nil && seen.source["lastCheckOutcome"] as? String == "succeeded")
        #expect((seen.source["reason"] as? String)?.contains("deep") == true)
        // Neither another budget in the file nor another name of the job forgets it.
        try jobs.job("deep", "check: {}\nwhen: {every: 1d}")
        #expect(try jobs("schedule", "run", "deep").status == 0)
        #expect(try look(jobs).status == 4)
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules/deep.yaml")
        #expect(try look(jobs).status == 4)
        try jobs.job("whole", "check: {readData: true}\nwhen: {every: 1d}")
        try good.write(to: URL(filePath: pack))
        #expect(try jobs("schedule", "run", "whole").status == 0)
        #expect(try look(jobs).status == 0)
    }

    @Test("is 3 while a run goes on for days")
    func overlong() throws {
        let jobs = try proven()
        try jobs.script("slow", "sleep 60")
        let started = try jobs.start("schedule", "run", "slow")
        defer { _ = try? started.finish() }
        let age = "UPDATE runs SET began = began - 172800000000000 WHERE job = 'slow' AND state = 'running';"
        for _ in 0..<600 {
            try jobs.run.sqlite(state(jobs), age)
            // Before it began the status is 3 as well, since no run of the job is known.
            if try look(jobs).trouble == ["slow overlong"] { break }
            pause(.milliseconds(50))
        }
        let seen = try look(jobs)
        #expect(seen.status == 3 && seen.trouble == ["slow overlong"], "\(seen.json)")
        #expect((seen.json["alerts"] as? [[String: Any]])?.map { $0["key"] as? String } == ["job/slow/overlong"])
        #expect(try jobs("status").output.contains("job slow: overlong: its run of"))
        started.send(SIGTERM)
        _ = try started.finish()
        #expect(try look(jobs).trouble == ["slow failing"])
    }

    @Test("is 3 while a job does not get to run, and while a critical alert fires")
    func starved() throws {
        let jobs = try proven()
        try jobs.job("scrub", "check: {}\nwhen: {every: 1d}")
        let today = Int64(Date().timeIntervalSince1970) / 86_400 * 86_400
        for day in Int64(1)...3 {
            let due = today - day * 86_400
            try jobs.run.sqlite(
                state(jobs),
                "INSERT INTO runs (job, scheduled, last, count, cause, state, attempt, fence, host, process, boot, "
                    + "lease, reason, noted) VALUES ('scrub', \(due), \(due), 1, 'schedule', 'not-run', 0, 0, '', 0, "
                    + "'', 0, 'overlap', \(due)000000000);")
        }
        var seen = try look(jobs)
        #expect(seen.status == 3 && seen.trouble == ["scrub starved"], "\(seen.json)")
        #expect(seen.jobs[0]["reason"] as? String == "overlap")
        #expect(try jobs("status").output.contains("did not take place, at last by overlap"))
        #expect(try jobs("schedule", "run", "scrub").status == 0)
        #expect(try look(jobs).status == 0)
        try jobs.run.sqlite(
            state(jobs), "INSERT INTO alerts VALUES ('outcome/1', 'critical', 'firing', 'text', 1, 1, NULL);")
        seen = try look(jobs)
        #expect(seen.status == 3 && seen.trouble.isEmpty)
        try jobs.run.sqlite(state(jobs), "UPDATE alerts SET severity = 'warning';")
        #expect(try look(jobs).status == 0)
    }

    @Test("proves nothing by a check that lies further back than its job's period, or by a drill that is disabled")
    func periods() throws {
        let jobs = try proven()
        try jobs.job("scrub", "check: {readData: true}\nwhen: {every: 1d}")
        #expect(try jobs("schedule", "run", "scrub").status == 0)
        #expect(try look(jobs).status == 0)
        try jobs.run.sqlite(state(jobs), "UPDATE checks SET ended = ended - 37 * 3600000000000;")
        let late = try look(jobs)
        #expect(late.status == 3 && late.source["recoverable"] as? String == "unproven")
        #expect((late.source["reason"] as? String)?.contains("scrub") == true, "\(late.json)")
        #expect(try jobs("check").status == 0)
        #expect(try look(jobs).status == 3, "it looked at less")
        #expect(try jobs("check", "--read-data").status == 0)
        #expect(try look(jobs).status == 0)
        try jobs.job("often", "drill: {plan: data}\nwhen: {every: 1s}\nenabled: false")
        pause(.seconds(2))
        #expect(try look(jobs).status == 0, "a disabled job says nothing of the period")
    }

    @Test("shows a pause in a job's file, with who and until when, and the next run after it")
    func filePause() throws {
        let jobs = try proven()
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}\npaused: {reason: disk swap}")
        var seen = try look(jobs)
        #expect(seen.source["nextRun"] == nil)
        let alert = try #require((seen.json["alerts"] as? [[String: Any]])?.first)
        #expect(alert["key"] as? String == "job/nightly/paused")
        #expect(alert["summary"] as? String == "job nightly is paused by its file: disk swap")
        #expect(try jobs("schedule", "list").output.contains("by its file: disk swap"))
        let end = "2199-01-01T00:00:00Z"
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}\npaused: {reason: disk swap, until: \(end)}")
        seen = try look(jobs)
        #expect(seen.source["nextRun"] as? String == "2199-01-02T00:00:00Z")
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        seen = try look(jobs)
        #expect((seen.json["alerts"] as? [Any])?.isEmpty == true && seen.source["nextRun"] != nil)
    }

    @Test("is not green in a state that another verb made, nor while a job was never run in it")
    func otherStates() throws {
        let jobs = try proven()
        #expect(try look(jobs).status == 0)
        let place = ["--state-dir", jobs.run.directory.path + "/new"]
        var run = jobs.run
        run.password = nil
        for words in [
            ["schedule", "history"], ["schedule", "resume", "nightly"], ["schedule", "skip", "nightly"],
            ["schedule", "pause", "nightly", "--reason", "r", "--until", "1d"],
        ] {
            let result = try run.start(words + place, naming: false).finish()
            #expect(result.errors.contains("/new/runs.sqlite"), "\(words): \(result.errors)")
            #expect(!FileManager.default.fileExists(atPath: place[1] + "/runs.sqlite"), "\(words)")
        }
        // A run of one job tells nothing of the others.
        try jobs.script("other", "true")
        #expect(try run.start(["schedule", "run", "other"] + place, naming: false).finish().status == 0)
        let seen = try run.start(["status", "--json"] + place, naming: false).finish()
        #expect(seen.status == 3, "\(seen.output)")
        let unknown = try seen.json()["unknown"] as? [String: Any]
        #expect((unknown?["message"] as? String)?.contains("nightly") == true, "\(seen.output)")
        #expect(try run.start(["schedule", "run", "nightly"] + place, naming: false).finish().status == 0)
        #expect(try run.start(["status"] + place, naming: false).finish().status == 0)
    }

    @Test("knows damage of before places were remembered by the job's file, and of any place without one")
    func olderDamage() throws {
        let jobs = try proven()
        let far = jobs.run.directory.path + "/far"
        try TestRepository.create(at: far, password: "integration")
        let path = jobs.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        _ = try jobs.run.file(
            "holdfast.yaml",
            text.replacing(
                "sources:",
                with: "  far: {location: \(far), password: file:\(jobs.run.directory.path)/password}\n"
                    + "defaults: {repository: main}\nsources:"))
        try jobs.run.sqlite(
            state(jobs), "INSERT INTO checks VALUES ('', 'deep', 'everything', '', 'check-failed', 1, 1, 1000);")
        #expect(try look(jobs).status == 4)
        try jobs.job("deep", "check: {}\nrepository: far\nwhen: {every: 1d}\nenabled: false")
        #expect(try look(jobs).status == 0)
        try jobs.job("deep", "check: {}\nrepository: main\nwhen: {every: 1d}\nenabled: false")
        #expect(try look(jobs).status == 4)
        // A file that is wrong hides nothing of it.
        try jobs.job("other", "when: nonsense")
        let seen = try look(jobs)
        #expect(seen.status == 4 && seen.source["recoverable"] as? String == "no")
        #expect((seen.json["unknown"] as? [String: Any])?["code"] as? String == "configuration")
    }

    @Test("is green again after a check by hand that read as much")
    func byHand() throws {
        let jobs = try proven()
        try jobs.job("deep", "check: {readData: true}\nwhen: {every: 1d}")
        let pack = try #require(jobs.run.objects("packs").first)
        let good = try Data(contentsOf: URL(filePath: pack))
        try jobs.run.flipByte(of: pack)
        #expect(try jobs("schedule", "run", "deep").status == 4)
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules/deep.yaml")
        try good.write(to: URL(filePath: pack))
        #expect(try jobs("check").status == 0)
        #expect(try look(jobs).status == 4)
        #expect(try jobs("check", "--read-data-subset", "100%").status == 0)
        #expect(try look(jobs).status == 4)
        #expect(try jobs("check", "--read-data").status == 0)
        #expect(try look(jobs).status == 0)
        // And what is found by hand is known.
        try jobs.run.flipByte(of: pack)
        #expect(try jobs("check", "--read-data").status == 4)
        #expect(try look(jobs).status == 4)
    }

    @Test("is not green again by checks with a budget that do not read what was damaged")
    func budgets() throws {
        let jobs = try proven()
        for seed in UInt64(1)...3 {
            try jobs.run.randomFile("data/more\(seed)", 200_000, seed: seed)
            #expect(try jobs("backup", "data").status == 0)
        }
        let memory = jobs.run.directory.path + "/.local/state/holdfast/checks"
        try jobs.job("some", "check: {bytes: 1G}\nwhen: {every: 1d}")
        let packs = try jobs.run.objects("packs").filter { try Data(contentsOf: URL(filePath: $0)).count > 100_000 }
        #expect(packs.count > 1)
        let good = try packs.map { try Data(contentsOf: URL(filePath: $0)) }
        func mend(_ number: Int) throws { try good[number].write(to: URL(filePath: packs[number])) }
        try jobs.run.flipByte(of: packs[0])
        #expect(try jobs("schedule", "run", "some").status == 4 && look(jobs).status == 4)
        // The memory is lost, and one good pack is read.
        try FileManager.default.removeItem(atPath: memory)
        try jobs.job("some", "check: {bytes: 1}\nwhen: {every: 1d}")
        for _ in 0..<2 {
            let isGood = try jobs("schedule", "run", "some").status == 0
            #expect(try !isGood || look(jobs).status == 4, "the pack is damaged still")
        }
        try mend(0)
        try jobs.job("some", "check: {bytes: 1G}\nwhen: {every: 1d}")
        #expect(try jobs("schedule", "run", "some").status == 0 && look(jobs).status == 4)
        #expect(try jobs("check", "--read-data").status == 0 && look(jobs).status == 0)
        // More is damaged than the budget reads again.
        for pack in packs.prefix(2) { try jobs.run.flipByte(of: pack) }
        #expect(try jobs("schedule", "run", "some").status == 4)
        for number in 0..<2 { try mend(number) }
        try jobs.job("other", "check: {bytes: 1}\nwhen: {every: 1d}")
        let left = try jobs("schedule", "run", "other")
        #expect(left.status == 4, "\(left.output) \(left.errors)")
        #expect(try look(jobs).status == 4)
        #expect(try jobs("schedule", "run", "other").status == 0 && look(jobs).trouble == ["some failing"])
        #expect(try jobs("schedule", "run", "some").status == 0 && look(jobs).status == 0)
    }
}
