// Azure Key Vault as a vault.

import Primitives
import SecretVaults

/// The secrets of one vault of Azure Key Vault.
///
/// Source: the service's REST reference, version 7.4, and what Microsoft published of calls to it. Where it promises
/// less than the protocol asks there is a guard here: kinds of failure are read from the answer and never from its
/// status alone, what a write meets is looked at before, and what became of one that got no answer afterwards.
///
/// Beside what ``SecretVault`` says:
/// - Versions are told apart in time by whole seconds alone, and their ids are drawn by lot. A put waits until the
///   second of the version before is over, so that its own place can be told. Where others put two within a second
///   their order is not known: it is that of their ids, and the record says so under ``ambiguousOrder``.
/// - Of a removed secret the service tells the newest version alone.
/// - Removing, recovering and purging take seconds: they are waited for.
/// - The service does not tell names apart by case. One that is there in another spelling is not found, and is not
///   written over.
/// - A date can't be taken away from a version, only changed.
package final class KeyVault: SecretVault {
    /// Under this word a record's extras say how many versions share the second of the newest, where it is not alone.
    package static let ambiguousOrder = "versionsOfOneSecond"
    /// The service's largest page.
    static let pageSize = 25
    /// Empty pages that lead on are borne, but not for ever.
    static let maximumPages = 2000
    static let maximumTags = 15

    package let capabilities = VaultCapabilities(
        kind: .azure, nameRule: .azureName, maximumNameBytes: 127, maximumValue: .kibi(25), forms: [.text],
        fields: [.notBefore, .expires, .contentType, .versionTags], tellsRemovedVersions: false,
        comparison: .lookedUp, stateChanges: [.disable, .enable], removals: [.recoverable, .permanent],
        putsDisabled: true, concurrency: 8)

    package var location: String { session.location }

    let session: AzureSession
    let clock: any Clock
    let cancellation: Cancellation

    init(_ session: AzureSession, clock: any Clock, cancellation: Cancellation) {
        self.session = session
        self.clock = clock
        self.cancellation = cancellation
    }

    // MARK: - Calls

    /// The path of a secret, or of what is below it.
    func path(_ name: SecretName, _ below: String = "", area: String = "secrets") -> String {
        "/\(area)/" + PercentText.encode(name.text, keeping: "") + below
    }

    func target(_ path: String, _ query: String = "") -> String { "\(path)?\(AzureSession.version)\(query)" }

    func metadata(_ target: String, of subject: String, _ right: VaultRight = .describe) -> KeyVaultCall {
        KeyVaultCall(method: .get, target: target, right: right, action: "readMetadata/action", subject: subject)
    }

    /// A refusal of a write of which nothing better is known.
    func unfit(_ what: String, _ name: SecretName) -> HoldfastError {
        HoldfastError(
            .usage, "Azure Key Vault does not let \(name) be \(what) at \(location)",
            hint: "Look at the secret with the service's own tool: who manages it, and the vault's policies.")
    }
}
