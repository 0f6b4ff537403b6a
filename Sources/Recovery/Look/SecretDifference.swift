// What two snapshots say differently of a secret or of one of its versions, without any value.

import Primitives
import Repository

/// How a secret or a version stands, in the words of `holdfast vault show`.
package enum SecretStanding: String, Sendable {
    case live, disabled, deleted, destroyed
    /// A secret as a whole that the vault can give back.
    case removed
}

/// What an entry of a snapshot of a vault says of itself; the directory of a secret, or the file of a version.
package enum SecretEntry: Sendable {
    case secret(SecretFacts)
    case version(SecretVersionFacts)

    /// Nil for what is neither, such as a folder.
    ///
    /// - Throws: `.corruptObject` for attributes that make no sense.
    package init?(_ metadata: EntryMetadata) throws(HoldfastError) {
        if let bytes = metadata.bytes(under: SecretFacts.attribute) {
            self = .secret(try SecretFacts(bytes))
        } else if let bytes = metadata.bytes(under: SecretVersionFacts.attribute) {
            self = .version(try SecretVersionFacts(bytes))
        } else {
            return nil
        }
    }

    package var standing: SecretStanding {
        switch self {
        case .secret(let facts): facts.isRemoved ? .removed : .live
        case .version(let facts):
            switch facts.state {
            case .live: .live
            case .disabled: .disabled
            case .softDeleted: .deleted
            case .destroyed: .destroyed
            }
        }
    }

    /// Staging labels of a version.
    package var labels: [String] {
        switch self {
        case .secret: []
        case .version(let facts): facts.labels
        }
    }

    /// The version that is the current one of a secret.
    package var current: String? {
        switch self {
        case .secret(let facts): facts.current
        case .version: nil
        }
    }
}

/// What differs between two such entries. Of attributes there are the names, of tags the keys, and no contents.
package struct SecretDifference: Sendable {
    package enum Act: String, Sendable { case added, removed, changed }

    package struct Attribute: Sendable {
        /// As the fields in `holdfast vault show --json`; `tag` and `extra` have a key.
        package var name: String
        package var key: String?
        package var act: Act
    }

    /// Nil where there was none.
    package var standingBefore: SecretStanding?
    package var standingAfter: SecretStanding?
    package var currentBefore: String?
    package var currentAfter: String?
    package var labelsAdded: [String] = []
    package var labelsRemoved: [String] = []
    /// Of what is there in both snapshots.
    package var attributes: [Attribute] = []

    /// Nil where neither is of a secret or a version.
    ///
    /// - Throws: `.corruptObject` for attributes that make no sense.
    package init?(_ before: EntryMetadata?, _ after: EntryMetadata?) throws(HoldfastError) {
        var old: SecretEntry?
        var new: SecretEntry?
        if let before { old = try SecretEntry(before) }
        if let after { new = try SecretEntry(after) }
        guard old != nil || new != nil else { return nil }
        (standingBefore, standingAfter) = (old?.standing, new?.standing)
        (currentBefore, currentAfter) = (old?.current, new?.current)
        let (had, has) = (Set((old?.labels ?? []).map(Text.init)), Set((new?.labels ?? []).map(Text.init)))
        labelsAdded = has.subtracting(had).sorted().map(\.text)
        labelsRemoved = had.subtracting(has).sorted().map(\.text)
        guard let old, let new else { return }
        attributes = Self.compare(old.attributes, new.attributes)
        // The instants of a state go with it.
        if old.standing != new.standing { attributes.removeAll { Self.ofState.contains($0.name) } }
    }

    private static let ofState: Set = ["stateSince", "removedAt", "purge"]

    /// Whether anything is told beside what was there and what is there.
    package var isEmpty: Bool {
        standingBefore == standingAfter && currentBefore.map(Text.init) == currentAfter.map(Text.init)
            && labelsAdded.isEmpty && labelsRemoved.isEmpty && attributes.isEmpty
    }

    private static func compare(_ old: [Named: [UInt8]], _ new: [Named: [UInt8]]) -> [Attribute] {
        let names = Set(old.keys).union(new.keys).sorted()
        return names.compactMap { name in
            let act: Act
            switch (old[name], new[name]) {
            case (nil, _): act = .added
            case (_, nil): act = .removed
            case (let before, let after):
                guard before != after else { return nil }
                act = .changed
            }
            return Attribute(name: name.name, key: name.key?.text, act: act)
        }
    }
}

/// A text that is told from others by its bytes.
private struct Text: Hashable, Comparable {
    var bytes: [UInt8]
    var text: String { String(decoding: bytes, as: UTF8.self) }

    init(_ text: String) { bytes = Array(text.utf8) }

    static func < (a: Text, b: Text) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

private struct Named: Hashable, Comparable {
    var name: String
    var key: Text?

    static func < (a: Named, b: Named) -> Bool {
        a.name == b.name ? (a.key?.bytes ?? []).lexicographicallyPrecedes(b.key?.bytes ?? []) : a.name < b.name
    }
}

extension SecretEntry {
    /// What a writer can set, and what the vault says in words of its own. Not the instant of the last change, nor the
    /// place in the order, which the vault counts anew when older versions go.
    fileprivate var attributes: [Named: [UInt8]] {
        var found: [Named: [UInt8]] = [:]
        func add(_ name: String, _ value: String?) { found[Named(name: name)] = value.map { Array($0.utf8) } }
        func add(_ name: String, _ pairs: [SecretFacts.Pair]) {
            for pair in pairs { found[Named(name: name, key: Text(pair.key))] = Array(pair.value.utf8) }
        }
        switch self {
        case .secret(let facts):
            add("description", facts.description)
            add("tag", facts.tags)
            add("maximumVersions", facts.maximumVersions.map { "\($0)" })
            add("requiresComparison", facts.requiresComparison.map { "\($0)" })
            add("deletesAfter", facts.deletesAfter.map { "\($0)" })
            add("created", facts.created.map { "\($0.nanoseconds)" })
            add("removedAt", facts.removed.map { "\($0.nanoseconds)" })
            add("purge", facts.purge.map { "\($0.nanoseconds)" })
            add("extra", facts.extras)
        case .version(let facts):
            add("created", facts.created.map { "\($0.nanoseconds)" })
            add("stateSince", facts.stateSince.map { "\($0.nanoseconds)" })
            add("deletionDue", facts.deletionDue.map { "\($0.nanoseconds)" })
            add("notBefore", facts.notBefore.map { "\($0.nanoseconds)" })
            add("expires", facts.expires.map { "\($0.nanoseconds)" })
            add("contentType", facts.contentType)
            add("tag", facts.tags)
            add("extra", facts.extras)
        }
        return found
    }
}
