// The alerts `job/NAME/failed`: what the ends of runs say of them.

import Primitives

/// The alerts `job/NAME/failed`.
package enum JobAlert {
    private static let (prefix, suffix) = ("job/", "/failed")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// The job that an alert is about; nil for other alerts.
    package static func job(of key: String) -> JobName? {
        guard key.hasPrefix(prefix), key.hasSuffix(suffix), key.count > prefix.count + suffix.count else { return nil }
        return JobName(String(key.dropFirst(prefix.count).dropLast(suffix.count)))
    }

    /// What is told of the end of a run without success. A run that has another attempt has not ended.
    package static func firing(
        _ job: JobName, _ completion: RunCompletion
    ) -> (severity: AlertRecord.Severity, summary: String) {
        let kind = completion.kind.map { " (\($0))" } ?? ""
        let reason = completion.message.map { ": \($0)" } ?? ""
        return (
            completion.outcome == .checkFailed ? .critical : .warning,
            "job \(job)\(kind) ended as \(completion.outcome.rawValue)\(reason)"
        )
    }

    /// The alert that the run of a job which is under way goes on for too long. It ends with the attempt.
    package static func overlong(_ job: JobName) -> String { prefix + job.description + "/overlong" }

    /// What is told of a run that died and is not started again. It is critical: nobody knows what it left.
    package static func died(_ run: RunKey) -> String { "job \(run.job) died twice in its run \(run)" }

    /// The jobs whose alerts of damage are over now that a run of `job` has succeeded, or that a check by hand found
    /// nothing: its own, and of others those that may be over (``isOver(_:)``). An alert of damage which this has not
    /// looked at stays.
    ///
    /// - Parameters:
    ///   - grave: The keys of critical alerts that fire.
    ///   - checks: All that are known, with that of the run.
    package static func over(
        _ job: JobName?, grave: Set<String>, _ checks: [CheckRecord]
    ) -> (isOwn: Bool, mayBe: Set<JobName>) {
        let damaged = Set(CheckStanding(checks, of: nil).damages.map(\.job))
        let found = Set(checks.filter { $0.outcome == .checkFailed }.map(\.job)).subtracting(damaged)
        let isOwn = job.map { !grave.contains(key($0)) || !damaged.contains($0) } ?? false
        return (isOwn, found.filter { $0 != job && grave.contains(key($0)) })
    }

    /// Whether an alert of damage that is known no more is over, by how the newest run of its job ended. That one may
    /// have looked at less and found nothing; of one that failed otherwise the alert tells.
    package static func isOver(_ last: RunOutcome?) -> Bool { last == .checkFailed || last == .succeeded }
}
