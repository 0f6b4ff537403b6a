// What a check found: errors, warnings, plain facts, and whom the damage hurts.

import ObjectStore
import Primitives

/// How grave a finding is. Only errors make a check fail.
package enum CheckSeverity: String, Sendable, CaseIterable, Comparable {
    case error
    case warning
    case info

    package static func < (a: CheckSeverity, b: CheckSeverity) -> Bool { a.rank < b.rank }

    private var rank: Int {
        switch self {
        case .error: 0
        case .warning: 1
        case .info: 2
        }
    }
}

/// What is wrong, as a stable machine-readable name.
package enum CheckProblem: String, Sendable, CaseIterable {
    case unreadable = "unreadable"
    case damaged = "damaged"
    case missing = "missing"
    case foreign = "foreign"
    case wrongLength = "wrong-length"
    case wrongName = "wrong-name"
    case badSignature = "bad-signature"
    case brokenChain = "broken-chain"
    case fork = "fork"
    case forgotten = "forgotten"
    case indexDiffers = "index-differs"
    case chunkMissing = "chunk-missing"
    case unknownObject = "unknown-object"
    case unreferenced = "unreferenced"
    case notIndexed = "not-indexed"
    case notDecoded = "not-decoded"
    case swept = "swept"
    case unpinned = "unpinned"
}

/// A path of a snapshot that a restore would miss.
package struct HurtPath: Sendable, Hashable {
    package var snapshot: SnapshotID
    package var path: [UInt8]
}

/// What depends on a bad object.
package struct CheckDamage: Sendable, Hashable {
    /// Every snapshot that loses something, in order of its id.
    package var snapshots: [SnapshotID] = []
    /// The first paths, at most as many as the options allow.
    package var paths: [HurtPath] = []
    /// All paths, also those that are not listed.
    package var pathCount: UInt64 = 0
    /// Without keys nothing tells which part of the object a snapshot needs.
    package var isGuess = false

    package init() {}
}

/// One thing that a check has to say.
package struct CheckFinding: Sendable, Hashable {
    package var severity: CheckSeverity
    package var problem: CheckProblem
    /// The object's name, or what stands for several.
    package var object: String
    package var message: String
    package var damage = CheckDamage()

    package init(_ severity: CheckSeverity, _ problem: CheckProblem, _ object: String, _ message: String) {
        self.severity = severity
        self.problem = problem
        self.object = object
        self.message = message
    }
}

/// A read that failed or gave wrong bytes, and was good when it was repeated.
package struct TransientRead: Sendable, Hashable {
    package var object: String
    package var message: String
}

/// Objects and bytes that a check went through.
package struct CheckCounts: Sendable, Hashable {
    package var snapshots: UInt64 = 0
    package var tombstones: UInt64 = 0
    package var runs: UInt64 = 0
    package var packs: UInt64 = 0
    package var packBytes: UInt64 = 0
    /// Packs that were read from end to end, and their bytes.
    package var packsRead: UInt64 = 0
    package var packBytesRead: UInt64 = 0
    /// Chunks that were decoded and compared with their ids, and their plain bytes.
    package var chunksVerified: UInt64 = 0
    package var plainBytesVerified: UInt64 = 0
    /// Nodes of trees that were read, each once.
    package var nodes: UInt64 = 0
    /// Chunks that the trees of the snapshots name, repeats in nodes read once counted.
    package var references: UInt64 = 0
    /// Links of evidence.
    package var evidence: UInt64 = 0
    /// Objects of all other kinds.
    package var others: UInt64 = 0

    package init() {}
}

/// The outcome of a check.
package struct CheckReport: Sendable {
    /// Errors first, then by object.
    package var findings: [CheckFinding] = []
    package var counts = CheckCounts()
    package var transientReads: [TransientRead] = []
    /// Bytes that the check took from the store.
    package var bytesRead: UInt64 = 0
    /// Packs that were read from end to end and found good.
    package var goodPacks: Set<PackID> = []
    /// False when the key at hand, or none, left something unopened.
    package var isComplete = true

    package init() {}

    package func findings(_ severity: CheckSeverity) -> [CheckFinding] { findings.filter { $0.severity == severity } }
    package var hasErrors: Bool { findings.contains { $0.severity == .error } }

    /// - Throws: `.checkFailed`, which ends the command with status 4, when there is an error.
    package func requireClean() throws(HoldfastError) {
        let errors = findings(.error)
        guard let first = errors.first else { return }
        throw HoldfastError(
            .checkFailed,
            errors.count == 1
                ? "the check found an error: \(first.object): \(first.message)"
                : "the check found \(errors.count) errors, the first: \(first.object): \(first.message)",
            hint: "Restore what is bad from a mirror, or run `holdfast repair index` and back up again.")
    }
}

/// Which packs are read from end to end.
package enum DataSelection: Sendable, Hashable {
    case none
    case all
    /// A random share of the packs, in percent.
    case percent(Double)
    /// The n-th of m parts, from 1; the same packs each time.
    case part(UInt64, of: UInt64)
    /// Random packs until so many bytes are reached.
    case bytes(ByteCount)
    /// Those first whose last reading lies furthest back.
    case oldest(OldestFirst)

    /// Reads `5%`, `2/7` or a size.
    ///
    /// - Throws: `.usage` for anything else.
    package init(subset text: String) throws(HoldfastError) {
        let usage = HoldfastError(
            .usage, "\(text) is no subset of the data", hint: "Write a share such as 5%, a part such as 2/7, or 10G.")
        if text.hasSuffix("%") {
            guard let percent = Double(text.dropLast()), percent > 0, percent <= 100 else { throw usage }
            self = .percent(percent)
        } else if text.contains("/") {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let number = UInt64(parts[0]), let count = UInt64(parts[1]), number >= 1,
                number <= count
            else { throw usage }
            self = .part(number, of: count)
        } else {
            guard let size = ByteCount(text), size.bytes > 0 else { throw usage }
            self = .bytes(size)
        }
    }
}

/// A budget for reading packs in the order of their last reading; those that were never read come first.
package struct OldestFirst: Sendable, Hashable {
    /// Before everything, also before what was never read.
    package static let damaged = Timestamp(nanoseconds: .min)

    /// When each pack was read from end to end and found good; ``damaged`` for those that were not when they were read
    /// last. Such a one that is there and is not read again is an error of this check as well.
    package var lastRead: [PackID: Timestamp]
    /// Packs until so many bytes are reached; nil for no such limit.
    package var bytes: ByteCount?
    /// No pack is begun later than this; nil for no such limit.
    package var time: Duration?

    package init(lastRead: [PackID: Timestamp], bytes: ByteCount? = nil, time: Duration? = nil) {
        self.lastRead = lastRead
        self.bytes = bytes
        self.time = time
    }

    package func comes(_ one: PackID, before other: PackID) -> Bool {
        let (first, second) = (lastRead[one]?.nanoseconds ?? .min + 1, lastRead[other]?.nanoseconds ?? .min + 1)
        return first == second ? one < other : first < second
    }
}

/// What a check does.
package struct CheckOptions: Sendable {
    package static let standardPaths = 100

    package var data: DataSelection = .none
    /// How many paths are listed for each bad object.
    package var pathsPerObject = Self.standardPaths
    /// Threads that read packs; each holds one pack in memory, about 34 MiB.
    package var threads = 2
    package var progress = Progress()
    /// By which the time of ``OldestFirst`` is measured.
    package var clock: any Clock = SystemClock()
    /// Told of every pack that was read from end to end, and whether it was good, at once and by any thread: what a
    /// check has read before it breaks off need not be read by the next.
    package var onPackRead: @Sendable (PackID, Bool) -> Void = { _, _ in }

    package init() {}
}
