// What is read at once: stretches of one pack, and windows of delta chains.

import Primitives
import Repository
import Workloads

/// A piece of a file and the copy that it comes from.
struct Want: Sendable {
    var location: ChunkLocation
    var id: ChunkID
    var job: FileJob
    var offset: UInt64

    var range: Range<UInt64> { offset..<offset + UInt64(location.entry.raw) }
    var key: CopyKey { CopyKey(location) }
}

/// A copy of a chunk by its place in the index.
struct CopyKey: Hashable {
    var run: Int32
    var place: Int32

    init(_ location: ChunkLocation) {
        run = Int32(truncatingIfNeeded: location.run)
        place = Int32(truncatingIfNeeded: location.place)
    }
}

/// Work for one thread.
enum ReadUnit: Sendable {
    /// Bytes of one pack's stream, and the whole chunks in them in order of offset; the same copy may come repeatedly.
    case stretch(PackID, Range<Int>, [Want])
    /// Deltas with all that they are decoded against.
    case chains([DeltaChain])
}

/// One delta, the copies below it from the whole one upwards, and every place that wants it.
struct DeltaChain: Sendable {
    /// At most nine: eight deltas and the whole copy.
    var links: [ChunkLocation]
    var wants: [Want]

    /// Whether `digest` is the id of what it should decode to.
    func isMade(_ digest: Bytes32) -> Bool { wants.first?.id == ChunkID(digest) }

    /// Bytes of the largest link, up to the next aligned size.
    var slotSize: Int {
        let largest = links.reduce(0) { max($0, Int($1.entry.raw)) }
        return (largest + FileTarget.alignment - 1) / FileTarget.alignment * FileTarget.alignment
    }
}

/// Sorts wanted pieces into units.
struct UnitMaker {
    /// Stored bytes that are read at once, unless a single chunk is longer.
    static let stretchSize = 4 << 20
    /// Pieces in one unit: small files make many to a stretch, and the threads are to share them.
    static let stretchPieces = 1024

    let index: Index
    /// Two chunks further apart than this are read one by one.
    let gap: Int
    /// Plain bytes that the chains of one unit may take.
    let windowSize: Int

    /// Units for `wants` in the order in which their packs come first. Wants without a whole chain are left in `lost`.
    func units(_ wants: [Want], lost: (Want) -> Void) -> [ReadUnit] {
        let order = placeOrder(wants)
        var units: [ReadUnit] = []
        var deltas: [Int] = []
        var current: [Want] = []
        var bytes = 0..<0
        func close() {
            if let pack = current.first?.location.pack { units.append(.stretch(pack, bytes, current)) }
            current = []
        }
        for number in order {
            let want = wants[number]
            if want.location.entry.depth > 0 {
                deltas.append(number)
                continue
            }
            let start = Int(want.location.entry.offset)
            let end = start + Int(want.location.entry.stored)
            if let last = current.last,
                last.location.pack != want.location.pack || start > bytes.upperBound + gap
                    || end - bytes.lowerBound > Self.stretchSize || current.count >= Self.stretchPieces
            {
                close()
            }
            bytes = current.isEmpty ? start..<end : bytes.lowerBound..<max(bytes.upperBound, end)
            current.append(want)
        }
        close()
        units.append(contentsOf: chainUnits(deltas.map { wants[$0] }, lost: lost))
        return units
    }

    /// Numbers of `wants` by pack, in order of first use, then offset.
    private func placeOrder(_ wants: [Want]) -> [Int] {
        var packs: [PackID: UInt64] = [:]
        var keys: [(place: UInt64, number: Int)] = []
        keys.reserveCapacity(wants.count)
        for (number, want) in wants.enumerated() {
            let pack = packs[want.location.pack] ?? UInt64(packs.count)
            packs[want.location.pack] = pack
            keys.append((pack << 32 | UInt64(want.location.entry.offset), number))
        }
        keys.sort { $0.place != $1.place ? $0.place < $1.place : $0.number < $1.number }
        return keys.map(\.number)
    }

    private func chainUnits(_ wants: [Want], lost: (Want) -> Void) -> [ReadUnit] {
        var chains: [DeltaChain] = []
        var known: [CopyKey: Int] = [:]
        for want in wants {
            if let place = known[want.key] {
                chains[place].wants.append(want)
                continue
            }
            guard let links = links(below: want.location) else {
                lost(want)
                continue
            }
            known[want.key] = chains.count
            chains.append(DeltaChain(links: links, wants: [want]))
        }
        // By the place of the whole copies, which are the most bytes.
        chains.sort { a, b in
            guard let a = a.links.first, let b = b.links.first else { return false }
            return a.pack != b.pack ? a.pack < b.pack : a.entry.offset < b.entry.offset
        }
        var units: [ReadUnit] = []
        var current: [DeltaChain] = []
        var size = 0
        for chain in chains {
            let needed = 2 * chain.slotSize
            if !current.isEmpty, size + needed > windowSize {
                units.append(.chains(current))
                current = []
                size = 0
            }
            current.append(chain)
            size += needed
        }
        if !current.isEmpty { units.append(.chains(current)) }
        return units
    }

    /// The copies that `location` needs, the whole one first and itself last.
    private func links(below location: ChunkLocation) -> [ChunkLocation]? {
        var links = [location]
        while let last = links.last, last.entry.depth > 0 {
            guard let base = index.base(of: last, for: .reading) else { return nil }
            links.append(base)
        }
        return links.reversed()
    }
}
