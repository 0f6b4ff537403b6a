// The one table of failure codes: each has its exit status and its anchor in docs/errors.md.

/// What went wrong, as a stable machine-readable name.
///
/// The raw value is printed by `--json` and is the anchor of the code's section in docs/errors.md.
package enum ErrorCode: String, Sendable, CaseIterable {
    case usage = "usage"
    case configuration = "configuration"
    case repositoryNotFound = "repository-not-found"
    case repositoryExists = "repository-exists"
    case busy = "busy"
    case runTaken = "run-taken"
    case wrongKey = "wrong-key"
    case notPermitted = "not-permitted"
    case unsupportedFormat = "unsupported-format"
    case corruptObject = "corrupt-object"
    case objectMissing = "object-missing"
    case objectExists = "object-exists"
    case storeUnavailable = "store-unavailable"
    case accessDenied = "access-denied"
    case noSpace = "no-space"
    case leaseLost = "lease-lost"
    case rollbackDetected = "rollback-detected"
    case clockSkew = "clock-skew"
    case limitExceeded = "limit-exceeded"
    case sourceFailed = "source-failed"
    case sourceIncomplete = "source-incomplete"
    case emptyStream = "empty-stream"
    case snapshotNotFound = "snapshot-not-found"
    case evidenceNotFound = "evidence-not-found"
    case vaultNotFound = "vault-not-found"
    case vaultExists = "vault-exists"
    case vaultLoginFailed = "vault-login-failed"
    case vaultAccessDenied = "vault-access-denied"
    case vaultThrottled = "vault-throttled"
    case vaultSealed = "vault-sealed"
    case vaultUnavailable = "vault-unavailable"
    case writeUnknown = "write-unknown"
    case secretNotFound = "secret-not-found"
    case secretPruned = "secret-pruned"
    case secretDestroyed = "secret-destroyed"
    case secretDeleted = "secret-deleted"
    case secretDisabled = "secret-disabled"
    case secretConflict = "secret-conflict"
    case rotationParked = "rotation-parked"
    case versionNotKept = "version-not-kept"
    case pathNotFound = "path-not-found"
    case unsafePath = "unsafe-path"
    case targetFailed = "target-failed"
    case checkFailed = "check-failed"
    case processFailed = "process-failed"
    case interrupted = "interrupted"
    case inputOutput = "input-output"
    case cryptography = "cryptography"

    /// The exit status of a command that ends with this code; the statuses are part of the interface.
    package var exitStatus: Int32 {
        switch self {
        case .usage, .configuration: 64
        case .repositoryNotFound: 10
        case .busy, .runTaken: 11
        case .wrongKey, .notPermitted, .vaultLoginFailed, .vaultAccessDenied: 12
        case .sourceIncomplete: 3
        case .checkFailed, .rollbackDetected: 4
        case .interrupted: 130
        default: 1
        }
    }
}
