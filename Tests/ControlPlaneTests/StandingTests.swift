// What is known of repositories and jobs by their runs.

import ControlPlane
import Primitives
import Scheduling
import Testing

@Suite("What checks found")
struct CheckStandingTests {
    private func run(_ job: String, _ budget: CheckBudget, _ hour: Int64, _ outcome: RunOutcome) -> CheckRun {
        CheckRun(job: JobName(job), budget: budget, ended: Timestamp(seconds: hour * 3600), outcome: outcome)
    }

    private func damage(_ runs: [CheckRun]) -> Int64? {
        let found = CheckStanding(runs).damage.map { $0.ended.seconds / 3600 }
        // The order in which they are told says nothing.
        #expect(CheckStanding(runs.reversed()).damage.map { $0.ended.seconds / 3600 } == found)
        return found
    }

    @Test("stays known until a check that looks at as much finds nothing")
    func cleared() {
        let hour = CheckBudget.time(.seconds(3600))
        let deep = run("deep", .everything, 1, .checkFailed)
        #expect(damage([deep]) == 1)
        #expect(damage([deep, run("quick", .structure, 2, .succeeded)]) == 1)
        #expect(damage([deep, run("some", hour, 2, .succeeded)]) == 1)
        #expect(damage([deep, run("other", .everything, 2, .succeeded)]) == nil)
        let some = run("some", hour, 1, .checkFailed)
        #expect(damage([some, run("quick", .structure, 2, .succeeded)]) == 1)
        #expect(damage([some, run("else", hour, 2, .succeeded)]) == 1)
        #expect(damage([some, run("some", hour, 2, .succeeded)]) == nil)
        #expect(damage([some, run("deep", .everything, 2, .succeeded)]) == nil)
        let quick = run("quick", .structure, 1, .checkFailed)
        #expect(damage([quick, run("some", hour, 2, .succeeded)]) == nil)
    }

    @Test("is not hidden by a check that broke off, nor by one that was good before")
    func open() {
        let deep = run("deep", .everything, 2, .checkFailed)
        #expect(damage([deep, run("deep", .everything, 3, .failed), run("deep", .everything, 4, .died)]) == 2)
        #expect(damage([run("deep", .everything, 1, .succeeded), deep]) == 2)
        #expect(damage([run("deep", .everything, 3, .failed)]) == nil)
        let standing = CheckStanding([deep, run("quick", .structure, 3, .succeeded)])
        #expect(standing.newest?.job == JobName("quick"))
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
        #expect(trouble(job(), memory(.stopped), after: 60) == nil)
        #expect(trouble(job { $0.isEnabled = false }, memory(.failed), after: 1_000_000) == nil)
        #expect(trouble(job { $0.pause = Pause(reason: "r", until: nil) }, memory(.failed), after: 1_000_000) == nil)
        var paused = memory(.failed)
        paused.pause = StandingOrder(reason: "r", actor: "a", since: start)
        #expect(trouble(job(), paused, after: 1_000_000) == nil)
    }

    @Test("is that it fails, however it does")
    func failing() {
        for outcome in [RunOutcome.failed, .partial, .checkFailed, .timedOut, .died] {
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
}
