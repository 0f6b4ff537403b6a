// The daemon as a service manager runs it, and what goes wrong around it.

import Foundation
import Glibc
import Primitives
import TestSupport
import TestThreads
import Testing

@Suite("The daemon", .waiting)
struct DaemonTests {
    /// Starts a daemon and waits until it runs.
    private func daemon(_ jobs: JobRun, _ more: String...) throws -> StartedProgram {
        var run = jobs.run
        run.password = nil
        let started = try run.start(["daemon"] + more, naming: false)
        try jobs.wait(for: "the daemon's lock") {
            jobs.text(".local/state/holdfast/daemon.lock").contains("\(started.process.processIdentifier)")
        }
        return started
    }

    private func end(_ daemon: StartedProgram) throws -> RunResult {
        daemon.send(SIGTERM)
        return try daemon.finish()
    }

    private func outcomes(_ jobs: JobRun, _ job: String) throws -> [String] {
        try jobs.history(job).reversed().map { "\($0["outcome"] ?? $0["reason"] ?? $0["state"] ?? "")" }
    }

    @Test("runs jobs when they are due, and logs for machines")
    func runs() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo \"$HOLDFAST_RUN\" >> \"$0.out\"", "when: {every: 1s}")
        let started = try daemon(jobs)
        try jobs.wait(for: "three runs") { jobs.text("job.sh.out").split(separator: "\n").count >= 3 }
        let result = try end(started)
        #expect(result.status == 0, "\(result.errors)")
        let lines = jobs.text("job.sh.out").split(separator: "\n")
        #expect(Set(lines).count == lines.count)
        for line in result.errors.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["@timestamp"] != nil && object?["log.level"] != nil && object?["message"] != nil, "\(line)")
        }
    }

    @Test("refuses to run twice on one state")
    func second() throws {
        let jobs = try JobRun()
        let started = try daemon(jobs)
        let other = try jobs("daemon")
        #expect(other.status == 11)
        #expect(other.errors.contains("process \(started.process.processIdentifier)"), "\(other.errors)")
        #expect(try end(started).status == 0)
    }

    @Test("waits for what runs when it is told to stop, and starts nothing more")
    func drains() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo began >> \"$0.out\"; sleep 3; echo ended >> \"$0.out\"", "when: {every: 1s}")
        let started = try daemon(jobs)
        try jobs.wait(for: "a run") { !jobs.text("job.sh.out").isEmpty }
        #expect(try end(started).status == 0)
        #expect(jobs.text("job.sh.out") == "began\nended\n")
        #expect(try outcomes(jobs, "job").filter { $0 == "succeeded" }.count == 1)
        #expect(try outcomes(jobs, "job").allSatisfy { $0 == "succeeded" || $0 == "overlap" })
    }

    @Test("goes on with a run that the end of the daemon before it stopped")
    func resumes() throws {
        let jobs = try JobRun()
        // What is due is far away: the run that is there is of a minute ago.
        try jobs.script(
            "job", "echo began >> \"$0.out\"; test -e \"$0.go\" || sleep 1000",
            "when: {every: 5s}\n"
                + "concurrency: {source: queue}\ndeadlines: {start: 1h}")
        let first = try daemon(jobs, "--drain", "1s")
        try jobs.wait(for: "a run") { !jobs.text("job.sh.out").isEmpty }
        _ = try jobs.run.file("job.sh.go", "")
        try jobs.job("job", jobs.text("schedules/job.yaml").replacing("5s", with: "1d"))
        #expect(try end(first).status == 0)
        #expect(try outcomes(jobs, "job").first == "waiting")
        let second = try daemon(jobs)
        try jobs.wait(for: "the end of the run") { try outcomes(jobs, "job").first == "succeeded" }
        #expect(try end(second).status == 0)
        #expect(try jobs.history("job").last?["attempt"] as? Int == 2)
    }

    @Test("keeps the old jobs when the new ones are broken, tells, and takes good ones")
    func reloads() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo old >> \"$0.out\"", "when: {every: 1s}")
        try jobs.notify("told")
        let started = try daemon(jobs)
        try jobs.wait(for: "a run") { !jobs.text("job.sh.out").isEmpty }
        // What is broken is also the job itself, and the configuration is about to get another notifier.
        _ = try jobs.run.file("schedules/job.yaml", "when: nonsense\n")
        let path = jobs.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        _ = try jobs.run.file("holdfast.yaml", text.replacing("/told", with: "/new"))
        started.send(SIGHUP)
        try jobs.wait(for: "the alert") { jobs.text("told").contains("daemon/configuration") }
        let before = jobs.text("job.sh.out").count
        try jobs.wait(for: "runs of the old jobs") { jobs.text("job.sh.out").count > before + 4 }
        #expect(!jobs.text("told").contains("job/job/failed") && jobs.text("new").isEmpty)
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules/job.yaml")
        try jobs.script("fresh", "echo new >> \"$0.out\"", "when: {every: 1s}")
        started.send(SIGHUP)
        try jobs.wait(for: "a run of the new job") { !jobs.text("fresh.sh.out").isEmpty }
        try jobs.wait(for: "the new notifier") { jobs.text("new").contains("daemon/configuration") }
        let result = try end(started)
        #expect(result.errors.contains("the old ones hold"), "\(result.errors)")
    }

    @Test("begins with the files that it accepted last when those at its start are broken, and tells")
    func brokenAtStart() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo run >> \"$0.out\"", "when: {every: 1s}")
        try jobs.notify("told")
        let first = try daemon(jobs)
        try jobs.wait(for: "a run") { !jobs.text("job.sh.out").isEmpty }
        #expect(try end(first).status == 0)
        _ = try jobs.run.file("schedules/other.yaml", "when: nonsense\n")
        let before = jobs.text("job.sh.out").count
        let second = try daemon(jobs)
        try jobs.wait(for: "the alert") { jobs.text("told").contains("daemon/configuration") }
        #expect(jobs.text("told").contains("\"critical\""), "\(jobs.text("told"))")
        try jobs.wait(for: "runs of the old jobs") { jobs.text("job.sh.out").count > before + 4 }
        try FileManager.default.removeItem(atPath: jobs.run.directory.path + "/schedules/other.yaml")
        second.send(SIGHUP)
        try jobs.wait(for: "the end of the alert") { jobs.text("told").contains("\"resolved\"") }
        #expect(try end(second).status == 0)
        // Copies of other files say nothing of these.
        try jobs.run.makeDirectory("elsewhere")
        _ = try jobs.run.file("elsewhere/other.yaml", "when: nonsense\n")
        let third = try jobs("daemon", "--schedules", jobs.run.directory.path + "/elsewhere")
        #expect(third.status == 64 && third.errors.contains("other.yaml"), "\(third.errors)")
    }

    @Test("lets a notifier tell that takes longer than runs do, and tells the last before it ends")
    func slowNotifier() throws {
        let jobs = try JobRun()
        let told = "\(jobs.run.directory.path)/told"
        let path = jobs.run.directory.path + "/holdfast.yaml"
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let words = "[sh, -c, \"echo began >> \(told).began; sleep 3; cat >> \(told)\"]"
        _ = try jobs.run.file("holdfast.yaml", text + "\nnotifiers:\n  slow: {command: \(words), severity: info}\n")
        try jobs.script("often", "echo run >> \"$0.out\"", "when: {every: 1s}")
        try jobs.script("bad", "test -e \"$0.good\"", "when: {every: 1s}")
        let started = try daemon(jobs)
        // Runs end all the time, and what they left is ended with them; the notifier is nothing that they left.
        try jobs.wait(for: "the alert") { jobs.text("told").contains("job/bad/failed") }
        _ = try jobs.run.file("bad.sh.good", "")
        try jobs.wait(for: "the next telling") { jobs.text("told.began").split(separator: "\n").count > 1 }
        #expect(try end(started).status == 0)
        #expect(jobs.text("told").contains("\"state\":\"resolved\""), "\(jobs.text("told"))")
    }

    @Test("starts a run once more whose process was killed, and leaves none of its children")
    func killed() throws {
        let jobs = try JobRun()
        // A command may not be run twice unasked? It may: that is what `at most once more` is about.
        try jobs.script(
            "job", "echo $PPID $HOLDFAST_ATTEMPT >> \"$0.out\"; echo $$ >> \"$0.pids\"; sleep 1000",
            "when: {every: 5s}\nconcurrency: {source: queue}\ndeadlines: {start: 1h}")
        let started = try daemon(jobs)
        for attempt in 1...2 {
            try jobs.wait(for: "attempt \(attempt)") {
                jobs.text("job.sh.out").split(separator: "\n").count >= attempt
            }
            let line = try #require(jobs.text("job.sh.out").split(separator: "\n").last)
            let runner = try #require(line.split(separator: " ").first.flatMap { Int32($0) })
            #expect(line.hasSuffix(" \(attempt)"))
            #expect(kill(runner, SIGKILL) == 0)
        }
        try jobs.wait(for: "the end of the run") { try outcomes(jobs, "job").first == "died" }
        let pids = jobs.text("job.sh.pids").split(separator: "\n").compactMap { Int32($0) }.prefix(2)
        try jobs.wait(for: "the end of the children") { pids.allSatisfy { kill($0, 0) != 0 } }
        started.send(SIGTERM)
        for process in jobs.text("job.sh.pids").split(separator: "\n").compactMap({ Int32($0) }) {
            kill(process, SIGKILL)
        }
        _ = try started.finish()
    }

    @Test("that was killed leaves its runs to end by themselves, and the next one takes over")
    func takenOver() throws {
        let jobs = try JobRun()
        try jobs.script("job", "echo began >> \"$0.out\"; sleep 3; echo ended >> \"$0.out\"", "when: {every: 1h}")
        // Due at once: by hand, then the daemon dies over it.
        try jobs.script("often", "echo began >> \"$0.out\"; sleep 3; echo ended >> \"$0.out\"", "when: {every: 1s}")
        let first = try daemon(jobs)
        try jobs.wait(for: "a run") { !jobs.text("often.sh.out").isEmpty }
        first.send(SIGKILL)
        _ = try first.finish()
        let second = try daemon(jobs)
        try jobs.wait(for: "the end of the run") { try outcomes(jobs, "often").contains("succeeded") }
        _ = try end(second)
        #expect(try outcomes(jobs, "often").allSatisfy { ["succeeded", "overlap", "caught-up"].contains($0) })
    }

    @Test("tells a service manager that it is ready and that it lives")
    func notifies() throws {
        let jobs = try JobRun()
        let path = jobs.run.directory.path + "/notify"
        let listener = Process()
        listener.executableURL = URL(fileURLWithPath: "/usr/bin/env")
        listener.arguments = [
            "python3", "-c",
            """
            import socket, sys
            s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            s.bind(sys.argv[1])
            open(sys.argv[1] + ".ready", "w").close()
            while True:
                text = s.recv(4096).decode()
                with open(sys.argv[1] + ".log", "a") as log: log.write(text + "\\n")
                if "STOPPING=1" in text: break
            """, path,
        ]
        try listener.run()
        try jobs.wait(for: "the listener") { FileManager.default.fileExists(atPath: path + ".ready") }
        var run = jobs.run
        run.password = nil
        run.variables["NOTIFY_SOCKET"] = path
        run.variables["WATCHDOG_USEC"] = "1000000"
        let started = try run.start(["daemon"], naming: false)
        try jobs.wait(for: "signs of life") { jobs.text("notify.log").contains("WATCHDOG=1") }
        _ = try end(started)
        listener.waitUntilExit()
        #expect(jobs.text("notify.log").contains("READY=1"))
    }
}
