// The backup verb's engine against real trees and a store in memory.

import CLinux
import Compression
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing

/// Makes and changes the sources of these tests.
struct SourceTree {
    let directory = TemporaryDirectory()

    var path: [UInt8] { Array(directory.path.utf8) }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = fopen("\(directory.path)/\(name)", "w")
        let opened = try #require(file)
        #expect(fwrite(bytes, 1, bytes.count, opened) == bytes.count)
        fclose(opened)
    }

    func makeDirectory(_ name: String) { #expect(mkdir("\(directory.path)/\(name)", 0o755) == 0) }
}

/// Pseudo-random bytes from a seed.
func randomBytes(_ count: Int, seed: UInt64) -> [UInt8] {
    let entropy = SeededEntropy(seed: seed)
    var bytes = [UInt8]()
    bytes.reserveCapacity(count)
    while bytes.count < count { withUnsafeBytes(of: entropy.next()) { bytes.append(contentsOf: $0) } }
    return Array(bytes.prefix(count))
}

/// A SQLite file's first page followed by random pages, so that it is cut by pages.
func pageFile(blocks: Int, seed: UInt64) -> [UInt8] {
    var bytes = randomBytes(blocks * Content.pageBlockSize, seed: seed)
    let head = Array("SQLite format 3\0".utf8) + [0x10, 0x00, 1, 1, 0, 64, 32, 32]
    bytes.replaceSubrange(0..<head.count, with: head)
    return bytes
}

func backUp(
    _ repository: Repository, _ tree: SourceTree, threads: Int = 2, _ change: (inout BackupOptions) -> Void = { _ in }
) throws -> BackupSummary {
    var options = BackupOptions(source: "test", host: "host", toolVersion: "test")
    options.threads = threads
    change(&options)
    return try Backup(repository, options: options).run([.directory(tree.path)])
}

/// Every file of a snapshot with its content, read chunk by chunk.
func contents(_ repository: Repository, _ id: SnapshotID) throws -> [String: [UInt8]] {
    let listing = try repository.snapshots()
    let snapshot = try #require(listing.snapshots.first { $0.id == id })
    let record = try #require(snapshot.record)
    let index = try repository.loadIndex().index
    let packs = PackReader(store: repository.store, keyring: repository.keyring)
    let reader = try ChunkReader(index: index, packs: packs, keyring: repository.keyring)
    let tree = SnapshotTree(reader)
    var files: [String: [UInt8]] = [:]
    func visit(_ entry: Entry, _ path: String) throws(HoldfastError) {
        if let content = entry.content {
            var bytes: [UInt8] = []
            try tree.pieces(of: content) { (_, piece) throws(HoldfastError) in
                bytes +=
                    piece.id == .zeros
                    ? [UInt8](repeating: 0, count: Int(piece.length)) : try reader.read(piece.id, .data)
            }
            files[path] = bytes
        }
        if let node = entry.tree {
            try tree.entries(of: node) { (child) throws(HoldfastError) in
                try visit(child, path + "/" + String(decoding: child.metadata.name, as: UTF8.self))
            }
        }
    }
    for root in record.roots { try visit(root.entry, "") }
    return files
}

@Suite("Backup")
struct BackupTests {
    @Test("what is backed up reads back byte for byte", arguments: [1, 2, 4])
    func roundTrip(threads: Int) throws {
        let tree = SourceTree()
        let large = randomBytes(9_000_000, seed: 1)
        let pages = pageFile(blocks: 40, seed: 2)
        try tree.write("large", large)
        try tree.write("pages.db", pages)
        try tree.write("empty", [])
        tree.makeDirectory("sub")
        for number in 0..<500 { try tree.write("sub/file\(number)", Array("number \(number)".utf8)) }
        let test = try TestRepository()
        let summary = try backUp(test.repository, tree, threads: threads)
        let files = try contents(test.repository, try #require(summary.snapshot))
        #expect(files.count == 503)
        #expect(files["/large"] == large)
        #expect(files["/pages.db"] == pages)
        #expect(files["/empty"] == [])
        #expect(files["/sub/file77"] == Array("number 77".utf8))
        #expect(summary.record.counts.files == 503)
        #expect(summary.record.counts.bytesRead == UInt64(files.values.reduce(0) { $0 + $1.count }))
    }

    @Test("an unchanged source stores no chunk again, and a second read finds all of them")
    func unchanged() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(3_000_000, seed: 3))
        let test = try TestRepository()
        _ = try backUp(test.repository, tree)
        let again = try backUp(test.repository, tree) { $0.reread = true }
        #expect(again.record.counts.bytesRead == 3_000_000)
        #expect(again.record.counts.bytesNew == 0)
        #expect(again.record.counts.chunksReused > 0)
    }

    @Test("changed blocks of a page file become deltas in chains of at most eight, and every generation reads back")
    func deltaChains() throws {
        let tree = SourceTree()
        var bytes = pageFile(blocks: 8, seed: 4)
        let test = try TestRepository()
        var generations: [(SnapshotID, [UInt8])] = []
        for round in 0..<12 {
            bytes.replaceSubrange(300_000..<300_016, with: randomBytes(16, seed: UInt64(100 + round)))
            try tree.write("pages.db", bytes)
            let summary = try backUp(test.repository, tree) { $0.reread = true }
            generations.append((try #require(summary.snapshot), bytes))
            #expect(summary.record.counts.deltas == (round == 0 ? 0 : 1), "round \(round)")
        }
        let index = try test.repository.loadIndex().index
        let depths = index.runs.flatMap { run in (0..<run.run.entryCount).map { run.entry($0).depth } }
        #expect(depths.max() == 8)
        for (id, expected) in generations { #expect(try contents(test.repository, id)["/pages.db"] == expected) }
    }

    @Test("a writer backs up and reuses chunks, and cannot read what it wrote")
    func writerCannotRead() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(400_000, seed: 5))
        let test = try TestRepository()
        let writer = try test.adding(.writer, password: "writer")
        let first = try backUp(writer, tree)
        let second = try backUp(writer, tree) { $0.reread = true }
        #expect(second.record.counts.bytesNew == 0)
        let error = #expect(throws: HoldfastError.self) { try contents(writer, try #require(first.snapshot)) }
        #expect(error?.code == .notPermitted)
        #expect(try contents(try test.open(), try #require(second.snapshot))["/a"] == randomBytes(400_000, seed: 5))
    }

    @Test("a writer with readback makes deltas against its own blocks, and one without stores whole blocks")
    func readback() throws {
        for rights: Rights in [[], .readback] {
            let tree = SourceTree()
            var bytes = pageFile(blocks: 4, seed: 6)
            try tree.write("pages.db", bytes)
            let test = try TestRepository()
            let writer = try test.adding(.writer, rights: rights, password: "writer")
            _ = try backUp(writer, tree)
            bytes[200_000] ^= 1
            try tree.write("pages.db", bytes)
            let second = try backUp(writer, tree) { $0.reread = true }
            #expect(second.record.counts.deltas == (rights.contains(.readback) ? 1 : 0))
            #expect(try contents(try test.open(), try #require(second.snapshot))["/pages.db"] == bytes)
        }
    }

    @Test("holes and blocks of zeros are stored nowhere")
    func zeros() throws {
        let tree = SourceTree()
        try tree.write("zeros", [UInt8](repeating: 0, count: 5_000_000))
        let test = try TestRepository()
        let summary = try backUp(test.repository, tree)
        #expect(summary.record.counts.bytesNew == 0)
        #expect(try contents(test.repository, try #require(summary.snapshot))["/zeros"]?.count == 5_000_000)
    }
}
