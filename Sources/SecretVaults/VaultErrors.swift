// Failures that several kinds of vault share, in one wording.

import Primitives

extension HoldfastError {
    private static let retryAfterKey = "retry after seconds"

    /// How long the other side asked to be left alone; nil when it did not say.
    package var retryAfter: Duration? {
        context.last { $0.key == Self.retryAfterKey }.flatMap { Int64($0.value) }.map { .seconds($0) }
    }

    /// The same failure, with how long the other side wants to be left alone; seconds are kept, a day at most.
    package func asking(for wait: Duration?) -> HoldfastError {
        guard let wait else { return self }
        return with(Self.retryAfterKey, min(max(wait.components.seconds, 0), 86_400))
    }

    /// - Parameter wait: What `Retry-After` said.
    package static func vaultThrottled(_ location: String, after wait: Duration?) -> HoldfastError {
        HoldfastError(
            .vaultThrottled, "the vault \(location) is asked too often",
            hint: "Lower the rate or the concurrency, or raise the vault's quota.", retry: .later
        ).asking(for: wait)
    }

    package static func secretNotFound(_ name: SecretName, _ version: SecretVersionID? = nil) -> HoldfastError {
        let what = version.map { "version \($0) of the secret \(name)" } ?? "the secret \(name)"
        return HoldfastError(
            .secretNotFound, "\(what) is not there",
            hint: "Look at the names and versions with a login that may list them; the vault may have pruned it.")
    }

    package static func secretPruned(_ name: SecretName, _ version: SecretVersionID) -> HoldfastError {
        HoldfastError(
            .secretPruned, "version \(version) of the secret \(name) was pushed out by newer ones",
            hint: "Restore it from a snapshot, and raise the secret's limit of versions.")
    }

    package static func secretDestroyed(_ name: SecretName, _ version: SecretVersionID) -> HoldfastError {
        HoldfastError(
            .secretDestroyed, "version \(version) of the secret \(name) is destroyed",
            hint: "Restore its value from a snapshot, as a new version.")
    }

    package static func secretDeleted(_ name: SecretName, _ version: SecretVersionID?) -> HoldfastError {
        guard let version else {
            return HoldfastError(
                .secretDeleted, "the secret \(name) is removed",
                hint: "Recover it before its purge date, or restore it from a snapshot.")
        }
        return HoldfastError(
            .secretDeleted, "version \(version) of the secret \(name) is soft-deleted", hint: "Undelete it to read it.")
    }

    package static func secretDisabled(_ name: SecretName, _ version: SecretVersionID) -> HoldfastError {
        HoldfastError(
            .secretDisabled, "version \(version) of the secret \(name) is disabled", hint: "Enable it to read it.")
    }

    /// One secret that no snapshot takes, and not a vault that can't be read.
    package static func secretTooLarge(
        _ name: SecretName, _ version: SecretVersionID?, cause: (any Error)? = nil
    ) -> HoldfastError {
        let what = version.map { "version \($0) of the secret \(name)" } ?? "the secret \(name)"
        return HoldfastError(
            .limitExceeded, "\(what) is larger than \(SecretValue.maximumCount)",
            hint: "Keep what is that large in files, and back these up.", cause: cause)
    }

    /// - Parameter what: How it stands, in words that hold no value.
    package static func secretConflict(_ name: SecretName, _ what: String) -> HoldfastError {
        HoldfastError(
            .secretConflict, "the secret \(name) was changed by somebody else: \(what)",
            hint: "Look at its versions, then decide anew.")
    }

    /// - Parameter path: The path as the vault's policies write it.
    package static func vaultAccessDenied(
        _ location: String, _ right: VaultRight, path: String, cause: (any Error)? = nil
    ) -> HoldfastError {
        HoldfastError(
            .vaultAccessDenied, "the login at the vault \(location) may not \(right.rawValue) \(path)",
            hint: "Grant the right; docs/VAULTS.md lists what each verb needs.", context: [("path", path)],
            cause: cause)
    }

    package static func unsupported(_ what: String, by kind: VaultKind) -> HoldfastError {
        HoldfastError(
            .usage, "a vault of kind \(kind.rawValue) can't \(what)",
            hint: "docs/VAULTS.md says what each kind of vault keeps.")
    }
}
