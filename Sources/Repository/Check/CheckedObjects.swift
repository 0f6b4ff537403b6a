// What the small objects of a repository say, as far as they are good.

import ObjectStore
import Primitives

/// A snapshot object whose bytes and signature are good.
struct CheckedSnapshot: Sendable {
    var key: ObjectKey
    var size: UInt64
    var object: SnapshotObject
    var digest: Bytes32
    /// Nil when no key at hand opens it.
    var record: SnapshotRecord?
}

/// Everything that a check learns before it looks at packs.
struct CheckedObjects: Sendable {
    var repository: RepositoryID
    var adminKey: Bytes32
    var roster: [SlotID: Member] = [:]
    var epochs: Set<Epoch> = []
    /// In order of source, sequence and id.
    var snapshots: [CheckedSnapshot] = []
    /// Names that collectors closed.
    var tombstones: [ObjectInfo] = []
    /// Names of index runs, and how long they are.
    var runs: [IndexRunID: UInt64] = [:]
    /// Names of packs, and how long they are.
    var packs: [PackID: ObjectInfo] = [:]
    /// What signed sweeps name: it may be gone.
    var sweptPacks: Set<PackID> = []
    var sweptRuns: Set<IndexRunID> = []

    /// - Throws: `.corruptObject` when the signer is unknown, lacked the right, or the signature is not its own.
    func verify(
        _ bytes: [UInt8], by slot: SlotID, name: String, allowing: (Member) -> Bool
    ) throws(HoldfastError) {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        try verify(body, signature, by: slot, name: name, allowing: allowing)
    }

    func verify(
        _ body: [UInt8], _ signature: [UInt8], by slot: SlotID, name: String, allowing: (Member) -> Bool
    ) throws(HoldfastError) {
        try Keyring.verify(body, signature, by: slot, in: roster, name: name, allowing: allowing)
    }

    /// - Throws: `.corruptObject` when an object is of another repository or is not what its name says.
    func require(_ repository: RepositoryID, _ isNamed: Bool, name: String) throws(HoldfastError) {
        guard repository == self.repository else {
            throw HoldfastError(
                .corruptObject, "\(name) belongs to another repository", hint: "It is foreign; find out who put it.")
        }
        guard isNamed else {
            throw HoldfastError(
                .corruptObject, "\(name) is not what its name says",
                hint: "It was copied from elsewhere; find out who put it.")
        }
    }
}
