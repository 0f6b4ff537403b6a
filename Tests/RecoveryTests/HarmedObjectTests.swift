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
        (first, second) = (own[0], own[1])
        self.pictures = pictures
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
            #expect(refusals.isEmpty || !harmed.first.contains(key), "\(note): \(refusals)")
            try expectNamed(key, harm, by: repository, note)
            // Snapshots rest on the grant of the key that signed them.
            let isSigners = key.path.hasPrefix("grants/") && !harmed.keys.contains(key)
            if isSigners { #expect(try repository.snapshots().damaged.count == 2, "\(note)") }
            for source in ["a", "b"] {
                let isOwn = source == "a" ? harmed.first.contains(key) : harmed.second.contains(key)
                try expectRestored(
                    source, repository, try #require(harmed.pictures[source]), mayBeHurt: isOwn || isSigners, note)
            }
        }
    }

    /// What is missing is named as far as something points to it; a snapshot that is gone looks forgotten.
    private func expectNamed(
        _ key: ObjectKey, _ harm: ObjectHarm, by repository: Repository, _ note: String
    ) throws {
        if harm == .missing, key.path.hasPrefix("snapshots/") { return }
        var options = CheckOptions()
        options.data = .all
        let errors = try repository.check(options).findings(.error)
        let isNamed = errors.contains { harm == .missing ? key.path.hasPrefix($0.object) : $0.object == key.path }
        #expect(isNamed, "\(note): \(errors.map { "\($0.object): \($0.message)" })")
    }

    /// Restores the newest snapshot of `source`, and compares all but what the restore itself names.
    private func expectRestored(
        _ source: String, _ repository: Repository, _ expected: TreePicture, mayBeHurt: Bool, _ note: String
    ) throws {
        let target = TemporaryDirectory()
        let result: RestoreResult
        do {
            let listed = try repository.snapshots()
            let snapshot = listed.snapshots.first { $0.record?.source == source }
            guard let snapshot else {
                #expect(mayBeHurt, "\(note): the snapshot of \(source) is not listed")
                return
            }
            result = try restore(repository, snapshot, to: target.path)
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
