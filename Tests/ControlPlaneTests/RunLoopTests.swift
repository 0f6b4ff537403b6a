// What the daemon does when its state cannot be used for a while, when processes end early, and when clocks are set.

import ControlPlane
import Foundation
import Primitives
import Scheduling
import State
import StateSupport
import Synchronization
import TestSupport
import Testing

@Suite("The daemon's loop")
struct RunLoopTests {
    /// A full hour.
    private let start = Timestamp(seconds: 1_800_000_000)
    private let locked = HoldfastError(.busy, "the state is locked", hint: "Wait.", retry: .later)

    private func key(_ name: String, _ seconds: Int64) -> RunKey {
        RunKey(job: JobName(name), scheduled: start + .seconds(seconds))
    }

    /// A process that does its work at once.
    private static let works: LoopStage.Play = { (stage, key, process) throws(HoldfastError) in
        let claim = try stage.begin(key, process)
        try stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
        process.finish(.exited(0))
    }

    @Test("loses no run and no record when the state cannot be written for some turns")
    func unwritable() throws {
        let paused = everyJob("a", 60) { $0.pause = Pause(reason: "moving", until: nil) }
        let stage = LoopStage([paused, everyJob("b", 60)], at: start, play: Self.works)
        let locked = locked
        stage.store.fail { $0 == "record" ? locked : nil }
        try stage.run(for: .seconds(130)) { stage, age in
            if age >= .seconds(70) { stage.store.fail(nil) }
        }
        #expect(stage.launched == [key("b", 60), key("b", 120)])
        #expect(try stage.store.run(key("a", 60))?.state == .notRun(.paused, last: key("a", 60).scheduled, count: 1))
        #expect(try stage.store.run(key("b", 60))?.state == .ended(.succeeded))
    }

    @Test("lets a job run again whose end could not be looked at for some turns")
    func unreadable() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start, play: Self.works)
        let locked = locked
        stage.store.fail { $0 == "buryDead" ? locked : nil }
        try stage.run(for: .seconds(130)) { stage, age in
            if age >= .seconds(70) { stage.store.fail(nil) }
        }
        #expect(stage.launched == [key("a", 60), key("a", 120)])
        #expect(try stage.states == [.ended(.succeeded), .ended(.succeeded)])
    }

    @Test("lets a failed run have its next attempt, which may succeed")
    func retries() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            var completion = RunCompletion(claim.attempt == 3 ? .succeeded : .failed)
            if claim.attempt < 3 { completion.retryAt = stage.clock.now() + .seconds(60) }
            try stage.store.complete(claim, completion, at: stage.clock.now())
            process.finish(.exited(claim.attempt == 3 ? 0 : 1))
        }
        try stage.run(for: .seconds(3900))
        #expect(stage.launched == Array(repeating: key("a", 3600), count: 3))
        #expect(try stage.store.run(key("a", 3600))?.state == .ended(.succeeded))
        #expect(try stage.store.run(key("a", 3600))?.attempt == 3)
        #expect(try stage.store.memories(of: [JobName("a")], at: start)[JobName("a")]?.failures == 0)
    }

    @Test("tells of a run whose next attempt comes later than the next run")
    func givenUp() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            var completion = RunCompletion(.failed)
            completion.retryAt = stage.clock.now() + .seconds(90)
            try stage.store.complete(claim, completion, at: stage.clock.now())
            process.finish(.exited(1))
        }
        try stage.run(for: .seconds(200))
        #expect(try stage.store.run(key("a", 60))?.state == .ended(.failed))
        #expect(try stage.store.alerts(all: false).map(\.key) == ["job/a/failed"])
    }

    @Test("leaves a run out when another of the job was faster, and tells nobody that it failed")
    func slower() throws {
        let byHand = Mutex<RunClaim?>(nil)
        let stage = LoopStage([everyJob("a", 60)], at: start) { (stage, key, process) throws(HoldfastError) in
            guard stage.launched.count == 1 else { return try Self.works(stage, key, process) }
            let hand = RunKey(job: key.job, scheduled: key.scheduled + .seconds(1))
            let claim = try stage.store.begin(
                hand, .manual, holder: RunHolder(host: "elsewhere", process: 1), lease: .seconds(60),
                at: stage.clock.now())
            byHand.withLock { $0 = claim }
            #expect(throws: HoldfastError.self) { _ = try stage.begin(key, process) }
            process.finish(.exited(11))
        }
        try stage.run(for: .seconds(130)) { stage, age in
            guard age >= .seconds(90), let claim = byHand.withLock({ $0.take() }) else { return }
            try? stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
        }
        #expect(try stage.store.run(key("a", 60))?.state == .notRun(.overlap, last: key("a", 60).scheduled, count: 1))
        #expect(stage.launched == [key("a", 60), key("a", 120)])
        #expect(try stage.store.alerts(all: true).isEmpty)
    }

    @Test("goes on when something beside the state cannot be read")
    func unreadableEnd() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start, play: Self.works)
        try FileManager.default.createDirectory(
            atPath: stage.spool.directory + "/5.end.json", withIntermediateDirectories: true)
        try stage.run(for: .seconds(130))
        #expect(try stage.states == [.ended(.succeeded), .ended(.succeeded)])
    }

    @Test("starts no run again whose end is there and cannot be read now, and tells of it")
    func unreadableOwnEnd() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            try stage.spool.put(claim, RunCompletion(.succeeded), at: stage.clock.now())
            stage.hideEnd(claim.fence)
            process.finish(.exited(0))
        }
        let told = Mutex<[String]>([])
        try stage.run(for: .seconds(5000)) { stage, age in
            guard age >= .seconds(4500) else { return }
            if told.withLock({ $0.isEmpty }) {
                let firing = (try? stage.store.alerts(all: false)) ?? []
                told.withLock { $0 = firing.map(\.key) }
            }
            stage.showEnd(1)
        }
        #expect(stage.launched.count == 1)
        #expect(try stage.states == [.ended(.succeeded)])
        #expect(told.withLock { $0 } == ["outcome/1"])
        #expect(try stage.store.alerts(all: false).isEmpty)
    }

    @Test("tells nobody of a run that another of its job held up for a moment")
    func shortlyBusy() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            // The other one has ended before anybody can look for it.
            if stage.launched.count == 1 { return process.finish(.exited(11)) }
            try Self.works(stage, key, process)
        }
        let told = Mutex(0)
        try stage.run(for: .seconds(3700)) { stage, _ in
            let all = (try? stage.store.alerts(all: true)) ?? []
            told.withLock { $0 = max($0, all.count) }
        }
        #expect(stage.launched.count == 2)
        #expect(try stage.states == [.ended(.succeeded)])
        #expect(told.withLock { $0 } == 0)
    }

    @Test("tells of a failure in a later turn that could not be told when it came")
    func toldLater() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (_, _, process) throws(HoldfastError) in
            process.finish(.exited(64))
        }
        let locked = locked
        stage.store.fail { $0 == "fire" ? locked : nil }
        try stage.run(for: .seconds(3800)) { stage, age in
            if age >= .seconds(3700) { stage.store.fail(nil) }
        }
        #expect(try stage.states == [.ended(.failed)])
        #expect(try stage.store.alerts(all: false).map(\.key) == ["job/a/failed"])
    }

    @Test("waits between its turns while the state cannot be used, also when something is due")
    func noSpin() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start, play: Self.works)
        let locked = locked
        let turns = Mutex(0)
        try stage.run(for: .seconds(3700)) { stage, age in
            if age >= .seconds(3590) {
                stage.store.fail { _ in locked }
                turns.withLock { $0 += 1 }
            }
        }
        #expect((100...150).contains(turns.withLock { $0 }))
    }

    @Test("tries a run again that could not begin while the state was locked, and tells of it")
    func putOff() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            if stage.launched.count < 4 { return process.finish(.exited(11)) }
            try Self.works(stage, key, process)
        }
        let told = Mutex(0)
        try stage.run(for: .seconds(3700)) { stage, _ in
            let firing = (try? stage.store.alerts(all: false)) ?? []
            told.withLock { $0 = max($0, firing.count) }
        }
        #expect(stage.launched.count == 4)
        #expect(try stage.states == [.ended(.succeeded)])
        #expect(told.withLock { $0 } == 1)
    }

    @Test("tries a run again that the machine had no process for")
    func noProcess() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            guard stage.launched.count > 2 else {
                throw HoldfastError(.processFailed, "no thread", hint: "Wait.", retry: .later)
            }
            try Self.works(stage, key, process)
        }
        try stage.run(for: .seconds(3700))
        #expect(try stage.states == [.ended(.succeeded)])
    }

    @Test("gives a run up at its start deadline that cannot begin, and goes on with the next")
    func neverBegins() throws {
        let job = everyJob("a", 3600) { $0.startDeadline = .seconds(100) }
        let stage = LoopStage([job], at: start) { (stage, key, process) throws(HoldfastError) in
            if key.scheduled.seconds % 7200 == 3600 { return process.finish(.exited(11)) }
            try Self.works(stage, key, process)
        }
        try stage.run(for: .seconds(7300))
        let first = key("a", 3600)
        #expect(try stage.states == [.notRun(.startDeadline, last: first.scheduled, count: 1), .ended(.succeeded)])
    }

    @Test("records a run as failed that ends before it begins for another reason")
    func fails() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (_, _, process) throws(HoldfastError) in
            process.finish(.exited(64))
        }
        try stage.run(for: .seconds(3700))
        #expect(stage.launched.count == 1)
        #expect(try stage.states == [.ended(.failed)])
    }

    @Test("takes the end of a run that is beside the state before it takes the run for dead")
    func spooled() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            let claim = try stage.begin(key, process)
            try stage.spool.put(claim, RunCompletion(.succeeded), at: stage.clock.now())
            process.finish(.exited(0))
        }
        try stage.run(for: .seconds(3700))
        #expect(stage.launched.count == 1)
        #expect(try stage.states == [.ended(.succeeded)])
    }

    @Test("starts a run once more whose process died, and no more than that")
    func died() throws {
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            _ = try stage.begin(key, process)
            process.finish(.signalled(9))
        }
        try stage.run(for: .seconds(3700))
        #expect(stage.launched.count == 2)
        #expect(try stage.states == [.ended(.died)])
    }

    @Test("asks nobody twice about a run that somebody else has taken")
    func taken() throws {
        let other = RunHolder(host: "elsewhere", process: 1)
        let stage = LoopStage([everyJob("a", 3600)], at: start) { (stage, key, process) throws(HoldfastError) in
            // By hand, at the same second.
            if stage.launched.count == 1 {
                let claim = try stage.store.begin(
                    key, .manual, holder: other, lease: .seconds(60), at: stage.clock.now())
                try stage.store.complete(claim, RunCompletion(.succeeded), at: stage.clock.now())
            }
            process.finish(.exited(11))
        }
        try stage.run(for: .seconds(3700))
        #expect(stage.launched.count == 1)
        #expect(
            try stage.store.memories(of: [JobName("a")], at: start)[JobName("a")]?.through == key("a", 3600).scheduled)
    }

    // MARK: - Clocks

    @Test("goes on after the clock ran ahead by years and was set right, and runs nothing twice")
    func setBack() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start, play: Self.works)
        let years = Duration.seconds(3 * 366 * 86_400)
        let step = Mutex(0)
        let clock = stage.clock
        try stage.run(for: .seconds(400)) { _, age in
            step.withLock { step in
                if step == 0, age >= .seconds(100) {
                    step = 1
                    clock.set(clock.now() + years)
                } else if step == 1, age >= .seconds(200) {
                    step = 2
                    clock.set(clock.now() + (.zero - years))
                }
            }
        }
        #expect(Set(stage.launched).count == stage.launched.count)
        let late = stage.launched.filter {
            $0.scheduled > start + .seconds(200) && $0.scheduled < start + .seconds(1000)
        }
        #expect(late.count >= 3, "\(stage.launched)")
    }

    @Test("goes on when it finds a memory that lies years ahead")
    func foundAhead() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start, play: Self.works)
        let ahead = start + .seconds(5 * 366 * 86_400)
        try stage.store.record(
            [NonRun(first: ahead, last: ahead, count: 1, reason: .missed)], of: JobName("a"), .schedule, at: start)
        try stage.run(for: .seconds(130))
        #expect(stage.launched == [key("a", 60), key("a", 120)])
    }

    @Test("runs nothing twice when the clock goes back an hour, and goes on after that")
    func anHour() throws {
        let stage = LoopStage([everyJob("a", 60)], at: start, play: Self.works)
        let isSet = Mutex(false)
        let clock = stage.clock
        try stage.run(for: .seconds(8000)) { _, age in
            guard age >= .seconds(3600) else { return }
            isSet.withLock { isSet in
                if !isSet { clock.set(clock.now() + .seconds(-3600)) }
                isSet = true
            }
        }
        #expect(Set(stage.launched).count == stage.launched.count)
        #expect(stage.launched.last?.scheduled == start + .seconds(4380))
    }
}
