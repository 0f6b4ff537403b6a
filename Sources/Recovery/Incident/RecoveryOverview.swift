// What a repository can give back, to which instants, and what drills say of it: the first to know in an incident.

import ObjectStore
import Primitives
import Repository
import Workloads

/// What drills and earlier restores showed of one snapshot.
package enum PointProof: Sendable, Hashable {
    /// Nothing tried it to the end, or no record of that can be read.
    case untried
    case proven(Timestamp)
    /// It was found damaged, or a check of its contents or of its engine failed.
    case failed(Timestamp)
}

/// One snapshot that a source can be recovered to.
package struct OfferedPoint: Sendable {
    package var snapshot: Snapshot
    package var record: SnapshotRecord
    /// What was committed in this time before the failure is not in it.
    package var lost: Duration
    package var proof: PointProof
    /// It may hold what went wrong.
    package var isAfterFailure: Bool

    /// Holds all of its source, as far as the snapshot itself knows.
    package var isWhole: Bool { snapshot.isGood }
}

/// The last drill of a source that ran to its end.
package struct LastDrill: Sendable, Hashable {
    package var finished: Timestamp
    package var passed: Bool
    /// From the start of provisioning to the end of validation; nil where it was not measured.
    package var duration: Duration?
    package var logicalBytes: UInt64?
}

/// One source with its points.
package struct OfferedSource: Sendable {
    package var name: String
    package var workload: String
    /// The newest first; never empty.
    package var points: [OfferedPoint]
    package var lastDrill: LastDrill?
    package var samples: [RecoverySample]

    /// What a restore would take where nobody says otherwise: the newest whole point of before the failure, else the
    /// newest whole one, else the newest. What was taken after the failure may hold what went wrong.
    package var best: OfferedPoint {
        points.first { $0.isWhole && !$0.isAfterFailure } ?? points.first(where: \.isWhole) ?? points[0]
    }

    /// The newest that is consistent as of `instant` or earlier; nil when none is as old.
    package func newest(asOf instant: Timestamp) -> OfferedPoint? {
        points.filter { $0.record.consistentAsOf <= instant }
            .max { $0.record.consistentAsOf < $1.record.consistentAsOf }
    }
}

/// What can be recovered, of all sources.
package struct RecoveryOverview: Sendable {
    /// When the service failed, or is taken to have.
    package var failedAt: Timestamp
    /// In order of their names.
    package var sources: [OfferedSource] = []
    /// Snapshots that this key can't read.
    package var sealed = 0
    /// Snapshots that are damaged, by their objects.
    package var damaged: [(object: String, error: HoldfastError)] = []
    /// False when records of drills are damaged or closed to this key, so that more may be proven.
    package var seesAllEvidence = true
    let listing: SnapshotListing
    let evidence: [EvidenceRecord]

    /// Reads all snapshots and all evidence.
    ///
    /// A point after `failedAt` is offered too, and loses nothing.
    /// - Throws: `.snapshotNotFound` when there is nothing that this key could restore; what the store throws.
    package init(_ repository: Repository, failedAt: Timestamp) throws(HoldfastError) {
        self.failedAt = failedAt
        listing = try repository.snapshots()
        let found = try repository.evidence()
        evidence = found.evidence.compactMap(\.record)
        seesAllEvidence = found.damaged.isEmpty && found.evidence.allSatisfy { $0.record != nil }
        damaged = listing.damaged.map { ($0.key.path, $0.error) }
        var bySource: [String: [OfferedPoint]] = [:]
        for snapshot in listing.snapshots {
            guard let record = snapshot.record else {
                sealed += 1
                continue
            }
            bySource[record.source, default: []].append(
                OfferedPoint(
                    snapshot: snapshot, record: record, lost: max(.zero, failedAt.since(record.consistentAsOf)),
                    proof: Self.proof(of: snapshot, found.evidence), isAfterFailure: record.consistentAsOf > failedAt))
        }
        sources = bySource.map { name, points in
            OfferedSource(
                name: name, workload: points[points.count - 1].record.workload, points: points.reversed(),
                lastDrill: Self.lastDrill(of: name, evidence), samples: Self.samples(of: name, evidence))
        }.sorted { $0.name < $1.name }
        if sources.isEmpty {
            let sealed = sealed > 0 ? "; \(sealed) are closed to this key" : ""
            let harmed = damaged.isEmpty ? "" : "; \(damaged.count) are damaged"
            throw HoldfastError(
                .snapshotNotFound, "there is no snapshot that could be restored\(sealed)\(harmed)",
                hint: "Look with another key, or at a mirror of the repository.")
        }
    }

    /// The snapshot that `selector` names.
    ///
    /// - Throws: `.snapshotNotFound`; `.usage` when several ids begin alike.
    package func find(
        _ selector: SnapshotSelector, in repository: Repository
    ) throws(HoldfastError) -> Snapshot { try repository.find(selector, in: listing) }

    /// The newest snapshot of each source, as evidence keeps it.
    package var heads: [EvidenceSnapshot] {
        Set(listing.snapshots.map(\.tag)).compactMap { listing.latest(of: $0) }.map { EvidenceSnapshot($0) }
            .sorted { $0.tag < $1.tag }
    }

    package func source(named name: String) -> OfferedSource? { sources.first { $0.name == name } }

    /// The offer that is this snapshot; nil for one that this key can't read.
    package func point(_ id: SnapshotID) -> (source: OfferedSource, point: OfferedPoint)? {
        for source in sources {
            if let point = source.points.first(where: { $0.snapshot.id == id }) { return (source, point) }
        }
        return nil
    }

    /// The newest verdict counts. What was broken on purpose or interrupted shows nothing; a system that passed beside
    /// a failed check of several neither, nor what failed for another reason than the snapshot. Where nobody can tell
    /// the reason, an older proof does not hold any more; what was found wrong before does.
    private static func proof(of snapshot: Snapshot, _ evidence: [Evidence]) -> PointProof {
        var newest: (at: Timestamp, passed: Bool)?
        var unclear: Timestamp?
        for link in evidence {
            guard let record = link.record, record.sabotage == nil, record.verdict != .interrupted else { continue }
            for member in record.members where member.verdict != .interrupted && member.provesSnapshot {
                guard member.snapshot?.id == snapshot.id, member.snapshot?.digest == snapshot.digest else { continue }
                let passed = member.verdict == .passed
                let isShown = passed ? record.proves(member) : record.isHeldAgainst(member)
                if !passed, !isShown, member.facts[PointDamage.unclearFact] != nil {
                    unclear = max(unclear ?? record.finished, record.finished)
                }
                guard isShown else { continue }
                let at = passed ? link.provenAt(record) : record.finished
                if at >= newest?.at ?? at { newest = (at, passed) }
            }
        }
        guard let newest else { return .untried }
        guard newest.passed else { return .failed(newest.at) }
        if let unclear, unclear >= newest.at { return .untried }
        return .proven(newest.at)
    }

    private static func drills(
        of source: String, _ evidence: [EvidenceRecord]
    ) -> [(record: EvidenceRecord, member: EvidenceMember)] {
        evidence.filter { $0.kind == .drill && $0.sabotage == nil }.flatMap { record in
            record.members.filter { $0.source == source }.map { (record, $0) }
        }
    }

    private static func lastDrill(of source: String, _ evidence: [EvidenceRecord]) -> LastDrill? {
        let done = drills(of: source, evidence).filter { $0.member.verdict != .interrupted }
        return done.max { $0.record.finished < $1.record.finished }.map { record, member in
            LastDrill(
                finished: record.finished, passed: member.verdict == .passed, duration: member.rtoMeasured,
                logicalBytes: member.logicalBytes)
        }
    }

    /// Restores in incidents are left out: one that went on where another broke off fetched only a part.
    private static func samples(of source: String, _ evidence: [EvidenceRecord]) -> [RecoverySample] {
        drills(of: source, evidence).compactMap { RecoverySample($0.record, member: $0.member.name) }
    }
}

/// How long a restore is expected to take, by the drills of its source.
package struct RestoreExpectation: Sendable, Hashable {
    package var estimate: RecoveryEstimate
    /// Drills of the source that passed, of whatever size and hardware.
    package var drills: Int
    /// The newest of them on another class of hardware; told for what it is, and no part of the estimate.
    package var elsewhere: LastDrill?

    /// - Parameters:
    ///   - plan: What is to be fetched and written.
    ///   - target: What is restored into; nil where that is not known yet, which is like no drill's disk.
    package init(
        _ source: OfferedSource, _ record: SnapshotRecord, _ plan: RestorePlan, target: (any Workload)?, store: String
    ) {
        let hardware = DrillHardware.facts(
            scratch: target.map { IncidentTarget.directory(of: $0) } ?? "", store: store)
        let sizes = RecoverySizes(
            storedBytes: plan.bytesToFetch, logicalBytes: plan.bytesToWrite,
            logBytes: PointSelection.logBytes(record) ?? 0)
        estimate = RecoveryEstimate(from: source.samples, to: sizes, hardware: hardware)
        drills = source.samples.count
        let others = source.samples.filter { $0.hardware != hardware }
        elsewhere = others.max { $0.finished < $1.finished }.map {
            LastDrill(finished: $0.finished, passed: true, duration: $0.total, logicalBytes: $0.sizes.logicalBytes)
        }
    }
}
