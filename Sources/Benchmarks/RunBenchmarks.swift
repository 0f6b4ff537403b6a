// The daemon's turn with 5,000 jobs and a history of a million lines.

import Primitives
import Scheduling
import State
import TestSupport

extension Bench {
    private static let jobs = 5_000
    private static let linesPerJob = 200

    /// Fills a run store, then measures what the daemon does at every turn.
    mutating func runs() throws(HoldfastError) {
        guard wants("schedule/turn") || wants("schedule/history") else { return }
        let directory = TemporaryDirectory()
        let system = SystemClock()
        let store = try SQLiteRunStore(
            path: directory.path + "/runs.sqlite", clock: RunStoreClock(boot: "bench") { system.uptime() })
        let now = system.now()
        let every: Int64 = 3600
        let first = Timestamp(seconds: (now.seconds / every - Int64(Self.linesPerJob)) * every)
        let lines = (0..<Self.linesPerJob).map { number in
            let instant = first + .seconds(Int64(number) * every)
            return NonRun(first: instant, last: instant, count: 1, reason: .overlap)
        }
        let jobs = (0..<Self.jobs).map { number in
            var job = Job(
                name: JobName("job-\(number)"), action: .backup(sources: ["source-\(number)"]),
                schedule: Schedule(text: "every 1h", rule: .every(every), zone: .utc))
            job.jitter = .seconds(1800)
            return job
        }
        for job in jobs { try store.record(lines, of: job.name, .schedule, at: now) }
        let names = jobs.map(\.name)
        var planner = RunPlanner(
            jobs: jobs, memories: try store.memories(of: names, at: now), active: try store.active(), host: "bench",
            at: now)
        _ = planner.decide(at: now)
        let before = ProcessMemory.anonymous()
        try time("schedule/turn decision", "5000 jobs") { () throws(HoldfastError) in
            _ = planner.decide(at: now + .seconds(1))
        }
        try time("schedule/turn store", "5000 jobs, a million lines") { () throws(HoldfastError) in
            planner.update(memories: try store.memories(of: names, at: now), active: try store.active())
        }
        try time("schedule/history", "the newest 50 of a million") { () throws(HoldfastError) in
            _ = try store.history(HistoryQuery(limit: 50))
        }
        add(
            Measurement(
                name: "schedule/turn memory", rate: before, unit: "MiB", note: "with the jobs"))
    }

    /// The fastest of ten runs, in microseconds.
    private mutating func time(
        _ name: String, _ note: String, _ body: () throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let clock = ContinuousClock()
        var best = Duration.seconds(1000)
        for _ in 0..<10 {
            let start = clock.now
            try body()
            best = min(best, clock.now - start)
        }
        add(Measurement(name: name, rate: Double(best.nanosecondsClamped) / 1e3, unit: "us", note: note))
    }
}
