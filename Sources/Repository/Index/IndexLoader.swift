// Putting the index together from the store: collections, packs and runs, listed in that order.

import Logging
import ObjectStore
import Primitives
import Sealing

/// The collections that a store shows.
package struct CollectionState: Sendable {
    /// The highest generation of which anything is there; 0 for none.
    package var newest: UInt32 = 0
    /// Condemned packs of generations without a sweep: not to be relied on any more.
    package var condemned: [UInt32: CollectionObject] = [:]
    /// What sweeps name and no `.done` says is gone: being deleted.
    package var doomed: [UInt32: CollectionObject] = [:]

    package var condemnedPacks: Set<PackID> { Set(condemned.values.flatMap(\.packs)) }
    package var doomedPacks: Set<PackID> { Set(doomed.values.flatMap(\.packs)) }
}

/// What one look at the store found.
package struct IndexState: Sendable {
    package var collections: CollectionState
    /// Length and store time of every pack.
    package var packs: [PackID: ObjectInfo]
    package var index: Index
    /// Runs that a maintainer's run replaces.
    package var superseded: Set<IndexRunID>
    /// Runs that could not be used, and why.
    package var damaged: [(run: IndexRunID, error: HoldfastError)]
}

extension Repository {
    /// Lists collections, packs and index runs, in that order, and opens the runs.
    ///
    /// - Parameters:
    ///   - purpose: For reading alone, a damaged step of a collection is passed over: it bears on what may be relied on
    ///     and deleted, and a restore does neither.
    ///   - distrusted: Packs known to be bad, which are not relied on.
    /// - Throws: what the store throws; a damaged run is reported in the result, not thrown.
    package func loadIndex(
        for purpose: LookupPurpose = .reuse, distrusted: Set<PackID> = []
    ) throws(HoldfastError) -> IndexState {
        let collections = try purpose == .reading ? readableCollections() : readCollections()
        let packs = try listPacks()
        let (runs, superseded, damaged) = try loadRuns()
        let unwanted = collections.condemnedPacks.union(collections.doomedPacks).union(distrusted)
        let roster = keyring.roster
        let own = keyring.slot
        let index = Index(runs: runs) { pack in
            guard let info = packs[pack.id], info.size == pack.length else { return [] }
            let isVouched = roster[pack.slot].map { $0.role == .admin || $0.role == .restorer } ?? false
            var standing: PackStanding = isVouched ? [.present, .vouched] : .present
            guard !unwanted.contains(pack.id) else { return standing }
            standing.insert(.lasting)
            if isVouched || pack.slot == own { standing.insert(.reusable) }
            return standing
        }
        return IndexState(
            collections: collections, packs: packs, index: index, superseded: superseded, damaged: damaged)
    }

    package func listPacks() throws(HoldfastError) -> [PackID: ObjectInfo] {
        var packs: [PackID: ObjectInfo] = [:]
        try store.list(ObjectNames.packs) { (info) throws(HoldfastError) in
            if let id = ObjectNames.packID(info.key) { packs[id] = info }
        }
        return packs
    }

    /// The steps of each generation that the store shows.
    ///
    /// - Throws: `.rollbackDetected` when the witness refuses them.
    func readCollectionNames() throws(HoldfastError) -> [UInt32: Set<ObjectKind>] {
        let names = try listCollectionNames()
        guard let witness = environment.witness else { return names }
        func steps(_ names: [UInt32: Set<ObjectKind>]) -> [UInt32: StoreMemory.Collection] {
            names.mapValues { kinds in
                var collection = StoreMemory.Collection()
                collection.steps = kinds
                return collection
            }
        }
        // Not the first one, when that came late: a step that it lacks would make what is doomed look good.
        let last = try witness.observe(steps(names)) { () throws(HoldfastError) in steps(try listCollectionNames()) }
        return last.mapValues(\.steps)
    }

    private func listCollectionNames() throws(HoldfastError) -> [UInt32: Set<ObjectKind>] {
        var names: [UInt32: Set<ObjectKind>] = [:]
        try store.list(ObjectNames.collections) { (info) throws(HoldfastError) in
            if let (generation, kind) = ObjectNames.collection(info.key) { names[generation, default: []].insert(kind) }
        }
        return names
    }

    /// Reads the collection objects that bear on what may be relied on.
    package func readCollections() throws(HoldfastError) -> CollectionState {
        let names = try readCollectionNames()
        var state = CollectionState()
        state.newest = names.keys.max() ?? 0
        for (generation, kinds) in names.sorted(by: { $0.key < $1.key }) {
            // A sweep without its generation is void, and what it names beyond its generation is nobody's to delete.
            guard kinds.contains(.condemned) else { continue }
            if kinds.contains(.done), try isDone(generation) { continue }
            let condemned = try readCollection(ObjectNames.condemned(generation), .condemned, generation)
            if kinds.contains(.sweep) {
                var sweep = try readCollection(ObjectNames.sweep(generation), .sweep, generation)
                let named = Set(condemned.packs)
                sweep.packs.removeAll { !named.contains($0) }
                state.doomed[generation] = sweep
            } else {
                state.condemned[generation] = condemned
            }
        }
        return state
    }

    /// The same for whoever reads; nothing is known of any collection when a step of one is damaged.
    func readableCollections() throws(HoldfastError) -> CollectionState {
        do throws(HoldfastError) {
            return try readCollections()
        } catch {
            guard Self.isDamage(error) else { throw error }
            logger.warning("the collections are passed over", metadata: ["error": "\(error)"])
            return CollectionState()
        }
    }

    private static func isDamage(_ error: HoldfastError) -> Bool {
        switch error.code {
        case .corruptObject, .unsupportedFormat, .limitExceeded: true
        default: false
        }
    }

    /// Whether gc/n.done is what it should be. One that someone without the right put there must not make packs that
    /// are being deleted look good again; it is passed over, and the deletes are done once more.
    func isDone(_ generation: UInt32) throws(HoldfastError) -> Bool {
        do throws(HoldfastError) {
            _ = try readCollection(ObjectNames.done(generation), .done, generation)
            return true
        } catch {
            guard Self.isDamage(error) else { throw error }
            logger.warning("the end of a collection is ignored", metadata: ["error": "\(error)"])
            return false
        }
    }

    package func readCollection(
        _ key: ObjectKey, _ kind: ObjectKind, _ generation: UInt32
    ) throws(HoldfastError) -> CollectionObject {
        let bytes = try store.get(key, limit: CollectionObject.maximumSize)
        let object = try CollectionObject(bytes, name: key.path)
        let (body, signature) = try SignedFrame.open(bytes, name: key.path)
        try keyring.verify(body, signature, by: object.slot, name: key.path) { $0.mayCollect }
        guard object.kind == kind, object.generation == generation, object.repository == id else {
            throw HoldfastError(
                .corruptObject, "\(key) is not what its name says", hint: "It is foreign; find out who put it.")
        }
        if let witness = environment.witness {
            let digest = Array(bytes.suffix(32))
            try witness.observe(generation, kind, digest: Bytes32(digest.span.bytes))
        }
        return object
    }

    /// Opens every live run, from the local cache where it is there.
    private func loadRuns() throws(HoldfastError) -> (
        runs: [LoadedRun], superseded: Set<IndexRunID>, damaged: [(run: IndexRunID, error: HoldfastError)]
    ) {
        var ids: [IndexRunID] = []
        try store.list(ObjectNames.index) { (info) throws(HoldfastError) in
            if let id = ObjectNames.indexRunID(info.key) { ids.append(id) }
        }
        let cache = environment.cacheDirectory.map { RunCache(directory: $0, repository: id) }
        var loaded: [LoadedRun] = []
        var damaged: [(run: IndexRunID, error: HoldfastError)] = []
        var superseded: Set<IndexRunID> = []
        for id in ids.sorted() {
            do throws(HoldfastError) {
                let run = try loadRun(id, cache: cache)
                if keyring.roster[run.run.slot]?.mayCollect == true { superseded.formUnion(run.run.supersedes) }
                loaded.append(run)
            } catch {
                switch error.code {
                // A run that went between the listing and the read was superseded: its heir was listed or will be.
                case .objectMissing: continue
                case .storeUnavailable, .accessDenied: throw error
                // Of an epoch that this key was not granted, as well: whoever signs a run names its epoch.
                default: damaged.append((id, error))
                }
            }
        }
        let live = loaded.filter { !superseded.contains($0.id) }
        cache?.removeAll(except: Set(ids))
        return (live, superseded, damaged)
    }

    private func loadRun(_ id: IndexRunID, cache: RunCache?) throws(HoldfastError) -> LoadedRun {
        let key = ObjectNames.indexRun(id)
        if let (clear, table) = cache?.load(id) {
            do throws(HoldfastError) {
                let run = attributed(try IndexRunObject.readClear(clear, name: key.path))
                return try LoadedRun(id: id, run: run, table: table)
            } catch {
                // The cache is no authority: the store has the run.
                logger.debug("a cached index run is passed over", metadata: ["error": "\(error)"])
            }
        }
        let parsed = try parsedRun(id, key)
        guard parsed.run.repository == self.id else { throw ByteReader([], as: key.path).corrupt("it is foreign") }
        try keyring.verify(parsed.body, parsed.signature, by: parsed.run.slot, name: key.path) { !$0.roles.isEmpty }
        let run = attributed(parsed.run)
        let clear = parsed.clear
        let table = try parsed.openedTable(indexKey: try keyring.indexKey(run.epoch), name: key.path)
        cache?.keep(id, clear: clear, table: table)
        return try LoadedRun(id: id, run: run, table: cache?.load(id)?.table ?? RunTable(table))
    }

    /// A run as stored and named. A function of its own, so that the object is let go before its table is opened: a run
    /// is held twice at most, as sealed and as opened.
    private func parsedRun(_ id: IndexRunID, _ key: ObjectKey) throws(HoldfastError) -> IndexRunObject.Parsed {
        let bytes = try store.get(key, limit: IndexRunObject.maximumSize)
        guard IndexRunID(SHA256.digest(bytes.span.bytes)) == id else {
            throw ByteReader([], as: key.path).corrupt("its bytes do not match its name")
        }
        return try IndexRunObject.parse(bytes, name: key.path)
    }

    /// The run with each pack under the name of someone who may answer for it: the signer of the run, unless an admin
    /// or a maintainer passes on what others said. A writer cannot put junk under another's name.
    func attributed(_ run: IndexRunObject) -> IndexRunObject {
        if keyring.roster[run.slot]?.mayCollect == true { return run }
        var run = run
        for place in run.packs.indices { run.packs[place].slot = run.slot }
        return run
    }
}
