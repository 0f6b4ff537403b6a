// index/<sha256>: an immutable sorted run of the index, with a clear signed part and a sealed part.

import Compression
import Primitives
import Sealing

/// A pack as an index run lists it.
package struct IndexedPack: Sendable, Hashable {
    package var id: PackID
    package var length: UInt64
    package var kind: PackKind
    /// Who wrote the pack, as the signer of the run vouches; zero when nobody does.
    package var slot: SlotID

    package init(id: PackID, length: UInt64, kind: PackKind, slot: SlotID) {
        self.id = id
        self.length = length
        self.kind = kind
        self.slot = slot
    }
}

/// A copy of a chunk, in the 32 bytes that an index entry takes.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 16 | first half of the chunk id |
/// | 16 | 4 | pack, by its place in the run's table |
/// | 20 | 4 | offset in the body's stream |
/// | 24 | 4 | stored bytes (24 bits) and codec (4 bits) and depth (4 bits) |
/// | 28 | 4 | raw bytes (24 bits), 8 bits zero |
package struct IndexEntry: Sendable, Hashable, BitwiseCopyable {
    package static let size = 32

    package var id: Bytes16
    package var pack: UInt32
    package var offset: UInt32
    package var storedWord: UInt32
    package var rawWord: UInt32

    package init(
        id: Bytes16, pack: UInt32, offset: UInt32, stored: UInt32, codec: Codec, depth: UInt8, raw: UInt32
    ) {
        precondition(stored < 1 << 24 && raw < 1 << 24 && depth < 16, "a chunk is at most 8 MiB and 8 deep")
        self.id = id
        self.pack = pack
        self.offset = offset
        storedWord = stored | UInt32(codec.rawValue) << 24 | UInt32(depth) << 28
        rawWord = raw
    }

    /// Reads the entry at `offset` of a table of entries.
    package init(_ bytes: RawSpan, at offset: Int) {
        id = Bytes16(bytes, at: offset)
        pack = UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 16, as: UInt32.self))
        self.offset = UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 20, as: UInt32.self))
        storedWord = UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 24, as: UInt32.self))
        rawWord = UInt32(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 28, as: UInt32.self))
    }

    package var stored: UInt32 { storedWord & 0xFF_FFFF }
    package var raw: UInt32 { rawWord & 0xFF_FFFF }
    package var depth: UInt8 { UInt8(storedWord >> 28) }
    /// Nil for a codec that this version does not know.
    package var codec: Codec? { Codec(rawValue: UInt8(storedWord >> 24 & 15)) }

    package func write(to writer: inout ByteWriter) {
        writer.raw(id)
        writer.u32(pack)
        writer.u32(offset)
        writer.u32(storedWord)
        writer.u32(rawWord)
    }
}

/// A run in memory, before it is sealed or after it is opened.
///
/// Object: header 16, clear length u32, clear part, sealed part, then signature and SHA-256 as in ``SignedFrame``.
/// Clear part: repository 16, epoch u32, slot 16, made i64, salt 32, superseded runs (varint count, 32 each), packs
/// (varint count; id 32, length varint, kind 1, slot 16), entries varint, bases varint. Sealed part, framed as
/// ``Segments`` under HKDF(indexKey, salt, "run") with SHA-256(clear part) for a head: entries sorted by id (then pack,
/// then offset), then bases (entry number u32, base 16), in order.
package struct IndexRunObject: Sendable {
    package static let maximumSize = ByteCount.mebi(1024)
    package static let maximumEntries = 1 << 24
    package static let maximumSuperseded = 1 << 16

    package var repository: RepositoryID
    package var epoch: Epoch
    package var slot: SlotID
    package var made: Timestamp
    package var supersedes: [IndexRunID]
    package var packs: [IndexedPack]
    package var entryCount: Int
    package var baseCount: Int
    /// Entries and bases in their stored form; empty when only the clear part was read.
    package var table: [UInt8]

    package init(
        repository: RepositoryID, epoch: Epoch, slot: SlotID, made: Timestamp, supersedes: [IndexRunID],
        packs: [IndexedPack], entries: [(entry: IndexEntry, base: Bytes16)]
    ) {
        self.repository = repository
        self.epoch = epoch
        self.slot = slot
        self.made = made
        self.supersedes = supersedes
        self.packs = packs
        let sorted = entries.sorted { a, b in
            if a.entry.id != b.entry.id { return a.entry.id < b.entry.id }
            return a.entry.pack != b.entry.pack ? a.entry.pack < b.entry.pack : a.entry.offset < b.entry.offset
        }
        entryCount = sorted.count
        var writer = ByteWriter(reserving: sorted.count * IndexEntry.size)
        for item in sorted { item.entry.write(to: &writer) }
        var bases = 0
        for (place, item) in sorted.enumerated() where item.entry.depth > 0 {
            writer.u32(UInt32(place))
            writer.raw(item.base)
            bases += 1
        }
        baseCount = bases
        table = writer.bytes
    }

    /// The clear part as stored.
    package func clearPart(salt: Bytes32) -> [UInt8] {
        var writer = ByteWriter()
        writer.raw(repository.bytes)
        writer.u32(epoch)
        writer.raw(slot.bytes)
        writer.i64(made.nanoseconds)
        writer.raw(salt)
        writer.varint(UInt64(supersedes.count))
        for run in supersedes { writer.raw(run.bytes) }
        writer.varint(UInt64(packs.count))
        for pack in packs {
            writer.raw(pack.id.bytes)
            writer.varint(pack.length)
            writer.u8(pack.kind.rawValue)
            writer.raw(pack.slot.bytes)
        }
        writer.varint(UInt64(entryCount))
        writer.varint(UInt64(baseCount))
        return writer.bytes
    }

    package func encoded(
        indexKey: SecretBytes, signer: SigningKey, entropy: any Entropy
    ) throws(HoldfastError) -> [UInt8] {
        let salt = try entropy.bytes32()
        let clear = clearPart(salt: salt)
        let key = try HKDF.derive(indexKey, salt: salt.array, info: Array("run".utf8), count: 32)
        let sealed = try Segments.seal(
            table, key: key, headDigest: SHA256.digest(clear.span.bytes), stream: .index)
        var writer = ByteWriter(reserving: clear.count + sealed.count + 256)
        ObjectHeader(.indexRun).write(to: &writer)
        writer.u32(UInt32(clear.count))
        writer.raw(clear)
        writer.raw(sealed)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// The parts of a stored run: the clear fields, and what is needed to open the rest.
    package struct Parsed: Sendable {
        package var run: IndexRunObject
        package var salt: Bytes32
        package var clear: [UInt8]
        /// The signed bytes; the sealed table is their end, and not copied, since a run can be large.
        package var body: [UInt8]
        package var sealedStart: Int
        package var signature: [UInt8]
        package var sealedCount: Int { body.count - sealedStart }

        /// Opens the run; the caller has verified the signature.
        package func opened(indexKey: SecretBytes, name: String) throws(HoldfastError) -> IndexRunObject {
            var result = run
            result.table = try openedTable(indexKey: indexKey, name: name)
            return result
        }

        /// Opens the table alone; the caller has verified the signature.
        package consuming func openedTable(indexKey: SecretBytes, name: String) throws(HoldfastError) -> [UInt8] {
            let key = try HKDF.derive(indexKey, salt: salt.array, info: Array("run".utf8), count: 32)
            let table = try Segments.open(
                body.span.bytes.extracting(sealedStart...), key: key, headDigest: SHA256.digest(clear.span.bytes),
                stream: .index, name: name)
            guard table.count == run.tableSize else {
                throw ByteReader([], as: name).corrupt("its table has the wrong length")
            }
            return table
        }
    }

    package var tableSize: Int { entryCount * IndexEntry.size + baseCount * 20 }

    /// Reads the clear part and splits off the rest.
    package static func parse(_ bytes: [UInt8], name: String) throws(HoldfastError) -> Parsed {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var outer = ByteReader(body, as: name)
        try ObjectHeader.read(from: &outer, expecting: .indexRun, name: name)
        let clearCount = Int(try outer.u32())
        let clear = try outer.raw(clearCount)
        var reader = ByteReader(clear, as: name)
        var salt = Bytes32()
        let run = try IndexRunObject(from: &reader, salt: &salt)
        guard Segments.plainCount(stored: outer.remaining) == run.tableSize else {
            throw reader.corrupt("its table has the wrong length")
        }
        return Parsed(run: run, salt: salt, clear: clear, body: body, sealedStart: outer.offset, signature: signature)
    }

    /// Reads the clear part alone.
    package static func readClear(_ clear: [UInt8], name: String) throws(HoldfastError) -> IndexRunObject {
        var reader = ByteReader(clear, as: name)
        var salt = Bytes32()
        return try IndexRunObject(from: &reader, salt: &salt)
    }

    private init(from reader: inout ByteReader, salt: inout Bytes32) throws(HoldfastError) {
        repository = RepositoryID(try reader.bytes16())
        epoch = try reader.u32()
        slot = SlotID(try reader.bytes16())
        made = Timestamp(nanoseconds: try reader.i64())
        salt = try reader.bytes32()
        supersedes = []
        for _ in 0..<(try reader.count(each: 32, atMost: Self.maximumSuperseded)) {
            supersedes.append(IndexRunID(try reader.bytes32()))
        }
        packs = []
        for _ in 0..<(try reader.count(each: 50, atMost: 1 << 23)) {
            let id = PackID(try reader.bytes32())
            let length = try reader.varint()
            guard let kind = PackKind(rawValue: try reader.u8()) else { throw reader.corrupt("a pack kind is unknown") }
            packs.append(IndexedPack(id: id, length: length, kind: kind, slot: SlotID(try reader.bytes16())))
        }
        let entries = try reader.varint()
        let bases = try reader.varint()
        guard entries <= UInt64(Self.maximumEntries), bases <= entries else {
            throw reader.corrupt("its table is over its limits")
        }
        entryCount = Int(entries)
        baseCount = Int(bases)
        table = []
        try reader.expectEnd()
    }
}
