// What a restore in an incident holds against its snapshot, and what becomes of its record; in one process.

import Foundation
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

@testable import Recovery

@Suite("The record of a restore in an incident")
struct IncidentRecordTests {
    private let test: TestRepository
    private let source = SourceTree()
    private let snapshot: Snapshot
    private let target = TemporaryDirectory()

    init() throws {
        test = try TestRepository()
        try source.write("first", randomBytes(9000, seed: 1))
        snapshot = try test.backUp(source)
    }

    private var repository: Repository { test.repository }
    private var settings: IncidentSettings {
        IncidentSettings(evidence: .repository, operator: "o", host: "h", toolVersion: "1", threads: 2)
    }

    private func incident(
        _ snapshot: Snapshot? = nil, to workload: any Workload, filter: PathFilter = PathFilter()
    ) throws -> IncidentRestore {
        try IncidentRestore(
            repository, snapshot ?? self.snapshot, to: workload, filter: filter, settings, progress: Progress()
        ) { _ in }
    }

    private func directory(_ name: String) -> FilesWorkload { FilesWorkload(path: "\(target.path)/\(name)") }

    private func overview() throws -> RecoveryOverview {
        try RecoveryOverview(repository, failedAt: repository.clock.now())
    }

    /// What the guide would say of the snapshot.
    private func proof() throws -> PointProof { try #require(try overview().point(snapshot.id)).point.proof }

    private func run(
        _ snapshot: Snapshot? = nil, to workload: any Workload, filter: PathFilter = PathFilter()
    ) throws -> IncidentOutcome {
        let incident = try incident(snapshot, to: workload, filter: filter)
        test.clock.advance(by: .seconds(1))
        return try incident.run(
            after: IncidentAttempts(
                of: snapshot ?? self.snapshot, to: workload, host: "h", try overview(), repository,
                stateDirectory: nil))
    }

    private func damage(_ outcome: IncidentOutcome) -> String? { outcome.record.members[0].facts["damage"] }

    private func isProven(_ proof: PointProof) -> Bool { if case .proven = proof { true } else { false } }

    private func isFailed(_ proof: PointProof) -> Bool { if case .failed = proof { true } else { false } }

    private func keys() throws -> [ObjectKey] {
        var found: [ObjectKey] = []
        try test.store.list("packs/") { (info) throws(HoldfastError) in found.append(info.key) }
        return found
    }

    // MARK: What it holds against the snapshot

    @Test("holds nothing against a snapshot that could not be tried")
    func untried() throws {
        try Data("in the way".utf8).write(to: URL(fileURLWithPath: target.path + "/taken"))
        for place in ["taken", "nowhere/out"] {
            let outcome = try run(to: directory(place))
            #expect(outcome.record.verdict == .failed && damage(outcome) == nil, "\(place): \(outcome.record)")
            #expect(try proof() == .untried, "\(place)")
        }
        #expect(try run(to: directory("out")).record.verdict == .passed)
        #expect(try run(to: directory("taken")).record.verdict == .failed)
        #expect(try isProven(proof()))
    }

    @Test("and that of a drill of which nobody can tell who was at fault leave the snapshot neither proven nor failed")
    func unclear() throws {
        let passed = try run(to: directory("out")).record
        #expect(try isProven(proof()))
        func attest(_ change: (inout EvidenceMember) -> Void) throws {
            var record = passed
            test.clock.advance(by: .seconds(60))
            record.id = try ULID(at: repository.clock.now(), entropy: SystemEntropy())
            (record.kind, record.verdict, record.checks) = (.drill, .failed, [])
            record.finished = repository.clock.now()
            record.members[0].verdict = .failed
            change(&record.members[0])
            _ = try repository.attest(record)
        }
        // What the place was at fault for changes nothing.
        try attest { _ in }
        #expect(try isProven(proof()))
        try attest { $0.facts["unclear"] = "server" }
        #expect(try proof() == .untried)
        test.clock.advance(by: .seconds(60))
        #expect(try run(to: directory("again")).record.verdict == .passed)
        #expect(try isProven(proof()))
        try attest { $0.facts["damage"] = "content" }
        try attest { $0.facts["unclear"] = "server" }
        #expect(try isFailed(proof()))
    }

    @Test("holds nothing against a snapshot of which a pattern took no file, and does not pass")
    func mistyped() throws {
        let pattern = try PathFilter(include: [bytes("/frist")], exclude: [])
        let outcome = try run(to: directory("out"), filter: pattern)
        #expect(outcome.record.verdict == .failed && damage(outcome) == nil, "\(outcome.record)")
        #expect(outcome.failure?.code == .checkFailed)
        #expect(outcome.failure?.description.contains("1 file") == true, "\(String(describing: outcome.failure))")
        #expect(try proof() == .untried)
        let right = try PathFilter(include: [bytes("/first")], exclude: [])
        #expect(try run(to: directory("out"), filter: right).record.verdict == .passed)
    }

    @Test("holds lost objects against the copy, also where they end it early")
    func lost() throws {
        let descriptor = open(source.directory.path + "/first", O_RDONLY)
        defer { close(descriptor) }
        let options = BackupOptions(source: "stream", host: "h", toolVersion: "t")
        let stream = try test.snapshot(
            Backup(repository, options: options).run([.stream(name: "first", .descriptor(descriptor))]).snapshot)
        for key in try keys() { try test.store.delete(key) }
        var taker = WorkloadOptions()
        taker.command = ["true"]
        for (snapshot, workload) in [
            (snapshot, directory("out")), (stream, CommandTarget(source: "", options: taker)),
        ] as [(Snapshot, any Workload)] {
            let outcome = try run(snapshot, to: workload)
            #expect(outcome.record.verdict == .failed && damage(outcome) == "copy", "\(outcome.record)")
        }
        #expect(try isFailed(proof()))
    }

    @Test("holds nothing against a snapshot whose target was changed while it was restored, and does not pass")
    func changed() throws {
        #expect(try run(to: directory("out")).record.verdict == .passed)
        let place = target.path + "/live"
        let incident = try IncidentRestore(
            repository, snapshot, to: directory("live"), filter: PathFilter(), settings, progress: Progress()
        ) { event in
            // A service that was started early writes to its log.
            guard case .entered(.validate, _) = event, let file = FileHandle(forWritingAtPath: place + "/first") else {
                return
            }
            file.seekToEndOfFile()
            file.write(Data("more".utf8))
            file.closeFile()
        }
        test.clock.advance(by: .seconds(1))
        let outcome = try incident.run(
            after: IncidentAttempts(
                of: snapshot, to: directory("live"), host: "h", try overview(), repository, stateDirectory: nil))
        let failed = outcome.record.checks.filter { $0.verdict == .failed }
        #expect(failed.map(\.id) == ["test/contents"], "\(outcome.record)")
        #expect(outcome.record.verdict == .failed && damage(outcome) == nil, "\(outcome.record)")
        #expect(try isProven(proof()))
    }

    /// A database without tables.
    private var onePageDatabase: [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        bytes.replaceSubrange(0..<24, with: Array("SQLite format 3\0".utf8) + [0x10, 0, 1, 1, 0, 64, 32, 32])
        // The counter of changes and that of the size; the format of the schema; the encoding.
        for (place, value) in [(27, 1), (31, 1), (47, 4), (59, 1), (95, 1)] as [(Int, UInt8)] { bytes[place] = value }
        // A leaf of a table with nothing in it, whose contents would begin at the end.
        bytes[100] = 0x0D
        bytes[105] = 0x10
        return bytes
    }

    @Test("holds against a database that it is not sound, which nothing is put into place for")
    func unsound() throws {
        let forge = try SnapshotForge(repository)
        let file = try forge.file("app.db", onePageDatabase + [UInt8](repeating: 0, count: 4096))
        let root = SnapshotRoot(path: bytes("/app.db"), entry: file)
        let forged = try test.snapshot(forge.commit([root], workload: SQLiteWorkload.kind))
        let outcome = try run(forged, to: SQLiteWorkload(path: target.path + "/new.db"))
        #expect(outcome.failure?.message.contains("not sound") == true, "\(String(describing: outcome.failure))")
        #expect(outcome.record.verdict == .failed && damage(outcome) == "content", "\(outcome.record)")
        #expect(try isFailed(#require(overview().point(forged.id)).point.proof))
    }

    @Test(
        "holds a failed check of contents or engine against the snapshot, and no other verdict",
        arguments: [
            (nil, nil, false), ("copy", nil, true), ("content", nil, true), (nil, "engine", true),
            (nil, "contents", true), (nil, "sql", false),
        ] as [(String?, String?, Bool)])
    func verdicts(damage: String?, check: String?, counts: Bool) throws {
        let passed = try run(to: directory("out")).record
        test.clock.advance(by: .seconds(60))
        let id = try ULID(at: test.clock.now(), entropy: SystemEntropy())
        var record = EvidenceRecord(
            id: id, kind: .drill, occasion: .manual, verdict: .failed, operator: "o", toolVersion: "1", runID: id,
            started: test.clock.now(), finished: test.clock.now(), environment: passed.environment)
        record.members = passed.members
        record.members[0].verdict = .failed
        record.members[0].facts["damage"] = damage
        if let check {
            record.checks = [
                EvidenceCheck(
                    id: "1", member: record.members[0].name, kind: check, statement: "", expected: "", actual: "",
                    verdict: .failed, outputDigest: Bytes32(), outputBytes: 0)
            ]
        }
        _ = try repository.attest(record)
        #expect(try isFailed(proof()) == counts && isProven(proof()) == !counts)
    }

    // MARK: Its verdict

    @Test("does not pass when an error was found that it had no room for")
    func unkept() throws {
        let incident = try incident(to: directory("out"))
        let outcome = try run(to: directory("out"))
        let recorder = DrillRecorder(outcome.record, clock: repository.clock) { _ in }
        let check = try #require(outcome.record.checks.first)
        // Each of the same name gets an id of its own, in a time that does not grow with their number.
        while recorder.record.checks.count < EvidenceRecord.maximumChecks { recorder.add(check) }
        #expect(Set(recorder.record.checks.map(\.id)).count == EvidenceRecord.maximumChecks)
        incident.end(recorder, nil, took: .seconds(1))
        #expect(recorder.record.verdict == .passed)
        recorder.add(
            "late", "test", kind: "contents", expected: "", actual: "", .failed, output: [], from: .zero)
        incident.end(recorder, nil, took: .seconds(1))
        #expect(recorder.record.verdict == .failed)
    }

    // MARK: What becomes of it

    /// A record that is over every limit, of a restore of a part in which something was found.
    private func large() throws -> IncidentOutcome {
        var outcome = try run(to: directory("out"))
        outcome.record.id = try ULID(at: test.clock.now(), entropy: SystemEntropy())
        outcome.record.members[0].facts["proves"] = "a part"
        outcome.record.members[0].facts["damage"] = "copy"
        outcome.record.facts["reason"] = "ticket 4711"
        for number in 0..<300 {
            outcome.record.checks.append(
                EvidenceCheck(
                    id: "\(number)", member: "test", kind: "engine", statement: "",
                    expected: String(repeating: "x", count: 60_000), actual: "", verdict: .failed,
                    outputDigest: Bytes32(), outputBytes: 0))
        }
        return outcome
    }

    @Test("that is too large is left without its particulars, and says still what it proves")
    func tooLarge() throws {
        var outcome = try large()
        try incident(to: directory("out")).leave(&outcome, nil)
        #expect(outcome.unleft == nil, "\(String(describing: outcome.unleft))")
        let all = try repository.evidence().evidence.compactMap(\.record)
        let left = try #require(all.first { $0.id == outcome.record.id })
        #expect(left.verdict == outcome.record.verdict && left.checks.count == outcome.record.checks.count)
        #expect(left.members[0].facts["proves"] == "a part" && left.members[0].facts["damage"] == "copy")
        #expect(left.facts["reason"] == "ticket 4711", "\(left.facts)")
    }

    @Test("that no journal takes leaves nothing there")
    func noJournal() throws {
        let record = try large().record
        #expect(throws: HoldfastError.self) {
            _ = try DrillJournal(record, of: repository.id, in: target.path + "/journals")
        }
        #expect(try FileManager.default.contentsOfDirectory(atPath: target.path + "/journals").isEmpty)
    }

    @Test("has room for whatever it was asked for")
    func longNames() throws {
        var settings = settings
        settings.wanted = String(repeating: "ä", count: 3000)
        settings.reason = String(repeating: "ä", count: 40_000)
        settings.stateDirectory = target.path
        let long = (0..<20).map { _ in String(repeating: "d", count: 204) }.joined(separator: "/")
        let outcome = try IncidentRestore(
            repository, snapshot, to: FilesWorkload(path: "\(target.path)/\(long)"), filter: PathFilter(), settings,
            progress: Progress()
        ) { event in
            if case .found(let finding) = event { #expect(!finding.message.contains("killed"), "\(finding)") }
        }.run(
            after: IncidentAttempts(
                of: snapshot, to: directory("out"), host: "h", try overview(), repository, stateDirectory: nil))
        #expect(outcome.unleft == nil && outcome.evidence != nil, "\(String(describing: outcome.unleft))")
    }
}
