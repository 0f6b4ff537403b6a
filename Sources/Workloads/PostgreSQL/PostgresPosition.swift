// Places in the write-ahead log and the names of its files.

import Primitives

/// A position in the write-ahead log, in bytes; PostgreSQL calls it LSN.
package struct PostgresPosition: Sendable, Hashable, Comparable, CustomStringConvertible {
    package var bytes: UInt64

    package init(bytes: UInt64) { self.bytes = bytes }

    /// Reads `16/B374D848`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, parts.allSatisfy({ (1...8).contains($0.utf8.count) && $0.allSatisfy(\.isHexDigit) }),
            let high = UInt64(parts[0], radix: 16), let low = UInt64(parts[1], radix: 16)
        else { return nil }
        bytes = high << 32 | low
    }

    package static func < (a: Self, b: Self) -> Bool { a.bytes < b.bytes }

    package var description: String {
        "\(String(bytes >> 32, radix: 16, uppercase: true))/\(String(bytes & 0xFFFF_FFFF, radix: 16, uppercase: true))"
    }

    /// The name of the segment file that holds this byte on `timeline`.
    ///
    /// - Parameter segmentSize: A power of two of 1 MiB to 1 GiB.
    package func segmentName(timeline: UInt32, segmentSize: UInt64) -> String {
        let number = bytes / segmentSize
        let perFile = (UInt64(1) << 32) / segmentSize
        return [UInt64(timeline), number / perFile, number % perFile].map { part in
            let text = String(part, radix: 16, uppercase: true)
            return String(repeating: "0", count: 8 - min(8, text.utf8.count)) + text
        }.joined()
    }

    /// The bytes of a segment as `SHOW wal_segment_size` writes them, such as `16MB`; nil when that cannot be.
    package static func segmentSize(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isNumber }
        let unit: UInt64
        switch text.dropFirst(digits.count) {
        case "MB": unit = 1 << 20
        case "GB": unit = 1 << 30
        case "kB": unit = 1 << 10
        default: return nil
        }
        guard let count = UInt64(digits), count > 0, count <= 1 << 20 else { return nil }
        let size = count * unit
        return size.nonzeroBitCount == 1 && size >= 1 << 20 && size <= 1 << 30 ? size : nil
    }
}
