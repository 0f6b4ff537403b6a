// The daemon's loop on a store in memory, a clock that is turned by hand, and processes that a test plays.

import ControlPlane
import Glibc
import Logging
import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

/// A wall clock that can be set, beside an uptime that cannot. A sleep turns both.
final class SettableClock: Clock {
    private let time: Mutex<(wall: Timestamp, uptime: Duration)>

    init(_ wall: Timestamp) { time = Mutex((wall, .seconds(1000))) }

    func now() -> Timestamp { time.withLock { $0.wall } }
    func uptime() -> Duration { time.withLock { $0.uptime } }
    func sleep(for duration: Duration, unless cancellation: Cancellation) {
        time.withLock { time in
            time.wall = time.wall + duration
            time.uptime += duration
        }
    }
    func set(_ wall: Timestamp) { time.withLock { $0.wall = wall } }
}

/// A process that a test plays: it has ended when the test says how.
final class PlayedProcess: RunningProcess {
    let number: Int32
    let errorHead: [UInt8] = []
    let errorTail: [UInt8] = []
    private let end = Mutex<ProcessResult?>(nil)
    private let output: Mutex<[UInt8]>

    init(_ number: Int32, output: String = "", ended: ProcessResult? = nil) {
        self.number = number
        self.output = Mutex(Array(output.utf8))
        if let ended { finish(ended) }
    }

    var result: ProcessResult? { end.withLock { $0 } }
    func finish(_ result: ProcessResult) { end.withLock { $0 = $0 ?? result } }
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int {
        output.withLock { left in
            let part = left.prefix(buffer.count)
            left.removeFirst(part.count)
            buffer.copyBytes(from: part)
            return part.count
        }
    }
    func terminate() { finish(.terminated) }
    func wait() -> ProcessResult { result ?? .exited(0) }
}

/// The loop with all around it.
final class LoopStage: RunLauncher {
    /// Plays the process of a run from its start; it may go on after the return.
    typealias Play = @Sendable (LoopStage, RunKey, PlayedProcess) throws(HoldfastError) -> Void

    typealias Reading = @Sendable (LoopStage) throws(HoldfastError) -> ReadJobs

    static let host = "stage"
    let clock: SettableClock
    let store: MemoryRunStore
    let spool: OutcomeSpool
    private let directory = TemporaryDirectory()
    private let play: Play
    private let jobs: [Job]
    private let launches = Mutex<[RunKey]>([])
    private let loop = Mutex<RunLoop?>(nil)
    /// Reads the jobs in place of those that the stage was made with.
    let reading = Mutex<Reading?>(nil)
    let places = Mutex<PlaceWatch?>(nil)

    init(_ jobs: [Job], at start: Timestamp, play: @escaping Play) {
        let clock = SettableClock(start)
        self.clock = clock
        self.jobs = jobs
        self.play = play
        store = MemoryRunStore(clock: RunStoreClock(boot: "stage") { clock.uptime() })
        spool = OutcomeSpool(directory: directory.path + "/outcomes")
    }

    var launched: [RunKey] { launches.withLock { $0 } }

    /// The state of each run of the history, oldest first.
    var states: [RunRecord.State] {
        get throws { try store.history(HistoryQuery(limit: 1000)).reversed().map(\.state) }
    }

    func launch(_ key: RunKey) throws(HoldfastError) -> any RunningProcess {
        let count = launches.withLock { launches in
            launches.append(key)
            return launches.count
        }
        // Above what the kernel gives to real processes.
        let process = PlayedProcess(Int32(5_000_000 + count))
        try play(self, key, process)
        return process
    }

    /// Has the loop read its jobs again in its next turn.
    func reload() { loop.withLock { $0?.reload() } }

    func holder(_ process: PlayedProcess) -> RunHolder { RunHolder(host: Self.host, process: process.number) }

    /// Claims the run as its process would.
    func begin(_ key: RunKey, _ process: PlayedProcess) throws(HoldfastError) -> RunClaim {
        try store.begin(key, .schedule, holder: holder(process), lease: .seconds(60), at: clock.now())
    }

    /// Puts something that cannot be read in the place of the end of a run.
    func hideEnd(_ fence: Int64) { EndFiles(spool).hide(fence) }

    func showEnd(_ fence: Int64) { EndFiles(spool).show(fence) }

    /// Runs the loop until `length` of uptime has gone by. `turn` is called at the beginning of each turn.
    func run(for length: Duration, turn: @escaping @Sendable (LoopStage, Duration) -> Void = { _, _ in }) throws {
        let (jobs, stage) = (jobs, self)
        var around = RunLoopSurroundings(
            store: store, spool: spool, launcher: self, clock: clock, host: Self.host,
            logger: Logger(label: "stage") { _ in SwiftLogNoOpLogHandler() }
        ) { () throws(HoldfastError) in
            if let reading = stage.reading.withLock({ $0 }) { return try reading(stage) }
            return ReadJobs(jobs)
        }
        let begin = clock.uptime()
        around.heartbeat = {
            let age = stage.clock.uptime() - begin
            turn(stage, age)
            if age >= length { stage.loop.withLock { $0?.drain() } }
        }
        around.drain = .seconds(5)
        if let places = places.withLock({ $0 }) { around.places = places }
        let made = RunLoop(around)
        loop.withLock { $0 = made }
        defer { loop.withLock { $0 = nil } }
        try made.run()
    }
}

func everyJob(_ name: String, _ every: Int64, _ change: (inout Job) -> Void = { _ in }) -> Job {
    var job = Job(
        name: JobName(name), action: .command(["/bin/true"]),
        schedule: Schedule(text: "every", rule: .every(every), zone: .utc))
    change(&job)
    return job
}

/// The files of ends of runs, which a test takes out of reach.
struct EndFiles {
    private let directory: String

    init(_ spool: OutcomeSpool) { directory = spool.directory }

    private func path(_ fence: Int64) -> String { "\(directory)/\(fence).end.json" }

    /// A directory stands in its place, which nobody reads as a file, whatever rights it has.
    func hide(_ fence: Int64) {
        #expect(rename(path(fence), path(fence) + ".kept") == 0 && mkdir(path(fence), 0o700) == 0)
    }

    func show(_ fence: Int64) {
        guard rmdir(path(fence)) == 0 else { return }
        #expect(rename(path(fence) + ".kept", path(fence)) == 0)
    }
}
