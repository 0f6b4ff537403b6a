// A vault in one file, for machines without another one.

import GRDB
import Primitives
import Sealing
import SecretVaults

/// Secrets in an SQLite database whose rows are sealed under a key that a password opens.
///
/// Names, attributes and values are sealed: who reads the file learns how many secrets and versions there are, about
/// how large, and when the file was written. A changed row does not open; a row that was taken out, or put back as it
/// was before, is noticed when the vault is opened next. A whole file that was put back is a whole vault: only
/// ``generation()`` tells, to somebody who remembers it. docs/VAULTS.md has the threats.
///
/// Several processes may use one vault. Beside what ``SecretInventory`` says, methods throw `.busy` (`retry: .later`)
/// when another process holds a lock for longer than the vault's patience, `.corruptObject`, `.noSpace` and
/// `.accessDenied` for what they say. A disk that fails in the middle of a write is `.writeUnknown`.
///
/// - Durability: on return of a write it is on stable storage. A kill leaves all of a write or nothing.
package final class EmbeddedVault: SecretVault {
    package static let stages = SecretStages.embedded

    package let capabilities = VaultCapabilities(
        kind: .embedded, nameRule: .any, maximumNameBytes: SecretName.maximumCount,
        maximumValue: SecretValue.maximumCount, forms: Set(SecretForm.allCases),
        fields: Set(VaultCapabilities.Field.allCases), comparison: .atomic,
        stateChanges: Set(SecretStateChange.allCases), removals: Set(SecretRemovalKind.allCases),
        stages: EmbeddedVault.stages, maximumLabels: 20, concurrency: 2)

    package var location: String { "embedded:\(path)" }
    package let path: String
    package let id: VaultID

    let database: VaultDatabase
    let keys: VaultKeys
    let key: SecretBytes
    let clock: any Primitives.Clock
    let entropy: any Entropy

    private init(
        _ database: VaultDatabase, id: VaultID, key: SecretBytes, clock: any Primitives.Clock, entropy: any Entropy
    ) throws(HoldfastError) {
        path = database.path
        self.database = database
        self.id = id
        self.key = key
        self.clock = clock
        self.entropy = entropy
        keys = try VaultKeys(vault: id, key: key)
    }

    /// Makes a vault at `path`, whose directory must be there.
    ///
    /// - Durability: on return it is on stable storage. After a kill in between, the same call makes it.
    /// - Throws: `.vaultExists`, with nothing changed, when there is one, or another database.
    package static func create(
        at path: String, password: SecretBytes, cost: PasswordCost = .standard, clock: any Primitives.Clock,
        entropy: any Entropy, patience: Duration = .seconds(10), maximumPages: Int = 1 << 22
    ) throws(HoldfastError) -> EmbeddedVault {
        guard password.count > 0 else {
            throw HoldfastError(.usage, "an empty password for a vault", hint: "Give it one.")
        }
        let path = Host.absolutePath(path)
        let database = try VaultDatabase(path: path, isNew: true, patience: patience, maximumPages: maximumPages)
        let id = VaultID(try entropy.bytes16())
        let key = try entropy.secret(32)
        let vault = try EmbeddedVault(database, id: id, key: key, clock: clock, entropy: entropy)
        let slot = try VaultSlot(
            vault: id, wrapping: key, password: password, cost: cost, created: clock.now(), entropy: entropy)
        let root = try vault.sealed(VaultRoot())
        try database.write { database in
            guard try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") == 0 else {
                throw HoldfastError(
                    .vaultExists, "there is a vault or another database at \(path)",
                    hint: "Use it, or choose another place.")
            }
            try database.execute(sql: "PRAGMA application_id=\(VaultSchema.applicationID)")
            try database.execute(sql: "PRAGMA user_version=\(VaultSchema.version)")
            try database.execute(sql: VaultSchema.tables)
            try database.execute(
                sql: "INSERT INTO vault VALUES (1, ?, ?)", arguments: [Blob(id.bytes.array), Blob(root)])
            try database.execute(
                sql: "INSERT INTO slots VALUES (?, ?)", arguments: [Blob(slot.id.array), Blob(slot.encoded())])
        }
        return vault
    }

    /// Opens the vault at `path` and looks whether its rows are those that were written last.
    ///
    /// - Throws: `.vaultNotFound`, also for a file that is no vault or was not finished; `.wrongKey`;
    ///   `.unsupportedFormat` for one of a newer version; `.corruptObject` when rows were changed, removed or put back.
    package static func open(
        at path: String, password: SecretBytes, clock: any Primitives.Clock, entropy: any Entropy,
        patience: Duration = .seconds(10), maximumPages: Int = 1 << 22
    ) throws(HoldfastError) -> EmbeddedVault {
        let path = Host.absolutePath(path)
        let database = try VaultDatabase(path: path, isNew: false, patience: patience, maximumPages: maximumPages)
        let (id, slots) = try database.read { database -> (VaultID, [VaultSlot]) in
            try checkHead(database, path)
            guard let raw = try Data16.fetch(database, sql: "SELECT id FROM vault") else {
                throw HoldfastError(
                    .corruptObject, "the vault \(path) has no id", hint: "Restore it from a snapshot.")
            }
            return (VaultID(raw), try Self.slots(database))
        }
        for slot in slots {
            guard let key = try slot.open(id, password) else { continue }
            let vault = try EmbeddedVault(database, id: id, key: key, clock: clock, entropy: entropy)
            try vault.verify(values: false)
            // What a kill left in the log of values that were destroyed goes now.
            try database.scrub()
            return vault
        }
        throw HoldfastError(
            .wrongKey, "no slot of the vault \(path) opens with this password",
            hint: "Use the password of this vault, which is not that of a repository.")
    }

    private static func checkHead(_ database: Database, _ path: String) throws {
        guard try Int32.fetchOne(database, sql: "PRAGMA application_id") == VaultSchema.applicationID else {
            throw HoldfastError(
                .vaultNotFound, "the file \(path) is no vault, or the making of it was not finished",
                hint: "Check the path; a vault that was not finished is made by making it again.")
        }
        guard try Int32.fetchOne(database, sql: "PRAGMA user_version") == VaultSchema.version else {
            throw HoldfastError(
                .unsupportedFormat, "the vault \(path) is of a newer holdfast",
                hint: "Use the version that wrote it, or a newer one.")
        }
    }

    // MARK: Rows

    func sealed(_ root: VaultRoot) throws(HoldfastError) -> [UInt8] {
        let plain = root.encoded()
        return try keys.sealSalted(plain.span.bytes, at: .root, entropy)
    }

    func root(_ database: Database) throws -> VaultRoot {
        guard let sealed = try [UInt8].fetch(database, sql: "SELECT root FROM vault") else {
            throw HoldfastError(.corruptObject, "the vault \(path) has no root", hint: "Restore it from a snapshot.")
        }
        return try opening("its root") { () throws(HoldfastError) in
            try VaultRoot(try keys.openSalted(sealed, at: .root).withBytes { [UInt8]($0) })
        }
    }

    func sealedRecord(_ database: Database, _ tag: SecretTag) throws -> [UInt8]? {
        try [UInt8].fetch(
            database, sql: "SELECT record FROM secrets WHERE tag = ?", arguments: [Blob(tag.bytes.array)])
    }

    func opened(_ sealed: [UInt8], _ tag: SecretTag) throws(HoldfastError) -> StoredSecret {
        try opening("a record") { () throws(HoldfastError) in
            try StoredSecret(try keys.openSalted(sealed, at: .record(tag)).withBytes { [UInt8]($0) })
        }
    }

    func secret(_ database: Database, _ name: SecretName) throws -> StoredSecret? {
        let tag = keys.tag(of: name)
        guard let sealed = try sealedRecord(database, tag) else { return nil }
        return try opened(sealed, tag)
    }

    /// Says of damage where it is.
    func opening<R>(_ what: String, _ body: () throws(HoldfastError) -> R) throws(HoldfastError) -> R {
        do throws(HoldfastError) {
            return try body()
        } catch {
            guard error.code == .corruptObject else { throw error }
            throw HoldfastError(
                .corruptObject, "the vault \(path) is damaged or was tampered with: \(what) does not open",
                hint: "Keep the file, find out who wrote to it, and restore the vault from a snapshot.")
        }
    }
}
