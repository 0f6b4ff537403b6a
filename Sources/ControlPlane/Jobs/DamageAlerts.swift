// Alerts of damage, which last as long as the damage is known.

import Primitives
import Scheduling
import State

/// The alerts of jobs that check.
package enum DamageAlerts {
    private static func key(_ job: JobName) -> String { JobAlert.key(job) }

    /// Resolves the alerts of damage that is known no more since a check by hand. A run does so with its end.
    package static func resolve(
        in store: any RunStore & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let grave = Set(try store.alerts(all: false).filter { $0.severity == .critical }.map(\.key))
        let others = JobAlert.over(nil, grave: grave, try store.checks()).mayBe
        guard !others.isEmpty else { return }
        let memories = try store.memories(of: Array(others), at: now)
        for other in others where JobAlert.isOver(memories[other]?.last?.outcome) {
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
