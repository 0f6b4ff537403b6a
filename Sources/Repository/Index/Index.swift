// Where every chunk is: the live runs, and for each pack whether it may be read and whether it may be relied on.

import Primitives

/// A copy of a chunk.
package struct ChunkLocation: Sendable, Hashable {
    package var pack: PackID
    package var entry: IndexEntry
    /// The run and the place in it, by which a delta finds its base.
    package var run: Int
    package var place: Int
}

/// What a look-up is for.
package enum LookupPurpose: Sendable {
    /// Reading back: any copy whose pack is in the store.
    case reading
    /// Relying on it in a new snapshot: the pack is listed with its right length, is neither condemned nor bad, and was
    /// written by someone trusted; and so are the packs of its bases.
    case reuse
    /// Keeping in a new snapshot what cannot be stored anew: as ``reuse``, but whoever wrote the pack.
    case keeping

    fileprivate var standing: PackStanding {
        switch self {
        case .reading: .present
        case .reuse: [.present, .reusable]
        case .keeping: [.present, .lasting]
        }
    }
}

/// What is known of a pack when the index is put together.
package struct PackStanding: OptionSet, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let present = PackStanding(rawValue: 1)
    package static let reusable = PackStanding(rawValue: 2)
    /// Written by an admin or a restorer, on whom every writer may rely.
    package static let vouched = PackStanding(rawValue: 4)
    /// Neither condemned nor known to be bad.
    package static let lasting = PackStanding(rawValue: 8)
}

/// An immutable view of the index. A new collection or a new run makes a new view.
///
/// Thread: immutable.
package final class Index: Sendable {
    package let runs: [LoadedRun]
    /// For each run, for each pack in its table.
    private let standings: [[PackStanding]]

    package init(runs: [LoadedRun], standing: (IndexedPack) -> PackStanding) {
        self.runs = runs
        standings = runs.map { $0.run.packs.map(standing) }
    }

    private init(runs: [LoadedRun], standings: [[PackStanding]]) {
        self.runs = runs
        self.standings = standings
    }

    /// This view and one more run, all of whose packs are good.
    package func adding(_ run: LoadedRun) -> Index {
        let good = [PackStanding](repeating: [.present, .reusable, .lasting], count: run.run.packs.count)
        return Index(runs: runs + [run], standings: standings + [good])
    }

    /// This view without the right to rely on `packs`.
    package func distrusting(_ packs: Set<PackID>) -> Index {
        let changed = zip(runs, standings).map { run, standing in
            zip(run.run.packs, standing).map { pack, old in
                packs.contains(pack.id) ? old.subtracting([.reusable, .lasting]) : old
            }
        }
        return Index(runs: runs, standings: changed)
    }

    package var entryCount: Int { runs.reduce(0) { $0 + $1.run.entryCount } }

    /// The shallowest copy that `purpose` allows.
    package func find(_ id: Bytes16, for purpose: LookupPurpose) -> ChunkLocation? {
        find(id, for: purpose, below: UInt8.max)
    }

    /// All copies whose packs are present, whatever their bases.
    package func copies(of id: Bytes16) -> [ChunkLocation] {
        var found: [ChunkLocation] = []
        for (number, run) in runs.enumerated() {
            for place in run.places(of: id) {
                let entry = run.entry(place)
                guard Int(entry.pack) < run.run.packs.count, standings[number][Int(entry.pack)].contains(.present)
                else { continue }
                found.append(
                    ChunkLocation(pack: run.run.packs[Int(entry.pack)].id, entry: entry, run: number, place: place))
            }
        }
        return found
    }

    /// The copy that the delta at `location` is decoded against: one of less depth, so that there are no cycles.
    package func base(of location: ChunkLocation, for purpose: LookupPurpose) -> ChunkLocation? {
        var budget = Self.maximumTries
        return base(of: location, for: purpose, &budget)
    }

    private func base(
        of location: ChunkLocation, for purpose: LookupPurpose, _ budget: inout Int
    ) -> ChunkLocation? {
        guard location.entry.depth > 0, let id = runs[location.run].base(of: location.place) else { return nil }
        let writer = runs[location.run].run.packs[Int(location.entry.pack)].slot
        return find(id, for: purpose, below: location.entry.depth, from: writer, &budget)
    }

    /// The id of the base of a delta.
    package func baseID(of location: ChunkLocation) -> Bytes16? {
        location.entry.depth > 0 ? runs[location.run].base(of: location.place) : nil
    }

    /// The best copy of less depth than `limit`.
    func find(_ id: Bytes16, for purpose: LookupPurpose, below limit: UInt8) -> ChunkLocation? {
        var budget = Self.maximumTries
        return find(id, for: purpose, below: limit, from: nil, &budget)
    }

    /// Copies looked at for one chunk, bases included. An honest index has a few; a hostile one could list so many at
    /// every depth that trying all chains would never end.
    private static let maximumTries = 4096

    /// The shallowest copy of less depth than `limit`, of those that `writer` could rely on where there is one.
    ///
    /// A writer makes deltas against its own packs and those of admins and restorers alone. So a base from anyone else
    /// is the last resort: a stolen writer key that lists junk under a base's id cannot come between.
    private func find(
        _ id: Bytes16, for purpose: LookupPurpose, below limit: UInt8, from writer: SlotID?, _ budget: inout Int
    ) -> ChunkLocation? {
        var best: (location: ChunkLocation, isTrusted: Bool)?
        for (number, run) in runs.enumerated() {
            for place in run.places(of: id) {
                budget -= 1
                guard budget > 0 else { return best?.location }
                let entry = run.entry(place)
                guard entry.depth < limit, Int(entry.pack) < run.run.packs.count else { continue }
                let standing = standings[number][Int(entry.pack)]
                guard standing.contains(purpose.standing) else { continue }
                let pack = run.run.packs[Int(entry.pack)]
                let isTrusted =
                    standing.contains(.vouched) || (writer.map { $0 == pack.slot } ?? standing.contains(.reusable))
                if let best {
                    let isBetter =
                        isTrusted == best.isTrusted ? entry.depth < best.location.entry.depth : isTrusted
                    guard isBetter else { continue }
                }
                let candidate = ChunkLocation(pack: pack.id, entry: entry, run: number, place: place)
                // Depth falls at each step, so that the recursion ends after at most fifteen.
                if entry.depth > 0, base(of: candidate, for: purpose, &budget) == nil { continue }
                best = (candidate, isTrusted)
            }
        }
        return best?.location
    }
}
