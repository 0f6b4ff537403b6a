// Typed values in field maps: what a record writes and reads field by field.

import Primitives

/// Puts values under their numbers. Optional values that are nil leave no field.
struct FieldWriter {
    private(set) var map: FieldMap

    /// - Parameter unknown: Fields that were read and are not known, which are written back.
    init(keeping unknown: FieldMap) { map = unknown }

    mutating func put(_ field: UInt64, _ build: (inout ByteWriter) -> Void) {
        var writer = ByteWriter()
        build(&writer)
        map[field] = writer.bytes
    }

    mutating func put(_ field: UInt64, _ value: String?) { if let value { put(field) { $0.string(value) } } }
    mutating func put(_ field: UInt64, _ value: Timestamp?) {
        if let value { put(field) { $0.i64(value.nanoseconds) } }
    }
    mutating func put(_ field: UInt64, _ value: Duration?) {
        if let value { put(field) { $0.i64(value.nanosecondsClamped) } }
    }
    mutating func put(_ field: UInt64, _ value: UInt64?) { if let value { put(field) { $0.varint(value) } } }
    mutating func put(_ field: UInt64, _ value: Bytes32?) { if let value { put(field) { $0.raw(value) } } }
    mutating func put(_ field: UInt64, _ value: Bool) { put(field) { $0.u8(value ? 1 : 0) } }
    mutating func put(_ field: UInt64, id value: ULID?) { if let value { put(field) { $0.raw(value.bytes) } } }
    mutating func put<Value: RawRepresentable>(_ field: UInt64, raw value: Value) where Value.RawValue == UInt8 {
        put(field) { $0.u8(value.rawValue) }
    }

    /// Keys in ascending order of their bytes.
    mutating func put(_ field: UInt64, _ map: [String: String]) {
        put(field) { writer in
            writer.varint(UInt64(map.count))
            for (key, value) in map.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                writer.string(key)
                writer.string(value)
            }
        }
    }

    mutating func put(_ field: UInt64, _ list: [String]) {
        put(field) { writer in
            writer.varint(UInt64(list.count))
            for text in list { writer.string(text) }
        }
    }

    /// A list of records, each with its length before it.
    mutating func put<Item>(_ field: UInt64, list: [Item], _ encode: (Item) -> [UInt8]) {
        put(field) { writer in
            writer.varint(UInt64(list.count))
            for item in list { writer.prefixed(encode(item)) }
        }
    }

    var bytes: [UInt8] {
        var writer = ByteWriter()
        map.write(to: &writer)
        return writer.bytes
    }
}

/// Takes values from under their numbers; each value must be used up. What is left at the end is unknown.
struct FieldReader {
    private(set) var rest: FieldMap
    private let outer: ByteReader
    private let name: String

    static let shortText = 4096
    static let longText = 64 << 10

    init(_ bytes: [UInt8], name: String, atMost limit: Int) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: name)
        rest = try FieldMap(from: &reader, atMost: limit)
        try reader.expectEnd()
        outer = reader
        self.name = name
    }

    func corrupt(_ what: String) -> HoldfastError { outer.corrupt(what) }

    mutating func take<Value>(
        _ field: UInt64, _ read: (inout ByteReader) throws(HoldfastError) -> Value
    ) throws(HoldfastError) -> Value? {
        guard let bytes = rest[field] else { return nil }
        rest[field] = nil
        var reader = ByteReader(bytes, as: name)
        let value = try read(&reader)
        try reader.expectEnd()
        return value
    }

    func need<Value>(_ field: UInt64, _ value: Value?) throws(HoldfastError) -> Value {
        guard let value else { throw corrupt("field \(field) is missing") }
        return value
    }

    mutating func text(_ field: UInt64, atMost limit: Int = shortText) throws(HoldfastError) -> String? {
        try take(field) { (reader) throws(HoldfastError) in try reader.string(atMost: limit) }
    }
    mutating func time(_ field: UInt64) throws(HoldfastError) -> Timestamp? {
        try take(field) { (reader) throws(HoldfastError) in Timestamp(nanoseconds: try reader.i64()) }
    }
    mutating func duration(_ field: UInt64) throws(HoldfastError) -> Duration? {
        try take(field) { (reader) throws(HoldfastError) in .nanoseconds(try reader.i64()) }
    }
    mutating func number(_ field: UInt64) throws(HoldfastError) -> UInt64? {
        try take(field) { (reader) throws(HoldfastError) in try reader.varint() }
    }
    mutating func digest(_ field: UInt64) throws(HoldfastError) -> Bytes32? {
        try take(field) { (reader) throws(HoldfastError) in try reader.bytes32() }
    }
    mutating func id(_ field: UInt64) throws(HoldfastError) -> ULID? {
        try take(field) { (reader) throws(HoldfastError) in ULID(try reader.bytes16()) }
    }
    mutating func flag(_ field: UInt64) throws(HoldfastError) -> Bool? {
        try take(field) { (reader) throws(HoldfastError) in
            let byte = try reader.u8()
            guard byte <= 1 else { throw reader.corrupt("a flag is neither 0 nor 1") }
            return byte == 1
        }
    }

    /// A number with a meaning; one that is not known makes the whole unreadable.
    mutating func meaning<Value: RawRepresentable>(
        _ field: UInt64, _: Value.Type
    ) throws(HoldfastError) -> Value? where Value.RawValue == UInt8 {
        try take(field) { (reader) throws(HoldfastError) in
            let raw = try reader.u8()
            guard let value = Value(rawValue: raw) else { throw reader.corrupt("field \(field) has no meaning \(raw)") }
            return value
        }
    }

    mutating func texts(_ field: UInt64) throws(HoldfastError) -> [String: String]? {
        try take(field) { (reader) throws(HoldfastError) in
            var map: [String: String] = [:]
            var last: String?
            for _ in 0..<(try reader.count(each: 2, atMost: 4096)) {
                let key = try reader.string(atMost: Self.shortText)
                if let last, !last.utf8.lexicographicallyPrecedes(key.utf8) || map[key] != nil {
                    throw reader.corrupt("its keys are out of order")
                }
                last = key
                map[key] = try reader.string(atMost: Self.longText)
            }
            return map
        }
    }

    mutating func list(_ field: UInt64, atMost limit: Int) throws(HoldfastError) -> [String]? {
        try take(field) { (reader) throws(HoldfastError) in
            var list: [String] = []
            for _ in 0..<(try reader.count(each: 1, atMost: limit)) {
                list.append(try reader.string(atMost: Self.shortText))
            }
            return list
        }
    }

    mutating func list<Item>(
        _ field: UInt64, atMost limit: Int, of size: Int,
        _ decode: ([UInt8], String) throws(HoldfastError) -> Item
    ) throws(HoldfastError) -> [Item]? {
        let name = name
        return try take(field) { (reader) throws(HoldfastError) in
            var list: [Item] = []
            for _ in 0..<(try reader.count(each: 1, atMost: limit)) {
                list.append(try decode(try reader.prefixed(atMost: size), name))
            }
            return list
        }
    }
}
