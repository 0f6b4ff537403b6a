// When the runs of jobs start as they are planned, by what they come after and by pauses.

import Primitives

/// Starts in the year to come, by the planner's rules on the planned instants: each run of a job is taken for good, and
/// for as long as its file says.
struct PlannedStarts {
    struct Starts {
        var instants: [Timestamp] = []
        /// Beyond this there are more.
        var end: Timestamp
        /// Whether a pause that ends holds up the first.
        var isHeldUp = false
    }

    private let jobs: [JobName: Job]
    private let host: String
    private let now: Timestamp
    private var known: [JobName: Starts] = [:]

    init(_ jobs: [Job], _ host: String, _ now: Timestamp) {
        self.jobs = Dictionary(jobs.map { ($0.name, $0) }, uniquingKeysWith: { one, _ in one })
        self.host = host
        self.now = now
    }

    /// Those of a job; none of one that is disabled, paused without an end, or comes after such a one.
    mutating func starts(of job: Job) -> Starts {
        if let found = known[job.name] { return found }
        // Jobs that wait for each other never start.
        var starts = Starts(end: now + ScheduleLint.horizon)
        known[job.name] = starts
        let pause = job.pause.flatMap { $0.holds(at: now) ? $0 : nil }
        guard job.isEnabled, pause == nil || pause?.until != nil else { return starts }
        var own = ScheduleLint.starts(job, host, now)
        if own.count == ScheduleLint.maximumInstants, let last = own.last { starts.end = last }
        if let end = pause?.until {
            own.removeAll { $0 < end }
            starts.isHeldUp = true
        }
        // One that there is not is told of as such.
        let others = job.after.compactMap { jobs[$0] }
        let before = others.map { (job: $0, starts: self.starts(of: $0)) }
        for other in before {
            starts.end = min(starts.end, other.starts.end)
            starts.isHeldUp = starts.isHeldUp || other.starts.isHeldUp
        }
        starts.instants = Self.following(own, job, before)
        known[job.name] = starts
        return starts
    }

    /// Those of `own` for which every predecessor has run since the run before. They wait for it until their deadlines.
    private static func following(
        _ own: [Timestamp], _ job: Job, _ before: [(job: Job, starts: Starts)]
    ) -> [Timestamp] {
        guard !before.isEmpty else { return own }
        guard !before.contains(where: { $0.starts.instants.isEmpty }) else { return [] }
        var found: [Timestamp] = []
        var cursors = before.map { _ in 0 }
        for instant in own {
            let deadline = job.startDeadline.map { instant + $0 } ?? job.schedule.next(after: instant)?.instant
            var start: Timestamp? = instant
            for (place, other) in before.enumerated() {
                let instants = other.starts.instants
                while cursors[place] < instants.count, instants[cursors[place]] <= instant { cursors[place] += 1 }
                let (past, next) = (cursors[place] - 1, cursors[place])
                var run: Timestamp?
                if past >= 0, found.last.map({ instants[past] > $0 }) ?? true {
                    run = instants[past]
                } else if found.last == nil {
                    // What was before now has run, as far as is known.
                    continue
                } else if next < instants.count {
                    run = instants[next]
                }
                let end = run.map { $0 + (other.job.expectedDuration ?? .zero) }
                guard let begun = start, let end, end <= instant || deadline.map({ end < $0 }) ?? true else {
                    start = nil
                    break
                }
                start = max(begun, end)
            }
            if let start { found.append(start) }
        }
        return found
    }
}
