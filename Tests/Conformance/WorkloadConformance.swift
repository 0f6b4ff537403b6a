// What every workload must do. One suite; WorkloadUnderTest.swift says who runs it.

import Compression
import Foundation
import Primitives
import Recovery
import Repository
import TestSupport
import TestThreads
import Testing
import Workloads

@Suite("Every workload", .waiting)
struct WorkloadConformance {
    @Test("that can be backed up is in this suite")
    func complete() {
        let here = WorkloadUnderTest.all.flatMap { [$0.scheme] + $0.aliases }
        // Without the server's programs there is nothing to start.
        let lacking = ConformanceCluster.isInstalled ? [] : ["postgres", "postgresql", "pgdump"]
        // Secrets are restored into vaults alone, and never to files that could be compared: VaultSnapshotTests. What a
        // server makes of its storage is another archive each time: RaftTests.
        #expect(Set(WorkloadScheme.sources.map(\.name)) == Set(here + lacking + ["vault", "raft"]))
    }

    @Test("goes by one URL without a look at its source", arguments: WorkloadUnderTest.all)
    func identity(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let scheme = try #require(WorkloadScheme.named(subject.scheme))
        for rest in [fixture.rest, fixture.broken] {
            let workload = try #require(scheme.make(rest, fixture.options))
            let url = workload.identity.url
            #expect(url.hasPrefix("\(subject.scheme):"))
            #expect(workload.capabilities == scheme.capabilities)
            #expect(try #require(WorkloadScheme.workload(url)).identity.url == url)
            #expect(!workload.identity.kind.isEmpty && workload.identity.kind.utf8.count <= 64)
        }
    }

    @Test("is found fit by preflight, which changes nothing", arguments: WorkloadUnderTest.all)
    func preflight(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let before = try picture(fixture.expected)
        let workload = try #require(WorkloadScheme.workload("\(subject.scheme):\(fixture.rest)", fixture.options))
        let findings = try workload.preflight(context())
        #expect(
            findings.allSatisfy { $0.severity == .good && !$0.subject.isEmpty && !$0.message.isEmpty }, "\(findings)")
        #expect(try picture(fixture.expected) == before)
    }

    @Test("comes back as it was, and costs nothing the second time", arguments: WorkloadUnderTest.all)
    func backupAndRestore(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let test = try TestRepository()
        let before = try picture(fixture.expected)
        let first = try backUp(subject, fixture, test)
        #expect(try picture(fixture.expected) == before, "the source changed")
        #expect(first.record.counts.bytesNew >= 300_000)
        #expect(!first.isPartial && !first.isDamaged)
        #expect(first.record.consistentAsOf >= first.record.started)
        #expect(first.record.consistentAsOf <= first.record.finished)
        let second = try backUp(subject, fixture, test)
        #expect(second.record.parent == first.snapshot)
        // What a server's snapshot holds is looked at by the checks.
        guard fixture.isStill else { return }
        #expect(second.record.counts.bytesNew == 0)
        let out = fixture.directory.path + "/out"
        #expect(try restore(try #require(WorkloadScheme.workload("dir:\(out)")), test).result.isComplete)
        #expect(try picture(out) == before)
    }

    @Test("says what it expects to be found again, when it can, and checks it", arguments: WorkloadUnderTest.all)
    func checks(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let test = try TestRepository()
        let record = try backUp(subject, fixture, test).record
        let workload = try #require(WorkloadScheme.workload("\(subject.scheme):\(fixture.rest)", fixture.options))
        #expect(record.expectedContents.isEmpty == !workload.capabilities.expectsContents)
        var copy = try restoredCopy(subject, fixture, record, test)
        let scratch = try workload.startScratch(over: copy, context())
        defer { scratch?.stop() }
        #expect((scratch != nil) == workload.capabilities.needsScratch)
        let findings = try workload.check(copy, scratch: scratch, context())
        #expect(!findings.isEmpty, "a check says also what was passed")
        #expect(
            findings.allSatisfy { $0.severity == .good && !$0.subject.isEmpty && !$0.message.isEmpty }, "\(findings)")
        for key in record.expectedContents.keys {
            copy.record.expectedContents[key] = "123456789"
            // What is but estimated is never more than a warning.
            let least = key.contains("estimate") ? WorkloadFinding.Severity.warning : .error
            let worst = try workload.check(copy, scratch: scratch, context()).map(\.severity).max()
            #expect(try #require(worst) >= least, "\(key)")
            copy.record.expectedContents[key] = record.expectedContents[key]
        }
        copy.places = [:]
        #expect(try workload.check(copy, scratch: scratch, context()).contains { $0.severity == .error })
    }

    @Test(
        "cleans up after its scratch server, and says what it cannot be started over", arguments: WorkloadUnderTest.all)
    func scratch(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let test = try TestRepository()
        let record = try backUp(subject, fixture, test).record
        let workload = try #require(WorkloadScheme.workload("\(subject.scheme):\(fixture.rest)", fixture.options))
        guard workload.capabilities.needsScratch else { return }
        let copy = try restoredCopy(subject, fixture, record, test)
        let scratch = try #require(try workload.startScratch(over: copy, context()))
        #expect(!scratch.address.isEmpty)
        #expect(code { try workload.startScratch(over: copy, context()) } == .targetFailed, "two over one copy")
        scratch.stop()
        scratch.stop()
        let again = try #require(try workload.startScratch(over: copy, context()))
        again.stop()
        #expect(code { try workload.startScratch(over: RestoredCopy(record: record, places: [:]), context()) } != nil)
    }

    /// Restores the latest snapshot as its kind is restored, beside the source.
    private func restoredCopy(
        _ subject: WorkloadUnderTest, _ fixture: WorkloadFixture, _ record: SnapshotRecord, _ test: TestRepository
    ) throws -> RestoredCopy {
        let out = fixture.directory.path + "/out"
        let scheme = fixture.isStill ? "dir" : subject.target ?? "dir"
        #expect(try restore(try #require(WorkloadScheme.workload("\(scheme):\(out)")), test).result.isComplete)
        let names = try FileManager.default.contentsOfDirectory(atPath: out)
        var places: [[UInt8]: String] = [:]
        for root in record.roots {
            places[root.path] = root.entry.metadata.kind == .directory ? out : "\(out)/\(try #require(names.first))"
        }
        return RestoredCopy(record: record, places: places)
    }

    @Test("that cannot be read commits nothing", arguments: WorkloadUnderTest.all)
    func broken(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let test = try TestRepository()
        let workload = WorkloadScheme.workload("\(subject.scheme):\(fixture.broken)", fixture.brokenOptions)
        let options = BackupOptions(source: "test", host: "host", toolVersion: "test")
        let failure = code { try Backup(test.repository, options: options).run(workloads: [try #require(workload)]) }
        #expect(failure != nil)
        #expect(try test.repository.snapshots().snapshots.isEmpty)
    }

    @Test("ends when the operator interrupts, and commits nothing", arguments: WorkloadUnderTest.all)
    func interrupted(_ subject: WorkloadUnderTest) throws {
        let fixture = try subject.make()
        let test = try TestRepository()
        test.environment.cancellation.raise()
        #expect(code { try backUp(subject, fixture, test) } == .interrupted)
        #expect(try test.repository.snapshots().snapshots.isEmpty)
    }

    @Test("is restored to where nothing is, and over what is there", arguments: WorkloadUnderTest.all)
    func targets(_ subject: WorkloadUnderTest) throws {
        guard let target = subject.target else { return }
        let fixture = try subject.make()
        let test = try TestRepository()
        _ = try backUp(subject, fixture, test)
        let out = fixture.directory.path + "/target"
        let workload = try #require(WorkloadScheme.workload("\(target):\(out)"))
        for _ in 0..<2 {
            let (result, findings) = try restore(workload, test)
            #expect(result.isComplete)
            #expect(findings.allSatisfy { $0.severity == .good }, "\(findings)")
        }
        let left = try FileManager.default.contentsOfDirectory(atPath: fixture.directory.path)
        #expect(left.allSatisfy { !$0.hasPrefix(".") }, "\(left)")
    }

    // MARK: Steps

    private func context() -> WorkloadContext {
        WorkloadContext(clock: SystemClock(), entropy: SystemEntropy(), cancellation: Cancellation())
    }

    private func backUp(
        _ subject: WorkloadUnderTest, _ fixture: WorkloadFixture, _ test: TestRepository
    ) throws -> BackupSummary {
        let workload = WorkloadScheme.workload("\(subject.scheme):\(fixture.rest)", fixture.options)
        let options = BackupOptions(source: "test", host: "host", toolVersion: "test")
        return try Backup(test.repository, options: options).run(workloads: [try #require(workload)])
    }

    private func restore(
        _ target: any Workload, _ test: TestRepository
    ) throws -> (result: RestoreResult, findings: [WorkloadFinding]) {
        let selector = try SnapshotSelector("latest")
        let session = try RestoreSession(test.repository) { (repository) throws(HoldfastError) in
            try repository.snapshot(selector).snapshot
        }
        defer { session.close() }
        return try session.restore(to: target, options: Restorer.writerOptions(ownership: false), threads: 2)
    }

    /// The files below a directory with their bytes.
    private func picture(_ place: String) throws -> [String: Data] {
        var files: [String: Data] = [:]
        for name in FileManager.default.enumerator(atPath: place)?.compactMap({ $0 as? String }) ?? [] {
            files[name] = (try? Data(contentsOf: URL(fileURLWithPath: place + "/" + name))) ?? Data()
        }
        return files
    }
}
