// Snapshots that try to write outside of the target, and delta chains made by hand.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

@Suite("Hostile snapshots")
struct HostileRestoreTests {
    private struct Place {
        let directory = TemporaryDirectory()
        var out: String { directory.path + "/out" }
        /// What must stay as it is.
        var outside: String { directory.path + "/outside" }

        init() {
            #expect(shell("mkdir outside && echo keep > outside/file", in: directory.path) == 0)
        }

        func check() {
            #expect(
                shell("test \"$(ls outside)\" = file && test \"$(cat outside/file)\" = keep", in: directory.path) == 0)
            #expect(shell("test \"$(ls | tr '\\n' ' ')\" = 'out outside '", in: directory.path) == 0)
            #expect(shell("test ! -e /tmp/holdfast-escape", in: directory.path) == 0)
        }
    }

    @Test(
        "a name that leads out of the target is refused, and the rest is restored",
        arguments: ["..", ".", "a/b", "/tmp/holdfast-escape", "../outside/file", "nul\0name"])
    func names(name: String) throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let good = try forge.file("zgood", bytes("good"))
        let id = try forge.commit([try forge.file(name, bytes("bad")), good])
        let place = Place()
        let result = try restore(test.repository, try test.snapshot(id), to: place.out)
        #expect(result.failures.map(\.error.code) == [.unsafePath])
        #expect(shell("test \"$(ls -A)\" = zgood", in: place.out) == 0)
        place.check()
    }

    @Test("a directory of an unsafe name is refused with all below it")
    func directories() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let bad = try forge.directory("..", [try forge.file("escape", bytes("bad"))])
        let id = try forge.commit([bad, try forge.file("good", bytes("good"))])
        let place = Place()
        let result = try restore(test.repository, try test.snapshot(id), to: place.out)
        #expect(result.failureCount == 1)
        #expect(result.files == 1)
        place.check()
    }

    @Test("a link in the way of a directory is replaced, not followed")
    func links() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        // Two roots of one place: the first puts a link where the second puts a directory.
        let place = Place()
        let link = forge.link("", to: place.outside)
        let tree = try forge.directory("", [try forge.file("file", bytes("bad"))])
        let id = try forge.commit([
            SnapshotRoot(path: bytes("/a/x"), entry: link), SnapshotRoot(path: bytes("/a/x"), entry: tree),
        ])
        let result = try restore(test.repository, try test.snapshot(id), to: place.out)
        #expect(result.isComplete || result.failures.allSatisfy { $0.error.code == .unsafePath })
        place.check()
    }

    @Test("a link that stands in the target is not followed either")
    func existingLinks() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let tree = try forge.directory("d", [try forge.file("file", bytes("bad"))])
        let id = try forge.commit([tree])
        let place = Place()
        #expect(shell("mkdir out && ln -s ../outside out/d", in: place.directory.path) == 0)
        let result = try restore(test.repository, try test.snapshot(id), to: place.out)
        #expect(result.isComplete || result.failures.allSatisfy { $0.error.code == .unsafePath })
        place.check()
    }

    @Test("files that claim the inode of another thing are not linked to it")
    func hardLinks() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let place = Place()
        func same(_ metadata: inout EntryMetadata) {
            metadata.inode = 7
            metadata.device = 7
            metadata.links = 9
        }
        let id = try forge.commit([
            forge.link("a", to: place.outside + "/file", same), try forge.file("b", bytes("one"), same),
            try forge.file("c", bytes("two"), same), try forge.file("d", bytes("two"), same),
        ])
        let result = try restore(test.repository, try test.snapshot(id), to: place.out)
        #expect(result.isComplete)
        #expect(shell("test -L a && test $(cat b) = one && test $(cat c) = two && test c -ef d", in: place.out) == 0)
        place.check()
    }

    @Test("pieces that do not add up, or of another length than their chunk, are damage and not a crash")
    func lengths() throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        let chunk = try forge.put(bytes("0123456789"), .data)
        func file(_ name: String, size: UInt64, _ pieces: [ContentPiece]) throws -> Entry {
            let node = ContentNode(level: 0, pieces: pieces)
            let id = try forge.put(node.encoded(blockSize: 0), .meta)
            var metadata = EntryMetadata(name: bytes(name), kind: .file)
            metadata.size = size
            return Entry(
                metadata,
                content: Content(
                    rule: .content, blockShift: 0, size: size,
                    location: .tree(NodeReference(id: id, level: 0))))
        }
        let id = try forge.commit([
            try file("long", size: 15, [ContentPiece(id: chunk, length: 10), ContentPiece(id: chunk, length: 10)]),
            try file("short", size: 15, [ContentPiece(id: chunk, length: 10)]),
            try file("wrong", size: 9, [ContentPiece(id: chunk, length: 9)]),
            try file("huge", size: .max, [ContentPiece(id: .zeros, length: .max)]),
            try forge.file("good", bytes("good")),
        ])
        let target = TemporaryDirectory()
        let result = try restore(test.repository, try test.snapshot(id), to: target.path)
        #expect(result.damaged.map { printablePath($0.path) } == ["long", "short", "wrong"])
        #expect(result.damaged.map { $0.parts.map(\.range) } == [[10..<15], [10..<15], [0..<9]])
        #expect(result.failures.map { printablePath($0.path) } == ["huge"])
        #expect(shell("test $(cat good) = good && test $(head -c 10 long) = 0123456789", in: target.path) == 0)
    }
}

@Suite("Delta chains")
struct DeltaChainRestoreTests {
    @Test("deltas of every depth are restored, also when only the deepest is wanted", arguments: [1, 3])
    func chains(threads: Int) throws {
        let test = try TestRepository()
        let forge = try SnapshotForge(test.repository)
        var versions: [[[UInt8]]] = []
        var ids: [[ChunkID]] = []
        // 40 blocks, each in nine versions.
        for block in 0..<40 {
            var bytes = randomBytes(1 << 17, seed: UInt64(block))
            var blockVersions = [bytes]
            var blockIDs = [try forge.put(bytes, .page)]
            for depth in 1...8 {
                let before = bytes
                bytes.replaceSubrange(
                    depth * 1000..<depth * 1000 + 16, with: randomBytes(16, seed: UInt64(block * 100 + depth)))
                blockIDs.append(try forge.putDelta(bytes, base: before, depth: UInt8(depth)))
                blockVersions.append(bytes)
            }
            versions.append(blockVersions)
            ids.append(blockIDs)
        }
        var entries: [Entry] = []
        for depth in 0...8 {
            var metadata = EntryMetadata(name: bytes("v\(depth)"), kind: .file)
            metadata.size = 40 << 17
            let pieces = ids.map { ContentPiece(id: $0[depth], length: 1 << 17) }
            let leaf = try forge.put(ContentNode(level: 0, pieces: pieces).encoded(blockSize: 1 << 17), .meta)
            entries.append(
                Entry(
                    metadata,
                    content: Content(
                        rule: .pages, blockShift: 17, size: 40 << 17,
                        location: .tree(NodeReference(id: leaf, level: 0)))))
        }
        let snapshot = try test.snapshot(try forge.commit(entries))
        for filter in [PathFilter(), try PathFilter(include: [bytes("v8")], exclude: [])] {
            let target = TemporaryDirectory()
            let result = try restore(
                test.repository, snapshot, to: target.path, filter: filter, threads: threads)
            #expect(result.isComplete)
            let picture = try TreePicture(target.path)
            for depth in 0...8 where filter.isEmpty || depth == 8 {
                #expect(picture.contents[bytes("v\(depth)")] == versions.flatMap { $0[depth] }, "depth \(depth)")
            }
        }
    }
}
