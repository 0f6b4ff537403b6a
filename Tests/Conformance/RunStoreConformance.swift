// What every run store must do. One suite; RunStoreUnderTest.swift says who runs it.

import Primitives
import Scheduling
import State
import Synchronization
import TestSupport
import TestThreads
import Testing

@Suite("Every run store", .waiting)
struct RunStoreConformance {
    private let noon = Timestamp(seconds: 1_800_000_000)
    private let holder = RunHolder(host: "one", process: 100)
    private let other = RunHolder(host: "one", process: 200)

    private func key(_ hours: Int64, _ job: String = "nightly") -> RunKey {
        RunKey(job: JobName(job), scheduled: Timestamp(seconds: noon.seconds + hours * 3600))
    }

    private func code(_ body: () throws -> Void) -> ErrorCode? {
        do {
            try body()
            return nil
        } catch {
            return (error as? HoldfastError)?.code
        }
    }

    // MARK: - Claims

    @Test("runs a key once, whoever asks for it again", arguments: RunStoreUnderTest.all)
    func once(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let (one, two) = (try fixture.open(), try fixture.open())
        let claim = try one.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        #expect(
            code { _ = try two.begin(key(0), .schedule, holder: other, lease: .seconds(30), at: noon) } == .runTaken)
        try one.complete(claim, RunCompletion(.succeeded), at: noon + .seconds(5))
        for trigger in RunTrigger.allCases {
            #expect(
                code { _ = try two.begin(key(0), trigger, holder: other, lease: .seconds(30), at: noon) } == .runTaken)
        }
        #expect(try two.history(HistoryQuery()).map(\.state) == [.ended(.succeeded)])
    }

    @Test("lets one of many at once have the run", arguments: RunStoreUnderTest.all)
    func race(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let stores = try (0..<8).map { _ in try fixture.open() }
        let (wanted, start) = (key(0), noon)
        let won = Mutex<[Int64]>([])
        withThreads(stores.count) { index in
            let holder = RunHolder(host: "one", process: Int32(index + 1))
            guard
                let claim = try? stores[index].begin(wanted, .schedule, holder: holder, lease: .seconds(30), at: start)
            else { return }
            won.withLock { $0.append(claim.fence) }
        }
        #expect(won.withLock { $0.count } == 1)
    }

    @Test("lets no second run of a job begin while one is under way", arguments: RunStoreUnderTest.all)
    func together(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let (one, two) = (try fixture.open(), try fixture.open())
        let claim = try one.begin(key(0), .manual, holder: holder, lease: .seconds(30), at: noon)
        for trigger in RunTrigger.allCases {
            #expect(code { _ = try two.begin(key(1), trigger, holder: other, lease: .seconds(30), at: noon) } == .busy)
        }
        #expect(try two.run(key(1)) == nil && two.active().map(\.isHeld) == [true])
        let another = try two.begin(key(0, "other"), .schedule, holder: other, lease: .seconds(300), at: noon)
        #expect(another.fence > claim.fence)
        // One whose lease ran out holds nobody up, though nobody has buried it.
        fixture.clock.advance(by: .seconds(31))
        #expect(try two.active().map(\.isHeld) == [false, true])
        let next = try two.begin(key(1), .schedule, holder: other, lease: .seconds(30), at: noon)
        try two.complete(next, RunCompletion(.succeeded), at: noon)
    }

    @Test("remembers of each kind of check the newest of each outcome", arguments: RunStoreUnderTest.all)
    func checks(_ subject: RunStoreUnderTest) throws {
        let store = try subject.make().open()
        func check(_ hour: Int64, _ outcome: RunOutcome, _ extent: CheckExtent, _ place: String? = "/main") throws {
            let claim = try store.begin(key(hour), .schedule, holder: holder, lease: .seconds(30), at: noon)
            var completion = RunCompletion(outcome)
            completion.check = CheckNote(extent, repository: place)
            for _ in 0..<2 { try store.complete(claim, completion, at: noon + .seconds(hour)) }
        }
        try check(1, .checkFailed, .everything)
        try check(2, .checkFailed, .everything)
        try check(3, .succeeded, .structure)
        try check(4, .succeeded, .structure, nil)
        let found = try store.checks().sorted { $0.noted < $1.noted }
        #expect(found.map(\.ended) == [2, 3, 4].map { noon + .seconds($0) })
        #expect(found.map(\.outcome) == [.checkFailed, .succeeded, .succeeded])
        #expect(found.map(\.note.extent) == [.everything, .structure, .structure])
        #expect(found.map(\.note.repository) == ["/main", "/main", nil])
        #expect(zip(found, found.dropFirst()).allSatisfy { $0.noted < $1.began })
    }

    @Test("gives each claim a larger fencing token, also after it was opened anew", arguments: RunStoreUnderTest.all)
    func fences(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        var last: Int64 = 0
        for hour in Int64(0)..<4 {
            let claim = try fixture.open().begin(key(hour), .schedule, holder: holder, lease: .seconds(30), at: noon)
            #expect(claim.fence > last)
            last = claim.fence
            try fixture.open().complete(claim, RunCompletion(.succeeded), at: noon)
        }
    }

    @Test("does not run what lies before what was run or recorded", arguments: RunStoreUnderTest.all)
    func past(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let claim = try store.begin(key(4), .schedule, holder: holder, lease: .seconds(30), at: noon)
        try store.complete(claim, RunCompletion(.succeeded), at: noon)
        #expect(
            code { _ = try store.begin(key(3), .schedule, holder: holder, lease: .seconds(30), at: noon) } == .runTaken)
        // By hand it is a run of its own.
        _ = try store.begin(key(3), .manual, holder: holder, lease: .seconds(30), at: noon)
    }

    // MARK: - Leases

    @Test("refuses the completion of a holder that came back after its lease", arguments: RunStoreUnderTest.all)
    func fencedOut(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let late = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        fixture.clock.advance(by: .seconds(29))
        try store.renew(late, lease: .seconds(30))
        fixture.clock.advance(by: .seconds(29))
        #expect(try store.buryDead(gone: nil, at: noon).isEmpty)
        fixture.clock.advance(by: .seconds(1))
        let dead = try store.buryDead(gone: nil, at: noon)
        #expect(dead == [DeadRun(key: key(0), attempt: 1, fence: late.fence, holder: holder, isRestarted: true)])
        #expect(code { try store.renew(late, lease: .seconds(30)) } == .leaseLost)
        #expect(code { try store.complete(late, RunCompletion(.succeeded), at: noon) } == .leaseLost)
        let second = try store.begin(key(0), .schedule, holder: other, lease: .seconds(30), at: noon)
        #expect(second.attempt == 2 && second.fence > late.fence)
        #expect(code { try store.complete(late, RunCompletion(.succeeded), at: noon) } == .leaseLost)
        try store.complete(second, RunCompletion(.failed), at: noon)
        #expect(code { try store.complete(late, RunCompletion(.failed), at: noon) } == .leaseLost)
        #expect(try store.history(HistoryQuery()).map(\.state) == [.ended(.failed)])
        #expect(try store.memories(of: [key(0).job], at: noon)[key(0).job]?.lastSuccess == nil)
    }

    @Test("starts a run that died once more, and no more than that", arguments: RunStoreUnderTest.all)
    func restartedOnce(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        for isRestarted in [true, false] {
            _ = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
            // Nobody waits for the lease of a process that is known to be gone.
            #expect(try store.buryDead(gone: other, at: noon).isEmpty)
            #expect(try store.buryDead(gone: holder, at: noon).map(\.isRestarted) == [isRestarted])
            #expect(try store.alerts(all: false).isEmpty == isRestarted)
        }
        #expect(try store.active().isEmpty)
        #expect(try store.history(HistoryQuery()).map(\.state) == [.ended(.died)])
        // Who buries it may die before it could tell.
        let alerts = try store.alerts(all: false)
        #expect(alerts.map(\.key) == [JobAlert.key(key(0).job)] && alerts.map(\.severity) == [.critical])
        #expect(alerts.first?.summary.contains("died twice in its run \(key(0))") == true)
        #expect(
            code { _ = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon) } == .runTaken)
    }

    @Test("takes the same completion again as the answer that was lost", arguments: RunStoreUnderTest.all)
    func completedTwice(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        let completion = RunCompletion(.failed, code: "no-space", message: "the disk is full")
        try store.complete(claim, completion, at: noon + .seconds(3))
        try store.complete(claim, completion, at: noon + .seconds(9))
        #expect(code { try store.complete(claim, RunCompletion(.succeeded), at: noon) } == .leaseLost)
        let memory = try #require(try store.memories(of: [key(0).job], at: noon)[key(0).job])
        #expect(memory.failures == 1)
        #expect(memory.last?.ended == noon + .seconds(3))
    }

    // MARK: - Memories

    @Test("moves the last success on success alone", arguments: RunStoreUnderTest.all)
    func lastSuccess(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        for (hour, outcome) in ([RunOutcome.succeeded] + RunOutcome.allCases.filter { $0 != .succeeded }).enumerated() {
            let now = noon + .seconds(Int64(hour) * 3600)
            let claim = try store.begin(key(Int64(hour)), .schedule, holder: holder, lease: .seconds(30), at: now)
            try store.complete(claim, RunCompletion(outcome), at: now + .seconds(60))
            let memory = try #require(try store.memories(of: [job], at: now)[job])
            #expect(memory.lastSuccess?.scheduled == key(0).scheduled)
            #expect(memory.last?.outcome == outcome)
            #expect(memory.failures == hour)
            #expect(memory.through == key(Int64(hour)).scheduled)
        }
    }

    @Test("remembers the newest run that was not ended by order", arguments: RunStoreUnderTest.all)
    func verdict(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        for (hour, outcome) in [RunOutcome.stopped, .checkFailed, .replaced, .stopped, .succeeded].enumerated() {
            let now = noon + .seconds(Int64(hour) * 3600)
            let claim = try store.begin(key(Int64(hour)), .schedule, holder: holder, lease: .seconds(30), at: now)
            try store.complete(claim, RunCompletion(outcome), at: now + .seconds(60))
            let memory = try #require(try store.memories(of: [job], at: now)[job])
            let wanted: (hour: Int64, outcome: RunOutcome)? =
                hour == 0 ? nil : hour < 4 ? (1, .checkFailed) : (4, .succeeded)
            #expect(memory.verdict?.scheduled == wanted.map { key($0.hour).scheduled })
            #expect(memory.verdict?.outcome == wanted?.outcome)
        }
    }

    @Test("remembers when a job was seen first, and of jobs that are asked for alone", arguments: RunStoreUnderTest.all)
    func firstSight(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        _ = try store.memories(of: [JobName("a"), JobName("b")], at: noon)
        let later = try store.memories(of: [JobName("a"), JobName("c")], at: noon + .seconds(500))
        #expect(later[JobName("a")]?.through == noon)
        #expect(later[JobName("b")] == nil)
        #expect(later[JobName("c")]?.through == noon + .seconds(500))
    }

    @Test("records each non-run with its reason", arguments: RunStoreUnderTest.all)
    func nonRuns(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        for (hour, reason) in NonRun.Reason.allCases.enumerated() {
            let instant = key(Int64(hour)).scheduled
            try store.record(
                [NonRun(first: instant, last: instant, count: 1, reason: reason)], of: job, .schedule, at: noon)
        }
        let many = NonRun(first: key(100).scheduled, last: key(200).scheduled, count: nil, reason: .missed)
        for _ in 0..<2 { try store.record([many], of: job, .schedule, at: noon) }
        let found = try store.history(HistoryQuery(job: job)).reversed().map(\.state)
        let expected = NonRun.Reason.allCases.enumerated().map { hour, reason in
            RunRecord.State.notRun(reason, last: key(Int64(hour)).scheduled, count: 1)
        }
        #expect(found == expected + [.notRun(.missed, last: key(200).scheduled, count: nil)])
        #expect(try store.memories(of: [job], at: key(200).scheduled)[job]?.through == key(200).scheduled)
        #expect(
            code { _ = try store.begin(key(0), .manual, holder: holder, lease: .seconds(1), at: noon) } == .runTaken)
    }

    @Test("keeps what an operator was refused beside the runs of the same second", arguments: RunStoreUnderTest.all)
    func refusals(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let instant = key(0).scheduled
        func refuse(_ reason: NonRun.Reason, _ now: Timestamp) throws {
            let nonRun = NonRun(first: instant, last: instant, count: 1, reason: reason)
            try store.record([nonRun], of: key(0).job, .manual, at: now)
        }
        try refuse(.dependency, noon)
        let claim = try store.begin(key(0), .manual, holder: holder, lease: .seconds(30), at: noon + .milliseconds(1))
        try store.complete(claim, RunCompletion(.failed), at: noon + .milliseconds(2))
        try refuse(.paused, noon + .milliseconds(3))
        // The answer to the last one was lost.
        try refuse(.paused, noon + .milliseconds(3))
        let expected: [RunRecord.State] = [
            .notRun(.paused, last: instant, count: 1), .ended(.failed), .notRun(.dependency, last: instant, count: 1),
        ]
        #expect(try store.history(HistoryQuery()).map(\.state) == expected)
        #expect(try store.history(HistoryQuery(job: key(0).job)).map(\.state) == expected)
        #expect(try store.history(HistoryQuery(limit: 2)).map(\.state) == Array(expected.prefix(2)))
    }

    @Test("lets a run that waits be taken for its next attempt", arguments: RunStoreUnderTest.all)
    func waiting(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        var completion = RunCompletion(.failed)
        completion.retryAt = noon + .seconds(90)
        try store.complete(claim, completion, at: noon + .seconds(30))
        #expect(try store.active().map(\.phase) == [.waiting(until: noon + .seconds(90))])
        #expect(try store.memories(of: [key(0).job], at: noon)[key(0).job]?.last == nil)
        let second = try store.begin(key(0), .schedule, holder: other, lease: .seconds(30), at: noon + .seconds(90))
        #expect(second.attempt == 2)
        try store.complete(second, RunCompletion(.succeeded), at: noon + .seconds(100))
        #expect(try store.active().isEmpty)
    }

    @Test(
        "lets the first run of a timer be the one that is due when the job is seen first",
        arguments: RunStoreUnderTest.all)
    func firstOfTimer(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        _ = try store.memories(of: [key(0).job], at: noon)
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        try store.complete(claim, RunCompletion(.succeeded), at: noon)
        #expect(
            code { _ = try store.begin(key(-1), .schedule, holder: holder, lease: .seconds(30), at: noon) } == .runTaken
        )
    }

    @Test("sets a memory back that lies further ahead than clocks are set back", arguments: RunStoreUnderTest.all)
    func ahead(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        func through(_ hours: Int64, at now: Timestamp) throws -> Timestamp? {
            let instant = key(hours).scheduled
            try store.record(
                [NonRun(first: instant, last: instant, count: 1, reason: .missed)], of: job, .schedule, at: noon)
            return try store.memories(of: [job], at: now)[job]?.through
        }
        // By hours it stays, so that nothing runs twice; and a clock that nobody has set proves nothing.
        #expect(try through(23, at: noon) == key(23).scheduled)
        #expect(
            code { _ = try store.begin(key(22), .schedule, holder: holder, lease: .seconds(30), at: noon) } == .runTaken
        )
        #expect(try through(24 * 400, at: Timestamp(seconds: 1000)) == key(24 * 400).scheduled)
        #expect(try store.memories(of: [job], at: noon)[job]?.through == noon)
        let claim = try store.begin(key(1), .schedule, holder: holder, lease: .seconds(30), at: noon)
        try store.complete(claim, RunCompletion(.succeeded), at: noon)
        #expect(try through(24 * 800, at: noon + .seconds(24 * 800 * 3600)) == key(24 * 800).scheduled)
        // Nobody has asked for the memory since.
        _ = try store.begin(key(2), .schedule, holder: holder, lease: .seconds(30), at: noon)
    }

    @Test("moves the memory of the schedule by runs of the schedule alone", arguments: RunStoreUnderTest.all)
    func byHand(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        _ = try store.memories(of: [job], at: noon)
        var completion = RunCompletion(.failed)
        completion.retryAt = noon
        for hour in Int64(1)...2 {
            let first = try store.begin(key(hour), .manual, holder: holder, lease: .seconds(30), at: noon)
            try store.complete(first, completion, at: noon)
        }
        // The daemon takes the next attempt of the one, and gives the other up.
        _ = try store.begin(key(1), .schedule, holder: holder, lease: .seconds(30), at: noon)
        try store.conclude(key(2), .schedule, completion, at: noon)
        #expect(try store.memories(of: [job], at: noon)[job]?.through == noon)
    }

    @Test("ends a run that waits or that nobody began without an attempt", arguments: RunStoreUnderTest.all)
    func concluded(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        var completion = RunCompletion(.failed, message: "given up")
        let claim = try store.begin(key(0), .schedule, holder: holder, lease: .seconds(30), at: noon)
        #expect(code { try store.conclude(key(0), .schedule, completion, at: noon) } == .runTaken)
        completion.retryAt = noon + .seconds(60)
        try store.complete(claim, completion, at: noon)
        try store.conclude(key(0), .schedule, completion, at: noon + .seconds(1))
        #expect(try store.run(key(0))?.state == .ended(.failed) && store.active().isEmpty)
        #expect(try store.run(key(0))?.attempt == 1)
        #expect(code { try store.conclude(key(0), .schedule, completion, at: noon) } == .runTaken)
        #expect(try store.run(key(1)) == nil)
        try store.conclude(key(1), .schedule, completion, at: noon + .seconds(2))
        #expect(try store.run(key(1))?.message == "given up")
        let memory = try #require(try store.memories(of: [job], at: noon)[job])
        #expect(memory.through == key(1).scheduled && memory.failures == 2 && memory.last?.outcome == .failed)
        #expect(
            code { _ = try store.begin(key(1), .manual, holder: holder, lease: .seconds(30), at: noon) } == .runTaken)
    }

    // MARK: - Orders

    @Test("keeps pauses and skips, and ends a skip with the run that it left out", arguments: RunStoreUnderTest.all)
    func orders(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let store = try fixture.open()
        let job = key(0).job
        let pause = StandingOrder(reason: "moving house", actor: "ann", since: noon, until: noon + .seconds(60))
        let skip = StandingOrder(reason: "once", actor: "ben", since: noon)
        #expect(try !store.pause(job, pause, at: noon))
        #expect(try !store.skip(job, skip, at: noon))
        var memory = try #require(try fixture.open().memories(of: [job], at: noon)[job])
        #expect(memory.pause == pause && memory.skip == skip)
        try store.record(
            [NonRun(first: key(1).scheduled, last: key(1).scheduled, count: 1, reason: .skipped)], of: job, .schedule,
            at: noon)
        #expect(try store.pause(job, nil, at: noon))
        memory = try #require(try fixture.open().memories(of: [job], at: noon)[job])
        #expect(memory.pause == nil && memory.skip == nil)
    }

    @Test("has another revision after each writing, and the same without", arguments: RunStoreUnderTest.all)
    func revisions(_ subject: RunStoreUnderTest) throws {
        let fixture = try subject.make()
        let (one, other) = (try fixture.open(), try fixture.open())
        _ = try one.memories(of: [key(0).job], at: noon)
        var last = try one.revision()
        #expect(try one.revision() == last)
        for (index, store) in [one, other, one, other].enumerated() {
            _ = try store.fire("a", .warning, "\(index)", at: noon)
            let next = try one.revision()
            #expect(next != last)
            last = next
        }
        #expect(try one.revision() == last)
    }
}
