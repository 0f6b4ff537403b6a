// Which secrets are to be rotated now: a pure value over all of them.

import Primitives
import Scheduling
import State

/// What is known of a secret, for the plan.
package struct RotationSubject: Sendable {
    package var secret: RotatedSecret
    /// The place of its policy in the planner's list.
    package var policy: Int
    /// When its newest rotation was promoted; nil for one that was never rotated here.
    package var succeeded: Timestamp?
    /// When its current version was made, where the vault says so.
    package var created: Timestamp?
    /// The version's own end, where it has one.
    package var expires: Timestamp?
    /// A rotation that is not over.
    package var open: RotationRecord?
    /// None begins by itself before then.
    package var notBefore: Timestamp?

    package init(
        secret: RotatedSecret, policy: Int, succeeded: Timestamp? = nil, created: Timestamp? = nil,
        expires: Timestamp? = nil, open: RotationRecord? = nil, notBefore: Timestamp? = nil
    ) {
        self.secret = secret
        self.policy = policy
        self.succeeded = succeeded
        self.created = created
        self.expires = expires
        self.open = open
        self.notBefore = notBefore
    }
}

/// What is to be done about a secret.
package enum RotationVerdict: Sendable, Hashable {
    /// Nothing before then.
    case notDue(at: Timestamp)
    /// It is due, and its window is closed until then; nil where it opens no more.
    case waiting(for: Timestamp?)
    case due
    /// It should have been rotated by then, and nobody did: once, now.
    case overdue(since: Timestamp)
    /// A rotation is under way and can go on.
    case resume
    /// It goes on then: a rotation in its grace or after a failure, or one that an operator put off by going back.
    case later(at: Timestamp)
    /// A rotation waits for an operator.
    case parked

    /// Whether something is to be done now.
    package var isNow: Bool {
        switch self {
        case .due, .overdue, .resume: true
        case .notDue, .waiting, .later, .parked: false
        }
    }
}

/// A secret with its verdict.
package struct PlannedRotation: Sendable {
    package var subject: RotationSubject
    /// When it is due, jitter included; nil when it is due for as long as it is known.
    package var due: Timestamp?
    package var verdict: RotationVerdict
}

/// Decides about secrets. It asks nothing and waits for nothing; the same input gives the same plan.
package struct RotationPlanner: Sendable {
    /// How late a rotation may be without being overdue.
    package static let tolerance = Duration.seconds(86_400)

    package let policies: [RotationPolicy]

    package init(policies: [RotationPolicy]) { self.policies = policies }

    /// When a secret is due: a period after its last rotation, and never after the end of its version. One that was
    /// never rotated here counts from its version's making. A delay is added that depends on its name and vault alone.
    package func due(_ subject: RotationSubject) -> Timestamp? {
        let policy = policies[subject.policy]
        guard let start = subject.succeeded ?? subject.created else { return subject.expires }
        let delay = Jitter.delay(of: JobName(subject.secret.name), on: subject.secret.vault, upTo: policy.jitter)
        let due = start + policy.period + delay
        return subject.expires.map { min($0, due) } ?? due
    }

    package func verdict(_ subject: RotationSubject, at now: Timestamp) -> PlannedRotation {
        let due = due(subject)
        return PlannedRotation(subject: subject, due: due, verdict: verdict(subject, due, now))
    }

    private func verdict(_ subject: RotationSubject, _ due: Timestamp?, _ now: Timestamp) -> RotationVerdict {
        if let open = subject.open {
            if open.isParked { return .parked }
            if let next = open.nextAttempt.map({ Timestamp(nanoseconds: $0) }), next > now { return .later(at: next) }
            if open.state == .grace, let retire = open.retireAt.map({ Timestamp(nanoseconds: $0) }), retire > now {
                return .later(at: retire)
            }
            return .resume
        }
        let opening = policies[subject.policy].opening
        if let due, due > now { return .notDue(at: opening.next(from: due) ?? due) }
        if let first = subject.notBefore, first > now { return .later(at: first) }
        guard opening.refusal(at: now) == nil else { return .waiting(for: opening.next(from: now)) }
        guard let due, let first = opening.next(from: due), first + Self.tolerance < now else { return .due }
        return .overdue(since: due)
    }

    package func plan(_ subjects: [RotationSubject], at now: Timestamp) -> [PlannedRotation] {
        subjects.map { verdict($0, at: now) }
    }
}

/// A secret that will have to be rotated soon.
package struct ExpiringSecret: Sendable {
    package var planned: PlannedRotation
    package var due: Timestamp
    /// The shortest of the policy's lengths that is not shorter than what is left; nil when only a wider list shows it.
    package var level: Duration?

    /// Those that are due within `within`, or within the longest length of their policy, soonest first.
    package static func all(
        _ planned: [PlannedRotation], _ policies: [RotationPolicy], within: Duration?, at now: Timestamp
    ) -> [ExpiringSecret] {
        planned.compactMap { planned -> ExpiringSecret? in
            let due = planned.due ?? now
            let left = due.since(now)
            let alerts = policies[planned.subject.policy].alerts
            guard let most = within ?? alerts.max(), left <= most else { return nil }
            return ExpiringSecret(planned: planned, due: due, level: alerts.filter { left <= $0 }.min())
        }.sorted { ($0.due, $0.planned.subject.secret) < ($1.due, $1.planned.subject.secret) }
    }
}
