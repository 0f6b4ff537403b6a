// Snapshots as the repository lists them.

import ObjectStore
import Primitives
import Sealing

/// A committed snapshot whose signature holds.
package struct Snapshot: Sendable {
    package var tag: SourceTag
    package var id: SnapshotID
    package var sequence: UInt64
    package var digest: Bytes32
    package var previousDigest: Bytes32
    package var epoch: Epoch
    package var slot: SlotID
    package var runs: [IndexRunID]
    /// When the store says that it was put.
    package var stored: Timestamp
    /// Nil when this key may not read it, as with another writer's.
    package var record: SnapshotRecord?

    package init(
        tag: SourceTag, id: SnapshotID, sequence: UInt64, digest: Bytes32, previousDigest: Bytes32, epoch: Epoch,
        slot: SlotID, runs: [IndexRunID], stored: Timestamp, record: SnapshotRecord?
    ) {
        self.tag = tag
        self.id = id
        self.sequence = sequence
        self.digest = digest
        self.previousDigest = previousDigest
        self.epoch = epoch
        self.slot = slot
        self.runs = runs
        self.stored = stored
        self.record = record
    }
}

/// A listing with what is wrong in it.
package struct SnapshotListing: Sendable {
    /// In order of source, then sequence, then id.
    package var snapshots: [Snapshot] = []
    /// Names that a collector has closed.
    package var tombstones: [(tag: SourceTag, id: SnapshotID)] = []
    /// Objects below snapshots/ that are damaged, forged or foreign.
    package var damaged: [(key: ObjectKey, error: HoldfastError)] = []

    package init() {}

    /// Highest sequence, then id.
    package func latest(of tag: SourceTag) -> Snapshot? {
        snapshots.filter { $0.tag == tag }.max { ($0.sequence, $0.id) < ($1.sequence, $1.id) }
    }
}

extension Repository {
    /// Reads the snapshots of one source, or of all.
    ///
    /// Damaged objects are in the result by name; everything else goes on.
    ///
    /// - Throws: `.rollbackDetected` when the witness refuses what the store shows; what the store throws.
    package func snapshots(of tag: SourceTag? = nil) throws(HoldfastError) -> SnapshotListing {
        let listing = try listSnapshots(of: tag)
        guard let witness = environment.witness else { return listing }
        return try witness.observe(listing, of: tag, clock) { () throws(HoldfastError) in
            try listSnapshots(of: tag)
        }
    }

    private func listSnapshots(of tag: SourceTag?) throws(HoldfastError) -> SnapshotListing {
        var infos: [ObjectInfo] = []
        let prefix = tag.map { ObjectNames.snapshots(of: $0) } ?? ObjectNames.snapshots
        try store.list(prefix) { (info) throws(HoldfastError) in infos.append(info) }
        var listing = SnapshotListing()
        for info in infos {
            guard let name = ObjectNames.snapshotID(info.key) else { continue }
            do throws(HoldfastError) {
                guard let snapshot = try snapshot(name.tag, name.id, stored: info.modified) else {
                    listing.tombstones.append(name)
                    continue
                }
                listing.snapshots.append(snapshot)
            } catch {
                switch error.code {
                case .objectMissing: continue
                case .storeUnavailable, .accessDenied: throw error
                default: listing.damaged.append((info.key, error))
                }
            }
        }
        listing.snapshots.sort { ($0.tag.bytes, $0.sequence, $0.id) < ($1.tag.bytes, $1.sequence, $1.id) }
        return listing
    }

    /// Reads one snapshot; nil for a tombstone.
    package func snapshot(
        _ tag: SourceTag, _ id: SnapshotID, stored: Timestamp
    ) throws(HoldfastError) -> Snapshot? {
        let key = ObjectNames.snapshot(tag, id)
        let bytes = try store.get(key, limit: SnapshotObject.maximumSize)
        if bytes.count > 8, bytes[8] == ObjectKind.tombstone.rawValue {
            let tombstone = try TombstoneObject(bytes, name: key.path)
            let (body, signature) = try SignedFrame.open(bytes, name: key.path)
            try keyring.verify(body, signature, by: tombstone.slot, name: key.path) { $0.mayCollect }
            guard tombstone.repository == self.id, tombstone.tag == tag, tombstone.snapshot == id else {
                throw Self.misnamed(key)
            }
            return nil
        }
        let parsed = try SnapshotObject.parse(bytes, name: key.path)
        let object = parsed.object
        guard object.repository == self.id, object.tag == tag, object.id == id else { throw Self.misnamed(key) }
        try keyring.verify(parsed.body, parsed.signature, by: object.slot, name: key.path) {
            $0.maySignSnapshot(of: tag, in: object.epoch)
        }
        let record = try parsed.record(
            with: keyring.openingKeys(structure: true, epoch: object.epoch), name: key.path)
        return Snapshot(
            tag: tag, id: id, sequence: object.sequence, digest: parsed.digest, previousDigest: object.previous,
            epoch: object.epoch, slot: object.slot, runs: object.runs, stored: stored, record: record)
    }

    private static func misnamed(_ key: ObjectKey) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(key) is not the snapshot that its name says",
            hint: "It was copied from elsewhere; find out who put it.")
    }
}
