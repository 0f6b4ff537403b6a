// Paths that could not be read: the first thousand by name, all of them by number.

import Primitives
import Repository

/// Gathers what the source kept from the backup.
///
/// Thread: the reader's alone.
final class FailureList {
    private(set) var kept: [UnreadablePath] = []
    private(set) var count: UInt64 = 0
    /// The root that is being read, put before the paths below it.
    var root: [UInt8] = []

    func add(_ path: [UInt8], _ error: HoldfastError) {
        count += 1
        guard kept.count < SnapshotRecord.maximumUnreadableKept else { return }
        let full = path.isEmpty ? root : root + [UInt8(ascii: "/")] + path
        kept.append(UnreadablePath(path: full, reason: error.message))
    }

    /// Whether a failure is of one thing in the source, so that the rest goes on without it.
    ///
    /// Everything that the store, the pipeline or the operator says ends the backup.
    func isOfSource(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .accessDenied, .objectMissing, .sourceIncomplete, .inputOutput, .pathNotFound, .limitExceeded: true
        default: false
        }
    }
}
