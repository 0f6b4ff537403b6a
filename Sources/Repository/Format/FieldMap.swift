// Numbered fields that an older reader keeps without knowing them.

import Primitives

/// A map from field numbers to bytes; encoded in ascending order, each as varint number and length-prefixed bytes.
package struct FieldMap: Sendable, Hashable {
    package static let maximumFields = 1024

    package private(set) var fields: [UInt64: [UInt8]] = [:]

    package init() {}

    package subscript(_ number: UInt64) -> [UInt8]? {
        get { fields[number] }
        set { fields[number] = newValue }
    }

    package func write(to writer: inout ByteWriter) {
        writer.varint(UInt64(fields.count))
        for (number, value) in fields.sorted(by: { $0.key < $1.key }) {
            writer.varint(number)
            writer.prefixed(value)
        }
    }

    package init(from reader: inout ByteReader, atMost limit: Int) throws(HoldfastError) {
        let count = try reader.count(each: 2, atMost: Self.maximumFields)
        var last: UInt64?
        for _ in 0..<count {
            let number = try reader.varint()
            if let last, number <= last { throw reader.corrupt("its fields are out of order") }
            last = number
            fields[number] = try reader.prefixed(atMost: limit)
        }
    }
}
