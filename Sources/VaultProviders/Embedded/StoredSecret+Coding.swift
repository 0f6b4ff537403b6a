// The bytes of a record.

import Primitives
import SecretVaults

extension StoredSecret {
    /// The largest record: 10,000 versions with labels and a few tags.
    static let maximumSize = 64 << 20

    func encoded() -> [UInt8] {
        var writer = ByteWriter(reserving: 256 + versions.count * 128)
        writer.u8(1)
        writer.prefixed(name.bytes)
        writer.optional(attributes.description) { $0.string($1) }
        writer.tags(attributes.tags)
        writer.optional(attributes.limits.maximumVersions) { $0.varint(UInt64($1)) }
        writer.optional(attributes.limits.requiresComparison) { $0.u8($1 ? 1 : 0) }
        writer.optional(attributes.limits.deletesAfter) { $0.varint(UInt64($1.components.seconds)) }
        writer.i64(created.nanoseconds)
        writer.i64(changed.nanoseconds)
        writer.instant(removed)
        writer.varint(lastOrder)
        writer.varint(prunedThrough)
        writer.varint(UInt64(versions.count))
        for version in versions { version.write(to: &writer) }
        return writer.bytes
    }

    init(_ bytes: [UInt8]) throws(HoldfastError) {
        var reader = ByteReader(bytes, as: "a record of the vault")
        guard try reader.u8() == 1 else { throw reader.corrupt("its version is unknown") }
        name = try reader.text()
        attributes = SecretAttributes()
        attributes.description = try reader.optional { (reader) throws(HoldfastError) in
            try reader.string(atMost: SecretBounds.descriptionBytes)
        }
        attributes.tags = try reader.tags()
        attributes.limits.maximumVersions = try reader.optional { (reader) throws(HoldfastError) in
            Int(clamping: try reader.varint())
        }
        attributes.limits.requiresComparison = try reader.optional { (reader) throws(HoldfastError) in
            try reader.u8() == 1
        }
        attributes.limits.deletesAfter = try reader.optional { (reader) throws(HoldfastError) in
            .seconds(Int64(clamping: try reader.varint()))
        }
        created = Timestamp(nanoseconds: try reader.i64())
        changed = Timestamp(nanoseconds: try reader.i64())
        removed = try reader.instant()
        lastOrder = try reader.varint()
        prunedThrough = try reader.varint()
        let count = try reader.count(each: 48, atMost: SecretBounds.versions)
        versions = []
        versions.reserveCapacity(count)
        for _ in 0..<count { versions.append(try StoredVersion(&reader)) }
        try reader.expectEnd()
    }
}

extension StoredVersion {
    fileprivate func write(to writer: inout ByteWriter) {
        writer.prefixed(id.bytes)
        writer.varint(order)
        writer.i64(created.nanoseconds)
        writer.instant(changed)
        writer.u8(isDisabled ? 1 : 0)
        writer.instant(deleted)
        writer.instant(deletionDue)
        writer.instant(destroyed)
        writer.varint(UInt64(labels.count))
        for label in labels.sorted() { writer.prefixed(label.bytes) }
        writer.instant(attributes.notBefore)
        writer.instant(attributes.expires)
        writer.optional(attributes.contentType) { $0.string($1) }
        writer.tags(attributes.tags)
        writer.raw(salt)
    }

    fileprivate init(_ reader: inout ByteReader) throws(HoldfastError) {
        id = try reader.text()
        order = try reader.varint()
        created = Timestamp(nanoseconds: try reader.i64())
        changed = try reader.instant()
        isDisabled = try reader.u8() == 1
        deleted = try reader.instant()
        deletionDue = try reader.instant()
        destroyed = try reader.instant()
        for _ in 0..<(try reader.count(each: 2, atMost: SecretBounds.labels)) { labels.insert(try reader.text()) }
        attributes.notBefore = try reader.instant()
        attributes.expires = try reader.instant()
        attributes.contentType = try reader.optional { (reader) throws(HoldfastError) in
            try reader.string(atMost: SecretBounds.tagBytes)
        }
        attributes.tags = try reader.tags()
        salt = try reader.bytes32()
    }
}

extension ByteWriter {
    fileprivate mutating func optional<V>(_ value: V?, _ write: (inout ByteWriter, V) -> Void) {
        u8(value == nil ? 0 : 1)
        if let value { write(&self, value) }
    }

    fileprivate mutating func instant(_ value: Timestamp?) { optional(value) { $0.i64($1.nanoseconds) } }

    fileprivate mutating func tags(_ value: SecretTags) {
        varint(UInt64(value.count))
        for tag in value.tags {
            string(tag.key)
            string(tag.value)
        }
    }
}

extension ByteReader {
    fileprivate mutating func optional<V>(
        _ read: (inout ByteReader) throws(HoldfastError) -> V
    ) throws(HoldfastError) -> V? {
        switch try u8() {
        case 0: return nil
        case 1: return try read(&self)
        default: throw corrupt("a mark is neither there nor not")
        }
    }

    fileprivate mutating func instant() throws(HoldfastError) -> Timestamp? {
        try optional { (reader) throws(HoldfastError) in Timestamp(nanoseconds: try reader.i64()) }
    }

    fileprivate mutating func text<T: VaultText>() throws(HoldfastError) -> T {
        T(validated: try prefixed(atMost: T.maximumCount))
    }

    fileprivate mutating func tags() throws(HoldfastError) -> SecretTags {
        var tags = SecretTags()
        for _ in 0..<(try count(each: 2, atMost: SecretBounds.tags)) {
            let key = try string(atMost: SecretBounds.tagBytes)
            tags[key] = try string(atMost: SecretBounds.tagBytes)
        }
        return tags
    }
}
