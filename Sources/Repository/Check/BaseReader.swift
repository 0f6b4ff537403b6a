// Decodes the bases of deltas while whole packs are checked, with a bounded cache of opened segments.

import Compression
import Primitives
import Sealing

/// Reads chains of bases.
///
/// Deltas of a pack stand in the order of the file, and so do their bases in the packs of earlier generations: a few
/// segments of each generation are opened once and serve all deltas that fall into them.
///
/// Memory: 4 MiB of segments and two buffers of the largest base. Thread: one at a time; make one per thread.
final class BaseReader {
    private static let segmentCount = 64

    /// What came of a chain.
    enum Outcome {
        case plain(UnsafeRawBufferPointer)
        /// No copy of a base is there; the chain ends at this copy.
        case noBase(ChunkLocation)
        /// This copy of a base does not decode.
        case bad(ChunkLocation, HoldfastError)
    }

    private struct SegmentName: Hashable {
        var pack: PackID
        var number: Int
    }

    private let index: Index
    private let packs: PackReader
    private let decoder: ChunkDecoder
    private let cache: UnsafeMutableRawBufferPointer
    private var names = [SegmentName?](repeating: nil, count: segmentCount)
    private var places: [SegmentName: Int] = [:]
    private var next = 0
    private var stored = GrowingBuffer()
    private var first = GrowingBuffer()
    private var second = GrowingBuffer()

    init(index: Index, packs: PackReader) throws(HoldfastError) {
        self.index = index
        self.packs = packs
        decoder = try ChunkDecoder()
        cache = .allocate(byteCount: Self.segmentCount * Segments.storedSize, alignment: 16)
    }

    deinit { cache.deallocate() }

    /// The plain bytes of the base `id` of a delta of depth `depth`; valid until the next call.
    ///
    /// - Parameter verify: called for every link from the deepest on; false blames that link.
    func base(
        _ id: Bytes16, below depth: UInt8, verify: ((ChunkLocation, UnsafeRawBufferPointer) -> Bool)? = nil
    ) throws(HoldfastError) -> Outcome? {
        guard let start = index.find(id, for: .reading, below: depth) else { return nil }
        var chain = [start]
        while let last = chain.last, last.entry.depth > 0 {
            guard let base = index.base(of: last, for: .reading) else { return .noBase(last) }
            chain.append(base)
        }
        var plain: UnsafeRawBufferPointer?
        for link in chain.reversed() {
            do throws(HoldfastError) {
                let decoded = try decode(link, base: plain)
                if let verify, !verify(link, decoded) {
                    return .bad(link, ByteReader([], as: "a base").corrupt("it decodes to other bytes"))
                }
                plain = decoded
                swap(&first, &second)
            } catch {
                guard error.code != .notPermitted else { throw error }
                return .bad(link, error)
            }
        }
        return plain.map { .plain($0) }
    }

    /// Decodes one copy into `first`; its base, if any, is in `second`.
    private func decode(
        _ location: ChunkLocation, base: UnsafeRawBufferPointer?
    ) throws(HoldfastError) -> UnsafeRawBufferPointer {
        let entry = location.entry
        guard let codec = entry.codec else { throw ByteReader([], as: "a base").corrupt("its codec is unknown") }
        let pack = try packs.open(location.pack)
        let count = Int(entry.stored)
        let input = stored.room(count)
        var done = 0
        while done < count {
            let at = Int(entry.offset) + done
            let segment = try segment(at / Segments.plainSize, of: pack, location.pack)
            let within = at % Segments.plainSize
            let part = min(count - done, Segments.plainSize - within)
            UnsafeMutableRawBufferPointer(rebasing: input[done..<done + part])
                .copyMemory(from: UnsafeRawBufferPointer(rebasing: segment[within..<within + part]))
            done += part
        }
        let output = first.room(Int(entry.raw))
        let stored = RawSpan(_unsafeBytes: UnsafeRawBufferPointer(input))
        if let base {
            try decoder.decode(codec, stored, base: RawSpan(_unsafeBytes: base), into: output)
        } else {
            try decoder.decode(codec, stored, base: nil, into: output)
        }
        return UnsafeRawBufferPointer(output)
    }

    private func segment(
        _ number: Int, of pack: OpenedPack, _ id: PackID
    ) throws(HoldfastError) -> UnsafeRawBufferPointer {
        let name = SegmentName(pack: id, number: number)
        let place: Int
        if let known = places[name] {
            place = known
        } else {
            // First in, first out: the walk goes forward through every generation.
            place = next
            next = (next + 1) % Self.segmentCount
            if let old = names[place] { places[old] = nil }
            names[place] = nil
            _ = try packs.readSegments(pack, id, number..<number + 1, into: slot(place))
            names[place] = name
            places[name] = place
        }
        return UnsafeRawBufferPointer(slot(place))
    }

    private func slot(_ place: Int) -> UnsafeMutableRawBufferPointer {
        UnsafeMutableRawBufferPointer(
            rebasing: cache[place * Segments.storedSize..<(place + 1) * Segments.storedSize])
    }
}

/// A buffer that is replaced by a larger one when more is asked for.
///
/// Thread: one at a time.
final class GrowingBuffer {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)

    deinit { memory.deallocate() }

    /// `count` bytes, undefined until written; what was asked for before is no longer valid when it had to grow.
    func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if memory.count < count {
            memory.deallocate()
            memory = .allocate(byteCount: count, alignment: 16)
        }
        return UnsafeMutableRawBufferPointer(rebasing: memory[..<count])
    }
}
