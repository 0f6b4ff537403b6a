// Alerts of secrets that are due soon: they end with the rotation.

import Primitives
import Scheduling
import State

/// The alerts `secret/VAULT/NAME`.
package enum RotationAlerts {
    private static let prefix = "secret/"

    package static func key(_ secret: RotatedSecret) -> String { prefix + secret.vault + "/" + secret.name }

    /// What is told of a secret; nil when it is due later than the longest length of its policy.
    ///
    /// The shortest length is critical, and so is what is over; the longest of several is for information alone.
    static func alert(
        _ planned: PlannedRotation, _ policy: RotationPolicy, at now: Timestamp
    ) -> (severity: AlertRecord.Severity, summary: String)? {
        let name = planned.subject.secret.name
        guard let due = planned.due else { return nil }
        if case .parked = planned.verdict {
            return (.critical, "the rotation of the secret \(name) waits for an operator; it was due at \(due)")
        }
        let left = due.since(now)
        guard let level = policy.alerts.filter({ left <= $0 }).min() else { return nil }
        guard left > .zero else { return (.critical, "the secret \(name) was due at \(due) and is not rotated") }
        let severity: AlertRecord.Severity =
            level == policy.alerts.min() ? .critical : level == policy.alerts.max() ? .info : .warning
        return (severity, "the secret \(name) is due at \(due), within \(level.lengthOfTime)")
    }

    /// Fires, changes and resolves the alerts of these secrets; of others where `isAll`, those that fire end.
    package static func tell(
        _ planned: [(planned: PlannedRotation, policy: RotationPolicy)], isAll: Bool, in store: any AlertStore,
        at now: Timestamp
    ) throws(HoldfastError) {
        var firing: [String: AlertRecord] = [:]
        for alert in try store.alerts(all: false) where alert.key.hasPrefix(prefix) { firing[alert.key] = alert }
        var known: Set<String> = []
        for (planned, policy) in planned {
            let key = key(planned.subject.secret)
            known.insert(key)
            guard let wanted = alert(planned, policy, at: now) else {
                if firing[key] != nil { _ = try store.resolve(key, at: now) }
                continue
            }
            if let there = firing[key], there.severity == wanted.severity, there.summary == wanted.summary { continue }
            _ = try store.fire(key, wanted.severity, wanted.summary, at: now)
        }
        guard isAll else { return }
        for key in firing.keys.sorted() where !known.contains(key) { _ = try store.resolve(key, at: now) }
    }
}
