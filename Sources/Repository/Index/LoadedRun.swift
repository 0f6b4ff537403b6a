// One run of the index, ready for look-ups.

import ObjectStore
import Primitives

/// A sorted run with a fan-out table over the first bits of its ids.
///
/// Thread: immutable.
package final class LoadedRun: Sendable {
    package let id: IndexRunID
    /// Clear fields; the table inside is empty.
    package let run: IndexRunObject
    private let table: RunTable
    /// `fan[b]` is the first entry whose leading bits are b or more.
    private let fan: [UInt32]
    private let fanShift: UInt64

    package init(id: IndexRunID, run: IndexRunObject, table: RunTable) throws(HoldfastError) {
        guard table.count == run.tableSize else {
            throw ByteReader([], as: ObjectNames.indexRun(id).path).corrupt("its table has the wrong length")
        }
        self.id = id
        self.run = run
        self.table = table
        // About sixteen entries to a bucket: a quarter of a byte of memory for each entry.
        var bits = 1
        while 1 << bits < run.entryCount / 16, bits < 24 { bits += 1 }
        let shift = UInt64(64 - bits)
        fanShift = shift
        let count = run.entryCount
        let built = table.withBytes { raw -> [UInt32]? in
            var fan = [UInt32](repeating: UInt32(count), count: (1 << bits) + 1)
            var next = 0
            var last: UInt64 = 0
            for place in 0..<count {
                let word = UInt64(bigEndian: raw.loadUnaligned(fromByteOffset: place * 32, as: UInt64.self))
                if word < last { return nil }
                last = word
                let bucket = Int(word >> shift)
                while next <= bucket {
                    fan[next] = UInt32(place)
                    next += 1
                }
            }
            return fan
        }
        guard let built else {
            throw ByteReader([], as: ObjectNames.indexRun(id).path).corrupt("its entries are out of order")
        }
        fan = built
    }

    package func entry(_ place: Int) -> IndexEntry {
        precondition(place >= 0 && place < run.entryCount, "the place is inside the run")
        return table.withBytes { IndexEntry(RawSpan(_unsafeBytes: $0), at: place * IndexEntry.size) }
    }

    /// The places of all copies of a chunk in this run.
    package func places(of id: Bytes16) -> Range<Int> {
        let bucket = Int(id.w0 >> fanShift)
        let end = Int(fan[bucket + 1])
        var first = Int(fan[bucket])
        return table.withBytes { raw in
            let bytes = RawSpan(_unsafeBytes: raw)
            while first < end, Bytes16(bytes, at: first * IndexEntry.size) < id { first += 1 }
            var last = first
            while last < end, Bytes16(bytes, at: last * IndexEntry.size) == id { last += 1 }
            return first..<last
        }
    }

    /// The base of the delta at `place`; nil when the run names none, which makes the entry useless.
    package func base(of place: Int) -> Bytes16? {
        table.withBytes { raw in
            let start = run.entryCount * IndexEntry.size
            var low = 0
            var high = run.baseCount
            while low < high {
                let middle = (low + high) / 2
                let number = UInt32(
                    littleEndian: raw.loadUnaligned(fromByteOffset: start + middle * 20, as: UInt32.self))
                if number < UInt32(place) { low = middle + 1 } else { high = middle }
            }
            guard low < run.baseCount,
                UInt32(littleEndian: raw.loadUnaligned(fromByteOffset: start + low * 20, as: UInt32.self))
                    == UInt32(place)
            else { return nil }
            return Bytes16(RawSpan(_unsafeBytes: raw), at: start + low * 20 + 4)
        }
    }
}
