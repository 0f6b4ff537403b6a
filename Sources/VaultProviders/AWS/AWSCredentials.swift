// Keys that sign requests to AWS, and how they are kept fresh.

import Primitives

/// One set of keys. It prints without the secret parts.
struct AWSCredentials: Sendable, CustomStringConvertible, CustomReflectable {
    /// `AKIA…` or, with a token, `ASIA…`; not a secret.
    var keyID: String
    var secret: SecretBytes
    /// Of temporary keys.
    var token: SecretBytes?
    /// Nil for keys that do not end, or of which nothing is known.
    var expires: Timestamp?

    var description: String { "credentials \(keyID)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where keys come from.
protocol AWSCredentialSource: Sendable {
    /// In words for messages.
    var name: String { get }
    /// Whether asking again may give other keys.
    var canRefresh: Bool { get }
    /// Gets keys; one attempt.
    ///
    /// - Throws: `.vaultLoginFailed` when there are none to be had, with `retry: .later` where nobody answered;
    ///   `.vaultUnavailable` (`retry: .later`) when whoever has them fails; `.configuration` for settings that make no
    ///   sense. ``RetryingVault`` asks again.
    func credentials() throws(HoldfastError) -> AWSCredentials
}

/// Keys that were given once and for all.
struct AWSStaticCredentials: AWSCredentialSource {
    let keys: AWSCredentials
    var name: String { "the environment" }
    var canRefresh: Bool { false }
    func credentials() throws(HoldfastError) -> AWSCredentials { keys }
}

/// Keeps one set of keys, as ``CredentialStore`` does.
final class AWSCredentialStore: Sendable {
    let source: any AWSCredentialSource
    private let store: CredentialStore<AWSCredentials>

    init(_ source: any AWSCredentialSource, clock: any Clock) {
        self.source = source
        store = CredentialStore(clock: clock) { $0.expires }
    }

    /// Keys to sign with.
    ///
    /// - Parameter dead: The number of a set that the service refuses, which is not given again.
    func keys(after dead: Int? = nil) throws(HoldfastError) -> (keys: AWSCredentials, number: Int) {
        let found = try store.credential(after: dead) { () throws(HoldfastError) in try source.credentials() }
        return (found.credential, found.number)
    }
}
