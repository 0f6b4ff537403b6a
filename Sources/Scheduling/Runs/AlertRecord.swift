// Alerts: what somebody has to do something about. Values only; the run store keeps them.

import Primitives

/// One alert under a key that stays the same while its cause does.
package struct AlertRecord: Sendable, Hashable {
    package enum Severity: String, Sendable, CaseIterable, Comparable {
        case info, warning, critical

        package static func < (one: Severity, other: Severity) -> Bool {
            (allCases.firstIndex(of: one) ?? 0) < (allCases.firstIndex(of: other) ?? 0)
        }
    }

    package enum State: String, Sendable, CaseIterable {
        case firing, resolved
    }

    /// Such as `job/nightly/failed`.
    package var key: String
    package var severity: Severity
    package var state: State
    /// For people; without secrets.
    package var summary: String
    /// When it began to fire.
    package var since: Timestamp
    /// When its state or its summary changed last.
    package var changed: Timestamp

    package init(
        key: String, severity: Severity, state: State, summary: String, since: Timestamp, changed: Timestamp
    ) {
        self.key = key
        self.severity = severity
        self.state = state
        self.summary = summary
        self.since = since
        self.changed = changed
    }
}
