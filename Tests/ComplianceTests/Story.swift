// What happened in a repository, told as the records that a scheduler and drills leave.

import Compliance
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

/// Days are counted from 2026-01-01; a day is sealed at its end.
final class Story {
    static let begin: Int64 = 1_767_225_600
    static let day: Int64 = 86_400

    let clock: HandClock
    let test: TestRepository
    private var number: UInt64 = 0
    /// Everything that was attested, as it was given.
    private(set) var records: [EvidenceRecord] = []

    init() throws {
        clock = HandClock(Timestamp(seconds: Self.begin))
        test = try TestRepository(clock: clock)
    }

    static func at(_ day: Int64, _ hours: Double = 0) -> Timestamp {
        Timestamp(seconds: begin + day * Self.day + Int64(hours * 3600))
    }

    static func period(_ from: Int64, _ to: Int64) throws -> ReportPeriod {
        try ReportPeriod(from: at(from), to: at(to))
    }

    private func id() -> ULID {
        number += 1
        return ULID(Bytes16(w0: 0x019B_0000_0000_0000, w1: number))
    }

    private func record(_ kind: EvidenceKind, _ from: Timestamp, _ to: Timestamp) -> EvidenceRecord {
        var record = EvidenceRecord(
            id: id(), kind: kind, occasion: .automatic, verdict: .passed, operator: "ada", toolVersion: "0.0",
            runID: id(), started: from, finished: to,
            environment: EvidenceEnvironment(
                host: "one", target: "/state", network: "", account: "ada", isSegregated: false))
        if kind == .runs || kind == .inventory { record.facts["state"] = "7" }
        return record
    }

    @discardableResult
    func tell(_ record: EvidenceRecord, origin: EvidenceOrigin = .witnessed) throws -> Evidence {
        records.append(record)
        return try test.repository.attest(record, origin: origin)
    }

    // MARK: Runs

    static func run(
        _ job: String, _ due: Timestamp, _ outcome: String = "succeeded", late: Int64 = 5, trigger: String = "schedule"
    ) -> EvidenceRun {
        var run = EvidenceRun(job: job, due: due, trigger: trigger, outcome: outcome, reason: "")
        run.attempt = 1
        run.fence = UInt64(due.seconds)
        run.host = "one"
        run.began = due + .seconds(late)
        run.ended = due + .seconds(late + 60)
        return run
    }

    static func absent(_ job: String, _ due: Timestamp, _ reason: String, count: UInt64? = 1) -> EvidenceRun {
        var run = EvidenceRun(job: job, due: due, trigger: "schedule", outcome: "", reason: reason)
        run.last = due
        run.count = count
        return run
    }

    @discardableResult
    func seal(_ day: Int64, _ lines: [EvidenceRun], facts: [String: String] = [:]) throws -> Evidence {
        var record = record(.runs, Self.at(day), Self.at(day + 1))
        record.runs = lines
        record.facts.merge(facts) { _, new in new }
        return try tell(record)
    }

    // MARK: Inventories

    static func point(
        _ source: String, _ sequence: UInt64, asOf: Timestamp, durable: Timestamp, bytes: UInt64 = 1 << 20,
        new: UInt64 = 1 << 10, stored: UInt64 = 1 << 9, isGood: Bool = true
    ) -> EvidencePoint {
        EvidencePoint(
            source: source,
            snapshot: EvidenceSnapshot(
                tag: SourceTag(Bytes16(w0: 1)), id: ULID(Bytes16(w0: UInt64(bitPattern: asOf.seconds), w1: sequence)),
                sequence: sequence, digest: Bytes32(w0: sequence)),
            started: asOf, consistentAsOf: asOf, durableAt: durable, files: 3, bytes: bytes, bytesNew: new,
            bytesStored: stored, isGood: isGood)
    }

    static func source(
        _ name: String, rpo: Duration? = .seconds(26 * 3600), rto: Duration? = .seconds(3600)
    ) -> EvidenceSource {
        var source = EvidenceSource(name: name, isDeclared: true)
        source.workload = "dir"
        source.owner = "ada"
        (source.rpoObjective, source.rtoObjective) = (rpo, rto)
        return source
    }

    static func job(_ name: String, _ sources: [String], kind: String = "backup", due: UInt64? = 1) -> EvidenceJob {
        var job = EvidenceJob(
            name: name, kind: kind, schedule: "daily", isEnabled: true, sources: sources, readsData: kind == "check")
        job.due = due
        return job
    }

    @discardableResult
    func declare(
        _ day: Int64, _ sources: [EvidenceSource], jobs: [EvidenceJob], points: [EvidencePoint] = [],
        open: [EvidenceHead] = [], change: (inout EvidenceRecord) -> Void = { _ in }
    ) throws -> Evidence {
        var record = record(.inventory, Self.at(day), Self.at(day + 1))
        (record.sources, record.jobs, record.points, record.openExceptions) = (sources, jobs, points, open)
        record.facts["covers.runs"] = "yes"
        record.facts["copies.declared"] = "2"
        record.facts["copies.offsite"] = "1"
        change(&record)
        return try tell(record)
    }

    /// A day on which `nightly` ran at one and left a point of each source at a quarter past.
    func quietDay(_ day: Int64, _ sources: [EvidenceSource], sequence: UInt64? = nil) throws {
        let at = Self.at(day, 1)
        try seal(day, [Self.run("nightly", at)])
        try declare(
            day, sources, jobs: [Self.job("nightly", sources.map(\.name))],
            points: sources.map {
                Self.point($0.name, sequence ?? UInt64(day + 1), asOf: at, durable: at + .seconds(900))
            })
    }

    // MARK: Tests and exceptions

    @discardableResult
    func drill(
        _ day: Int64, _ source: String, _ verdict: EvidenceVerdict = .passed, seconds: Int64 = 60,
        origin: EvidenceOrigin = .witnessed, change: (inout EvidenceRecord) -> Void = { _ in }
    ) throws -> Evidence {
        var record = record(.drill, Self.at(day, 3), Self.at(day, 3) + .seconds(seconds + 5))
        record.verdict = verdict
        record.environment.isSegregated = true
        record.environment.network = "namespace"
        var member = EvidenceMember(
            name: source, source: source, workload: "dir", selection: "latest", verdict: verdict)
        member.rtoMeasured = .seconds(seconds)
        member.consistentAsOf = Self.at(day, 1)
        record.members = [member]
        record.checks = [
            EvidenceCheck(
                id: "\(source)/contents", member: source, kind: "contents", statement: "", expected: "as it was",
                actual: verdict == .passed ? "as it was" : "otherwise", verdict: verdict == .passed ? .passed : .failed,
                outputDigest: Bytes32(w0: 3), outputBytes: 9)
        ]
        change(&record)
        return try tell(record, origin: origin)
    }

    @discardableResult
    func exception(_ day: Int64, _ facts: [String: String]) throws -> Evidence {
        var record = record(.exception, Self.at(day, 12), Self.at(day, 12))
        record.facts = facts
        return try tell(record)
    }

    // MARK: Reports

    struct Made {
        var gatherer: ReportGatherer
        var report: Report
    }

    func report(
        _ from: Int64, _ to: Int64, _ framework: Framework = .nist80053, of repository: Repository? = nil
    ) throws -> Made {
        let repository = repository ?? test.repository
        var gatherer = ReportGatherer(try Self.period(from, to))
        try repository.eachEvidence { (link) throws(HoldfastError) in
            gatherer.add(ReportLink(link.object, digest: link.digest, record: link.record))
        } damaged: { _, _ in
        }
        gatherer.close()
        let report = try gatherer.report(framework, repository: repository.id, adminKey: repository.keyring.adminKey)
        return Made(gatherer: gatherer, report: report)
    }

    func document(_ report: Report) throws -> ReportDocument {
        try ReportDocument(
            report,
            origin: ReportOrigin(at: clock.now(), operator: "ada", host: "one", toolVersion: "0.0", seen: []))
    }

    func file(_ from: Int64, _ to: Int64) throws -> [UInt8] {
        let made = try report(from, to)
        return try ReportFile.write(
            try document(made.report), needed: made.gatherer.needed, of: test.repository, to: MemorySink()
        ).bytes
    }
}

extension Report {
    func control(_ id: String) -> ControlRow? { controls.first { $0.control == id } }
    func source(_ name: String) -> SourceRow? { sources.first { $0.source == name } }
    func has(_ key: String) -> Bool { findings.contains { $0.key == key } }
}
