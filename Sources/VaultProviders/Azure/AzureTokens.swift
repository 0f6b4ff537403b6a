// Tokens for Azure Key Vault, and how they are kept fresh.

import Primitives
import SecretVaults

/// One token. It prints without itself.
struct AzureToken: Sendable, CustomStringConvertible, CustomReflectable {
    var secret: SecretBytes
    var expires: Timestamp

    var description: String { "token until \(expires)" }
    var customMirror: Mirror { Mirror(self, children: []) }
}

/// Where tokens come from.
protocol AzureTokenSource: Sendable {
    /// In words for messages.
    var name: String { get }
    /// Gets a token for a resource; one attempt.
    ///
    /// - Parameter resource: As the vault's challenge names it, held to the vault's domain before.
    /// - Throws: `.vaultLoginFailed` when there is none to be had, with `retry: .later` where nobody answered;
    ///   `.vaultUnavailable` (`retry: .later`) when whoever gives them fails; `.configuration` for settings that make
    ///   no sense. ``RetryingVault`` asks again.
    func token(for resource: String) throws(HoldfastError) -> AzureToken
}

/// Keeps one token, as ``CredentialStore`` does.
final class AzureTokenStore: Sendable {
    let source: any AzureTokenSource
    private let store: CredentialStore<AzureToken>

    init(_ source: any AzureTokenSource, clock: any Clock) {
        self.source = source
        store = CredentialStore(clock: clock) { $0.expires }
    }

    /// A token to send.
    ///
    /// - Parameter dead: The number of one that the vault refuses, which is not given again.
    func token(for resource: String, after dead: Int? = nil) throws(HoldfastError) -> (token: AzureToken, number: Int) {
        let found = try store.credential(for: resource, after: dead) { () throws(HoldfastError) in
            try source.token(for: resource)
        }
        return (found.credential, found.number)
    }
}

/// The JSON that every source gives.
enum AzureTokenAnswer {
    /// A token whose end nobody told is good for so long; Azure's are for an hour at least.
    private static let unknownLife = Duration.seconds(600)
    private static let longestLife: Int64 = 7 * 86_400

    static func read(_ answer: VaultAnswer, from source: String, now: Timestamp) throws(HoldfastError) -> AzureToken {
        var secret: SecretBytes?
        var (life, end): (Int64?, Int64?) = (nil, nil)
        do throws(HoldfastError) {
            try JSONScanner.read(answer.body) { (scanner) throws(HoldfastError) in
                try scanner.members { (scanner, key) throws(HoldfastError) in
                    switch key {
                    case "access_token":
                        var bytes = try scanner.stringBytes()
                        secret = SecretBytes(wiping: &bytes)
                    case "expires_in": life = try scanner.numberOrText()
                    case "expires_on": end = try scanner.numberOrText()
                    default: try scanner.skip()
                    }
                }
            }
        } catch {
            throw AzureLogin.senseless(source)
        }
        guard let secret, secret.count > 0, secret.isHeaderText else { throw AzureLogin.senseless(source) }
        // How long it lives does not depend on this machine's clock being right; when it ends does.
        if let life, life > 0 {
            return AzureToken(secret: secret, expires: now + .seconds(min(life, longestLife)))
        }
        if let end, end > now.seconds {
            return AzureToken(secret: secret, expires: now + .seconds(min(end - now.seconds, longestLife)))
        }
        return AzureToken(secret: secret, expires: now + unknownLife)
    }
}

extension SecretBytes {
    /// Whether it can stand in a header.
    var isHeaderText: Bool { withBytes { raw in raw.allSatisfy { $0 > 0x20 && $0 < 0x7F } } }
}

extension JSONScanner {
    /// A whole number, which some write as a text. Nil for what is neither.
    mutating func numberOrText() throws(HoldfastError) -> Int64? {
        switch next() {
        case UInt8(ascii: "\""): Int64(try string())
        case UInt8(ascii: "n"), UInt8(ascii: "{"), UInt8(ascii: "["), UInt8(ascii: "t"), UInt8(ascii: "f"):
            try nothing()
        default: Int64(text(try number()))
        }
    }

    private mutating func nothing() throws(HoldfastError) -> Int64? {
        try skip()
        return nil
    }
}

/// Failures of the ways to a token, in one wording.
enum AzureLogin {
    static func refused(_ source: String, _ what: String, retry: RetryClass = .never) -> HoldfastError {
        HoldfastError(
            .vaultLoginFailed, "no token for Azure from \(source): \(what)",
            hint: "docs/VAULTS.md has the ways to log in, and what each needs.", retry: retry)
    }

    /// - Parameter wait: How long it is to be left alone.
    static func unreachable(_ source: String, _ what: String, after wait: Duration? = nil) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "no token for Azure from \(source): \(what)",
            hint: "Check the network and whoever gives out the tokens, then try again.", retry: .later
        ).asking(for: wait)
    }

    static func senseless(_ source: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(source) gave a token for Azure that makes no sense",
            hint: "See whether something else answers in its place.")
    }
}
