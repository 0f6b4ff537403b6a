// Secrets that a drill opens, in the audit log before they are opened.

import Primitives
import Recovery
import Repository
import State

/// Takes down each value of a snapshot that a drill logs in with.
struct DrillWitness: SecretWitness {
    private let context: CommandContext

    init(_ context: CommandContext) { self.context = context }

    func willOpen(_ version: NeededVersion, of snapshot: SnapshotID) throws(HoldfastError) {
        _ = try context.auditLog().append([
            AuditEntry(
                .read, vault: "snapshot:\(snapshot)", secret: version.secret, version: version.version,
                reason: "drill")
        ])
    }
}
