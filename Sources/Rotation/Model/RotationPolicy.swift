// What is rotated, when and how, as values.

import Primitives
import Scheduling
import SecretVaults

/// How a new value gets to where it is used.
package enum RotationStrategy: String, Sendable, Hashable, CaseIterable {
    /// The vault alone holds it: readers take the new value from there.
    case valueOnly = "value-only"
    /// Programs of the operator bring it to a target and ask that.
    case command
    /// Two logins of PostgreSQL that take turns.
    case dualUser = "dual-user"
    /// One login of PostgreSQL.
    case singleUser = "single-user"
}

/// Programs of a target.
package struct RotationCommands: Sendable, Hashable {
    /// Makes the target accept the value on its standard input.
    package var apply: [String]?
    /// Says by its exit status whether the target accepts that value.
    package var verify: [String]?
    /// Makes the target refuse the value of before.
    package var retire: [String]?

    package init(apply: [String]? = nil, verify: [String]? = nil, retire: [String]? = nil) {
        self.apply = apply
        self.verify = verify
        self.retire = retire
    }
}

/// A policy of the configuration.
package struct RotationPolicy: Sendable {
    package var name: String
    /// The source of the configuration whose vault it is about, and whose snapshots keep the versions.
    package var source: String
    package var secrets: [SecretName]
    package var period: Duration
    package var jitter = Duration.zero
    package var opening: Opening
    package var strategy = RotationStrategy.valueOnly
    package var commands = RotationCommands()
    package var generator = SecretGenerator.standard
    package var place = ValuePlace()
    /// From the promotion until the old value may stop to work.
    package var grace = Duration.zero
    /// How long before it is due it counts as expiring; longest first.
    package var alerts: [Duration] = RotationPolicy.standardAlerts
    package var retries = RotationRetries()

    package static let standardAlerts: [Duration] = [.seconds(7 * 86_400), .seconds(3 * 86_400), .seconds(86_400)]

    package init(name: String, source: String, secrets: [SecretName], period: Duration, opening: Opening) {
        self.name = name
        self.source = source
        self.secrets = secrets
        self.period = period
        self.opening = opening
    }
}

/// How often and when what failed is tried again.
package struct RotationRetries: Sendable, Hashable {
    /// Of one rotation, in a row; then it waits for an operator.
    package var attempts = 12
    /// Values that a target may refuse before the rotation waits for an operator.
    package static let maximumCandidates = 3
    static let shortest = Duration.seconds(30)
    static let longest = Duration.seconds(3600)

    package init(attempts: Int = 12) { self.attempts = attempts }

    /// The wait after `attempt` failures: from nothing to 30 s that double up to an hour, drawn evenly ("full jitter"),
    /// and never beyond `expiry`.
    ///
    /// - Parameter random: 64 random bits.
    package func wait(after attempt: Int, random: UInt64, now: Timestamp, expiry: Timestamp?) -> Duration {
        let most = min(Self.longest, Self.shortest * (1 << min(max(attempt, 1) - 1, 10)))
        let drawn = Duration.nanoseconds(Int64(random % UInt64(max(1, most.nanosecondsClamped))))
        guard let expiry, expiry > now else { return drawn }
        return min(drawn, expiry.since(now))
    }
}
