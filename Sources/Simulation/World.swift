// The simulated world: objects, the store's clock, and what its actors know to be true.

import ObjectStore
import Primitives
import Repository

/// The state that all actors of a history share.
///
/// Thread: touched by whoever holds the scheduler's baton, and by no one else.
package final class World: @unchecked Sendable {
    // Sendable: one thread runs at a time, and the baton is handed over under a lock.
    struct Object {
        var bytes: [UInt8]
        var modified: Timestamp
        var listedFrom: Timestamp
    }

    struct Ghost {
        var info: ObjectInfo
        var until: Timestamp
    }

    var traits: StoreTraits
    var dice: SimulatedRandom
    var now = Timestamp(seconds: 1_767_225_600)
    let start = Timestamp(seconds: 1_767_225_600)
    /// Below the first part of their names.
    var objects: [Substring: [ObjectKey: Object]]
    private var ghosts: [ObjectKey: Ghost] = [:]
    private var lateDeletes: [(at: Timestamp, key: ObjectKey)] = []
    /// Told of every put, for those who wait for one.
    var onPut: (ObjectKey) -> Void = { _ in }
    var truth = Truth()
    /// A digest of every call, so that two runs can be compared.
    private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    private(set) var calls = 0
    /// What happened, one line for each call, when someone wants to read it.
    var log: [String]?

    init(_ objects: [Substring: [ObjectKey: Object]], traits: StoreTraits, random: SimulatedRandom) {
        self.objects = objects
        self.traits = traits
        dice = random
    }

    var uptime: Duration { now.since(start) }

    func note(_ actor: String, _ call: String, _ name: String) {
        calls += 1
        for text in [actor, call, name] {
            for byte in text.utf8 { digest = (digest ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        log?.append("\(calls) \(now) \(actor) \(call) \(name)")
    }

    func tell(_ text: String) { log?.append("      \(now) \(text)") }

    /// Moves the store's clock; deletes that were under way take effect.
    func advance(to instant: Timestamp) {
        now = max(now, instant)
        while let place = lateDeletes.firstIndex(where: { $0.at <= now }) {
            remove(lateDeletes.remove(at: place).key)
        }
    }

    func advance(by duration: Duration) { advance(to: now + duration) }

    // MARK: - Objects

    private static func folder(_ path: String) -> Substring { path.prefix { $0 != "/" } }

    func object(_ key: ObjectKey) -> Object? { objects[Self.folder(key.path)]?[key] }

    func put(_ key: ObjectKey, _ bytes: [UInt8]) {
        let lag = traits.listingLag == .zero ? .zero : dice.duration(upTo: traits.listingLag)
        objects[Self.folder(key.path), default: [:]][key] = Object(
            bytes: bytes, modified: now, listedFrom: now + lag)
        ghosts[key] = nil
        onPut(key)
    }

    func delete(_ key: ObjectKey) throws(HoldfastError) {
        guard let object = object(key) else { return }
        let isLocked = key.path.hasPrefix("packs/") || key.path.hasPrefix("index/")
        if isLocked, now.since(object.modified) < traits.lock {
            truth.count("refused deletes")
            throw HoldfastError(.accessDenied, "\(key) is locked", hint: "Wait until the lock ends.")
        }
        if traits.deleteDelay > .zero {
            truth.count("late deletes")
            lateDeletes.append((now + dice.duration(upTo: traits.deleteDelay), key))
        } else {
            remove(key)
        }
    }

    private func remove(_ key: ObjectKey) {
        guard let object = objects[Self.folder(key.path)]?.removeValue(forKey: key) else { return }
        if traits.listingLag > .zero {
            let info = ObjectInfo(key: key, size: UInt64(object.bytes.count), modified: object.modified)
            ghosts[key] = Ghost(info: info, until: now + dice.duration(upTo: traits.listingLag))
        }
    }

    /// What a listing shows now, in order of names.
    func list(_ prefix: String) -> [ObjectInfo] {
        var found: [ObjectInfo] = []
        for (key, object) in objects[Self.folder(prefix)] ?? [:]
        where key.path.utf8.starts(with: prefix.utf8) {
            if object.listedFrom > now {
                truth.count("hidden names")
                continue
            }
            found.append(ObjectInfo(key: key, size: UInt64(object.bytes.count), modified: object.modified))
        }
        for ghost in ghosts.values where ghost.until > now && ghost.info.key.path.hasPrefix(prefix) {
            truth.count("ghosts")
            found.append(ghost.info)
        }
        return found.sorted { $0.key < $1.key }
    }

    /// Somebody else takes a pack away, or a byte of it rots.
    func harm() {
        guard let key = dice.pick((objects["packs"] ?? [:]).keys.sorted()), let object = object(key) else { return }
        if truth.harmed[key] == nil { truth.harmed[key] = object.bytes }
        if dice.chance(5000) {
            truth.count("lost packs")
            truth.lastLoss = now
            tell("\(key) is lost")
            remove(key)
        } else {
            truth.count("rotten packs")
            truth.hasRot = true
            let place = dice.below(object.bytes.count)
            tell("byte \(place) of \(key) rots")
            objects["packs"]?[key]?.bytes[place] ^= UInt8(1 << dice.below(8))
        }
    }

    /// What was lost and what is rotten is put back from elsewhere, as an operator would do.
    func heal() {
        for (key, bytes) in truth.harmed.sorted(by: { $0.key < $1.key }) {
            let modified = object(key)?.modified ?? now
            objects["packs", default: [:]][key] = Object(bytes: bytes, modified: modified, listedFrom: modified)
        }
    }

    /// Ends every oddity: the rest of a history is judged on a store that does what it says.
    func calmDown() {
        traits = StoreTraits()
        traits.splitsListings = false
        advance(by: .seconds(4 * 86_400))
        ghosts = [:]
    }
}

/// What really happened, whatever the store says.
struct Truth {
    /// Files of every snapshot that a writer was about to commit.
    var files: [SnapshotID: [String: [UInt8]]] = [:]
    /// Commits that returned.
    var committed: Set<SnapshotID> = []
    /// Snapshots that a forget was about to delete.
    var forgotten: Set<SnapshotID> = []
    /// When the session of a snapshot was about to be opened.
    var opened: [SnapshotID: Timestamp] = [:]
    /// When a hold of a snapshot was there for sure.
    var held: [SnapshotID: Timestamp] = [:]
    /// Packs that were lost or are rotten, as they were.
    var harmed: [ObjectKey: [UInt8]] = [:]
    var lastLoss: Timestamp?
    var hasRot = false
    /// When someone last swept without the grace for readers.
    var exclusivePrunes: [Timestamp] = []
    /// When the collector that put a generation had listed the snapshots, for a mutation.
    var firstMarks: [String: Timestamp] = [:]
    /// How far a staged history has come.
    var cues: Set<Cue> = []
    var violations: [String] = []
    /// How often a writer pauses, in ten thousand chances.
    var patience = 3000
    /// How many different blocks the sources hold.
    var variety = 3
    /// How often what happened.
    var counts: [String: Int] = [:]

    mutating func count(_ what: String) { counts[what, default: 0] += 1 }
}
