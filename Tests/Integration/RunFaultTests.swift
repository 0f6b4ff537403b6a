// Runs of jobs whose processes are killed or stopped, without a daemon that would look after them.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("Runs of jobs in trouble", .waiting)
struct RunFaultTests {
    private func isThere(_ process: Int32) -> Bool { kill(process, 0) == 0 }

    private func number(_ text: String) -> Int32? { Int32(text.trimmingCharacters(in: .whitespacesAndNewlines)) }

    private func outcomes(_ jobs: JobRun, _ job: String) throws -> [String] {
        try jobs.history(job).map { "\($0["outcome"] ?? $0["reason"] ?? $0["state"] ?? "")" }
    }

    @Test("a run that was killed is not in the way of the next, which ends what it left")
    func killed() throws {
        let jobs = try JobRun()
        try jobs.script("job", "[ -e \"$0.pid\" ] || { echo $$ > \"$0.pid\"; sleep 1000; }")
        let first = try jobs.start("schedule", "run", "job")
        try jobs.wait(for: "the job") { number(jobs.text("job.sh.pid")) != nil }
        first.send(SIGKILL)
        #expect(try first.finish().status == SIGKILL)
        let second = try jobs("schedule", "run", "job")
        #expect(second.status == 0 && second.errors.contains("died"), "\(second.errors)")
        let left = try #require(number(jobs.text("job.sh.pid")))
        try jobs.wait(for: "the end of what was left") { !isThere(left) }
        // Within one second both are one run.
        let found = try outcomes(jobs, "job")
        #expect(found.contains("succeeded") && found.allSatisfy { ["succeeded", "failed"].contains($0) }, "\(found)")
    }

    @Test("the verbs of a run end with the process that holds it")
    func orphans() throws {
        let jobs = try JobRun(
            sources: "  data:\n    command: {dump: [sh, -c, \"echo $PPID > verb; exec sleep 1000\"], file: dump}\n")
        try jobs.job("nightly", "backup: {}\nwhen: {every: 1d}")
        let first = try jobs.start("schedule", "run", "nightly")
        try jobs.wait(for: "the dump") { number(jobs.text("verb")) != nil }
        let verb = try #require(number(jobs.text("verb")))
        #expect(verb != first.process.processIdentifier && isThere(verb))
        first.send(SIGKILL)
        _ = try first.finish()
        try jobs.wait(for: "the end of the verb") { !isThere(verb) }
    }

    @Test("a run that was stopped past its lease finds itself fenced, and another has ended it")
    func stopped() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo $HOLDFAST_ATTEMPT >> \"$0.out\"; [ $HOLDFAST_ATTEMPT = 2 ] || sleep 1000")
        let instant = ["--scheduled-for", "2026-01-01T00:00:00Z"]
        let first = try jobs.start("schedule", "run", "job", instant[0], instant[1])
        try jobs.wait(for: "the job") { !jobs.text("job.sh.out").isEmpty }
        first.send(SIGSTOP)
        // In place of the minute that the lease lasts.
        let tool = Process()
        tool.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        let state = jobs.run.directory.path + "/.local/state/holdfast/runs.sqlite"
        tool.arguments = ["sqlite3", "-cmd", ".timeout 20000", state, "UPDATE runs SET lease = 0"]
        try tool.run()
        tool.waitUntilExit()
        #expect(tool.terminationStatus == 0)
        let second = try jobs("schedule", "run", "job", instant[0], instant[1])
        #expect(second.status == 0, "\(second.errors)")
        first.send(SIGCONT)
        let late = try first.finish()
        #expect(late.status == 1 && late.errors.contains("not ours any more"), "\(late.status) \(late.errors)")
        #expect(jobs.text("job.sh.out") == "1\n2\n")
        let lines = try jobs.history("job")
        #expect(lines.count == 1 && lines[0]["outcome"] as? String == "succeeded" && lines[0]["attempt"] as? Int == 2)
    }

    @Test("a state whose writers are killed again and again opens, and each run has one end")
    func killLoop() throws {
        let jobs = try JobRun()
        for number in 0..<6 { try jobs.script("job-\(number)", "echo $HOLDFAST_RUN >> \"$0.out\"") }
        let seed: UInt64 = 20_261_130
        let generator = SeededEntropy(seed: seed)
        for _ in 0..<10 {
            let run = try jobs.start("schedule", "run", "--all")
            pause(.milliseconds(Int64(generator.next() % 600)))
            run.send(SIGKILL)
            _ = try run.finish()
        }
        let last = try jobs("schedule", "run", "--all")
        #expect(last.status == 0, "seed \(seed): \(last.errors)")
        let lines = try jobs.history()
        let keys = lines.map { "\($0["job"] ?? "")@\($0["scheduled"] ?? "")" }
        #expect(Set(keys).count == keys.count, "seed \(seed)")
        #expect(lines.allSatisfy { ["ended"].contains($0["state"] as? String) }, "seed \(seed): \(lines)")
        for number in 0..<6 {
            // A run that died may have been started once more.
            let begun = jobs.text("job-\(number).sh.out").split(separator: "\n").map(String.init)
            #expect(Set(begun).isSubset(of: keys) && begun.count <= 2 * Set(begun).count, "seed \(seed): \(begun)")
        }
    }

    @Test("a timer's run is the first of its job, comes once, and is left out when something speaks against it")
    func timers() throws {
        let jobs = try JobRun()
        try jobs.script("job", "true")
        #expect(try jobs("schedule", "list").status == 0)
        let first = try jobs("schedule", "run", "job", "--scheduled-for", "latest")
        #expect(first.status == 0, "\(first.errors)")
        #expect(try jobs("schedule", "run", "job", "--scheduled-for", "latest").status == 11)
        #expect(try outcomes(jobs, "job") == ["succeeded"])
        // A host that was off for three nights.
        let state = jobs.run.directory.path + "/.local/state/holdfast/runs.sqlite"
        try jobs.run.sqlite(
            state, "DELETE FROM runs WHERE job = 'job'; UPDATE jobs SET through = through / 86400 * 86400 - 4 * 86400;")
        #expect(try jobs("schedule", "run", "job", "--scheduled-for", "latest").status == 0)
        #expect(try outcomes(jobs, "job") == ["succeeded", "caught-up"])
        #expect(try jobs.history("job").last?["count"] as? Int == 3)
        try jobs.script("skipped", "true")
        #expect(try jobs("schedule", "skip", "skipped").status == 0)
        try jobs.script("dark", "true", "when: {every: 1d}\nblackouts: [\"00:00-24:00\"]")
        try jobs.script("late", "true", "when: {every: 366d}\ndeadlines: {start: 1s}")
        for (job, reason) in [("skipped", "skipped"), ("dark", "blackout"), ("late", "start-deadline")] {
            let result = try jobs("schedule", "run", job, "--scheduled-for", "latest")
            #expect(result.status == 11 && result.errors.contains(reason), "\(job): \(result.errors)")
            #expect(try outcomes(jobs, job) == [reason])
        }
    }
}
