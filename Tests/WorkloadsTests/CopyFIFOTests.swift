// The reading of what has the place of a file in a restored copy, and is none.

import Glibc
import Primitives
import Repository
import TestSupport
import Testing

@testable import Workloads

@Suite("A FIFO in a restored copy")
struct CopyFIFOTests {
    private let context = WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())

    @Test("in place of a dump is found, and nobody waits for a writer")
    func dump() throws {
        let directory = TemporaryDirectory()
        #expect(mkfifo(directory.path + "/x.dump", 0o600) == 0)
        let copy = RestoredCopy(
            record: try TestRepository.record(DumpWorkload.kind, ["x.dump: database": "x"]),
            places: [DumpWorkload.rootPath: directory.path])
        let findings = try DumpWorkload(rest: "postgres:///").check(copy, scratch: nil, context)
        #expect(findings.contains { $0.severity == .error && $0.message.contains("no regular file") }, "\(findings)")
    }

    @Test("a dump that is not there is the copy's fault")
    func absentDump() throws {
        let directory = TemporaryDirectory()
        let copy = RestoredCopy(
            record: try TestRepository.record(DumpWorkload.kind, ["x.dump: database": "x"]),
            places: [DumpWorkload.rootPath: directory.path])
        let findings = try DumpWorkload(rest: "postgres:///").check(copy, scratch: nil, context)
        #expect(findings.contains { $0.severity == .error && $0.message.contains("not there") }, "\(findings)")
    }

    @Test("in place of a SQLite database is found, and nobody waits for a writer")
    func database() throws {
        let directory = TemporaryDirectory()
        let path = directory.path + "/app.db"
        #expect(mkfifo(path, 0o600) == 0)
        var record = try TestRepository.record(SQLiteWorkload.kind)
        let root = Array("app.db".utf8)
        record.roots = [SnapshotRoot(path: root, entry: Entry(EntryMetadata(name: root, kind: .fifo)))]
        let copy = RestoredCopy(record: record, places: [root: path])
        let findings = try SQLiteWorkload(path: path).check(copy, scratch: nil, context)
        #expect(findings.contains { $0.severity == .error && $0.message.contains("no regular file") }, "\(findings)")
    }

    @Test("in place of a file of a cluster is refused, and nobody waits for a writer")
    func cluster() throws {
        let directory = TemporaryDirectory()
        for name in ["PG_VERSION", "backup_manifest", "file"] {
            #expect(mkfifo("\(directory.path)/\(name)", 0o600) == 0)
        }
        let data = PostgresDirectory(directory.path)
        let error = #expect(throws: HoldfastError.self) { _ = try data.small("PG_VERSION") }
        #expect(error?.message.contains("no regular file") == true)
        #expect(throws: HoldfastError.self) { _ = try data.manifest() }
        let manifest = try BackupManifest(PostgresTests.manifest(#"{ "Path": "file", "Size": 0 }"#))
        #expect(throws: HoldfastError.self) {
            _ = try ManifestVerification(manifest, directory: directory.path, threads: 1).run(context)
        }
    }
}
