// Reads files from their beginning to their end, in windows whose chunks are fetched by pack.

import Compression
import ObjectStore
import Primitives
import Repository
import Sealing

/// Streams the contents of files, every chunk checked against its id.
///
/// Memory: a window of ``windowSize`` plain bytes, or a single longer chunk, and a stretch. Thread: one at a time.
package final class ContentReader {
    /// Plain bytes that are decoded ahead.
    static let windowSize = 16 << 20
    private static let zeroCount = 1 << 20

    private struct Slot {
        var offset: UInt64
        var piece: ContentPiece
        var location: ChunkLocation
        var start: Int
    }

    private let index: Index
    private let tree: SnapshotTree
    private let single: ChunkReader
    private let counters: RestoreCounters
    private let stretches: StretchReader
    private let decoder: ChunkDecoder
    private let hash: KeyedHash
    private let gap: Int
    private let cancellation: Cancellation
    private var window: UnsafeMutableRawBufferPointer
    private let zeros: UnsafeMutableRawBufferPointer

    package init(_ repository: Repository, index: Index) throws(HoldfastError) {
        try repository.keyring.requireReadingData()
        self.index = index
        let packs = PackReader(store: repository.store, keyring: repository.keyring)
        tree = try repository.makeTree(index, packs: packs)
        single = try repository.makeReader(index, packs)
        counters = RestoreCounters(Progress())
        stretches = StretchReader(packs: packs, counters: counters)
        decoder = try ChunkDecoder()
        hash = KeyedHash(key: try repository.keyring.key(.dataID))
        gap = Int(clamping: min(repository.store.capabilities.coalescingGap.bytes, 1 << 20))
        cancellation = repository.environment.cancellation
        window = .allocate(byteCount: 1 << 20, alignment: 16)
        zeros = .allocate(byteCount: Self.zeroCount, alignment: 16)
        zeros.initializeMemory(as: UInt8.self, repeating: 0)
    }

    /// Bytes read from packs so far.
    var bytesFetched: UInt64 {
        var result = RestoreResult()
        counters.fill(&result)
        return result.bytesFetched
    }

    deinit {
        window.deallocate()
        zeros.deallocate()
    }

    /// Hands the whole content to `sink`, in order.
    ///
    /// - Throws: `.corruptObject` or `.objectMissing` at the first byte that cannot be had; what came before is right.
    package func read(
        _ content: Content, _ sink: (UnsafeRawBufferPointer) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try content.requireNoSecret()
        var pieces = PieceWalk(content, tree: tree)
        var slots: [Slot] = []
        var size = 0
        while let step = try pieces.next() {
            guard case .piece(let offset, let piece) = step else {
                try flush(&slots, &size, sink)
                if case .damaged(let range, let error) = step { throw error.with("offset", range.lowerBound) }
                continue
            }
            if piece.id == .zeros {
                try flush(&slots, &size, sink)
                try skip(piece.length, sink)
                continue
            }
            guard let location = index.find(piece.id.bytes.prefix, for: .reading),
                UInt64(location.entry.raw) == piece.length
            else {
                try flush(&slots, &size, sink)
                throw ChunkReader.missing(piece.id).with("offset", offset)
            }
            let count = Int(location.entry.raw)
            if size > 0, size + count > Self.windowSize { try flush(&slots, &size, sink) }
            slots.append(Slot(offset: offset, piece: piece, location: location, start: size))
            size += count
        }
        try flush(&slots, &size, sink)
    }

    private func skip(
        _ length: UInt64, _ sink: (UnsafeRawBufferPointer) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        var rest = length
        while rest > 0 {
            try cancellation.check()
            let count = Int(min(rest, UInt64(zeros.count)))
            try sink(UnsafeRawBufferPointer(rebasing: zeros[..<count]))
            rest -= UInt64(count)
        }
    }

    private func flush(
        _ slots: inout [Slot], _ size: inout Int, _ sink: (UnsafeRawBufferPointer) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        guard size > 0 else { return }
        try cancellation.check()
        if window.count < size {
            window.deallocate()
            window = .allocate(byteCount: max(size, min(2 * size, Self.windowSize)), alignment: 16)
        }
        let failure = try fill(slots)
        // What comes before the first bad piece is still handed over.
        let end = failure.map { slots[$0.number].start } ?? size
        if end > 0 { try sink(UnsafeRawBufferPointer(rebasing: window[..<end])) }
        if let failure { throw failure.error.with("offset", slots[failure.number].offset) }
        slots = []
        size = 0
    }

    /// Decodes all slots into the window; returns the first of them that cannot be had.
    private func fill(_ slots: [Slot]) throws(HoldfastError) -> (number: Int, error: HoldfastError)? {
        var failure: (number: Int, error: HoldfastError)?
        func fail(_ number: Int, _ error: HoldfastError) {
            if number < failure?.number ?? .max { failure = (number, error) }
        }
        let order = slots.indices.sorted { a, b in
            let (a, b) = (slots[a].location, slots[b].location)
            return a.pack != b.pack ? a.pack < b.pack : a.entry.offset < b.entry.offset
        }
        func bytes(_ number: Int) -> Range<Int> {
            let start = Int(slots[number].location.entry.offset)
            return start..<start + Int(slots[number].location.entry.stored)
        }
        var first = 0
        while first < order.count {
            let location = slots[order[first]].location
            var stretch = bytes(order[first])
            var end = first + 1
            while location.entry.depth == 0, end < order.count, slots[order[end]].location.pack == location.pack,
                slots[order[end]].location.entry.depth == 0,
                bytes(order[end]).lowerBound <= stretch.upperBound + gap,
                bytes(order[end]).upperBound - stretch.lowerBound <= UnitMaker.stretchSize
            {
                stretch = stretch.lowerBound..<max(stretch.upperBound, bytes(order[end]).upperBound)
                end += 1
            }
            var plain: UnsafeRawBufferPointer?
            if location.entry.depth == 0 {
                do throws(HoldfastError) {
                    plain = try stretches.read(location.pack, stretch)
                } catch {
                    guard error.leavesOtherCopies else { throw error }
                }
            }
            for number in order[first..<end] {
                let range = bytes(number)
                let start = range.lowerBound - stretch.lowerBound
                let stored = plain.map { UnsafeRawBufferPointer(rebasing: $0[start..<start + range.count]) }
                if let error = try decode(slots[number], stored) { fail(number, error) }
            }
            first = end
        }
        return failure
    }

    /// Decodes one slot; from any other whole copy when this one is damaged.
    private func decode(
        _ slot: Slot, _ stored: UnsafeRawBufferPointer?
    ) throws(HoldfastError) -> HoldfastError? {
        let output = UnsafeMutableRawBufferPointer(
            rebasing: window[slot.start..<slot.start + Int(slot.location.entry.raw)])
        if let stored, let codec = slot.location.entry.codec {
            do throws(HoldfastError) {
                try decoder.decode(codec, RawSpan(_unsafeBytes: stored), base: nil, into: output)
                let bytes = UnsafeRawBufferPointer(output)
                if ChunkID(hash.digest(RawSpan(_unsafeBytes: bytes))) == slot.piece.id { return nil }
            } catch {
                guard error.leavesOtherCopies else { throw error }
            }
        }
        switch try single.rescue(slot.piece.id, from: slot.location, in: index, hash: hash) {
        case .success(let plain):
            plain.withUnsafeBytes { output.copyMemory(from: $0) }
            return nil
        case .failure(let error): return error
        }
    }
}
