// The passwords of an embedded vault.

import GRDB
import Primitives
import SecretVaults

extension EmbeddedVault {
    /// A slot as an operator sees it.
    package struct SlotInfo: Sendable, Hashable {
        package var id: Bytes16
        package var created: Timestamp
    }

    static func slots(_ database: Database) throws -> [VaultSlot] {
        let rows = try Row.fetchAll(
            database, sql: "SELECT id, slot FROM slots ORDER BY id LIMIT ?", arguments: [VaultSlot.maximumSlots])
        return try rows.map { row in
            guard let id = row.blob(0), let slot = row.blob(1), id.count == 16 else {
                throw HoldfastError(
                    .corruptObject, "a slot of the vault is damaged", hint: "Restore the vault from a snapshot.")
            }
            return try VaultSlot(id: Bytes16(id.span.bytes), slot)
        }
    }

    package func slots() throws(HoldfastError) -> [SlotInfo] {
        try database.read { try Self.slots($0).map { SlotInfo(id: $0.id, created: $0.created) } }
    }

    /// Lets another password open the vault.
    ///
    /// - Returns: The id of the new slot, which has been opened once after it was written.
    /// - Throws: `.limitExceeded` when there are eight slots.
    package func addPassword(
        _ password: SecretBytes, cost: PasswordCost = .standard
    ) throws(HoldfastError) -> Bytes16 {
        guard password.count > 0 else {
            throw HoldfastError(.usage, "an empty password for a vault", hint: "Give it one.")
        }
        let slot = try VaultSlot(
            vault: id, wrapping: key, password: password, cost: cost, created: clock.now(), entropy: entropy)
        try database.write { database in
            guard try Self.slots(database).count < VaultSlot.maximumSlots else {
                throw HoldfastError(
                    .limitExceeded, "the vault \(self.path) has \(VaultSlot.maximumSlots) slots",
                    hint: "Remove one that nobody uses.")
            }
            try database.execute(
                sql: "INSERT INTO slots VALUES (?, ?)", arguments: [Blob(slot.id.array), Blob(slot.encoded())])
        }
        let stored = try database.read { try Self.slots($0).first { $0.id == slot.id } }
        guard let opened = try stored?.open(id, password), opened.equals(key) else {
            throw HoldfastError(
                .corruptObject, "the new slot of the vault \(path) does not open", hint: "Check the disk.")
        }
        return slot.id
    }

    /// Removes a slot; its password no longer opens the file. Success when it is not there.
    ///
    /// - Throws: `.usage` for the last one.
    package func removeSlot(_ id: Bytes16) throws(HoldfastError) {
        try database.write { database in
            let slots = try Self.slots(database)
            guard slots.contains(where: { $0.id == id }) else { return }
            guard slots.count > 1 else {
                throw HoldfastError(
                    .usage, "the slot is the last one of the vault \(self.path)", hint: "Add another one first.")
            }
            try database.execute(sql: "DELETE FROM slots WHERE id = ?", arguments: [Blob(id.array)])
        }
        try database.scrub()
    }

    /// Replaces a password: the new slot is on stable storage before the old one goes, so that after a kill in between
    /// both open the vault.
    ///
    /// The key of the vault stays: somebody who has a copy of the old file and the old password still reads what was in
    /// it, and with that key what is written later.
    /// - Retry: safe; the same again goes on where a kill stopped it.
    /// - Throws: `.wrongKey` when `old` opens no slot.
    package func changePassword(
        from old: SecretBytes, to new: SecretBytes, cost: PasswordCost = .standard
    ) throws(HoldfastError) {
        guard !old.equals(new) else {
            throw HoldfastError(.usage, "the new password of the vault is the old one", hint: "Give another one.")
        }
        let slots = try database.read { try Self.slots($0) }
        var outdated: [VaultSlot] = []
        var isThere = false
        for slot in slots {
            if try slot.open(id, old) != nil {
                outdated.append(slot)
            } else if try slot.open(id, new) != nil {
                isThere = true
            }
        }
        guard !outdated.isEmpty else {
            throw HoldfastError(
                .wrongKey, "no slot of the vault \(path) opens with the old password",
                hint: "Give the password that is to be replaced.")
        }
        if !isThere { _ = try addPassword(new, cost: cost) }
        for slot in outdated { try removeSlot(slot.id) }
    }
}
