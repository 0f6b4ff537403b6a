// Where the secrets of a snapshot go.

import Primitives
import SecretVaults

/// Takes the secrets of a snapshot, one after the other.
///
/// The engine shows it all of them twice: first to be looked at, so that a conflict is found before anything is
/// written, then to be restored. Thread: one call at a time.
package protocol SecretReceiver: AnyObject, Sendable {
    /// Gives the value of a version of the secret at hand; nil when the snapshot has none of it.
    typealias Values = (SecretVersion) throws(HoldfastError) -> SecretValue?

    /// Looks at what would become of a secret; changes nothing.
    func consider(_ secret: SecretRecord, value: Values) throws(HoldfastError)

    /// Called when all were considered.
    ///
    /// - Throws: `.secretConflict` when the target has other versions than the snapshot, and nothing was said of them;
    ///   `.secretNotFound` when the snapshot lacks a secret that was asked for.
    func begin() throws(HoldfastError)

    /// Restores a secret.
    ///
    /// - Throws: about this secret alone with the codes of ``isOfOneSecret(_:)``, after which the others go on; all
    ///   else ends the restore.
    func receive(_ secret: SecretRecord, value: Values) throws(HoldfastError)

    /// How many versions and secrets were found live, or left so, that the snapshot has otherwise.
    var leftLive: UInt64 { get }
}

extension SecretReceiver {
    /// Whether a failure is about one secret, so that the others go on without it.
    package static func isOfOneSecret(_ code: ErrorCode) -> Bool {
        switch code {
        case .corruptObject, .objectMissing, .targetFailed, .limitExceeded, .usage, .vaultAccessDenied, .secretConflict,
            .secretNotFound, .secretPruned, .secretDestroyed, .secretDeleted, .secretDisabled:
            true
        default: false
        }
    }
}
