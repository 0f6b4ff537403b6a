// Bits over the entries of the index: one for each copy of each chunk.

import Primitives

/// A set of copies, by run and place in it.
///
/// Memory: one bit for each entry, 12.5 MB for 100 million chunks.
package struct EntryBits: Sendable {
    private var words: [[UInt64]]

    package init(_ runs: [LoadedRun]) {
        words = runs.map { [UInt64](repeating: 0, count: ($0.run.entryCount + 63) / 64) }
    }

    package func contains(run: Int, place: Int) -> Bool { words[run][place >> 6] >> UInt64(place & 63) & 1 == 1 }

    /// Adds a copy; false when it was in the set already.
    @discardableResult
    package mutating func insert(run: Int, place: Int) -> Bool {
        let bit: UInt64 = 1 << UInt64(place & 63)
        if words[run][place >> 6] & bit != 0 { return false }
        words[run][place >> 6] |= bit
        return true
    }

    package mutating func insert(_ location: ChunkLocation) -> Bool {
        insert(run: location.run, place: location.place)
    }

    package mutating func formUnion(_ other: EntryBits) {
        for run in words.indices {
            for word in words[run].indices { words[run][word] |= other.words[run][word] }
        }
    }
}
