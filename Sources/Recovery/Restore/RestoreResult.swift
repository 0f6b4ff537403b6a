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
    package var report = TreeWriterReport()
    package var notes: [String] = []

    /// Whether all that the plan names stands in the target.
    package var isComplete: Bool { damagedCount == 0 && failureCount == 0 }
}

/// Counters that another thread may read while a restore runs.
package final class RestoreProgress: Sendable {
    package let bytesWritten = Atomic<UInt64>(0)
    package let bytesAlreadyThere = Atomic<UInt64>(0)
    package let bytesFetched = Atomic<UInt64>(0)
    package let files = Atomic<UInt64>(0)

    package init() {}

    /// Bytes of content that are in place.
    package var bytesDone: UInt64 {
        bytesWritten.load(ordering: .relaxed) + bytesAlreadyThere.load(ordering: .relaxed)
    }
}

/// Gathers a result from several threads.
final class RestoreTally: Sendable {
    let progress: RestoreProgress
    private let result = Mutex(RestoreResult())
    private let failure = Mutex<HoldfastError?>(nil)
    private let isOver = Cancellation()

    init(progress: RestoreProgress) { self.progress = progress }

    /// Whether the restore has come to an end by a failure.
    var isAborted: Bool { isOver.isRaised }

    /// Ends the restore; the first failure counts.
    func abort(_ error: HoldfastError) {
        failure.withLock { if $0 == nil { $0 = error } }
        isOver.raise()
    }

    func change(_ body: (inout RestoreResult) -> Void) { result.withLock { body(&$0) } }

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

    /// The result so far.
    ///
    /// - Throws: what the restore was aborted with.
    func outcome() throws(HoldfastError) -> RestoreResult {
        if let failure = failure.withLock({ $0 }) { throw failure }
        var all = result.withLock { $0 }
        all.bytesWritten = progress.bytesWritten.load(ordering: .relaxed)
        all.bytesAlreadyThere = progress.bytesAlreadyThere.load(ordering: .relaxed)
        all.bytesFetched = progress.bytesFetched.load(ordering: .relaxed)
        all.files = progress.files.load(ordering: .relaxed)
        all.damaged.sort { $0.path.lexicographicallyPrecedes($1.path) }
        all.failures.sort { $0.path.lexicographicallyPrecedes($1.path) }
        return all
    }
}

/// The parts with slashes in between.
package func joinedPath(_ parts: [[UInt8]]) -> [UInt8] {
    Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
}
