// Where the bytes of a file are: a short list in its entry, or a tree of lists in meta packs.

import Primitives

/// How a file was cut. Raw values are part of format 1.
package enum CutRule: UInt8, Sendable {
    /// Content-defined chunks.
    case content = 1
    /// Fixed blocks aligned to the file; the last may be short.
    case pages = 2
    /// One chunk of class secret, never cut; see ``SecretItem``.
    case secret = 3
}

/// A chunk or a hole in a file, with its length.
package struct ContentPiece: Sendable, Hashable, BitwiseCopyable {
    /// ``ChunkID/zeros`` for a run of zeros.
    package var id: ChunkID
    package var length: UInt64

    @inlinable package init(id: ChunkID, length: UInt64) {
        self.id = id
        self.length = length
    }
}

/// A node of a tree in a meta pack; `level` 0 is a leaf.
package struct NodeReference: Sendable, Hashable, BitwiseCopyable {
    package var id: ChunkID
    package var level: UInt8

    package init(id: ChunkID, level: UInt8) {
        self.id = id
        self.level = level
    }
}

/// The content of one entry.
package struct Content: Sendable, Hashable {
    /// Lists of up to this many pieces stand in the entry itself.
    package static let maximumInline = 32
    /// log2 of the block size of page files that are written: 1 MiB. Others are read too.
    package static let pageBlockShift: UInt8 = 20
    /// Bytes of such a block: 128 pages of PostgreSQL, 64 of InnoDB.
    package static let pageBlockSize = 1 << Int(pageBlockShift)

    package enum Location: Sendable, Hashable {
        case inline([ContentPiece])
        case tree(NodeReference)
    }

    package var rule: CutRule
    /// log2 of the block size; 0 for content-defined chunks.
    package var blockShift: UInt8
    package var size: UInt64
    package var location: Location

    package init(rule: CutRule, blockShift: UInt8, size: UInt64, location: Location) {
        self.rule = rule
        self.blockShift = blockShift
        self.size = size
        self.location = location
    }

    package func write(to writer: inout ByteWriter) {
        writer.u8(rule.rawValue)
        writer.u8(blockShift)
        writer.varint(size)
        switch location {
        case .inline(let pieces):
            writer.u8(0)
            writer.varint(UInt64(pieces.count))
            for piece in pieces {
                writer.raw(piece.id.bytes)
                writer.varint(piece.length)
            }
        case .tree(let node):
            writer.u8(1)
            writer.u8(node.level)
            writer.raw(node.id.bytes)
        }
    }

    package init(from reader: inout ByteReader) throws(HoldfastError) {
        guard let rule = CutRule(rawValue: try reader.u8()) else { throw reader.corrupt("a cut rule is unknown") }
        self.rule = rule
        blockShift = try reader.u8()
        size = try reader.varint()
        guard blockShift <= 23 else { throw reader.corrupt("a block size is over its limit") }
        switch try reader.u8() {
        case 0:
            var pieces: [ContentPiece] = []
            var total: UInt64 = 0
            for _ in 0..<(try reader.count(each: 33, atMost: Self.maximumInline)) {
                let piece = ContentPiece(id: ChunkID(try reader.bytes32()), length: try reader.varint())
                guard piece.length <= size - total else {
                    throw reader.corrupt("a file's pieces do not add up to its size")
                }
                total += piece.length
                pieces.append(piece)
            }
            guard total == size else { throw reader.corrupt("a file's pieces do not add up to its size") }
            guard rule != .secret || pieces.count == 1 && pieces[0].id != .zeros else {
                throw reader.corrupt("a secret is not one chunk")
            }
            location = .inline(pieces)
        case 1 where rule != .secret:
            let level = try reader.u8()
            guard level <= ContentNode.maximumLevel else { throw reader.corrupt("a tree is too high") }
            location = .tree(NodeReference(id: ChunkID(try reader.bytes32()), level: level))
        default: throw reader.corrupt("a content has an unknown form")
        }
    }
}

/// A node of a content tree.
///
/// Encoding: u8 3 (pieces) or 4 (children), u8 version 1, u16 zero, u32 count; then for pieces `count` ids of 32 bytes
/// and `count` varint lengths, for children the same with the lengths of the subtrees. Ids stand together and begin at
/// offset 8, so that a changed block changes 32 bytes at one place and a delta against the parent's leaf stays small.
/// Lengths of a page file's pieces are omitted (version byte 2): each is the block size, and the last one the rest.
package struct ContentNode: Sendable, Hashable {
    /// 4,096 blocks of 1 MiB: 4 GiB of file in a leaf of 128 KiB.
    package static let maximumPieces = 4096
    /// Content-defined leaves are smaller, since their lengths stand beside the ids.
    package static let maximumContentPieces = 3072
    package static let maximumLevel: UInt8 = 4
    package static let maximumSize = 1 << 20

    package var level: UInt8
    package var pieces: [ContentPiece]

    package init(level: UInt8, pieces: [ContentPiece]) {
        self.level = level
        self.pieces = pieces
    }

    /// `blockSize` is non-zero for leaves of page files.
    package func encoded(blockSize: UInt64) -> [UInt8] {
        let omitsLengths = level == 0 && blockSize > 0
        var writer = ByteWriter(reserving: 8 + pieces.count * 36)
        writer.u8(level == 0 ? 3 : 4)
        writer.u8(omitsLengths ? 2 : 1)
        writer.u16(UInt16(level))
        writer.u32(UInt32(pieces.count))
        for piece in pieces { writer.raw(piece.id.bytes) }
        if omitsLengths {
            writer.varint(pieces.last?.length ?? 0)
        } else {
            for piece in pieces { writer.varint(piece.length) }
        }
        return writer.bytes
    }

    package init(_ bytes: [UInt8], blockSize: UInt64, name: String) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        let kind = try reader.u8()
        let version = try reader.u8()
        let height = try reader.u16()
        let count = Int(try reader.u32())
        level = UInt8(clamping: height)
        guard kind == 3 && level == 0 || kind == 4 && (1...Self.maximumLevel).contains(level),
            version == 1 || version == 2 && kind == 3 && blockSize > 0, count <= Self.maximumPieces,
            reader.remaining >= count * 32
        else { throw reader.corrupt("it is no content node") }
        pieces = []
        pieces.reserveCapacity(count)
        for _ in 0..<count { pieces.append(ContentPiece(id: ChunkID(try reader.bytes32()), length: blockSize)) }
        if version == 2 {
            let last = try reader.varint()
            guard last <= blockSize, count > 0 || last == 0 else {
                throw reader.corrupt("its last block is over the block size")
            }
            if count > 0 { pieces[count - 1].length = last }
        } else {
            for place in pieces.indices { pieces[place].length = try reader.varint() }
        }
        try reader.expectEnd()
    }
}
