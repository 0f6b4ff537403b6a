// Whether a chunk can be read, by all copies of it and of its bases, and which objects are to blame when not.

import ObjectStore
import Primitives

/// A copy of a chunk that turned out to be bad.
struct CopyName: Hashable, Sendable {
    var pack: PackID
    var id: Bytes16
}

/// The index with all that a check knows against its packs and copies.
///
/// Deltas are resolved as readers do: to a copy of less depth, so that a run with cycles ends as an unreadable chunk.
struct ChunkStanding: Sendable {
    let runs: [LoadedRun]
    /// For each run, for each pack in its table: the pack is there, with its length and a good head.
    private var isPresent: [[Bool]]
    private(set) var badCopies: Set<CopyName>

    init(_ runs: [LoadedRun], badPacks: Set<PackID>, badCopies: Set<CopyName>) {
        self.runs = runs
        isPresent = runs.map { run in run.run.packs.map { !badPacks.contains($0.id) } }
        self.badCopies = badCopies
    }

    mutating func addBadCopy(_ name: CopyName) { badCopies.insert(name) }

    /// An index of the copies whose packs are there.
    func makeIndex(badPacks: Set<PackID>) -> Index {
        Index(runs: runs) { badPacks.contains($0.id) ? [] : .present }
    }

    /// The shallowest copy that can be read with its bases, as places of packs: runs and packs in their tables.
    ///
    /// - Parameter visit: called for the copy and then for each of its bases.
    /// - Returns: false when no copy can be read.
    @discardableResult
    func resolve(
        _ id: Bytes16, below limit: UInt8 = .max, _ visit: (_ run: Int, _ pack: Int) -> Void = { _, _ in }
    ) -> Bool {
        var best: (run: Int, place: Int, entry: IndexEntry)?
        for (number, run) in runs.enumerated() {
            for place in run.places(of: id) {
                let entry = run.entry(place)
                guard entry.depth < limit, entry.depth < best?.entry.depth ?? .max, isGood(number, entry) else {
                    continue
                }
                if entry.depth > 0 {
                    guard let base = run.base(of: place), resolve(base, below: entry.depth) else { continue }
                }
                best = (number, place, entry)
            }
        }
        guard let best else { return false }
        visit(best.run, Int(best.entry.pack))
        if best.entry.depth > 0, let base = runs[best.run].base(of: best.place) {
            resolve(base, below: best.entry.depth, visit)
        }
        return true
    }

    private func isGood(_ run: Int, _ entry: IndexEntry) -> Bool {
        guard isPresent[run][Int(entry.pack)] else { return false }
        return badCopies.isEmpty
            || !badCopies.contains(CopyName(pack: runs[run].run.packs[Int(entry.pack)].id, id: entry.id))
    }

    /// The packs because of which `id` cannot be read; empty when the index knows no copy.
    func culprits(_ id: Bytes16, below limit: UInt8 = .max) -> Set<PackID> {
        var packs: Set<PackID> = []
        for (number, run) in runs.enumerated() {
            for place in run.places(of: id) {
                let entry = run.entry(place)
                let pack = run.run.packs[Int(entry.pack)].id
                guard entry.depth < limit else { continue }
                if !isGood(number, entry) {
                    packs.insert(pack)
                } else if entry.depth > 0 {
                    let deeper = run.base(of: place).map { culprits($0, below: entry.depth) } ?? []
                    // A delta without a base is to blame itself.
                    if deeper.isEmpty { packs.insert(pack) } else { packs.formUnion(deeper) }
                }
            }
        }
        return packs
    }
}
