// The end of drills: what is kept is told and found again, and evidence of those that crashed bars no other.

import Foundation
import Glibc
import ObjectStore
import Primitives
import Repository
import TestSupport
import Testing

@testable import Recovery
@testable import Workloads

@Suite("The end of a drill")
struct DrillEndTests {
    private let directory = TemporaryDirectory()
    private let repository: Repository

    init() throws {
        chmod(directory.path, 0o755)
        let clock = SystemClock()
        repository = try Repository.create(
            in: MemoryStore(clock: clock), secret: TestRepository.secret(TestRepository.password),
            derivation: TestRepository.derivation, label: "test", compression: "zstd:3",
            environment: TestRepository.environment(clock: clock))
        let tree = SourceTree()
        try tree.write("file", [1, 2, 3])
        _ = try backUp(repository, tree)
    }

    private var settings: DrillSettings {
        var settings = DrillSettings(
            evidence: .repository, operator: "tester", host: "host", toolVersion: "test", threads: 1)
        settings.scratch = directory.path
        settings.stateDirectory = directory.path + "/state"
        return settings
    }

    private func drill(_ settings: DrillSettings, _ tell: @escaping (DrillEvent) -> Void = { _ in }) throws
        -> DrillOutcome
    {
        let system = DrillSystem(name: "test", source: "test", point: .latest)
        return try Drill(DrillPlan(name: "", systems: [system]), repository, settings, tell: tell).run()
    }

    private func names(_ path: String, _ ending: String = "") -> [String] {
        ScratchTree.names(in: path).filter { $0.hasSuffix(ending) }.sorted()
    }

    private var copies: [String] { names(directory.path).filter { $0.hasPrefix(DrillScratch.prefix) } }

    /// What a drill leaves that is killed: its scratch directory, and a journal that says where that is.
    private func crash(kept: Bool, findings: Int = 0) throws -> EvidenceRecord {
        let now = SystemClock().now()
        let id = try ULID(at: now, entropy: SystemEntropy())
        let scratch = try DrillScratch(id, in: directory.path)
        var record = EvidenceRecord(
            id: id, kind: .drill, occasion: .manual, verdict: .interrupted, operator: "o", toolVersion: "t", runID: id,
            started: now, finished: now,
            environment: EvidenceEnvironment(
                host: "host", target: scratch.path, network: "", account: "", isSegregated: false))
        record.facts["phase"] = "teardown of test"
        record.findings = (0..<findings).map { EvidenceFinding(severity: "warning", object: "", message: "\($0)") }
        let journal = try DrillJournal(record, of: repository.id, in: settings.journals)
        if kept { try KeptScratch.keep(scratch, settings) }
        withExtendedLifetime((scratch, journal)) {}
        return record
    }

    @Test("does not say that copies were kept when they could not be, and takes them away")
    func notKept() throws {
        var settings = settings
        settings.keeps = true
        let parent = directory.path
        let outcome = try drill(settings) { event in
            guard case .entered(.teardown, _) = event else { return }
            // What stands where the mark is to be.
            for name in ScratchTree.names(in: parent) where name.hasPrefix(DrillScratch.prefix) {
                mkdir("\(parent)/\(name)/\(KeptScratch.mark)", 0o700)
            }
        }
        let findings = outcome.record.findings.map(\.message)
        #expect(outcome.record.verdict == .failed)
        #expect(findings.contains { $0.hasPrefix("cannot be kept") }, "\(findings)")
        #expect(!findings.contains { $0.hasPrefix("was kept") }, "\(findings)")
        #expect(outcome.record.facts["scratch.kept"] == nil && outcome.record.environment.teardownAt != nil)
        #expect(copies.isEmpty && names(settings.journals, ".kept").isEmpty)
    }

    @Test("marks no copies as kept before it is noted where they are")
    func noted() throws {
        let scratch = try DrillScratch(
            try ULID(at: SystemClock().now(), entropy: SystemEntropy()), in: directory.path)
        // There is no directory for the notes.
        #expect(throws: HoldfastError.self) { try KeptScratch.keep(scratch, settings) }
        #expect(!ScratchTree.names(in: scratch.path).contains(KeptScratch.mark))
    }

    @Test("that was killed with its copies kept leaves evidence of that, and the copies", arguments: [true, false])
    func killed(kept: Bool) throws {
        let left = try crash(kept: kept)
        var settled: [EvidenceRecord] = []
        let outcome = try drill(settings) { event in
            if case .settled(let record) = event { settled.append(record) }
        }
        #expect(outcome.record.verdict == .passed, "\(outcome.record.findings)")
        let record = try #require(settled.first)
        #expect(settled.count == 1 && record.id == left.id && record.verdict == .interrupted)
        #expect((record.environment.teardownAt == nil) == kept)
        #expect(record.facts["scratch.kept"] == (kept ? left.environment.target : nil))
        #expect(copies.count == (kept ? 1 : 0))
        if kept {
            let outcomes = KeptScratch.removeAll(stateDirectory: settings.stateDirectory, parent: directory.path)
            #expect(outcomes.map(\.path) == [left.environment.target] && outcomes[0].failure == nil)
        }
    }

    @Test("leaves its evidence although the state directory takes no note of its verdict any more")
    func unnoted() throws {
        let journals = settings.journals
        var told: [EvidenceFinding] = []
        let outcome = try drill(settings) { event in
            if case .ended(.teardown, _, _, _) = event { rename(journals, journals + ".gone") }
            if case .found(let finding) = event { told.append(finding) }
        }
        #expect(outcome.record.verdict == .passed && outcome.evidence?.record?.id == outcome.record.id)
        #expect(told.contains { $0.severity == "warning" && $0.object == journals }, "\(told)")
    }

    @Test("names the note of it that cannot be removed, since the next drill would take it for that of a killed one")
    func unremoved() throws {
        let journals = settings.journals
        var told: [EvidenceFinding] = []
        let outcome = try drill(settings) { event in
            if case .found(let finding) = event { told.append(finding) }
            guard case .ended(.teardown, _, _, _) = event else { return }
            for name in ScratchTree.names(in: journals) where name.hasSuffix(".drill") {
                #expect(unlink("\(journals)/\(name)") == 0 && mkdir("\(journals)/\(name)", 0o700) == 0)
            }
        }
        #expect(outcome.record.verdict == .passed && outcome.evidence?.record?.id == outcome.record.id)
        let left = "\(journals)/\(outcome.record.id).drill"
        #expect(told.contains { $0.severity == "warning" && $0.object == left }, "\(told)")
    }

    @Test("that was killed with a record that is full leaves it shortened, and bars no drill")
    func full() throws {
        let left = try crash(kept: false, findings: EvidenceRecord.maximumFindings)
        #expect(try drill(settings).record.verdict == .passed)
        let records = try repository.evidence().evidence.compactMap(\.record)
        let record = try #require(records.first { $0.id == left.id })
        #expect(record.verdict == .interrupted)
        #expect(record.findings.contains { $0.message.contains("without a word") }, "\(record.findings)")
        #expect(names(settings.journals).isEmpty)
    }

    @Test("that was killed leaves its evidence beside a file of somebody else that has its name, and bars no drill")
    func foreignFile() throws {
        let left = try crash(kept: false)
        let file = directory.path + "/evidence"
        try Data("not yours".utf8).write(to: URL(fileURLWithPath: "\(file)-\(left.id)"))
        var settings = settings
        settings.evidence = .file(file)
        #expect(try drill(settings).record.verdict == .passed)
        #expect(try String(contentsOfFile: "\(file)-\(left.id)", encoding: .utf8) == "not yours")
        guard case .draft(let draft) = try EvidenceFiles.read("\(file)-\(left.id)-2") else {
            Issue.record("no draft")
            return
        }
        #expect(draft.record.id == left.id && names(settings.journals).isEmpty)
    }

    @Test("waits for nobody who has put a FIFO where evidence or a note of kept copies is looked for")
    func pipes() throws {
        let left = try crash(kept: false)
        let file = directory.path + "/evidence"
        #expect(mkfifo("\(file)-\(left.id)", 0o600) == 0)
        #expect(mkfifo("\(settings.journals)/\(DrillScratch.prefix)x.kept", 0o600) == 0)
        var settings = settings
        settings.evidence = .file(file)
        #expect(try drill(settings).record.verdict == .passed)
        guard case .draft(let draft) = try EvidenceFiles.read("\(file)-\(left.id)-2") else {
            Issue.record("no draft")
            return
        }
        #expect(draft.record.id == left.id)
        #expect(KeptScratch.removeAll(stateDirectory: settings.stateDirectory, parent: directory.path).isEmpty)
    }

    @Test(
        "whose copies cannot be removed at first leaves what they are found by, until they are gone",
        .enabled(if: geteuid() == 0, "run the tests as root"))
    func stubborn() throws {
        for isKept in [true, false] {
            let path = try crash(kept: isKept).environment.target
            let data = path + "/site/data"
            for made in [path + "/site", data, data + "/mounted"] { #expect(mkdir(made, 0o700) == 0) }
            try Data("decrypted".utf8).write(to: URL(fileURLWithPath: path + "/holdfast-scratch-note"))
            // Nobody can remove a directory that something is mounted over.
            #expect(mount("none", data + "/mounted", "tmpfs", 0, nil) == 0)
            defer { umount2(data + "/mounted", Int32(MNT_DETACH)) }
            func remove() -> (removed: [String], failures: Int) {
                guard isKept else {
                    let outcome = DrillScratch.removeLeftovers(in: directory.path)
                    return (outcome.removed, outcome.failures.count)
                }
                let all = KeptScratch.removeAll(stateDirectory: settings.stateDirectory, parent: directory.path)
                return (all.filter { $0.failure == nil }.map(\.path), all.count { $0.failure != nil })
            }
            for _ in 0..<2 { #expect(remove() == ([], 1)) }
            let marks = ["holdfast-scratch-note", "kept", "owner", "site"].filter { isKept || $0 != "kept" }
            #expect(names(path) == marks, "\(names(path))")
            #expect(umount2(data + "/mounted", Int32(MNT_DETACH)) == 0)
            #expect(remove() == ([path], 0))
            #expect(access(path, F_OK) != 0)
        }
    }
}
