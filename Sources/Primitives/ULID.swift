// ULIDs (github.com/ulid/spec): 48 bits of milliseconds, 80 bits of randomness, Crockford base 32 text of 26 letters.

/// A sortable unique id whose time is claimed by its maker and never trusted for safety.
package struct ULID: Hashable, Sendable, BitwiseCopyable {
    package let bytes: Bytes16

    package init(_ bytes: Bytes16) { self.bytes = bytes }

    /// Makes a new id from the clock's milliseconds and ten random bytes.
    package init(at time: Timestamp, entropy: some Entropy) throws(HoldfastError) {
        let random = try entropy.bytes(10)
        let milliseconds = UInt64(clamping: time.nanoseconds / 1_000_000) & 0xFFFF_FFFF_FFFF
        let high = milliseconds << 16 | UInt64(random[0]) << 8 | UInt64(random[1])
        var low: UInt64 = 0
        for byte in random[2...] { low = low << 8 | UInt64(byte) }
        bytes = Bytes16(w0: high, w1: low)
    }

    /// The claimed time of making. 48 bits of milliseconds reach further than a timestamp does; those are its end.
    package var time: Timestamp {
        let (nanoseconds, isOver) = Int64(bytes.w0 >> 16).multipliedReportingOverflow(by: 1_000_000)
        return Timestamp(nanoseconds: isOver ? .max : nanoseconds)
    }
}

extension ULID: Comparable {
    package static func < (a: ULID, b: ULID) -> Bool { a.bytes < b.bytes }
}

extension ULID: CustomStringConvertible {
    private static let alphabet: [UInt8] = Array("0123456789abcdefghjkmnpqrstvwxyz".utf8)

    /// 26 lower-case letters of Crockford's alphabet.
    package var description: String {
        var high = bytes.w0
        var low = bytes.w1
        var text = [UInt8](repeating: 0, count: 26)
        for place in text.indices.reversed() {
            text[place] = Self.alphabet[Int(low & 31)]
            low = low >> 5 | high << 59
            high >>= 5
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Reads the 26 letters that ``description`` prints; nil for anything else.
    package init?(_ text: some StringProtocol) {
        let letters = Array(text.utf8)
        guard letters.count == 26 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (place, letter) in letters.enumerated() {
            guard let value = Self.alphabet.firstIndex(of: letter), place > 0 || value < 8 else { return nil }
            high = high << 5 | low >> 59
            low = low << 5 | UInt64(value)
        }
        bytes = Bytes16(w0: high, w1: low)
    }
}
