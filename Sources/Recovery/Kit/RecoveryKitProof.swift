// The proof that a recovery key still opens its repository and can read what is in it.

import ObjectStore
import Primitives
import Repository

/// What a recovery key was seen to open.
package struct RecoveryKitProof: Sendable {
    package var number: RecoveryKitNumber
    package var repository: RepositoryID
    package var slot: SlotID
    package var label: String
    package var role: Role
    package var created: Timestamp?
    /// The newest snapshot, and when its data is from; nil without any.
    package var snapshot: (id: SnapshotID, source: String, consistentAsOf: Timestamp)?
    /// Bytes of the piece of data that was read; 0 when the snapshot holds none.
    package var bytesRead = 0
    package var warnings: [String] = []

    /// How many nodes of the newest snapshot are looked through for a piece of data.
    private static let maximumNodes = 4096

    /// Opens the slot with `key`, reads the newest snapshot's record and tree, and the first piece of its data.
    ///
    /// - Throws: `.wrongKey` when no slot opens, saying why where the store tells; `.notPermitted` for a removed slot;
    ///   `.corruptObject` and `.objectMissing` for damage on the way.
    package static func prove(
        _ key: SecretBytes, in store: any ObjectStore, environment: Environment
    ) throws(HoldfastError) -> RecoveryKitProof {
        let number = try RecoveryKitNumber(of: key)
        let repository: Repository
        do throws(HoldfastError) {
            repository = try Repository.open(store, secret: key, environment: environment)
        } catch {
            guard error.code == .wrongKey || error.code == .notPermitted else { throw error }
            throw try explanation(of: error, number, in: store, environment)
        }
        let keyring = repository.keyring
        let own = try repository.knownSlots().first { $0.member.slot == keyring.slot }
        var proof = RecoveryKitProof(
            number: number, repository: repository.id, slot: keyring.slot, label: own?.member.label ?? "",
            role: keyring.role, created: own?.stored?.created)
        proof.lookAtRights(keyring, newest: try repository.openedEpochs().keys.max())
        try proof.readNewest(of: repository)
        return proof
    }

    private mutating func lookAtRights(_ keyring: Keyring, newest: Epoch?) {
        if !keyring.canReadData { warnings.append("a key of the role \(role) cannot read the data") }
        if !number.isEnd(of: label) {
            warnings.append("the slot was not made by `holdfast recovery-kit`, and its label is another")
        }
        if let newest, newest > keyring.current.epoch {
            warnings.append(
                "keys were rotated, and this slot was left out: it cannot read what was written since epoch "
                    + "\(keyring.current.epoch); run `holdfast keys rotate` with an admin's key")
        }
    }

    private mutating func readNewest(of repository: Repository) throws(HoldfastError) {
        let listing = try repository.snapshots()
        if let damaged = listing.damaged.first {
            warnings.append(
                "\(listing.damaged.count) snapshots are damaged, such as \(damaged.key); run `holdfast check`")
        }
        guard let newest = listing.newestOfAll else {
            warnings.append("there is no snapshot yet")
            return
        }
        guard repository.keyring.canReadData else { return }
        let record = try newest.readableRecord()
        snapshot = (newest.id, record.source, record.consistentAsOf)
        let index = try repository.loadIndex(for: .reading).index
        let packs = PackReader(store: repository.store, keyring: repository.keyring)
        let tree = try repository.makeTree(index, packs: packs)
        var nodes = 0
        var found: (id: ChunkID, content: ContentClass)?
        for root in record.roots where found == nil {
            try tree.walk(
                root.entry,
                isNew: { _ in
                    nodes += 1
                    return found == nil && nodes <= Self.maximumNodes
                },
                chunk: { (id, content) throws(HoldfastError) in
                    if found == nil, content != .meta, id != .zeros { found = (id, content) }
                },
                failure: { (_, _, error) throws(HoldfastError) in throw error })
        }
        guard let found else {
            warnings.append("no piece of data was read: the newest snapshot holds none near its beginning")
            return
        }
        let reader = try ChunkReader(index: index, packs: packs, keyring: repository.keyring)
        bytesRead = try reader.read(found.id, found.content).count
    }

    private static func id(of store: any ObjectStore) throws(HoldfastError) -> RepositoryID {
        try Repository.readFormat(in: store, trusted: nil).repository
    }

    /// Why a key with this number opens nothing, as far as the store tells.
    private static func explanation(
        of error: HoldfastError, _ number: RecoveryKitNumber, in store: any ObjectStore, _ environment: Environment
    ) throws(HoldfastError) -> HoldfastError {
        let known = try Repository.knownSlots(in: store, environment: environment)
        guard let slot = known.first(where: { number.isEnd(of: $0.member.label) }) else {
            guard error.code == .wrongKey else { return error }
            return HoldfastError(
                .wrongKey, "the recovery key (kit \(number)) opens no slot of the repository at \(store.location)",
                hint:
                    "It is without a mistake. When the repository's id on the page is \(try id(of: store)), this copy "
                    + "was mirrored last before the kit was made: try the other places of the page, or mirror again. "
                    + "When it is another, this is another repository.")
        }
        let name = "key slot \(slot.member.slot) of recovery kit \(number)"
        if slot.member.isRevoked {
            return HoldfastError(
                .notPermitted, "\(name) was removed from this repository",
                hint: "Destroy the page, and make a new one with `holdfast recovery-kit`.")
        }
        guard let stored = slot.stored else {
            return HoldfastError(
                .wrongKey, "\(name) is gone from \(store.location), though it was not removed by an admin",
                hint: "Run `holdfast check`, and copy `slots/` back from a mirror.")
        }
        return HoldfastError(
            .wrongKey, "\(name) was given another key since the page was printed (revision \(stored.revision))",
            hint: "Destroy the page, and make a new one with `holdfast recovery-kit`.")
    }
}
