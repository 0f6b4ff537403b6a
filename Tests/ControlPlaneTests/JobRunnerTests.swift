// One run in its process, on a state that is locked at times.

import ControlPlane
import Foundation
import Glibc
import Logging
import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

/// Ends every child at once with 0.
private struct PlayedRunner: ProcessRunner {
    var output = ""
    var result = ProcessResult.exited(0)

    func start(_ request: ProcessRequest, cancellation: Cancellation) throws(HoldfastError) -> any RunningProcess {
        let process = PlayedProcess(5_000_000, output: output)
        process.finish(result)
        return process
    }
}

@Suite("The run of a job in its process")
struct JobRunnerTests {
    private let start = Timestamp(seconds: 1_800_000_000)
    private let directory = TemporaryDirectory()
    private let clock = HandClock(Timestamp(seconds: 1_800_000_000))
    private let locked = HoldfastError(.busy, "the state is locked", hint: "Wait.", retry: .later)
    private let key = RunKey(job: JobName("a"), scheduled: Timestamp(seconds: 1_800_000_000))

    @Test("is due still when it was stopped before its end, so that the next daemon goes on, three times at most")
    func stopped() throws {
        let clock = clock
        let store = MemoryRunStore(clock: RunStoreClock(boot: "stage") { clock.uptime() })
        let spool = OutcomeSpool(directory: directory.path + "/outcomes")
        let runner = JobRunner(
            store, JobRunner.Settings(program: "/bin/true", host: "stage", spool: spool),
            runner: PlayedRunner(result: .terminated), clock: clock, cancellation: Cancellation(),
            logger: Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() })
        for _ in 1...3 {
            let completion = try runner.run(everyJob("a", 60), key, .schedule)
            #expect(completion.outcome == .stopped && completion.retryAt != nil)
            #expect(try store.alerts(all: false).isEmpty)
        }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).retryAt == nil)
        #expect(try store.run(key)?.state == .ended(.stopped))
        #expect(try store.alerts(all: false).map(\.key) == ["job/a/failed"])
        // What somebody stops that was asked for by hand is over.
        let hand = RunKey(job: key.job, scheduled: key.scheduled + .seconds(1))
        #expect(try runner.run(everyJob("a", 60), hand, .manual).retryAt == nil)
    }

    private func make() -> (store: MemoryRunStore, spool: OutcomeSpool, runner: JobRunner) {
        let clock = clock
        let store = MemoryRunStore(clock: RunStoreClock(boot: "stage") { clock.uptime() })
        let spool = OutcomeSpool(directory: directory.path + "/outcomes")
        let runner = JobRunner(
            store, JobRunner.Settings(program: "/bin/true", host: "stage", spool: spool), runner: PlayedRunner(),
            clock: clock, cancellation: Cancellation(), logger: Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() }
        )
        return (store, spool, runner)
    }

    @Test("begins when the state can be written again that was locked at first")
    func begins() throws {
        let (store, _, runner) = make()
        let left = Mutex(2)
        let locked = locked
        store.fail { method in
            method == "begin"
                && left.withLock({ left in
                    left -= 1
                    return left >= 0
                }) ? locked : nil
        }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .succeeded)
        #expect(try store.run(key)?.attempt == 1)
    }

    @Test("ends what a dead run left behind, and nothing of the same run of another state")
    func marks() throws {
        let child = Process()
        child.executableURL = URL(filePath: "/usr/bin/env")
        child.arguments = ["sleep", "300"]
        child.environment = Dictionary(
            uniqueKeysWithValues: RunMark.lines(key, fence: 1, of: 1).map { line in
                let parts = line.split(separator: "=", maxSplits: 1)
                return (String(parts[0]), String(parts[1]))
            } + [("PATH", "/usr/bin:/bin")])
        try child.run()
        defer { if child.isRunning { child.terminate() } }
        // Whose sleeps turn it on.
        let clock = SettableClock(start)
        for identity in [Int64(2), 1] {
            let store = MemoryRunStore(clock: RunStoreClock(boot: "stage") { clock.uptime() }, identity: identity)
            let spool = OutcomeSpool(directory: directory.path + "/outcomes-\(identity)")
            let holder = RunHolder(host: "stage", process: 5_000_000)
            let claim = try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
            #expect(claim.fence == 1)
            #expect(try Burial(store, spool, host: "stage", clock: clock).run().map(\.key) == [key])
            if identity == 2 { #expect(child.isRunning, "it is of another state") }
        }
        child.waitUntilExit()
        #expect(child.terminationReason == .uncaughtSignal)
    }

    @Test("is not taken for dead while its end is there and cannot be read, for a day at most")
    func hiddenEnd() throws {
        let (store, spool, _) = make()
        let holder = RunHolder(host: "stage", process: 5_000_000)
        let claim = try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
        let other = RunKey(job: JobName("b"), scheduled: start)
        _ = try store.begin(other, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
        try spool.put(claim, RunCompletion(.succeeded), at: clock.now())
        EndFiles(spool).hide(claim.fence)
        let burial = Burial(store, spool, host: "stage", clock: clock)
        #expect(try burial.run().map(\.key) == [other], "the others go on")
        clock.advance(by: .seconds(86_000))
        #expect(try burial.run().isEmpty)
        #expect(try store.alerts(all: false).map(\.key) == ["outcome/\(claim.fence)"])
        clock.advance(by: .seconds(1000))
        #expect(try burial.run().isEmpty)
        #expect(try burial.run().map(\.key) == [key], "it was set aside")
        #expect(access("\(spool.directory)/\(claim.fence).end.json.damaged", F_OK) == 0)
    }

    @Test("is not taken for dead while nobody can tell which ends there are")
    func hiddenEnds() throws {
        let (store, spool, _) = make()
        let holder = RunHolder(host: "stage", process: 5_000_000)
        _ = try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
        #expect(FileManager.default.createFile(atPath: spool.directory, contents: nil))
        let burial = Burial(store, spool, host: "stage", clock: clock)
        #expect(try burial.run().isEmpty)
        try FileManager.default.removeItem(atPath: spool.directory)
        #expect(try burial.run().map(\.key) == [key])
    }

    @Test("leaves the alert of damage as it is that a check found and that this one did not look at")
    func damageStays() throws {
        let (store, spool, _) = make()
        let place = JobReach(parts: [], repositories: ["/srv/main"])
        let found = try store.begin(
            key, .schedule, holder: RunHolder(host: "stage", process: 1), lease: .seconds(60), at: clock.now())
        var damage = RunCompletion(.checkFailed)
        damage.check = CheckNote(.everything, repository: "/srv/main")
        try store.complete(found, damage, at: clock.now())
        _ = try store.fire("job/a/failed", .critical, "damage", at: clock.now())
        let runner = JobRunner(
            store, JobRunner.Settings(program: "/bin/true", host: "stage", spool: spool),
            runner: PlayedRunner(output: "{}\n"), clock: clock, cancellation: Cancellation(),
            logger: Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() })
        var job = everyJob("a", 60)
        job.reach = place
        for (budget, firing) in [(CheckBudget.structure, 1), (.everything, 0)] {
            clock.advance(by: .seconds(60))
            job.action = .check(budget)
            let next = RunKey(job: job.name, scheduled: clock.now())
            #expect(try runner.run(job, next, .schedule).outcome == .succeeded)
            #expect(try store.alerts(all: false).count == firing)
        }
    }

    @Test("says what a check was about")
    func checks() throws {
        let (store, _, runner) = make()
        var job = everyJob("a", 60)
        job.action = .check(.everything)
        job.reach = JobReach(parts: [], repositories: ["/srv/main"])
        _ = try runner.run(job, key, .schedule)
        #expect(try store.checks().map(\.note) == [CheckNote(.everything, repository: "/srv/main")])
    }

    @Test("is not taken for dead while its end cannot be written")
    func ends() throws {
        let (store, spool, runner) = make()
        let (locked, clock) = (locked, clock)
        let calls = Mutex(0)
        let dead = Mutex<[DeadRun]>([])
        store.fail { method in
            guard method == "complete" else { return nil }
            let call = calls.withLock { calls in
                calls += 1
                return calls
            }
            if call == 1 { return locked }
            // Before the second try somebody looks for the dead, long after the lease ran out.
            store.fail(nil)
            clock.advance(by: .seconds(600))
            let found = try? Burial(store, spool, host: "stage", clock: clock).run()
            dead.withLock { $0 = found ?? [] }
            return nil
        }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .succeeded)
        #expect(dead.withLock { $0 }.isEmpty)
        #expect(try store.run(key)?.state == .ended(.succeeded))
        #expect(try spool.absorb(into: store).written == 0)
    }

    @Test("finds itself fenced when it was held up past its lease, and writes nothing")
    func fenced() throws {
        let (store, spool, runner) = make()
        let clock = clock
        let isFirst = Mutex(true)
        let key = key
        store.fail { method in
            guard method == "complete",
                isFirst.withLock({ isFirst in
                    defer { isFirst = false }
                    return isFirst
                })
            else { return nil }
            // Another takes over, and ends the run in its own way.
            clock.advance(by: .seconds(600))
            _ = try? Burial(store, spool, host: "stage", clock: clock).run()
            let holder = RunHolder(host: "other", process: 1)
            let claim = try? store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
            if let claim { try? store.complete(claim, RunCompletion(.partial), at: clock.now()) }
            return nil
        }
        #expect(throws: HoldfastError.self) { _ = try runner.run(everyJob("a", 60), key, .schedule) }
        #expect(try store.run(key)?.state == .ended(.partial))
        #expect(try store.run(key)?.attempt == 2)
    }
}
