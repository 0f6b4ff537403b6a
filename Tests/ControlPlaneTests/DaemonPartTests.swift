// Parts of the daemon, each without the others and without processes.

import ControlPlane
import Foundation
import Glibc
import Logging
import Primitives
import Scheduling
import State
import Synchronization
import TestSupport
import Testing

/// A child that has ended already.
private final class EndedProcess: RunningProcess {
    let ended: ProcessResult
    let errorTail: [UInt8]
    /// Above every number that the kernel gives.
    let number: Int32 = 1 << 23

    init(_ ended: ProcessResult, errors: [UInt8] = []) {
        self.ended = ended
        errorTail = errors
    }

    var errorHead: [UInt8] { errorTail }
    var result: ProcessResult? { ended }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int { 0 }
    func terminate() {}
    func wait() -> ProcessResult { ended }
}

private struct Launcher: RunLauncher {
    let launch: @Sendable (RunKey) -> any RunningProcess
    func launch(_ key: RunKey) throws(HoldfastError) -> any RunningProcess { launch(key) }
}

@Suite("Parts of the daemon")
struct DaemonPartTests {
    private let noon = Timestamp(seconds: 1_800_000_000)
    private let directory = TemporaryDirectory()

    private func store() throws -> SQLiteRunStore {
        try SQLiteRunStore(
            path: directory.path + "/runs.sqlite", clock: RunStoreClock(boot: "one") { .seconds(1) })
    }

    private var job: Job {
        Job(
            name: JobName("job"), action: .command(["true"]),
            schedule: Schedule(text: "1h", rule: .every(3600), zone: .utc))
    }

    /// A loop over one job that was due, which ends when it is ready for the first time.
    private func surroundings(
        _ store: SQLiteRunStore, _ launch: @escaping @Sendable (RunKey) -> any RunningProcess
    ) throws -> RunLoopSurroundings {
        _ = try store.memories(of: [job.name], at: noon)
        let job = job
        return RunLoopSurroundings(
            store: store, spool: OutcomeSpool(directory: directory.path + "/outcomes"),
            launcher: Launcher(launch: launch), clock: ManualClock(noon + .seconds(2 * 3600)), host: "host",
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) { () throws(HoldfastError) in ReadJobs([job]) }
    }

    private func run(_ around: RunLoopSurroundings, readying: @escaping @Sendable () -> Void = {}) throws {
        let drain = Mutex<(@Sendable () -> Void)?>(nil)
        var around = around
        around.ready = {
            readying()
            drain.withLock { $0 }?()
        }
        let loop = RunLoop(around)
        drain.withLock { $0 = { loop.drain() } }
        try loop.run()
        drain.withLock { $0 = nil }
    }

    @Test("the loop is ready when what was due has been started, and not before")
    func ready() throws {
        let order = Mutex<[String]>([])
        let around = try surroundings(try store()) { _ in
            order.withLock { $0.append("launch") }
            return EndedProcess(.exited(0))
        }
        try run(around) { order.withLock { $0.append("ready") } }
        #expect(order.withLock { $0 } == ["launch", "ready"])
    }

    @Test("what a run printed before it ended is scrubbed before it is cut")
    func cut() throws {
        let store = try store()
        var bytes = Array("hunter2-long".utf8)
        let known = SecretBytes(wiping: &bytes)
        let filler = String(repeating: "x", count: 480)
        // The cut of 500 bytes would fall into the known one.
        var around = try surroundings(store) { _ in
            EndedProcess(.exited(1), errors: Array("it says hunter2-long and \(filler)".utf8))
        }
        around.scrubber = SecretScrubber(known: [known])
        try run(around)
        let summary = try #require(try store.alerts(all: false).first?.summary)
        #expect(summary.contains(filler) && !summary.contains("long"), "\(summary)")
    }

    @Test("a file in the spool that holds nothing is set aside after a day, and those after it are taken over")
    func spool() throws {
        let store = try store()
        let told = Mutex<[String]>([])
        var spool = OutcomeSpool(directory: directory.path + "/outcomes")
        spool.onDamaged = { path, _ in told.withLock { $0.append(path) } }
        let holder = RunHolder(host: "host", process: 1)
        let key = RunKey(job: job.name, scheduled: noon)
        let claim = try store.begin(key, .schedule, holder: holder, lease: .seconds(60), at: noon)
        try spool.put(claim, RunCompletion(.succeeded), at: noon + .seconds(1))
        for (name, text) in [("0", "nonsense"), ("00", ""), ("000", "{\"job\": 1}")] {
            try Data(text.utf8).write(to: URL(filePath: "\(spool.directory)/\(name).end.json"))
        }
        let look = try spool.absorb(into: store)
        #expect(look.written == 1 && look.unreadable.map(\.name) == ["0", "00", "000"])
        #expect(told.withLock { $0.isEmpty } && look.hidden.contains(0))
        let clock = ManualClock(noon)
        let burial = Burial(store, spool, host: "host", clock: clock)
        for (seconds, count) in [(Int64(0), 0), (86_300, 0), (200, 3)] {
            clock.advance(by: .seconds(seconds))
            #expect(try burial.run().isEmpty)
            #expect(told.withLock { $0.count } == count)
            let firing = try store.alerts(all: false).map(\.key).filter { $0.hasPrefix("outcome/") }
            #expect(firing == ["outcome/0", "outcome/00", "outcome/000"])
        }
        #expect(try store.memories(of: [job.name], at: noon)[job.name]?.last?.outcome == .succeeded)
        let left = try FileManager.default.contentsOfDirectory(atPath: spool.directory).sorted()
        #expect(left == ["0.end.json.damaged", "00.end.json.damaged", "000.end.json.damaged"])
        #expect(try spool.absorb(into: store).written == 0)
    }

    @Test("the alert of a pause ends when the pause does, and no other with it")
    func pauses() throws {
        let store = try store()
        let other = JobName("other")
        for (name, end) in [(job.name, noon + .seconds(60)), (other, noon + .seconds(120))] {
            let order = StandingOrder(reason: "r", actor: "a", since: noon, until: end)
            _ = try store.pause(name, order, at: noon)
            _ = try store.fire(PauseAlerts.key(name), .warning, "paused", at: noon)
        }
        _ = try store.fire("job/job/failed", .warning, "failed", at: noon)
        func firing(_ seconds: Int64) throws -> [String] {
            try PauseAlerts.end(in: store, at: noon + .seconds(seconds))
            return try store.alerts(all: false).map(\.key)
        }
        #expect(try firing(59).count == 3)
        #expect(try firing(60) == ["job/job/failed", "job/other/paused"])
        #expect(try firing(120) == ["job/job/failed"])
    }

    @Test("a pause in a job's file is an alert as well, which says so, for as long as it stands there")
    func filePauses() throws {
        let store = try store()
        var paused = job
        paused.pause = Pause(reason: "disk swap", until: noon + .seconds(60))
        func alerts(_ jobs: [Job], _ seconds: Int64) throws -> [String] {
            try PauseAlerts.keep(jobs, in: store, at: noon + .seconds(seconds))
            return try store.alerts(all: false).map(\.summary)
        }
        let text = "job \(job.name) is paused by its file until \(noon + .seconds(60)): disk swap"
        #expect(try alerts([paused], 0) == [text])
        let since = try store.alerts(all: false).map(\.changed)
        #expect(try alerts([paused], 30) == [text] && store.alerts(all: false).map(\.changed) == since)
        // Who cannot read the jobs ends none of them.
        try PauseAlerts.end(in: store, at: noon + .seconds(31))
        #expect(try store.alerts(all: false).count == 1)
        #expect(try alerts([paused], 60).isEmpty)
        paused.pause?.until = nil
        #expect(try alerts([paused], 61) == ["job \(job.name) is paused by its file: disk swap"])
        #expect(try alerts([job], 62).isEmpty)
    }

    @Test("the janitor makes nobody wait, and does a thing that is asked for twice once")
    func janitor() throws {
        let gate = Monitor(false)
        let done = Monitor<[String]>([])
        let janitor = Janitor { name in
            gate.wait { $0 ? () : nil }
            done.withLock { $0.append(name) }
        }
        // Were it done here, nobody would open the gate.
        for name in ["a", "b", "b", "c"] { janitor.clear(name) }
        gate.withLock { $0 = true }
        let all = done.wait { $0.count == 3 ? $0 : nil }
        #expect(all == ["a", "b", "c"])
    }
}
