// Restores of real trees: what comes back is what was there.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Synchronization
import TestSupport
import Testing
import Workloads

/// A tree with every kind of thing in it.
func variedTree(seed: UInt64) throws -> SourceTree {
    let tree = SourceTree()
    try tree.write("large", randomBytes(9_000_000, seed: seed))
    try tree.write("pages.db", pageFile(blocks: 40, seed: seed + 1))
    try tree.write("empty", [])
    try tree.write("zeros", [UInt8](repeating: 0, count: 1_000_000))
    tree.makeDirectory("sub")
    for number in 0..<300 { try tree.write("sub/file\(number)", randomBytes(number * 7, seed: UInt64(number))) }
    for number in 0..<50 { try tree.write("sub/same\(number)", randomBytes(5000, seed: 1)) }
    let status = shell(
        """
        mkdir -p deep/er/est void && echo x > deep/er/est/x && chmod 0750 deep/er && chmod 0700 void
        ln -s ../nowhere link && ln -s /etc absolute && mkfifo pipe && chmod 0604 pipe
        ln large second && ln pages.db sub/third && ln link linked
        printf a > "$(printf 'na\\377me')" && chmod 4711 empty
        touch -d '1969-05-06 07:08:09.123456789' sub/file7 deep/er/est
        truncate -s 3000000 sparse && printf end >> sparse
        """, in: tree.directory.path)
    #expect(status == 0)
    #expect(setxattr("\(tree.directory.path)/sub/file3", "user.note", "hello", 5, 0) == 0)
    return tree
}

@Suite("Restore")
struct RestoreTests {
    @Test("a tree of all kinds comes back as it was", arguments: [1, 2, 5])
    func roundTrip(threads: Int) throws {
        let tree = try variedTree(seed: 10)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let target = TemporaryDirectory()
        let result = try restore(test.repository, snapshot, to: target.path + "/out", threads: threads)
        #expect(result.isComplete)
        let expected = try TreePicture(tree.directory.path)
        let found = try TreePicture(target.path + "/out")
        #expect(expected.differences(found) == [])
        #expect(result.files == UInt64(expected.contents.count - 2))
        #expect(result.hardLinks == 3)
        #expect(result.bytesAlreadyThere == 0)
        var status = stat()
        #expect(stat(target.path + "/out/sparse", &status) == 0)
        #expect(Int(status.st_blocks) * 512 < 200_000)
    }

    private final class Seen: Sendable { let names = Mutex<[String]>([]) }

    /// A target that notes what is there when it is asked before the last part.
    private struct Staged: Workload {
        let directory: String
        let seen: Seen
        let refuses: Bool
        var identity: WorkloadIdentity { WorkloadIdentity(kind: "staged", url: "staged:") }
        var capabilities: WorkloadCapabilities { WorkloadCapabilities() }

        func prepareRestore(
            of record: SnapshotRecord, _ context: WorkloadContext
        ) throws(HoldfastError) -> RestoreStage {
            var stage = RestoreStage([.init(root: nil, directory: bytes(directory), last: ["sub/key"])])
            stage.beforeLast = { () throws(HoldfastError) in
                for name in ["first", "sub/other", "sub/key"] where access("\(directory)/\(name)", F_OK) == 0 {
                    seen.names.withLock { $0.append(name) }
                }
                if refuses { throw HoldfastError(.checkFailed, "not good") }
                return [WorkloadFinding(.good, "staged", "asked")]
            }
            return stage
        }

        func finishRestore(
            _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
        ) throws(HoldfastError) -> [WorkloadFinding] {
            isComplete ? [] : [WorkloadFinding(.error, "staged", "left as it is")]
        }
    }

    @Test("what comes last is written after the workload was asked, and only if it agrees", arguments: [false, true])
    func beforeLast(refuses: Bool) throws {
        let tree = SourceTree()
        tree.makeDirectory("sub")
        for name in ["first", "sub/other", "sub/key"] { try tree.write(name, bytes(name)) }
        let test = try TestRepository()
        _ = try test.backUp(tree)
        let target = TemporaryDirectory()
        let workload = Staged(directory: target.path + "/out", seen: Seen(), refuses: refuses)
        let selector = try SnapshotSelector("latest")
        let session = try RestoreSession(test.repository) { (repository) throws(HoldfastError) in
            try repository.snapshot(selector).snapshot
        }
        defer { session.close() }
        let options = Restorer.writerOptions(ownership: false)
        if refuses {
            var told: [(files: UInt64, findings: [String])] = []
            let error = #expect(throws: HoldfastError.self) {
                try session.restore(to: workload, options: options, threads: 2) { result, findings in
                    told.append((result.files, findings.map(\.message)))
                }
            }
            #expect(error?.code == .checkFailed)
            // What is known of it is told before it fails.
            #expect(told.count == 1 && told.first?.files == 2 && told.first?.findings == ["left as it is"])
        } else {
            let findings = try session.restore(to: workload, options: options, threads: 2).findings
            #expect(findings.map(\.message) == ["asked"])
        }
        #expect(workload.seen.names.withLock { $0 } == ["first", "sub/other"])
        #expect(access(target.path + "/out/sub/key", F_OK) == (refuses ? -1 : 0))
    }

    @Test("the plan says what will be read and written before anything is")
    func plan() throws {
        let tree = SourceTree()
        try tree.write("a", randomBytes(3_000_000, seed: 1))
        try tree.write("b", randomBytes(3_000_000, seed: 1))
        try tree.write("zeros", [UInt8](repeating: 0, count: 1_000_000))
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let index = try test.repository.loadIndex().index
        let plan = try RestorePlan.make(test.repository, snapshot: snapshot, index: index)
        #expect(plan.files == 3)
        #expect(plan.directories == 1)
        #expect(plan.bytes == 7_000_000)
        #expect(plan.zeroBytes == 1_000_000)
        #expect(plan.bytesToWrite == 6_000_000)
        #expect((2_900_000...3_100_000).contains(plan.bytesToFetch))
        #expect(plan.packs.count == 1)
        let target = TemporaryDirectory()
        _ = try restore(test.repository, snapshot, to: target.path)
        let compared = try RestorePlan.make(
            test.repository, snapshot: snapshot, index: index, comparing: bytes(target.path))
        #expect(compared.bytesAlreadyThere == 6_000_000)
        #expect(compared.bytesToWrite == 0)
        #expect(compared.packs.isEmpty)
        let absent = try RestorePlan.make(
            test.repository, snapshot: snapshot, index: index, comparing: bytes(target.path + "/absent"))
        #expect(absent.bytesToWrite == 6_000_000)
        #expect(access(target.path + "/absent", F_OK) != 0)
    }

    @Test("what is there already is compared and kept, what differs is put right")
    func existing() throws {
        let tree = try variedTree(seed: 20)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let target = TemporaryDirectory()
        let out = target.path + "/out"
        _ = try restore(test.repository, snapshot, to: out)
        let status = shell(
            """
            printf changed | dd of=sub/file200 conv=notrunc 2>/dev/null
            truncate -s 100 sub/file201 && head -c 5000 /dev/zero >> sub/file202
            rm sub/file203 && mkdir sub/file203
            rm deep/er/est/x && ln -s /etc/passwd deep/er/est/x
            rm pipe && echo file > pipe && rm link && mkdir link && rmdir void && echo file > void
            chmod 0777 sub/file204 && head -c 3000003 /dev/urandom > sparse
            dd if=/dev/urandom of=zeros bs=1000 count=10 seek=100 conv=notrunc 2>/dev/null
            """, in: out)
        #expect(status == 0)
        let result = try restore(test.repository, snapshot, to: out)
        #expect(result.isComplete)
        let expected = try TreePicture(tree.directory.path)
        #expect(expected.differences(try TreePicture(out)) == [])
        // Files with several names are written anew; all others are compared.
        #expect(result.bytesAlreadyThere > 400_000)
        let again = try restore(test.repository, snapshot, to: out)
        #expect(again.bytesWritten <= 9_000_000 + 40 << 20)
        #expect(again.isComplete)
    }

    @Test("a restore that was broken off goes on where it was", arguments: [1, 2, 3, 4, 5, 6] as [UInt64])
    func resumes(seed: UInt64) throws {
        let tree = try variedTree(seed: 30)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let entropy = SeededEntropy(seed: seed)
        let target = TemporaryDirectory()
        let out = target.path + "/out"
        var interruptions = 0
        for _ in 0..<3 {
            let cancellation = Cancellation()
            let store = StoppingStore(test.store, after: Int(entropy.next() % 12) + 1, cancellation)
            let index = try test.repository.loadIndex().index
            let repository = try test.open(on: store)
            let plan = try RestorePlan.make(test.repository, snapshot: snapshot, index: index)
            let writer = try TreeWriter(target: bytes(out), options: Restorer.writerOptions())
            do throws(HoldfastError) {
                _ = try Restorer(repository, index: index).run(
                    plan, target: writer, threads: 2, cancellation: cancellation)
            } catch {
                #expect(error.code == .interrupted, "seed \(seed)")
                interruptions += 1
            }
        }
        #expect(interruptions > 0, "seed \(seed)")
        let result = try restore(test.repository, snapshot, to: out)
        #expect(result.isComplete, "seed \(seed)")
        let expected = try TreePicture(tree.directory.path)
        #expect(expected.differences(try TreePicture(out)) == [], "seed \(seed)")
    }

    @Test("a file of 5 GiB with three bytes in it takes no time and no space")
    func sparse() throws {
        let tree = SourceTree()
        #expect(
            shell(
                "truncate -s 5G big && printf abc | dd of=big bs=1 seek=4800000000 conv=notrunc 2>/dev/null",
                in: tree.directory.path) == 0)
        let test = try TestRepository()
        let snapshot = try test.backUp(tree)
        let target = TemporaryDirectory()
        let result = try restore(test.repository, snapshot, to: target.path)
        #expect(result.isComplete)
        var status = stat()
        #expect(stat(target.path + "/big", &status) == 0)
        #expect(status.st_size == 5 << 30)
        #expect(Int(status.st_blocks) * 512 < 32 << 20)
        #expect(shell("test \"$(dd if=big bs=1 skip=4800000000 count=3 2>/dev/null)\" = abc", in: target.path) == 0)
        #expect(result.bytesWritten < 32 << 20)
    }
}

/// Raises a cancellation after some reads of packs.
final class StoppingStore: ObjectStore {
    private let store: MemoryStore
    private let left: Atomic<Int>
    private let cancellation: Cancellation

    init(_ store: MemoryStore, after reads: Int, _ cancellation: Cancellation) {
        self.store = store
        left = Atomic(reads)
        self.cancellation = cancellation
    }

    var capabilities: StoreCapabilities { store.capabilities }
    var location: String { store.location }

    func read(_ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        if key.path.hasPrefix("packs/"), left.subtract(1, ordering: .relaxed).newValue == 0 { cancellation.raise() }
        try store.read(key, at: offset, into: buffer)
    }

    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) { try store.putIfAbsent(key, bytes) }
    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] { try store.get(key, limit: limit) }
    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try store.info(key) }
    func list(_ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void) throws(HoldfastError) {
        try store.list(prefix, visit)
    }
    func delete(_ key: ObjectKey) throws(HoldfastError) { try store.delete(key) }
    func time() throws(HoldfastError) -> Timestamp { try store.time() }
    func releaseReserve() throws(HoldfastError) {}
}
