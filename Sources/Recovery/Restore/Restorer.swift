// Carries out a restore plan: one thread walks the snapshot, the others read, check and write.

import ObjectStore
import Primitives
import Repository
import Synchronization
import Workloads

/// Restores snapshots of one repository.
///
/// Memory, whatever the size: two batches of at most ``maximumPieces`` pieces (32 MiB), a queue of ``queued`` units
/// that belong to them, and for each of at most ``maximumThreads`` threads a stretch and a chunk (4 MiB each, at most
/// 8) and the window of delta chains (64 MiB for all threads together, at least 16 each): under 256 MiB.
/// What grows with the snapshot is one record for each hard link whose other names are still to come, and what
/// ``TreeWriter`` keeps for each directory.
package struct Restorer: Sendable {
    package static let maximumThreads = 8
    /// Pieces in a batch.
    static let maximumPieces = 32_768
    /// Files in a batch.
    static let maximumFiles = 8192
    /// Files in a batch that stay open between pieces; three batches may be under way in part.
    static let maximumOpenFiles = 128
    static let queued = 32
    private static let windowsTogether = 64 << 20
    private static let smallestWindow = 16 << 20

    private let repository: Repository
    private let index: Index

    package init(_ repository: Repository, index: Index) {
        self.repository = repository
        self.index = index
    }

    /// Writer options fit for a restore: holes are known from the snapshot, so that no one looks for zeros.
    package static func writerOptions(ownership: Bool = true) -> TreeWriterOptions {
        var options = TreeWriterOptions()
        options.ownership = ownership
        options.sparse = false
        return options
    }

    /// Restores what `plan` names into the target of `writer`.
    ///
    /// What stands there already is compared and kept where it is equal, so that a restore that was broken off goes on
    /// when it is run again. Damage and refusals are in the result by path, and everything else goes on.
    /// - Parameter unfinished: Is given what had come of it when it ends early, before that is thrown.
    /// - Durability: on return all is on stable storage.
    /// - Throws: `.notPermitted`, `.noSpace`, `.interrupted` and what the store throws; the target is then incomplete.
    package func run(
        _ plan: RestorePlan, target writer: TreeWriter, threads: Int,
        progress: Progress = Progress(), cancellation: Cancellation,
        unfinished: (RestoreResult) -> Void = { _ in }
    ) throws(HoldfastError) -> RestoreResult {
        try repository.keyring.requireReadingData()
        let threads = min(Self.maximumThreads, max(1, threads))
        let tally = RestoreTally(progress)
        let context = RestoreContext(
            index: index, packs: PackReader(store: repository.store, keyring: repository.keyring),
            keyring: repository.keyring, writer: writer, tally: tally,
            gap: Int(clamping: min(repository.store.capabilities.coalescingGap.bytes, 1 << 20)),
            windowSize: max(Self.smallestWindow, Self.windowsTogether / threads), cancellation: cancellation)
        progress.enter(.restoring, bytesTotal: plan.bytes - min(plan.bytes, plan.zeroBytes), itemsTotal: plan.files)
        let queue = BoundedQueue<ReadUnit>(capacity: Self.queued)
        let walk = try RestoreWalk(context, repository: repository, plan: plan, threads: threads, queue: queue)
        // From here to their join nothing throws: workers wait until the queue is closed.
        let workers = try Self.start(threads, context, queue)
        do throws(HoldfastError) {
            try walk.run()
        } catch {
            tally.abort(error)
        }
        queue.close()
        for worker in workers { worker.join() }
        if !tally.isAborted { walk.end() }
        var result = tally.result
        result.report = writer.currentReport
        do throws(HoldfastError) {
            try tally.check()
        } catch {
            unfinished(result)
            throw error
        }
        return result
    }

    private static func start(
        _ count: Int, _ context: RestoreContext, _ queue: BoundedQueue<ReadUnit>
    ) throws(HoldfastError) -> [JoinableThread] {
        let workers = (0..<count).compactMap { _ in
            JoinableThread {
                do throws(HoldfastError) {
                    let worker = try RestoreWorker(context)
                    while let unit = queue.pop() { worker.process(unit) }
                } catch {
                    context.tally.abort(error)
                    // The walk may be waiting for room.
                    while queue.pop() != nil {}
                }
            }
        }
        if workers.isEmpty {
            throw HoldfastError(
                .inputOutput, "no thread can be started", hint: "Raise the limit of processes.", retry: .later)
        }
        return workers
    }
}
