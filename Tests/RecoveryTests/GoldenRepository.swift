// The committed repository of format 1: where it is, how it is read, and the tool that made it.

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
import Workloads

/// What Tests/Fixtures/format1 says that its repository holds.
struct GoldenContents: Codable, Equatable {
    struct Snapshot: Codable, Equatable {
        var id: String
        var source: String
        var epoch: UInt32
        /// Paths below the root; kind, mode, size, and digest or target.
        var entries: [String: String]
    }

    /// By label; a password each, the same word as the label.
    var slots: [String: String]
    var snapshots: [Snapshot]
    var tombstones: [String]
    /// Lengths of the chunks that ``cutSample`` is cut into with this key, and the beginnings of their ids.
    var cuts: [String]

    /// Six megabytes that nobody has to commit.
    static var cutSample: [UInt8] { randomBytes(6_000_000, seed: 77) }
}

/// A clock whose hands the engine's threads cannot push.
final class StillClock: Clock {
    private let still = ManualClock()
    func now() -> Timestamp { still.now() }
    func uptime() -> Duration { still.uptime() }
    func sleep(for duration: Duration, unless cancellation: Cancellation) {
        SystemClock().sleep(for: duration, unless: cancellation)
    }
    func advance() { still.advance(by: .seconds(60)) }
}

enum GoldenRepository {
    static let directory = IndependentReader.root + "/Tests/Fixtures/format1"
    static let repository = directory + "/repository"
    private static let contentsPath = directory + "/contents.json"

    /// Only with this set is the repository made anew: for changes of format 1 before its first release alone.
    static let isRegenerating = ProcessInfo.processInfo.environment["HOLDFAST_REGENERATE_FORMAT1"] == "repository"

    static func contents() throws -> GoldenContents {
        try JSONDecoder().decode(GoldenContents.self, from: Data(contentsOf: URL(fileURLWithPath: contentsPath)))
    }

    /// The committed objects in memory, so that no test writes beside them.
    static func load() throws -> MemoryStore {
        let store = MemoryStore()
        for path in FileManager.default.enumerator(atPath: repository)?.compactMap({ $0 as? String }) ?? [] {
            guard let data = FileManager.default.contents(atPath: repository + "/" + path), let key = ObjectKey(path)
            else { continue }
            let bytes = [UInt8](data)
            try store.putIfAbsent(key, bytes.span.bytes)
        }
        return store
    }

    static func open(_ store: MemoryStore, _ password: String) throws -> Repository {
        try Repository.open(
            store, secret: TestRepository.secret(password),
            environment: TestRepository.environment(clock: SystemClock()))
    }

    /// Every entry of a snapshot below its root, as ``GoldenContents`` describes it; the root itself is `.`.
    static func entries(_ repository: Repository, _ snapshot: Snapshot) throws -> [String: String] {
        let index = try repository.loadIndex().index
        let reader = try ChunkReader(
            index: index, packs: PackReader(store: repository.store, keyring: repository.keyring),
            keyring: repository.keyring)
        let tree = SnapshotTree(reader)
        var found: [String: String] = [:]
        func visit(_ entry: Entry, _ path: String) throws(HoldfastError) {
            let metadata = entry.metadata
            var line = "\(metadata.kind) \(String(metadata.mode, radix: 8)) \(metadata.size)"
            if metadata.kind == .symbolicLink { line += " " + String(decoding: metadata.linkTarget, as: UTF8.self) }
            if let content = entry.content {
                let digest = SHA256Stream()
                try tree.pieces(of: content) { (_, piece) throws(HoldfastError) in
                    let bytes =
                        piece.id == .zeros
                        ? [UInt8](repeating: 0, count: Int(piece.length)) : try reader.read(piece.id, .data)
                    digest.update(bytes.span.bytes)
                }
                line += " " + Hex.encode(digest.finish().array)
            }
            found[path] = line
            if let node = entry.tree {
                try tree.entries(of: node) { (child) throws(HoldfastError) in
                    let name = String(decoding: child.metadata.name, as: UTF8.self)
                    try visit(child, path == "." ? name : path + "/" + name)
                }
            }
        }
        for root in try #require(snapshot.record).roots { try visit(root.entry, ".") }
        return found
    }

    /// How the cut sample is cut in a backup into `repository`.
    static func cuts(_ repository: Repository) throws -> [String] {
        let file = SourceTree()
        try file.write("sample", GoldenContents.cutSample)
        let descriptor = Glibc.open(file.directory.path + "/sample", O_RDONLY)
        defer { close(descriptor) }
        let options = BackupOptions(source: "cuts", host: "host", toolVersion: "test")
        let summary = try Backup(repository, options: options)
            .run([.stream(name: "sample", .descriptor(descriptor))])
        guard case .inline(let pieces) = summary.record.roots.first?.entry.content?.location else {
            throw HoldfastError(.corruptObject, "the sample has no pieces", hint: "")
        }
        return pieces.map { "\($0.length) \($0.id.description.prefix(16))" }
    }

    static func save(_ store: MemoryStore, _ contents: GoldenContents) throws {
        try? FileManager.default.removeItem(atPath: repository)
        try store.list("") { (info) throws(HoldfastError) in
            let bytes = try store.get(info.key, limit: .mebi(64))
            let url = URL(fileURLWithPath: repository + "/" + info.key.path)
            do {
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(bytes).write(to: url)
            } catch {
                throw HoldfastError(.inputOutput, "\(error)", hint: "")
            }
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        try (try encoder.encode(contents) + Data("\n".utf8)).write(to: URL(fileURLWithPath: contentsPath))
    }
}
