// A batch of plain bytes on its way through the pipeline, with the events of the tree that it belongs to.

import CLinux
import Primitives
import Repository

/// What the reader saw, in order; the tree is built from it once the chunks before it have their ids.
enum TreeEvent: Sendable {
    case beginDirectory(EntryMetadata)
    case endDirectory
    /// Something whose content is known or that has none.
    case entry(Entry)
    /// `parent` is the content of the same file in the parent snapshot, for deltas of its leaves.
    case beginFile(CutRule, parent: Content?)
    /// A piece of this job, by its number.
    case piece(Int)
    /// A stretch of zeros that was not read.
    case hole(UInt64)
    case endFile(EntryMetadata)
    /// The end of a file that is placed in the tree later, by the key that its reader gave it.
    case endDetached(Int)
    /// The file could not be read to its end; what was cut of it is dropped.
    case abandonFile
}

/// A batch of pieces in one buffer.
///
/// Thread: handed on as a whole; the reader fills it, one worker works on it, the sequencer empties it.
final class ContentJob: @unchecked Sendable {
    // Sendable: owned by one stage at a time; the queues between the stages order the accesses.

    /// Twice the largest chunk: what is cut, and the rest that waits for more bytes.
    static let capacity = 8 << 20
    /// Batches of blocks and of small files are handed on from this size.
    static let target = 4 << 20
    /// And from this many events, so that a million empty files do not gather in one batch.
    static let maximumEvents = 2048

    struct Piece {
        var offset: Int
        var length: Int
        var rule: CutRule
        /// The chunk at the same place in the parent snapshot; zeros when there is none.
        var parent: ChunkID
        /// Set by the worker.
        var id = ChunkID.zeros
    }

    var sequence = 0
    let buffer: UnsafeMutableRawBufferPointer
    /// Bytes of `buffer` in use.
    var used = 0 {
        didSet { highest = max(highest, used) }
    }
    /// Bytes of `buffer` that were ever in use for this batch.
    private var highest = 0
    /// Whether any of them are of a secret.
    var isSecret = false
    var pieces: [Piece] = []
    var events: [TreeEvent] = []
    var tally = ChunkTally()

    init() { buffer = .allocate(byteCount: Self.capacity, alignment: 64) }

    deinit {
        reset()
        buffer.deallocate()
    }

    var free: UnsafeMutableRawBufferPointer { UnsafeMutableRawBufferPointer(rebasing: buffer[used...]) }

    func bytes(_ piece: Piece) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: buffer[piece.offset..<piece.offset + piece.length])
    }

    func reset() {
        // What was secret does not wait in a buffer for the bytes after it.
        if isSecret, let base = buffer.baseAddress { holdfast_zero(base, highest) }
        isSecret = false
        highest = 0
        used = 0
        pieces.removeAll(keepingCapacity: true)
        events.removeAll(keepingCapacity: true)
        tally = ChunkTally()
    }
}

/// What became of the chunks of a batch.
struct ChunkTally: Sendable {
    var bytesNew: UInt64 = 0
    var chunksNew: UInt64 = 0
    var chunksReused: UInt64 = 0
    var deltas: UInt64 = 0

    static func += (a: inout ChunkTally, b: ChunkTally) {
        a.bytesNew += b.bytesNew
        a.chunksNew += b.chunksNew
        a.chunksReused += b.chunksReused
        a.deltas += b.deltas
    }
}
