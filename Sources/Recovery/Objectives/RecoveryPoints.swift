// The recovery points of a source, from the snapshots of a repository and of its mirrors, and from evidence.

import Logging
import ObjectStore
import Primitives
import Repository

/// One place that holds copies, with what it was declared to be.
package struct CopyPlace: Sendable {
    package var location: String
    package var classes: Set<CopyClass>
    package var repository: Repository

    package init(location: String, classes: Set<CopyClass>, repository: Repository) {
        self.location = location
        self.classes = classes
        self.repository = repository
    }
}

/// What is known of a source's recovery points.
package struct RecoveryPoints: Sendable {
    package var source: String
    package var points: [CopiedPoint] = []
    /// Snapshots that hold less than the whole source, and count for nothing.
    package var incomplete: UInt64 = 0
    /// Snapshots whose record this key can't read.
    package var sealed: UInt64 = 0
    /// Snapshots that numbers tell of and no place has any more. What they would have lowered stays as it is, so that
    /// the figures are upper bounds.
    package var forgotten: UInt64 = 0
    /// The objective that the newest snapshot keeps.
    package var declaredObjective: Duration?
    /// False when this key may not read all evidence, so that verified points may be missing.
    package var seesAllEvidence = true
    /// Damaged snapshots by name.
    package var damaged: [String] = []

    private struct Known {
        var consistentAsOf: Timestamp
        var sequence: UInt64
        var digest: Bytes32
        var copies: [CopiedPoint.Copy]
    }

    /// Reads the snapshots of `source` in all places, and the evidence of the first.
    ///
    /// A copy is durable from the instant at which its place's store put the snapshot, which comes last.
    ///
    /// - Throws: `.snapshotNotFound` when no place has any.
    package init(of source: String, in places: [CopyPlace]) throws(HoldfastError) {
        self.source = source
        var known: [SnapshotID: Known] = [:]
        var numbers: Set<UInt64> = []
        var left: Set<SnapshotID> = []
        var newest: (sequence: UInt64, rpo: String?)?
        for place in places {
            let listing = try place.repository.snapshots()
            damaged += listing.damaged.map { "\(place.location): \($0.key)" }
            for snapshot in listing.snapshots {
                guard let record = snapshot.record else {
                    if try Self.isOf(source, snapshot, place.repository) {
                        left.insert(snapshot.id)
                        sealed = UInt64(left.count)
                        numbers.insert(snapshot.sequence)
                    }
                    continue
                }
                guard record.source == source else { continue }
                numbers.insert(snapshot.sequence)
                if snapshot.sequence > newest?.sequence ?? 0 {
                    newest = (snapshot.sequence, record.facts["declared.rpo"])
                }
                guard snapshot.isGood else {
                    if left.insert(snapshot.id).inserted { incomplete += 1 }
                    continue
                }
                let copy = CopiedPoint.Copy(classes: place.classes, durableAt: snapshot.stored)
                known[
                    snapshot.id,
                    default: Known(
                        consistentAsOf: record.consistentAsOf, sequence: snapshot.sequence, digest: snapshot.digest,
                        copies: [])
                ].copies.append(copy)
            }
        }
        guard let last = numbers.max() else {
            throw HoldfastError(
                .snapshotNotFound, "there is no snapshot of the source \(source)",
                hint: "`holdfast snapshots` lists what there is.")
        }
        forgotten = last - UInt64(numbers.count)
        declaredObjective = newest?.rpo.flatMap { Duration(lengthOfTime: $0) }
        let verified = try places.first.map { (place) throws(HoldfastError) in try Self.verified(place.repository) }
        seesAllEvidence = verified?.isComplete ?? true
        points = known.map { id, point in
            CopiedPoint(
                consistentAsOf: point.consistentAsOf, copies: point.copies,
                verifiedAt: verified?.times[EvidencePoint(id: id, digest: point.digest)])
        }.sorted { ($0.consistentAsOf, $0.copies.count) < ($1.consistentAsOf, $1.copies.count) }
    }

    private static func isOf(
        _ source: String, _ snapshot: Snapshot, _ repository: Repository
    ) throws(HoldfastError) -> Bool {
        guard repository.keyring.current.keys[.sourceID] != nil else { return false }
        return try repository.tag(ofSource: source) == snapshot.tag
    }

    private struct EvidencePoint: Hashable {
        var id: SnapshotID
        var digest: Bytes32
    }

    /// When each snapshot was first shown to be recoverable. What was broken on purpose or interrupted proves nothing.
    /// A record that was brought in unsigned counts; `holdfast evidence list` tells which those are.
    private static func verified(
        _ repository: Repository
    ) throws(HoldfastError) -> (times: [EvidencePoint: Timestamp], isComplete: Bool) {
        let listing = try repository.evidence()
        var times: [EvidencePoint: Timestamp] = [:]
        for evidence in listing.evidence {
            guard let record = evidence.record, record.sabotage == nil, record.verdict != .interrupted else { continue }
            // A member can pass in a drill in which another failed.
            for member in record.members where member.verdict == .passed {
                guard let snapshot = member.snapshot else { continue }
                let point = EvidencePoint(id: snapshot.id, digest: snapshot.digest)
                times[point] = min(times[point] ?? record.finished, record.finished)
            }
        }
        return (times, listing.evidence.allSatisfy { $0.record != nil } && listing.damaged.isEmpty)
    }

    /// The exposure over a period as a view has it.
    package func exposure(
        _ view: ExposureView, from: Timestamp, to: Timestamp
    ) throws(HoldfastError) -> Exposure {
        try Exposure(of: view.points(of: points), from: from, to: to)
    }

    /// When the first point was durable anywhere.
    package var firstDurable: Timestamp? { points.flatMap(\.copies).map(\.durableAt).min() }
}
