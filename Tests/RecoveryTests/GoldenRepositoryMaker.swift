// Makes the committed repository of format 1 anew. Nothing calls this unless HOLDFAST_REGENERATE_FORMAT1=repository.

import Compression
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Sealing
import TestSupport
import Testing
import Workloads

/// Every kind of object, chunk, codec and role in half a megabyte.
///
/// Randomness is seeded, the clock stands still and one worker works; inode numbers and change times are the file
/// system's, so that two runs differ in their bytes all the same.
struct GoldenRepositoryMaker {
    private let clock = StillClock()
    private let store = MemoryStore()
    private let environment: Environment
    private let tree = SourceTree()
    private var pages: [UInt8] = []

    init() {
        environment = Environment(
            clock: clock, entropy: SeededEntropy(seed: 1), logger: TestRepository.environment(clock: clock).logger)
    }

    mutating func make() throws {
        try makeSource()
        var admin = try Repository.create(
            in: store, secret: TestRepository.secret("admin"), derivation: TestRepository.derivation, label: "admin",
            compression: "zstd:3", environment: environment)
        let writer = try add(.writer, .readback, "writer", to: admin)
        _ = try add(.maintainer, [], "maintainer", to: admin)
        _ = try add(.restorer, [], "restorer", to: admin)
        let removed = try add(.writer, [], "removed", to: admin).keyring.slot
        admin = try admin.reloadingKeys()
        try admin.removeKey(removed)
        try backUp(admin)
        try changePages(at: 70_000)
        try backUp(admin)
        try backUpStream(writer)
        try changePages(at: 70_100)
        _ = try admin.rotateEpoch()
        admin = try admin.reloadingKeys()
        try backUp(admin)
        let tombstone = try putOthers(admin)
        try save(try admin.reloadingKeys(), tombstone)
    }

    /// Pages that compress well, so that 36 blocks take a few kilobytes.
    private mutating func makeSource() throws {
        for block in 0..<36 {
            let page = randomBytes(512, seed: UInt64(1000 + block))
            for _ in 0..<256 { pages += page }
        }
        let head = Array("SQLite format 3\0".utf8) + [0x10, 0x00, 1, 1, 0, 64, 32, 32]
        pages.replaceSubrange(0..<head.count, with: head)
        try tree.write("pages.db", pages)
        try tree.write("text", Array(String(repeating: "all work and no play ", count: 4000).utf8))
        try tree.write("noise", randomBytes(2000, seed: 2))
        try tree.write("empty", [])
        try tree.write("zeros", [UInt8](repeating: 0, count: 300_000))
        tree.makeDirectory("sub")
        tree.makeDirectory("sub/void")
        for number in 0..<20 { try tree.write("sub/file-\(number)", Array("number \(number)".utf8)) }
        let path = tree.directory.path
        #expect(symlink("../text", path + "/sub/link") == 0)
        #expect(link(path + "/text", path + "/hard") == 0)
        #expect(mkfifo(path + "/fifo", 0o640) == 0)
        #expect(chmod(path + "/noise", 0o4711) == 0)
        let descriptor = open(path + "/sparse", O_WRONLY | O_CREAT, 0o600)
        try #require(descriptor >= 0)
        for number in 0..<40 {
            let bytes = [UInt8](repeating: UInt8(number + 1), count: 4096)
            #expect(pwrite(descriptor, bytes, bytes.count, number << 17) == bytes.count)
        }
        #expect(ftruncate(descriptor, 41 << 17) == 0)
        close(descriptor)
    }

    private mutating func changePages(at place: Int) throws {
        pages.replaceSubrange(place..<place + 20, with: randomBytes(20, seed: UInt64(place)))
        try tree.write("pages.db", pages)
    }

    private func options(_ source: String) -> BackupOptions {
        clock.advance()
        var options = BackupOptions(source: source, host: "host", toolVersion: "0.1")
        options.threads = 1
        options.tags = ["fixture": "format1"]
        return options
    }

    private func backUp(_ repository: Repository) throws {
        let summary = try Backup(repository, options: options("tree")).run([.directory(tree.path)])
        #expect(!summary.isPartial)
    }

    private func backUpStream(_ writer: Repository) throws {
        var options = options("stream")
        options.compression = .zlib(level: 6)
        let source = SourceTree()
        try source.write("numbers", Array((0..<9000).map(String.init).joined(separator: "\n").utf8))
        let descriptor = open(source.directory.path + "/numbers", O_RDONLY)
        defer { close(descriptor) }
        _ = try Backup(writer, options: options).run([.stream(name: "numbers", .descriptor(descriptor))])
    }

    private func add(
        _ role: Role, _ rights: Rights, _ label: String, to admin: Repository
    ) throws -> Repository {
        clock.advance()
        _ = try admin.addKey(
            Repository.NewKey(
                label: label, role: role, rights: rights, secret: TestRepository.secret(label),
                derivation: TestRepository.derivation))
        return try Repository.open(store, secret: TestRepository.secret(label), environment: environment)
    }

    /// A finished collection of a pack that never was, a buried snapshot, a hold, and a lease that was left open.
    private func putOthers(_ admin: Repository) throws -> ULID {
        let signer = admin.keyring.signing
        let (slot, made) = (admin.keyring.slot, clock.now())
        func put(_ key: ObjectKey, _ bytes: [UInt8]) throws { try store.putIfAbsent(key, bytes.span.bytes) }
        for (key, kind) in [
            (ObjectNames.condemned(1), ObjectKind.condemned), (ObjectNames.sweep(1), .sweep),
            (ObjectNames.done(1), .done),
        ] {
            let object = CollectionObject(
                kind: kind, repository: admin.id, generation: 1, slot: slot, made: made,
                packs: [PackID(Bytes32(w0: 1))], runs: [])
            try put(key, try object.encoded(signer: signer))
        }
        let tag = try admin.tag(ofSource: "tree")
        let buried = try ULID(at: made, entropy: admin.entropy)
        let tombstone = TombstoneObject(
            repository: admin.id, tag: tag, snapshot: buried, slot: slot, generation: 1, made: made)
        try put(ObjectNames.snapshot(tag, buried), try tombstone.encoded(signer: signer))
        let first = try #require(try admin.snapshots(of: tag).snapshots.first)
        let hold = HoldObject(
            repository: admin.id, id: try ULID(at: made, entropy: admin.entropy), tag: tag, snapshot: first.id,
            slot: slot, made: made, reason: "fixture")
        try put(ObjectNames.hold(hold.id), try hold.encoded(signer: signer))
        let lease = LeaseObject(
            repository: admin.id, lease: try ULID(at: made, entropy: admin.entropy), number: 0, slot: slot,
            purpose: .read, tag: SourceTag(Bytes16()), started: made, honoured: 1, kept: [], isClosed: false)
        try put(ObjectNames.lease(lease.lease, 0), try lease.encoded(signer: signer))
        return buried
    }

    private func save(_ admin: Repository, _ tombstone: ULID) throws {
        var contents = GoldenContents(slots: [:], snapshots: [], tombstones: [tombstone.description], cuts: [])
        for member in admin.keyring.roster.values { contents.slots[member.label] = member.role.description }
        for snapshot in try admin.snapshots().snapshots {
            contents.snapshots.append(
                GoldenContents.Snapshot(
                    id: snapshot.id.description, source: try #require(snapshot.record).source, epoch: snapshot.epoch,
                    entries: try GoldenRepository.entries(admin, snapshot)))
        }
        try GoldenRepository.save(store, contents)
        // The sample goes into a copy.
        contents.cuts = try GoldenRepository.cuts(GoldenRepository.open(GoldenRepository.load(), "admin"))
        try GoldenRepository.save(store, contents)
    }
}
