// The generations that the store shows, and how far each has come.

import ObjectStore
import Primitives

/// What is below gc/.
///
/// Generation n + 1 is begun only when gc/n.sweep is there. A gc/n without a sweep that is not the newest was put
/// late, by a collector that had been away: nobody was asked to honour it, so it is never swept. The `.done` of a
/// generation stays for good, so that a late step of it means nothing to anyone.
struct Generations {
    /// Condemned, not swept.
    struct Open {
        var object: CollectionObject
        /// Store time of gc/n.
        var put: Timestamp
    }

    /// Swept, and not known to be gone.
    struct Swept {
        var condemned: CollectionObject
        var sweep: CollectionObject
    }

    var newest: UInt32 = 0
    var open: Open?
    var swept: [Swept] = []
    /// Objects of generations that are done or void.
    var leftovers: [ObjectKey] = []

    /// What the sweeps name: nothing else is ever deleted.
    var doomedPacks: Set<PackID> {
        Set(swept.flatMap { Set($0.sweep.packs).intersection($0.condemned.packs) })
    }
    var doomedRuns: Set<IndexRunID> {
        Set(swept.flatMap { Set($0.sweep.runs).intersection($0.condemned.runs) })
    }

    init(_ repository: Repository) throws(HoldfastError) {
        var found: [UInt32: [ObjectKind: ObjectInfo]] = [:]
        try repository.store.list(ObjectNames.collections) { (info) throws(HoldfastError) in
            if let (generation, kind) = ObjectNames.collection(info.key) {
                found[generation, default: [:]][kind] = info
            }
        }
        newest = found.keys.max() ?? 0
        for (number, steps) in found.sorted(by: { $0.key < $1.key }) {
            let condemned = steps[.condemned]
            let sweep = steps[.sweep]
            var isDone = steps[.done] != nil
            if isDone, condemned != nil { isDone = try repository.isDone(number) }
            if isDone {
                leftovers += [condemned, sweep].compactMap { $0?.key }
            } else if let condemned, let sweep {
                swept.append(
                    Swept(
                        condemned: try repository.readCollection(condemned.key, .condemned, number),
                        sweep: try repository.readCollection(sweep.key, .sweep, number)))
            } else if let condemned, number == newest {
                open = Open(
                    object: try repository.readCollection(condemned.key, .condemned, number), put: condemned.modified)
            } else {
                // Void: a step that came late. The newest keeps its place, so that its number is not used again.
                if number < newest { leftovers += [condemned, sweep].compactMap { $0?.key } }
            }
        }
    }
}
