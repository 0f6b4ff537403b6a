// The watcher in front of the storage of whole vaults.

import Primitives
import SecretVaults
import State

/// A cluster of which it is in the audit log that its storage was had, or replaced, before it is.
struct AuditedCluster: VaultCluster {
    /// In place of a secret's name.
    static let subject = "the whole storage"

    private let cluster: any VaultCluster
    private let context: CommandContext
    private let use: VaultUse

    init(_ cluster: any VaultCluster, _ context: CommandContext, for use: VaultUse) {
        self.cluster = cluster
        self.context = context
        self.use = use
    }

    var location: String { cluster.location }

    func preflight(toRestore: Bool) throws(HoldfastError) -> VaultPreflight {
        try cluster.preflight(toRestore: toRestore)
    }

    private func entry(_ action: AuditAction) -> AuditEntry {
        AuditEntry(action, vault: location, secret: Self.subject, version: nil, reason: use.reason)
    }

    /// It is sealed, and with the unseal keys it is every value.
    func save() throws(HoldfastError) -> any VaultDownload {
        try context.audited(entry(use.reads)) { () throws(HoldfastError) in try cluster.save() }
    }

    func restore(replacingKeys: Bool) throws(HoldfastError) -> any VaultUpload {
        let entry = entry(.changed)
        let log = try context.auditLog()
        let number = try log.append([entry])
        do throws(HoldfastError) {
            return AuditedUpload(try cluster.restore(replacingKeys: replacingKeys)) { [context] error in
                log.tellEnd(of: number, entry, error, context.output)
            }
        } catch {
            log.tellEnd(of: number, entry, error, context.output)
            throw error
        }
    }
}

/// Tells of a restore that fails while it is under way.
private final class AuditedUpload: VaultUpload {
    private let upload: any VaultUpload
    private let tell: @Sendable (HoldfastError) -> Void

    init(_ upload: any VaultUpload, _ tell: @escaping @Sendable (HoldfastError) -> Void) {
        self.upload = upload
        self.tell = tell
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        do throws(HoldfastError) {
            try upload.write(bytes)
        } catch {
            tell(error)
            throw error
        }
    }

    func finish() throws(HoldfastError) {
        do throws(HoldfastError) {
            try upload.finish()
        } catch {
            tell(error)
            throw error
        }
    }

    /// What fails here undoes nothing: the vault has accepted it.
    func settle() throws(HoldfastError) -> VaultClusterStanding { try upload.settle() }
}
