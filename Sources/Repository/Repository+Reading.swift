// Reading the objects that say what the repository is and who may do what.

import Logging
import ObjectStore
import Primitives
import Sealing

extension Repository {
    /// The name of the highest format object, or nil when there is no repository.
    static func newestFormatKey(
        in store: any ObjectStore
    ) throws(HoldfastError) -> (number: UInt32, key: ObjectKey)? {
        var newest: (number: UInt32, key: ObjectKey)?
        try store.list(ObjectNames.formats) { (info) throws(HoldfastError) in
            guard let number = ObjectNames.number(info.key.lastPart) else { return }
            if number > newest?.number ?? 0 { newest = (number, info.key) }
        }
        return newest
    }

    /// Reads the format object of the highest number. When it is damaged or forged this fails, rather than going by an
    /// older one.
    ///
    /// - Parameter trusted: The admin key, when it is known from a slot.
    package static func readFormat(
        in store: any ObjectStore, trusted: Bytes32?
    ) throws(HoldfastError) -> FormatObject {
        guard let (number, key) = try newestFormatKey(in: store) else {
            throw HoldfastError(
                .repositoryNotFound, "there is no repository at \(store.location)",
                hint: "Check --repo or HOLDFAST_REPO, or make one with `holdfast init`.")
        }
        let bytes = try store.get(key, limit: FormatObject.maximumSize)
        let format = try FormatObject(bytes, name: key.path, trusted: trusted)
        // An old object under a new name would take back the features that the newer one asks for.
        guard format.number == number else {
            throw HoldfastError(
                .rollbackDetected, "\(key) holds format object \(format.number)",
                hint: "The store was tampered with; remove the copy, and compare `format/` with a mirror.")
        }
        guard format.readFeatures == 0 else {
            throw HoldfastError(
                .unsupportedFormat, "this repository needs features that this holdfast does not know",
                hint: "Upgrade holdfast; nothing was changed.")
        }
        return format
    }

    /// Says so when all key slots are of another repository than `format`, since no password would open them.
    static func refuseForeignFormat(in store: any ObjectStore, format: FormatObject) throws(HoldfastError) {
        var keys: [ObjectKey] = []
        try store.list(ObjectNames.slots) { (info) throws(HoldfastError) in
            if keys.count < SlotObject.maximumSlots, ObjectNames.slotRevision(info.key) != nil { keys.append(info.key) }
        }
        for key in keys {
            let slot: SlotObject
            do throws(HoldfastError) {
                slot = try SlotObject(try store.get(key, limit: SlotObject.maximumSize), name: key.path)
            } catch {
                guard Self.isOfObject(error) else { throw error }
                continue
            }
            guard slot.repository == format.repository else {
                throw HoldfastError(
                    .corruptObject,
                    "\(ObjectNames.format(format.number)) is of another repository than the slot \(key)",
                    hint: "Restore `format/` from a mirror: the object there was replaced.")
            }
        }
    }

    /// Slots that can be read, newest revisions first; damaged and foreign ones are logged and passed over.
    static func readSlots(
        in store: any ObjectStore, format: FormatObject, logger: Logger
    ) throws(HoldfastError) -> [(object: SlotObject, key: ObjectKey)] {
        var keys: [ObjectKey] = []
        try store.list(ObjectNames.slots) { (info) throws(HoldfastError) in
            if ObjectNames.slotRevision(info.key) != nil { keys.append(info.key) }
        }
        guard keys.count <= SlotObject.maximumSlots * 2 else {
            throw HoldfastError(
                .limitExceeded, "the repository has \(keys.count) key slots, over the limit",
                hint: "Someone who can write to the store added slots; remove those that `keys list` does not know.")
        }
        var slots: [(object: SlotObject, key: ObjectKey)] = []
        for key in keys {
            do throws(HoldfastError) {
                let slot = try SlotObject(try store.get(key, limit: SlotObject.maximumSize), name: key.path)
                if slot.repository == format.repository { slots.append((slot, key)) }
            } catch {
                guard Self.isOfObject(error) else { throw error }
                logger.warning("a key slot cannot be read", metadata: ["slot": "\(key)", "error": "\(error)"])
            }
        }
        return slots.sorted { ($0.object.created, $0.object.revision) < ($1.object.created, $1.object.revision) }
    }

    /// Grants that bear the admin's signature; all others do not exist.
    static func readGrants(
        in store: any ObjectStore, format: FormatObject, logger: Logger
    ) throws(HoldfastError) -> [(grant: GrantObject, name: String)] {
        var keys: [ObjectKey] = []
        try store.list(ObjectNames.grants) { (info) throws(HoldfastError) in
            if ObjectNames.grantName(info.key) != nil { keys.append(info.key) }
        }
        var grants: [(grant: GrantObject, name: String)] = []
        for key in keys.sorted() {
            do throws(HoldfastError) {
                let bytes = try store.get(key, limit: GrantObject.maximumSize)
                let grant = try GrantObject(bytes, name: key.path, adminKey: format.adminKey)
                if grant.repository == format.repository { grants.append((grant, key.path)) }
            } catch {
                guard Self.isOfObject(error) else { throw error }
                logger.warning("a grant is ignored", metadata: ["grant": "\(key)", "error": "\(error)"])
            }
        }
        return grants
    }

    /// Whether a failure is the object's own. One of the store says nothing about who is a member, and is never
    /// passed over.
    private static func isOfObject(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .corruptObject, .unsupportedFormat, .limitExceeded, .objectMissing, .cryptography: true
        default: false
        }
    }

    static func readEpochs(
        in store: any ObjectStore, format: FormatObject
    ) throws(HoldfastError) -> [Epoch: EpochObject] {
        var keys: [ObjectKey] = []
        try store.list(ObjectNames.epochs) { (info) throws(HoldfastError) in
            if Epoch(info.key.lastPart) != nil { keys.append(info.key) }
        }
        var epochs: [Epoch: EpochObject] = [:]
        for key in keys {
            let bytes = try store.get(key, limit: EpochObject.maximumSize)
            let epoch = try EpochObject(bytes, name: key.path, adminKey: format.adminKey)
            guard epoch.repository == format.repository, ObjectNames.epoch(epoch.epoch) == key else { continue }
            epochs[epoch.epoch] = epoch
        }
        return epochs
    }

    static func putFirstEpoch(
        in store: any ObjectStore, _ id: RepositoryID, _ keys: [GrantedKey: SecretBytes], _ admin: SigningKey,
        _ now: Timestamp
    ) throws(HoldfastError) {
        guard let data = keys[.dataPublic], let structure = keys[.structurePublic] else {
            preconditionFailure("fresh epoch keys hold their public halves")
        }
        let epoch = EpochObject(
            repository: id, epoch: 1, made: now, dataPublic: data.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) },
            structurePublic: structure.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) })
        let bytes = try epoch.encoded(admin: admin)
        try store.putIfAbsent(ObjectNames.epoch(1), bytes.span.bytes)
    }

    /// Removes what a broken-off `init` left: slots, grants and an epoch that no format object ever joined.
    static func removeRemains(in store: any ObjectStore) throws(HoldfastError) {
        for prefix in [ObjectNames.packs, ObjectNames.snapshots] {
            try store.list(prefix) { (info) throws(HoldfastError) in
                throw HoldfastError(
                    .repositoryExists,
                    "\(store.location) holds \(info.key) of a repository whose format object is missing",
                    hint: "Restore the directory `format` from a mirror, or choose another place.")
            }
        }
        var keys: [ObjectKey] = []
        for prefix in [ObjectNames.slots, ObjectNames.grants, ObjectNames.epochs] {
            try store.list(prefix) { (info) throws(HoldfastError) in keys.append(info.key) }
        }
        for key in keys { try store.delete(key) }
    }
}
