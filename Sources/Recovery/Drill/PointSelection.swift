// Which snapshot a drill restores.

import ObjectStore
import Primitives
import Repository
import Workloads

/// Picks the recovery point of one source.
struct PointSelection {
    /// Of those that the listing holds, in order of their numbers.
    private let points: [(snapshot: Snapshot, record: SnapshotRecord)]
    private let source: String
    private let listing: SnapshotListing

    /// - Throws: `.corruptObject` when a snapshot of the source is damaged, since nobody can tell then whether it is
    ///   the one that is asked for; `.snapshotNotFound` when there is none.
    init(_ source: String, in listing: SnapshotListing, _ repository: Repository) throws(HoldfastError) {
        self.source = source
        self.listing = listing
        points = listing.snapshots.compactMap { snapshot in
            snapshot.record.flatMap { $0.source == source ? (snapshot, $0) : nil }
        }
        var tag = points.first?.snapshot.tag
        if tag == nil, repository.keyring.current.keys[.sourceID] != nil { tag = try repository.tag(ofSource: source) }
        if let tag, let damaged = listing.damaged.first(where: { $0.key.path.hasPrefix("snapshots/\(tag)/") }) {
            throw HoldfastError(
                .corruptObject, "\(damaged.key) is damaged: \(damaged.error.message)",
                hint: "Restore it from a mirror, or forget it, and drill again.")
        }
        guard !points.isEmpty else {
            throw HoldfastError(
                .snapshotNotFound, "there is no snapshot of the source \(source)",
                hint: "`holdfast snapshots` lists what there is.")
        }
    }

    /// - Throws: `.snapshotNotFound` when none is as old as was asked for.
    func choose(_ choice: PointChoice, _ entropy: any Entropy) throws(HoldfastError) -> Snapshot {
        switch choice {
        case .latest: return try newest(of: points)
        case .oldest: return points[0].snapshot
        case .arbitrary: return points[try Self.number(below: points.count, entropy)].snapshot
        case .worstReplay:
            let most = points.map { Self.logBytes($0.record) ?? 0 }.max() ?? 0
            return try newest(of: points.filter { (Self.logBytes($0.record) ?? 0) == most })
        case .snapshot(let id):
            guard let found = points.first(where: { $0.snapshot.id == id }) else {
                throw HoldfastError(
                    .snapshotNotFound, "snapshot \(id) is none of \(source), or is gone",
                    hint: "`holdfast snapshots` lists what there is.")
            }
            return found.snapshot
        case .time(let instant):
            let before = points.filter { $0.record.consistentAsOf <= instant }
            guard let found = before.max(by: { $0.record.consistentAsOf < $1.record.consistentAsOf }) else {
                throw HoldfastError(
                    .snapshotNotFound, "no snapshot of \(source) is as old as \(instant)",
                    hint: "The oldest is of \(points[0].record.consistentAsOf).")
            }
            return found.snapshot
        }
    }

    /// Bytes of the newest point, and the most log that any has to replay.
    var fullSize: (bytes: UInt64, logBytes: UInt64) {
        (points.last?.record.counts.bytes ?? 0, points.compactMap { Self.logBytes($0.record) }.max() ?? 0)
    }

    /// The snapshot before `snapshot`; nil for the first.
    func before(_ snapshot: Snapshot) -> Snapshot? {
        points.last { $0.snapshot.sequence < snapshot.sequence }?.snapshot
    }

    private func newest(
        of points: [(snapshot: Snapshot, record: SnapshotRecord)]
    ) throws(HoldfastError) -> Snapshot {
        guard let last = points.last else {
            throw HoldfastError(.snapshotNotFound, "there is no snapshot of the source \(source)")
        }
        return last.snapshot
    }

    /// Bytes of log that a restore of this snapshot replays; nil for what has no log.
    static func logBytes(_ record: SnapshotRecord) -> UInt64? {
        guard let start = record.facts["startPosition"].flatMap({ PostgresPosition($0) }),
            let stop = record.facts["stopPosition"].flatMap({ PostgresPosition($0) }), stop >= start
        else { return nil }
        return stop.bytes - start.bytes
    }

    /// A number from 0 to `count` - 1, each as likely as the others to one part in 2^48 or better.
    private static func number(below count: Int, _ entropy: any Entropy) throws(HoldfastError) -> Int {
        let random = try entropy.bytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return Int(random % UInt64(count))
    }
}
