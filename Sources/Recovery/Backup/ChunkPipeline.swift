// The threads of a backup: one reader, some workers, and batches that come out in the order they went in.

import Compression
import Primitives
import Repository

/// Carries batches from the reader through the workers to the tree builder.
///
/// Bounded: there are `workers` + 3 batches of 8 MiB, and the reader waits when all are under way. The tree builder runs on
/// whichever worker finishes the batch that is next in order, one at a time.
final class ChunkPipeline: Sendable {
    private struct State: Sendable {
        var failure: HoldfastError?
        var done: [Int: ContentJob] = [:]
        var next = 0
        var submitted = 0
        var isDraining = false
    }

    private let session: WriterSession
    private let builder: TreeBuilder
    private let free: BoundedQueue<ContentJob>
    private let waiting: BoundedQueue<ContentJob>
    private let state = Monitor(State())
    private let threads: [JoinableThread]

    init(
        _ session: WriterSession, builder: TreeBuilder, workers: Int, setting: CompressionSetting, verifies: Bool
    ) throws(HoldfastError) {
        self.session = session
        self.builder = builder
        let batches = workers + 3
        free = BoundedQueue(capacity: batches)
        waiting = BoundedQueue(capacity: batches)
        for _ in 0..<batches { free.push(ContentJob()) }
        var stages: [ChunkStageBox] = []
        for _ in 0..<workers {
            stages.append(ChunkStageBox(try ChunkStage(session, setting: setting, verifies: verifies)))
        }
        let (waiting, state, free) = (waiting, state, free)
        threads = stages.compactMap { box in
            JoinableThread { Self.work(box.stage, waiting, free, state, builder) }
        }
        guard !threads.isEmpty else {
            throw HoldfastError(
                .inputOutput, "no thread can be started", hint: "Raise the limit of processes.", retry: .later)
        }
    }

    /// An empty batch, waiting for one.
    ///
    /// - Throws: the first failure of a worker, or `.interrupted`.
    func take() throws(HoldfastError) -> ContentJob {
        try check()
        guard let job = free.pop() else {
            try check()
            throw Self.closed
        }
        return job
    }

    /// Hands a filled batch to the workers.
    func submit(_ job: ContentJob) throws(HoldfastError) {
        try check()
        job.sequence = state.withLock { state in
            defer { state.submitted += 1 }
            return state.submitted
        }
        guard waiting.push(job) else { throw Self.closed }
    }

    /// Waits until all that was submitted is in the tree.
    func drain() throws(HoldfastError) {
        let failure = state.wait { state -> HoldfastError?? in
            if let failure = state.failure { return .some(failure) }
            return state.next == state.submitted ? .some(nil) : nil
        }
        if let failure { throw failure }
    }

    /// Ends the threads; batches that wait are worked on first unless something failed.
    func close() {
        waiting.close()
        for thread in threads { thread.join() }
        free.close()
    }

    private static var closed: HoldfastError {
        HoldfastError(.interrupted, "the pipeline is closed", hint: "Run the backup again.")
    }

    private func check() throws(HoldfastError) {
        if let failure = state.withLock({ $0.failure }) { throw failure }
        try session.repository.environment.cancellation.check()
    }

    private static func work(
        _ stage: ChunkStage, _ waiting: BoundedQueue<ContentJob>, _ free: BoundedQueue<ContentJob>,
        _ state: Monitor<State>, _ builder: TreeBuilder
    ) {
        while let job = waiting.pop() {
            guard state.withLock({ $0.failure == nil }) else { continue }
            do throws(HoldfastError) {
                try stage.process(job)
                try finish(job, stage, free, state, builder)
            } catch {
                state.withLock { state in
                    if state.failure == nil { state.failure = error }
                }
                // The reader may wait for a batch that will not come back.
                free.close()
            }
        }
    }

    /// Puts the batch among the done and, when it is the next in order, builds the tree as far as it goes.
    private static func finish(
        _ job: ContentJob, _ stage: ChunkStage, _ free: BoundedQueue<ContentJob>, _ state: Monitor<State>,
        _ builder: TreeBuilder
    ) throws(HoldfastError) {
        let mayDrain = state.withLock { state in
            state.done[job.sequence] = job
            if state.isDraining { return false }
            state.isDraining = true
            return true
        }
        guard mayDrain else { return }
        while true {
            let next = state.withLock { state -> ContentJob? in
                guard let job = state.done.removeValue(forKey: state.next) else {
                    state.isDraining = false
                    return nil
                }
                return job
            }
            guard let next else { return }
            do throws(HoldfastError) {
                try builder.consume(next, stage)
            } catch {
                state.withLock { $0.isDraining = false }
                throw error
            }
            next.reset()
            free.push(next)
            state.withLock { $0.next += 1 }
        }
    }
}

/// Carries a stage into the thread that will own it.
private final class ChunkStageBox: @unchecked Sendable {
    // Sendable: made by the pipeline, used by one thread alone from then on.
    let stage: ChunkStage
    init(_ stage: ChunkStage) { self.stage = stage }
}
