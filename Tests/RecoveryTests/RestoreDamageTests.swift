// Damage in the store, filters, several roots, and keys without the right.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

@Suite("Damaged restores")
struct RestoreDamageTests {
    @Test("a flipped bit costs the bytes of its chunks and nothing else", arguments: [1, 2, 3] as [UInt64])
    func flippedBit(seed: UInt64) throws {
        let tree = try variedTree(seed: 40)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let index = try test.repository.loadIndex()
        let entropy = SeededEntropy(seed: seed)
        let packs = index.index.runs.flatMap(\.run.packs).filter { $0.kind == .data || $0.kind == .page }
        let pack = try #require(packs.randomElement(using: entropy))
        // Within the body: one segment does not open any more.
        let place = 600 + Int(entropy.next() % UInt64(pack.length / 2))
        test.store.damage(ObjectNames.pack(pack.id)) { $0[place] ^= 4 }
        let target = TemporaryDirectory()
        let result = try restore(test.repository, snapshot, to: target.path)
        #expect(!result.isComplete && result.damagedCount > 0, "seed \(seed)")
        let expected = try TreePicture(tree.directory.path)
        var found = try TreePicture(target.path)
        for damaged in result.damaged {
            #expect(damaged.parts.allSatisfy { $0.pack == pack.id }, "seed \(seed)")
            // Within the named ranges the file reads as zeros, outside of them it is right.
            var content = try #require(expected.contents[damaged.path])
            for part in damaged.parts {
                let range = Int(part.range.lowerBound)..<Int(part.range.upperBound)
                content.replaceSubrange(range, with: repeatElement(0, count: range.count))
            }
            #expect(found.contents[damaged.path] == content, "seed \(seed), \(printablePath(damaged.path))")
            found.contents[damaged.path] = expected.contents[damaged.path]
        }
        // Further names of a damaged file hold what it holds.
        let names = result.damaged.flatMap { expected.links[$0.path] ?? [] }
        for name in names { found.contents[name] = expected.contents[name] }
        #expect(expected.differences(found) == [], "seed \(seed)")
    }

    @Test("a pack that is gone is named with every file that needs it")
    func missingPack() throws {
        let tree = SourceTree()
        try tree.write("pages.db", pageFile(blocks: 10, seed: 50))
        try tree.write("other", randomBytes(100_000, seed: 51))
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let index = try test.repository.loadIndex().index
        let pack = try #require(index.runs.flatMap(\.run.packs).first { $0.kind == .page })
        let plan = try RestorePlan.make(test.repository, snapshot: snapshot, index: index)
        try test.store.delete(ObjectNames.pack(pack.id))
        for reloaded in [false, true] {
            let target = TemporaryDirectory()
            let writer = try TreeWriter(target: bytes(target.path), options: Restorer.writerOptions())
            let used = reloaded ? try test.repository.loadIndex().index : index
            let result = try Restorer(test.repository, index: used).run(
                plan, target: writer, threads: 2, cancellation: Cancellation())
            #expect(result.damaged.map { printablePath($0.path) } == ["pages.db"])
            #expect(result.damaged.first?.parts.count == 10)
            #expect(result.damaged.first?.error.code == .objectMissing)
            #expect(result.files == 2)
            #expect(try TreePicture(target.path).contents[bytes("other")] == randomBytes(100_000, seed: 51))
        }
    }

    @Test("a damaged list of a directory is named, and the directories beside it come back")
    func missingStructure() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let bad = EntryMetadata(name: bytes("bad"), kind: .directory)
        let id = try forge.commit([
            Entry(bad, tree: NodeReference(id: ChunkID(Bytes32(w0: 1)), level: 0)),
            try forge.directory("good", [try forge.file("f", bytes("content"))]),
        ])
        let target = TemporaryDirectory()
        let result = try restore(test.repository, try test.snapshot(id), to: target.path)
        #expect(result.damaged.map { printablePath($0.path) } == ["bad"])
        #expect(shell("test $(cat good/f) = content && test -d bad", in: target.path) == 0)
    }

    @Test("in a file that was there, a damaged piece becomes a hole and not a mixture of old and new")
    func noMixture() throws {
        let tree = SourceTree()
        let content = pageFile(blocks: 4, seed: 60)
        try tree.write("pages.db", content)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let index = try test.repository.loadIndex().index
        let pack = try #require(index.runs.flatMap(\.run.packs).first { $0.kind == .page })
        test.store.damage(ObjectNames.pack(pack.id)) { $0[600 + 65_536 * 3] ^= 1 }
        let target = TemporaryDirectory()
        #expect(shell("head -c \(4 << 20) /dev/zero | tr '\\0' x > pages.db", in: target.path) == 0)
        let result = try restore(test.repository, snapshot, to: target.path)
        let range = try #require(result.damaged.first?.parts.first?.range)
        var expected = content
        for place in Int(range.lowerBound)..<Int(range.upperBound) { expected[place] = 0 }
        for part in result.damaged[0].parts {
            for place in Int(part.range.lowerBound)..<Int(part.range.upperBound) { expected[place] = 0 }
        }
        #expect(try TreePicture(target.path).contents[bytes("pages.db")] == expected)
    }

    @Test("a writer key is refused before anything is made")
    func writer() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(1000, seed: 1))
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let id = try backUp(writer, tree).snapshot
        let snapshot = try #require(try writer.snapshots().snapshots.first { $0.id == id })
        let target = TemporaryDirectory()
        let error = #expect(throws: HoldfastError.self) {
            try RestorePlan.make(writer, snapshot: snapshot, index: try writer.loadIndex().index)
        }
        #expect(error?.code == .notPermitted && error?.code.exitStatus == 12)
        let maintainer = try test.adding(.maintainer, password: "maintainer")
        #expect(throws: HoldfastError.self) { try maintainer.keyring.requireReadingData() }
        let own = try test.adding(.writer, rights: .readback, password: "readback")
        let second = try backUp(own, tree).snapshot
        let mine = try #require(try own.snapshots().snapshots.first { $0.id == second })
        // There is a copy of the other writer's as well, who did not let it be read back.
        #expect(try restore(own, mine, to: target.path).isComplete)
        let theirs = try #require(try own.snapshots().snapshots.first { $0.id == id })
        #expect(throws: HoldfastError.self) { try restore(own, theirs, to: target.path) }
    }
}

extension Array {
    fileprivate func randomElement(using entropy: SeededEntropy) -> Element? {
        isEmpty ? nil : self[Int(entropy.next() % UInt64(count))]
    }
}

@Suite("Parts of snapshots")
struct RestoreSelectionTests {
    static let cases: [(include: [String], exclude: [String], expected: [String])] = [
        ([], [], ["a/b/one", "a/b/two", "a/three", "c/four", "five"]),
        (["a"], [], ["a/b/one", "a/b/two", "a/three"]),
        (["one"], [], ["a/b/one"]),
        (["/a/b"], [], ["a/b/one", "a/b/two"]),
        (["a"], ["b"], ["a/three"]),
        ([], ["t*"], ["a/b/one", "c/four", "five"]),
        (["nothing"], [], []),
        (["f*"], ["/five"], ["c/four"]),
    ]

    @Test("filters take what they name", arguments: cases.indices)
    func filters(number: Int) throws {
        let (include, exclude, expected) = Self.cases[number]
        let tree = SourceTree()
        let made = shell(
            """
            mkdir -p a/b c && chmod 0711 a a/b
            for f in a/b/one a/b/two a/three c/four five; do echo $f > $f; done
            touch -d 2001-02-03 a
            """, in: tree.directory.path)
        #expect(made == 0)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let target = TemporaryDirectory()
        let filter = try PathFilter(include: include.map { bytes($0) }, exclude: exclude.map { bytes($0) })
        let result = try restore(test.repository, snapshot, to: target.path, filter: filter)
        #expect(result.isComplete)
        let picture = try TreePicture(target.path)
        #expect(Set(picture.contents.keys.map { printablePath($0) }) == Set(expected))
        if expected.contains("a/b/one") {
            // Directories on the way have their metadata too.
            let source = try TreePicture(tree.directory.path)
            #expect(picture.entries[bytes("a")] == source.entries[bytes("a")])
        } else if expected.isEmpty {
            #expect(picture.entries.count == 1)
        }
    }

    @Test("each of several roots stands under its own name, and under its path when names clash")
    func roots() throws {
        let test = try TestRepository()
        func layout(_ paths: [String]) throws -> [String] {
            let forge = try SnapshotForge(test.repository)
            var roots: [SnapshotRoot] = []
            for path in paths {
                let entry = try forge.directory("", [try forge.file("f", bytes(path))])
                roots.append(SnapshotRoot(path: bytes(path), entry: entry))
            }
            // One source's snapshots have different names, so each gets a repository of its own.
            let target = TemporaryDirectory()
            let result = try restore(test.repository, try test.snapshot(try forge.commit(roots)), to: target.path)
            #expect(result.isComplete)
            return try TreePicture(target.path).contents.map { path, content in
                "\(printablePath(path))=\(printablePath(content))"
            }.sorted()
        }
        #expect(try layout(["/srv/data"]) == ["f=/srv/data"])
        #expect(try layout(["/srv/data", "/etc"]) == ["data/f=/srv/data", "etc/f=/etc"])
        #expect(
            try layout(["/a/data", "/b/data", "/etc"])
                == ["a/data/f=/a/data", "b/data/f=/b/data", "etc/f=/etc"])
        #expect(try layout(["/x", "/y/x", "/z/x/q"]) == ["q/f=/z/x/q", "x/f=/x", "y/x/f=/y/x"])
    }

    @Test("a stream becomes a file of its name")
    func stream() throws {
        let test = try TestRepository()
        var options = BackupOptions(source: "s", host: "h", toolVersion: "t")
        options.threads = 2
        let summary = try Backup(test.repository, options: options).run([
            .stream(name: "dump.sql", .command(["sh", "-c", "seq 1 200000"]))
        ])
        let target = TemporaryDirectory()
        let result = try restore(test.repository, try test.snapshot(summary.snapshot), to: target.path)
        #expect(result.isComplete)
        #expect(shell("seq 1 200000 | cmp - dump.sql", in: target.path) == 0)
    }
}
