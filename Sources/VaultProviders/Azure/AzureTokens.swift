// Tokens for Azure Key Vault, and how they are kept fresh.

import Primitives
import SecretVaults
import Synchronization

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
    /// - Throws: `.vaultLoginFailed` when there is none to be had; `.vaultUnavailable` (`retry: .later`) when whoever
    ///   gives them can't be reached; `.configuration` for settings that make no sense.
    func token(for resource: String) throws(HoldfastError) -> AzureToken
}

/// Keeps one token, and gets another before it ends.
///
/// Of several threads that need a new one, one gets it and the others wait for that. While the old one is still good a
/// failure to get another is borne, and tried again half a minute later.
final class AzureTokenStore: Sendable {
    /// Another token is fetched when so much of the old one's life is left.
    static let margin = Duration.seconds(300)
    static let patience = Duration.seconds(30)

    private struct Held: Sendable {
        var token: AzureToken?
        var resource = ""
        /// Counts tokens, so that two threads that found the same one dead get one new one.
        var number = 0
        /// On the clock's uptime: no earlier attempt than this.
        var next: Duration?
    }

    let source: any AzureTokenSource
    private let clock: any Clock
    private let held = Mutex(Held())

    init(_ source: any AzureTokenSource, clock: any Clock) {
        self.source = source
        self.clock = clock
    }

    /// A token to send.
    ///
    /// - Parameter dead: The number of one that the vault refuses, which is not given again.
    func token(for resource: String, after dead: Int? = nil) throws(HoldfastError) -> (token: AzureToken, number: Int) {
        try held.withLock { (held) throws(HoldfastError) in
            if let token = held.token, held.resource == resource, dead != held.number {
                guard isDue(held) else { return (token, held.number) }
                do throws(HoldfastError) {
                    return try refreshed(&held, resource)
                } catch {
                    guard token.expires > clock.now() else { throw error }
                    held.next = clock.uptime() + Self.patience
                    return (token, held.number)
                }
            }
            return try refreshed(&held, resource)
        }
    }

    private func refreshed(
        _ held: inout Held, _ resource: String
    ) throws(HoldfastError) -> (token: AzureToken, number: Int) {
        let token = try source.token(for: resource)
        held.token = token
        held.resource = resource
        held.number += 1
        // Some sources give the same token until the last minutes of its life.
        held.next = clock.uptime() + Self.patience
        return (token, held.number)
    }

    private func isDue(_ held: Held) -> Bool {
        guard let token = held.token else { return true }
        if let next = held.next, clock.uptime() < next { return false }
        return token.expires.since(clock.now()) < Self.margin
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
    static func refused(_ source: String, _ what: String) -> HoldfastError {
        HoldfastError(
            .vaultLoginFailed, "no token for Azure from \(source): \(what)",
            hint: "docs/VAULTS.md has the ways to log in, and what each needs.")
    }

    static func unreachable(_ source: String, _ what: String) -> HoldfastError {
        HoldfastError(
            .vaultUnavailable, "no token for Azure from \(source): \(what)",
            hint: "Check the network and whoever gives out the tokens, then try again.", retry: .later)
    }

    static func senseless(_ source: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(source) gave a token for Azure that makes no sense",
            hint: "See whether something else answers in its place.")
    }
}
