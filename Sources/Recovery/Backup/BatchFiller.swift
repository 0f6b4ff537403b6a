// Cuts what is read into pieces, batch after batch.

import Chunking
import Primitives
import Repository

/// Gathers events and bytes into batches and hands them to the pipeline.
///
/// Thread: the reader's alone.
final class BatchFiller {
    private let pipeline: ChunkPipeline
    private let cutter: ContentCutter
    private let progress: Progress
    private var job: ContentJob
    /// Where the uncut rest of the open file begins in the batch.
    private var tail = 0
    private(set) var bytesRead: UInt64 = 0
    /// Whether what is read now is a secret; see ``ContentJob/isSecret``.
    var isSecret = false

    init(_ pipeline: ChunkPipeline, cutter: ContentCutter, progress: Progress) throws(HoldfastError) {
        self.pipeline = pipeline
        self.cutter = cutter
        self.progress = progress
        job = try pipeline.take()
    }

    /// Adds an event after all that was cut before it.
    func add(_ event: TreeEvent) throws(HoldfastError) {
        precondition(tail == job.used, "no uncut bytes are left when an event is added")
        job.events.append(event)
        if job.used >= ContentJob.target || job.events.count >= ContentJob.maximumEvents { try handOn() }
    }

    /// Hands on what is left.
    func finish() throws(HoldfastError) {
        if !job.events.isEmpty { try handOn() }
        try pipeline.drain()
    }

    /// Drops the uncut rest of a file that cannot be read further.
    func abandonFile() throws(HoldfastError) {
        job.used = tail
        try add(.abandonFile)
    }

    /// Hands the batch on; the uncut rest moves to the next.
    private func handOn() throws(HoldfastError) {
        let next = try pipeline.take()
        let rest = job.used - tail
        if rest > 0 {
            next.buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: job.buffer[tail..<job.used]))
            next.used = rest
            next.isSecret = job.isSecret
        }
        job.used = tail
        try pipeline.submit(job)
        job = next
        tail = 0
    }

    /// Reads bytes into the batch; `read` fills the buffer that it is given and returns the count, 0 at the end.
    ///
    /// - Returns: Bytes read, 0 at the end.
    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int {
        // With less room than the largest chunk the rest moves to a fresh batch, whose other half is then free.
        if job.free.count < min(limit, ContentJob.capacity / 2) { try handOn() }
        let room = UnsafeMutableRawBufferPointer(rebasing: job.free[..<min(limit, job.free.count)])
        if isSecret { job.isSecret = true }
        let count = try read(room)
        job.used += count
        bytesRead += UInt64(count)
        progress.add(bytes: count)
        return count
    }

    /// The bytes of the open file that are not cut yet.
    var uncut: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: job.buffer[tail..<job.used]) }

    /// Cuts blocks of 1 MiB, and the short last one when `isFinal`.
    ///
    /// - Parameter parent: The chunk at the same place in the parent snapshot.
    func cutBlocks(isFinal: Bool, parent: () throws(HoldfastError) -> ChunkID) throws(HoldfastError) {
        let block = Content.pageBlockSize
        while job.used - tail >= block || isFinal && job.used > tail {
            try cut(min(block, job.used - tail), .pages, parent: try parent())
        }
    }

    /// Cuts content-defined chunks as far as the bytes at hand decide them.
    func cutContent(isFinal: Bool) throws(HoldfastError) {
        while job.used > tail, isFinal || job.used - tail >= cutter.sizes.maximum {
            let window = UnsafeRawBufferPointer(rebasing: job.buffer[tail..<job.used])
            try cut(cutter.boundary(in: RawSpan(_unsafeBytes: window)), .content, parent: .zeros)
        }
    }

    /// Makes one chunk of all that was read of the open file, which fits a batch.
    func cutWhole(_ rule: CutRule, isFinal: Bool) throws(HoldfastError) {
        guard isFinal, job.used > tail else { return }
        try cut(job.used - tail, rule, parent: .zeros)
    }

    private func cut(_ length: Int, _ rule: CutRule, parent: ChunkID) throws(HoldfastError) {
        job.pieces.append(ContentJob.Piece(offset: tail, length: length, rule: rule, parent: parent))
        job.events.append(.piece(job.pieces.count - 1))
        tail += length
        if tail >= ContentJob.target { try handOn() }
    }
}
