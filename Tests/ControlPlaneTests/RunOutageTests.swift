// Runs that go on while their state is locked or their disk is full.

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

/// Starts a process that a test plays.
private struct StagedRunner: ProcessRunner {
    let start: @Sendable () -> any RunningProcess

    func start(_ request: ProcessRequest, cancellation: Cancellation) throws(HoldfastError) -> any RunningProcess {
        start()
    }
}

/// A process that runs until it is let go, and ends with 0.
private final class HeldProcess: RunningProcess {
    let number: Int32 = 5_000_000
    let errorHead: [UInt8] = []
    let errorTail: [UInt8] = []
    private let isFree = Monitor(false)

    var result: ProcessResult? { isFree.withLock { $0 } ? .exited(0) : nil }
    func letGo() { isFree.withLock { $0 = true } }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        isFree.wait { $0 ? 0 : nil }
    }
    func terminate() { letGo() }
    func wait() -> ProcessResult {
        isFree.wait { $0 ? () : nil }
        return .exited(0)
    }
}

/// A small disk of its own.
private final class SmallDisk {
    static let isPossible = geteuid() == 0
    let path: String

    init(_ path: String) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        try #require(mount("tmpfs", path, "tmpfs", 0, "size=1m") == 0)
    }

    /// Writes until nothing goes on it any more.
    static func fill(_ path: String) {
        let file = open(path + "/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        let block = [UInt8](repeating: 1, count: 4096)
        while write(file, block, block.count) > 0 {}
        close(file)
    }

    deinit { umount2(path, Int32(MNT_DETACH)) }
}

@Suite("A run whose state cannot be used for a while")
struct RunOutageTests {
    /// A full hour.
    private let start = Timestamp(seconds: 1_800_000_000)
    private let directory = TemporaryDirectory()
    private let locked = HoldfastError(.busy, "the state is locked", hint: "Wait.", retry: .later)
    private let full = HoldfastError(.noSpace, "the state cannot grow", hint: "Wait.", retry: .later)
    private let key = RunKey(job: JobName("a"), scheduled: Timestamp(seconds: 1_800_000_000))

    private func runner(
        _ store: MemoryRunStore, _ clock: SettableClock, outcomes: String,
        _ process: @escaping @Sendable () -> any RunningProcess
    ) -> (JobRunner, OutcomeSpool) {
        let spool = OutcomeSpool(directory: outcomes)
        let runner = JobRunner(
            store, JobRunner.Settings(program: "/bin/true", host: "stage", spool: spool),
            runner: StagedRunner(start: process), clock: clock, cancellation: Cancellation(),
            logger: Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() })
        return (runner, spool)
    }

    private func made() -> (store: MemoryRunStore, clock: SettableClock) {
        let clock = SettableClock(start)
        return (MemoryRunStore(clock: RunStoreClock(boot: "stage") { clock.uptime() }), clock)
    }

    private static func ended(_ status: Int32) -> PlayedProcess {
        let process = PlayedProcess(5_000_000)
        process.finish(.exited(status))
        return process
    }

    // MARK: - Locked during the work

    @Test("is neither killed nor started again when the state was locked for longer than its lease")
    func lockedForLong() throws {
        let due = RunKey(job: JobName("a"), scheduled: start + .seconds(3600))
        let claims = Mutex<[(RunClaim, PlayedProcess)]>([])
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            claims.withLock { $0.append((claim, process)) }
        }
        let locked = locked
        let step = Mutex(0)
        try stage.run(for: .seconds(4000)) { stage, age in
            step.withLock { step in
                if step == 0, age >= .seconds(3605) {
                    stage.store.fail { _ in locked }
                    step = 1
                } else if step == 1, age >= .seconds(3905) {
                    // The daemon may look for the dead before the run has renewed its lease.
                    stage.store.fail(nil)
                    step = 2
                } else if step == 2, age >= .seconds(3930) {
                    for (claim, _) in claims.withLock({ $0 }) {
                        try? stage.store.renew(claim, lease: .seconds(60))
                    }
                    step = 3
                } else if step == 3, age >= .seconds(3960) {
                    for (claim, process) in claims.withLock({ $0 }) {
                        try? stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
                        process.finish(.exited(0))
                    }
                    step = 4
                }
            }
        }
        #expect(stage.launched == [due])
        #expect(try stage.states == [.ended(.succeeded)])
    }

    @Test("that stays silent is taken for dead after all, though its process is there")
    func silent() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            _ = try stage.begin(key, process)
        }
        let died = Mutex<Duration?>(nil)
        try stage.run(for: .seconds(4200)) { stage, age in
            let active = (try? stage.store.active()) ?? []
            if age > .seconds(3610), active.allSatisfy({ !$0.isRunning }) {
                died.withLock { $0 = $0 ?? age }
            }
        }
        #expect(died.withLock { $0 }.map { $0 > .seconds(3660) && $0 < .seconds(4000) } == true)
    }

    @Test("tries again soon to renew its lease when that failed")
    func renewsSoon() throws {
        let (store, clock) = made()
        let process = HeldProcess()
        let tries = Mutex<[Duration]>([])
        let locked = locked
        store.fail { method in
            guard method == "renew" else { return nil }
            let count = tries.withLock { tries in
                tries.append(clock.uptime())
                return tries.count
            }
            if count >= 3 { process.letGo() }
            return count == 1 ? locked : nil
        }
        let (runner, _) = runner(store, clock, outcomes: directory.path + "/outcomes") { process }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .succeeded)
        let times = tries.withLock { $0 }
        #expect(times[1] - times[0] < .seconds(5) && times[2] - times[1] >= .seconds(20), "\(times)")
    }

    // MARK: - Full at the end

    @Test(
        "has its end written down when the disk of the state and of what is beside it was filled by its work",
        .enabled(if: SmallDisk.isPossible, "needs root"))
    func fullDisk() throws {
        let (store, clock) = made()
        let disk = try SmallDisk(directory.path + "/disk")
        let (full, place) = (full, disk.path)
        let (runner, spool) = runner(store, clock, outcomes: place + "/outcomes") {
            SmallDisk.fill(place)
            return PlayedProcess(5_000_000, output: String(repeating: "\u{1}", count: 20_000), ended: .exited(0))
        }
        store.fail { $0 == "complete" ? full : nil }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .succeeded)
        store.fail(nil)
        #expect(try Burial(store, spool, host: "stage", clock: clock).run().isEmpty)
        #expect(try store.run(key)?.state == .ended(.succeeded))
        #expect(try FileManager.default.contentsOfDirectory(atPath: spool.directory).isEmpty)
    }

    @Test("goes on trying to write its end down for as long as its process lives")
    func patient() throws {
        let (store, clock) = made()
        let full = full
        let outcomes = directory.path + "/outcomes"
        let tries = Mutex(0)
        let (runner, spool) = runner(store, clock, outcomes: outcomes) {
            // Nothing can be put beside the state any more.
            try? FileManager.default.removeItem(atPath: outcomes)
            _ = FileManager.default.createFile(atPath: outcomes, contents: nil)
            return Self.ended(0)
        }
        // With the waits between them these take far longer than the two minutes that other ends are tried for.
        store.fail { method in
            guard method == "complete" else { return nil }
            return tries.withLock { tries in
                tries += 1
                return tries < 60
            } ? full : nil
        }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .succeeded)
        #expect(try store.run(key)?.state == .ended(.succeeded) && spool.directory == outcomes)
    }

    // MARK: - Holders

    @Test("is known by its process and not by a number that another has")
    func holders() throws {
        let own = HolderProcess.own(host: "stage")
        #expect(own.process == getpid() && !own.mark.isEmpty)
        #expect(HolderProcess.isWorking(own, host: "stage") && !HolderProcess.isGone(own, host: "stage"))
        #expect(!HolderProcess.isWorking(own, host: "other"))
        let words = own.mark.split(separator: " ").map(String.init)
        // Its number was given again.
        var earlier = own
        earlier.mark = "\(words[0]) \(words[1]) 1"
        #expect(HolderProcess.isGone(earlier, host: "stage") && !HolderProcess.isWorking(earlier, host: "stage"))
        // A number of another namespace is free here, and says nothing.
        let number: Int32 = 5_000_000
        let elsewhere = RunHolder(host: "stage", process: number, mark: "\(number) pid:[1] \(words[2])")
        #expect(!HolderProcess.isGone(elsewhere, host: "stage") && !HolderProcess.stop(elsewhere, host: "stage"))
        let here = RunHolder(host: "stage", process: number, mark: "\(number) \(words[1]) \(words[2])")
        #expect(HolderProcess.isGone(here, host: "stage"))
    }

    @Test("of a process that stands still is not spared, and one that works is")
    func stopped() throws {
        let (store, clock) = made()
        let child = Process()
        child.executableURL = URL(filePath: "/bin/sleep")
        child.arguments = ["300"]
        try child.run()
        defer {
            kill(child.processIdentifier, SIGKILL)
            child.waitUntilExit()
        }
        let own = HolderProcess.own(host: "stage")
        let stat = try String(contentsOfFile: "/proc/\(child.processIdentifier)/stat", encoding: .utf8)
        let began = stat.split(separator: ")").last?.split(separator: " ")[19] ?? ""
        let namespace = own.mark.split(separator: " ")[1]
        let number = child.processIdentifier
        let holder = RunHolder(host: "stage", process: number, mark: "\(number) \(namespace) \(began)")
        _ = try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: clock.now())
        let burial = Burial(store, OutcomeSpool(directory: directory.path + "/none"), host: "stage", clock: clock)
        clock.sleep(for: .seconds(200), unless: Cancellation())
        #expect(try burial.run().isEmpty)
        clock.sleep(for: .seconds(3600), unless: Cancellation())
        #expect(try burial.run(writableSince: clock.uptime() - .seconds(50)).isEmpty)
        kill(number, SIGSTOP)
        while !HolderProcess.isStopped(holder, host: "stage") {
            SystemClock().sleep(for: .milliseconds(10), unless: Cancellation())
        }
        #expect(try burial.run(writableSince: clock.uptime()).map(\.key) == [key])
    }

    // MARK: - Alerts

    @Test("fires its alert with its end, also when nothing else can be written then")
    func alertWithEnd() throws {
        let (store, clock) = made()
        let locked = locked
        store.fail { $0 == "fire" ? locked : nil }
        let (runner, _) = runner(store, clock, outcomes: directory.path + "/outcomes") { Self.ended(7) }
        #expect(try runner.run(everyJob("a", 60), key, .schedule).outcome == .failed)
        let alerts = try store.alerts(all: false)
        #expect(alerts.map(\.key) == ["job/a/failed"])
        #expect(alerts.first?.summary.hasPrefix("job a (command) ended as failed: ") == true, "\(alerts)")
    }

    @Test("fires its alert when its end is taken in that was beside the state")
    func alertFromSpool() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            try stage.spool.put(claim, RunCompletion(.failed), at: stage.clock.now())
            process.finish(.exited(1))
        }
        try stage.run(for: .seconds(3700))
        #expect(try stage.states == [.ended(.failed)])
        #expect(try stage.store.alerts(all: false).map(\.key) == ["job/a/failed"])
    }
}
