// Nodes of directories: entries in order of name, split into nodes of about 128 KiB.

import Primitives

/// An entry with its content, as it stands in a directory node or as a root of a snapshot.
package struct Entry: Sendable, Hashable {
    package var metadata: EntryMetadata
    /// Of files.
    package var content: Content?
    /// Of directories.
    package var tree: NodeReference?
    package var unknown = FieldMap()

    package init(_ metadata: EntryMetadata, content: Content? = nil, tree: NodeReference? = nil) {
        self.metadata = metadata
        self.content = content
        self.tree = tree
    }

    package func write(to writer: inout ByteWriter) {
        writer.prefixed(metadata.name)
        writer.u8(metadata.kind.rawValue)
        writer.varint(UInt64(metadata.mode))
        writer.varint(UInt64(metadata.user))
        writer.varint(UInt64(metadata.group))
        writer.string(metadata.userName)
        writer.string(metadata.groupName)
        writer.signedVarint(metadata.modified.nanoseconds)
        writer.signedVarint(metadata.changed.nanoseconds)
        writer.varint(metadata.inode)
        writer.varint(metadata.device)
        writer.varint(metadata.links)
        writer.varint(metadata.size)
        writer.varint(metadata.deviceNumber)
        writer.prefixed(metadata.linkTarget)
        writer.varint(UInt64(metadata.attributes.count))
        for attribute in metadata.attributes {
            writer.prefixed(attribute.name)
            writer.prefixed(attribute.value)
        }
        writer.u8((content == nil ? 0 : 1) | (tree == nil ? 0 : 2))
        content?.write(to: &writer)
        if let tree {
            writer.u8(tree.level)
            writer.raw(tree.id.bytes)
        }
        unknown.write(to: &writer)
    }

    package init(from reader: inout ByteReader) throws(HoldfastError) {
        let name = try reader.prefixed(atMost: 255)
        guard let kind = EntryKind(rawValue: try reader.u8()) else {
            throw reader.corrupt("an entry's kind is unknown")
        }
        metadata = EntryMetadata(name: name, kind: kind)
        metadata.mode = try Self.word(&reader)
        metadata.user = try Self.word(&reader)
        metadata.group = try Self.word(&reader)
        metadata.userName = try reader.string(atMost: 255)
        metadata.groupName = try reader.string(atMost: 255)
        metadata.modified = Timestamp(nanoseconds: try reader.signedVarint())
        metadata.changed = Timestamp(nanoseconds: try reader.signedVarint())
        metadata.inode = try reader.varint()
        metadata.device = try reader.varint()
        metadata.links = try reader.varint()
        metadata.size = try reader.varint()
        metadata.deviceNumber = try reader.varint()
        metadata.linkTarget = try reader.prefixed(atMost: 4096)
        for _ in 0..<(try reader.count(each: 2, atMost: 4096)) {
            let name = try reader.prefixed(atMost: 255)
            metadata.attributes.append(
                ExtendedAttribute(name: name, value: try reader.prefixed(atMost: 64 << 10)))
        }
        let has = try reader.u8()
        guard has & ~3 == 0 else { throw reader.corrupt("an entry has parts that are unknown") }
        if has & 1 != 0 { content = try Content(from: &reader) }
        if has & 2 != 0 {
            let level = try reader.u8()
            guard level <= DirectoryNode.maximumLevel else { throw reader.corrupt("a directory's tree is too high") }
            tree = NodeReference(id: ChunkID(try reader.bytes32()), level: level)
        }
        unknown = try FieldMap(from: &reader, atMost: 64 << 10)
    }

    private static func word(_ reader: inout ByteReader) throws(HoldfastError) -> UInt32 {
        guard let word = UInt32(exactly: try reader.varint()) else { throw reader.corrupt("a number is too large") }
        return word
    }
}

/// A node of a directory: entries at level 0, child nodes with their first names above.
///
/// Encoding: u8 1 (entries) or 2 (children), u8 version 1, u8 level, then varint count and the items; a child is its
/// first name (length-prefixed) and its id 32. Names ascend by bytes, without repeats.
package struct DirectoryNode: Sendable, Hashable {
    package static let targetSize = 128 << 10
    package static let maximumSize = 8 << 20
    package static let maximumLevel: UInt8 = 6

    package struct Child: Sendable, Hashable {
        package var firstName: [UInt8]
        package var id: ChunkID

        package init(firstName: [UInt8], id: ChunkID) {
            self.firstName = firstName
            self.id = id
        }
    }

    package enum Items: Sendable, Hashable {
        case entries([Entry])
        case children(level: UInt8, [Child])
    }

    package var items: Items

    package init(_ items: Items) { self.items = items }

    package var encoded: [UInt8] {
        var writer = ByteWriter(reserving: 4096)
        switch items {
        case .entries(let entries):
            writer.u8(1)
            writer.u8(1)
            writer.u8(0)
            writer.varint(UInt64(entries.count))
            for entry in entries { entry.write(to: &writer) }
        case .children(let level, let children):
            writer.u8(2)
            writer.u8(1)
            writer.u8(level)
            writer.varint(UInt64(children.count))
            for child in children {
                writer.prefixed(child.firstName)
                writer.raw(child.id.bytes)
            }
        }
        return writer.bytes
    }

    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        let kind = try reader.u8()
        guard try reader.u8() == 1 else { throw reader.corrupt("its version is unknown") }
        let level = try reader.u8()
        var last: [UInt8]?
        func ascend(_ next: [UInt8]) throws(HoldfastError) {
            guard !next.isEmpty else { throw reader.corrupt("a name is empty") }
            if let last, !last.lexicographicallyPrecedes(next) { throw reader.corrupt("its names are out of order") }
            last = next
        }
        switch (kind, level) {
        case (1, 0):
            var entries: [Entry] = []
            for _ in 0..<(try reader.count(each: 16, atMost: 1 << 20)) {
                let entry = try Entry(from: &reader)
                try ascend(entry.metadata.name)
                entries.append(entry)
            }
            items = .entries(entries)
        case (2, 1...Self.maximumLevel):
            var children: [Child] = []
            for _ in 0..<(try reader.count(each: 33, atMost: 1 << 20)) {
                let first = try reader.prefixed(atMost: 255)
                try ascend(first)
                children.append(Child(firstName: first, id: ChunkID(try reader.bytes32())))
            }
            items = .children(level: level, children)
        default: throw reader.corrupt("it is no directory node")
        }
        try reader.expectEnd()
    }
}
