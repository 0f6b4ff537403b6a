// Compares what a store shows with what this client has seen there before, and tells when it went back.

import ObjectStore
import Primitives
import Sealing
import Synchronization

/// A witness of one repository for one command.
///
/// It looks at every listing that the repository makes. A store that shows less than before was put back, hides
/// something, or lost it. Nothing is written into the store.
///
/// Thread: any. Failure: a memory that cannot be read or written is told, and stops nothing: without it this client is
/// as good as a new one.
package final class StoreWitness: Sendable {
    /// What a step back leads to.
    package enum Answer: Sendable {
        /// An error, for whatever writes on the ground of what the store shows.
        case refuse
        /// A remark, for whoever looks or restores.
        case tell
        /// The store is right from now on.
        case accept
    }

    package enum Remark: Sendable {
        /// The store went back.
        case alarm(String)
        /// The store went back and this was said to be right.
        case accepted(String)
        /// The memory itself is of no use.
        case memory(String)
    }

    struct State: Sendable {
        var file: MemoryFile?
        /// As it was loaded, and what was seen since.
        var remembered = StoreMemory()
        /// What this command saw.
        var seen = StoreMemory()
        /// Heads that are no heads any more: forgotten by someone with the right, or given up by this client.
        var released: Set<SnapshotID> = []
        var acceptsFormat = false
        var acceptsEpochs = false
        var acceptsCollections = false
        var acceptsEvidence = false
        var told: Set<String> = []
    }

    private let directory: String
    private let answer: Answer
    private let tell: @Sendable (Remark) -> Void
    let state = Mutex(State())

    /// A listing that looks like a step back is made again so often, for what others do between two calls.
    static let looks = 3
    static let pause = Duration.milliseconds(300)

    /// - Parameters:
    ///   - directory: Where memories are kept; it is made when it is not there.
    ///   - tell: Is told of each thing once.
    package init(directory: String, answer: Answer, tell: @escaping @Sendable (Remark) -> Void) {
        self.directory = directory
        self.answer = answer
        self.tell = tell
    }

    // MARK: - Opening and saving

    /// Loads what is remembered of `repository`, and compares all of it with the store.
    ///
    /// - Throws: `.rollbackDetected`, unless steps back are only told or accepted; what the store throws.
    func begin(_ repository: Repository, _ epochs: [Epoch: EpochObject]) throws(HoldfastError) {
        let key = try HKDF.derive(
            try repository.keyring.key(.metaID), salt: repository.id.bytes.array, info: Array("memory".utf8), count: 32)
        let file = MemoryFile(
            directory: directory, location: repository.store.location, repository: repository.id, key: key,
            clock: repository.clock)
        var loaded = StoreMemory()
        do throws(HoldfastError) {
            loaded = try file.load() ?? StoreMemory()
        } catch {
            tell(.memory("what was seen of this repository before cannot be read: \(error.message)"))
        }
        state.withLock { state in
            state = State()
            state.file = file
            state.remembered = loaded
        }
        try observe(format: repository.format.number)
        try observe(epochs: epochs)
        _ = try repository.readCollectionNames()
        try lookAtHeads(repository)
        if !loaded.evidence.isEmpty { _ = try repository.evidenceNames() }
        save()
    }

    /// Reads the snapshots of each source whose newest is not there by its name, or is a tombstone by its size: a
    /// tombstone is taken note of while it is there, since it does not stay.
    private func lookAtHeads(_ repository: Repository) throws(HoldfastError) {
        let heads = state.withLock { $0.remembered.heads }
        guard !heads.isEmpty else { return }
        var names: Set<SnapshotID> = []
        try repository.store.list(ObjectNames.snapshots) { (info) throws(HoldfastError) in
            guard info.size != TombstoneObject.storedSize else { return }
            if let name = ObjectNames.snapshotID(info.key) { names.insert(name.id) }
        }
        for (tag, head) in heads.sorted(by: { $0.key < $1.key }) where !names.contains(head.id) {
            _ = try repository.snapshots(of: tag)
        }
    }

    /// Puts what was seen into the memory, beside what other processes put there meanwhile.
    package func save() {
        let copy = state.withLock { $0 }
        guard let file = copy.file else { return }
        do throws(HoldfastError) {
            try file.update { Self.merged($0, copy) }
        } catch {
            once("save") { .memory("what was seen of this repository cannot be kept: \(error.message)") }
        }
    }

    private static func merged(_ present: StoreMemory, _ state: State) -> StoreMemory {
        var next = present
        if state.acceptsFormat { next.format = 0 }
        if state.acceptsEpochs { next.epochs = [:] }
        if state.acceptsCollections { next.collections = [:] }
        if state.acceptsEvidence { next.evidence = [:] }
        for (tag, head) in next.heads where state.released.contains(head.id) { next.heads[tag] = nil }
        var seen = state.seen
        for (tag, head) in seen.heads where next.heads[tag]?.id == head.id {
            // A head that is only as old as it was is not worth a write.
            if let known = next.heads[tag], head.seen.since(known.seen) < .seconds(7 * 86_400) {
                seen.heads[tag] = known
            }
        }
        next.add(seen)
        return next
    }

    // MARK: - What was seen

    func observe(format number: UInt32) throws(HoldfastError) {
        let known = state.withLock { $0.remembered.format }
        if number < known {
            try stepBack("the newest format object is format/\(number), and was format/\(known) before") {
                $0.acceptsFormat = true
                $0.remembered.format = number
            }
        }
        state.withLock { $0.seen.format = max($0.seen.format, number) }
    }

    func observe(epochs: [Epoch: EpochObject]) throws(HoldfastError) {
        let digests = epochs.mapValues(\.fingerprint)
        let known = state.withLock { $0.remembered.epochs }
        for (epoch, digest) in known.sorted(by: { $0.key < $1.key }) where digests[epoch] != digest {
            let what = digests[epoch] == nil ? "is not there any more" : "is another one than before"
            try stepBack("epochs/\(epoch) \(what)") {
                $0.acceptsEpochs = true
                $0.remembered.epochs = digests
            }
        }
        state.withLock { $0.seen.epochs.merge(digests) { known, _ in known } }
    }

    /// - Parameter again: Lists once more.
    /// - Returns: the last listing.
    func observe(
        _ collections: [UInt32: StoreMemory.Collection],
        again: () throws(HoldfastError) -> [UInt32: StoreMemory.Collection]
    ) throws(HoldfastError) -> [UInt32: StoreMemory.Collection] {
        let known = state.withLock { $0.remembered.collections }
        var shown = collections
        var problems = Self.stepsBack(from: known, to: shown)
        for _ in 1..<Self.looks where !problems.isEmpty {
            shown = try again()
            problems = Self.stepsBack(from: known, to: shown)
        }
        for problem in problems {
            try stepBack(problem) {
                $0.acceptsCollections = true
                $0.remembered.collections = shown
            }
        }
        guard problems.isEmpty || answer == .accept else { return shown }
        state.withLock { state in
            for (number, collection) in shown {
                state.seen.collections[number, default: StoreMemory.Collection()].add(collection)
                state.remembered.collections[number, default: StoreMemory.Collection()].add(collection)
            }
        }
        return shown
    }

    /// A step that was read: who puts one thing and shows another to someone else is found out.
    func observe(_ number: UInt32, _ step: ObjectKind, digest: Bytes32) throws(HoldfastError) {
        if let before = state.withLock({ $0.remembered.collections[number]?.digests[step] }), before != digest {
            try stepBack("\(ObjectNames.step(step, number)) is another one than before") {
                $0.acceptsCollections = true
                $0.remembered.collections[number]?.digests[step] = digest
                $0.seen.collections[number]?.digests[step] = digest
            }
            return
        }
        var collection = StoreMemory.Collection()
        collection.steps = [step]
        collection.digests[step] = digest
        state.withLock { state in
            state.seen.collections[number, default: StoreMemory.Collection()].add(collection)
            state.remembered.collections[number, default: StoreMemory.Collection()].add(collection)
        }
    }

    /// What is missing of the steps of collections, or is another than it was.
    ///
    /// A `.done` stays for good. Without one, a sweep stays with its generation, and the newest generation stays; an
    /// older one without a sweep is void and may go.
    static func stepsBack(
        from known: [UInt32: StoreMemory.Collection], to shown: [UInt32: StoreMemory.Collection]
    ) -> [String] {
        let newest = shown.keys.max() ?? 0
        var problems: [String] = []
        for (number, collection) in known.sorted(by: { $0.key < $1.key }) {
            let now = shown[number] ?? StoreMemory.Collection()
            for step in [ObjectKind.condemned, .sweep, .done] where collection.steps.contains(step) {
                let name = ObjectNames.step(step, number)
                if now.steps.contains(step) {
                    if let before = collection.digests[step], let after = now.digests[step], before != after {
                        problems.append("\(name) is another one than before")
                    }
                } else if step == .done || !now.steps.contains(.done) {
                    let isVoid = step == .condemned && number < newest && !collection.steps.contains(.sweep)
                    if !isVoid { problems.append("\(name) is not there any more") }
                }
            }
        }
        return problems
    }

    /// Compares a listing of one source, or of all, with the heads that are known.
    ///
    /// - Parameter again: Lists once more.
    /// - Returns: the last listing.
    func observe(
        _ listing: SnapshotListing, of tag: SourceTag?, _ clock: any Clock,
        again: () throws(HoldfastError) -> SnapshotListing
    ) throws(HoldfastError) -> SnapshotListing {
        let known = state.withLock { $0.remembered.heads }.filter { tag == nil || $0.key == tag }
        var shown = HeadComparison(listing)
        var verdicts = shown.verdicts(on: known)
        for _ in 1..<Self.looks where verdicts.contains(where: { $0.value.problem != nil }) {
            // Whoever forgets a head says so right after it is gone.
            clock.sleep(for: Self.pause, unless: Cancellation())
            shown = HeadComparison(try again())
            verdicts = shown.verdicts(on: known)
        }
        for (tag, verdict) in verdicts.sorted(by: { $0.key < $1.key }) {
            guard let head = known[tag] else { continue }
            switch verdict {
            case .stepBack(let problem):
                try stepBack(problem) {
                    $0.released.insert(head.id)
                    $0.remembered.heads[tag] = nil
                }
            case .released: release(head.id, of: tag)
            case .unknown, .same: break
            }
        }
        let now = clock.now()
        for (tag, newest) in shown.newest {
            switch verdicts[tag] {
            case .unknown: continue
            case .stepBack where answer != .accept: continue
            default: learn(newest, of: tag, at: now)
            }
        }
        return shown.listing
    }

    /// Gives up a head that this client drops, or that someone else said to have dropped.
    package func release(_ id: SnapshotID, of tag: SourceTag) {
        state.withLock { state in
            state.released.insert(id)
            if state.remembered.heads[tag]?.id == id { state.remembered.heads[tag] = nil }
            if state.seen.heads[tag]?.id == id { state.seen.heads[tag] = nil }
        }
    }

    func learn(_ snapshot: Snapshot, of tag: SourceTag, at now: Timestamp) {
        learn(
            StoreMemory.Head(sequence: snapshot.sequence, id: snapshot.id, digest: snapshot.digest, seen: now), of: tag)
    }

    func learn(_ head: StoreMemory.Head, of tag: SourceTag) {
        state.withLock { state in
            state.seen.learn(head, of: tag)
            state.remembered.learn(head, of: tag)
        }
    }

    /// Looks whether the head of a source is still there, right before a snapshot is put on top of it.
    func confirmHead(of tag: SourceTag, in repository: Repository) throws(HoldfastError) {
        guard let head = state.withLock({ $0.remembered.heads[tag] }) else { return }
        if try repository.store.info(ObjectNames.snapshot(tag, head.id)) == nil {
            _ = try repository.snapshots(of: tag)
        }
    }

    // MARK: - Telling

    func stepBack(_ problem: String, _ accept: (inout State) -> Void) throws(HoldfastError) {
        switch answer {
        case .refuse:
            save()
            throw HoldfastError(
                .rollbackDetected, "the store shows an older state than this client has seen: \(problem)",
                hint: "Find out why before anything is written, as docs/guide.md says; if it is right as it is, run "
                    + "`holdfast snapshots --accept-rollback`.")
        case .tell: once(problem) { .alarm("the store shows an older state than this client has seen: \(problem)") }
        case .accept:
            state.withLock { accept(&$0) }
            once(problem) { .accepted(problem) }
        }
    }

    private func once(_ key: String, _ remark: () -> Remark) {
        if state.withLock({ $0.told.insert(key).inserted }) { tell(remark()) }
    }
}
