// Fixed-width byte strings as words, so that ids copy, compare and hash without touching memory management.

/// Thirty-two bytes held as four big-endian words: ordering of values is ordering of bytes.
package struct Bytes32: Hashable, Sendable, BitwiseCopyable {
    package var w0: UInt64
    package var w1: UInt64
    package var w2: UInt64
    package var w3: UInt64

    @inlinable package init(w0: UInt64 = 0, w1: UInt64 = 0, w2: UInt64 = 0, w3: UInt64 = 0) {
        self.w0 = w0
        self.w1 = w1
        self.w2 = w2
        self.w3 = w3
    }

    /// Reads 32 bytes from `bytes` at `offset`; the range must be inside the span.
    @inlinable package init(_ bytes: RawSpan, at offset: Int = 0) {
        precondition(offset >= 0 && offset + 32 <= bytes.byteCount, "32 bytes are needed")
        w0 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        w1 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
        w2 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 16, as: UInt64.self))
        w3 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 24, as: UInt64.self))
    }

    /// Runs `body` over the 32 bytes in order.
    @inlinable package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let words: InlineArray<4, UInt64> = [w0.bigEndian, w1.bigEndian, w2.bigEndian, w3.bigEndian]
        let span = words.span.bytes
        return try span.withUnsafeBytes { (raw) throws(E) in try body(raw) }
    }

    @inlinable package var isZero: Bool { w0 | w1 | w2 | w3 == 0 }

    /// The first half.
    @inlinable package var prefix: Bytes16 { Bytes16(w0: w0, w1: w1) }

    @inlinable package var array: [UInt8] { withBytes { [UInt8]($0) } }

    @inlinable package func hash(into hasher: inout Hasher) {
        hasher.combine(w0)
        hasher.combine(w1)
    }
}

extension Bytes32: Comparable {
    @inlinable package static func < (a: Bytes32, b: Bytes32) -> Bool {
        if a.w0 != b.w0 { return a.w0 < b.w0 }
        if a.w1 != b.w1 { return a.w1 < b.w1 }
        if a.w2 != b.w2 { return a.w2 < b.w2 }
        return a.w3 < b.w3
    }
}

/// Sixteen bytes held as two big-endian words.
package struct Bytes16: Hashable, Sendable, BitwiseCopyable {
    package var w0: UInt64
    package var w1: UInt64

    @inlinable package init(w0: UInt64 = 0, w1: UInt64 = 0) {
        self.w0 = w0
        self.w1 = w1
    }

    @inlinable package init(_ bytes: RawSpan, at offset: Int = 0) {
        precondition(offset >= 0 && offset + 16 <= bytes.byteCount, "16 bytes are needed")
        w0 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self))
        w1 = UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt64.self))
    }

    @inlinable package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
        let words: InlineArray<2, UInt64> = [w0.bigEndian, w1.bigEndian]
        let span = words.span.bytes
        return try span.withUnsafeBytes { (raw) throws(E) in try body(raw) }
    }

    @inlinable package var isZero: Bool { w0 | w1 == 0 }
    @inlinable package var array: [UInt8] { withBytes { [UInt8]($0) } }
}

extension Bytes16: Comparable {
    @inlinable package static func < (a: Bytes16, b: Bytes16) -> Bool {
        a.w0 != b.w0 ? a.w0 < b.w0 : a.w1 < b.w1
    }
}
