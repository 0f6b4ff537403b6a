// Sizes as a type, and the one way in which they are printed.

/// A number of bytes.
package struct ByteCount: Hashable, Sendable, BitwiseCopyable {
    package var bytes: UInt64

    package init(_ bytes: UInt64) { self.bytes = bytes }
    package init(_ bytes: Int) { self.bytes = UInt64(clamping: bytes) }

    package static func kibi(_ count: UInt64) -> ByteCount { ByteCount(count << 10) }
    package static func mebi(_ count: UInt64) -> ByteCount { ByteCount(count << 20) }

    package static func + (a: ByteCount, b: ByteCount) -> ByteCount { ByteCount(a.bytes + b.bytes) }
    package static func += (a: inout ByteCount, b: ByteCount) { a.bytes += b.bytes }

    /// Reads `10`, `64K`, `1.5M`, `2GiB` and the like, in powers of 1024; nil for anything else.
    package init?(_ text: String) {
        var digits = text.uppercased()
        for suffix in ["IB", "B"] where digits.hasSuffix(suffix) {
            digits.removeLast(suffix.count)
            break
        }
        var shift: UInt64 = 0
        if let last = digits.last, let unit = ["K", "M", "G", "T"].firstIndex(of: String(last)) {
            shift = UInt64(unit + 1) * 10
            digits.removeLast()
        }
        guard let value = Double(digits), value >= 0, value.isFinite else { return nil }
        let scaled = value * Double(UInt64(1) << shift)
        guard scaled < 9e18 else { return nil }
        bytes = UInt64(scaled)
    }
}

extension ByteCount: Comparable {
    package static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }
}

extension ByteCount: CustomStringConvertible {
    /// `812 B`, `1.4 MiB`: powers of 1024 with one decimal.
    package var description: String {
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        guard bytes >= 1024 else { return "\(bytes) B" }
        var value = Double(bytes) / 1024
        var unit = 0
        while value >= 1023.95, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}
