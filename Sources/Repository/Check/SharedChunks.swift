// Threads that have no pack left help those that still have one: the last packs of a check would else run on one.

import Primitives
import Synchronization

/// The chunks of one pack, taken in slices by its own thread and by helpers.
///
/// The bytes belong to the pack's own thread, which leaves them alone until ``ChunkHelp/examine(_:with:)`` returns.
final class SharedChunks: @unchecked Sendable {
    // Sendable: the stream is only read, what is written is atomic or under the monitor of the one ChunkHelp.
    let pieces: [ChunkPiece]
    let stream: UnsafeRawBufferPointer
    let badSegments: Set<Int>
    let pack: PackID
    let kind: PackKind
    /// Consecutive chunks have consecutive bases, which a reader of bases reads ahead.
    private static let slice = 4
    private let next = Atomic(0)

    /// The three below: under the monitor.
    fileprivate var result = ChunkExaminer.Result()
    fileprivate var failure: HoldfastError?
    fileprivate var helpers = 0

    init(
        _ pieces: [ChunkPiece], in stream: UnsafeRawBufferPointer, badSegments: [Int], of pack: PackID,
        _ kind: PackKind
    ) {
        self.pieces = pieces
        self.stream = stream
        self.badSegments = Set(badSegments)
        self.pack = pack
        self.kind = kind
    }

    /// The chunks that nobody has taken yet, a few at a time; nil when all are taken. The first slice of a pack without
    /// chunks is empty, so that somebody asks whether it may be read.
    func take() -> ArraySlice<ChunkPiece>? {
        let start = next.add(Self.slice, ordering: .relaxed).oldValue
        guard start == 0 || start < pieces.count else { return nil }
        return pieces[start..<min(start + Self.slice, pieces.count)]
    }

    /// Nobody is to take more.
    fileprivate func close() { next.store(max(1, pieces.count), ordering: .relaxed) }

    fileprivate var hasMore: Bool { next.load(ordering: .relaxed) < pieces.count }
}

/// Where the threads of a check meet.
final class ChunkHelp: Sendable {
    private struct State {
        /// Packs whose chunks are being examined.
        var open: [SharedChunks] = []
        /// Threads that may still open one.
        var owners = 0
    }

    private let monitor = Monitor(State())

    /// Called by a thread that will examine packs. It ends with ``help(with:)``, come what may: helpers wait for that.
    func enter() { monitor.withLock { $0.owners += 1 } }

    /// Examines all chunks, on this thread and on those that have nothing else to do.
    ///
    /// - Throws: what the first thread to fail threw, after all have let go of the bytes.
    func examine(
        _ chunks: SharedChunks, with examiner: ChunkExaminer
    ) throws(HoldfastError) -> ChunkExaminer.Result {
        monitor.withLock { $0.open.append(chunks) }
        work(on: chunks, with: examiner)
        return try monitor.wait { (state) throws(HoldfastError) -> ChunkExaminer.Result? in
            state.open.removeAll { $0 === chunks }
            guard chunks.helpers == 0 else { return nil }
            if let failure = chunks.failure { throw failure }
            return chunks.result
        }
    }

    /// Helps the others until none of them has a pack left; returns at once without an examiner.
    func help(with examiner: ChunkExaminer?) {
        monitor.withLock { $0.owners -= 1 }
        guard let examiner else { return }
        while true {
            let chunks = monitor.wait { state -> SharedChunks?? in
                if let chunks = state.open.first(where: \.hasMore) {
                    chunks.helpers += 1
                    return .some(chunks)
                }
                return state.owners == 0 ? .some(nil) : nil
            }
            guard let chunks else { return }
            work(on: chunks, with: examiner)
            monitor.withLock { _ in chunks.helpers -= 1 }
        }
    }

    private func work(on chunks: SharedChunks, with examiner: ChunkExaminer) {
        do throws(HoldfastError) {
            var result = ChunkExaminer.Result()
            while let slice = chunks.take() { try examiner.examine(slice, of: chunks, &result) }
            monitor.withLock { _ in chunks.result.add(result) }
        } catch {
            chunks.close()
            monitor.withLock { _ in chunks.failure = chunks.failure ?? error }
        }
    }
}
