// Keys that sign requests to AWS, and how they are kept fresh.

import Primitives
import Synchronization

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
    /// - Throws: `.vaultLoginFailed` when there are none to be had; `.vaultUnavailable` (`retry: .later`) when whoever
    ///   has them can't be reached; `.configuration` for settings that make no sense.
    func credentials() throws(HoldfastError) -> AWSCredentials
}

/// Keys that were given once and for all.
struct AWSStaticCredentials: AWSCredentialSource {
    let keys: AWSCredentials
    var name: String { "the environment" }
    var canRefresh: Bool { false }
    func credentials() throws(HoldfastError) -> AWSCredentials { keys }
}

/// Keeps one set of keys, and gets another before it ends.
///
/// Of several threads that need new keys one gets them and the others wait for that. While the old ones are still good
/// a failure to get others is borne, and tried again half a minute later.
final class AWSCredentialStore: Sendable {
    /// New keys are fetched when so much of the old ones' life is left.
    static let margin = Duration.seconds(300)
    static let patience = Duration.seconds(30)

    private struct Held: Sendable {
        var keys: AWSCredentials?
        /// Counts sets, so that two threads that found the same one dead get one new one.
        var number = 0
        /// On the clock's uptime: no earlier attempt than this.
        var next: Duration?
    }

    let source: any AWSCredentialSource
    private let clock: any Clock
    private let held = Mutex(Held())

    init(_ source: any AWSCredentialSource, clock: any Clock) {
        self.source = source
        self.clock = clock
    }

    /// Keys to sign with.
    ///
    /// - Parameter dead: The number of a set that the service refuses, which is not given again.
    func keys(after dead: Int? = nil) throws(HoldfastError) -> (keys: AWSCredentials, number: Int) {
        try held.withLock { (held) throws(HoldfastError) in
            if let keys = held.keys, dead != held.number {
                guard isDue(held) else { return (keys, held.number) }
                do throws(HoldfastError) {
                    try refresh(&held)
                } catch {
                    guard isAlive(keys) else { throw error }
                    held.next = clock.uptime() + Self.patience
                }
            } else {
                try refresh(&held)
            }
            guard let keys = held.keys else { preconditionFailure("a refresh leaves keys") }
            return (keys, held.number)
        }
    }

    private func refresh(_ held: inout Held) throws(HoldfastError) {
        held.keys = try source.credentials()
        held.number += 1
        // Some sources give the same keys until the last minutes of their life.
        held.next = clock.uptime() + Self.patience
    }

    private func isDue(_ held: Held) -> Bool {
        guard source.canRefresh, let expires = held.keys?.expires else { return false }
        if let next = held.next, clock.uptime() < next { return false }
        return expires.since(clock.now()) < Self.margin
    }

    private func isAlive(_ keys: AWSCredentials) -> Bool { keys.expires.map { $0 > clock.now() } ?? true }
}
