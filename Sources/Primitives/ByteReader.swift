// Reads what ByteWriter wrote. Bytes from disk never trap: every short or silly field is a thrown error.

/// Walks over a byte array that came from outside.
///
/// - Throws: from every method ``HoldfastError`` with `.corruptObject`, naming the thing given at `init`.
package struct ByteReader: Sendable {
    private let bytes: [UInt8]
    package private(set) var offset: Int
    private let end: Int
    private let thing: String

    /// Reads `bytes`, which errors call `thing`.
    package init(_ bytes: [UInt8], as thing: String) {
        self.bytes = bytes
        self.thing = thing
        offset = 0
        end = bytes.count
    }

    package var remaining: Int { end - offset }
    package var isAtEnd: Bool { offset == end }

    package func corrupt(_ what: String) -> HoldfastError {
        HoldfastError(
            .corruptObject, "\(thing) is damaged: \(what)",
            hint: "Run `holdfast check --read-data` to see what depends on it, and restore it from a mirror.")
    }

    package mutating func u8() throws(HoldfastError) -> UInt8 {
        try need(1)
        defer { offset += 1 }
        return bytes[offset]
    }

    package mutating func u16() throws(HoldfastError) -> UInt16 { UInt16(littleEndian: try fixed()) }
    package mutating func u32() throws(HoldfastError) -> UInt32 { UInt32(littleEndian: try fixed()) }
    package mutating func u64() throws(HoldfastError) -> UInt64 { UInt64(littleEndian: try fixed()) }
    package mutating func i64() throws(HoldfastError) -> Int64 { Int64(bitPattern: try u64()) }

    /// Unsigned LEB128 in its shortest form.
    package mutating func varint() throws(HoldfastError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let byte = try u8()
            guard shift < 63 || byte <= 1 else { throw corrupt("a number is too large") }
            value |= UInt64(byte & 0x7F) << shift
            if byte & 0x80 == 0 {
                guard byte != 0 || shift == 0 else { throw corrupt("a number is not in its shortest form") }
                return value
            }
            shift += 7
            guard shift <= 63 else { throw corrupt("a number is too long") }
        }
    }

    package mutating func signedVarint() throws(HoldfastError) -> Int64 {
        let value = try varint()
        return Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1)
    }

    /// A varint count of things of at least `each` bytes, refused when the rest of the input cannot hold them.
    package mutating func count(each: Int, atMost limit: Int) throws(HoldfastError) -> Int {
        let value = try varint()
        guard value <= UInt64(limit), value <= UInt64(remaining / max(1, each)) else {
            throw corrupt("a count of \(value) is over its limit")
        }
        return Int(value)
    }

    package mutating func raw(_ count: Int) throws(HoldfastError) -> [UInt8] {
        try need(count)
        defer { offset += count }
        return Array(bytes[offset..<offset + count])
    }

    package mutating func bytes32() throws(HoldfastError) -> Bytes32 {
        try need(32)
        defer { offset += 32 }
        return Bytes32(bytes.span.bytes, at: offset)
    }

    package mutating func bytes16() throws(HoldfastError) -> Bytes16 {
        try need(16)
        defer { offset += 16 }
        return Bytes16(bytes.span.bytes, at: offset)
    }

    package mutating func prefixed(atMost limit: Int) throws(HoldfastError) -> [UInt8] {
        try raw(try count(each: 1, atMost: limit))
    }

    package mutating func string(atMost limit: Int) throws(HoldfastError) -> String {
        let raw = try prefixed(atMost: limit)
        guard let text = String(validating: raw, as: UTF8.self) else { throw corrupt("a text is not UTF-8") }
        return text
    }

    /// Skips bytes that must be zero.
    package mutating func zeros(_ count: Int) throws(HoldfastError) {
        guard try raw(count).allSatisfy({ $0 == 0 }) else { throw corrupt("reserved bytes are not zero") }
    }

    package func expectEnd() throws(HoldfastError) {
        guard isAtEnd else { throw corrupt("\(remaining) bytes are left over") }
    }

    private func need(_ count: Int) throws(HoldfastError) {
        guard count >= 0, remaining >= count else { throw corrupt("it ends early") }
    }

    private mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>() throws(HoldfastError) -> T {
        try need(MemoryLayout<T>.size)
        defer { offset += MemoryLayout<T>.size }
        return bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: T.self)
    }
}
