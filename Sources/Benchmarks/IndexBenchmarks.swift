// An index of many chunks: made by the repository's own code, opened as a client opens it, and asked.
//
// Each step is a process of its own, so that the memory of one does not count for the next.

import Compression
import Glibc
import Logging
import ObjectStore
import Primitives
import Repository
import TestSupport

/// The chunks of a synthetic index by number: nothing of them is kept in memory.
struct SyntheticChunks {
    static let perPack = 256
    static let packLength: UInt64 = 32 << 20
    let count: Int

    /// An id that looks random and depends on the number alone (finalizer of SplitMix64, Steele and others, 2014).
    static func id(_ number: Int) -> Bytes16 { Bytes16(w0: mixed(UInt64(number)), w1: mixed(~UInt64(number))) }

    static func pack(_ number: Int) -> PackID {
        let word = mixed(UInt64(number) | 1 << 62)
        return PackID(Bytes32(w0: word, w1: ~word, w2: UInt64(number), w3: word))
    }

    static func mixed(_ word: UInt64) -> UInt64 {
        var word = word &+ 0x9E37_79B9_7F4A_7C15
        word = (word ^ word >> 30) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ word >> 27) &* 0x94D0_49BB_1331_11EB
        return word ^ word >> 31
    }

    var packs: Int { (count + Self.perPack - 1) / Self.perPack }
}

/// A store whose packs are named and not there.
struct NamedPacksStore: ObjectStore {
    let base: LocalStore
    let chunks: SyntheticChunks

    var capabilities: StoreCapabilities { base.capabilities }
    var location: String { base.location }
    func time() throws(HoldfastError) -> Timestamp { try base.time() }
    func releaseReserve() throws(HoldfastError) { try base.releaseReserve() }
    func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) { try base.putIfAbsent(key, bytes) }
    func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] { try base.get(key, limit: limit) }
    func read(_ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        try base.read(key, at: offset, into: buffer)
    }
    func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? { try base.info(key) }
    func delete(_ key: ObjectKey) throws(HoldfastError) { try base.delete(key) }
    func list(_ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void) throws(HoldfastError) {
        guard prefix == ObjectNames.packs else { return try base.list(prefix, visit) }
        for number in 0..<chunks.packs {
            let key = ObjectNames.pack(SyntheticChunks.pack(number))
            try visit(
                ObjectInfo(key: key, size: SyntheticChunks.packLength, modified: Timestamp(nanoseconds: 0)))
        }
    }
}

/// The steps; each runs in its own process and leaves its figures in a file.
enum IndexStep: String, CaseIterable {
    /// Makes the runs as large as merging makes them.
    case build
    /// Opens with an empty cache.
    case cold
    /// Opens with the cache that `cold` filled, and looks up.
    case warm
    /// Opens without a cache.
    case bare

    static let entriesInRun = 1 << 20
    static let queries = 1_000_000

    func run(in directory: String, count: Int) throws(HoldfastError) -> [(name: String, value: Double)] {
        let chunks = SyntheticChunks(count: count)
        if self == .build { return try build(chunks, directory) }
        var logger = Logger(label: "benchmarks") { _ in SwiftLogNoOpLogHandler() }
        logger.logLevel = .critical
        let environment = Environment(
            logger: logger, cacheDirectory: self == .bare ? nil : "\(directory)/cache")
        let store = NamedPacksStore(base: try LocalStore.open(at: "\(directory)/repository"), chunks: chunks)
        let repository = try Repository.open(
            store, secret: TestRepository.secret(TestRepository.password), environment: environment)
        let before = ProcessMemory.anonymous()
        let (index, seconds, peak) = try ProcessMemory.watching { () throws(HoldfastError) in
            try repository.loadIndex().index
        }
        guard index.entryCount == count else {
            throw HoldfastError(.corruptObject, "\(index.entryCount) chunks were opened", hint: "Report this.")
        }
        var found: [(name: String, value: Double)] = [
            ("seconds", seconds), ("before", before), ("opened", ProcessMemory.anonymous()), ("peak", peak),
            ("runs", Double(index.runs.count)),
        ]
        if self == .warm {
            found.append(("hits", try Self.rate(index, from: 0, to: count, isThere: true)))
            found.append(("misses", try Self.rate(index, from: count, to: 2 * count, isThere: false)))
            found.append(("queried", ProcessMemory.anonymous()))
        }
        return found
    }

    private func build(
        _ chunks: SyntheticChunks, _ directory: String
    ) throws(HoldfastError) -> [(name: String, value: Double)] {
        let store = try LocalStore.create(at: "\(directory)/repository")
        let repository = try Repository.create(
            in: store, secret: TestRepository.secret(TestRepository.password), derivation: TestRepository.derivation,
            label: "benchmark", compression: "zstd:3", environment: TestRepository.environment(clock: SystemClock()))
        let clock = ContinuousClock()
        let start = clock.now
        for first in stride(from: 0, to: chunks.count, by: Self.entriesInRun) {
            let end = min(chunks.count, first + Self.entriesInRun)
            let firstPack = first / SyntheticChunks.perPack
            let packs = (firstPack...(end - 1) / SyntheticChunks.perPack).map { number in
                IndexedPack(
                    id: SyntheticChunks.pack(number), length: SyntheticChunks.packLength, kind: .data,
                    slot: repository.keyring.slot)
            }
            let entries = (first..<end).map { number in
                let place = UInt32(number % SyntheticChunks.perPack)
                return (
                    entry: IndexEntry(
                        id: SyntheticChunks.id(number), pack: UInt32(number / SyntheticChunks.perPack - firstPack),
                        offset: place << 17, stored: 130_000, codec: .zstd, depth: 0, raw: 1 << 20),
                    base: Bytes16()
                )
            }
            _ = try repository.putRun(packs: packs, entries: entries, supersedes: [])
        }
        return [("seconds", seconds(clock.now - start))]
    }

    /// Look-ups a second of ids in a scattered order, as a backup asks for them.
    private static func rate(_ index: Index, from first: Int, to end: Int, isThere: Bool) throws(HoldfastError)
        -> Double
    {
        let clock = ContinuousClock()
        let start = clock.now
        var right = 0
        for query in 0..<queries {
            let number = first + Int(SyntheticChunks.mixed(UInt64(query) << 20) % UInt64(end - first))
            if (index.find(SyntheticChunks.id(number), for: .reuse) != nil) == isThere { right += 1 }
        }
        guard right == queries else {
            throw HoldfastError(.corruptObject, "\(queries - right) look-ups went wrong", hint: "Report this.")
        }
        return Double(queries) / seconds(clock.now - start)
    }
}

extension Bench {
    /// Runs the steps in processes of their own, in a directory that is removed.
    mutating func index(count: Int) throws(HoldfastError) {
        guard wants("index/") else { return }
        let directory = TemporaryDirectory()
        var found: [IndexStep: [String: Double]] = [:]
        for step in IndexStep.allCases {
            let path = "\(directory.path)/\(step.rawValue)"
            try runSelf(["--index-step", step.rawValue, directory.path, "\(count)", path])
            found[step] = try readFigures(path)
        }
        func value(_ step: IndexStep, _ name: String) -> Double { found[step]?[name] ?? 0 }
        let size = "\(count) chunks"
        let runs = "\(Int(value(.cold, "runs"))) runs"
        add("index/build", Double(count) / value(.build, "seconds"), "entries/s", "\(size), sealed and put")
        for (step, what) in [(IndexStep.cold, "empty cache"), (.warm, "cached"), (.bare, "no cache")] {
            add("index/open/\(step)", value(step, "seconds") * 1000, "ms", "\(size) in \(runs), \(what)")
            add("index/anonymous/\(step)", value(step, "opened"), "MiB", "after opening")
            add(
                "index/peak/\(step)", value(step, "peak"), "MiB",
                "anonymous, while opening; before: \(Int(value(step, "before"))) MiB")
        }
        add(
            "index/anonymous/queried", value(.warm, "queried"), "MiB", "after \(2 * IndexStep.queries) look-ups, cached"
        )
        add("index/hit", value(.warm, "hits"), "look-ups/s", "what is there, one thread")
        add("index/miss", value(.warm, "misses"), "look-ups/s", "what is not, one thread")
    }

    private mutating func add(_ name: String, _ value: Double, _ unit: String, _ note: String) {
        add(Measurement(name: name, rate: value, unit: unit, note: note))
    }
}
