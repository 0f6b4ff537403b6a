// Telling page files from the rest by their first bytes, their size and their name.

import Primitives

/// A file format made of pages that are updated in place.
package enum PageFormat: UInt8, Sendable {
    case postgreSQL = 1
    case sqlite = 2
    case innoDB = 3
    /// The workload said so.
    case declared = 4

    /// Whether a file of `size` bytes can be of any format that ``recognise(firstBytes:size:name:)`` knows: all have
    /// pages of a multiple of 512 bytes. The others need not be looked at.
    package static func isPossible(size: UInt64) -> Bool { size >= 512 && size % 512 == 0 }

    /// The format that a file shows, or nil for anything else.
    ///
    /// A wrong answer costs space, not correctness; nil is the answer when in doubt.
    ///
    /// - Parameters:
    ///   - firstBytes: The start of the file, 16 KiB or more when it has as many.
    ///   - size: The file's whole size in bytes.
    ///   - name: The last component of its path.
    package static func recognise(firstBytes: RawSpan, size: UInt64, name: [UInt8]) -> PageFormat? {
        if isSQLite(firstBytes, size) { return .sqlite }
        if isInnoDB(firstBytes, size) { return .innoDB }
        if isPostgreSQL(firstBytes, size, name) { return .postgreSQL }
        return nil
    }

    // MARK: SQLite, https://www.sqlite.org/fileformat2.html#the_database_header

    private static func isSQLite(_ bytes: RawSpan, _ size: UInt64) -> Bool {
        guard bytes.byteCount >= 100 else { return false }
        let magic: StaticString = "SQLite format 3\0"
        for index in 0..<16 where byte(bytes, index) != magic.utf8Start[index] { return false }
        let stored = UInt64(big16(bytes, 16))
        let pageSize = stored == 1 ? 65_536 : stored
        guard pageSize >= 512, pageSize.nonzeroBitCount == 1 else { return false }
        // Payload fractions are fixed at 64, 32 and 32.
        guard byte(bytes, 21) == 64, byte(bytes, 22) == 32, byte(bytes, 23) == 32 else { return false }
        return size >= pageSize && size % pageSize == 0
    }

    // MARK: InnoDB, the FIL header of page 0 and the space header after it

    private static func isInnoDB(_ bytes: RawSpan, _ size: UInt64) -> Bool {
        let headerPage: UInt16 = 8
        guard bytes.byteCount >= 64, size >= 16_384, size % 16_384 == 0 else { return false }
        guard big32(bytes, 4) == 0, big16(bytes, 24) == headerPage else { return false }
        let space = big32(bytes, 34)
        guard space == big32(bytes, 38) else { return false }
        // The header counts the file's pages; an extension in flight may be behind, never by more than the file.
        let pages = UInt64(big32(bytes, 46))
        return pages > 0 && pages <= size / 1_024
    }

    // MARK: PostgreSQL, src/include/storage/bufpage.h

    private static let postgreSQLPage = 8_192

    private static func isPostgreSQL(_ bytes: RawSpan, _ size: UInt64, _ name: [UInt8]) -> Bool {
        let page = postgreSQLPage
        guard size > 0, size % UInt64(page) == 0, isRelationName(name) else { return false }
        // The first page that was written decides; relations are extended with pages of zeros.
        var offset = 0
        while offset + page <= bytes.byteCount {
            let first = bytes.extracting(offset..<offset + page)
            if !isAllZero(first) { return isPostgreSQLPage(first) }
            offset += page
        }
        return false
    }

    /// Whether the header of a page of 8 KiB, layout version 4, is sane.
    private static func isPostgreSQLPage(_ page: RawSpan) -> Bool {
        let known: UInt16 = 0x0007
        let flags = little16(page, 10)
        let lower = Int(little16(page, 12))
        let upper = Int(little16(page, 14))
        let special = Int(little16(page, 16))
        return little16(page, 18) == UInt16(postgreSQLPage) | 4 && flags & ~known == 0 && lower >= 24
            && lower <= upper && upper <= special && special <= postgreSQLPage && special % 8 == 0
    }

    /// Whether `name` is digits, then `_fsm`, `_vm` or `_init` perhaps, then a dot and digits perhaps.
    private static func isRelationName(_ name: [UInt8]) -> Bool {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        var rest = name[...]
        let start = rest.count
        rest = rest.drop { digits.contains($0) }
        guard rest.count < start, start - rest.count <= 10 else { return false }
        for fork in ["_fsm", "_vm", "_init"] where rest.starts(with: fork.utf8) {
            rest = rest.dropFirst(fork.utf8.count)
            break
        }
        guard let dot = rest.first else { return true }
        let segment = rest.dropFirst()
        return dot == UInt8(ascii: ".") && !segment.isEmpty && segment.count <= 6
            && segment.allSatisfy { digits.contains($0) }
    }

    // MARK: Fields; every caller has checked that they lie inside

    private static func byte(_ bytes: RawSpan, _ offset: Int) -> UInt8 {
        bytes.unsafeLoad(fromByteOffset: offset, as: UInt8.self)
    }

    private static func big16(_ bytes: RawSpan, _ offset: Int) -> UInt16 {
        UInt16(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    private static func big32(_ bytes: RawSpan, _ offset: Int) -> UInt32 {
        UInt32(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    private static func little16(_ bytes: RawSpan, _ offset: Int) -> UInt16 {
        UInt16(littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }
}
