// What goes to a vault over HTTP and what comes back.

import Primitives
import SecretVaults

/// One request. It prints without its headers and its body.
package struct VaultRequest: Sendable, CustomStringConvertible, CustomReflectable {
    package enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"
    }

    /// What a lost answer leaves open.
    package enum Effect: Sendable {
        /// Nothing to speak of: the call may be repeated.
        case none
        /// Whether something was changed: the failure is `.writeUnknown`.
        case write
    }

    package var method: Method
    /// Path and query, percent-encoded, from the first slash on.
    package var target: String
    /// Sent as they are; among them credentials, which therefore never follow to another host.
    package var headers: [(name: String, value: String)]
    package var body: SecretBytes?
    package var effect: Effect
    /// The most that an answer may have, where that is less than what the way to the vault allows.
    package var largestAnswer: ByteCount?

    package init(
        _ method: Method, _ target: String, headers: [(name: String, value: String)] = [], body: SecretBytes? = nil,
        effect: Effect = .none, largestAnswer: ByteCount? = nil
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.effect = effect
        self.largestAnswer = largestAnswer
    }

    package var description: String { "\(method.rawValue) request" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// One answer, whatever its status. It prints without its headers and its body, which is wiped with its last reference.
package struct VaultAnswer: Sendable, CustomStringConvertible, CustomReflectable {
    package let status: Int
    /// By lower-case name; of several with one name the first.
    package let headers: [String: String]
    package let body: SecretBytes

    package init(status: Int, headers: [String: String], body: SecretBytes) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    /// What `Retry-After` asks for, where it is in seconds; a date there is taken for nothing.
    package var retryAfter: Duration? {
        headers["retry-after"].flatMap { Int64($0) }.flatMap { $0 >= 0 ? .seconds(min($0, 86_400)) : nil }
    }

    package var description: String { "answer \(status)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The seam between a vault's protocol and the network.
package protocol VaultTransport: Sendable {
    /// Where requests go, for messages; holds no credential.
    var location: String { get }

    /// Sends one request once and waits for the whole answer, redirects within the same origin followed.
    ///
    /// Thread: blocks; any that may block, never an event loop nor the cooperative pool.
    /// - Returns: the answer, also one of failure.
    /// - Throws: `.vaultUnavailable` when there was none and nothing can have been done, `.writeUnknown` when a request
    ///   with ``VaultRequest/Effect/write`` may have arrived; `.limitExceeded` for an answer that is too large.
    func send(_ request: VaultRequest) throws(HoldfastError) -> VaultAnswer
}
