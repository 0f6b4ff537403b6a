// What an operator can set of the way to a vault.

import Primitives
import SecretVaults

/// Trust, patience and politeness of a client. TLS is verified always: there is no word here to turn that off.
package struct VaultHTTPOptions: Sendable, Hashable {
    /// A PEM file with the authorities to trust, instead of the system's.
    package var authorities: String?
    package var connectTimeout: Duration = .seconds(10)
    /// The longest silence within a call.
    package var readTimeout: Duration = .seconds(30)
    /// Of a call from the connection to the last byte.
    package var timeout: Duration = .seconds(60)
    package var largestAnswer: ByteCount = .mebi(32)
    /// The most calls under way at once; others wait for their turn.
    package var concurrency = 16
    /// The most calls that begin within a second; nil for any number.
    package var callsPerSecond: Int?

    package init() {}
}
