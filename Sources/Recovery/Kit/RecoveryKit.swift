// A recovery kit: a key of its own, and all that one must know to come back with nothing else.

import Primitives
import Printing
import Repository
import Sealing

/// The short name of a recovery key, which stands on the page and at the end of its slot's label.
///
/// It is derived from the key by HKDF and is no secret: 40 bits that tell nothing of the other 256. By it a key that
/// opens nothing any more is still known to be the one of a slot that was removed.
package struct RecoveryKitNumber: Sendable, Hashable, CustomStringConvertible {
    package let description: String

    package init(of key: SecretBytes) throws(HoldfastError) {
        let derived = try HKDF.derive(key, salt: [], info: Array("recovery kit number".utf8), count: 5)
        let value = derived.withBytes { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        let letters = (0..<8).map { alphabet[Int(value >> UInt64(35 - 5 * $0) & 31)] }
        description = String(letters[..<4]) + "-" + String(letters[4...])
    }

    /// Whether `label` is that of a recovery kit, of whatever number.
    package static func ends(_ label: String) -> Bool {
        let parts = label.suffix(10).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].hasPrefix(" "), parts[0].utf8.count == 5, parts[1].utf8.count == 4 else {
            return false
        }
        let letters = Set("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
        return (parts[0].dropFirst() + parts[1]).utf8.allSatisfy(letters.contains)
    }

    /// The label of the slot; with its number it stays within what a label may hold.
    package func label(_ text: String) -> String { "\(text) \(self)" }

    /// Whether `label` ends in this number.
    package func isEnd(of label: String) -> Bool { label.hasSuffix(" \(self)") }
}

/// A new recovery key and what its page says.
package struct RecoveryKit: Sendable {
    /// A key slot as the page names it.
    package struct Slot: Sendable {
        package var id: SlotID
        package var label: String
        package var role: Role
        package var created: Timestamp?
    }

    /// A source and what brings its newest snapshot back.
    package struct Source: Sendable {
        package var name: String
        package var workload: String

        package init(name: String, workload: String) {
            self.name = name
            self.workload = workload
        }
    }

    /// More sources than this are not named one by one.
    package static let maximumSources = 40
    /// Bytes of a label besides the number.
    package static let longestLabel = 240

    package var key: SecretBytes
    package var number: RecoveryKitNumber
    package var slot: SlotID
    package var role: Role
    package var repository: RepositoryID
    /// Where it lies, as `HOLDFAST_REPO` takes it.
    package var location: String
    package var mirrors: [String]
    package var host: String
    package var made: Timestamp
    package var toolVersion: String
    package var slots: [Slot]
    package var sources: [Source]
    package var sourceCount: Int

    /// What a new kit is to be.
    package struct Wish: Sendable {
        package var label: String
        package var role: Role
        package var rights: Rights
        package var location: String
        package var mirrors: [String]
        package var host: String
        package var toolVersion: String

        package init(
            label: String, role: Role, rights: Rights, location: String, mirrors: [String], host: String,
            toolVersion: String
        ) {
            self.label = label
            self.role = role
            self.rights = rights
            self.location = location
            self.mirrors = mirrors
            self.host = host
            self.toolVersion = toolVersion
        }
    }

    /// Adds a key slot for a fresh random key, proves that the key's letters open it, and says what the page holds.
    ///
    /// - Durability: on return the slot is in the store. When the proof fails it is removed again.
    /// - Throws: `.notPermitted` without the role admin.
    package static func make(_ wish: Wish, in repository: Repository) throws(HoldfastError) -> RecoveryKit {
        try repository.keyring.require(.admin, toDo: "make a recovery kit")
        // What can fail for reasons of the store comes before the slot.
        let records = try newestRecords(repository.snapshots())
        let key = try repository.entropy.secret(RecoveryKeyText.keySize)
        let number = try RecoveryKitNumber(of: key)
        let slot = try repository.addKey(
            Repository.NewKey(
                label: number.label(wish.label), role: wish.role, rights: wish.rights, secret: key,
                derivation: .rawKey))
        do throws(HoldfastError) {
            try prove(key, opens: slot, of: repository)
            let known = try repository.reloadingKeys().knownSlots().filter { !$0.member.isRevoked }
            return RecoveryKit(
                key: key, number: number, slot: slot, role: wish.role, repository: repository.id,
                location: wish.location, mirrors: wish.mirrors, host: wish.host, made: repository.clock.now(),
                toolVersion: wish.toolVersion,
                slots: known.map { known in
                    Slot(
                        id: known.member.slot, label: known.member.label, role: known.member.role,
                        created: known.stored?.created)
                },
                sources: records.prefix(maximumSources).map { Source(name: $0.source, workload: $0.workload) },
                sourceCount: records.count)
        } catch {
            throw takeBack(slot, from: repository, after: error)
        }
    }

    /// Removes the slot of a kit whose page did not come to be: it opens nothing for anybody.
    ///
    /// - Returns: `error`, and what is left behind when the slot cannot be removed.
    package static func takeBack(
        _ slot: SlotID, from repository: Repository, after error: HoldfastError
    ) -> HoldfastError {
        do throws(HoldfastError) {
            try repository.reloadingKeys().removeKey(slot)
            return error
        } catch let second {
            return error.with(
                "left behind", "key slot \(slot), which `holdfast keys remove` takes away: \(second.message)")
        }
    }

    private static func newestRecords(_ listing: SnapshotListing) -> [SnapshotRecord] {
        Set(listing.snapshots.map(\.tag)).compactMap { listing.latest(of: $0)?.record }
            .sorted { $0.source < $1.source }
    }

    /// What is printed is what opens: the letters, not the key that they were made of.
    private static func prove(
        _ key: SecretBytes, opens slot: SlotID, of repository: Repository
    ) throws(HoldfastError) {
        guard case .key(let read) = RecoveryKeyText.read(RecoveryKeyText.letters(of: key)), read.equals(key),
            let stored = try repository.slots().first(where: { $0.object.id == slot }),
            try stored.object.open(with: read) != nil
        else {
            throw HoldfastError(
                .cryptography, "the new recovery key does not open its own slot",
                hint: "Nothing was printed. Run the command again; when it fails again, check the machine's memory.")
        }
    }
}
