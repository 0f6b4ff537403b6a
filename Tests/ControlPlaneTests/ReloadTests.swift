// Jobs that are read again, and alerts that end with what they were about.

import ControlPlane
import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

@Suite("The daemon's loop, when its jobs change")
struct ReloadTests {
    /// A full hour.
    private let start = Timestamp(seconds: 1_800_000_000)
    private let locked = HoldfastError(.busy, "the state is locked", hint: "Wait.", retry: .later)

    /// A process that does its work at once.
    private static let works: LoopStage.Play = { (stage, key, process) throws(HoldfastError) in
        let claim = try stage.begin(key, process)
        try stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
        process.finish(.exited(0))
    }

    private static func firing(_ stage: LoopStage) -> [String] {
        ((try? stage.store.alerts(all: false)) ?? []).map(\.key)
    }

    @Test("takes other jobs with all that was read beside them, or nothing of it")
    func allOrNothing() throws {
        let stage = LoopStage([], at: start, play: Self.works)
        let taken = Mutex<[Int]>([])
        let dropped = Mutex<[Int]>([])
        let reads = Mutex(0)
        stage.reading.withLock {
            $0 = { (_) throws(HoldfastError) in
                let number = reads.withLock { reads in
                    reads += 1
                    return reads
                }
                return ReadJobs([everyJob(number == 1 ? "old" : "new\(number)", 60)]) {
                    taken.withLock { $0.append(number) }
                } drop: {
                    dropped.withLock { $0.append(number) }
                }
            }
        }
        let locked = locked
        let told = Mutex<[[String]]>([])
        let step = Mutex(0)
        try stage.run(for: .seconds(250)) { stage, age in
            step.withLock { step in
                if step == 0, age >= .seconds(70) {
                    step = 1
                    stage.store.fail { $0 == "memories" ? locked : nil }
                    stage.reload()
                } else if step == 1, age >= .seconds(72) {
                    step = 2
                    stage.store.fail(nil)
                } else if step == 2, age >= .seconds(130) {
                    step = 3
                    told.withLock { $0.append(Self.firing(stage)) }
                    stage.reload()
                }
            }
        }
        #expect(taken.withLock { $0 } == [1, 3] && dropped.withLock { $0 } == [2])
        let jobs = stage.launched.map { "\($0.job)" }
        #expect(jobs == ["old", "old", "new3", "new3"], "\(stage.launched)")
        #expect(told.withLock { $0 } == [["daemon/configuration"]])
        #expect(Self.firing(stage).isEmpty)
    }

    @Test("ends at its start what was told of files that are good now, and of jobs that there are no more")
    func gone() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start, play: Self.works)
        for key in ["daemon/configuration", "job/a/failed", "job/gone/failed", "job/gone/paused"] {
            _ = try stage.store.fire(key, .warning, "it fires", at: start)
        }
        // Damage is damage, whatever becomes of the job that found it.
        let claim = try stage.store.begin(
            RunKey(job: JobName("deep"), scheduled: start), .manual, holder: RunHolder(host: "h", process: 1),
            lease: .seconds(60), at: start)
        var completion = RunCompletion(.checkFailed)
        completion.check = CheckNote(.everything, repository: "/main")
        try stage.store.complete(claim, completion, at: start)
        _ = try stage.store.fire("job/deep/failed", .critical, "damage", at: start)
        let locked = locked
        stage.store.fail { $0 == "resolve" ? locked : nil }
        try stage.run(for: .seconds(60)) { stage, age in
            if age >= .seconds(20) { stage.store.fail(nil) }
        }
        // Of the pause nobody has taken away the order; it was none, so its alert is over as well.
        #expect(Self.firing(stage) == ["job/a/failed", "job/deep/failed"])
    }

    @Test("tells each time that the clock was set, and for an hour")
    func clock() throws {
        let stage = LoopStage([everyJob("a", 86_400)], at: start, play: Self.works)
        let step = Mutex(0)
        let told = Mutex<[String]>([])
        let clock = stage.clock
        try stage.run(for: .seconds(8000)) { stage, age in
            step.withLock { step in
                if step < 2, age >= .seconds(100 + Int64(step) * 1000) {
                    step += 1
                    clock.set(clock.now() + .seconds(600))
                }
            }
            let firing = ((try? stage.store.alerts(all: false)) ?? []).map(\.summary).first ?? ""
            told.withLock { if $0.last != firing { $0.append(firing) } }
            if age >= .seconds(4690), age < .seconds(4699) { #expect(!firing.isEmpty) }
            if age >= .seconds(4710) { #expect(firing.isEmpty) }
        }
        let all = told.withLock { $0 }.filter { !$0.isEmpty }
        #expect(all.count == 2 && all.allSatisfy { $0.contains("forward by 10m") }, "\(all)")
    }

    @Test("lets jobs wait whose repositories do not answer, and no others, until they do")
    func silent() throws {
        let stage = LoopStage([everyJob("far", 60), everyJob("near", 60)], at: start, play: Self.works)
        let silent = Mutex<Set<String>>([])
        let told = Mutex<[String]>([])
        stage.places.withLock {
            $0 = PlaceWatch(
                silent: { silent.withLock { $0 } },
                filledIn: { jobs in
                    jobs.map { job in
                        var full = job
                        guard job.name == JobName("far") else { return full }
                        full.reach = JobReach(
                            parts: [], repositories: [nil], locations: ["/far"], silent: silent.withLock { $0 })
                        return full
                    }
                }, ask: { _ in })
        }
        try stage.run(for: .seconds(310)) { stage, age in
            silent.withLock { $0 = age >= .seconds(50) && age < .seconds(200) ? ["/far"] : [] }
            if age >= .seconds(190), age < .seconds(200) { told.withLock { $0 = Self.firing(stage) } }
        }
        func launched(_ name: String) -> [Int64] {
            stage.launched.filter { $0.job == JobName(name) }.map { ($0.scheduled.since(start)).components.seconds }
        }
        #expect(launched("near") == [60, 120, 180, 240, 300])
        // What was due last while it hung is due still when it answers.
        #expect(launched("far") == [180, 240, 300])
        let lines = try stage.store.history(HistoryQuery(job: JobName("far"), limit: 10)).reversed()
        #expect(
            lines.prefix(2).map(\.state)
                == [60, 120].map { (seconds: Int64) in
                    .notRun(.unreachable, last: start + .seconds(seconds), count: 1)
                })
        #expect(told.withLock { $0 } == ["repository//far"] && Self.firing(stage).isEmpty)
    }
}
