// What came of a restore: counts, what is damaged, and what the target refused.

import Primitives
import Repository
import Synchronization
import Workloads

/// A path that could not be restored whole, since what was stored of it is damaged or gone.
package struct DamagedPath: Sendable {
    package struct Part: Sendable {
        package var range: Range<UInt64>
        /// The pack that holds the shallowest copy; nil when no index run names one.
        package var pack: PackID?
        package var error: HoldfastError
    }

    package var path: [UInt8]
    /// Bytes of a file that read as zeros now, in order; empty when a directory's list is damaged.
    package var parts: [Part]
    package var error: HoldfastError
}

/// A path that the target refused.
package struct PathFailure: Sendable {
    package var path: [UInt8]
    package var error: HoldfastError
}

/// The outcome of a restore.
package struct RestoreResult: Sendable {
    /// Damaged paths and failures kept by name; all are counted.
    package static let maximumKept = 10_000

    package var files: UInt64 = 0
    package var directories: UInt64 = 0
    package var others: UInt64 = 0
    package var hardLinks: UInt64 = 0
    /// Bytes of content written.
    package var bytesWritten: UInt64 = 0
    /// Bytes of content that stood in the target already.
    package var bytesAlreadyThere: UInt64 = 0
    /// Bytes read from packs.
    package var bytesFetched: UInt64 = 0
    package var damaged: [DamagedPath] = []
    package var damagedCount: UInt64 = 0
    package var failures: [PathFailure] = []
    package var failureCount: UInt64 = 0
    /// Versions of secrets, and whole secrets, that anybody with a login can read in the vault now and that the
    /// snapshot has as disabled, deleted, destroyed or removed; the findings name them.
    package var leftLiveCount: UInt64 = 0
    package var report = TreeWriterReport()
    package var notes: [String] = []

    /// Whether all that the plan names stands in the target.
    package var isComplete: Bool { damagedCount == 0 && failureCount == 0 }
}

/// Counts of one restore, added to by all of its threads and shown through ``Progress``.
final class RestoreCounters: Sendable {
    private let shown: Progress
    private let bytesWritten = Atomic<UInt64>(0)
    private let bytesAlreadyThere = Atomic<UInt64>(0)
    private let bytesFetched = Atomic<UInt64>(0)
    private let files = Atomic<UInt64>(0)

    init(_ shown: Progress) { self.shown = shown }

    func add(written count: Int) {
        bytesWritten.wrappingAdd(UInt64(count), ordering: .relaxed)
        shown.add(bytes: count)
    }

    func add(alreadyThere count: Int) {
        bytesAlreadyThere.wrappingAdd(UInt64(count), ordering: .relaxed)
        shown.add(bytes: count)
    }

    func add(fetched count: Int) { bytesFetched.wrappingAdd(UInt64(count), ordering: .relaxed) }

    func addFile() {
        files.wrappingAdd(1, ordering: .relaxed)
        shown.add(items: 1)
    }

    func fill(_ result: inout RestoreResult) {
        result.bytesWritten = bytesWritten.load(ordering: .relaxed)
        result.bytesAlreadyThere = bytesAlreadyThere.load(ordering: .relaxed)
        result.bytesFetched = bytesFetched.load(ordering: .relaxed)
        result.files = files.load(ordering: .relaxed)
    }
}

/// Gathers a result from several threads.
final class RestoreTally: Sendable {
    let counters: RestoreCounters
    private let gathered = Mutex(RestoreResult())
    private let failure = Mutex<HoldfastError?>(nil)
    private let isOver = Cancellation()

    init(_ progress: Progress) { counters = RestoreCounters(progress) }

    /// Whether the restore has come to an end by a failure.
    var isAborted: Bool { isOver.isRaised }

    /// Ends the restore; the first failure counts.
    func abort(_ error: HoldfastError) {
        failure.withLock { if $0 == nil { $0 = error } }
        isOver.raise()
    }

    func change(_ body: (inout RestoreResult) -> Void) { gathered.withLock { body(&$0) } }

    func damaged(_ path: DamagedPath) {
        change { result in
            result.damagedCount += 1
            if result.damaged.count < RestoreResult.maximumKept { result.damaged.append(path) }
        }
    }

    /// Notes what the target refused, or ends the restore when nothing more can be written.
    func failed(_ parts: [[UInt8]], _ error: HoldfastError) {
        guard error.code != .noSpace, error.code != .interrupted else { return abort(error) }
        change { result in
            result.failureCount += 1
            if result.failures.count < RestoreResult.maximumKept {
                result.failures.append(PathFailure(path: joinedPath(parts), error: error))
            }
        }
    }

    /// - Throws: what the restore was aborted with.
    func check() throws(HoldfastError) {
        if let failure = failure.withLock({ $0 }) { throw failure }
    }

    /// The result so far.
    var result: RestoreResult {
        var all = gathered.withLock { $0 }
        counters.fill(&all)
        all.damaged.sort { $0.path.lexicographicallyPrecedes($1.path) }
        all.failures.sort { $0.path.lexicographicallyPrecedes($1.path) }
        return all
    }
}

/// The parts with slashes in between.
package func joinedPath(_ parts: [[UInt8]]) -> [UInt8] {
    Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
}
