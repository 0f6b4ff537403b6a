// Where each kind of object lives. One place makes the names and one place reads them.

import ObjectStore
import Primitives

/// Builders and readers of object names. A reader takes a name only if the builder would make it, so that one object
/// has one name: all parts are split with the empty ones kept.
package enum ObjectNames {
    package static let formats = "format/"
    package static let slots = "slots/"
    package static let grants = "grants/"
    package static let packs = "packs/"
    package static let index = "index/"
    package static let snapshots = "snapshots/"
    package static let leases = "leases/"
    package static let collections = "gc/"
    package static let holds = "holds/"
    package static let epochs = "epochs/"
    package static let evidence = "evidence/"

    package static func format(_ number: UInt32) -> ObjectKey { key("format/\(number)") }
    package static func epoch(_ number: Epoch) -> ObjectKey { key("epochs/\(number)") }
    package static func slot(_ id: SlotID, revision: UInt32) -> ObjectKey { key("slots/\(id)-\(revision)") }
    package static func grants(of slot: SlotID) -> String { "grants/\(slot)/" }
    package static func grant(_ slot: SlotID, epoch: Epoch, digest: Bytes32) -> ObjectKey {
        key("grants/\(slot)/\(epoch)-\(Hex.encode(digest.array))")
    }
    package static func pack(_ id: PackID) -> ObjectKey {
        let name = id.description
        return key("packs/\(name.prefix(2))/\(name)")
    }
    package static func indexRun(_ id: IndexRunID) -> ObjectKey { key("index/\(id)") }
    package static func snapshots(of tag: SourceTag) -> String { "snapshots/\(tag)/" }
    package static func snapshot(_ tag: SourceTag, _ id: SnapshotID) -> ObjectKey { key("snapshots/\(tag)/\(id)") }
    package static func leases(of id: LeaseID) -> String { "leases/\(id)/" }
    package static func lease(_ id: LeaseID, _ number: UInt32) -> ObjectKey { key("leases/\(id)/\(number)") }
    package static func condemned(_ generation: UInt32) -> ObjectKey { key("gc/\(generation)") }
    package static func sweep(_ generation: UInt32) -> ObjectKey { key("gc/\(generation).sweep") }
    package static func done(_ generation: UInt32) -> ObjectKey { key("gc/\(generation).done") }
    /// One of the three steps of a collection.
    package static func step(_ kind: ObjectKind, _ generation: UInt32) -> ObjectKey {
        kind == .sweep ? sweep(generation) : kind == .done ? done(generation) : condemned(generation)
    }
    package static func hold(_ id: ULID) -> ObjectKey { key("holds/\(id)") }
    package static func evidence(of slot: SlotID) -> String { "evidence/\(slot)/" }
    package static func evidence(_ slot: SlotID, _ number: UInt32) -> ObjectKey { key("evidence/\(slot)/\(number)") }

    package static func packID(_ key: ObjectKey) -> PackID? {
        let parts = key.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "packs", let id = PackID(hex: parts[2]), parts[1] == parts[2].prefix(2)
        else { return nil }
        return id
    }

    package static func indexRunID(_ key: ObjectKey) -> IndexRunID? {
        key.path.hasPrefix(index) ? IndexRunID(hex: key.path.dropFirst(index.count)) : nil
    }

    package static func snapshotID(_ key: ObjectKey) -> (tag: SourceTag, id: SnapshotID)? {
        let parts = key.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "snapshots", let tag = SourceTag(hex: parts[1]), let id = ULID(parts[2])
        else { return nil }
        return (tag, id)
    }

    package static func leaseNumber(_ key: ObjectKey) -> (id: LeaseID, number: UInt32)? {
        let parts = key.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "leases", let id = ULID(parts[1]), let number = number(parts[2])
        else { return nil }
        return (id, number)
    }

    package static func evidenceNumber(_ key: ObjectKey) -> (slot: SlotID, number: UInt32)? {
        let parts = key.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "evidence", let slot = SlotID(hex: parts[1]), let number = number(parts[2]),
            number > 0
        else { return nil }
        return (slot, number)
    }

    package static func slotRevision(_ key: ObjectKey) -> (id: SlotID, revision: UInt32)? {
        guard key.path.hasPrefix(slots) else { return nil }
        let parts = key.path.dropFirst(slots.count).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let id = SlotID(hex: parts[0]), let revision = number(parts[1]) else { return nil }
        return (id, revision)
    }

    package static func grantName(_ key: ObjectKey) -> (slot: SlotID, epoch: Epoch, digest: Bytes32)? {
        let parts = key.path.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "grants", let slot = SlotID(hex: parts[1]) else { return nil }
        let name = parts[2].split(separator: "-", omittingEmptySubsequences: false)
        guard name.count == 2, let epoch = number(name[0]), let digest = Hex.decode(name[1]), digest.count == 32
        else { return nil }
        return (slot, epoch, Bytes32(digest.span.bytes))
    }

    /// What a name below `gc/` stands for.
    package static func collection(_ key: ObjectKey) -> (generation: UInt32, kind: ObjectKind)? {
        guard key.path.hasPrefix(collections) else { return nil }
        let parts = key.path.dropFirst(collections.count).split(separator: ".", omittingEmptySubsequences: false)
        guard let first = parts.first, let generation = number(first) else { return nil }
        switch parts.dropFirst() {
        case []: return (generation, .condemned)
        case ["sweep"]: return (generation, .sweep)
        case ["done"]: return (generation, .done)
        default: return nil
        }
    }

    /// A number as names have it: digits alone and no zero before them, so that one object has one name.
    package static func number(_ text: some StringProtocol) -> UInt32? {
        guard let number = UInt32(text), text == "\(number)" else { return nil }
        return number
    }

    /// Names are made from digits, hexadecimal and base 32, so that a refusal is a programmer's error.
    private static func key(_ path: String) -> ObjectKey {
        guard let key = ObjectKey(path) else { preconditionFailure("\(path) is no object name") }
        return key
    }
}
