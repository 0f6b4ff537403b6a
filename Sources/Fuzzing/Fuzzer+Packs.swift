// Packs, index runs and the cache of runs.

import Compression
import Glibc
import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

extension Fuzzer {
    /// The head with its checksum mended.
    func packHead(_ bytes: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(Self.mended(bytes)) { (bytes) throws(HoldfastError) in
            let head = try PackHead(bytes, name: "pack")
            _ = try? head.envelope.open(with: [keys.agreement], binding: head.binding)
            return head
        } _: { (head) throws(HoldfastError) in
            head.encoded
        }
    }

    private static func mended(_ head: [UInt8]) -> [UInt8] {
        guard head.count == PackHead.size else { return head }
        let covered = Array(head[..<(PackHead.size - 4)])
        var writer = ByteWriter(reserving: PackHead.size)
        writer.raw(covered)
        writer.u32(crc32c(covered.span.bytes))
        return writer.bytes
    }

    /// Two bytes of the body's segments, then the table.
    func packContents(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var bytes = input
        let capacity = take(2, from: &bytes) % 1025 * Segments.plainSize
        let contents = try PackContents(bytes, bodyCapacity: capacity, name: "pack")
        let stored = contents.chunks.reduce(0) { $0 + Int($1.stored) }
        guard stored <= capacity else { return .wrong("chunks lie past the end of the body") }
        let again = try PackContents(contents.encoded, bodyCapacity: capacity, name: "pack")
        return again.chunks == contents.chunks ? .accepted : .wrong("chunks change when they are encoded")
    }

    /// A whole pack in a store: head, checksum and seal of the table are made good, the rest is the input's.
    func pack(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        guard input.count >= PackHead.size else { return .refused }
        let repository = keys.test.repository
        var head = Array(input[..<PackHead.size])
        var plain = Array(input[PackHead.size...])
        let segments = take(1, from: &plain) % 3
        patch(&head, 16, repository.id.bytes.array)
        patch(&head, 36, [1, 0, 0, 0])
        head = Self.mended(head)
        let salt = Bytes32(head.span.bytes, at: 72)
        let sealed = try Segments.seal(
            plain, key: try PackKeys.contents(try repository.keyring.indexKey(1), salt: salt),
            headDigest: SHA256.digest(head.span.bytes), stream: .contents)
        let object = head + [UInt8](repeating: 0, count: segments * Segments.storedSize) + sealed + head
        let id = PackID(SHA256.digest(object.span.bytes))
        let store = MemoryStore(clock: keys.test.clock)
        try store.putIfAbsent(ObjectNames.pack(id), object.span.bytes)
        let reader = PackReader(store: store, keyring: repository.keyring)
        _ = try? reader.open(id)
        do throws(HoldfastError) {
            let (read, contents) = try reader.contents(id)
            let stored = contents.chunks.reduce(0) { $0 + Int($1.stored) }
            return stored <= Int(read.bodySegments) * Segments.plainSize
                ? .accepted : .wrong("chunks lie past the end of the body")
        } catch {
            // A head that names more than there is meets the end of the object.
            if error.code == .inputOutput || error.code == .storeUnavailable { return .refused }
            throw error
        }
    }

    /// What is sealed opens to itself, and what is sealed and then changed does not open.
    func stream(_ input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var plain = input
        let place = take(3, from: &plain)
        let change = UInt8(truncatingIfNeeded: take(1, from: &plain))
        let digest = Bytes32(w0: 1)
        var sealed = try Segments.seal(plain, key: keys.secret, headDigest: digest, stream: .index)
        let opened = try Segments.open(sealed, key: keys.secret, headDigest: digest, stream: .index, name: "stream")
        guard opened == plain else { return .wrong("a stream opens to other bytes") }
        if change == 0 { sealed.removeLast(min(sealed.count, place % 70_000 + 1)) }
        sealed.withUnsafeMutableBytes { raw in if !raw.isEmpty { raw[place % raw.count] ^= change } }
        do throws(HoldfastError) {
            _ = try Segments.open(sealed, key: keys.secret, headDigest: digest, stream: .index, name: "stream")
        } catch {
            return error.code == .corruptObject ? .accepted : .wrong("a changed stream fails with \(error)")
        }
        return .wrong("a changed stream opens")
    }

    // MARK: Index runs

    /// A run as stored, signed anew; the seal of its table is tried.
    func run(body: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let parsed = try IndexRunObject.parse(try keys.frame(body), name: "run")
        _ = try? parsed.opened(indexKey: keys.secret, name: "run")
        return 20 + parsed.clear.count + parsed.sealedCount == body.count ? .accepted : .wrong("a run lost bytes")
    }

    func run(clear: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        try turn(clear) { (bytes) throws(HoldfastError) in
            try IndexRunObject.readClear(bytes, name: "run")
        } _: { (run) throws(HoldfastError) in
            run.clearPart(salt: Bytes32(clear.span.bytes, at: 44))
        }
    }

    /// The number of packs, then the opened table of a run: look-ups of all that is in it and of what is not.
    func run(table input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        var table = input
        let packCount = take(1, from: &table)
        let baseCount = take(2, from: &table)
        let bases = min(baseCount, table.count / 20)
        let entries = (table.count - bases * 20) / IndexEntry.size
        guard bases <= entries else { return .refused }
        table.removeLast(table.count - bases * 20 - entries * IndexEntry.size)
        let packs = (0..<packCount).map { number in
            IndexedPack(
                id: PackID(Bytes32(w0: UInt64(number))), length: 1, kind: .data, slot: SlotID(Bytes16(w0: 1)))
        }
        var run = IndexRunObject(
            repository: RepositoryID(Bytes16()), epoch: 1, slot: SlotID(Bytes16(w0: 1)),
            made: Timestamp(nanoseconds: 0), supersedes: [], packs: packs, entries: [])
        run.entryCount = entries
        run.baseCount = bases
        return try look(up: try LoadedRun(id: IndexRunID(Bytes32()), run: run, table: RunTable(table)))
    }

    private func look(up loaded: LoadedRun) throws(HoldfastError) -> FuzzVerdict {
        let index = Index(runs: [loaded]) { $0.id.bytes.w0 % 5 == 0 ? [] : [.present, .reusable] }
        for place in 0..<min(loaded.run.entryCount, 256) {
            let entry = loaded.entry(place)
            for copy in index.copies(of: entry.id) {
                guard loaded.entry(copy.place).id == entry.id else { return .wrong("a look-up finds another chunk") }
            }
            for purpose in [LookupPurpose.reading, .reuse] {
                guard let found = index.find(entry.id, for: purpose) else { continue }
                guard found.entry.id == entry.id else { return .wrong("a look-up finds another chunk") }
                let base = index.base(of: found, for: purpose)
                guard found.entry.depth == 0 || base.map({ $0.entry.depth < found.entry.depth }) == true else {
                    return .wrong("a delta is found whose base is not")
                }
            }
            var other = entry.id
            other.w1 ^= 1
            if let found = index.find(other, for: .reading), found.entry.id != other {
                return .wrong("a look-up finds another chunk")
            }
        }
        _ = index.find(Bytes16(w0: UInt64.max, w1: UInt64.max), for: .reading)
        _ = index.find(Bytes16(), for: .reading)
        return .accepted
    }

    /// A cache file of a run with its checksum mended.
    func run(cached input: [UInt8]) throws(HoldfastError) -> FuzzVerdict {
        let id = IndexRunID(Bytes32(w0: 7))
        let repository = RepositoryID(Bytes16(w0: 7))
        var bytes = input
        patch(&bytes, 0, Array("HFRUNC02".utf8))
        patch(&bytes, 16, id.bytes.array)
        if bytes.count >= 48 {
            var sum = ByteWriter()
            sum.u32(crc32c(bytes.span.bytes.extracting(16..<bytes.count)))
            patch(&bytes, 12, sum.bytes)
        }
        let cache = RunCache(directory: keys.scratch, repository: repository)
        mkdir("\(keys.scratch)/\(repository)", 0o700)
        let path = "\(keys.scratch)/\(repository)/\(id).run"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw HoldfastError.systemCall("open", errno, on: path) }
        let written = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
        close(descriptor)
        guard written == bytes.count else { throw HoldfastError.systemCall("write", errno, on: path) }
        guard let (clear, table) = cache.load(id) else { return .refused }
        return try look(up: try LoadedRun(id: id, run: try IndexRunObject.readClear(clear, name: "run"), table: table))
    }
}
