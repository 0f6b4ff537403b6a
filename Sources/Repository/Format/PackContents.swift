// The table of contents of a pack: what each chunk is and where it lies in the body.

import Compression
import Primitives

/// One chunk in a pack.
package struct ChunkRecord: Sendable, Hashable {
    package var id: ChunkID
    package var codec: Codec
    /// Length of the chain of deltas below this copy; 0 for a chunk that needs no base, at most 8.
    package var depth: UInt8
    /// Where its encoded bytes begin in the body's stream.
    package var offset: UInt32
    /// Encoded bytes.
    package var stored: UInt32
    /// Plain bytes.
    package var raw: UInt32
    /// The chunk that a delta is against, by the first half of its id; zero for all others.
    package var base: Bytes16

    package init(
        id: ChunkID, codec: Codec, depth: UInt8, offset: UInt32, stored: UInt32, raw: UInt32, base: Bytes16
    ) {
        self.id = id
        self.codec = codec
        self.depth = depth
        self.offset = offset
        self.stored = stored
        self.raw = raw
        self.base = base
    }
}

/// Encoding: varint count, then for each chunk id 32, codec 1, depth 1, stored varint, raw varint and, for a delta,
/// base 16. Offsets are the running sum of stored lengths. Zero bytes pad it by Padmé with a floor of 4 KiB as stored.
package struct PackContents: Sendable {
    package static let maximumChunks: UInt32 = 65_536
    package static let maximumStored: UInt32 = 8 << 20
    package static let maximumRaw: UInt32 = 8 << 20
    package static let maximumDepth: UInt8 = 8

    package var chunks: [ChunkRecord]

    package init(_ chunks: [ChunkRecord]) { self.chunks = chunks }

    package var encoded: [UInt8] {
        var writer = ByteWriter(reserving: chunks.count * 56 + 16)
        writer.varint(UInt64(chunks.count))
        for chunk in chunks {
            writer.raw(chunk.id.bytes)
            writer.u8(chunk.codec.rawValue)
            writer.u8(chunk.depth)
            writer.varint(UInt64(chunk.stored))
            writer.varint(UInt64(chunk.raw))
            if chunk.codec == .zstdDelta { writer.raw(chunk.base) }
        }
        let target = Padding.padme(Segments.storedCount(plain: writer.count), floor: 4096)
        var padding = max(0, target - Segments.storedCount(plain: writer.count))
        // One more segment's tag may push the length over; take it off the padding.
        while padding > 0, Segments.storedCount(plain: writer.count + padding) > target { padding -= Segments.tagSize }
        writer.zeros(max(0, padding))
        return writer.bytes
    }

    /// Reads the table of the pack `name`, whose body holds `bodyCapacity` bytes of stream.
    package init(_ bytes: [UInt8], bodyCapacity: Int, name: String) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        let count = try reader.count(each: 36, atMost: Int(Self.maximumChunks))
        chunks = []
        chunks.reserveCapacity(count)
        var offset = 0
        for _ in 0..<count {
            let id = ChunkID(try reader.bytes32())
            guard let codec = Codec(rawValue: try reader.u8()) else { throw reader.corrupt("a codec is unknown") }
            let depth = try reader.u8()
            let stored = try reader.varint()
            let raw = try reader.varint()
            let base = codec == .zstdDelta ? try reader.bytes16() : Bytes16()
            guard depth <= Self.maximumDepth, (depth > 0) == (codec == .zstdDelta), raw <= UInt64(Self.maximumRaw),
                stored <= UInt64(Self.maximumRaw), stored <= UInt64(bodyCapacity - offset)
            else { throw reader.corrupt("a chunk is over its limits") }
            chunks.append(
                ChunkRecord(
                    id: id, codec: codec, depth: depth, offset: UInt32(offset), stored: UInt32(stored),
                    raw: UInt32(raw), base: base))
            offset += Int(stored)
        }
        try reader.zeros(reader.remaining)
    }
}
