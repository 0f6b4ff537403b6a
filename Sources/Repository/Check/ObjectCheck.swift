// Checks every small object: bytes, names, signatures, and the chains of snapshots.

import ObjectStore
import Primitives
import Sealing

/// Reads all objects but packs and the tables of index runs. Works with keys and without.
///
/// Objects are listed in the order of readers: snapshots, then the index, then packs, then what sweeps named. What
/// vanishes between the listing and the read was retired by someone who may, and is no finding.
struct ObjectCheck {
    let collector: CheckCollector
    /// Opens the sealed part of a snapshot; nil when there is no key.
    let keyring: Keyring?
    private var store: any ObjectStore { collector.store }

    init(_ collector: CheckCollector, keyring: Keyring?) {
        self.collector = collector
        self.keyring = keyring
    }

    /// - Throws: `.repositoryNotFound` without a readable format object, and what listings throw.
    func run() throws(HoldfastError) -> CheckedObjects {
        let snapshotInfos = try list(ObjectNames.snapshots)
        let runInfos = try list(ObjectNames.index)
        let packInfos = try list(ObjectNames.packs)
        let collectionInfos = try list(ObjectNames.collections)
        var objects = try checkFormats()
        for info in runInfos { if let id = ObjectNames.indexRunID(info.key) { objects.runs[id] = info.size } }
        for info in packInfos { if let id = ObjectNames.packID(info.key) { objects.packs[id] = info } }
        try checkEpochs(&objects)
        try checkGrants(&objects)
        try checkSlots(objects)
        for info in collectionInfos { try checkCollection(info, &objects) }
        for info in snapshotInfos { try checkSnapshot(info, &objects) }
        objects.snapshots.sort {
            ($0.object.tag.bytes, $0.object.sequence, $0.object.id)
                < ($1.object.tag.bytes, $1.object.sequence, $1.object.id)
        }
        SnapshotChains(objects.snapshots).check(collector)
        try EvidenceChainCheck(collector, keyring: keyring, objects: objects).run()
        for info in try list(ObjectNames.leases) { try checkLease(info, objects) }
        for info in try list(ObjectNames.holds) { try checkHold(info, objects) }
        try checkStrays()
        let (packCount, packBytes) = (objects.packs.count, objects.packs.values.reduce(0) { $0 &+ $1.size })
        let runCount = objects.runs.count
        collector.count { counts in
            counts.packs = UInt64(packCount)
            counts.packBytes = packBytes
            counts.runs = UInt64(runCount)
        }
        return objects
    }

    private func list(_ prefix: String) throws(HoldfastError) -> [ObjectInfo] {
        var infos: [ObjectInfo] = []
        try store.list(prefix) { (info) throws(HoldfastError) in infos.append(info) }
        try collector.cancellation.check()
        return infos.sorted { $0.key < $1.key }
    }

    private func examine(
        _ info: ObjectInfo, limit: ByteCount, _ body: ([UInt8]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try collector.examine(info, limit: limit, body)
    }

    private func countOther() { collector.count { $0.others += 1 } }

    private func checkFormats() throws(HoldfastError) -> CheckedObjects {
        var first: FormatObject?
        let infos = try list(ObjectNames.formats).sorted {
            (UInt32($0.key.lastPart) ?? .max, $0.key) < (UInt32($1.key.lastPart) ?? .max, $1.key)
        }
        for info in infos where ObjectNames.number(info.key.lastPart) != nil {
            countOther()
            let pin = keyring?.adminKey ?? first?.adminKey
            let name = info.key.path
            try examine(info, limit: FormatObject.maximumSize) { (bytes) throws(HoldfastError) in
                let format = try FormatObject(bytes, name: name, trusted: pin)
                if let known = keyring?.repository ?? first?.repository, known != format.repository {
                    throw HoldfastError(
                        .corruptObject, "\(name) belongs to another repository", hint: "Find out who put it.")
                }
                guard ObjectNames.format(format.number) == info.key, format.adminKey == pin ?? format.adminKey else {
                    throw HoldfastError(
                        .corruptObject, "\(name) is not what its name says", hint: "Find out who put it.")
                }
                if first == nil { first = format }
            }
        }
        if let keyring { return CheckedObjects(repository: keyring.repository, adminKey: keyring.adminKey) }
        guard let first else {
            throw HoldfastError(
                .repositoryNotFound, "there is no readable format object at \(store.location)",
                hint: "Check --repo or HOLDFAST_REPO, or restore the directory `format` from a mirror.")
        }
        return CheckedObjects(repository: first.repository, adminKey: first.adminKey)
    }

    private func checkEpochs(_ objects: inout CheckedObjects) throws(HoldfastError) {
        for info in try list(ObjectNames.epochs) where Epoch(info.key.lastPart) != nil {
            countOther()
            let current = objects
            var found: Epoch?
            try examine(info, limit: EpochObject.maximumSize) { (bytes) throws(HoldfastError) in
                let epoch = try EpochObject(bytes, name: info.key.path, adminKey: current.adminKey)
                try current.require(
                    epoch.repository, ObjectNames.epoch(epoch.epoch) == info.key, name: info.key.path)
                found = epoch.epoch
            }
            if let found { objects.epochs.insert(found) }
        }
    }

    private func checkGrants(_ objects: inout CheckedObjects) throws(HoldfastError) {
        var grants: [GrantObject] = []
        for info in try list(ObjectNames.grants) {
            guard let named = ObjectNames.grantName(info.key) else { continue }
            countOther()
            let current = objects
            try examine(info, limit: GrantObject.maximumSize) { (bytes) throws(HoldfastError) in
                guard SHA256.digest(bytes.span.bytes) == named.digest else {
                    throw ByteReader([], as: info.key.path).corrupt("its bytes do not match its name")
                }
                let grant = try GrantObject(bytes, name: info.key.path, adminKey: current.adminKey)
                try current.require(
                    grant.repository, grant.slot == named.slot && grant.epoch == named.epoch, name: info.key.path)
                grants.append(grant)
            }
        }
        objects.roster = Keyring.roster(of: grants)
        for grant in grants where grant.role != .revoked && !objects.epochs.contains(grant.epoch) {
            let name = ObjectNames.epoch(grant.epoch).path
            collector.add(
                .error, .missing, name, "it is missing or damaged, and slot \(grant.slot) was granted that epoch")
        }
    }

    private func checkSlots(_ objects: CheckedObjects) throws(HoldfastError) {
        var found: Set<SlotID> = []
        for info in try list(ObjectNames.slots) {
            guard let named = ObjectNames.slotRevision(info.key) else { continue }
            countOther()
            try examine(info, limit: SlotObject.maximumSize) { (bytes) throws(HoldfastError) in
                let slot = try SlotObject(bytes, name: info.key.path)
                try objects.require(
                    slot.repository, slot.id == named.id && slot.revision == named.revision, name: info.key.path)
                found.insert(slot.id)
            }
        }
        for member in objects.roster.values where !member.isRevoked && !found.contains(member.slot) {
            collector.add(
                .error, .missing, "slots/\(member.slot)",
                "the key slot \(member.label.isEmpty ? "" : "\(member.label) ")has grants and no readable slot object")
        }
        // A slot is put after its grants, so that one without any lost them.
        for slot in found where objects.roster[slot] == nil {
            collector.add(.error, .missing, "grants/\(slot)", "the key slot \(slot) has no good grant")
        }
        // An epoch that was opened and granted to nobody stays empty.
        let granted = objects.epochs.intersection(objects.roster.values.flatMap(\.roles.keys))
        for member in objects.roster.values where !member.isRevoked {
            let lacking = granted.filter { member.roles[$0] == nil }.sorted()
            if !lacking.isEmpty, !member.roles.isEmpty {
                collector.add(
                    .warning, .missing, "grants/\(member.slot)",
                    "slot \(member.slot) has no grant for epoch \(lacking.map(String.init).joined(separator: ", "))")
            }
        }
    }

    private func checkCollection(_ info: ObjectInfo, _ objects: inout CheckedObjects) throws(HoldfastError) {
        guard let named = ObjectNames.collection(info.key) else { return }
        countOther()
        let current = objects
        var step: CollectionObject?
        try examine(info, limit: CollectionObject.maximumSize) { (bytes) throws(HoldfastError) in
            let object = try CollectionObject(bytes, name: info.key.path)
            try current.require(
                object.repository, object.kind == named.kind && object.generation == named.generation,
                name: info.key.path)
            try current.verify(bytes, by: object.slot, name: info.key.path) { $0.mayCollect }
            step = object
        }
        if let step, step.kind != .condemned {
            objects.sweptPacks.formUnion(step.packs)
            objects.sweptRuns.formUnion(step.runs)
        }
    }

    private func checkLease(_ info: ObjectInfo, _ objects: CheckedObjects) throws(HoldfastError) {
        guard let named = ObjectNames.leaseNumber(info.key) else { return }
        countOther()
        try examine(info, limit: LeaseObject.maximumSize) { (bytes) throws(HoldfastError) in
            let lease = try LeaseObject(bytes, name: info.key.path)
            try objects.require(
                lease.repository, lease.lease == named.id && lease.number == named.number, name: info.key.path)
            try objects.verify(bytes, by: lease.slot, name: info.key.path) { !$0.roles.isEmpty }
        }
    }

    private func checkHold(_ info: ObjectInfo, _ objects: CheckedObjects) throws(HoldfastError) {
        guard ULID(info.key.lastPart) != nil else { return }
        countOther()
        try examine(info, limit: HoldObject.maximumSize) { (bytes) throws(HoldfastError) in
            let hold = try HoldObject(bytes, name: info.key.path)
            try objects.require(hold.repository, ObjectNames.hold(hold.id) == info.key, name: info.key.path)
            try objects.verify(bytes, by: hold.slot, name: info.key.path) { $0.mayCollect }
        }
    }

    private func checkSnapshot(_ info: ObjectInfo, _ objects: inout CheckedObjects) throws(HoldfastError) {
        guard let named = ObjectNames.snapshotID(info.key) else { return }
        let current = objects
        let name = info.key.path
        var good: CheckedSnapshot?
        var isTombstone = false
        try examine(info, limit: SnapshotObject.maximumSize) { (bytes) throws(HoldfastError) in
            if bytes.count > 8, bytes[8] == ObjectKind.tombstone.rawValue {
                let tombstone = try TombstoneObject(bytes, name: name)
                try current.require(
                    tombstone.repository, tombstone.tag == named.tag && tombstone.snapshot == named.id, name: name)
                try current.verify(bytes, by: tombstone.slot, name: name) { $0.mayCollect }
                isTombstone = true
                return
            }
            let parsed = try SnapshotObject.parse(bytes, name: name)
            let object = parsed.object
            try current.require(object.repository, object.tag == named.tag && object.id == named.id, name: name)
            try current.verify(parsed.body, parsed.signature, by: object.slot, name: name) {
                $0.maySignSnapshot(of: object.tag, in: object.epoch)
            }
            var record: SnapshotRecord?
            if let keyring {
                record = try parsed.record(
                    with: keyring.openingKeys(structure: true, epoch: object.epoch), name: name)
            }
            good = CheckedSnapshot(
                key: info.key, size: info.size, object: object, digest: parsed.digest, record: record)
        }
        if isTombstone {
            collector.count { $0.tombstones += 1 }
            objects.tombstones.append(info)
        }
        guard let good else { return }
        collector.count { $0.snapshots += 1 }
        objects.snapshots.append(good)
    }

    /// Names below the known directories that stand for nothing, and directories that format 1 does not know.
    private func checkStrays() throws(HoldfastError) {
        let reserved = ["parity/", "logs/", "verify/", "runs/", "audit/"]
        for info in try list("") {
            let key = info.key
            let isKnown =
                switch key.path.prefix(while: { $0 != "/" }) {
                case "format", "epochs": ObjectNames.number(key.lastPart) != nil
                case "slots": ObjectNames.slotRevision(key) != nil
                case "grants": ObjectNames.grantName(key) != nil
                case "packs": ObjectNames.packID(key) != nil
                case "index": ObjectNames.indexRunID(key) != nil
                case "snapshots": ObjectNames.snapshotID(key) != nil
                case "leases": ObjectNames.leaseNumber(key) != nil
                case "gc": ObjectNames.collection(key) != nil
                case "holds": ULID(key.lastPart) != nil
                case "evidence": ObjectNames.evidenceNumber(key) != nil
                default: reserved.contains { key.path.hasPrefix($0) }
                }
            if !isKnown {
                collector.add(.warning, .unknownObject, key.path, "no object of this format has such a name")
            }
        }
    }
}
