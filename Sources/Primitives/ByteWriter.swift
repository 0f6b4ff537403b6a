// The canonical encoding of small structures: little-endian integers, LEB128 varints, length-prefixed bytes.

/// Appends fields to a byte array. The encoding is canonical: one value has one encoding.
package struct ByteWriter: Sendable {
    package private(set) var bytes: [UInt8]

    package init(reserving capacity: Int = 0) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    package var count: Int { bytes.count }

    package mutating func u8(_ value: UInt8) { bytes.append(value) }
    package mutating func u16(_ value: UInt16) { fixed(value.littleEndian) }
    package mutating func u32(_ value: UInt32) { fixed(value.littleEndian) }
    package mutating func u64(_ value: UInt64) { fixed(value.littleEndian) }
    package mutating func i64(_ value: Int64) { u64(UInt64(bitPattern: value)) }

    /// Unsigned LEB128, at most ten bytes.
    package mutating func varint(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// Zigzag, then LEB128.
    package mutating func signedVarint(_ value: Int64) {
        varint(UInt64(bitPattern: (value << 1) ^ (value >> 63)))
    }

    package mutating func raw(_ value: some Sequence<UInt8>) { bytes.append(contentsOf: value) }
    package mutating func raw(_ value: Bytes32) { value.withBytes { bytes.append(contentsOf: $0) } }
    package mutating func raw(_ value: Bytes16) { value.withBytes { bytes.append(contentsOf: $0) } }

    /// A varint length, then the bytes.
    package mutating func prefixed(_ value: some Collection<UInt8>) {
        varint(UInt64(value.count))
        bytes.append(contentsOf: value)
    }

    package mutating func string(_ value: String) { prefixed(Array(value.utf8)) }

    package mutating func zeros(_ count: Int) { bytes.append(contentsOf: repeatElement(0, count: count)) }

    private mutating func fixed<T: FixedWidthInteger & BitwiseCopyable>(_ value: T) {
        withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) }
    }
}
