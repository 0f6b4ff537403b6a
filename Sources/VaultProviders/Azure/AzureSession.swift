// Calls of Azure Key Vault under a token, and the challenge that says which token.

import Primitives
import SecretVaults
import Synchronization

/// One call of the service.
struct KeyVaultCall {
    var method: VaultRequest.Method
    /// Path and query.
    var target: String
    var right: VaultRight
    /// The data action that a role needs for it, below `Microsoft.KeyVault/vaults/secrets/`.
    var action: String
    /// The secret's name, or `*`.
    var subject: String
    var body: SecretBytes?
    var effect = VaultRequest.Effect.none

    /// As a role names it.
    var path: String { "Microsoft.KeyVault/vaults/secrets/\(action) on \(subject)" }
}

/// What callers understand beside success, by the service's own words for it.
enum KeyVaultRefusal {
    /// The secret, its version or its removal is not there, which the service itself says.
    case notFound
    /// The version is disabled.
    case disabled
    /// The name belongs to a removed secret.
    case removed
    /// The request does not suit the service.
    case unfit
}

enum KeyVaultAnswer {
    case success(VaultAnswer)
    case refused(KeyVaultRefusal)
}

/// Sends calls with a token that it keeps fresh, and reads what the service says to them.
///
/// The first call of a session goes without a token and without a body: its refusal names the resource for which a
/// token has to be. Then a call is sent once, and once more with another token where the service says by a challenge
/// that the first is not good, since such a call was not carried out.
final class AzureSession: Sendable {
    /// The oldest version that is served in every cloud and has all that is asked for.
    static let version = "api-version=7.4"

    private let transport: any VaultTransport
    private let tokens: AzureTokenStore
    private let challenge = Mutex<AzureChallenge?>(nil)
    let origin: WebAddress
    /// For messages.
    let location: String

    init(_ transport: any VaultTransport, _ tokens: AzureTokenStore, _ location: AzureVaultLocation) {
        self.transport = transport
        self.tokens = tokens
        origin = location.origin
        self.location = "azure:\(location)"
    }

    var tokenName: String { tokens.source.name }

    func send(_ call: KeyVaultCall) throws(HoldfastError) -> KeyVaultAnswer {
        var known = try knownChallenge()
        var (token, number) = try tokens.token(for: known.resource)
        var mayRefresh = true
        while true {
            let answer = try transport.send(request(call, token))
            if (200..<300).contains(answer.status) { return .success(answer) }
            if answer.status == 401 {
                known = try learn(answer)
                guard mayRefresh else { throw refusedLogin(known) }
                mayRefresh = false
                (token, number) = try tokens.token(for: known.resource, after: number)
                continue
            }
            let fault = KeyVaultFault(answer)
            if let refusal = fault.refusal { return .refused(refusal) }
            throw failure(fault, answer, call)
        }
    }

    private func request(_ call: KeyVaultCall, _ token: AzureToken) -> VaultRequest {
        let text = token.secret.withBytes { String(decoding: $0, as: UTF8.self) }
        var headers = [(name: "Authorization", value: "Bearer " + text), (name: "Accept", value: "application/json")]
        if call.body != nil { headers.append((name: "Content-Type", value: "application/json")) }
        return VaultRequest(call.method, call.target, headers: headers, body: call.body, effect: call.effect)
    }

    // MARK: - Challenge

    /// The challenge of this vault; several threads that have none yet wait for the one that asks.
    private func knownChallenge() throws(HoldfastError) -> AzureChallenge {
        try challenge.withLock { (challenge) throws(HoldfastError) in
            if let challenge { return challenge }
            let target = "/secrets?\(Self.version)&maxresults=1"
            let answer = try transport.send(
                VaultRequest(.get, target, headers: [(name: "Accept", value: "application/json")]))
            guard answer.status == 401 else {
                let call = KeyVaultCall(
                    method: .get, target: target, right: .list, action: "readMetadata/action", subject: "*")
                if (200..<300).contains(answer.status) { throw senseless("it gives secrets without a token") }
                let fault = KeyVaultFault(answer)
                guard fault.refusal == nil else {
                    throw unavailable("it answers without a challenge (status \(answer.status))", retry: .never)
                }
                throw failure(fault, answer, call)
            }
            let found = try read(answer)
            challenge = found
            return found
        }
    }

    /// Takes over what a later refusal says: a vault may come to another directory.
    private func learn(_ answer: VaultAnswer) throws(HoldfastError) -> AzureChallenge {
        let found = try read(answer)
        challenge.withLock { $0 = found }
        return found
    }

    /// - Throws: `.vaultUnavailable` for a refusal that is not the vault's; `.vaultLoginFailed` for one that asks for a
    ///   token that is not for this vault.
    private func read(_ answer: VaultAnswer) throws(HoldfastError) -> AzureChallenge {
        guard let header = answer.headers["www-authenticate"], let found = AzureChallenge(header) else {
            throw unavailable("it refuses a call (401) and does not say as a vault does which token it wants")
        }
        guard found.isOf(origin) else {
            throw HoldfastError(
                .vaultLoginFailed,
                "\(location) asks for a token for \(WebAddress(found.resource)?.host ?? "another service"), which is "
                    + "not its own domain; none was sent",
                hint: "See whether something answers in the vault's place, and name the vault by its own host.")
        }
        return found
    }

    private func refusedLogin(_ challenge: AzureChallenge) -> HoldfastError {
        let tenant = challenge.tenant.map { "; the vault is of the tenant \($0)" } ?? ""
        return HoldfastError(
            .vaultLoginFailed, "Azure Key Vault refuses the login at \(location)\(tenant)",
            hint:
                "The token comes from \(tokenName). The identity must be of the vault's tenant; docs/VAULTS.md has the "
                + "ways to log in.")
    }
}
