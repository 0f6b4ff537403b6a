// What is known of a repository by the checks of it, and not only by the newest.

import Primitives
import Scheduling

/// One run of a job that checks a repository.
package struct CheckRun: Sendable, Hashable {
    package var job: JobName
    package var budget: CheckBudget
    package var ended: Timestamp
    package var outcome: RunOutcome

    package init(job: JobName, budget: CheckBudget, ended: Timestamp, outcome: RunOutcome) {
        self.job = job
        self.budget = budget
        self.ended = ended
        self.outcome = outcome
    }

    /// Whether this run, which found nothing, has looked at all that `earlier` looked at and found damaged.
    ///
    /// Every check looks at the structure. One with a budget reads those packs first that were not good for the
    /// longest, so that the next run of the same job reads again what was damaged in the last.
    func clears(_ earlier: CheckRun) -> Bool {
        guard ended > earlier.ended else { return false }
        switch earlier.budget {
        case .structure: return true
        case .everything: return budget == .everything
        case .bytes, .time: return budget == .everything || job == earlier.job && budget != .structure
        }
    }
}

/// What the checks of a repository come to.
package struct CheckStanding: Sendable, Hashable {
    /// The newest run, however it ended.
    package var newest: CheckRun?
    /// The newest run that found damage which no later one has shown to be gone.
    package var damage: CheckRun?

    package init(_ runs: [CheckRun]) {
        newest = runs.max { $0.ended < $1.ended }
        let good = runs.filter { $0.outcome == .succeeded }
        damage = runs.filter { run in run.outcome == .checkFailed && !good.contains { $0.clears(run) } }
            .max { $0.ended < $1.ended }
    }
}
