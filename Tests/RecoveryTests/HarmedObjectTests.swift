// Every object in every kind of harm: it is named, and all that does not rest on it still restores.

import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

/// A way in which an object goes bad.
enum ObjectHarm: String, CaseIterable, Sendable {
    case flipped, truncated, missing, empty, foreign
}

/// A repository whose objects belong to one of two sources, or to one of two admins, or to all.
private struct Harmed {
    let test: TestRepository
    /// What was put for the first source alone, and for the second.
    let first, second: Set<ObjectKey>
    /// What was put for the second key alone.
    let keys: Set<ObjectKey>
    let pictures: [String: TreePicture]
    private let trees: [SourceTree]

    init(seed: UInt64) throws {
        test = try TestRepository()
        let founding = try Self.all(test.store)
        _ = try test.adding(.admin, password: "second")
        keys = try Self.all(test.store).subtracting(founding)
        let trees = [SourceTree(), SourceTree()]
        self.trees = trees
        var pictures: [String: TreePicture] = [:]
        var own: [Set<ObjectKey>] = []
        for (number, source) in ["a", "b"].enumerated() {
            let seed = seed &+ UInt64(number) * 100
            try trees[number].write("text", randomBytes(200_000, seed: seed))
            try trees[number].write("pages.db", pageFile(blocks: 3, seed: seed &+ 1))
            trees[number].makeDirectory("sub")
            try trees[number].write("sub/other", randomBytes(5000, seed: seed &+ 2))
            pictures[source] = try TreePicture(trees[number].directory.path)
            let before = try Self.all(test.store)
            _ = try backUp(test.repository, trees[number]) { $0.source = source }
            own.append(try Self.all(test.store).subtracting(before))
        }
        // The first source's pages changed a little, so that there are deltas.
        let before = try Self.all(test.store)
        var pages = pageFile(blocks: 3, seed: seed &+ 1)
        for place in [5000, 200_000] { pages[place] ^= 1 }
        try trees[0].write("pages.db", pages)
        pictures["a before"] = pictures["a"]
        pictures["a"] = try TreePicture(trees[0].directory.path)
        let changed = try backUp(test.repository, trees[0]) { $0.source = "a" }
        #expect(changed.record.counts.deltas > 0)
        own[0].formUnion(try Self.all(test.store).subtracting(before))
        (first, second) = (own[0], own[1])
        self.pictures = pictures
        try putUpkeep(seed: seed)
    }

    /// What collections, forgets and open work leave: a generation in each of its states, a hold, a tombstone, a lease.
    private func putUpkeep(seed: UInt64) throws {
        let repository = test.repository
        let keyring = repository.keyring
        func put(_ kind: ObjectKind, _ generation: UInt32) throws {
            let gone = randomBytes(32, seed: seed &+ UInt64(generation))
            let object = CollectionObject(
                kind: kind, repository: repository.id, generation: generation, slot: keyring.slot,
                made: test.clock.now(), packs: kind == .done ? [] : [PackID(Bytes32(gone.span.bytes))], runs: [])
            let bytes = try object.encoded(signer: keyring.signing)
            try test.store.putIfAbsent(ObjectNames.step(kind, generation), bytes.span.bytes)
        }
        for kind in [ObjectKind.condemned, .sweep, .done] { try put(kind, 1) }
        for kind in [ObjectKind.condemned, .sweep] { try put(kind, 2) }
        try put(.condemned, 3)
        let held = try #require(try repository.snapshots().snapshots.first)
        try repository.hold(held, reason: "kept for the test")
        let fenced = try ULID(at: test.clock.now(), entropy: repository.entropy)
        try repository.bury(fenced, of: held.tag, generation: 1)
        // Of a writer that was killed: it is there, and nobody closes it.
        _ = try LeaseKeeper(repository, purpose: .write, tag: held.tag)
    }

    static func all(_ store: MemoryStore) throws -> Set<ObjectKey> {
        var found: Set<ObjectKey> = []
        try store.list("") { (info) throws(HoldfastError) in found.insert(info.key) }
        return found
    }

    /// A copy of the store with `key` harmed; the foreign object comes from `other`.
    func store(harming key: ObjectKey, _ harm: ObjectHarm, other: Harmed) throws -> MemoryStore {
        let copy = MemoryStore(clock: test.clock)
        for key in try Self.all(test.store) {
            let bytes = try test.store.get(key, limit: .mebi(64))
            try copy.putIfAbsent(key, bytes.span.bytes)
        }
        let middle = Int(try #require(try copy.info(key)).size) / 2
        switch harm {
        case .flipped: copy.damage(key) { $0[middle] ^= 4 }
        case .truncated: copy.damage(key) { $0.removeLast(7) }
        case .missing: try copy.delete(key)
        case .empty: copy.damage(key) { $0 = [] }
        case .foreign:
            let folder = key.path.prefix { $0 != "/" } + "/"
            let foreign = try #require(try Self.all(other.test.store).sorted().first { $0.path.hasPrefix(folder) })
            let bytes = try other.test.store.get(foreign, limit: .mebi(64))
            copy.damage(key) { $0 = bytes }
        }
        return copy
    }
}

@Suite("A harmed object")
struct HarmedObjectTests {
    @Test("is named, whatever it is, and what does not rest on it restores", arguments: ObjectHarm.allCases)
    func everyObject(harm: ObjectHarm) throws {
        let harmed = try Harmed(seed: 900)
        let other = try Harmed(seed: 950)
        var seen: Set<String> = []
        defer { #expect(seen.isSuperset(of: ["packs", "index", "gc", "gc.sweep", "leases", "holds", "snapshots"])) }
        for key in try Harmed.all(harmed.test.store).sorted() {
            let store = try harmed.store(harming: key, harm, other: other)
            let note = "\(harm) \(key)"
            var opened: Repository?
            var refusals: [HoldfastError] = []
            for password in [TestRepository.password, "second"] {
                do throws(HoldfastError) {
                    opened = try harmed.test.open(password, on: store)
                } catch {
                    refusals.append(error)
                }
            }
            guard let repository = opened else {
                // Nothing opens without what all keys rest on; that is said by its name.
                #expect(key.path.hasPrefix("format/") || key.path.hasPrefix("epochs/"), "\(note): \(refusals)")
                if harm != .missing {
                    #expect(refusals.allSatisfy { $0.message.contains(key.path) }, "\(note): \(refusals)")
                }
                continue
            }
            seen.insert(String(key.path.prefix { $0 != "/" }) + (key.lastPart.hasSuffix("sweep") ? ".sweep" : ""))
            #expect(refusals.isEmpty || !harmed.first.contains(key), "\(note): \(refusals)")
            try expectNamed(key, harm, by: repository, note)
            // Three snapshots and a tombstone rest on the grant of the key that signed them.
            let isSigners = key.path.hasPrefix("grants/") && !harmed.keys.contains(key)
            if isSigners { #expect(try repository.snapshots().damaged.count == 4, "\(note)") }
            for source in ["a", "b"] {
                let isOwn = source == "a" ? harmed.first.contains(key) : harmed.second.contains(key)
                try expectRestored(
                    source, repository, harmed.pictures, mayBeHurt: isOwn || isSigners, note)
            }
        }
    }

    /// What is missing is named as far as something points to it. A snapshot that is gone looks forgotten, a hold
    /// released and a lease closed; a client that has seen a snapshot or a step of a collection tells.
    private func expectNamed(
        _ key: ObjectKey, _ harm: ObjectHarm, by repository: Repository, _ note: String
    ) throws {
        let unnamed = ["snapshots/", "gc/", "leases/", "holds/"]
        if harm == .missing, unnamed.contains(where: { key.path.hasPrefix($0) }) { return }
        var options = CheckOptions()
        options.data = .all
        let errors = try repository.check(options).findings(.error)
        let isNamed = errors.contains { harm == .missing ? key.path.hasPrefix($0.object) : $0.object == key.path }
        #expect(isNamed, "\(note): \(errors.map { "\($0.object): \($0.message)" })")
    }

    /// Restores the newest snapshot of `source`, and compares all but what the restore itself names.
    private func expectRestored(
        _ source: String, _ repository: Repository, _ pictures: [String: TreePicture], mayBeHurt: Bool,
        _ note: String
    ) throws {
        var expected = try #require(pictures[source])
        let target = TemporaryDirectory()
        let result: RestoreResult
        do {
            let listed = try repository.snapshots()
            let snapshot = listed.snapshots.last { $0.record?.source == source }
            guard let snapshot else {
                #expect(mayBeHurt, "\(note): the snapshot of \(source) is not listed")
                return
            }
            // The newest may be the harmed object itself; then the one before it is there.
            if source == "a", snapshot.sequence == 1 {
                #expect(mayBeHurt, "\(note): the newest snapshot of \(source) is not listed")
                expected = try #require(pictures["a before"])
            }
            // As the verb does it, with a lease.
            let session = try RestoreSession(repository) { (_) throws(HoldfastError) in snapshot }
            defer { session.close() }
            let writer = try TreeWriter(target: bytes(target.path), options: Restorer.writerOptions())
            result = try session.run(try session.plan(), target: writer, threads: 2)
        } catch {
            #expect(mayBeHurt, "\(note): \(source) does not restore: \(error)")
            return
        }
        let hurt = result.damaged.map { printablePath($0.path) }
        #expect(mayBeHurt || result.isComplete, "\(note): \(source): \(hurt)")
        var found = try TreePicture(target.path)
        var whole = expected
        for damaged in result.damaged {
            let below = damaged.path.isEmpty ? [] : damaged.path + [UInt8(ascii: "/")]
            for path in expected.entries.keys where path == damaged.path || path.starts(with: below) {
                found.entries[path] = nil
                found.contents[path] = nil
                whole.entries[path] = nil
                whole.contents[path] = nil
            }
        }
        #expect(whole.differences(found) == [], "\(note): \(source)")
    }
}
