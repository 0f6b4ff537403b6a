// Looking into snapshots: lists, searches, differences, and dumps.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

/// Collects what is streamed.
private final class Collected {
    var bytes: [UInt8] = []
    func add(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
}

private func write(_ bytes: [UInt8], to path: String) throws {
    let file = try #require(fopen(path, "w"))
    #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    fclose(file)
}

@Suite("Looking into snapshots")
struct LookTests {
    private func view(_ test: TestRepository, _ snapshot: Snapshot) throws -> SnapshotView {
        try SnapshotView(snapshot, tree: try test.repository.makeTree(try test.repository.loadIndex().index))
    }

    private func list(_ view: SnapshotView, _ path: String, recursive: Bool = false) throws -> [String] {
        var found: [String] = []
        try view.list(pathParts(bytes(path)), recursive: recursive, cancellation: Cancellation()) { _, error in
            Issue.record("damage: \(error)")
        } _: { parts, entry in
            #expect(entry.metadata.name == parts.last)
            found.append(printablePath(joinedPath(parts)))
        }
        return found
    }

    @Test("a list has the things of one directory, or all below it, or the thing itself")
    func lists() throws {
        let tree = SourceTree()
        #expect(shell("mkdir -p a/b && touch a/b/two a/one three", in: tree.directory.path) == 0)
        let test = try TestRepository()
        let view = try view(test, try test.backUp(tree))
        #expect(try list(view, "") == ["a", "three"])
        #expect(try list(view, "/a/") == ["a/b", "a/one"])
        #expect(try list(view, "a", recursive: true) == ["a/b", "a/b/two", "a/one"])
        #expect(try list(view, "a/one") == ["a/one"])
        let error = #expect(throws: HoldfastError.self) { try list(view, "a/none") }
        #expect(error?.code == .pathNotFound)
    }

    @Test("several roots are listed under their places")
    func severalRoots() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        var roots: [SnapshotRoot] = []
        for path in ["/a/data", "/b/data", "/etc"] {
            roots.append(
                SnapshotRoot(path: bytes(path), entry: try forge.directory("", [try forge.file("f", bytes(path))])))
        }
        let view = try view(test, try test.snapshot(try forge.commit(roots)))
        #expect(try list(view, "") == ["a", "b", "etc"])
        #expect(try list(view, "a") == ["a/data"])
        #expect(try list(view, "etc") == ["etc/f"])
        #expect(
            try list(view, "", recursive: true)
                == ["a", "a/data", "a/data/f", "b", "b/data", "b/data/f", "etc", "etc/f"])
    }

    @Test("a search tells the versions of a path and the snapshots that hold each")
    func finds() throws {
        let tree = SourceTree()
        #expect(shell("mkdir -p a/b c && echo 1 > a/b/x.sql && echo 2 > c/other", in: tree.directory.path) == 0)
        let test = try TestRepository()
        let first = try test.backUp(tree)
        test.clock.advance(by: .seconds(60))
        #expect(shell("echo 3 > c/more", in: tree.directory.path) == 0)
        let second = try test.backUp(tree)
        test.clock.advance(by: .seconds(60))
        #expect(shell("echo changed > a/b/x.sql && cp a/b/x.sql c/x.sql", in: tree.directory.path) == 0)
        let third = try test.backUp(tree)
        let index = try test.repository.loadIndex().index
        func find(_ pattern: String) throws -> [FoundPath] {
            let search = try FindSearch(
                bytes(pattern), tree: try test.repository.makeTree(index), cancellation: Cancellation())
            for snapshot in [first, second, third] { try search.search(snapshot) }
            #expect(search.damaged.isEmpty)
            return search.results
        }
        let names = try find("*.sql")
        #expect(names.map { printablePath($0.path) } == ["a/b/x.sql", "c/x.sql"])
        #expect(names[0].versions.map(\.snapshots) == [[first.id, second.id], [third.id]])
        #expect(names[0].versions.map(\.size) == [2, 8])
        #expect(names[1].versions.map(\.snapshots) == [[third.id]])
        #expect(try find("c/*.sql").map { printablePath($0.path) } == ["c/x.sql"])
        #expect(try find("/c").map { printablePath($0.path) } == ["c"])
        #expect(try find("b").first?.versions.flatMap(\.snapshots) == [first.id, second.id, third.id])
        #expect(try find("none").isEmpty)
        #expect(try find("!x").isEmpty)
    }

    @Test("a difference names what was added, removed and changed, and how")
    func differences() throws {
        let tree = SourceTree()
        let made = shell(
            """
            mkdir same gone changed && echo 1 > same/a && echo 2 > gone/b && echo 3 > changed/c && echo 4 > mode
            echo 5 > kind && ln -s one link && touch -d 2001-01-01 changed gone same mode
            """, in: tree.directory.path)
        #expect(made == 0)
        let test = try TestRepository()
        let first = try test.backUp(tree)
        test.clock.advance(by: .seconds(60))
        let changed = shell(
            """
            rm -r gone && echo 33 > changed/c && chmod 0600 mode && rm kind && mkdir kind && echo 6 > kind/new
            ln -sfn two link && touch -d 2001-01-01 changed
            """, in: tree.directory.path)
        #expect(changed == 0)
        let second = try test.backUp(tree)
        let index = try test.repository.loadIndex().index
        func diff(_ a: Snapshot, _ b: Snapshot, metadata: Bool) throws -> ([String], DiffSummary) {
            var diff = SnapshotDiff(tree: try test.repository.makeTree(index), cancellation: Cancellation())
            diff.includesMetadata = metadata
            var lines: [String] = []
            let summary = try diff.compare(a, b) { lines.append("\($0.kind.rawValue) \(printablePath($0.path))") }
            return (lines, summary)
        }
        let (lines, summary) = try diff(first, second, metadata: false)
        #expect(
            lines == [
                "content changed/c", "removed gone", "removed gone/b", "type kind", "added kind/new", "content link",
            ])
        #expect(summary.added == 1 && summary.removed == 2 && summary.content == 2 && summary.type == 1)
        #expect(summary.bytesAdded == 3 + 2 && summary.bytesRemoved == 2 + 2 + 2)
        let (all, _) = try diff(first, second, metadata: true)
        #expect(Set(all).subtracting(lines) == ["metadata ", "metadata mode"])
        #expect(try diff(first, first, metadata: true).0.isEmpty)
        let (back, _) = try diff(second, first, metadata: false)
        #expect(back.contains("added gone/b") && back.contains("removed kind/new"))
    }

    @Test("a file is dumped as it is, with holes and deltas")
    func dumpsFiles() throws {
        let tree = try variedTree(seed: 70)
        let test = try TestRepository()
        _ = try test.backUp(tree)
        // A second generation, so that the page file holds a delta.
        #expect(
            shell("printf xyz | dd of=pages.db bs=1 seek=300000 conv=notrunc 2>/dev/null", in: tree.directory.path) == 0
        )
        let snapshot = try test.backUp(tree)
        let dump = try Dump(test.repository, snapshot, index: try test.repository.loadIndex().index)
        let expected = try TreePicture(tree.directory.path)
        for path in ["large", "pages.db", "empty", "zeros", "sparse", "sub/file77"] {
            guard case .entry(_, let entry) = try dump.node(at: pathParts(bytes(path))) else { continue }
            let collected = Collected()
            let summary = try dump.file(entry) { collected.add($0) }
            #expect(collected.bytes == expected.contents[bytes(path)], "\(path)")
            #expect(summary.bytes == UInt64(collected.bytes.count))
        }
    }

    @Test("a tar of a dump, taken apart by tar, is the tree")
    func tar() throws {
        let tree = try variedTree(seed: 80)
        // Times before 1970 with a fraction are left to a restore: tars disagree on how to write them.
        #expect(shell("touch -d '1969-05-06 07:08:09' sub/file7 deep/er/est", in: tree.directory.path) == 0)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let dump = try Dump(test.repository, snapshot, index: try test.repository.loadIndex().index)
        let collected = Collected()
        _ = try dump.archive([], as: .tar) { collected.add($0) }
        let target = TemporaryDirectory()
        try write(collected.bytes, to: target.path + "/dump.tar")
        #expect(shell("mkdir out && tar --xattrs -xpf dump.tar -C out", in: target.path) == 0)
        let differences = try TreePicture(tree.directory.path).differences(try TreePicture(target.path + "/out"))
        #expect(differences == [])
    }

    @Test("a zip of a dump has the files of the tree")
    func zip() throws {
        let tree = SourceTree()
        #expect(
            shell("mkdir d && seq 1 9999 > d/a && ln d/a d/b && echo 1 > c && mkfifo p", in: tree.directory.path) == 0)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let dump = try Dump(test.repository, snapshot, index: try test.repository.loadIndex().index)
        let collected = Collected()
        let summary = try dump.archive([], as: .zip) { collected.add($0) }
        #expect(summary.leftOut == 1)
        let target = TemporaryDirectory()
        try write(collected.bytes, to: target.path + "/dump.zip")
        #expect(
            shell(
                """
                python3 -m zipfile -t dump.zip && python3 -m zipfile -e dump.zip out
                cmp out/d/a '\(tree.directory.path)/d/a' && cmp out/d/b out/d/a && test "$(cat out/c)" = 1
                """, in: target.path) == 0)
    }

    @Test("a dump ends with an error at the first damaged byte, and what came before is right")
    func damagedDump() throws {
        let tree = SourceTree()
        let content = pageFile(blocks: 30, seed: 90)
        try tree.write("pages.db", content)
        let test = try TestRepository()
        // One thread puts the blocks into the pack in their order.
        let snapshot = try test.backUp(tree, threads: 1)
        let index = try test.repository.loadIndex().index
        let pack = try #require(index.runs.flatMap(\.run.packs).first { $0.kind == .page })
        test.store.damage(ObjectNames.pack(pack.id)) { $0[512 + 40 * 65_536] ^= 1 }
        let dump = try Dump(test.repository, snapshot, index: index)
        guard case .entry(_, let entry) = try dump.node(at: [bytes("pages.db")]) else { return }
        let collected = Collected()
        let error = #expect(throws: HoldfastError.self) { try dump.file(entry) { collected.add($0) } }
        #expect(error?.code == .corruptObject)
        #expect(collected.bytes.count > 1 << 20 && collected.bytes.count < content.count)
        #expect(content.starts(with: collected.bytes))
        let archive = Collected()
        #expect(throws: HoldfastError.self) { try dump.archive([], as: .tar) { archive.add($0) } }
    }
}

@Suite("Leases of restores")
struct RestoreLeaseTests {
    @Test("a restore holds a lease that keeps its packs from a new collection, and lets go of it")
    func lease() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(100_000, seed: 1))
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let session = try RestoreSession(test.repository) { _ in snapshot }
        let plan = try session.plan()
        func renewals() throws -> [LeaseObject] {
            var keys: [ObjectKey] = []
            try test.store.list(ObjectNames.leases) { keys.append($0.key) }
            return try keys.map { try LeaseObject(test.store.get($0, limit: .mebi(1)), name: $0.path) }
                .sorted { $0.number < $1.number }
        }
        #expect(try renewals().allSatisfy { $0.purpose == .read && $0.kept.isEmpty })
        #expect(try !renewals().isEmpty)
        // A collection that condemns everything comes while the plan is made.
        let all = try test.repository.listPacks().keys.sorted()
        let object = CollectionObject(
            kind: .condemned, repository: test.repository.id, generation: 1, slot: test.repository.keyring.slot,
            made: test.clock.now(), packs: all, runs: [])
        let encoded = try object.encoded(signer: test.repository.keyring.signing)
        try test.store.putIfAbsent(ObjectNames.condemned(1), encoded.span.bytes)
        let target = TemporaryDirectory()
        let writer = try TreeWriter(target: bytes(target.path))
        let result = try session.run(plan, target: writer, threads: 1)
        #expect(result.isComplete && result.notes.isEmpty)
        let answer = try #require(try renewals().last)
        #expect(answer.honoured == 1)
        #expect(answer.kept == plan.packs.sorted() && !answer.kept.isEmpty)
        session.close()
        #expect(try renewals().isEmpty)
    }

    @Test("where the store takes no lease the restore goes on with a note")
    func readOnly() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(100_000, seed: 1))
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let repository = try test.open(on: ReadOnlyStore(test.store))
        let session = try RestoreSession(repository) { _ in snapshot }
        let target = TemporaryDirectory()
        let result = try session.run(
            try session.plan(), target: try TreeWriter(target: bytes(target.path)), threads: 1)
        session.close()
        #expect(result.isComplete && result.notes.count == 1)
    }
}

/// Refuses every put and delete.
final class ReadOnlyStore: ObjectStore {
    private let store: MemoryStore

    init(_ store: MemoryStore) { self.store = store }

    var capabilities: StoreCapabilities { store.capabilities }
    var location: String { store.location }
    private static let refusal = HoldfastError(.accessDenied, "the store is read-only")

    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) { throw Self.refusal }
    func delete(_ key: ObjectKey) throws(HoldfastError) { throw Self.refusal }
    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] { try store.get(key, limit: limit) }
    func read(_ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        try store.read(key, at: offset, into: buffer)
    }
    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try store.info(key) }
    func list(_ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try store.list(prefix, visit)
    }
    func time() throws(HoldfastError) -> Timestamp { try store.time() }
    func releaseReserve() throws(HoldfastError) {}
}
