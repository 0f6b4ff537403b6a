// What is declared to be protected, sealed beside the run ledger: the denominator of every report.

import Compliance
import Configuring
import Primitives
import Repository
import Scheduling

/// Seals the sources and jobs of a configuration, and the recovery points of a period, into a repository.
///
/// An inventory begins where the one before it of the same state ends, as segments of the run ledger do.
struct Inventory {
    private static let day = Duration.seconds(86_400)
    /// With the longest names a record is still below its limit of 8 MiB.
    private static let pointsInRecord = 2048
    /// So many instants of a schedule are counted in one period; a job that is due every second has one day's.
    private static let mostDue = 100_000

    let repository: Repository
    let configuration: Configuration?
    let jobs: [Job]
    /// Where the repository is; says which sources of the configuration go there.
    let place: RepositoryPlace
    let identity: Int64
    let host: String
    let state: String

    /// Seals up to `end`.
    ///
    /// - Parameter segments: Those of the run ledger that were sealed up to the same instant.
    /// - Durability: on return it is on stable storage. Retry: safe; nothing is sealed twice.
    /// - Returns: nil when there is nothing new to say.
    func seal(until end: Timestamp, segments: [Evidence], at now: Timestamp) throws(HoldfastError) -> Evidence? {
        var last: EvidenceRecord?
        var exceptions = ExceptionFigures()
        try repository.eachEvidence { (link) throws(HoldfastError) in
            guard let record = link.record, link.object.origin == .witnessed else { return }
            if record.kind == .exception {
                exceptions.add(record, ReportLink(link.object, digest: link.digest, record: record), isImported: false)
            }
            // One that does not last is a part of the one after it.
            guard record.kind == .inventory, record.facts[RunLedger.stateFact] == "\(identity)",
                record.started < record.finished, record.finished <= end
            else { return }
            if last.map({ $0.finished <= record.finished }) ?? true { last = record }
        } damaged: { _, _ in
        }
        let snapshots = try repository.snapshots().snapshots.filter { $0.stored < end }
        let begin = last?.finished ?? max(end + (.zero - Self.day), snapshots.map(\.stored).min() ?? end)
        guard begin < end else { return nil }
        let points = snapshots.filter { $0.stored >= begin }.compactMap { EvidencePoint($0) }
        var rest = points[...]
        while rest.count > Self.pointsInRecord {
            var part = try record(from: begin, until: begin, at: now)
            part.points = Array(rest.prefix(Self.pointsInRecord))
            rest = rest.dropFirst(Self.pointsInRecord)
            try repository.attest(part)
        }
        var record = try record(from: begin, until: end, at: now)
        record.points = Array(rest)
        record.sources = sources(snapshots)
        record.jobs = declaredJobs(since: last, from: begin, until: end)
        record.openExceptions = exceptions.open
        if last != nil || segments.contains(where: { ($0.record?.started ?? end) <= begin }) {
            record.facts[ReportGatherer.coversFact] = "yes"
        }
        if let configured = place.configured {
            let locations = [configured.location] + configured.mirrors
            record.facts["copies.declared"] = "\(locations.count)"
            record.facts["copies.offsite"] = "\(locations.count { configured.offsite.contains($0) })"
            record.facts["copies.immutable"] = "\(locations.count { configured.immutable.contains($0) })"
        }
        return try repository.attest(record)
    }

    private func record(
        from begin: Timestamp, until end: Timestamp, at now: Timestamp
    ) throws(HoldfastError) -> EvidenceRecord {
        let id = try ULID(at: now, entropy: repository.entropy)
        var record = EvidenceRecord(
            id: id, kind: .inventory, occasion: .automatic, verdict: .passed, operator: Operator.name,
            toolVersion: ToolVersion.current, runID: id, started: begin, finished: end,
            environment: EvidenceEnvironment(
                host: host, target: state, network: "", account: Operator.name, isSegregated: false))
        record.facts[RunLedger.stateFact] = "\(identity)"
        return record
    }

    // MARK: What is declared

    /// Sources of the configuration that go to this repository, by name.
    private var configured: [ConfiguredSource] {
        guard let configuration else { return [] }
        guard let own = place.configured?.name else { return configuration.sources }
        return configuration.sources.filter { ($0.repository ?? configuration.defaultRepository) == own }
    }

    private func sources(_ snapshots: [Snapshot]) -> [EvidenceSource] {
        var newest: [String: Snapshot] = [:]
        for snapshot in snapshots {
            guard let record = snapshot.record, snapshot.isGood else { continue }
            let known = newest[record.source]?.record?.consistentAsOf
            if known.map({ $0 < record.consistentAsOf }) ?? true { newest[record.source] = snapshot }
        }
        var found: [String: EvidenceSource] = [:]
        for source in configured {
            var one = EvidenceSource(name: source.name, isDeclared: true)
            (one.owner, one.tier, one.dataClass) = (source.owner, source.tier, source.dataClass)
            (one.rpoObjective, one.rtoObjective) = (source.rpo, source.rto)
            found[source.name] = one
        }
        for (name, snapshot) in newest {
            var one = found[name] ?? EvidenceSource(name: name, isDeclared: false)
            one.workload = snapshot.record?.workload ?? ""
            one.newest = EvidencePoint(snapshot)
            found[name] = one
        }
        return found.values.sorted { $0.name < $1.name }
    }

    private func declaredJobs(since last: EvidenceRecord?, from begin: Timestamp, until end: Timestamp) -> [EvidenceJob]
    {
        let before = Dictionary((last?.jobs ?? []).map { ($0.name, $0) }, uniquingKeysWith: { one, _ in one })
        return jobs.map { job in
            var one = EvidenceJob(
                name: job.name.description, kind: job.action.kind, schedule: "\(job.schedule.text)",
                isEnabled: job.isEnabled, sources: sources(of: job.action).sorted(), readsData: job.action.readsData)
            one.jitter = job.jitter
            one.pause = job.pause.flatMap { $0.holds(at: end) ? $0.reason : nil }
            if case .drill(let plan) = job.action { one.plan = plan }
            if let known = before[one.name], known.schedule == one.schedule, known.isEnabled, one.isEnabled {
                // An instant at the beginning belongs to this period, one at the end to the next.
                let due = job.schedule.occurrences(
                    after: begin + .nanoseconds(-1), through: end + .nanoseconds(-1), limit: Self.mostDue + 1)
                one.due = due.count > Self.mostDue ? nil : UInt64(due.count)
            }
            return one
        }
        .sorted { $0.name < $1.name }
    }

    private func sources(of action: JobAction) -> [String] {
        switch action {
        case .backup(let sources), .forget(let sources, _):
            return sources.isEmpty ? configured.map(\.name) : sources
        case .drill(let plan):
            let drill = configuration?.drills.first { $0.name == plan }
            return Array(Set(drill?.systems.map(\.source) ?? [plan]))
        case .check, .mirror, .ledger, .command: return []
        }
    }
}

extension JobAction {
    /// Whether it reads back what is stored.
    fileprivate var readsData: Bool {
        switch self {
        case .check(.structure): false
        case .check: true
        case .backup, .forget, .drill, .mirror, .ledger, .command: false
        }
    }
}

extension EvidencePoint {
    /// Nil when this key may not read the record.
    init?(_ snapshot: Snapshot) {
        guard let record = snapshot.record else { return nil }
        self.init(
            source: record.source, snapshot: EvidenceSnapshot(snapshot), started: record.started,
            consistentAsOf: record.consistentAsOf, durableAt: snapshot.stored, files: record.counts.files,
            bytes: record.counts.bytes, bytesNew: record.counts.bytesNew, bytesStored: record.counts.bytesStored,
            isGood: snapshot.isGood)
        let counted = record.expectedContents.filter { $0.key.contains("rows:") }.sorted { $0.key < $1.key }
        for (name, value) in counted.prefix(Self.maximumRows) { rows[name] = value }
    }
}
