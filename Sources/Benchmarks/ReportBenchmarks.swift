// A report over five years of daily runs of two hundred sources.

import Compliance
import Primitives
import Repository
import TestSupport

extension Bench {
    private static let sources = 200
    private static let days: Int64 = 5 * 365 + 1
    private static let begin: Int64 = 1_609_459_200

    /// Seals the days of five years into a repository in memory, then makes the report as `holdfast report` does, its
    /// file included.
    mutating func reports() throws(HoldfastError) {
        // Five years take half a minute to seal, so that it is done only by its name.
        guard filter.hasPrefix("report/") else { return }
        let clock = HandClock(Timestamp(seconds: Self.begin))
        let test = try TestRepository(clock: clock)
        for day in 0..<Self.days { try Self.seal(day, into: test.repository, clock) }
        let before = ProcessMemory.anonymous()
        let made = try ProcessMemory.watching { () throws(HoldfastError) in try Self.report(of: test.repository) }
        let note = "\(made.result.report.totals.done) runs, \(made.result.report.chains.first?.last ?? 0) links"
        add(Measurement(name: "report/made", rate: made.seconds, unit: "s", note: note))
        add(
            Measurement(
                name: "report/made memory", rate: made.peak - before, unit: "MiB",
                note: "beside the repository, which is in memory here"))
        let page = try ProcessMemory.watching { () throws(HoldfastError) in made.result.html.utf8.count }
        add(Measurement(name: "report/html", rate: page.seconds, unit: "s", note: "\(ByteCount(UInt64(page.result)))"))
        let file = try ProcessMemory.watching { () throws(HoldfastError) in
            try ReportFile.write(
                made.result, needed: try Self.gathered(test.repository).needed, of: test.repository, to: CountingSink())
        }
        add(
            Measurement(
                name: "report/file", rate: file.seconds, unit: "s",
                note: "all evidence read again, \(ByteCount(file.result.bytes))"))
    }

    private static func gathered(_ repository: Repository) throws(HoldfastError) -> ReportGatherer {
        var gatherer = ReportGatherer(
            try ReportPeriod(from: Timestamp(seconds: begin), to: Timestamp(seconds: begin + days * 86_400)))
        try repository.eachEvidence { (link) throws(HoldfastError) in
            gatherer.add(ReportLink(link.object, digest: link.digest, record: link.record))
        } damaged: { _, _ in
        }
        gatherer.close()
        return gatherer
    }

    private static func report(of repository: Repository) throws(HoldfastError) -> ReportDocument {
        let report = try gathered(repository).report(
            .nist80053, repository: repository.id, adminKey: repository.keyring.adminKey)
        return try ReportDocument(
            report,
            origin: ReportOrigin(
                at: repository.clock.now(), operator: "bench", host: "bench", toolVersion: "0", seen: []))
    }

    private static func seal(
        _ day: Int64, into repository: Repository, _ clock: HandClock
    ) throws(HoldfastError) {
        clock.advance(by: .seconds(86_400))
        let from = Timestamp(seconds: begin + day * 86_400)
        func record(_ kind: EvidenceKind) throws(HoldfastError) -> EvidenceRecord {
            let id = try ULID(at: clock.now(), entropy: repository.entropy)
            var record = EvidenceRecord(
                id: id, kind: kind, occasion: .automatic, verdict: .passed, operator: "bench", toolVersion: "0",
                runID: id, started: from, finished: from + .seconds(86_400),
                environment: EvidenceEnvironment(
                    host: "bench", target: "/state", network: "", account: "bench", isSegregated: false))
            record.facts = ["state": "1", ReportGatherer.coversFact: "yes"]
            return record
        }
        var segment = try record(.runs)
        var inventory = try record(.inventory)
        for number in 0..<sources {
            let name = "source-\(number)"
            let due = from + .seconds(Int64(number) * 60)
            var run = EvidenceRun(
                job: "job-\(number)", due: due, trigger: "schedule", outcome: "succeeded", reason: "")
            (run.attempt, run.fence, run.host) = (1, UInt64(day) * 1000 + UInt64(number), "bench")
            (run.began, run.ended) = (due + .seconds(5), due + .seconds(300))
            segment.runs.append(run)
            var source = EvidenceSource(name: name, isDeclared: true)
            (source.workload, source.owner) = ("dir", "ada")
            (source.rpoObjective, source.rtoObjective) = (.seconds(26 * 3600), .seconds(3600))
            inventory.sources.append(source)
            var job = EvidenceJob(
                name: "job-\(number)", kind: "backup", schedule: "daily", isEnabled: true, sources: [name])
            job.due = 1
            inventory.jobs.append(job)
            let id = try ULID(at: due, entropy: repository.entropy)
            inventory.points.append(
                EvidencePoint(
                    source: name,
                    snapshot: EvidenceSnapshot(
                        tag: SourceTag(Bytes16(w0: UInt64(number))), id: id, sequence: UInt64(day) + 1,
                        digest: Bytes32(w0: UInt64(day), w1: UInt64(number))),
                    started: due, consistentAsOf: due, durableAt: due + .seconds(300), files: 1000,
                    bytes: 1 << 30 + UInt64(day) << 20, bytesNew: 1 << 20, bytesStored: 1 << 19, isGood: true))
        }
        try repository.attest(segment)
        try repository.attest(inventory)
    }
}

/// Counts what a file would have.
private struct CountingSink: ReportSink {
    var bytes: UInt64 = 0
    mutating func write(_ bytes: [UInt8]) throws(HoldfastError) { self.bytes += UInt64(bytes.count) }
}
