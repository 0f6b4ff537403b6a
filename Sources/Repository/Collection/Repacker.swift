// Copying what is needed out of packs that are mostly unneeded.

import Compression
import Logging
import Primitives
import Sealing

extension Collector {
    /// Chooses the packs to copy from: worst first, until what stays unused is within its limit or a budget is used up.
    func planRepack(_ plan: inout PrunePlan) {
        let condemned = plan.state.collections.condemnedPacks
        var partly: [PartlyUsedPack] = []
        var stored: UInt64 = 0
        for (id, use) in plan.marking.livePacks where !condemned.contains(id) {
            stored += use.stored
            let pack = PartlyUsedPack(id: id, length: use.stored, needed: use.needed)
            if pack.unused > 0 { partly.append(pack) }
        }
        let unused = partly.reduce(UInt64(0)) { $0 + $1.unused }
        plan.unused = unused
        guard repository.keyring.canReadData else { return }
        partly.sort { a, b in
            let left = Double(a.unused) / Double(a.length)
            let right = Double(b.unused) / Double(b.length)
            return left != right ? left > right : a.id < b.id
        }
        let limit = UInt64(Double(stored) * max(0, min(100, options.maximumUnused)) / 100)
        var remaining = unused
        var copied: UInt64 = 0
        for pack in partly where remaining > limit {
            guard copied + pack.needed <= options.maximumRepack.bytes else { continue }
            plan.repack.append(pack)
            copied += pack.needed
            remaining -= pack.unused
        }
    }

    /// Copies the needed chunks of the planned packs into new ones, and puts the run that names them.
    ///
    /// The old packs stay: the next mark prefers the new copies, which are of a newer run and no deeper, and finds
    /// the old ones unneeded. So a failure or a cancellation in between costs nothing but the copies.
    ///
    /// - Returns: whether anything was copied.
    func repack(_ plan: PrunePlan) throws(HoldfastError) -> Bool {
        guard !plan.repack.isEmpty else { return false }
        let started = repository.clock.uptime()
        let session = try WriterSession(repository, tag: SourceTag(Bytes16()), purpose: .repack)
        defer { session.close() }
        let copier = try ChunkCopier(repository, session, plan)
        for (place, pack) in plan.repack.enumerated() {
            try repository.environment.cancellation.check()
            if let limit = options.maximumTime, repository.clock.uptime() - started >= limit { break }
            progress("copying out of pack \(place + 1) of \(plan.repack.count)")
            do throws(HoldfastError) {
                report.repackedBytes += try copier.copy(pack.id)
                report.repackedPacks += 1
            } catch {
                // A damaged pack stays as it is: it is for check and repair, and nothing else is held up by it.
                guard error.code == .corruptObject || error.code == .objectMissing else { throw error }
                report.damaged.append((pack.id, error))
            }
        }
        try session.flush()
        return report.repackedPacks > 0
    }
}

/// Reads the needed chunks of one pack after another, verifies each and appends it as it is stored.
///
/// A delta stays one, at its depth, and its base stays findable at a smaller one: bases are needed too, so that they
/// are copied with the rest or stay where they are. A base that only deltas in the same packs keep is dropped
/// instead, and those deltas are stored whole.
///
/// Memory: a window of 4 MiB and a few chunks; one bit for each entry of the index.
private final class ChunkCopier {
    private static let windowSegments = 64

    private let repository: Repository
    private let session: WriterSession
    private let marking: Marking
    private let packs: PackReader
    private let chunks: ChunkReader
    private let decoder: ChunkDecoder
    private let encoder: ChunkEncoder
    private let selected: Set<PackID>
    /// Entries that deltas outside of the selected packs are made against.
    private var neededOutside: EntryBits
    private var window: UnsafeMutableRawBufferPointer
    private var loaded = 0..<0

    init(_ repository: Repository, _ session: WriterSession, _ plan: PrunePlan) throws(HoldfastError) {
        self.repository = repository
        self.session = session
        marking = plan.marking
        packs = PackReader(store: repository.store, keyring: repository.keyring)
        chunks = try ChunkReader(index: plan.marking.index, packs: packs, keyring: repository.keyring)
        decoder = try ChunkDecoder()
        encoder = try ChunkEncoder(CompressionSetting(repository.format.compression) ?? .zstd(level: 3))
        selected = Set(plan.repack.map(\.id))
        neededOutside = EntryBits(plan.marking.index.runs)
        let largest = Self.windowSegments + PackLimits.maximumChunk / Segments.plainSize + 2
        window = .allocate(byteCount: largest * Segments.storedSize, alignment: 16)
        findBasesOfOthers()
    }

    deinit { window.deallocate() }

    private func location(_ run: Int, _ place: Int) -> ChunkLocation? {
        let table = marking.index.runs[run]
        let entry = table.entry(place)
        guard Int(entry.pack) < table.run.packs.count else { return nil }
        return ChunkLocation(pack: table.run.packs[Int(entry.pack)].id, entry: entry, run: run, place: place)
    }

    private func base(of location: ChunkLocation) -> ChunkLocation? {
        marking.index.base(of: location, for: .reuse) ?? marking.index.base(of: location, for: .reading)
    }

    private func findBasesOfOthers() {
        for (number, run) in marking.index.runs.enumerated() {
            for place in 0..<run.run.entryCount where marking.live.contains(run: number, place: place) {
                guard let at = location(number, place), at.entry.depth > 0, !selected.contains(at.pack) else {
                    continue
                }
                var link = base(of: at)
                while let below = link, neededOutside.insert(below) { link = base(of: below) }
            }
        }
    }

    /// Whether the chunk is there for deltas only that will be stored whole.
    private func isDropped(_ at: ChunkLocation) -> Bool {
        !marking.direct.contains(run: at.run, place: at.place)
            && !neededOutside.contains(run: at.run, place: at.place)
    }

    /// Copies what is needed of a pack; the bytes that were appended.
    func copy(_ pack: PackID) throws(HoldfastError) -> UInt64 {
        let (head, contents) = try packs.contents(pack)
        let opened = try packs.open(pack)
        var records: [Bytes16: ChunkRecord] = [:]
        for record in contents.chunks { records[record.id.bytes.prefix] = record }
        loaded = 0..<0
        var copied: UInt64 = 0
        for at in needed(in: pack) where !isDropped(at) {
            try repository.environment.cancellation.check()
            guard let record = records[at.entry.id], record.offset == at.entry.offset,
                record.stored == at.entry.stored, record.depth == at.entry.depth, record.codec == at.entry.codec
            else {
                throw HoldfastError(
                    .corruptObject, "the index and the table of contents of pack \(pack) differ",
                    hint: "Run `holdfast repair index`.")
            }
            copied += try copy(record, at, opened, head.kind)
        }
        return copied
    }

    /// In the order of the pack's body.
    private func needed(in pack: PackID) -> [ChunkLocation] {
        var found: [ChunkLocation] = []
        for (number, run) in marking.index.runs.enumerated() {
            guard let place = run.run.packs.firstIndex(where: { $0.id == pack }) else { continue }
            for entry in 0..<run.run.entryCount where marking.live.contains(run: number, place: entry) {
                guard let at = location(number, entry), Int(at.entry.pack) == place else { continue }
                found.append(at)
            }
        }
        return found.sorted { $0.entry.offset < $1.entry.offset }
    }

    private func copy(
        _ record: ChunkRecord, _ at: ChunkLocation, _ opened: OpenedPack, _ kind: PackKind
    ) throws(HoldfastError) -> UInt64 {
        let stored = try bytes(of: record, at.pack, opened)
        let below = record.depth > 0 ? base(of: at) : nil
        if record.depth > 0, below == nil { throw ChunkReader.missing(record.id) }
        let base = if let below { try chunks.decode(below) } else { [UInt8]() }
        var plain = [UInt8](repeating: 0, count: Int(record.raw))
        var span = plain.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try decoder.decode(
                record.codec, RawSpan(_unsafeBytes: stored), base: record.depth > 0 ? base.span.bytes : nil,
                into: UnsafeMutableRawBufferPointer(buffer))
        }
        let hash = KeyedHash(key: try repository.keyring.key(kind.contentClass.idKey))
        guard ChunkID(hash.digest(plain.span.bytes)) == record.id else {
            throw HoldfastError(
                .corruptObject, "chunk \(record.id) in pack \(at.pack) decodes to other bytes",
                hint: "Run `holdfast check --read-data`, and restore the pack from a mirror.")
        }
        guard let below, isDropped(below) else {
            try session.append(
                kind, id: record.id, codec: record.codec, depth: record.depth, raw: Int(record.raw),
                base: record.base, stored)
            return UInt64(stored.count)
        }
        return try appendWhole(record.id, plain, kind == .delta ? .page : kind)
    }

    private func appendWhole(_ id: ChunkID, _ plain: [UInt8], _ kind: PackKind) throws(HoldfastError) -> UInt64 {
        var output = [UInt8](repeating: 0, count: ChunkEncoder.bound(for: plain.count))
        var span = output.mutableSpan
        return try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            let raw = UnsafeMutableRawBufferPointer(buffer)
            let (codec, count) = try encoder.encode(plain.span.bytes, into: raw)
            try session.append(
                kind, id: id, codec: codec, raw: plain.count, UnsafeRawBufferPointer(rebasing: raw[..<count]))
            return UInt64(count)
        }
    }

    /// The stored bytes of a chunk, valid until the next call. Segments are read ahead, 4 MiB at a time.
    private func bytes(
        of record: ChunkRecord, _ pack: PackID, _ opened: OpenedPack
    ) throws(HoldfastError) -> UnsafeRawBufferPointer {
        if record.stored == 0 { return UnsafeRawBufferPointer(rebasing: window[..<0]) }
        let start = Int(record.offset)
        let end = start + Int(record.stored)
        let wanted = start / Segments.plainSize..<(end + Segments.plainSize - 1) / Segments.plainSize
        if !(loaded.contains(wanted.lowerBound) && wanted.upperBound <= loaded.upperBound) {
            let last = max(
                wanted.upperBound, min(Int(opened.head.bodySegments), wanted.lowerBound + Self.windowSegments))
            loaded = 0..<0
            _ = try packs.readSegments(opened, pack, wanted.lowerBound..<last, into: window)
            loaded = wanted.lowerBound..<last
        }
        let skip = start - loaded.lowerBound * Segments.plainSize
        return UnsafeRawBufferPointer(rebasing: window[skip..<skip + Int(record.stored)])
    }
}
