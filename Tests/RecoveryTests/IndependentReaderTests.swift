// The reader in Tests/Fixtures/reader, which was written from docs/format.md alone, against repositories of the engine.

import CLinux
import Compression
import Foundation
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Sealing
import TestSupport
import Testing

/// Runs the independent reader in the virtual environment that scripts/setup makes.
enum IndependentReader {
    static let root: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }()

    static func run(_ repository: String, password: String, _ arguments: [String]) throws -> (Int32, String) {
        let scratch = TemporaryDirectory()
        try Data(password.utf8).write(to: URL(fileURLWithPath: scratch.path + "/password"))
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: root + "/.build/tools/bin/python3")
        process.arguments =
            ["-B", root + "/Tests/Fixtures/reader/holdfast_reader.py", repository, scratch.path + "/password"]
            + arguments
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = pipe
        process.standardError = pipe
        do { try process.run() } catch {
            Issue.record("run scripts/setup first: \(error)")
            throw error
        }
        let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, output)
    }

    /// Extracts a snapshot and describes what came out.
    static func extract(_ repository: String, password: String, _ id: String) throws -> [String: String] {
        let scratch = TemporaryDirectory()
        let (status, output) = try run(repository, password: password, ["extract", id, scratch.path + "/out"])
        #expect(status == 0, "\(output)")
        return describe(scratch.path + "/out")
    }
}

/// Every path below a directory with what a restore must bring back: kind, mode, time, and digest or target.
func describe(_ directory: String) -> [String: String] {
    var found: [String: String] = [:]
    for path in FileManager.default.enumerator(atPath: directory)?.compactMap({ $0 as? String }) ?? [] {
        let full = directory + "/" + path
        var status = stat()
        guard lstat(full, &status) == 0 else { continue }
        let common = "\(String(status.st_mode, radix: 8)) \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
        switch status.st_mode & S_IFMT {
        case S_IFREG:
            let bytes = [UInt8](FileManager.default.contents(atPath: full) ?? Data())
            found[path] =
                "\(common) \(status.st_nlink) \(bytes.count) \(Hex.encode(SHA256.digest(bytes.span.bytes).array))"
        case S_IFLNK: found[path] = (try? FileManager.default.destinationOfSymbolicLink(atPath: full)) ?? "?"
        // The time of a fifo is not kept by the reader.
        case S_IFIFO: found[path] = "fifo"
        default: found[path] = common
        }
    }
    return found
}

/// A source with every kind of content that the format has.
struct VariedSource {
    let tree = SourceTree()
    var pages: [UInt8]

    init(files: Int = 1500) throws {
        pages = pageFile(blocks: 40, seed: 11)
        try tree.write("pages.db", pages)
        try tree.write("large", randomBytes(9_000_000, seed: 12))
        try tree.write("text", Array(String(repeating: "all work and no play ", count: 20_000).utf8))
        try tree.write("noise", randomBytes(3000, seed: 13))
        try tree.write("empty", [])
        try tree.write("zeros", [UInt8](repeating: 0, count: 700_000))
        tree.makeDirectory("sub")
        tree.makeDirectory("sub/void")
        for number in 0..<files { try tree.write("sub/file-\(number)", Array("number \(number)".utf8)) }
        let path = tree.directory.path
        #expect(symlink("../text", path + "/sub/link") == 0)
        #expect(link(path + "/text", path + "/hard") == 0)
        #expect(mkfifo(path + "/fifo", 0o640) == 0)
        #expect(chmod(path + "/noise", 0o4711) == 0)
        try writeSparse("sparse", stretches: 40)
    }

    /// Data of 4 KiB every mebibyte, and a hole at the end: more pieces than an entry holds.
    private func writeSparse(_ name: String, stretches: Int) throws {
        let descriptor = open(tree.directory.path + "/" + name, O_WRONLY | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        for number in 0..<stretches {
            let bytes = randomBytes(4096, seed: UInt64(500 + number))
            #expect(pwrite(descriptor, bytes, bytes.count, number << 20) == bytes.count)
        }
        #expect(ftruncate(descriptor, off_t(stretches + 1) << 20) == 0)
        close(descriptor)
    }

    mutating func changePages(seed: UInt64) throws {
        pages.replaceSubrange(300_000..<300_100, with: randomBytes(100, seed: seed))
        try tree.write("pages.db", pages)
    }
}

@Suite("The independent reader")
struct IndependentReaderTests {
    private let directory = TemporaryDirectory()
    private var path: String { directory.path + "/repository" }
    private let environment = TestRepository.environment(clock: SystemClock())

    private func create() throws -> Repository {
        try Repository.create(
            in: try LocalStore.create(at: path, reserve: .kibi(0)), secret: TestRepository.secret("admin"),
            derivation: TestRepository.derivation, label: "admin", compression: "zstd:3", environment: environment)
    }

    private func adding(_ role: Role, _ rights: Rights = [], to admin: Repository, _ password: String) throws
        -> Repository
    {
        _ = try admin.addKey(
            Repository.NewKey(
                label: password, role: role, rights: rights, secret: TestRepository.secret(password),
                derivation: TestRepository.derivation))
        return try Repository.open(admin.store, secret: TestRepository.secret(password), environment: environment)
    }

    @Test("extracts what the engine stored, whatever the content, codec, depth, epoch and writer")
    func extracts() throws {
        var source = try VariedSource()
        var admin = try create()
        var expected: [(id: String, tree: [String: String])] = []
        func take(_ repository: Repository, _ change: (inout BackupOptions) -> Void = { _ in }) throws -> BackupSummary
        {
            let summary = try backUp(repository, source.tree) { options in
                options.reread = true
                change(&options)
            }
            #expect(summary.record.unreadable.isEmpty, "\(summary.record.unreadable)")
            let id = try #require(summary.snapshot)
            expected.append((id.description, describe(source.tree.directory.path)))
            return summary
        }
        _ = try take(admin)
        for round in 0..<9 {
            try source.changePages(seed: UInt64(100 + round))
            try source.tree.write("text", Array(String(repeating: "round \(round) ", count: 9000).utf8))
            let setting: CompressionSetting = [.zlib(level: 6), .zstd(level: 9), .auto(level: 1)][round % 3]
            #expect(try take(admin) { $0.compression = setting }.record.counts.deltas == 1)
        }
        let writer = try adding(.writer, .readback, to: admin, "readback")
        try source.changePages(seed: 200)
        #expect(try take(writer).record.counts.deltas == 0, "another's blocks are no bases")
        try source.changePages(seed: 201)
        #expect(try take(writer).record.counts.deltas == 1)
        _ = try admin.rotateEpoch()
        admin = try admin.reloadingKeys()
        try source.changePages(seed: 300)
        _ = try take(admin)
        let blind = try adding(.writer, to: admin, "blind")
        try source.tree.write("noise", randomBytes(500_000, seed: 14))
        _ = try take(blind) { $0.compression = .none }
        _ = try adding(.restorer, to: admin, "restorer")

        for password in ["admin", "restorer"] {
            let (status, list) = try IndependentReader.run(path, password: password, ["list"])
            #expect(status == 0, "\(list)")
            for (id, _) in expected { #expect(list.contains("\"\(id)\""), "\(list)") }
        }
        for (number, (id, tree)) in expected.enumerated() {
            let found = try IndependentReader.extract(path, password: number % 2 == 0 ? "admin" : "restorer", id)
            for (name, what) in tree { #expect(found[name] == what, "snapshot \(number), \(name)") }
            #expect(found.count == tree.count)
        }
    }

    @Test("tells which versions opened a snapshot, and whether a value is the one that logged in, to who may read data")
    func openings() throws {
        let source = SourceTree()
        try source.write("a", [1])
        let admin = try create()
        let writer = try adding(.writer, to: admin, "writer")
        var record = try backUp(writer, source).record
        let made = try OpeningKey.make(in: writer)
        var openings = made.openings
        var opening = SnapshotOpening(
            vault: "embedded:/größe", source: "secrets", secret: "app/db", field: nil, role: "app", database: "shop")
        let (value, now) = ("the pässword", Timestamp(seconds: 1_800_000_000, nanoseconds: 5))
        func print(_ version: String) -> Bytes32 {
            var bytes = Array(value.utf8)
            return made.key.fingerprint(
                of: SecretBytes(wiping: &bytes), form: 1, vault: opening.vault, secret: opening.secret, version: version
            )
        }
        opening.versions = ["3", "4"].map {
            OpenedVersion(id: $0, created: nil, first: now, last: now, fingerprint: print("3"))
        }
        openings.openings = [opening]
        record.openings = openings
        let tag = try writer.tag(ofSource: record.source)
        let session = try WriterSession(writer, tag: tag)
        defer { session.close() }
        try session.flush()
        let id = try session.commit(record, previous: try writer.snapshots(of: tag).latest(of: tag)).description
        #expect(try writer.snapshots(of: tag).latest(of: tag)?.record?.openings == openings)
        // It is in the record of the one who took it, and its key is not.
        #expect(throws: HoldfastError.self) { try OpeningKey(openings, writer) }
        let file = directory.path + "/value"
        try Data(value.utf8).write(to: URL(fileURLWithPath: file))
        let (status, output) = try IndependentReader.run(path, password: "admin", ["openings", id, file])
        #expect(status == 0, "\(output)")
        let found = try #require(
            try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(output)")
        #expect(found["vault"] as? String == opening.vault && found["field"] is NSNull)
        let versions = found["versions"] as? [[String: Any]] ?? []
        // The fingerprint of one version is not that of another, also of the same value.
        #expect(versions.map { $0["isValue"] as? Bool } == [true, false])
        #expect(versions.first?["last"] as? Int == Int(now.nanoseconds))
        let refused = try IndependentReader.run(path, password: "writer", ["openings", id, file])
        #expect(refused.0 == 1 && refused.1.contains("may not read"), "\(refused.1)")
    }

    @Test("stops at bytes that were changed and at objects under other names, and reads no more than its key may")
    func refuses() throws {
        let source = SourceTree()
        try source.write("a", randomBytes(100_000, seed: 21))
        let admin = try create()
        let first = try #require(try backUp(admin, source).snapshot).description
        func names() -> [String] { FileManager.default.enumerator(atPath: path)?.compactMap { $0 as? String } ?? [] }
        let packs = names().filter { $0.hasPrefix("packs/") && $0.count > 60 }
        let second = try #require(try backUp(admin, source).snapshot).description
        _ = try adding(.writer, to: admin, "writer")
        func check(_ password: String, _ message: String) throws {
            let scratch = TemporaryDirectory()
            let (status, output) = try IndependentReader.run(
                path, password: password, ["extract", first, scratch.path + "/out"])
            #expect(status == 1 && output.contains(message), "\(output)")
        }
        try check("wrong", "no slot opens")
        try check("writer", "may not read")
        func changing(_ name: String, at place: Int, _ message: String) throws {
            let url = URL(fileURLWithPath: path + "/" + name)
            let good = try Data(contentsOf: url)
            var bad = good
            bad[place] ^= 4
            chmod(url.path, 0o600)
            try bad.write(to: url)
            try check("admin", message)
            try good.write(to: url)
        }
        try changing(try #require(names().first { $0.hasSuffix("/" + first) }), at: 300, "digest does not fit")
        #expect(packs.count == 2)
        for pack in packs {
            try changing(pack, at: 3000, "a pack is not what its name says")
        }
        let (to, from) = (
            try #require(names().first { $0.hasSuffix("/" + first) }), names().first { $0.hasSuffix("/" + second) }
        )
        unlink(path + "/" + to)
        try FileManager.default.copyItem(atPath: path + "/" + (try #require(from)), toPath: path + "/" + to)
        try check("admin", "a snapshot is misnamed")
    }
}
