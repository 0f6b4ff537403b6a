// What reading and writing archives share: errors, the locale, and access lists.

import CArchive
import Glibc
import Primitives
import Repository

/// libarchive converts names through the locale of the thread; in C.UTF-8 it keeps bytes that are not text as they are.
struct ArchiveLocale: @unchecked Sendable {
    // Sendable: a locale object is never changed after it is made.
    private static let shared = ArchiveLocale()
    private let locale: locale_t?

    private init() { locale = newlocale(Int32(LC_CTYPE_MASK), "C.UTF-8", nil) }

    static func use<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        guard let locale = shared.locale else { return try body() }
        let previous = uselocale(locale)
        defer { uselocale(previous) }
        return try body()
    }
}

/// Text of libarchive's last failure.
func archiveMessage(_ archive: OpaquePointer) -> String {
    archive_error_string(archive).map { String(cString: $0) } ?? "unknown failure"
}

/// POSIX access lists as the kernel keeps them in an extended attribute (include/uapi/linux/posix_acl_xattr.h):
/// version 2 in 32 bits, then for each entry a tag and a permission of 16 bits and an id of 32.
enum PosixAccessList {
    static let accessName = Array("system.posix_acl_access".utf8)
    static let defaultName = Array("system.posix_acl_default".utf8)
    static let maximumEntries = 8191

    struct Item: Hashable {
        var tag: UInt16
        var permissions: UInt16
        var id: UInt32
    }

    /// Kernel tags in the order in which the kernel wants them, beside libarchive's.
    static let tags: [(kernel: UInt16, archive: Int32)] = [
        (0x01, 10002), (0x02, 10001), (0x04, 10004), (0x08, 10003), (0x10, 10005), (0x20, 10006),
    ]

    static func encode(_ items: [Item]) -> [UInt8] {
        var writer = ByteWriter(reserving: 4 + items.count * 8)
        writer.u32(2)
        for item in items.sorted(by: { ($0.tag, $0.id) < ($1.tag, $1.id) }) {
            writer.u16(item.tag)
            writer.u16(item.permissions)
            writer.u32(item.id)
        }
        return writer.bytes
    }

    static func decode(_ value: [UInt8]) throws(HoldfastError) -> [Item] {
        var reader = ByteReader(value, as: "an access list")
        guard try reader.u32() == 2 else { throw reader.corrupt("it has an unknown version") }
        var items = [Item]()
        while !reader.isAtEnd, items.count < maximumEntries {
            items.append(Item(tag: try reader.u16(), permissions: try reader.u16(), id: try reader.u32()))
        }
        return items
    }
}
