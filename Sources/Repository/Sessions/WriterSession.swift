// One run of a writer: a lease, the index as it stands, the packs being filled, and the commit.

import Compression
import Logging
import ObjectStore
import Primitives
import Sealing
import Synchronization

/// What a writer must do with a chunk that it has at hand.
package enum ChunkVerdict: Sendable {
    /// The repository holds it, or this session stores it already.
    case known
    /// The caller has claimed it and must encode and append it.
    case wanted
}

/// Stores chunks and commits one snapshot.
///
/// Thread: `resolve` and `append` may be called from any thread; `flush` and `commit` once, when all appends are over.
/// Failure: the first failure of a put is kept, and thrown by every later call; nothing is committed after it.
package final class WriterSession: Sendable {
    /// A run is put when this many chunks wait for it, so that a broken-off backup loses little.
    package static let chunksPerRun = 50_000
    package static let timePerRun = Duration.seconds(600)

    package let repository: Repository
    package let tag: SourceTag
    package let lease: LeaseKeeper
    package let packReader: PackReader
    package let startIndex: IndexState
    let placing: Mutex<PlacingState>
    let packWriter: PackWriter
    private let renewer: LeaseRenewer
    /// When the session began, on the store's clock.
    private let opened: Timestamp

    /// What look-ups and claims go by. One lock for a batch of chunks, not for each.
    struct PlacingState: Sendable {
        var index: Index
        /// Packs that the coming snapshot leans on, bases' packs too.
        var reliedOn: Set<PackID> = []
        /// Chunks that this session claimed and that are in no run of the index yet.
        var claimed: Set<Bytes16> = []
        var hasCommitted = false
    }

    /// Opens a session for snapshots of `source`.
    ///
    /// - Throws: `.notPermitted` when the role may not write, and what the store throws.
    package init(_ repository: Repository, tag: SourceTag, purpose: LeaseObject.Purpose = .write) throws(HoldfastError)
    {
        self.repository = repository
        self.tag = tag
        // The order is the protocol: the lease is seen by every collector before anything is relied upon.
        let lease = try LeaseKeeper(repository, purpose: purpose, tag: tag)
        self.lease = lease
        let state: IndexState
        do throws(HoldfastError) {
            opened = try repository.store.time()
            try repository.checkFormat()
            state = try repository.loadIndex()
            try lease.renew(honouring: state.collections.newest)
        } catch {
            lease.close()
            throw error
        }
        startIndex = state
        packReader = PackReader(store: repository.store, keyring: repository.keyring)
        placing = Mutex(PlacingState(index: state.index))
        packWriter = PackWriter(repository, lease: lease.id)
        renewer = LeaseRenewer(repository.environment)
        packWriter.start { [weak self] run in self?.runWasPut(run) }
        renewer.start { [weak self] in
            do throws(HoldfastError) {
                try self?.honourCollections(renewing: true)
            } catch {
                // A missed renewal is made up for by the next; 30 minutes without one and the commit is refused.
                self?.repository.logger.warning("a lease was not renewed", metadata: ["error": "\(error)"])
            }
        }
    }

    /// The index as it stands now; a new collection or run replaces it.
    package var index: Index { placing.withLock { $0.index } }

    /// Decides for each chunk whether it must be stored, and claims those that must.
    package func resolve(_ ids: [ChunkID]) throws(HoldfastError) -> [ChunkVerdict] {
        try packWriter.check()
        return placing.withLock { state in
            ids.map { id in
                let key = id.bytes.prefix
                if state.claimed.contains(key) { return .known }
                if let found = state.index.find(key, for: .reuse) {
                    Self.rely(on: found, &state)
                    return .known
                }
                state.claimed.insert(key)
                return .wanted
            }
        }
    }

    /// Whether all of `ids` can be relied on, as the content of an unchanged file must be; relies on them if so.
    ///
    /// - Parameter purpose: `.keeping` for what cannot be stored anew: another writer's copy is better than none.
    package func relyOnAll(_ ids: some Sequence<ChunkID>, for purpose: LookupPurpose = .reuse) -> Bool {
        placing.withLock { state in
            var found: [ChunkLocation] = []
            for id in ids where id != .zeros {
                let key = id.bytes.prefix
                if state.claimed.contains(key) { continue }
                guard let location = state.index.find(key, for: purpose) else { return false }
                found.append(location)
            }
            for location in found { Self.rely(on: location, &state, for: purpose) }
            return true
        }
    }

    /// The copy that a delta against `id` is made against, with the index that it stands in, and relies on it.
    ///
    /// That is the shallowest copy of `id`, or the root of its chain when a delta against it would be over eight deep.
    package func base(_ id: ChunkID) -> (location: ChunkLocation, index: Index)? {
        placing.withLock { state in
            guard var found = state.index.find(id.bytes.prefix, for: .reuse) else { return nil }
            if found.entry.depth >= PackContents.maximumDepth {
                while found.entry.depth > 0 {
                    guard let below = state.index.base(of: found, for: .reuse) else { return nil }
                    found = below
                }
            }
            Self.rely(on: found, &state)
            return (found, state.index)
        }
    }

    private static func rely(
        on location: ChunkLocation, _ state: inout PlacingState, for purpose: LookupPurpose = .reuse
    ) {
        var link: ChunkLocation? = location
        while let at = link {
            state.reliedOn.insert(at.pack)
            link = at.entry.depth > 0 ? state.index.base(of: at, for: purpose) : nil
        }
    }

    /// Adds an encoded chunk that ``resolve(_:)`` called wanted.
    package func append(
        _ kind: PackKind, id: ChunkID, codec: Codec, depth: UInt8 = 0, raw: Int, base: Bytes16 = Bytes16(),
        _ encoded: UnsafeRawBufferPointer
    ) throws(HoldfastError) {
        try packWriter.append(kind, id: id, codec: codec, depth: depth, raw: raw, base: base, encoded)
    }

    /// Bytes put into the store so far, packs and runs.
    package var bytesStored: UInt64 { packWriter.bytesStored }

    /// Seals and puts all that is open: data before structure, then the index run.
    package func flush() throws(HoldfastError) {
        try packWriter.finish()
    }

    private func runWasPut(_ run: LoadedRun) {
        placing.withLock { state in
            state.index = state.index.adding(run)
            for place in 0..<run.run.entryCount { state.claimed.remove(run.entry(place).id) }
        }
    }

    /// Renews the lease and honours a new collection at once, as the renewing thread does every five minutes.
    package func renewNow() throws(HoldfastError) { try honourCollections(renewing: true) }

    /// Looks for a new collection and answers it: what was relied on is kept, the rest of its packs is absent from now.
    func honourCollections(renewing: Bool) throws(HoldfastError) {
        let collections = try repository.readCollections()
        guard collections.newest > lease.honoured else {
            if renewing { try lease.renew() }
            return
        }
        let condemned = collections.condemnedPacks.union(collections.doomedPacks)
        // A collector whose listing lacked this lease may have condemned what was written under it.
        let written = packWriter.written.intersection(condemned)
        // The barrier: no look-up runs between taking stock and treating the rest as absent.
        let (kept, isDoomed) = placing.withLock { state -> ([PackID], Bool) in
            state.reliedOn.formUnion(written)
            let kept = state.reliedOn.intersection(condemned)
            state.index = state.index.distrusting(condemned.subtracting(kept))
            return (kept.sorted(), !state.reliedOn.isDisjoint(with: collections.doomedPacks))
        }
        guard !isDoomed else {
            throw HoldfastError(
                .leaseLost, "packs that this backup relies on were swept while it was away",
                hint: "Run the backup again; what was uploaded is reused.")
        }
        try lease.renew(honouring: collections.newest, keeping: kept)
    }

    /// Commits the snapshot: after this returns it is durable and visible.
    ///
    /// - Precondition: ``flush()`` has returned.
    /// - Throws: `.leaseLost` when a collector fenced this writer off; nothing is committed then.
    package func commit(_ record: SnapshotRecord, previous: Snapshot?) throws(HoldfastError) -> SnapshotID {
        try repository.checkFormat()
        // Tombstones do not stay for ever, so that a lease must not either.
        guard try repository.store.time().since(opened) < LeaseTimes.maximumLife else {
            throw HoldfastError(
                .leaseLost, "this backup took longer than a lease lives",
                hint: "Run the backup again; what was uploaded is reused.")
        }
        try honourCollections(renewing: false)
        try repository.environment.witness?.confirmHead(of: tag, in: repository)
        let keyring = repository.keyring
        let object = SnapshotObject(
            repository: repository.id, tag: tag, id: lease.id, sequence: (previous?.sequence ?? 0) + 1,
            previous: previous?.digest ?? Bytes32(), epoch: keyring.current.epoch,
            formatNumber: repository.format.number,
            slot: keyring.slot, runs: index.runs.map(\.id))
        var record = record
        record.evidence = try repository.evidenceHeads(knownBefore: previous?.record?.evidence ?? [])
        let bytes = try object.encoded(
            record, recipients: keyring.recipients(structure: true), signer: keyring.signing,
            entropy: repository.entropy)
        do throws(HoldfastError) {
            try repository.store.putIfAbsent(ObjectNames.snapshot(tag, lease.id), bytes.span.bytes)
        } catch {
            guard error.code == .objectExists else { throw error }
            throw HoldfastError(
                .leaseLost, "this backup was away for too long, and a collection has closed its place",
                hint: "Run the backup again; what was uploaded is reused.")
        }
        placing.withLock { $0.hasCommitted = true }
        if let witness = repository.environment.witness {
            let digest = SHA256.digest(bytes.span.bytes)
            witness.learn(
                StoreMemory.Head(
                    sequence: object.sequence, id: lease.id, digest: digest, seen: repository.clock.now()), of: tag)
            witness.save()
        }
        return lease.id
    }

    /// Ends the session, whether it committed or not. What was put stays, and its index run is put if it can be, so
    /// that the next run reuses it.
    package func close() {
        packWriter.close()
        renewer.stop()
        lease.close(hasCommitted: placing.withLock { $0.hasCommitted })
    }
}
