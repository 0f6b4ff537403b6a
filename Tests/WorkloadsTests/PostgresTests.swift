// What is known of PostgreSQL without a server: URLs, failures, positions, manifests, and directories.

import CLinux
import Foundation
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@testable import Workloads

@Suite("PostgreSQL")
struct PostgresTests {
    // MARK: Texts

    @Test("URLs are taken apart by libpq, and one with a password is refused without repeating it")
    func addresses() throws {
        let address = try PostgresAddress("postgres://ann@db.example:5433/shop?sslmode=require")
        #expect(address.parameters["host"] == "db.example" && address.parameters["port"] == "5433")
        #expect(address.database == "shop" && address.parameters["sslmode"] == "require")
        for text in [
            "postgres://ann:s3cret@db/", "postgres:///?password=s3cret", "postgresql://db/?sslpassword=s3cret",
            "postgres:///?pass%77ord=s3cret",
        ] {
            let error = #expect(throws: HoldfastError.self) { try PostgresAddress(text) }
            #expect(error?.code == .usage && error?.description.contains("s3cret") == false, "\(text): \(error as Any)")
        }
        // libpq takes this for host, port and database.
        let slash = #expect(throws: HoldfastError.self) { try PostgresAddress("postgres://ann:s3c/ret@db/") }
        #expect(slash?.code == .usage && slash?.description.contains("s3c") == false, "\(slash as Any)")
        for text in ["mysql://db/", "postgres://db/?nonsense=1", "postgres://%zz/", "postgres:///?host=a\0b"] {
            #expect(throws: HoldfastError.self) { try PostgresAddress(text) }
        }
    }

    @Test("a URL of a socket is not led to another server by an address from elsewhere")
    func otherServer() throws {
        let place = TemporaryDirectory()
        let address = try PostgresAddress("postgres:///?host=\(place.path)&hostaddr=127.0.0.1&port=9")
        let error = #expect(throws: HoldfastError.self) {
            _ = try PostgresConnection(address, for: .replication, cancellation: Cancellation())
        }
        #expect(error?.code == .usage && error?.message.contains("PGHOSTADDR") == true, "\(error as Any)")
        let alone = #expect(throws: HoldfastError.self) {
            _ = try PostgresConnection(
                try PostgresAddress("postgres:///?host=\(place.path)"), for: .replication, cancellation: Cancellation())
        }
        #expect(alone?.code == .sourceFailed, "\(alone as Any)")
    }

    @Test("the state is found in the text of a failed login, whatever its language")
    func loginTexts() {
        let report = PostgresReport(
            connectionText: """
                connection to server on socket "/s/.s.PGSQL.5432" failed: FATAL:  28P01: mot de passe refusé
                LOCATION:  auth_failed, auth.c:326

                """)
        #expect(report.state == "28P01" && report.message.hasSuffix("failed: FATAL: mot de passe refusé"))
        let plain = PostgresReport(
            connectionText: "connection to server failed: No such file or directory\n\tIs it up?\n")
        #expect(plain.state == nil && plain.message.hasSuffix("directory; Is it up?"))
        #expect(HoldfastError.postgres(report, during: "log in").code == .accessDenied)
        #expect(HoldfastError.postgres(plain, during: "log in").retry == .later)
        #expect(PostgresReport(connectionText: "").state == nil)
    }

    @Test(
        "positions name the segment that holds them",
        arguments: [
            ("0/1000028", UInt64(16) << 20, "000000010000000000000001"),
            ("16/B374D848", UInt64(16) << 20, "0000000100000016000000B3"),
            ("16/B374D848", UInt64(64) << 20, "00000001000000160000002C"),
            ("1/0", UInt64(1) << 30, "000000010000000100000000"),
            ("0/FFFFFFFF", UInt64(1) << 20, "000000010000000000000FFF"),
        ])
    func positions(text: String, segment: UInt64, name: String) throws {
        let position = try #require(PostgresPosition(text))
        #expect(position.description == text)
        #expect(position.segmentName(timeline: 1, segmentSize: segment) == name)
        for wrong in ["", "/", "1", "1/", "1/2/3", "1/123456789", "x/1", "+1/2"] {
            #expect(PostgresPosition(wrong) == nil)
        }
        #expect(PostgresPosition.segmentSize("64MB") == 64 << 20 && PostgresPosition.segmentSize("1GB") == 1 << 30)
        for wrong in ["", "MB", "3MB", "2GB", "64TB", "-1MB", "99999999999999999999GB"] {
            #expect(PostgresPosition.segmentSize(wrong) == nil)
        }
    }

    // MARK: Manifests

    static func manifest(_ files: String) -> [UInt8] {
        let body = """
            { "PostgreSQL-Backup-Manifest-Version": 1,
            "Files": [
            \(files)
            ],
            "WAL-Ranges": [
            { "Timeline": 1, "Start-LSN": "0/2000028", "End-LSN": "0/2000100" }
            ],

            """
        let digest = Hex.encode(SHA256.digest(Array(body.utf8).span.bytes).array)
        return Array("\(body)\"Manifest-Checksum\": \"\(digest)\"}\n".utf8)
    }

    private static func line(_ path: String, _ content: String) -> String {
        let sum = crc32c(Array(content.utf8).span.bytes)
        let text = Hex.encode((0..<4).map { UInt8(truncatingIfNeeded: sum >> ($0 * 8)) })
        return """
            { "Path": "\(path)", "Size": \(content.utf8.count), "Last-Modified": "2026-01-01 00:00:00 GMT", \
            "Checksum-Algorithm": "CRC32C", "Checksum": "\(text)" }
            """
    }

    @Test("a manifest is read with names that are no text, and any change to it is found")
    func manifests() throws {
        let good = Self.manifest(
            Self.line("base/1/1", "one") + ",\n" + #"{ "Encoded-Path": "61ff", "Size": 0, "New": [{"a": null}, -1.5] }"#
        )
        let manifest = try BackupManifest(good)
        #expect(manifest.files.map(\.path) == [Array("base/1/1".utf8), [0x61, 0xFF]])
        #expect(manifest.ranges.first?.start == PostgresPosition("0/2000028"))
        var accepted = 0
        for place in good.indices {
            var bad = good
            bad[place] ^= 1
            // White space at the very end is of no account.
            if (try? BackupManifest(bad)) != nil, place < good.count - 1 { accepted += 1 }
        }
        #expect(accepted == 0)
        for length in 0..<good.count - 2 {
            #expect(throws: HoldfastError.self) { try BackupManifest(Array(good[..<length])) }
        }
        let deep = Self.manifest(#"{ "Path": "a", "Size": 0, "New": "# + String(repeating: "[", count: 100_000))
        #expect(throws: HoldfastError.self) { try BackupManifest(deep) }
    }

    @Test("a file that a manifest names and that did not come whole keeps the backup from being committed")
    func incompleteBackups() throws {
        let manifest = try BackupManifest(
            Self.manifest(Self.line("base/1/1", "one") + ",\n" + Self.line("pg_tblspc/9/PG_15/1", "four")))
        let (first, second) = (Array("base/1/1".utf8), Array("pg_tblspc/9/PG_15/1".utf8))
        // The log is not in a manifest.
        try manifest.compare(with: [first: 3, second: 4, Array("pg_wal/1".utf8): 16])
        for sizes in [[first: UInt64(3)], [second: 4], [first: 3, second: 5], [first: 2, second: 4]] {
            let error = #expect(throws: HoldfastError.self) { try manifest.compare(with: sizes) }
            #expect(error?.code == .sourceFailed && error?.message.contains("manifest") == true, "\(sizes)")
        }
        #expect(manifest.without(["standby.signal", "base/1/1"]).files.map(\.path) == [second])
    }

    // MARK: Directories

    /// A directory as it is when all of a snapshot was written.
    private func restored(_ directory: String) throws -> (PgdataWorkload, SnapshotRecord, RestoreStage, WorkloadContext)
    {
        let workload = PgdataWorkload(path: directory)
        var record = SnapshotRecord(
            source: "postgres:77", workload: "postgres", host: "h", toolVersion: "1",
            runID: ULID(Bytes16()), started: Timestamp(nanoseconds: 0))
        record.facts["systemIdentifier"] = "77"
        let context = WorkloadContext(
            clock: HandClock(), entropy: SeededEntropy(seed: 1), cancellation: Cancellation())
        let stage = try workload.prepareRestore(of: record, context)
        for (name, content) in [("global/pg_control", "control"), ("base/1/16384", "relation"), ("PG_VERSION", "15\n")]
        {
            try write(name, content, in: directory)
        }
        let lines = [
            Self.line("global/pg_control", "control"), Self.line("base/1/16384", "relation"),
            Self.line("PG_VERSION", "15\\n".replacingOccurrences(of: "\\n", with: "\n")),
        ]
        let manifest = Self.manifest(lines.joined(separator: ",\n"))
        try Data(manifest).write(to: URL(fileURLWithPath: directory + "/backup_manifest"))
        return (workload, record, stage, context)
    }

    private func write(_ name: String, _ content: String, in directory: String) throws {
        let url = URL(fileURLWithPath: directory + "/" + name)
        try FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(content.utf8).write(to: url)
    }

    private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    @Test("a restore is vouched for when every file is as the manifest says, and then only")
    func verification() throws {
        let place = TemporaryDirectory()
        let directory = place.path + "/data"
        let (workload, record, stage, context) = try restored(directory)
        #expect(exists(directory + "/holdfast.restoring"))
        try write("base/1/99999", "of a later time", in: directory)
        try write("base/5/1", "of a database of a later time", in: directory)
        let cleared = try stage.beforeLast.map { try $0() } ?? []
        #expect(cleared.map(\.message) == ["2 files that are not in the snapshot were removed"])
        #expect(!exists(directory + "/base/1/99999") && !exists(directory + "/base/5"))
        let findings = try workload.finishRestore(stage, of: record, isComplete: true, context)
        #expect(findings.contains { $0.subject == "manifest" && $0.message.hasPrefix("3 files") })
        #expect(exists(directory + "/global/pg_control") && !exists(directory + "/holdfast.restoring"))

        for change in ["Relation", "relation and more", "", "gone"] {
            let directory = place.path + "/bad-" + change
            let (workload, record, stage, context) = try restored(directory)
            if change == "gone" {
                unlink(directory + "/base/1/16384")
            } else {
                try write("base/1/16384", change, in: directory)
            }
            let error = #expect(throws: HoldfastError.self) {
                try workload.finishRestore(stage, of: record, isComplete: true, context)
            }
            #expect(error?.code == .checkFailed && error?.message.contains("base/1/16384") == true, "\(error as Any)")
            #expect(!exists(directory + "/global/pg_control") && exists(directory + "/holdfast.restoring"))
        }
    }

    @Test("of the place of a tablespace only the directory of the snapshot's own version is cleared")
    func otherVersions() throws {
        let place = TemporaryDirectory()
        let directory = place.path + "/data"
        let (_, _, stage, _) = try restored(directory)
        let kept = ["PG_14_202107181/5/16385", "PG_150_202209061/5/1", "lost+found/#12", "notes"]
        let later = ["PG_15_202209061/5/16385", "PG_15_202209061/5/16385_vm"]
        for name in kept + later { try write(name, "x", in: place.path + "/space") }
        symlink(place.path + "/space", directory + "/pg_tblspc/16384")
        _ = try stage.beforeLast.map { try $0() }
        for name in kept { #expect(exists("\(place.path)/space/\(name)"), "\(name)") }
        for name in later { #expect(!exists("\(place.path)/space/\(name)"), "\(name)") }
        #expect(exists("\(place.path)/space/PG_15_202209061"))
    }

    @Test("a restore that is not complete leaves no control file, and the next one takes its directory for its own")
    func incomplete() throws {
        let place = TemporaryDirectory()
        let directory = place.path + "/data"
        let (workload, record, stage, context) = try restored(directory)
        _ = try workload.finishRestore(stage, of: record, isComplete: false, context)
        #expect(!exists(directory + "/global/pg_control"))
        try write("pg_wal/000000010000000000000009", "stale", in: directory)
        try write("pg_replslot/old/state", "stale", in: directory)
        try write("standby.signal", "", in: directory)
        _ = try workload.prepareRestore(of: record, context)
        #expect(!exists(directory + "/pg_wal/000000010000000000000009") && exists(directory + "/pg_wal"))
        #expect(!exists(directory + "/pg_replslot/old") && !exists(directory + "/standby.signal"))
        var other = record
        other.facts["systemIdentifier"] = "78"
        let error = #expect(throws: HoldfastError.self) { try workload.prepareRestore(of: other, context) }
        #expect(error?.code == .targetFailed && error?.message.contains("holds cluster 77") == true, "\(error as Any)")
        other.workload = "dir"
        #expect(throws: HoldfastError.self) { try workload.prepareRestore(of: other, context) }
    }
}
