// Follows pg_dump's custom archive as it streams by: where its parts begin, and how many rows each table has.

import Primitives
import Sealing

/// One entry of an archive's table of contents.
package struct DumpItem: Sendable, Hashable {
    package var id: Int32
    /// Whether a block of data belongs to it.
    package var hasData: Bool
    package var tag: String
    /// Its kind, such as `TABLE DATA`.
    package var kind: String
    package var schema: String
    package var owner: String
    /// The statements that make it; kept for what is of the database itself.
    package var definition = ""
    /// Ids of the entries that it needs.
    package var needs: [Int32] = []

    /// Whether it belongs to the database as a whole: itself, its settings, rights and comment.
    package var isOfDatabase: Bool {
        switch kind {
        case "DATABASE", "DATABASE PROPERTIES": true
        case "ACL", "COMMENT", "SECURITY LABEL": tag.hasPrefix("DATABASE ")
        default: false
        }
    }
}

/// A reader of the custom format, versions 1.14 to 1.16 (PostgreSQL 12 to 18), uncompressed.
///
/// ```
/// head    "PGDMP" | version 3 | size of an integer 1 | size of an offset 1 | format 1 | compression
///         | seven integers of time | database, server, client | number of entries
/// entry   id | has data | table, oid | tag, kind | section | definition, drop, copy | schema, tablespace, method
///         | kind of relation (1.16) | owner | oids | needs …, none | state of the offset 1 | offset
/// block   1 | id | pieces: length, bytes … | 0                        rows of a table
///         3 | id | for each large object: oid | pieces … | 0, then 0
/// ```
/// An integer is a sign byte and its bytes from the lowest; a text is a length, -1 for none, and its bytes. See
/// src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c of PostgreSQL. Output that is no file has no offsets.
/// Memory: a table of contents, and one entry of it that is not whole yet, at most ``mostEntryBytes``.
package struct DumpScanner {
    static let mostEntryBytes = 64 << 20
    static let mostItems = 20_000_000
    static let magic = Array("PGDMP".utf8)

    /// Rows and bytes of one block of data.
    package struct Block: Sendable, Hashable {
        package var item: Int32
        /// Lines in a table's rows; large objects in a block of such.
        package var count: UInt64 = 0
        package var bytes: UInt64 = 0
    }

    private enum State {
        case head
        case entry(left: Int)
        /// At the start of a block, or at the end.
        case block
        case pieceLength
        case piece(left: Int)
        case largeObject
    }

    package private(set) var items: [DumpItem] = []
    /// All blocks that ended, in their order.
    package private(set) var blocks: [Block] = []
    /// The version of pg_dump that wrote it, and of the server.
    package private(set) var clientVersion = ""
    package private(set) var serverVersion = ""
    /// Whether the table of contents is whole.
    package private(set) var hasContents = false

    /// A digest of the kinds, names and owners of all entries, in their order; empty before the table is whole.
    package private(set) var entriesDigest = ""

    private let keepsAll: Bool
    private let hash = SHA256Stream()
    private var format = DumpFormat()
    private var state = State.head
    private var pending: [UInt8] = []
    private var current = Block(item: 0)
    private var isLargeObjects = false

    /// - Parameter keepsAll: Keep what has no data too.
    package init(keepsAll: Bool = false) { self.keepsAll = keepsAll }

    /// Takes bytes up to the next place where a part begins: a table of contents, a block, a block's data.
    ///
    /// - Returns: The bytes taken, of a buffer that is not empty more than 0 and perhaps all; and whether a part begins
    ///   after them.
    /// - Throws: `.sourceFailed` when it is no such archive.
    package mutating func advance(
        _ bytes: UnsafeRawBufferPointer
    ) throws(HoldfastError) -> (count: Int, isBoundary: Bool) {
        var at = 0
        while at < bytes.count {
            switch state {
            case .head:
                var head: (format: DumpFormat, entries: Int)?
                try take(bytes, &at) { (cursor) throws(HoldfastError) in head = try cursor.head() }
                guard let head else { continue }
                format = head.format
                (clientVersion, serverVersion) = (head.format.client, head.format.server)
                guard head.entries >= 0, head.entries <= Self.mostItems else {
                    throw Self.damaged("it has \(head.entries) entries")
                }
                state = head.entries == 0 ? .block : .entry(left: head.entries)
                hasContents = head.entries == 0
                return (at, true)
            case .entry(let left):
                var item: DumpItem?
                try take(bytes, &at) { (cursor) throws(HoldfastError) in item = try cursor.item() }
                guard let item else { continue }
                if keepsAll || item.hasData { items.append(item) }
                note(item)
                guard left == 1 else {
                    state = .entry(left: left - 1)
                    continue
                }
                state = .block
                hasContents = true
                entriesDigest = Hex.encode(hash.finish().array)
                return (at, true)
            case .block:
                var start: (kind: UInt8, id: Int)?
                try take(bytes, &at) { (cursor) throws(HoldfastError) in
                    if let kind = cursor.byte(), let id = try cursor.integer() { start = (kind, id) }
                }
                guard let start else { continue }
                guard start.kind == 1 || start.kind == 3, let id = Int32(exactly: start.id) else {
                    throw Self.damaged("a block of kind \(start.kind) is not known")
                }
                current = Block(item: id)
                isLargeObjects = start.kind == 3
                state = isLargeObjects ? .largeObject : .pieceLength
                return (at, true)
            default:
                if try data(bytes, &at) { return (at, true) }
            }
        }
        return (at, false)
    }

    private func note(_ item: DumpItem) {
        for text in [item.kind, item.schema, item.tag, item.owner] {
            let bytes = Array(text.utf8) + [0]
            hash.update(bytes.span.bytes)
        }
    }

    /// One step within a block; true when the block ended.
    private mutating func data(_ bytes: UnsafeRawBufferPointer, _ at: inout Int) throws(HoldfastError) -> Bool {
        if case .piece(let left) = state {
            let count = min(left, bytes.count - at)
            current.bytes += UInt64(count)
            if !isLargeObjects { current.count += Self.lines(UnsafeRawBufferPointer(rebasing: bytes[at..<at + count])) }
            at += count
            state = left == count ? .pieceLength : .piece(left: left - count)
            return false
        }
        var number: Int?
        try take(bytes, &at) { (cursor) throws(HoldfastError) in number = try cursor.integer() }
        guard let number else { return false }
        if case .largeObject = state {
            guard number == 0 else {
                current.count += 1
                state = .pieceLength
                return false
            }
        } else {
            guard number == 0 else {
                guard number > 0 else { throw Self.damaged("a piece of \(number) bytes cannot be") }
                state = .piece(left: number)
                return false
            }
            if isLargeObjects {
                state = .largeObject
                return false
            }
        }
        blocks.append(current)
        state = .block
        return true
    }

    /// To be called at the end of the archive.
    ///
    /// - Throws: `.sourceFailed` when it breaks off, or lacks a block that its table of contents names.
    package func finish() throws(HoldfastError) {
        guard case .block = state, pending.isEmpty else { throw Self.damaged("it breaks off") }
        let due = items.count { $0.hasData }
        guard blocks.count == due else {
            throw Self.damaged("it has \(blocks.count) blocks of data instead of \(due)")
        }
    }

    /// Rows of the tables, by schema and name.
    package var rows: [DumpTable: UInt64] {
        let tables = Dictionary(items.filter { $0.kind == "TABLE DATA" }.map { ($0.id, $0) }) { first, _ in first }
        var rows: [DumpTable: UInt64] = [:]
        for block in blocks {
            guard let item = tables[block.item] else { continue }
            // After the rows come the end mark and two empty lines.
            rows[DumpTable(schema: item.schema, name: item.tag)] = block.count - min(3, block.count)
        }
        return rows
    }

    package var largeObjects: UInt64 {
        let kinds: Set = ["BLOBS", "LARGE OBJECTS"]
        let ids = Set(items.filter { kinds.contains($0.kind) }.map(\.id))
        return blocks.reduce(0) { $0 + (ids.contains($1.item) ? $1.count : 0) }
    }

    // MARK: Parts that may not be whole yet

    /// Lets `parse` read what stands at `at`, together with what was kept before; keeps it when it is not whole.
    private mutating func take(
        _ bytes: UnsafeRawBufferPointer, _ at: inout Int,
        _ parse: (inout DumpCursor) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        if pending.isEmpty {
            var cursor = DumpCursor(UnsafeRawBufferPointer(rebasing: bytes[at...]), format)
            try parse(&cursor)
            if cursor.isShort {
                pending = Array(bytes[at...])
                at = bytes.count
            } else {
                at += cursor.position
            }
        } else {
            // As much again as there is, so that what is long is not read over and over.
            let before = pending.count
            let count = min(bytes.count - at, max(64, before))
            pending.append(contentsOf: bytes[at..<at + count])
            let held = pending
            let span = held.span.bytes
            let taken = try span.withUnsafeBytes { (raw) throws(HoldfastError) -> Int? in
                var cursor = DumpCursor(raw, format)
                try parse(&cursor)
                return cursor.isShort ? nil : cursor.position
            }
            if let taken {
                at += taken - before
                pending = []
            } else {
                at += count
            }
        }
        guard pending.count <= Self.mostEntryBytes else {
            throw Self.damaged("an entry of its table of contents is longer than \(Self.mostEntryBytes) bytes")
        }
    }

    private static func lines(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        var count: UInt64 = 0
        for byte in bytes where byte == 10 { count &+= 1 }
        return count
    }

    static func damaged(_ reason: String) -> HoldfastError {
        HoldfastError(
            .sourceFailed, "the archive of pg_dump cannot be followed: \(reason)",
            hint: "Run pg_dump alone and look at its output with `pg_restore -l`.")
    }
}

extension HoldfastError {
    /// What a scanner says of an archive that pg_dump did not just write.
    var ofReadBack: HoldfastError {
        guard code == .sourceFailed else { return self }
        return HoldfastError(.checkFailed, message, hint: "Restore it again; then look at another snapshot.")
    }
}

/// A table by its schema and name.
package struct DumpTable: Sendable, Hashable, Comparable {
    package var schema: String
    package var name: String

    package init(schema: String, name: String) {
        self.schema = schema
        self.name = name
    }

    /// `schema.name`; a part that holds what is neither letter, digit nor underscore stands in double quotes.
    package var text: String { "\(Self.quoted(schema)).\(Self.quoted(name))" }

    /// Whether an operator who writes `text` means it.
    package func isMeant(by text: String) -> Bool { text == self.text || text == "\(schema).\(name)" }

    private static func quoted(_ part: String) -> String {
        let isPlain =
            !part.isEmpty
            && part.unicodeScalars.allSatisfy {
                $0.properties.isAlphabetic || $0 == "_"
                    || ("0"..."9").contains($0)
            }
        return isPlain
            ? part : "\"\(part.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\""))\""
    }

    package static func < (a: DumpTable, b: DumpTable) -> Bool { (a.schema, a.name) < (b.schema, b.name) }
}

/// What the head of an archive says of the rest.
struct DumpFormat {
    var minor: UInt8 = 0
    var integerSize = 4
    var offsetSize = 8
    var client = ""
    var server = ""
}

/// Reads integers and texts; past the end of the bytes it is short, and gives nothing.
struct DumpCursor {
    private let bytes: UnsafeRawBufferPointer
    private var format: DumpFormat
    private(set) var position = 0
    private(set) var isShort = false

    init(_ bytes: UnsafeRawBufferPointer, _ format: DumpFormat) {
        self.bytes = bytes
        self.format = format
    }

    private mutating func take(_ count: Int) -> UnsafeRawBufferPointer? {
        guard !isShort, bytes.count - position >= count else {
            isShort = true
            return nil
        }
        defer { position += count }
        return UnsafeRawBufferPointer(rebasing: bytes[position..<position + count])
    }

    mutating func byte() -> UInt8? { take(1)?[0] }

    mutating func integer() throws(HoldfastError) -> Int? {
        guard let raw = take(1 + format.integerSize) else { return nil }
        var value: UInt64 = 0
        for index in stride(from: format.integerSize, to: 0, by: -1) { value = value << 8 | UInt64(raw[index]) }
        guard raw[0] <= 1, value <= UInt64(UInt32.max) else { throw DumpScanner.damaged("a number is out of bounds") }
        return raw[0] == 1 ? -Int(value) : Int(value)
    }

    /// A text; empty when there is none.
    mutating func text() throws(HoldfastError) -> String? {
        guard let raw = try rawText() else { return nil }
        return raw.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private mutating func rawText() throws(HoldfastError) -> UnsafeRawBufferPointer?? {
        guard let length = try integer() else { return nil }
        guard length >= 0 else { return .some(nil) }
        guard let raw = take(length) else { return nil }
        return raw
    }

    mutating func head() throws(HoldfastError) -> (format: DumpFormat, entries: Int)? {
        guard let start = take(11) else { return nil }
        guard start.prefix(5).elementsEqual(DumpScanner.magic) else {
            throw DumpScanner.damaged("it does not begin like one")
        }
        let (major, minor) = (start[5], start[6])
        guard major == 1, (14...16).contains(minor) else {
            throw DumpScanner.damaged("its version \(major).\(minor) is not known")
        }
        guard (1...8).contains(start[8]), (1...8).contains(start[9]), start[10] == 1 else {
            throw DumpScanner.damaged("it is not in the custom format")
        }
        format.minor = minor
        format.integerSize = Int(start[8])
        format.offsetSize = Int(start[9])
        let compression: Int?
        if minor >= 15 { compression = byte().map(Int.init) } else { compression = try integer() }
        for _ in 0..<7 { _ = try integer() }
        guard try text() != nil, let server = try text(), let client = try text(), let count = try integer() else {
            return nil
        }
        guard compression == 0 else { throw DumpScanner.damaged("it is compressed") }
        format.server = server
        format.client = client
        return (format, count)
    }

    mutating func item() throws(HoldfastError) -> DumpItem? {
        let id = try integer()
        let hasData = try integer()
        _ = try rawText()
        _ = try rawText()
        let tag = try text()
        let kind = try text()
        _ = try integer()
        let definition = try rawText()
        _ = try rawText()
        _ = try rawText()
        let schema = try text()
        _ = try rawText()
        _ = try rawText()
        if format.minor >= 16 { _ = try integer() }
        let owner = try text()
        _ = try rawText()
        var needs: [Int32] = []
        while let need = try rawText(), let raw = need {
            guard let number = Int32(String(decoding: raw, as: UTF8.self)) else {
                throw DumpScanner.damaged("an entry needs what has no number")
            }
            needs.append(number)
        }
        _ = take(1 + format.offsetSize)
        guard !isShort, let id, let hasData, let tag, let kind, let schema, let owner, let number = Int32(exactly: id)
        else {
            guard isShort else { throw DumpScanner.damaged("an entry has no number") }
            return nil
        }
        var item = DumpItem(id: number, hasData: hasData != 0, tag: tag, kind: kind, schema: schema, owner: owner)
        item.needs = needs
        if item.isOfDatabase, let raw = definition, let raw { item.definition = String(decoding: raw, as: UTF8.self) }
        return item
    }
}
