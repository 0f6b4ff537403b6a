// What a restore will do, as a value: made by one walk over the snapshot, printed, and then executed.

import Primitives
import Repository
import Workloads

/// A restore that has not begun.
///
/// It holds sums and the names of packs, not the chunks: a plan of a terabyte takes as much memory as one of a
/// gigabyte, but for 32 bytes for each pack and a bit for each chunk of the index while it is made.
package struct RestorePlan: Sendable {
    package var snapshot: SnapshotID
    package var tag: SourceTag
    package var source: String
    package var layout: SnapshotLayout
    package var filter: PathFilter

    package var files: UInt64 = 0
    package var directories: UInt64 = 0
    /// Values of secrets, which go into vaults alone.
    package var secrets: UInt64 = 0
    /// Symbolic links, fifos, device nodes and sockets.
    package var others: UInt64 = 0
    /// Bytes of content, holes counted.
    package var bytes: UInt64 = 0
    /// Bytes of holes and zero blocks, which are not fetched.
    package var zeroBytes: UInt64 = 0
    /// Bytes of content that stand in the target already; known only when the target was compared.
    package var bytesAlreadyThere: UInt64 = 0
    package var isCompared = false
    /// Encoded bytes to be read, each copy counted once, bases of deltas included.
    package var bytesToFetch: UInt64 = 0
    package var chunks: UInt64 = 0
    package var deltas: UInt64 = 0
    /// Pieces that no pack holds, and lists that cannot be read.
    package var missing: UInt64 = 0
    /// Packs to be read, structure apart.
    package var packs: Set<PackID> = []
    /// Plain bytes a second that one thread read and decoded from this store; nil when nothing was tried.
    package var measuredRate: Double?

    /// Bytes of content that will be written.
    package var bytesToWrite: UInt64 {
        bytes - min(bytes, zeroBytes) - min(bytes - min(bytes, zeroBytes), bytesAlreadyThere)
    }

    /// How long the restore is expected to take with `threads` threads; nil when no rate was measured.
    package func expectedTime(threads: Int) -> Duration? {
        guard let rate = measuredRate, rate > 0 else { return bytesToWrite == 0 ? .zero : nil }
        let seconds =
            Double(bytesToWrite) / (rate * Double(max(1, threads)))
            + Double(files + directories + others) * Self.secondsPerEntry / Double(max(1, threads))
        return .milliseconds(Int64(min(seconds * 1000, 1e15)))
    }

    /// Making an entry and setting its metadata, in system calls: about 60 µs.
    private static let secondsPerEntry = 60e-6
}

/// One bit for each entry of an index.
struct CopySet {
    private var words: [[UInt64]]

    init(_ index: Index) { words = index.runs.map { [UInt64](repeating: 0, count: ($0.run.entryCount + 63) / 64) } }

    /// Adds a copy; false when it was in.
    mutating func insert(_ location: ChunkLocation) -> Bool {
        let bit = UInt64(1) << UInt64(location.place & 63)
        let isNew = words[location.run][location.place >> 6] & bit == 0
        words[location.run][location.place >> 6] |= bit
        return isNew
    }
}

extension Keyring {
    /// Checks that this key may read what files hold, before anything is begun.
    ///
    /// - Throws: `.notPermitted`.
    package func requireReadingData() throws(HoldfastError) {
        guard canReadData || current.rights.contains(.readback) else { throw lacks("the key that opens data packs") }
    }
}
