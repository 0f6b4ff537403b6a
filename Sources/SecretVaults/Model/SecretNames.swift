// Names that come from a vault, compared by their bytes.

import Primitives

/// A text that a vault gave or takes, told from others by its bytes alone.
///
/// Swift takes texts for equal that differ in bytes, such as a composed and a decomposed letter; to a vault these are
/// two names. Order is that of the bytes.
package protocol VaultText: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// UTF-8.
    var bytes: [UInt8] { get }
    init(validated bytes: [UInt8])
    /// What messages call such a text.
    static var noun: String { get }
    /// The most bytes of one.
    static var maximumCount: Int { get }
}

extension VaultText {
    package var text: String { String(decoding: bytes, as: UTF8.self) }
    package var description: String { text }

    /// - Throws: `.limitExceeded` when the text is empty or too long; `.usage` for control characters, which would
    ///   forge lines of a listing.
    package init(_ text: String) throws(HoldfastError) {
        let bytes = Array(text.utf8)
        guard !bytes.isEmpty, bytes.count <= Self.maximumCount else {
            throw HoldfastError(
                .limitExceeded, "a \(Self.noun) of \(bytes.count) bytes",
                hint: "Give it 1 to \(Self.maximumCount) bytes.")
        }
        guard !bytes.contains(where: { $0 < 0x20 || $0 == 0x7F }) else {
            throw HoldfastError(
                .usage, "a \(Self.noun) with a control character",
                hint: "Use printable characters; letters of any script, spaces and slashes are fine.")
        }
        self.init(validated: bytes)
    }

    package static func < (a: Self, b: Self) -> Bool { a.bytes.lexicographicallyPrecedes(b.bytes) }
}

/// The name of a secret within its vault, or within its mount.
///
/// | kind | what it is | bounds |
/// |---|---|---|
/// | embedded | any text | 1,024 bytes |
/// | HashiCorp | the path below the mount; slashes part folders, which may be named as a secret is | |
/// | AWS | the friendly name, not the ARN, whose random ending differs after a restore | 512 of `A-Za-z0-9/_+=.@-` |
/// | Azure | the name in the URL; letters are compared without regard to case by the service | 127 of `A-Za-z0-9-` |
package struct SecretName: VaultText {
    package let bytes: [UInt8]
    package init(validated bytes: [UInt8]) { self.bytes = bytes }
    package static let noun = "name of a secret"
    package static let maximumCount = 1024
}

/// The id of a version within its secret.
///
/// | kind | what it is |
/// |---|---|
/// | embedded | what the writer asked for, else its place in the order, in decimal |
/// | HashiCorp KV 2 | the number of the version, in decimal; KV 1 has ``unversioned`` |
/// | AWS | VersionId, 32 to 64 characters; the writer may choose it, which is its token of idempotence |
/// | Azure | 32 hexadecimal digits, chosen by the service |
package struct SecretVersionID: VaultText {
    package let bytes: [UInt8]
    package init(validated bytes: [UInt8]) { self.bytes = bytes }
    package static let noun = "id of a secret's version"
    package static let maximumCount = 128

    /// The one value of a secret in a vault that keeps no versions.
    package static let unversioned = SecretVersionID(validated: Array("unversioned".utf8))
}

/// A label that points at one version of a secret at a time.
///
/// AWS and the embedded vault have them; the others don't. Which of them stand for the current version, the one before
/// and the one to come is told by ``SecretStages``.
package struct StagingLabel: VaultText {
    package let bytes: [UInt8]
    package init(validated bytes: [UInt8]) { self.bytes = bytes }
    package static let noun = "staging label"
    package static let maximumCount = 256
}

extension StagingLabel {
    private static let pinPrefix = "holdfast-pin-"

    /// A label that keeps a version in AWS: it is of the vault as it stands, so that no snapshot has it.
    ///
    /// - Parameter owner: Who sets it, such as a repository: short, without `-`.
    package static func pin(_ id: SecretVersionID, by owner: String) -> StagingLabel {
        StagingLabel(validated: Array("\(pinPrefix)\(owner)-".utf8) + id.bytes)
    }

    /// Whoever set it.
    package var isPin: Bool { bytes.starts(with: Self.pinPrefix.utf8) }

    package func isPin(of owner: String) -> Bool { bytes.starts(with: "\(Self.pinPrefix)\(owner)-".utf8) }
}

/// Texts under keys, both compared by their bytes, in the order of the keys.
///
/// | kind | where they are |
/// |---|---|
/// | embedded | of a secret and of a version |
/// | HashiCorp KV 2 | `custom_metadata` of a secret: 64 keys of 128 bytes, values of 512 |
/// | AWS | `Tags` of a secret: 50 keys of 128 characters, values of 256 |
/// | Azure | `tags` of a version: 15 keys of 512 characters, values of 256 |
package struct SecretTags: Hashable, Sendable {
    /// One of them.
    package struct Tag: Hashable, Sendable {
        package let key: String
        package let value: String

        package static func == (a: Tag, b: Tag) -> Bool {
            a.key.utf8.elementsEqual(b.key.utf8) && a.value.utf8.elementsEqual(b.value.utf8)
        }

        package func hash(into hasher: inout Hasher) {
            for byte in key.utf8 { hasher.combine(byte) }
        }
    }

    package private(set) var tags: [Tag] = []

    package init() {}

    package init(_ pairs: [(key: String, value: String)]) {
        for (key, value) in pairs { self[key] = value }
    }

    package var isEmpty: Bool { tags.isEmpty }
    package var count: Int { tags.count }

    /// Setting nil removes the key.
    package subscript(key: String) -> String? {
        get { tags.first { $0.key.utf8.elementsEqual(key.utf8) }?.value }
        set {
            let place = tags.firstIndex { !$0.key.utf8.lexicographicallyPrecedes(key.utf8) } ?? tags.count
            let isThere = place < tags.count && tags[place].key.utf8.elementsEqual(key.utf8)
            if isThere { tags.remove(at: place) }
            if let newValue { tags.insert(Tag(key: key, value: newValue), at: place) }
        }
    }
}
