// What is known of repositories and jobs by their runs.

import ControlPlane
import Primitives
import Scheduling
import Testing

@Suite("What checks found")
struct CheckStandingTests {
    /// Each check begins with a token and ends with the next one.
    private func run(
        _ job: String, _ extent: CheckExtent, _ token: Int64, _ outcome: RunOutcome, at place: String? = "/main",
        ended: Timestamp? = nil, memory: String? = "m"
    ) -> CheckRecord {
        CheckRecord(
            job: JobName(job),
            note: CheckNote(extent, repository: place, memory: extent == .part ? memory : nil),
            outcome: outcome, began: token * 2, noted: token * 2 + 1, ended: ended ?? Timestamp(seconds: token * 3600))
    }

    private func damage(_ runs: [CheckRecord]) -> Int64? {
        let found = CheckStanding(runs, of: "/main").damage.map { $0.began / 2 }
        // The order in which they are told says nothing.
        #expect(CheckStanding(runs.reversed(), of: "/main").damage.map { $0.began / 2 } == found)
        return found
    }

    @Test("stays known until a check that looks at as much finds nothing")
    func cleared() {
        let deep = run("deep", .everything, 1, .checkFailed)
        #expect(damage([deep]) == 1)
        #expect(damage([deep, run("quick", .structure, 2, .succeeded)]) == 1)
        #expect(damage([deep, run("some", .part, 2, .succeeded)]) == 1)
        #expect(damage([deep, run("other", .everything, 2, .succeeded)]) == nil)
        let some = run("some", .part, 1, .checkFailed)
        #expect(damage([some, run("quick", .structure, 2, .succeeded)]) == 1)
        // The packs that are read first are those of one memory, whatever the job is called.
        #expect(damage([some, run("else", .part, 2, .succeeded)]) == nil)
        #expect(damage([some, run("some", .part, 2, .succeeded, memory: "another")]) == 1)
        #expect(damage([some, run("some", .part, 2, .succeeded, memory: nil)]) == 1)
        #expect(damage([some, run("some", .part, 2, .succeeded)]) == nil)
        #expect(damage([some, run("deep", .everything, 2, .succeeded)]) == nil)
        let quick = run("quick", .structure, 1, .checkFailed)
        #expect(damage([quick, run("some", .part, 2, .succeeded)]) == nil)
    }

    @Test("takes a whole check where nobody has marked what is damaged, and then a budget clears nothing")
    func unmarked() {
        let budget = CheckBudget.bytes(ByteCount(1))
        #expect(CheckNote(budget, .checkFailed, repository: "/a", memory: "m").extent == .part)
        #expect(CheckNote(budget, .succeeded, repository: "/a", memory: "m").extent == .part)
        #expect(CheckNote(budget, .checkFailed, repository: "/a", memory: nil).extent == .everything)
        #expect(CheckNote(budget, .succeeded, repository: "/a", memory: nil).extent == .structure)
        #expect(CheckNote(.structure, .checkFailed, repository: "/a", memory: nil).extent == .structure)
    }

    @Test("is not hidden by a check that broke off, nor by one that was good before")
    func open() {
        let deep = run("deep", .everything, 2, .checkFailed)
        #expect(damage([deep, run("deep", .everything, 3, .failed), run("deep", .everything, 4, .died)]) == 2)
        #expect(damage([run("deep", .everything, 1, .succeeded), deep]) == 2)
        #expect(damage([run("deep", .everything, 3, .failed)]) == nil)
        let standing = CheckStanding([deep, run("quick", .structure, 3, .succeeded)], of: "/main")
        #expect(standing.newest?.job == JobName("quick"))
    }

    @Test("is not hidden by a check under a clock ahead, nor by one that began before it was found")
    func order() {
        let deep = run("deep", .everything, 2, .checkFailed)
        let ahead = Timestamp(seconds: 1000 * 86_400)
        #expect(damage([run("deep", .everything, 1, .succeeded, ended: ahead), deep]) == 2)
        var meanwhile = run("other", .everything, 3, .succeeded)
        meanwhile.began = deep.began + 1
        #expect(damage([deep, meanwhile]) == 2)
        #expect(damage([deep, run("deep", .everything, 3, .succeeded, ended: Timestamp(seconds: 0))]) == nil)
    }

    @Test("is that of the repository, and of what may be the repository")
    func places() {
        #expect(damage([run("far", .everything, 1, .checkFailed, at: "/far")]) == nil)
        let unknown = run("old", .everything, 1, .checkFailed, at: nil)
        #expect(damage([unknown]) == 1)
        #expect(damage([unknown, run("far", .everything, 2, .succeeded, at: "/far")]) == 1)
        #expect(damage([unknown, run("deep", .everything, 2, .succeeded)]) == nil)
        let deep = run("deep", .everything, 1, .checkFailed)
        #expect(damage([deep, run("deep", .everything, 2, .succeeded, at: nil)]) == 1)
    }
}

@Suite("A job's trouble")
struct JobTroubleTests {
    private let start = Timestamp(seconds: 1_800_000_000 / 3600 * 3600)

    private func job(_ change: (inout Job) -> Void = { _ in }) -> Job {
        var job = Job(
            name: JobName("hourly"), action: .backup(sources: []),
            schedule: Schedule(text: "1h", rule: .every(3600), zone: .utc))
        change(&job)
        return job
    }

    private func memory(_ outcome: RunOutcome? = .succeeded) -> JobMemory {
        var memory = JobMemory(through: start)
        memory.last = outcome.map { JobMemory.Ended(scheduled: start, began: start, ended: start, outcome: $0) }
        return memory
    }

    private func trouble(_ job: Job, _ memory: JobMemory?, after seconds: Int64, isActive: Bool = false) -> JobTrouble?
    {
        JobTrouble(job, memory, isActive: isActive, host: "h", at: start + .seconds(seconds))
    }

    @Test("is none while it ends well, waits for its time, or is told not to run")
    func none() {
        #expect(trouble(job(), memory(), after: 60) == nil)
        #expect(trouble(job(), memory(nil), after: 60) == nil)
        #expect(trouble(job(), nil, after: 1_000_000) == nil)
        #expect(trouble(job(), memory(.replaced), after: 60) == nil)
        #expect(trouble(job { $0.isEnabled = false }, memory(.failed), after: 1_000_000) == nil)
        #expect(trouble(job { $0.pause = Pause(reason: "r", until: nil) }, memory(.failed), after: 1_000_000) == nil)
        var paused = memory(.failed)
        paused.pause = StandingOrder(reason: "r", actor: "a", since: start)
        #expect(trouble(job(), paused, after: 1_000_000) == nil)
    }

    @Test("is that it fails, however it does")
    func failing() {
        for outcome in [RunOutcome.failed, .partial, .checkFailed, .timedOut, .died, .stopped] {
            #expect(trouble(job(), memory(outcome), after: 60) == .failing(outcome, at: start))
        }
    }

    @Test("is that nothing ran it until the next was due, or until its start deadline")
    func overdue() {
        let due = start + .seconds(3600)
        #expect(trouble(job(), memory(), after: 2 * 3600 + 599) == nil)
        #expect(trouble(job(), memory(), after: 2 * 3600 + 601) == .overdue(since: due))
        #expect(trouble(job(), memory(), after: 2 * 3600 + 601, isActive: true) == nil)
        #expect(trouble(job { $0.startDeadline = .seconds(60) }, memory(), after: 3600 + 661) == .overdue(since: due))
        let delayed = job { $0.jitter = .seconds(3000) }
        let delay = delayed.jitter(on: "h").components.seconds
        #expect(trouble(delayed, memory(), after: 2 * 3600 + delay + 599) == nil)
        #expect(trouble(delayed, memory(), after: 2 * 3600 + delay + 601) == .overdue(since: due))
    }

    @Test("is that nothing ran the last instant of a schedule for a day")
    func last() throws {
        let once = Schedule(
            text: "once", rule: .calendar(try CalendarExpression("2027-01-15 10:00").fields), zone: .utc)
        let due = try #require(once.next(after: start)?.instant)
        let job = job { $0.schedule = once }
        let wait = due.since(start).components.seconds
        #expect(trouble(job, memory(), after: wait + 86_400 + 599) == nil)
        #expect(trouble(job, memory(), after: wait + 86_400 + 601) == .overdue(since: due))
    }

    @Test("is that nobody goes on with a run that waits for its next attempt")
    func stuck() {
        let now = start + .seconds(60)
        func trouble(isActive: Bool) -> JobTrouble? {
            JobTrouble(job(), memory(), isActive: isActive, stuck: start, host: "h", at: now)
        }
        #expect(trouble(isActive: false) == .overdue(since: start) && trouble(isActive: true) == nil)
    }

    @Test("is not hidden by a run that nobody holds, nor by one that was to be tried again long ago")
    func inactive() {
        let now = start + .seconds(10 * 86_400)
        func isActive(_ phase: ActiveRun.Phase, isHeld: Bool = true, of name: String = "hourly") -> Bool {
            let key = RunKey(job: JobName("hourly"), scheduled: start)
            let run = ActiveRun(
                key: key, trigger: .schedule, phase: phase, attempt: 1, began: start, isHeld: isHeld)
            var job = job()
            job.name = JobName(name)
            return JobTrouble.isActive(run, of: job, at: now)
        }
        let running = ActiveRun.Phase.running(RunHolder(host: "h", process: 1), fence: 1)
        #expect(isActive(running) && !isActive(running, isHeld: false) && !isActive(running, of: "other"))
        #expect(isActive(.waiting(until: now + .seconds(10))) && isActive(.waiting(until: now + .seconds(-599))))
        #expect(!isActive(.waiting(until: now + .seconds(-601))))
        #expect(!isActive(.waiting(until: now + .seconds(400 * 86_400))), "of a clock that was ahead")
    }
}
