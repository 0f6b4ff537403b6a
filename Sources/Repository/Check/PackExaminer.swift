// Checks one pack after another: both heads, the table of contents against the index, and on demand every byte.

import Compression
import ObjectStore
import Primitives
import Sealing

/// A pack to be checked.
struct PackJob: Sendable {
    var id: PackID
    var size: UInt64
    /// Runs that list it, with its place in their tables.
    var listed: [(run: Int, place: Int)]
    /// Whether it is read from end to end.
    var readsData: Bool
}

/// What a check learnt of one pack.
struct PackVerdict: Sendable {
    /// Nothing in the pack can be read.
    var isBad = false
    /// Nobody can tell which chunks are bad.
    var isGuess = false
    var badCopies: [CopyName] = []
    /// The bytes do not match the name, twice.
    var isRotten = false
    /// Every chunk was decoded and is what its id says.
    var isVerified = false
    /// Runs whose entries for this pack are not those of its table of contents.
    var differing: [IndexRunID] = []

    /// Whether nothing is wrong with its bytes, also not with one chunk of many.
    var isGood: Bool { !isBad && !isRotten && badCopies.isEmpty }
}

/// The part of a check that looks at packs.
///
/// Thread: one at a time; make one per thread.
final class PackExaminer {
    let collector: CheckCollector
    let objects: CheckedObjects
    let runs: [LoadedRun]
    let keyring: Keyring?
    private let packs: PackReader?
    private let buffer = PackBuffer()
    private let chunks: ChunkExaminer?
    private let help: ChunkHelp

    init(
        _ collector: CheckCollector, objects: CheckedObjects, runs: [LoadedRun], index: Index, keyring: Keyring?,
        packs: PackReader?, help: ChunkHelp
    ) throws(HoldfastError) {
        self.help = help
        self.collector = collector
        self.objects = objects
        self.runs = runs
        self.keyring = keyring
        self.packs = packs
        if let keyring, let packs {
            chunks = try ChunkExaminer(index: index, packs: packs, keyring: keyring)
        } else {
            chunks = nil
        }
    }

    /// Helps the other threads' examiners; call it when there is no pack left.
    func helpOthers() { help.help(with: chunks) }

    /// Clear parts of a pack, in memory.
    private struct Ends {
        var head: PackHead
        var headBytes: [UInt8]
        /// The sealed table of contents and the head at the end.
        var tail: [UInt8]
    }

    /// - Throws: `.interrupted`; all else is a finding.
    func examine(_ job: PackJob) throws(HoldfastError) -> PackVerdict {
        let key = ObjectNames.pack(job.id)
        var verdict = PackVerdict()
        var digestError: HoldfastError?
        let ends: Ends
        do throws(HoldfastError) {
            if job.readsData {
                digestError = try readWhole(job, key)
                ends = try self.ends(of: job, key) { range in buffer.copy(range) }
            } else {
                ends = try collector.repeating(key.path) { () throws(HoldfastError) in
                    try self.ends(of: job, key) { (range) throws(HoldfastError) in try read(key, range) }
                }
            }
        } catch {
            if error.code == .interrupted { throw error }
            if error.code == .objectMissing, try isGone(job.id) { return verdict }
            collector.add(error, about: key.path)
            verdict.isBad = true
            verdict.isRotten = digestError != nil
            return verdict
        }
        verdict.isRotten = digestError != nil
        let contents = contents(of: job, key, ends)
        if let contents { compare(contents, ends, job, &verdict) }
        if job.readsData {
            try examineData(job, key, ends, contents, digestError, &verdict)
        }
        return verdict
    }

    /// Reads all bytes; a digest that is wrong twice is returned, and the bytes of the second read stay.
    private func readWhole(_ job: PackJob, _ key: ObjectKey) throws(HoldfastError) -> HoldfastError? {
        var second: HoldfastError?
        do throws(HoldfastError) {
            try collector.repeating(key.path) { () throws(HoldfastError) in
                second = nil
                let digest = try buffer.read(key, size: job.size, from: collector.store, collector.cancellation)
                collector.addBytesRead(Int(job.size))
                guard PackID(digest) == job.id else {
                    let error = ByteReader([], as: key.path).corrupt("its bytes do not match its name")
                    second = error
                    throw error
                }
            }
        } catch {
            guard second != nil else { throw error }
        }
        collector.count { counts in
            counts.packsRead += 1
            counts.packBytesRead += job.size
        }
        return second
    }

    private func read(_ key: ObjectKey, _ range: Range<Int>) throws(HoldfastError) -> [UInt8] {
        try collector.cancellation.check()
        var bytes = [UInt8](repeating: 0, count: range.count)
        var span = bytes.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try collector.store.read(key, at: UInt64(range.lowerBound), into: UnsafeMutableRawBufferPointer(buffer))
        }
        collector.addBytesRead(range.count)
        return bytes
    }

    private func ends(
        of job: PackJob, _ key: ObjectKey, _ bytes: (Range<Int>) throws(HoldfastError) -> [UInt8]
    ) throws(HoldfastError) -> Ends {
        let reader = ByteReader([], as: key.path)
        guard job.size >= UInt64(PackHead.size) * 2 else { throw reader.corrupt("it is too short") }
        guard job.size <= PackBuffer.maximumSize else { throw reader.corrupt("it is longer than any pack") }
        let headBytes = try bytes(0..<PackHead.size)
        let head = try PackHead(headBytes, name: key.path)
        try objects.require(head.repository, true, name: key.path)
        guard head.packLength == job.size else {
            throw reader.corrupt("it has \(job.size) bytes and its head says \(head.packLength)")
        }
        let tail = try bytes(Int(head.contentsOffset)..<Int(job.size))
        guard tail.suffix(PackHead.size).elementsEqual(headBytes) else {
            collector.add(.error, .damaged, key.path, "the copy of the head at its end differs from the head")
            return Ends(head: head, headBytes: headBytes, tail: tail)
        }
        return Ends(head: head, headBytes: headBytes, tail: tail)
    }

    /// The table of contents; nil when it is damaged, which is a finding, or when its key is not at hand.
    private func contents(of job: PackJob, _ key: ObjectKey, _ ends: Ends) -> PackContents? {
        guard let indexKey = keyring?.epochs[ends.head.epoch]?.keys[.index] else { return nil }
        let sealed = Array(ends.tail.prefix(Int(ends.head.contentsLength)))
        do throws(HoldfastError) {
            let plain = try Segments.open(
                sealed, key: try PackKeys.contents(indexKey, salt: ends.head.salt),
                headDigest: SHA256.digest(ends.headBytes.span.bytes), stream: .contents, name: key.path)
            let contents = try PackContents(
                plain, bodyCapacity: Int(ends.head.bodySegments) * Segments.plainSize, name: key.path)
            guard contents.chunks.count == Int(ends.head.chunkCount) else {
                throw ByteReader([], as: key.path).corrupt(
                    "its table of contents has another length than its head says")
            }
            return contents
        } catch {
            collector.add(error, about: key.path)
            return nil
        }
    }

    /// Every chunk of the table has its entry in each run that lists the pack, and no entry is left over.
    private func compare(_ contents: PackContents, _ ends: Ends, _ job: PackJob, _ verdict: inout PackVerdict) {
        for (number, place) in job.listed {
            let run = runs[number]
            let name = ObjectNames.indexRun(run.id).path
            if run.run.packs[place].kind != ends.head.kind {
                verdict.differing.append(run.id)
                collector.add(.error, .indexDiffers, name, "it gives pack \(job.id) another kind than the pack's head")
            }
            let missing = contents.chunks.count { !Self.holds(run, place, $0) }
            let entries = PackEntries.entries(of: place, in: run)
            guard missing > 0 || entries.count != contents.chunks.count else { continue }
            verdict.differing.append(run.id)
            let known = Set(contents.chunks.map(EntryShape.init))
            let wrong = entries.filter { !known.contains(EntryShape($0.entry, base: $0.base)) }
            verdict.badCopies += wrong.map { CopyName(pack: job.id, id: $0.entry.id) }
            collector.add(
                .error, .indexDiffers, name,
                "pack \(job.id) holds \(contents.chunks.count) chunks; \(missing) of them have no right entry, and "
                    + "\(wrong.count) entries fit none of them")
        }
    }

    private static func holds(_ run: LoadedRun, _ place: Int, _ chunk: ChunkRecord) -> Bool {
        run.places(of: chunk.id.bytes.prefix).contains { at in
            let entry = run.entry(at)
            return Int(entry.pack) == place && EntryShape(entry, base: run.base(of: at)) == EntryShape(chunk)
        }
    }

    private func examineData(
        _ job: PackJob, _ key: ObjectKey, _ ends: Ends, _ contents: PackContents?, _ digestError: HoldfastError?,
        _ verdict: inout PackVerdict
    ) throws(HoldfastError) {
        let pieces = contents.map { $0.chunks.map(ChunkPiece.init) } ?? indexedPieces(job)
        guard let chunks, let packs, !job.listed.isEmpty else {
            if let digestError {
                collector.add(digestError, about: key.path)
                verdict.isBad = true
                verdict.isGuess = true
            }
            return
        }
        do throws(HoldfastError) {
            let opened = try packs.open(job.id, head: ends.head, bytes: ends.headBytes)
            let (stream, badSegments) = try buffer.openBody(opened)
            let result = try help.examine(
                SharedChunks(pieces, in: stream, badSegments: badSegments, of: job.id, ends.head.kind), with: chunks)
            collector.count { counts in
                counts.chunksVerified += result.verified
                counts.plainBytesVerified += result.plainBytes
            }
            verdict.badCopies += result.bad
            verdict.isVerified = digestError == nil && contents != nil && result.verified == UInt64(pieces.count)
            let own = result.bad.count(where: { $0.pack == job.id })
            if own == pieces.count, own > 0 { verdict.isBad = true }
            report(result, digestError, key, of: pieces.count)
        } catch {
            if error.code == .interrupted { throw error }
            if error.code == .notPermitted {
                collector.setIncomplete()
                collector.add(.info, .notDecoded, "packs of kind \(ends.head.kind)", error.message)
                if let digestError { collector.add(digestError, about: key.path) }
            } else {
                collector.add(error, about: key.path)
            }
            guard error.code != .notPermitted || digestError != nil else { return }
            verdict.isBad = true
            verdict.isGuess = error.code == .notPermitted
        }
    }

    private func report(
        _ result: ChunkExaminer.Result, _ digestError: HoldfastError?, _ key: ObjectKey, of count: Int
    ) {
        let own = result.bad.count { ObjectNames.pack($0.pack) == key }
        if let digestError {
            let rest = own == 0 ? "every chunk in it is good all the same" : "\(own) of \(count) chunks are bad"
            collector.add(.error, .damaged, key.path, "\(digestError.message); \(rest)")
        } else if own > 0 {
            collector.add(
                .error, .damaged, key.path, "\(own) of \(count) chunks are bad: \(result.firstMessage)")
        }
        for name in result.bad where ObjectNames.pack(name.pack) != key {
            collector.add(
                .error, .damaged, ObjectNames.pack(name.pack).path, "a chunk that deltas need is bad in it")
        }
        // When a snapshot needs them, the walk of its trees makes an error of it.
        if result.withoutBase > 0 {
            collector.add(
                .warning, .chunkMissing, key.path,
                "\(result.withoutBase) of \(count) chunks are deltas whose bases are in no pack at hand")
        }
    }

    private func indexedPieces(_ job: PackJob) -> [ChunkPiece] {
        guard let (number, place) = job.listed.first else { return [] }
        return PackEntries.entries(of: place, in: runs[number]).compactMap { ChunkPiece($0.entry, base: $0.base) }
    }

    /// Whether a missing pack was retired while the check ran.
    private func isGone(_ id: PackID) throws(HoldfastError) -> Bool {
        guard try collector.store.info(ObjectNames.pack(id)) == nil else { return false }
        if objects.sweptPacks.contains(id) { return true }
        let found = Retired(objects)
        return try found.read(collector).contains(id)
    }
}
