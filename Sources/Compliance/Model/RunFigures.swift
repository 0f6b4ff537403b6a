// Populations of runs out of the lines of the run ledger.

import Primitives
import Repository

/// What became of the runs that were due in a period, by job.
struct RunFigures: Sendable {
    /// What a word of the ledger that says why a run did not take place comes to.
    private enum Absence {
        case missed, madeUp, excused

        /// A word that is not known is taken for the worst.
        init(_ reason: String) {
            switch reason {
            case "caught-up": self = .madeUp
            case "outside-window", "blackout", "paused", "disabled", "skipped": self = .excused
            default: self = .missed
            }
        }
    }

    struct Job: Sendable {
        var population = Report.Population()
        var outcomes: [String: Int64] = [:]
        /// How long after its instant a run counts as late.
        var grace = RunFigures.lateness
    }

    /// As `holdfast status` has it for a job that is overdue.
    static let lateness = Duration.seconds(600)

    /// What is known of each job, with what inventories say of it.
    private(set) var jobs: [String: Job] = [:]
    private var lateCandidates: [String: [Duration]] = [:]
    /// Of each state, the lines of the segments that begin at one instant: after a crash a segment may stand twice.
    private var seen: [String: (from: Timestamp, lines: Set<Line>)] = [:]

    private struct Line: Hashable {
        var job: String
        var due: Timestamp
        var reason: String
        var fence: UInt64
    }

    /// - Returns: whether any line was of the period.
    mutating func add(_ record: EvidenceRecord, state: String, in period: ReportPeriod) -> Bool {
        if seen[state]?.from != record.started { seen[state] = (record.started, []) }
        var isOfPeriod = false
        for run in record.runs where period.contains(run.due) {
            isOfPeriod = true
            let line = Line(job: run.job, due: run.due, reason: run.reason, fence: run.fence)
            guard seen[state]?.lines.insert(line).inserted ?? true else { continue }
            count(run)
        }
        return isOfPeriod
    }

    private mutating func count(_ run: EvidenceRun) {
        var job = jobs[run.job] ?? Job()
        defer { jobs[run.job] = job }
        let number: Int64
        if run.outcome.isEmpty {
            // More than were counted are at least one more than the scheduler counts.
            number = Int64(clamping: run.count ?? 10_001)
            switch Absence(run.reason) {
            case .missed: job.population.missed += number
            case .madeUp: job.population.madeUp += number
            case .excused: job.population.excused += number
            }
        } else {
            number = 1
            switch run.outcome {
            case "succeeded": job.population.done += 1
            case "partial": job.population.partial += 1
            default: job.population.failed += 1
            }
            if let began = run.began, began.since(run.due) > Self.lateness {
                lateCandidates[run.job, default: []].append(began.since(run.due))
            }
        }
        if run.trigger == "manual" { job.population.manual += number }
        job.outcomes[run.outcome.isEmpty ? run.reason : run.outcome, default: 0] += number
    }

    /// What an inventory expects of a job.
    mutating func expect(_ job: EvidenceJob, isWhole: Bool) {
        var known = jobs[job.name] ?? Job()
        known.grace = job.jitter + Self.lateness
        if job.isEnabled {
            if let due = job.due, isWhole {
                known.population.expected += Int64(clamping: due)
            } else {
                known.population.unknownStretches += 1
            }
        }
        jobs[job.name] = known
    }

    /// The finished numbers.
    func finished() -> [String: Job] {
        var finished = jobs
        for (name, job) in jobs {
            var whole = job
            whole.population.late = Int64(lateCandidates[name]?.count { $0 > job.grace } ?? 0)
            whole.population.unaccounted = max(0, job.population.expected - job.population.recorded)
            finished[name] = whole
        }
        return finished
    }
}

extension Report.Population {
    static func + (one: Self, other: Self) -> Self {
        var sum = one
        for path in [
            \Self.expected, \.unknownStretches, \.done, \.partial, \.failed, \.missed, \.madeUp, \.excused, \.late,
            \.manual, \.unaccounted,
        ] {
            sum[keyPath: path] += other[keyPath: path]
        }
        return sum
    }
}
