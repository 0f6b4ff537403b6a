// One thread of a restore: reads units, decodes, checks every chunk against its id, and writes.

import Compression
import Primitives
import Repository
import Sealing
import Synchronization
import Workloads

/// What the threads of one restore share.
struct RestoreContext: Sendable {
    let index: Index
    let packs: PackReader
    let keyring: Keyring
    let writer: TreeWriter
    let tally: RestoreTally
    let gap: Int
    let windowSize: Int
    let cancellation: Cancellation
}

/// A chunk in the worker's output that is not yet written.
struct DecodedChunk {
    var bytes: Range<Int>
    /// The places that want it, by their numbers in the unit.
    var wants: Range<Int>
    var isTrue = false

    /// Whether it is good and goes right behind `other`, in the buffer as in one file, and nowhere else.
    func follows(_ other: DecodedChunk, in all: [Want]) -> Bool {
        guard isTrue, wants.count == 1, other.wants.count == 1 else { return false }
        let (before, want) = (all[other.wants.lowerBound], all[wants.lowerBound])
        return want.job === before.job && want.offset == before.range.upperBound
            && bytes.lowerBound == other.bytes.upperBound
    }
}

/// Works on units, one at a time.
///
/// Memory: a stretch, a chunk, and a window of delta chains. Thread: one at a time.
final class RestoreWorker {
    /// Two blocks of a page file, which are checked together.
    private static let outputSize = 2 << 20

    private let context: RestoreContext
    private let stretches: StretchReader
    private let decoder: ChunkDecoder
    private let hash: KeyedHash
    /// Chunks that lie side by side until they are checked and written together.
    private var output: UnsafeMutableRawBufferPointer
    private var filled = 0
    private var decoded: [DecodedChunk] = []
    /// Bases and outputs of chains, taken when the first delta comes.
    private var window: UnsafeMutableRawBufferPointer?
    /// Reads single chunks where a unit as a whole cannot be read.
    private var single: ChunkReader?
    /// The file written last, so that its lock is taken once for a row of pieces.
    private var current: (job: FileJob, target: FileTarget?)?

    init(_ context: RestoreContext) throws(HoldfastError) {
        self.context = context
        stretches = StretchReader(packs: context.packs, counters: context.tally.counters)
        decoder = try ChunkDecoder()
        hash = KeyedHash(key: try context.keyring.key(.dataID))
        output = .allocate(byteCount: Self.outputSize, alignment: FileTarget.alignment)
    }

    deinit {
        output.deallocate()
        window?.deallocate()
    }

    /// Puts all pieces of `unit` in place, or notes why not.
    func process(_ unit: ReadUnit) {
        if context.cancellation.isRaised {
            context.tally.abort(HoldfastError(.interrupted, "interrupted", hint: "Run it again; it goes on from here."))
        }
        let wants: [Want]
        switch unit {
        case .stretch(_, _, let all): wants = all
        case .chains(let chains): wants = chains.flatMap(\.wants)
        }
        if !context.tally.isAborted {
            do throws(HoldfastError) {
                switch unit {
                case .stretch(let pack, let bytes, let wants): try stretch(pack, bytes, wants)
                case .chains(let chains): try self.chains(chains)
                }
            } catch {
                context.tally.abort(error)
            }
        }
        current = nil
        var place = 0
        while place < wants.count {
            // A row of pieces of one file lets go of it together.
            var end = place + 1
            while end < wants.count, wants[end].job === wants[place].job { end += 1 }
            wants[place].job.release(end - place, context.writer, context.tally)
            place = end
        }
    }

    private func stretch(_ pack: PackID, _ bytes: Range<Int>, _ wants: [Want]) throws(HoldfastError) {
        let plain: UnsafeRawBufferPointer
        do throws(HoldfastError) {
            plain = try stretches.read(pack, bytes)
        } catch {
            guard error.leavesOtherCopies else { throw error }
            return try salvage(wants[...])
        }
        decoded.removeAll(keepingCapacity: true)
        filled = 0
        var place = 0
        while place < wants.count {
            let location = wants[place].location
            var end = place + 1
            while end < wants.count, wants[end].key == wants[place].key { end += 1 }
            let start = Int(location.entry.offset) - bytes.lowerBound
            let stored = UnsafeRawBufferPointer(rebasing: plain[start..<start + Int(location.entry.stored)])
            let raw = Int(location.entry.raw)
            if raw >= FileTarget.leastDirectWrite { alignRoom(for: wants[place].offset) }
            if filled + raw > output.count { try placeDecoded(of: wants) }
            if decode(location, stored, base: nil, into: room(raw)) {
                decoded.append(DecodedChunk(bytes: filled..<filled + raw, wants: place..<end))
                filled += raw
            } else {
                try salvage(wants[place..<end])
            }
            place = end
        }
        try placeDecoded(of: wants)
    }

    /// Skips to an aligned place for a piece that has one in its file, so that it can be written past the page cache. A
    /// piece that follows the last in its file is there already.
    private func alignRoom(for offset: UInt64) {
        guard offset % UInt64(FileTarget.alignment) == 0 else { return }
        filled = (filled + FileTarget.alignment - 1) / FileTarget.alignment * FileTarget.alignment
    }

    /// Room after the chunks that wait; with none waiting it grows to any size.
    private func room(_ count: Int) -> UnsafeMutableRawBufferPointer {
        if output.count < filled + count {
            precondition(filled == 0, "no chunk waits in a buffer that is replaced")
            output.deallocate()
            output = .allocate(byteCount: count, alignment: FileTarget.alignment)
        }
        return UnsafeMutableRawBufferPointer(rebasing: output[filled..<filled + count])
    }

    /// Checks the chunks that wait, and writes those that follow each other in a file with one call.
    private func placeDecoded(of wants: [Want]) throws(HoldfastError) {
        defer {
            decoded.removeAll(keepingCapacity: true)
            filled = 0
        }
        verify(wants)
        var number = 0
        while number < decoded.count {
            let first = decoded[number]
            var end = number + 1
            guard first.isTrue else {
                try salvage(wants[first.wants])
                number = end
                continue
            }
            while end < decoded.count, decoded[end].follows(decoded[end - 1], in: wants) { end += 1 }
            let bytes = first.bytes.lowerBound..<decoded[end - 1].bytes.upperBound
            write(UnsafeRawBufferPointer(rebasing: output[bytes]), wants[first.wants])
            number = end
        }
    }

    /// Compares the chunks that wait with their ids, two at a time.
    private func verify(_ wants: [Want]) {
        func bytes(_ number: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(rebasing: output[decoded[number].bytes])
        }
        func note(_ digest: Bytes32, _ number: Int) {
            decoded[number].isTrue = ChunkID(digest) == wants[decoded[number].wants.lowerBound].id
        }
        var number = 0
        while number + 1 < decoded.count {
            let digests = digests(bytes(number), bytes(number + 1))
            note(digests.0, number)
            note(digests.1, number + 1)
            number += 2
        }
        if number < decoded.count { note(digest(bytes(number)), number) }
    }

    /// Decodes one copy; false when it is damaged.
    private func decode(
        _ location: ChunkLocation, _ stored: UnsafeRawBufferPointer, base: UnsafeRawBufferPointer?,
        into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard let codec = location.entry.codec else { return false }
        do throws(HoldfastError) {
            let span = RawSpan(_unsafeBytes: stored)
            if let base {
                try decoder.decode(codec, span, base: RawSpan(_unsafeBytes: base), into: output)
            } else {
                try decoder.decode(codec, span, base: nil, into: output)
            }
            return true
        } catch {
            return false
        }
    }

    private func digest(_ bytes: UnsafeRawBufferPointer) -> Bytes32 { hash.digest(RawSpan(_unsafeBytes: bytes)) }

    private func digests(_ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> (Bytes32, Bytes32) {
        hash.digests(RawSpan(_unsafeBytes: first), RawSpan(_unsafeBytes: second))
    }

    private func write(_ bytes: UnsafeRawBufferPointer, _ wants: ArraySlice<Want>) {
        for want in wants {
            if current?.job !== want.job {
                current = (want.job, want.job.open(context.writer, context.tally))
            }
            guard let target = current?.target else { continue }
            do throws(HoldfastError) {
                try target.write(bytes, at: want.offset)
                context.tally.counters.add(written: bytes.count)
            } catch {
                want.job.giveUp(error, context.tally)
                current = (want.job, nil)
            }
        }
    }

    // MARK: Delta chains

    /// Decodes chains link by link: all whole copies, then the first deltas over them, and so on, each link's copies in
    /// order of place. Two slots a chain, one holds the base while the other is filled.
    private func chains(_ chains: [DeltaChain]) throws(HoldfastError) {
        var slots: [Int] = []
        var size = 0
        for chain in chains {
            slots.append(size)
            size += 2 * chain.slotSize
        }
        let window = memory(size)
        func slot(_ number: Int, _ link: Int) -> UnsafeMutableRawBufferPointer {
            let start = slots[number] + (link & 1) * chains[number].slotSize
            return UnsafeMutableRawBufferPointer(
                rebasing: window[start..<start + Int(chains[number].links[link].entry.raw)])
        }
        var isLost = [Bool](repeating: false, count: chains.count)
        // A chain that is decoded to its end and waits for another, to be checked together with it.
        var waiting: Int?
        func end(_ number: Int) -> UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(slot(number, chains[number].links.count - 1))
        }
        func place(_ number: Int, isTrue: Bool) {
            if isTrue {
                write(end(number), chains[number].wants[...])
            } else {
                isLost[number] = true
            }
        }
        for link in 0...Int(PackContents.maximumDepth) {
            let due = chains.indices.filter { chains[$0].links.count > link && !isLost[$0] }
            guard !due.isEmpty else { break }
            try copies(due.map { (chains[$0].links[link], $0) }) { location, number, stored in
                let target = slot(number, link)
                let base = link > 0 ? UnsafeRawBufferPointer(slot(number, link - 1)) : nil
                guard let stored, decode(location, stored, base: base, into: target) else {
                    isLost[number] = true
                    return
                }
                guard link == chains[number].links.count - 1 else { return }
                guard let other = waiting else {
                    waiting = number
                    return
                }
                waiting = nil
                let digests = digests(end(other), end(number))
                place(other, isTrue: chains[other].isMade(digests.0))
                place(number, isTrue: chains[number].isMade(digests.1))
            }
        }
        if let waiting { place(waiting, isTrue: chains[waiting].isMade(digest(end(waiting)))) }
        for number in chains.indices where isLost[number] { try salvage(chains[number].wants[...]) }
    }

    private func memory(_ size: Int) -> UnsafeMutableRawBufferPointer {
        if let window, window.count >= size { return window }
        window?.deallocate()
        let taken = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(size, context.windowSize), alignment: FileTarget.alignment)
        window = taken
        return taken
    }

    /// Reads copies by coalesced stretches and hands over the stored bytes of each; nil when they cannot be read.
    private func copies(
        _ wanted: [(location: ChunkLocation, number: Int)],
        _ body: (ChunkLocation, Int, UnsafeRawBufferPointer?) -> Void
    ) throws(HoldfastError) {
        let sorted = wanted.sorted { a, b in
            a.location.pack != b.location.pack
                ? a.location.pack < b.location.pack : a.location.entry.offset < b.location.entry.offset
        }
        func bytes(_ number: Int) -> Range<Int> {
            let start = Int(sorted[number].location.entry.offset)
            return start..<start + Int(sorted[number].location.entry.stored)
        }
        var first = 0
        while first < sorted.count {
            let pack = sorted[first].location.pack
            var stretch = bytes(first)
            var end = first + 1
            while end < sorted.count, sorted[end].location.pack == pack,
                bytes(end).lowerBound <= stretch.upperBound + context.gap,
                bytes(end).upperBound - stretch.lowerBound <= UnitMaker.stretchSize
            {
                stretch = stretch.lowerBound..<max(stretch.upperBound, bytes(end).upperBound)
                end += 1
            }
            var plain: UnsafeRawBufferPointer?
            do throws(HoldfastError) {
                plain = try stretches.read(pack, stretch)
            } catch {
                guard error.leavesOtherCopies else { throw error }
            }
            for number in first..<end {
                let range = bytes(number)
                let start = range.lowerBound - stretch.lowerBound
                let stored = plain.map { UnsafeRawBufferPointer(rebasing: $0[start..<start + range.count]) }
                body(sorted[number].location, sorted[number].number, stored)
            }
            first = end
        }
    }

    // MARK: Damage

    /// Tries each copy of a chunk by itself, and notes the places that go without.
    private func salvage(_ wants: ArraySlice<Want>) throws(HoldfastError) {
        var place = wants.startIndex
        while place < wants.endIndex {
            let first = wants[place]
            var end = place + 1
            while end < wants.endIndex, wants[end].key == first.key { end += 1 }
            switch try rescue(first) {
            case .success(let bytes):
                bytes.withUnsafeBytes { write($0, wants[place..<end]) }
            case .failure(let error):
                for want in wants[place..<end] {
                    want.job.damaged(
                        want.range, pack: want.location.pack, error, context.writer, context.tally)
                }
            }
            place = end
        }
    }

    /// The chunk from any copy that is whole, or what is wrong with the one that is read first.
    private func rescue(_ want: Want) throws(HoldfastError) -> Result<[UInt8], HoldfastError> {
        let reader: ChunkReader
        if let single {
            reader = single
        } else {
            reader = try ChunkReader(index: context.index, packs: context.packs, keyring: context.keyring)
            single = reader
        }
        return try reader.rescue(want.id, from: want.location, in: context.index, hash: hash)
    }
}
