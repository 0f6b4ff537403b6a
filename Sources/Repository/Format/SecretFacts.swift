// What a snapshot of a vault says of secrets and their versions, beside the values.

import Primitives

/// What is told of a secret as a whole; an attribute of its directory.
///
/// Texts of pairs are compared by their bytes, in the order in which they are written. Fields: see docs/format.md.
package struct SecretFacts: Sendable, Hashable {
    /// A text under a key.
    package struct Pair: Sendable, Hashable {
        package var key: String
        package var value: String

        package init(key: String, value: String) {
            self.key = key
            self.value = value
        }

        package static func == (a: Pair, b: Pair) -> Bool {
            a.key.utf8.elementsEqual(b.key.utf8) && a.value.utf8.elementsEqual(b.value.utf8)
        }

        package func hash(into hasher: inout Hasher) {
            for byte in key.utf8 { hasher.combine(byte) }
        }
    }

    package static let attribute = "holdfast.secret"
    /// The longest encoding: of more the vault's own limits have broken.
    package static let maximumSize = 1 << 20
    static let maximumPairs = 1024

    package var name: String
    package var description: String?
    package var tags: [Pair] = []
    package var maximumVersions: UInt64?
    package var requiresComparison: Bool?
    package var deletesAfter: Duration?
    package var created: Timestamp?
    package var changed: Timestamp?
    /// Whether it is removed and can be had back, and since when.
    package var isRemoved = false
    package var removed: Timestamp?
    package var purge: Timestamp?
    package var current: String?
    package var prunedThrough: UInt64 = 0
    package var extras: [Pair] = []
    package var unknown = FieldMap()

    package init(name: String) { self.name = name }

    package var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, name)
        fields.put(2, description)
        fields.put(3, pairs: tags)
        fields.put(4, maximumVersions)
        if let requiresComparison { fields.put(5, requiresComparison) }
        fields.put(6, deletesAfter)
        fields.put(7, created)
        fields.put(8, changed)
        fields.put(9, isRemoved)
        fields.put(10, removed)
        fields.put(11, purge)
        fields.put(12, current)
        fields.put(13, prunedThrough)
        fields.put(14, pairs: extras)
        return fields.bytes
    }

    package init(_ bytes: [UInt8]) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: Self.attribute, atMost: Self.maximumSize)
        name = try fields.need(1, try fields.text(1))
        description = try fields.text(2)
        tags = try fields.need(3, try fields.pairs(3))
        maximumVersions = try fields.number(4)
        requiresComparison = try fields.flag(5)
        deletesAfter = try fields.duration(6)
        created = try fields.time(7)
        changed = try fields.time(8)
        isRemoved = try fields.need(9, try fields.flag(9))
        removed = try fields.time(10)
        purge = try fields.time(11)
        current = try fields.text(12)
        prunedThrough = try fields.need(13, try fields.number(13))
        extras = try fields.need(14, try fields.pairs(14))
        unknown = fields.rest
    }
}

/// What is told of one version of a secret; an attribute of its file.
package struct SecretVersionFacts: Sendable, Hashable {
    package static let attribute = "holdfast.version"

    /// Raw values are part of format 1.
    package enum State: UInt8, Sendable {
        case live = 1
        case disabled = 2
        case softDeleted = 3
        case destroyed = 4
    }

    package var id: String
    package var order: UInt64
    package var created: Timestamp?
    package var changed: Timestamp?
    package var state: State
    /// Since when it is soft-deleted or destroyed.
    package var stateSince: Timestamp?
    package var deletionDue: Timestamp?
    package var labels: [String] = []
    package var notBefore: Timestamp?
    package var expires: Timestamp?
    package var contentType: String?
    package var tags: [SecretFacts.Pair] = []
    package var extras: [SecretFacts.Pair] = []
    package var unknown = FieldMap()

    package init(id: String, order: UInt64, state: State) {
        self.id = id
        self.order = order
        self.state = state
    }

    package var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, id)
        fields.put(2, order)
        fields.put(3, created)
        fields.put(4, changed)
        fields.put(5, raw: state)
        fields.put(6, stateSince)
        fields.put(7, deletionDue)
        fields.put(8, labels)
        fields.put(9, notBefore)
        fields.put(10, expires)
        fields.put(11, contentType)
        fields.put(12, pairs: tags)
        fields.put(13, pairs: extras)
        return fields.bytes
    }

    package init(_ bytes: [UInt8]) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: Self.attribute, atMost: SecretFacts.maximumSize)
        id = try fields.need(1, try fields.text(1))
        order = try fields.need(2, try fields.number(2))
        created = try fields.time(3)
        changed = try fields.time(4)
        state = try fields.need(5, try fields.meaning(5, State.self))
        stateSince = try fields.time(6)
        deletionDue = try fields.time(7)
        labels =
            try fields.take(8) { (reader) throws(HoldfastError) in
                var labels: [String] = []
                for _ in 0..<(try reader.count(each: 1, atMost: SecretFacts.maximumPairs)) {
                    labels.append(try reader.string(atMost: FieldReader.shortText))
                }
                return labels
            } ?? []
        notBefore = try fields.time(9)
        expires = try fields.time(10)
        contentType = try fields.text(11)
        tags = try fields.need(12, try fields.pairs(12))
        extras = try fields.need(13, try fields.pairs(13))
        unknown = fields.rest
    }
}

extension FieldWriter {
    fileprivate mutating func put(_ field: UInt64, pairs: [SecretFacts.Pair]) {
        put(field) { writer in
            writer.varint(UInt64(pairs.count))
            for pair in pairs {
                writer.string(pair.key)
                writer.string(pair.value)
            }
        }
    }
}

extension FieldReader {
    fileprivate mutating func pairs(_ field: UInt64) throws(HoldfastError) -> [SecretFacts.Pair]? {
        try take(field) { (reader) throws(HoldfastError) in
            var pairs: [SecretFacts.Pair] = []
            for _ in 0..<(try reader.count(each: 2, atMost: SecretFacts.maximumPairs)) {
                let key = try reader.string(atMost: FieldReader.longText)
                pairs.append(SecretFacts.Pair(key: key, value: try reader.string(atMost: FieldReader.longText)))
            }
            return pairs
        }
    }
}

extension EntryMetadata {
    /// Attributes are bounded; a longer value goes into several, `name`, `name.1` and so on.
    private static let longestAttribute = 60_000

    /// Adds `bytes` under a name of ours.
    package mutating func put(_ bytes: [UInt8], under name: String) {
        var (start, number) = (0, 0)
        repeat {
            let end = min(bytes.count, start + Self.longestAttribute)
            let full = number == 0 ? name : "\(name).\(number)"
            attributes.append(ExtendedAttribute(name: Array(full.utf8), value: Array(bytes[start..<end])))
            (start, number) = (end, number + 1)
        } while start < bytes.count
    }

    /// What ``put(_:under:)`` put; nil when there is nothing.
    package func bytes(under name: String) -> [UInt8]? {
        func value(_ name: String) -> [UInt8]? { attributes.first { $0.name.elementsEqual(name.utf8) }?.value }
        guard var bytes = value(name) else { return nil }
        var number = 1
        while let more = value("\(name).\(number)") {
            bytes += more
            number += 1
        }
        return bytes
    }
}
