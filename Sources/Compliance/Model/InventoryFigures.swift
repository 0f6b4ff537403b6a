// What inventories declare over a period, put together.

import Primitives
import Repository

/// Sources and jobs by name, from all hosts that seal into the repository.
struct InventoryFigures: Sendable {
    /// A job as the newest inventory that has it declares it.
    private(set) var jobs: [String: EvidenceJob] = [:]
    private var jobTimes: [String: Timestamp] = [:]
    private(set) var sources: [String: SourceFigures] = [:]
    private(set) var count: Int64 = 0
    private(set) var newest: Timestamp?
    private(set) var firstEnd: Timestamp?
    private(set) var lastStart: Timestamp?
    private(set) var copies = Report.Copies(declared: 0, offsite: 0, immutable: 0)
    /// Sources that an enabled job backed up at some time, with those jobs.
    private(set) var planned: [String: Set<String>] = [:]

    mutating func add(_ record: EvidenceRecord, in period: ReportPeriod) {
        for source in record.sources {
            sources[source.name, default: SourceFigures(name: source.name)].add(source, of: record)
        }
        for point in record.points {
            sources[point.source, default: SourceFigures(name: point.source)].add(point, in: period)
        }
        let lasts = record.started < record.finished
        if lasts { firstEnd = min(firstEnd ?? record.finished, record.finished) }
        // The one before the period tells what was there when it began, and nothing else.
        guard period.overlaps(record.started, record.finished) else { return }
        for job in record.jobs {
            if jobTimes[job.name].map({ $0 <= record.finished }) ?? true {
                jobs[job.name] = job
                jobTimes[job.name] = record.finished
            }
            guard job.kind == "backup", job.isEnabled else { continue }
            for source in job.sources { planned[source, default: []].insert(job.name) }
        }
        // A part of an inventory has points alone.
        guard lasts else { return }
        count += 1
        if newest.map({ $0 < record.finished }) ?? true {
            newest = record.finished
            func number(_ fact: String) -> Int64 { record.facts["copies.\(fact)"].flatMap { Int64($0) } ?? 0 }
            copies = Report.Copies(
                declared: number("declared"), offsite: number("offsite"), immutable: number("immutable"))
        }
        lastStart = max(lastStart ?? record.started, record.started)
    }
}
