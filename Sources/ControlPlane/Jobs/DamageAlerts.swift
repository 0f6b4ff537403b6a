// Alerts of damage, which last as long as the damage is known.

import Primitives
import Scheduling
import State

/// The alerts `job/NAME/failed`.
package enum JobAlert {
    private static let (prefix, suffix) = ("job/", "/failed")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// The job that an alert is about; nil for other alerts.
    package static func job(of key: String) -> JobName? {
        guard key.hasPrefix(prefix), key.hasSuffix(suffix), key.count > prefix.count + suffix.count else { return nil }
        return JobName(String(key.dropFirst(prefix.count).dropLast(suffix.count)))
    }
}

/// The alerts of jobs that check.
package enum DamageAlerts {
    private static func key(_ job: JobName) -> String { JobAlert.key(job) }

    /// Resolves the alert of a job that has succeeded, and those of damage that is known no more. That of damage which
    /// this success has not looked at stays.
    package static func resolve(
        _ job: JobName? = nil, in store: any RunStore & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let firing = Set(try store.alerts(all: false).filter { $0.severity == .critical }.map(\.key))
        let checks = try store.checks()
        let damaged = Set(CheckStanding(checks, of: nil).damages.map(\.job))
        if let job, !firing.contains(key(job)) || !damaged.contains(job) { _ = try store.resolve(key(job), at: now) }
        let found = Set(checks.filter { $0.outcome == .checkFailed }.map(\.job)).subtracting(damaged)
        let others = found.filter { $0 != job && firing.contains(key($0)) }
        guard !others.isEmpty else { return }
        let memories = try store.memories(of: Array(others), at: now)
        for other in others {
            // Its newest run may have looked at less and found nothing; of one that failed otherwise the alert tells.
            guard let last = memories[other]?.last?.outcome, last == .checkFailed || last == .succeeded else {
                continue
            }
            _ = try store.resolve(key(other), at: now)
        }
    }

    /// Resolves the alerts of jobs that there are no more. Those of damage that is known stay: no file's end mends it.
    ///
    /// - Parameter jobs: All that there are.
    package static func resolveGone(
        but jobs: Set<JobName>, in store: any RunStore & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let gone = try store.alerts(all: false).filter { alert in
            JobAlert.job(of: alert.key).map { !jobs.contains($0) } ?? false
        }
        guard !gone.isEmpty else { return }
        let damaged = Set(CheckStanding(try store.checks(), of: nil).damages.map { key($0.job) })
        for alert in gone where !(alert.severity == .critical && damaged.contains(alert.key)) {
            _ = try store.resolve(alert.key, at: now)
        }
    }
}
