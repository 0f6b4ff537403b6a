// The one protocol between the engine and whatever keeps secrets.

import Primitives

/// Something that a login may do or not.
package enum VaultRight: String, Sendable, Hashable, CaseIterable {
    /// See names.
    case list
    /// See versions, states, attributes.
    case describe
    /// Read values.
    case read
    /// Put versions and set attributes.
    case write
    /// Change states and labels, remove so that it can be had back, and recover.
    case change
    /// Remove for good.
    case remove
}

/// What a look at a vault found.
package struct VaultPreflight: Sendable, Hashable {
    /// A right that is missing on a path.
    package struct Missing: Sendable, Hashable {
        package var right: VaultRight
        /// As the vault's policies write it, such as `secret/data/app/*`.
        package var path: String

        package init(_ right: VaultRight, path: String) {
            self.right = right
            self.path = path
        }
    }

    /// Product and version, such as `OpenBao 2.7.2`; nil when the vault does not say.
    package var server: String?
    /// As whom the login counts, such as a role's name or an ARN; never a token.
    package var identity: String?
    /// When the login ends and can't be renewed any more.
    package var loginEnds: Timestamp?
    package var missing: [Missing] = []
    /// Rights that can't be told without using them.
    package var untold: Set<VaultRight> = []
    /// What nil in ``SecretLimits`` stands for here; nil again where there is no such rule.
    package var defaults = SecretLimits()
    /// What an operator should know: a limit that drops versions soon, a purge protection.
    package var notes: [String] = []

    package init() {}
}

/// Where a listing goes on; opaque, and good for a while only. AWS `NextToken`, Azure `nextLink`.
package struct VaultPageMark: Sendable, Hashable {
    package var bytes: [UInt8]
    package init(_ bytes: [UInt8]) { self.bytes = bytes }
}

/// One secret of a listing.
package struct SecretListing: Sendable, Hashable {
    package var name: SecretName
    /// The whole record where the vault gave it with the names (OpenBao `detailed-metadata`, embedded); nil where
    /// ``SecretInventory/describe(_:)`` must be asked.
    package var record: SecretRecord?

    package init(name: SecretName, record: SecretRecord?) {
        self.name = name
        self.record = record
    }
}

/// A bounded part of a listing.
package struct SecretPage: Sendable {
    package var secrets: [SecretListing] = []
    /// Folders and secrets that could not be looked into, each by a failure whose message names the path; the rest of
    /// the page is whole.
    package var refused: [HoldfastError] = []
    /// What the names of secrets begin with that may be there and could not be listed: folders, with their slash; empty
    /// for any name.
    package var unseen: [[UInt8]] = []
    /// Nil on the last page. A page may be empty and not be the last.
    package var next: VaultPageMark?

    package init() {}
}

/// Tells what is in a vault, and reads it. Implementations pass the suite in Tests/Conformance.
///
/// Thread: every method may be called from any thread, at the same time. Calls block, on threads that may block; none
/// runs on the cooperative pool. An implementation over async-http-client waits for its future, and never on an event
/// loop. Cancellation: a call under way ends by its own timeout; callers look at their `Cancellation` between calls.
///
/// Retry: reading is always safe to repeat. No implementation waits for a server to recover: one call is one attempt,
/// beside a login that has run out, and failures say by their retry class and ``HoldfastError/retryAfter`` what helps.
///
/// No value, and no credential, is in a failure, in a log or in ``location``. All methods throw, beside what they name:
/// - `.vaultAccessDenied` for a login without a right, with the path; `.vaultLoginFailed` for no login at all
/// - `.vaultThrottled` (`retry: .later`), `.vaultSealed`, `.vaultUnavailable` (`retry: .later`) for standby, timeouts,
///   connections and TLS
/// - `.corruptObject` for an answer that makes no sense, `.limitExceeded` for one that is too large
package protocol SecretInventory: Sendable {
    var capabilities: VaultCapabilities { get }

    /// Where the vault is, for messages; holds no credential.
    var location: String { get }

    /// Looks whether a login works and has `rights` on names that begin with `prefix`, without touching a value.
    ///
    /// - Returns: also when rights are missing; those are in it.
    func preflight(_ rights: Set<VaultRight>, under prefix: String) throws(HoldfastError) -> VaultPreflight

    /// Hears of values before they are opened, at most ``SecretBounds/announced`` at once, so that a watcher in front
    /// of the vault can take them down together. The vaults themselves have no use for it.
    ///
    /// - Throws: what keeps the accesses from taking place.
    func announce(_ use: SecretUse, _ accesses: [SecretAccess]) throws(HoldfastError)

    /// Hears that a value that was announced could not be had from elsewhere, such as a snapshot. What fails in the
    /// vault itself needs no word.
    func failed(_ access: SecretAccess, _ error: HoldfastError)

    /// What a watcher in front of the vault wants to have signed together with a snapshot of it, in words of its own.
    ///
    /// Called when the last value was read. A watcher that has nothing to say, or cannot, gives none.
    var testimony: [String: String] { get }

    /// Lists at most `limit` secrets whose names begin with `prefix`, by bytes, also those that are removed and can be
    /// had back. Fetches no value.
    ///
    /// A secret that is there during the whole listing is on one page at least. Order is the vault's own. The memory of
    /// a page is bounded by `limit` (1…1,000) and ``SecretBounds``.
    func list(
        under prefix: String, after mark: VaultPageMark?, limit: Int
    ) throws(HoldfastError) -> SecretPage

    /// All that is known of a secret without its values.
    ///
    /// - Throws: `.secretNotFound`; a removed one that can be had back is found.
    func describe(_ name: SecretName) throws(HoldfastError) -> SecretRecord

    /// Reads the value of a version, or of the current one when `version` is nil.
    ///
    /// - Throws: `.secretNotFound`, `.secretPruned`, `.secretDestroyed`, `.secretDeleted` for soft-deleted versions and
    ///   removed secrets, `.secretDisabled`. KV can't tell a pruned version from one that never was: where the record
    ///   is not at hand it is `.secretNotFound`.
    func read(_ name: SecretName, _ version: SecretVersionID?) throws(HoldfastError) -> SecretReading
}

extension SecretInventory {
    package func announce(_ use: SecretUse, _ accesses: [SecretAccess]) throws(HoldfastError) {}

    package func failed(_ access: SecretAccess, _ error: HoldfastError) {}

    package var testimony: [String: String] { [:] }
}

/// What is about to be done with values.
package enum SecretUse: Sendable, Hashable {
    /// They are read as ``SecretInventory/read(_:_:)`` is asked for them.
    case read
    /// They are read, and so are those of a snapshot that they are held against.
    case compare
    /// They come from a snapshot and go into the vault.
    case restore
    /// New ones are put, as a rotation does; a version is named where the put chooses its id.
    case write
}

/// A value that is about to be read or restored; without a version it is the current one.
package struct SecretAccess: Sendable, Hashable {
    package var name: SecretName
    package var version: SecretVersionID?

    package init(_ name: SecretName, _ version: SecretVersionID?) {
        self.name = name
        self.version = version
    }
}

/// A vault that can be written.
///
/// Beside what ``SecretInventory`` says, every write may throw `.writeUnknown` when its answer was lost: whoever wrote
/// reads back before anything else. A failure of any other code means that nothing was changed.
package protocol SecretVault: SecretInventory {
    /// Puts a new version.
    ///
    /// - Durability: on return it is as durable as the vault is; the embedded one is on stable storage.
    /// - Retry: safe with `id` set: the same value under the same id is success and changes nothing; another value is
    ///   `.secretConflict`.
    /// - Returns: the version as it now stands.
    /// - Throws: `.secretConflict` when the expectation does not hold, or there is none and the secret requires one;
    ///   `.secretDeleted` while the secret is removed; `.limitExceeded` for a value, a name or labels over the bounds;
    ///   `.usage` for what the capabilities don't have.
    func put(_ put: SecretPut) throws(HoldfastError) -> SecretVersion

    /// Changes a secret, or one of its versions.
    ///
    /// - Retry: safe, except that a label that somebody moved in between is `.secretConflict`.
    /// - Throws: `.secretNotFound` without the secret or the version, `.secretDestroyed` for a state that a destroyed
    ///   version can't get any more, `.secretConflict` for a label that is elsewhere, `.usage` for what is beside the
    ///   capabilities.
    func change(_ name: SecretName, _ change: SecretChange) throws(HoldfastError)
}

/// What bounds the answers of a vault, whatever it says.
package enum SecretBounds {
    /// Of one secret. Azure keeps all for ever, but its own backup gives up at 500.
    package static let versions = 10_000
    /// Of a page.
    package static let page = 1000
    /// Values that are announced at once.
    package static let announced = 1000
    /// Of one version or secret.
    package static let tags = 64
    package static let tagBytes = 1024
    package static let labels = 32
    package static let descriptionBytes = 4096
}
