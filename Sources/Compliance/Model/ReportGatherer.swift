// Takes evidence link by link, and keeps what a report of one period needs of it.

import Primitives
import Recovery
import Repository

/// The first half of making a report. What it keeps grows with recovery points and tests, not with runs.
package struct ReportGatherer: Sendable {
    package let period: ReportPeriod
    private(set) var chains = ChainFigures()
    private(set) var runs = RunFigures()
    private(set) var inventory = InventoryFigures()
    private(set) var recoveries: [(link: ReportLink, record: EvidenceRecord)] = []
    private(set) var exceptions = ExceptionFigures()
    private(set) var auditHeads: [Report.AuditHeadRow] = []
    private(set) var covered = TimeCover()
    private(set) var rotation = RotationFigures()
    private(set) var segmentsUsed: Int64 = 0
    /// By state, the newest inventory that ended before the period: what was there when it began.
    private var before: [String: (link: ReportLink, record: EvidenceRecord)] = [:]

    package init(_ period: ReportPeriod) { self.period = period }

    private static let stateFact = "state"
    private static let auditFact = "audit"
    /// Of an inventory: the runs of its period are sealed as well.
    package static let coversFact = "covers.runs"

    /// Takes a link; in order of numbers within a chain.
    package mutating func add(_ link: ReportLink) {
        chains.add(link)
        guard let record = link.record else { return }
        switch record.kind.part {
        case .recovery:
            guard period.contains(record.finished) else { return }
            recoveries.append((link, record))
            chains.use(link)
        case .runs: addRuns(record, link)
        case .inventory: addInventory(record, link)
        case .exception: exceptions.add(record, link, isImported: link.isImported)
        }
    }

    /// What was imported is from no scheduler.
    private mutating func addRuns(_ record: EvidenceRecord, _ link: ReportLink) {
        guard !link.isImported else { return }
        let state = record.facts[Self.stateFact] ?? ""
        let isOfPeriod = runs.add(record, state: state, in: period)
        guard isOfPeriod || period.overlaps(record.started, record.finished) else { return }
        segmentsUsed += 1
        covered.add(record.started, record.finished)
        chains.use(link)
        guard let head = record.facts[Self.auditFact] else { return }
        let parts = head.split(separator: " ")
        guard parts.count == 3, let count = UInt64(parts[1]) else { return }
        auditHeads.append(
            Report.AuditHeadRow(
                log: String(parts[0]), host: record.environment.host, state: record.environment.target, records: count,
                sha256: String(parts[2]), sealed: record.finished.description))
    }

    private mutating func addInventory(_ record: EvidenceRecord, _ link: ReportLink) {
        guard !link.isImported else { return }
        let state = record.facts[Self.stateFact] ?? ""
        // One that does not last is a part of the one after it, which begins there.
        let isPart = record.started == record.finished
        if isPart ? record.finished < period.from : record.finished <= period.from {
            if isPart { return }
            if before[state].map({ $0.record.finished <= record.finished }) ?? true { before[state] = (link, record) }
            return
        }
        guard period.overlaps(record.started, record.finished) || period.contains(record.finished) else { return }
        use(record, link)
    }

    private mutating func use(_ record: EvidenceRecord, _ link: ReportLink) {
        chains.use(link)
        exceptions.expect(record.openExceptions)
        inventory.add(record, in: period)
        guard period.overlaps(record.started, record.finished) else { return }
        if record.facts[Self.coversFact] != nil { covered.add(record.started, record.finished) }
        let isWhole = period.from <= record.started && record.finished <= period.to
        for job in record.jobs { runs.expect(job, isWhole: isWhole) }
    }

    /// Takes what was kept for the end. Call it once, after the last link.
    package mutating func close() {
        for (_, (link, record)) in before.sorted(by: { $0.key < $1.key }) { use(record, link) }
        before = [:]
        for link in exceptions.used(in: period) { chains.useAlone(link) }
        auditHeads.sort { ($0.host, $0.state, $0.sealed, $0.records) < ($1.host, $1.state, $1.sealed, $1.records) }
        recoveries.sort { ($0.record.finished, $0.link.reference) < ($1.record.finished, $1.link.reference) }
    }

    /// The links that a file needs to make the same report again; the records of those that are `isUsed` are opened.
    package var needed: [(slot: SlotID, number: UInt32, isUsed: Bool)] { chains.needed }
}
