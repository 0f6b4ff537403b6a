// The end of a restore into a data directory: its files against the server's manifest.

import Foundation
import Glibc
import Primitives
import Repository
import TestSupport
import Testing

@testable import Workloads

@Suite("The end of a restore of a cluster")
struct PgdataFinishTests {
    @Test("compares the files with the manifest, unless a scratch server begins with that", arguments: [true, false])
    func compares(comparesFiles: Bool) throws {
        let directory = TemporaryDirectory()
        let manifest = PostgresTests.manifest(#"{ "Path": "file", "Size": 5 }"#)
        for (name, bytes) in [("backup_manifest", manifest), ("file", [1]), (PgdataWorkload.marker, [1])] {
            try Data(bytes).write(to: URL(fileURLWithPath: "\(directory.path)/\(name)"))
        }
        let now = SystemClock().now()
        let record = SnapshotRecord(
            source: "s", workload: PostgresWorkload.kind, host: "h", toolVersion: "t",
            runID: try ULID(at: now, entropy: SystemEntropy()), started: now)
        let context = WorkloadContext(
            clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        let target = PgdataWorkload(path: directory.path, comparesFiles: comparesFiles)
        if comparesFiles {
            let error = #expect(throws: HoldfastError.self) {
                _ = try target.finishRestore(RestoreStage([]), of: record, isComplete: true, context)
            }
            #expect(error?.code == .checkFailed)
        } else {
            #expect(try target.finishRestore(RestoreStage([]), of: record, isComplete: true, context).isEmpty)
        }
        #expect((access("\(directory.path)/\(PgdataWorkload.marker)", F_OK) == 0) == comparesFiles)
    }

    @Test("says of what cannot be read that the target fails, and of what is not there or is no file that it differs")
    func reading() throws {
        let directory = TemporaryDirectory()
        #expect(mkfifo("\(directory.path)/pipe", 0o600) == 0 && mkdir("\(directory.path)/folder", 0o700) == 0)
        symlink("pipe", "\(directory.path)/link")
        try Data([1]).write(to: URL(fileURLWithPath: "\(directory.path)/short"))
        let context = WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
        let long = String(repeating: "n", count: 300)
        for (place, file, code) in [
            // A regular file whose first page nobody can read: EIO.
            ("/proc/self", "mem", .targetFailed), (directory.path, long, .targetFailed),
            (directory.path, "nowhere", .checkFailed), (directory.path, "short/below", .checkFailed),
            (directory.path, "pipe", .checkFailed), (directory.path, "folder", .checkFailed),
            (directory.path, "link", .checkFailed), (directory.path, "short", .checkFailed),
        ] as [(String, String, ErrorCode)] {
            let manifest = try BackupManifest(PostgresTests.manifest(#"{ "Path": "\#(file)", "Size": 5 }"#))
            let error = #expect(throws: HoldfastError.self) {
                _ = try ManifestVerification(manifest, directory: place, threads: 1).run(context)
            }
            #expect(error?.code == code, "\(file): \(String(describing: error))")
        }
    }

    @Test("is not kept from its work by a file of a server that goes at this very moment")
    func going() throws {
        let directory = TemporaryDirectory()
        let file = directory.path + "/postmaster.pid"
        let data = PostgresDirectory(directory.path)
        _ = try atOnce(
            { () throws(HoldfastError) in
                for _ in 0..<50_000 {
                    let number = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
                    if number >= 0 { close(number) }
                    unlink(file)
                }
            },
            { () throws(HoldfastError) in
                for _ in 0..<50_000 { _ = try data.small("postmaster.pid") }
            })
        #expect(try PostgresDirectory("\(directory.path)/none").small("postmaster.pid") == nil)
        try Data().write(to: URL(fileURLWithPath: file))
        #expect(try PostgresDirectory(file).small("x") == nil)
    }
}
