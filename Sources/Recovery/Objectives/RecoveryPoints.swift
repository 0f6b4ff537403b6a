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
    /// Points that a drill found damaged, and none recovered since, in some copy: they count until then.
    package var foundDamaged: UInt64 = 0
    /// Points that were recovered in drills in which the checks of their engine were skipped, all of them.
    package var withoutEngine: UInt64 = 0
    /// Damaged snapshots by name.
    package var damaged: [String] = []
    /// Places whose snapshots or evidence cannot be read; what they hold is not counted.
    package var failures: [(location: String, error: HoldfastError)] = []
    /// What drills showed of the source as a whole.
    package var drills: [ShownDrill] = []

    private struct Known {
        var consistentAsOf: Timestamp
        var sequence: UInt64
        var digest: Bytes32
        var copies: [(copy: CopiedPoint.Copy, place: String)]
    }

    /// Reads the snapshots of `source` and the evidence in all places.
    ///
    /// A copy is durable from the instant at which its place's store put the snapshot, which comes last.
    ///
    /// - Throws: `.snapshotNotFound` when no place has any; what the first place throws; `.rollbackDetected` and
    ///   `.interrupted` of any. Other failures of further places are in ``failures``.
    package init(of source: String, in places: [CopyPlace]) throws(HoldfastError) {
        self.source = source
        var known: [SnapshotID: Known] = [:]
        var numbers: Set<UInt64> = []
        var left: Set<SnapshotID> = []
        var newest: (sequence: UInt64, rpo: String?)?
        for (number, place) in places.enumerated() {
            guard
                let listing = try read(
                    place, isFirst: number == 0,
                    { () throws(HoldfastError) in
                        try place.repository.snapshots()
                    })
            else { continue }
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
                ].copies.append((copy, PointDamage.place(place.repository.store.location)))
            }
        }
        guard let last = numbers.max() else {
            throw HoldfastError(
                .snapshotNotFound, "there is no snapshot of the source \(source)",
                hint: "`holdfast snapshots` lists what there is.")
        }
        forgotten = last - UInt64(numbers.count)
        declaredObjective = newest?.rpo.flatMap { Duration(lengthOfTime: $0) }
        let shown = try standings(places)
        seesAllEvidence = shown.isComplete
        drills = shown.links.compactMap { ShownDrill($0, of: source) }
        let locations = Set(places.map { PointDamage.place($0.repository.store.location) })
        for (id, point) in known {
            let standing = shown.standings[EvidencePoint(id: id, digest: point.digest)] ?? PointStanding()
            let stretches = point.copies.map { standing.stretches(of: $0.copy, at: $0.place, among: locations) }
            if stretches.contains(where: { $0.last.map { $0.goneFrom != nil } ?? true }) { foundDamaged += 1 }
            if standing.isWithoutEngine { withoutEngine += 1 }
            points.append(
                CopiedPoint(consistentAsOf: point.consistentAsOf, copies: stretches.flatMap { $0 }))
        }
        points.sort { ($0.consistentAsOf, $0.copies.count) < ($1.consistentAsOf, $1.copies.count) }
    }

    /// What a place shows; nil when it cannot be read, and then it is among ``failures`` once.
    private mutating func read<Listing>(
        _ place: CopyPlace, isFirst: Bool, _ body: () throws(HoldfastError) -> Listing
    ) throws(HoldfastError) -> Listing? {
        do throws(HoldfastError) {
            return try body()
        } catch {
            // An alarm is none of the place's weaknesses.
            guard !isFirst, error.code != .interrupted, error.code != .rollbackDetected else { throw error }
            if !failures.contains(where: { $0.location == place.location }) { failures.append((place.location, error)) }
            return nil
        }
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

    /// What drills showed of each snapshot. What was broken on purpose shows nothing, and what was interrupted no
    /// recovery. A record that was brought in unsigned counts from when it came; `holdfast evidence list` tells which
    /// those are.
    private mutating func standings(
        _ places: [CopyPlace]
    ) throws(HoldfastError) -> (standings: [EvidencePoint: PointStanding], links: [Evidence], isComplete: Bool) {
        var standings: [EvidencePoint: PointStanding] = [:]
        var isComplete = true
        var known: Set<EvidenceHead> = []
        var links: [Evidence] = []
        // A drill of a mirror leaves its evidence there.
        for (number, place) in places.enumerated() {
            guard
                let listing = try read(
                    place, isFirst: number == 0,
                    { () throws(HoldfastError) in
                        try place.repository.evidence()
                    })
            else {
                isComplete = false
                continue
            }
            if !listing.damaged.isEmpty || listing.evidence.contains(where: { $0.record == nil }) { isComplete = false }
            links += listing.evidence.filter { known.insert($0.head).inserted }
        }
        for evidence in links {
            guard let record = evidence.record, record.sabotage == nil else { continue }
            for member in record.members {
                guard let snapshot = member.snapshot else { continue }
                let damage = member.facts[PointDamage.fact].flatMap { PointDamage(rawValue: $0) }
                let isProof = record.proves(member)
                guard isProof || damage != nil else { continue }
                standings[EvidencePoint(id: snapshot.id, digest: snapshot.digest), default: PointStanding()].add(
                    PointStanding.Verdict(
                        at: isProof ? evidence.provenAt(record) : record.finished, damage: isProof ? nil : damage,
                        place: member.facts[PointDamage.placeFact] ?? "", isByEngine: record.isByEngine(member)))
            }
        }
        return (standings, links, isComplete)
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
