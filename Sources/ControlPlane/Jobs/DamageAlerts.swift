// Alerts of damage, which last as long as the damage is known.

import Primitives
import Scheduling
import State

/// The alerts `job/NAME/failed` of jobs that check.
package enum DamageAlerts {
    private static func key(_ job: JobName) -> String { "job/\(job)/failed" }

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
        for other in others where memories[other]?.last?.outcome == .checkFailed {
            _ = try store.resolve(key(other), at: now)
        }
    }
}
