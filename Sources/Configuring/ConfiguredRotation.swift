// A policy of rotation as the file declares it.

import Primitives
import Scheduling
import SecretVaults

/// A policy of the file.
package struct ConfiguredRotation: Sendable {
    package enum Generator: Sendable, Hashable {
        case text(length: Int, alphabet: String?)
        case bytes(count: Int, encoding: String)
        case keyPair(String)
        case command([String])
    }

    /// Programs of a target; each may be missing.
    package struct Commands: Sendable, Hashable {
        package var apply: [String]?
        package var verify: [String]?
        package var retire: [String]?
    }

    /// A server whose logins are rotated.
    package struct Server: Sendable, Hashable {
        package var url: String
        package var password: SecretReference?
        package var users: [String]
        package var role: String?
        package var endpoints: [String] = []
        package var sessions = "wait"
        package var userField = "username"
    }

    package var name: String
    /// A source whose URL is a vault.
    package var source: String
    package var secrets: [SecretName]
    package var period: Duration
    package var jitter: Duration = .zero
    package var windows: [Span] = []
    package var zone: TimeZoneRules
    package var strategy: String = "value-only"
    package var commands: Commands?
    package var postgres: Server?
    package var generator = Generator.text(length: 40, alphabet: nil)
    package var field: String?
    package var publicField: String?
    package var grace: Duration = .zero
    package var alerts: [Duration]?
    package var attempts: Int?
}
