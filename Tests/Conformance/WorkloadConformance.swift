// What every workload must do. One suite; WorkloadUnderTest.swift says who runs it.

import Compression
import Foundation
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

@Suite("Every workload")
struct WorkloadConformance {
    @Test("that can be backed up is in this suite")
    func complete() {
        // A cluster that is read while it is used does not come back byte by byte: Tests/Integration has its suites.
        let servers: Set = ["postgres", "postgresql", "pgdump"]
        let here = Set(WorkloadUnderTest.all.map(\.scheme))
        #expect(here.isDisjoint(with: servers))
        #expect(Set(WorkloadScheme.sources.map(\.name)) == here.union(servers))
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
        #expect(second.record.counts.bytesNew == 0)
        #expect(second.record.parent == first.snapshot)
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
        let out = fixture.directory.path + "/out"
        _ = try restore(try #require(WorkloadScheme.workload("dir:\(out)")), test)
        let names = try FileManager.default.contentsOfDirectory(atPath: out)
        var places: [[UInt8]: String] = [:]
        for root in record.roots {
            places[root.path] = root.entry.metadata.kind == .directory ? out : "\(out)/\(try #require(names.first))"
        }
        var copy = RestoredCopy(record: record, places: places)
        #expect(try workload.check(copy, scratch: nil, context()).allSatisfy { $0.severity == .good })
        guard workload.capabilities.expectsContents else { return }
        for key in record.expectedContents.keys {
            copy.record.expectedContents[key] = "123456789"
            #expect(try workload.check(copy, scratch: nil, context()).contains { $0.severity == .error }, "\(key)")
            copy.record.expectedContents[key] = record.expectedContents[key]
        }
        copy.places = [:]
        #expect(try workload.check(copy, scratch: nil, context()).contains { $0.severity == .error })
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
