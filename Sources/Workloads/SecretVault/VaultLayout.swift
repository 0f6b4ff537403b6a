// How the secrets of a vault stand in a snapshot: a directory for each, and a file for each of its versions.

import Primitives
import Repository
import Sealing
import SecretVaults

/// Paths and attributes of a snapshot of a vault (docs/format.md, "Secrets").
///
/// The parts of a name between slashes are directories; a version is the file `@ID` in its secret's directory. What
/// paths cannot hold is written as `%` with two digits, so that different names never meet. Whose directory it is and
/// whose version is told by the attributes alone.
package enum VaultLayout {
    private static let longestPart = 200
    /// Parts of a name; a walk through a snapshot goes no deeper than 512.
    package static let maximumParts = 256

    package static func parts(of name: SecretName) -> [[UInt8]] {
        name.bytes.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false).map { part(Array($0)) }
    }

    /// - Parameter folder: With the slash at its end; empty for all of the vault.
    package static func parts(ofFolder folder: [UInt8]) -> [[UInt8]] {
        guard !folder.isEmpty else { return [] }
        return folder.dropLast().split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
            .map { part(Array($0)) }
    }

    package static func parts(of name: SecretName, _ version: SecretVersionID) -> [[UInt8]] {
        parts(of: name) + [[UInt8(ascii: "@")] + part(version.bytes, isVersion: true)]
    }

    private static func part(_ bytes: [UInt8], isVersion: Bool = false) -> [UInt8] {
        // An empty part, `.`, `..` and a leading `@` would be something else.
        guard !bytes.isEmpty else { return Array("%".utf8) }
        var out: [UInt8] = []
        let isDots = bytes == [0x2E] || bytes == [0x2E, 0x2E]
        for (place, byte) in bytes.enumerated() {
            let isSpecial =
                byte == UInt8(ascii: "%") || byte == UInt8(ascii: "/") || byte < 0x20 || byte == 0x7F || isDots
                || place == 0 && !isVersion && byte == UInt8(ascii: "@")
            if isSpecial { out += Array("%\(Hex.encode([byte]))".utf8) } else { out.append(byte) }
        }
        guard out.count > longestPart else { return out }
        let digest = Hex.encode(Array(SHA256.digest(bytes.span.bytes).array.prefix(16)))
        return Array(out.prefix(longestPart)) + Array("%~\(digest)".utf8)
    }

    // MARK: Metadata

    static func metadata(of record: SecretRecord) -> EntryMetadata {
        var metadata = EntryMetadata(name: [], kind: .directory)
        metadata.mode = 0o700
        metadata.modified = record.changed ?? record.created ?? Timestamp(nanoseconds: 0)
        metadata.put(SecretFacts(record).encoded, under: SecretFacts.attribute)
        return metadata
    }

    static func metadata(of version: SecretVersion) -> EntryMetadata {
        var metadata = EntryMetadata(name: [], kind: .file)
        metadata.mode = 0o600
        metadata.modified = version.created ?? Timestamp(nanoseconds: 0)
        metadata.put(SecretVersionFacts(version).encoded, under: SecretVersionFacts.attribute)
        return metadata
    }

    /// What the attributes of a directory say of a secret; nil for a directory that is none.
    package static func record(of metadata: EntryMetadata) throws(HoldfastError) -> SecretRecord? {
        guard let bytes = metadata.bytes(under: SecretFacts.attribute) else { return nil }
        return try SecretRecord(try SecretFacts(bytes))
    }

    package static func version(of metadata: EntryMetadata) throws(HoldfastError) -> SecretVersion? {
        guard let bytes = metadata.bytes(under: SecretVersionFacts.attribute) else { return nil }
        return try SecretVersion(try SecretVersionFacts(bytes))
    }
}

// MARK: The model and what is stored of it

extension SecretFacts {
    init(_ record: SecretRecord) {
        self.init(name: record.name.text)
        description = record.attributes.description
        tags = record.attributes.tags.pairs
        maximumVersions = record.attributes.limits.maximumVersions.map { UInt64(max(0, $0)) }
        requiresComparison = record.attributes.limits.requiresComparison
        deletesAfter = record.attributes.limits.deletesAfter
        created = record.created
        changed = record.changed
        isRemoved = record.removal != nil
        removed = record.removal?.at
        purge = record.removal?.purge
        current = record.current?.text
        prunedThrough = record.prunedThrough
        extras = record.extras.pairs
    }
}

extension SecretRecord {
    /// Without its versions.
    init(_ facts: SecretFacts) throws(HoldfastError) {
        self.init(name: try SecretName(facts.name))
        attributes = SecretAttributes(
            description: facts.description, tags: SecretTags(facts.tags),
            limits: SecretLimits(
                maximumVersions: facts.maximumVersions.map { Int(clamping: $0) },
                requiresComparison: facts.requiresComparison, deletesAfter: facts.deletesAfter))
        created = facts.created
        changed = facts.changed
        removal = facts.isRemoved ? SecretRemoval(at: facts.removed, purge: facts.purge) : nil
        if let id = facts.current { current = try SecretVersionID(id) }
        prunedThrough = facts.prunedThrough
        extras = SecretTags(facts.extras)
    }
}

extension SecretVersionFacts {
    init(_ version: SecretVersion) {
        let (state, since): (State, Timestamp?) =
            switch version.state {
            case .live: (.live, nil)
            case .disabled: (.disabled, nil)
            case .softDeleted(let at): (.softDeleted, at)
            case .destroyed(let at): (.destroyed, at)
            }
        self.init(id: version.id.text, order: version.order, state: state)
        stateSince = since
        created = version.created
        changed = version.changed
        deletionDue = version.deletionDue
        // Pins are of the vault as it stands: given back they would keep versions that nobody needs.
        labels = version.labels.filter { !$0.isPin }.map(\.text)
        notBefore = version.attributes.notBefore
        expires = version.attributes.expires
        contentType = version.attributes.contentType
        tags = version.attributes.tags.pairs
        extras = version.extras.pairs
    }
}

extension SecretVersion {
    init(_ facts: SecretVersionFacts) throws(HoldfastError) {
        let state: SecretVersionState =
            switch facts.state {
            case .live: .live
            case .disabled: .disabled
            case .softDeleted: .softDeleted(at: facts.stateSince)
            case .destroyed: .destroyed(at: facts.stateSince)
            }
        self.init(id: try SecretVersionID(facts.id), order: facts.order, created: facts.created, state: state)
        changed = facts.changed
        deletionDue = facts.deletionDue
        for label in facts.labels { labels.append(try StagingLabel(label)) }
        attributes = SecretVersionAttributes(
            notBefore: facts.notBefore, expires: facts.expires, contentType: facts.contentType,
            tags: SecretTags(facts.tags))
        extras = SecretTags(facts.extras)
    }
}

extension SecretTags {
    fileprivate var pairs: [SecretFacts.Pair] { tags.map { SecretFacts.Pair(key: $0.key, value: $0.value) } }

    fileprivate init(_ pairs: [SecretFacts.Pair]) { self.init(pairs.map { (key: $0.key, value: $0.value) }) }
}
