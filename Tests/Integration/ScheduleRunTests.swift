// Jobs that are run by hand: the same way as the daemon takes.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("Runs of jobs", .waiting)
struct ScheduleRunTests {
    @Test("backs up, checks, thins out and mirrors by the jobs' files, those first that others come after")
    func all() throws {
        let jobs = try JobRun()
        let place = jobs.run.directory.path
        try jobs.job("a-forget", "forget: {}\nwhen: {cron: 30 4 * * *}")
        try jobs.job("b-mirror", "mirror: {to: [\(place)/copy]}\nwhen: {every: 1d}\nafter: [d-nightly]")
        try jobs.job("c-check", "check: {readData: true}\nwhen: {every: 7d}")
        try jobs.job("d-nightly", "backup: {}\nwhen: {calendar: daily}")
        let result = try jobs("schedule", "run", "--all", "--json")
        #expect(result.status == 0, "\(result.errors) \(result.output)")
        let runs = try #require(try result.json()["runs"] as? [[String: Any]])
        #expect(runs.map { $0["job"] as? String } == ["c-check", "d-nightly", "a-forget", "b-mirror"])
        #expect(runs.allSatisfy { $0["outcome"] as? String == "succeeded" })
        #expect(try jobs.history().count == 4)
        #expect(FileManager.default.fileExists(atPath: place + "/copy"))
    }

    @Test("runs one instant once")
    func once() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo ran >> \"$0.out\"")
        let instant = ["--scheduled-for", "2026-01-01T00:00:00Z"]
        #expect(try jobs("schedule", "run", "job", instant[0], instant[1]).status == 0)
        let second = try jobs("schedule", "run", "job", instant[0], instant[1])
        #expect(second.status == 11 && second.errors.contains("has ended"))
        #expect(jobs.text("job.sh.out") == "ran\n")
    }

    @Test("goes on with the others when one cannot begin, and tells alerts all the same")
    func goesOn() throws {
        let jobs = try JobRun()
        try jobs.script("a", "false")
        try jobs.script("b", "echo ran >> \"$0.out\"")
        let instant = ["--scheduled-for", "2026-01-01T00:00:00Z"]
        // Nobody is told of its failure yet.
        #expect(try jobs("schedule", "run", "a", instant[0], instant[1]).status != 0)
        try jobs.notify("told")
        let result = try jobs("schedule", "run", "--all", instant[0], instant[1])
        #expect(result.status == 11 && result.errors.contains("has ended"), "\(result.errors)")
        #expect(jobs.text("b.sh.out") == "ran\n")
        #expect(jobs.text("told").contains("job/a/failed"))
    }

    @Test("tells the job its run, its attempt and its fencing token, and tries again as the job says")
    func attempts() throws {
        let jobs = try JobRun()
        try jobs.script(
            "job",
            "echo \"$HOLDFAST_RUN $HOLDFAST_ATTEMPT $HOLDFAST_FENCE\" >> \"$0.out\"; [ \"$HOLDFAST_ATTEMPT\" = 3 ]",
            "when: {every: 1d}\nretries: {attempts: 3, backoff: 1s, longestBackoff: 1s}")
        let result = try jobs("schedule", "run", "job", "--scheduled-for", "2026-01-01T00:00:00Z", "--json")
        #expect(result.status == 0, "\(result.errors)")
        let lines = jobs.text("job.sh.out").split(separator: "\n").map { $0.split(separator: " ") }
        #expect(lines.map { $0[0] } == Array(repeating: "job@2026-01-01T00:00:00Z", count: 3))
        #expect(lines.map { $0[1] } == ["1", "2", "3"])
        let fences = lines.compactMap { Int($0[2]) }
        #expect(fences.count == 3 && fences == fences.sorted() && Set(fences).count == 3)
        #expect(try jobs.history().count == 1)
    }

    @Test("ends a job at its deadline that ignores SIGTERM, with all that it forked")
    func deadline() throws {
        let jobs = try JobRun()
        // One child in the group, one in a session of its own; all ignore the signal.
        try jobs.script(
            "job",
            "trap '' TERM; sleep 1000 & setsid sh -c \"trap '' TERM; echo \\$\\$ > $0.pid; sleep 1001\" & sleep 1002",
            "when: {every: 1d}\ndeadlines: {run: 2s}")
        let result = try jobs("schedule", "run", "job")
        #expect(result.status == 1 && result.output.contains("timed-out"), "\(result.output) \(result.errors)")
        let escaped = try #require(Int32(jobs.text("job.sh.pid").trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(kill(escaped, 0) != 0)
        #expect(try jobs.history().first?["outcome"] as? String == "timed-out")
    }

    @Test("keeps the end of a gigabyte of output, in bounded memory")
    func flood() throws {
        let jobs = try JobRun()
        try jobs.script("job", "head -c 1073741824 /dev/zero | tr '\\0' 'x'; echo; echo the end; exit 7")
        let result = try jobs("schedule", "run", "job")
        #expect(result.status == 1 && result.output.contains("exit status 7"), "\(result.output)")
        #expect(try jobs.history().first?["outcome"] as? String == "failed")
    }

    @Test("keeps no secret of what a job prints")
    func secrets() throws {
        let jobs = try JobRun()
        try jobs.script(
            "job", "echo password=geheim-1; echo postgres://u:geheim-2@h/d >&2; echo integration-geheim-3 >&2; exit 1")
        var run = jobs.run
        run.password = "integration-geheim-3"
        let result = try run.start(["schedule", "run", "job", "-v"], naming: false).finish()
        #expect(result.status == 1)
        for text in [result.output, result.errors] {
            for number in 1...3 { #expect(!text.contains("geheim-\(number)"), "\(text)") }
        }
        #expect(result.errors.contains("[redacted]"))
        let state = jobs.run.directory.path + "/.local/state/holdfast"
        for name in try FileManager.default.contentsOfDirectory(atPath: state) {
            let bytes = FileManager.default.contents(atPath: state + "/" + name) ?? Data()
            #expect(bytes.range(of: Data("geheim-".utf8)) == nil, "\(name)")
        }
    }

    @Test("hands the password to its child and not to its environment")
    func password() throws {
        let jobs = try JobRun()
        try jobs.job("job", "backup: {}\nwhen: {every: 1d}")
        _ = try jobs.run.file(
            "holdfast.yaml",
            "repositories: {main: {location: \(jobs.run.repository)}}\n"
                + "sources: {data: {url: \"dir:\(jobs.run.directory.path)/data\"}}\n")
        let result = try jobs.run.start(["schedule", "run", "job"], naming: false).finish()
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test("does not thin out after a failed backup, nor run what is paused, and remembers why")
    func refusals() throws {
        let jobs = try JobRun()
        try jobs.job("forget", "forget: {}\nwhen: {every: 1d}")
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        let early = try jobs("schedule", "run", "forget")
        #expect(early.status == 11 && early.errors.contains("retention"), "\(early.errors)")
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/data")
        #expect(try jobs("schedule", "run", "nightly").status == 1)
        #expect(try jobs("schedule", "run", "forget").status == 11)
        #expect(try jobs("schedule", "pause", "nightly", "--reason", "moving", "--until", "1h").status == 0)
        let paused = try jobs("schedule", "run", "nightly")
        #expect(paused.status == 11 && paused.errors.contains("moving"), "\(paused.errors)")
        #expect(try jobs("schedule", "resume", "nightly").status == 0)
        let lines = try jobs.history().map { "\($0["job"] ?? "") \($0["outcome"] ?? $0["reason"] ?? "")" }
        #expect(lines == ["nightly paused", "forget dependency", "nightly failed", "forget dependency"], "\(lines)")
    }

    @Test("does not thin out while a check says that the repository is damaged, and does when one finds none")
    func damaged() throws {
        let jobs = try JobRun()
        try jobs.run.randomFile("data/large", 300_000, seed: 7)
        try jobs.job("forget", "forget: {}\nwhen: {every: 1d}")
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        try jobs.job("deep", "check: {readData: true}\nwhen: {every: 1d}")
        for _ in 0..<3 { #expect(try jobs("schedule", "run", "nightly").status == 0) }
        let pack = try #require(jobs.run.objects("packs").first)
        let good = try Data(contentsOf: URL(filePath: pack))
        try jobs.run.flipByte(of: pack)
        #expect(try jobs("schedule", "run", "deep").status == 4)
        let snapshots = jobs.run.objects("snapshots").count
        let refused = try jobs("schedule", "run", "forget")
        #expect(refused.status == 11 && refused.errors.contains("found damage"), "\(refused.errors)")
        let timer = try jobs("schedule", "run", "forget", "--scheduled-for", "latest")
        #expect(timer.status == 11 && timer.errors.contains("dependency"), "\(timer.errors)")
        #expect(jobs.run.objects("snapshots").count == snapshots)
        try good.write(to: URL(filePath: pack))
        #expect(try jobs("check", "--read-data").status == 0)
        #expect(try jobs("schedule", "run", "forget").status == 0)
    }

    @Test(
        "does not thin out after a failed backup of the same repository under another mount",
        .enabled(if: geteuid() == 0))
    func mountedTwice() throws {
        let jobs = try JobRun()
        let place = jobs.run.directory.path
        try FileManager.default.createDirectory(atPath: place + "/alt", withIntermediateDirectories: true)
        let text = jobs.text("holdfast.yaml")
        _ = try jobs.run.file(
            "holdfast.yaml",
            text.replacing(
                "sources:",
                with: "  alt: {location: \(place)/alt, password: file:\(place)/password}\n"
                    + "defaults: {repository: main}\nsources:"))
        try jobs.job("forget", "forget: {}\nrepository: main\nwhen: {every: 1d}")
        try jobs.job("nightly", "backup: {}\nrepository: alt\nwhen: {every: 1d}")
        var run = jobs.run
        run.password = nil
        let mount = "mount --bind \(jobs.run.repository) \(place)/alt"
        run.wrapper = ["/usr/bin/unshare", "-m", "sh", "-c", "\(mount) 2>/dev/null || exit 77; exec \"$@\"", "sh"]
        guard try run("--version", naming: false).status == 0 else { return }
        try FileManager.default.removeItem(atPath: place + "/data")
        #expect(try run("schedule", "run", "nightly", naming: false).status == 1)
        let thinned = try run("schedule", "run", "forget", naming: false)
        #expect(thinned.status == 11 && thinned.errors.contains("retention"), "\(thinned.output) \(thinned.errors)")
    }

    @Test("refuses what it cannot mean")
    func usage() throws {
        let jobs = try JobRun()
        try jobs.script("job", "true")
        #expect(try jobs("schedule", "run").status == 64)
        #expect(try jobs("schedule", "run", "other").status == 64)
        #expect(try jobs("schedule", "pause", "job", "--reason", "x", "--until", "yesterday").status == 64)
        #expect(try jobs("schedule", "pause", "job", "--reason", "x", "--until", "2020-01-01").status == 64)
    }
}
