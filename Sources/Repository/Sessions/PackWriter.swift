// Filling, sealing and putting packs, and the index runs that name them.

import Compression
import Logging
import ObjectStore
import Primitives
import Sealing
import Synchronization

/// Fills one pack of each kind; two threads seal and put the full ones, or the calling thread does (``Threading``).
///
/// Bounded: one open pack for each kind in use, one waiting, two being put.
final class PackWriter: Sendable {
    private static let putters = 2

    private let repository: Repository
    private let lease: LeaseID
    private let open: [PackKind: Mutex<PackBuilder?>.Box]
    private let queue = BoundedQueue<Work>(capacity: 1)
    private let progress = Monitor(Progress())
    private let threads = Mutex<[JoinableThread]>([])
    private let onRun = Mutex<(@Sendable (LoadedRun) -> Void)?>(nil)

    private struct Work: Sendable {
        let builder: PackBuilder
        let isLast: Bool
    }

    private struct Progress: Sendable {
        var failure: HoldfastError?
        var inFlight = 0
        var bytesStored: UInt64 = 0
        var packs: [IndexedPack] = []
        var written: Set<PackID> = []
        var entries: [(entry: IndexEntry, base: Bytes16)] = []
        var lastRun: Duration
        init() { lastRun = .zero }
    }

    init(_ repository: Repository, lease: LeaseID) {
        self.repository = repository
        self.lease = lease
        var open: [PackKind: Mutex<PackBuilder?>.Box] = [:]
        for kind in PackKind.allCases { open[kind] = Mutex<PackBuilder?>.Box(nil) }
        self.open = open
    }

    func start(onRun handler: @escaping @Sendable (LoadedRun) -> Void) {
        onRun.withLock { $0 = handler }
        progress.withLock { $0.lastRun = repository.clock.uptime() }
        if case .calling = repository.environment.threading { return }
        let started = (0..<Self.putters).compactMap { _ in JoinableThread { self.putPacks() } }
        threads.withLock { $0 = started }
        if started.isEmpty {
            fail(
                HoldfastError(
                    .inputOutput, "no thread can be started", hint: "Raise the limit of processes.", retry: .later))
        }
    }

    var bytesStored: UInt64 { progress.withLock { $0.bytesStored } }

    /// Every pack that was put.
    var written: Set<PackID> { progress.withLock { $0.written } }

    /// - Throws: the first failure of a put.
    func check() throws(HoldfastError) {
        if let failure = progress.withLock({ $0.failure }) { throw failure }
        try repository.environment.cancellation.check()
    }

    func append(
        _ kind: PackKind, id: ChunkID, codec: Codec, depth: UInt8, raw: Int, base: Bytes16,
        _ encoded: UnsafeRawBufferPointer
    ) throws(HoldfastError) {
        guard let slot = open[kind] else { preconditionFailure("every kind has a place") }
        let full = try slot.mutex.withLock { (builder) throws(HoldfastError) -> PackBuilder? in
            let current: PackBuilder
            if let builder { current = builder } else { current = try PackBuilder(kind) }
            current.append(id: id, codec: codec, depth: depth, raw: raw, base: base, encoded)
            builder = current.isFull ? nil : current
            return current.isFull ? current : nil
        }
        if let full { try hand(full, isLast: false) }
    }

    /// Puts all open packs, data before structure, then the run that covers both.
    func finish() throws(HoldfastError) {
        try flush([.page, .delta, .data, .secret])
        try flush([.meta])
        try putRun(whatever: true)
        try check()
    }

    /// Stops the threads. What is complete is indexed, so that a later run can rely on it.
    func close() {
        queue.close()
        for thread in threads.withLock({ $0 }) { thread.join() }
        threads.withLock { $0 = [] }
        do throws(HoldfastError) {
            try putRun(whatever: true)
        } catch {
            repository.logger.debug("an index run was not put", metadata: ["error": "\(error)"])
        }
        onRun.withLock { $0 = nil }
    }

    private func flush(_ kinds: [PackKind]) throws(HoldfastError) {
        for kind in kinds {
            let rest = open[kind]?.mutex.withLock { builder -> PackBuilder? in
                defer { builder = nil }
                return builder
            }
            if let rest, !rest.isEmpty { try hand(rest, isLast: true) }
        }
        let failure = progress.wait { state -> HoldfastError?? in
            state.failure != nil || state.inFlight == 0 ? .some(state.failure) : nil
        }
        if let failure { throw failure }
    }

    private func hand(_ builder: PackBuilder, isLast: Bool) throws(HoldfastError) {
        try check()
        if case .calling = repository.environment.threading {
            finish(Work(builder: builder, isLast: isLast))
            return try check()
        }
        progress.withLock { $0.inFlight += 1 }
        if !queue.push(Work(builder: builder, isLast: isLast)) {
            progress.withLock { $0.inFlight -= 1 }
            throw HoldfastError(.interrupted, "the session is closed", hint: "Run the command again.")
        }
    }

    private func fail(_ error: HoldfastError) {
        progress.withLock { state in
            if state.failure == nil { state.failure = error }
        }
    }

    private func putPacks() {
        while let work = queue.pop() {
            finish(work)
            progress.withLock { $0.inFlight -= 1 }
        }
    }

    /// Puts a pack, and a run if one is due. After a failure the rest is dropped: nothing will be committed.
    private func finish(_ work: Work) {
        guard progress.withLock({ $0.failure == nil }) else { return }
        do throws(HoldfastError) {
            try put(work)
            try putRun(whatever: false)
        } catch {
            fail(error)
        }
    }

    private func put(_ work: Work) throws(HoldfastError) {
        let keyring = repository.keyring
        let kind = work.builder.kind
        let sealing = PackBuilder.Sealing(
            repository: repository.id, epoch: keyring.current.epoch, lease: lease, slot: keyring.slot,
            recipients: keyring.recipients(structure: kind.isStructure),
            indexKey: try keyring.indexKey(keyring.current.epoch), isLast: work.isLast)
        let sealed = try work.builder.seal(sealing, entropy: repository.entropy)
        let key = ObjectNames.pack(sealed.id)
        try sealed.withBytes { (bytes) throws(HoldfastError) in try repository.store.putIfAbsent(key, bytes) }
        let pack = IndexedPack(id: sealed.id, length: UInt64(sealed.length), kind: kind, slot: keyring.slot)
        let chunks = sealed.chunks
        progress.withLock { state in
            state.bytesStored += pack.length
            let number = UInt32(state.packs.count)
            state.packs.append(pack)
            state.written.insert(pack.id)
            for chunk in chunks {
                let entry = IndexEntry(
                    id: chunk.id.bytes.prefix, pack: number, offset: chunk.offset, stored: chunk.stored,
                    codec: chunk.codec, depth: chunk.depth, raw: chunk.raw)
                state.entries.append((entry, chunk.base))
            }
        }
    }

    /// Puts a run of what waits for one, if it is due or `whatever` is set.
    private func putRun(whatever: Bool) throws(HoldfastError) {
        let now = repository.clock.uptime()
        let taken = progress.withLock {
            state -> (packs: [IndexedPack], entries: [(entry: IndexEntry, base: Bytes16)])? in
            let isDue =
                whatever || state.entries.count >= WriterSession.chunksPerRun
                || now - state.lastRun >= WriterSession.timePerRun
            guard isDue, !state.packs.isEmpty else { return nil }
            defer {
                state.packs = []
                state.entries = []
                state.lastRun = now
            }
            return (state.packs, state.entries)
        }
        guard let taken else { return }
        let run = try repository.putRun(packs: taken.packs, entries: taken.entries, supersedes: [])
        progress.withLock { $0.bytesStored += run.length }
        onRun.withLock({ $0 })?(run.loaded)
    }
}

extension Mutex where Value: ~Copyable {
    /// A mutex that can stand in a dictionary.
    final class Box: Sendable where Value: Sendable {
        let mutex: Mutex<Value>
        init(_ value: consuming sending Value) { mutex = Mutex(value) }
    }
}

extension Repository {
    /// Seals and puts an index run, and loads it from what was put.
    package func putRun(
        packs: [IndexedPack], entries: [(entry: IndexEntry, base: Bytes16)], supersedes: [IndexRunID]
    ) throws(HoldfastError) -> (loaded: LoadedRun, length: UInt64) {
        try putRun(
            IndexRunObject(
                repository: id, epoch: keyring.current.epoch, slot: keyring.slot, made: clock.now(),
                supersedes: supersedes, packs: packs, entries: entries))
    }

    /// Seals and puts a run that was put together already; its signer is this client and its epoch the current one.
    package func putRun(_ run: IndexRunObject) throws(HoldfastError) -> (loaded: LoadedRun, length: UInt64) {
        precondition(run.slot == keyring.slot && run.epoch == keyring.current.epoch, "a client signs its own runs")
        let bytes = try run.encoded(
            indexKey: try keyring.indexKey(keyring.current.epoch), signer: keyring.signing, entropy: entropy)
        let runID = IndexRunID(SHA256.digest(bytes.span.bytes))
        try store.putIfAbsent(ObjectNames.indexRun(runID), bytes.span.bytes)
        var clear = run
        clear.table = []
        return (try LoadedRun(id: runID, run: clear, table: RunTable(run.table)), UInt64(bytes.count))
    }

    /// Lists the format again: a feature can be added while old writers run, and they must see it.
    package func checkFormat() throws(HoldfastError) {
        guard try readFormatAgain().writeFeatures == 0 else {
            throw HoldfastError(
                .unsupportedFormat, "writing to this repository needs features that this holdfast does not know",
                hint: "Upgrade holdfast; nothing was changed.")
        }
    }

    /// Lists the format again before anything is dropped, condemned or deleted.
    package func checkFormatForCollecting() throws(HoldfastError) {
        guard try readFormatAgain().collectFeatures == 0 else {
            throw HoldfastError(
                .unsupportedFormat,
                "forgetting and pruning in this repository need features that this holdfast does not know",
                hint: "Upgrade holdfast; nothing was changed.")
        }
    }

    private func readFormatAgain() throws(HoldfastError) -> FormatObject {
        let newest = try Self.readFormat(in: store, trusted: format.adminKey)
        guard newest.repository == format.repository, newest.number >= format.number else {
            throw HoldfastError(
                .rollbackDetected, "the store shows an older format object than before",
                hint: "The store was put back or tampered with; compare it with a mirror.")
        }
        try environment.witness?.observe(format: newest.number)
        return newest
    }
}
