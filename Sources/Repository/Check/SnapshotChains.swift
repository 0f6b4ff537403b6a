// The chain of each source's snapshots: sequence numbers and digests of predecessors.

import ObjectStore
import Primitives

/// Compares every snapshot with the one before it.
///
/// A predecessor that is not there was forgotten, which anyone with the right may do. Two snapshots with one number
/// were made at once by two clients, and when one of them is forgotten its successor names nothing that is there: that
/// looks the same as a predecessor that was rewritten, so that it is told and is no error.
struct SnapshotChains {
    private let snapshots: [CheckedSnapshot]

    init(_ snapshots: [CheckedSnapshot]) { self.snapshots = snapshots }

    func check(_ collector: CheckCollector) {
        var bySequence: [SourceTag: [UInt64: [CheckedSnapshot]]] = [:]
        for snapshot in snapshots {
            bySequence[snapshot.object.tag, default: [:]][snapshot.object.sequence, default: []].append(snapshot)
        }
        for snapshot in snapshots {
            let object = snapshot.object
            let name = snapshot.key.path
            let peers = bySequence[object.tag]?[object.sequence] ?? []
            if let first = peers.first, first.object.id != object.id {
                collector.add(
                    .warning, .fork, name, "snapshot \(first.object.id) of the same source has the same number")
            }
            guard object.sequence > 1 else {
                if object.sequence == 0 || !object.previous.isZero {
                    collector.add(.error, .brokenChain, name, "it is numbered as a first one and names a predecessor")
                }
                continue
            }
            let before = bySequence[object.tag]?[object.sequence - 1] ?? []
            if before.isEmpty {
                collector.add(.info, .forgotten, name, "its predecessor was forgotten")
            } else if !before.contains(where: { $0.digest == object.previous }) {
                collector.add(
                    .warning, .brokenChain, name,
                    "it names another predecessor than snapshot \(before[0].object.id), which has the number before; "
                        + "two clients wrote at once, or one was rewritten")
            }
        }
    }
}
