// Holds: snapshots that retention must keep, whatever its rules say.

import ObjectStore
import Primitives
import Sealing

extension Repository {
    /// Every hold, with its object.
    ///
    /// - Throws: when one cannot be read or is not signed by an admin or a maintainer: what it protects is not known,
    ///   so that nothing may be forgotten.
    package func holds() throws(HoldfastError) -> [(hold: HoldObject, key: ObjectKey)] {
        var keys: [ObjectKey] = []
        try store.list(ObjectNames.holds) { (info) throws(HoldfastError) in keys.append(info.key) }
        var holds: [(hold: HoldObject, key: ObjectKey)] = []
        for key in keys.sorted() {
            do throws(HoldfastError) {
                let bytes = try store.get(key, limit: HoldObject.maximumSize)
                let hold = try HoldObject(bytes, name: key.path)
                let (body, signature) = try SignedFrame.open(bytes, name: key.path)
                try keyring.verify(body, signature, by: hold.slot, name: key.path) { $0.mayCollect }
                guard hold.repository == id, ObjectNames.hold(hold.id) == key else {
                    throw ByteReader([], as: key.path).corrupt("it is not the hold that its name says")
                }
                holds.append((hold, key))
            } catch {
                // Released between the listing and the read.
                if error.code == .objectMissing { continue }
                throw error
            }
        }
        return holds
    }

    /// Protects a snapshot from retention until it is released.
    ///
    /// - Durability: on return every later `forget` sees it.
    @discardableResult
    package func hold(_ snapshot: Snapshot, reason: String) throws(HoldfastError) -> HoldObject {
        try keyring.require(.admin, .maintainer, toDo: "hold snapshots")
        let now = clock.now()
        let hold = HoldObject(
            repository: id, id: try ULID(at: now, entropy: entropy), tag: snapshot.tag, snapshot: snapshot.id,
            slot: keyring.slot, made: now, reason: reason)
        let bytes = try hold.encoded(signer: keyring.signing)
        try store.putIfAbsent(ObjectNames.hold(hold.id), bytes.span.bytes)
        return hold
    }

    /// Takes away every hold of a snapshot; how many there were.
    @discardableResult
    package func release(_ snapshot: SnapshotID) throws(HoldfastError) -> Int {
        try keyring.require(.admin, .maintainer, toDo: "release snapshots")
        let own = try holds().filter { $0.hold.snapshot == snapshot }
        for (_, key) in own { try store.delete(key) }
        return own.count
    }
}
