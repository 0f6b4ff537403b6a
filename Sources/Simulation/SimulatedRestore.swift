// Readers: a snapshot is planned, waited with, and read; and the judge's reading of everything.

import ObjectStore
import Primitives
import Repository

/// Everything that a restore of one snapshot reads, found beforehand.
struct RestoreDraft {
    var files: [(name: String, pieces: [ContentPiece])] = []
    var packs: Set<PackID> = []

    /// Reads the tree and finds the packs of every piece.
    init(_ repository: Repository, _ snapshot: Snapshot, _ index: Index, _ packs: PackReader) throws(HoldfastError) {
        guard let root = snapshot.record?.roots.first?.entry.tree else {
            throw HoldfastError(.notPermitted, "the record is closed to this key", hint: "Use another.")
        }
        let tree = try repository.makeTree(index, packs: packs)
        var files: [(name: String, pieces: [ContentPiece])] = []
        try tree.entries(of: root) { (entry) throws(HoldfastError) in
            var pieces: [ContentPiece] = []
            if let content = entry.content {
                try tree.pieces(of: content) { (_, piece) throws(HoldfastError) in pieces.append(piece) }
            }
            files.append((String(decoding: entry.metadata.name, as: UTF8.self), pieces))
        }
        self.files = files
        for piece in files.flatMap(\.pieces) {
            var link = index.find(piece.id.bytes.prefix, for: .reading)
            guard link != nil else { throw ChunkReader.missing(piece.id) }
            while let at = link {
                self.packs.insert(at.pack)
                link = index.base(of: at, for: .reading)
            }
        }
    }

    func read(_ repository: Repository, _ index: Index, _ packs: PackReader) throws(HoldfastError)
        -> [String: [UInt8]]
    {
        let chunks = try ChunkReader(index: index, packs: packs, keyring: repository.keyring)
        var read: [String: [UInt8]] = [:]
        for file in files {
            var bytes: [UInt8] = []
            for piece in file.pieces { bytes += try chunks.read(piece.id, .data) }
            read[file.name] = bytes
        }
        return read
    }
}

extension Stage {
    /// Restores random snapshots, with a lease or within the grace.
    func restore(rounds: Int) {
        for _ in 0..<rounds where !actor.isDead {
            pauseBetween()
            let isLeased = world.dice.chance(5000)
            attempt("restores") { () throws(HoldfastError) in try restoreOne(isLeased: isLeased) }
        }
    }

    private func restoreOne(isLeased: Bool) throws(HoldfastError) {
        let repository = try open(.restorer)
        let lease = isLeased ? try ReaderLease(repository, tag: SourceTag(Bytes16())) : nil
        defer { lease?.close() }
        let begun = world.now
        let failuresBefore = world.truth.counts["freezes"] ?? 0
        let listing = try repository.snapshots()
        guard let snapshot = world.dice.pick(listing.snapshots) else { return }
        let packs = PackReader(store: store, keyring: repository.keyring)
        let state = try repository.loadIndex()
        let draft = try RestoreDraft(repository, snapshot, state.index, packs)
        try lease?.rely(on: draft.packs)
        let hours = isLeased ? world.dice.pick([0, 1, 24, 30, 60]) : world.dice.pick([0, 1, 10, 20])
        store.wait(.seconds((hours ?? 0) * 3600 + world.dice.below(1800)))
        let read: [String: [UInt8]]
        do throws(HoldfastError) {
            read = try readOrLookAgain(draft, repository, state.index, packs)
        } catch {
            guard error.code == .objectMissing || error.code == .corruptObject else { throw error }
            // A lease protects while its holder is awake, the grace for a day, and neither from an exclusive prune.
            let wasAway = (world.truth.counts["freezes"] ?? 0) > failuresBefore
            let isLate = !isLeased && world.now.since(begun) > LeaseTimes.grace
            let wasRobbed = !isLeased && world.truth.exclusivePrunes.contains { $0 > begun }
            if world.truth.harmed.isEmpty && !wasAway && !isLate && !wasRobbed
                && world.traits.failures + world.traits.lostAnswers == 0
            {
                world.truth.violations.append(
                    "\(actor.name) lost snapshot \(snapshot.id) \(isLeased ? "under a lease" : "within the grace"): "
                        + "\(error)")
            }
            throw error
        }
        if read != world.truth.files[snapshot.id] {
            world.truth.violations.append("\(actor.name) read other bytes of snapshot \(snapshot.id)")
        }
        world.truth.count(isLeased ? "restores with a lease" : "restores without a lease")
    }

    /// What is not found is looked for again in a fresh index before a reader gives up.
    private func readOrLookAgain(
        _ draft: RestoreDraft, _ repository: Repository, _ index: Index, _ packs: PackReader
    ) throws(HoldfastError) -> [String: [UInt8]] {
        do throws(HoldfastError) {
            return try draft.read(repository, index, packs)
        } catch {
            guard error.code == .objectMissing else { throw error }
            return try draft.read(repository, try repository.loadIndex().index, packs)
        }
    }
}
