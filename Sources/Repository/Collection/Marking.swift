// Which copies of which chunks the snapshots need: the first half of every collection, and the second look before a
// sweep.

import Logging
import ObjectStore
import Primitives

/// What a walk over all snapshots found.
package struct Marking: Sendable {
    /// The runs in the order of preference that the bits go by.
    package var index: Index
    /// Copies that are needed, bases included.
    package var live: EntryBits
    /// Copies that a snapshot reaches itself, and not only as a base.
    package var direct: EntryBits
    /// Stored bytes of needed chunks, and of all that are listed, in each pack that holds a needed one.
    package var livePacks: [PackID: (needed: UInt64, stored: UInt64)]
    package var snapshots: Int
}

/// Marks from one signer's point of view.
///
/// A snapshot leans on packs of its own signer and of admins and restorers, as its writer did. What other writers claim
/// to hold counts only where nothing else is left, and then all of it is kept: so a stolen writer key that lists junk
/// under the ids of other chunks cannot make the good copies look superfluous.
///
/// Of several copies the one with the shortest chain in packs that are not condemned is needed, the one of the newest
/// run among equals. The rule only decides what is kept; every choice of a whole chain is safe.
private final class MarkPass {
    let view: Index
    /// Mark every copy instead of the preferred one.
    let isOpen: Bool
    let tree: SnapshotTree
    var live: EntryBits
    var direct: EntryBits
    /// Nodes that were walked. A node that is live as a base only has not been.
    private var walked: EntryBits
    private var isNewNode = false

    init(_ view: Index, isOpen: Bool, _ repository: Repository, _ packs: PackReader) throws(HoldfastError) {
        self.view = view
        self.isOpen = isOpen
        tree = try repository.makeTree(view, packs: packs)
        live = EntryBits(view.runs)
        direct = live
        walked = live
    }

    func walk(_ snapshot: Snapshot, _ record: SnapshotRecord, _ cancellation: Cancellation) throws(HoldfastError) {
        for root in record.roots {
            try tree.walk(
                root.entry, isNew: { _ in isNewNode },
                chunk: { (id, content) throws(HoldfastError) in
                    let location = try mark(id)
                    if content == .meta {
                        try cancellation.check()
                        isNewNode = walked.insert(location)
                    }
                },
                failure: { (entry, _, error) throws(HoldfastError) in
                    throw error.with("entry", String(decoding: entry.metadata.name, as: UTF8.self))
                })
        }
    }

    /// Marks a chunk and its bases; the copy by which it is known.
    private func mark(_ id: ChunkID) throws(HoldfastError) -> ChunkLocation {
        let key = id.bytes.prefix
        guard let chosen = view.find(key, for: .reuse) ?? view.find(key, for: .reading) else {
            throw ChunkReader.missing(id)
        }
        _ = direct.insert(chosen)
        if isOpen { markAll(key, below: UInt8.max, direct: true) } else { markChain(chosen) }
        return chosen
    }

    /// A copy that is marked has a whole chain marked below it, so that the walk ends at the first one that is.
    private func markChain(_ start: ChunkLocation) {
        var link: ChunkLocation? = start
        while let at = link, live.insert(at), at.entry.depth > 0 {
            link = view.base(of: at, for: .reuse) ?? view.base(of: at, for: .reading)
        }
    }

    private func markAll(_ id: Bytes16, below limit: UInt8, direct isDirect: Bool) {
        for copy in view.copies(of: id) where copy.entry.depth < limit {
            if isDirect { _ = direct.insert(copy) }
            guard live.insert(copy), let base = view.baseID(of: copy) else { continue }
            markAll(base, below: copy.entry.depth, direct: false)
        }
    }
}

extension Repository {
    /// Walks all snapshots and marks what they need.
    ///
    /// - Precondition: `state` was loaded after `listing`, since runs are put before the snapshots that need them.
    /// - Parameter condemned: Packs to be avoided where a whole chain of other copies is there.
    /// - Throws: whenever anything cannot be read or found, naming it: nothing is deleted on partial knowledge.
    /// Memory: three bits for each entry of the index, for two signers at a time.
    func mark(
        _ listing: SnapshotListing, _ state: IndexState, condemned: Set<PackID>
    ) throws(HoldfastError) -> Marking {
        if let (key, error) = listing.damaged.first { throw Self.refusal("\(key) cannot be read", error) }
        if let (run, error) = state.damaged.first(where: { !state.superseded.contains($0.run) }) {
            throw Self.refusal("\(ObjectNames.indexRun(run)) cannot be read", error)
        }
        let runs = state.index.runs.sorted { ($0.run.made, $0.id) > ($1.run.made, $1.id) }
        let doomed = state.collections.doomedPacks
        func view(trusting slot: SlotID?) -> Index {
            Index(runs: runs) { pack in
                guard let info = state.packs[pack.id], info.size == pack.length, !doomed.contains(pack.id) else {
                    return []
                }
                if let slot, slot != pack.slot, keyring.roster[pack.slot]?.mayRewrite != true { return [] }
                return condemned.contains(pack.id) ? .present : [.present, .reusable]
            }
        }
        let packs = PackReader(store: store, keyring: keyring)
        let open = try MarkPass(view(trusting: nil), isOpen: true, self, packs)
        var live = open.live
        var direct = open.live
        let bySlot = Dictionary(grouping: listing.snapshots, by: \.slot)
        for (slot, snapshots) in bySlot.sorted(by: { $0.key.description < $1.key.description }) {
            let pass = try MarkPass(view(trusting: slot), isOpen: false, self, packs)
            for snapshot in snapshots {
                guard let record = snapshot.record else {
                    throw Self.refusal(
                        "snapshot \(snapshot.id) cannot be read",
                        keyring.lacks("the structure key of epoch \(snapshot.epoch)"))
                }
                do throws(HoldfastError) {
                    try pass.walk(snapshot, record, environment.cancellation)
                } catch {
                    guard error.code == .objectMissing || error.code == .corruptObject else { throw error }
                    logger.debug("a snapshot needs packs of others", metadata: ["snapshot": "\(snapshot.id)"])
                    do throws(HoldfastError) {
                        try open.walk(snapshot, record, environment.cancellation)
                    } catch {
                        if error.code == .interrupted || error.code == .storeUnavailable { throw error }
                        throw Self.refusal("snapshot \(snapshot.id) cannot be read in full", error)
                    }
                }
            }
            live.formUnion(pass.live)
            direct.formUnion(pass.direct)
        }
        live.formUnion(open.live)
        direct.formUnion(open.direct)
        return Marking(
            index: open.view, live: live, direct: direct, livePacks: Self.livePacks(runs, live),
            snapshots: listing.snapshots.count)
    }

    private static func livePacks(
        _ runs: [LoadedRun], _ live: EntryBits
    ) -> [PackID: (needed: UInt64, stored: UInt64)] {
        var bytes: [PackID: (needed: UInt64, stored: UInt64)] = [:]
        for (number, run) in runs.enumerated() {
            var sums = [(needed: UInt64?, stored: UInt64)](repeating: (nil, 0), count: run.run.packs.count)
            for place in 0..<run.run.entryCount {
                let entry = run.entry(place)
                let pack = Int(entry.pack)
                guard pack < sums.count else { continue }
                sums[pack].stored += UInt64(entry.stored)
                if live.contains(run: number, place: place) {
                    sums[pack].needed = (sums[pack].needed ?? 0) + UInt64(entry.stored)
                }
            }
            for (pack, sum) in zip(run.run.packs, sums) {
                guard let needed = sum.needed else { continue }
                // A pack may stand in several runs; its chunks are needed in one of them.
                let other = bytes[pack.id] ?? (0, 0)
                bytes[pack.id] = (other.needed + needed, max(other.stored, sum.stored))
            }
        }
        return bytes
    }

    static func refusal(_ what: String, _ error: HoldfastError) -> HoldfastError {
        HoldfastError(
            error.code, "nothing is collected, since \(what): \(error.message)",
            hint: "Run `holdfast check`; `holdfast repair index` or `holdfast forget` of what is lost comes first.",
            context: error.context.map { ($0.key, $0.value) }, cause: error, retry: error.retry)
    }
}

extension Member {
    /// Whether packs of this slot stand for whatever chunk they list: those of admins and restorers, who repack.
    var mayRewrite: Bool { roles.values.contains { $0 == .admin || $0 == .restorer } }
}
