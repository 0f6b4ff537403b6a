// What a kind of vault can do; callers ask instead of guessing from the type.

import Primitives

/// The kinds of vault, as reports and snapshots name them.
package enum VaultKind: String, Sendable, Hashable, CaseIterable {
    case embedded = "embedded"
    case keyValue1 = "hashicorp-kv1"
    case keyValue2 = "hashicorp-kv2"
    case aws = "aws-secrets-manager"
    case azure = "azure-key-vault"
}

/// How far a put's expectation is held to.
package enum VaultComparison: Sendable, Hashable {
    /// The vault itself compares: of two writers with the same expectation one fails. KV 2 `cas`, embedded.
    case atomic
    /// The vault itself refuses to create what is there. An expected version is looked up before the put, and a writer
    /// in between is not noticed: AWS, where a move of the current label does compare.
    case creationAtomic
    /// Looked up before the put; a writer in between is not noticed. Azure, KV 1.
    case lookedUp
}

/// The labels that a vault gives a meaning to.
package struct SecretStages: Sendable, Hashable {
    /// AWS `AWSCURRENT`, embedded `current`. A put moves it to the new version unless it names other labels.
    package var current: StagingLabel
    /// The version before: moves along by itself. AWS `AWSPREVIOUS`, embedded `previous`.
    package var previous: StagingLabel
    /// By custom, the version to come. AWS `AWSPENDING`, embedded `pending`.
    package var pending: StagingLabel

    package init(current: StagingLabel, previous: StagingLabel, pending: StagingLabel) {
        self.current = current
        self.previous = previous
        self.pending = pending
    }

    private init(_ current: String, _ previous: String, _ pending: String) {
        self.init(
            current: StagingLabel(validated: Array(current.utf8)),
            previous: StagingLabel(validated: Array(previous.utf8)),
            pending: StagingLabel(validated: Array(pending.utf8)))
    }

    package static let aws = SecretStages("AWSCURRENT", "AWSPREVIOUS", "AWSPENDING")
    package static let embedded = SecretStages("current", "previous", "pending")

    /// Nil for a kind without staging labels.
    package static func of(_ kind: VaultKind) -> SecretStages? {
        switch kind {
        case .aws: aws
        case .embedded: embedded
        case .keyValue1, .keyValue2, .azure: nil
        }
    }
}

/// What a vault can do and keep.
package struct VaultCapabilities: Sendable, Hashable {
    /// A part of the model that a vault may keep or not: what it does not keep a restore reports and drops.
    package enum Field: String, Sendable, Hashable, CaseIterable {
        case description, secretTags, limits
        case notBefore, expires, contentType, versionTags
        /// A put can set ``SecretVersion/created``.
        case created
        /// A put can choose the version's id.
        case versionID
    }

    /// Which characters a name may have.
    package enum NameRule: Sendable, Hashable {
        /// Any that ``SecretName`` takes.
        case any
        /// Parts between slashes, none of them empty, `.` or `..`.
        case path
        /// AWS: letters and digits of ASCII, and `/_+=.@-`.
        case awsName
        /// Azure: letters and digits of ASCII, and `-`; case does not tell names apart.
        case azureName
    }

    package var kind: VaultKind
    package var nameRule: NameRule
    package var maximumNameBytes: Int
    package var maximumValue: ByteCount
    package var forms: Set<SecretForm>
    package var fields: Set<Field>
    /// How many bytes an id has that a put chooses.
    package var idBytes: ClosedRange<Int>
    /// False for KV 1, which has one value under ``SecretVersionID/unversioned``: the same id may then mean another
    /// value. Everywhere else an id means one value for ever, so that what was read once is not read again.
    package var keepsVersions: Bool
    /// False for Azure, which tells of a removed secret its newest version alone until it is recovered.
    package var tellsRemovedVersions: Bool
    package var comparison: VaultComparison
    package var stateChanges: Set<SecretStateChange>
    package var removals: Set<SecretRemovalKind>
    /// Nil where there are no staging labels; then a put makes the new version current at once.
    package var stages: SecretStages?
    /// The most labels that a writer may add to one version; 0 without labels.
    package var maximumLabels: Int
    /// Whether a put can make a version that is disabled from its first moment on.
    package var putsDisabled: Bool
    /// The most useful number of calls under way at once.
    package var concurrency: Int

    package init(
        kind: VaultKind, nameRule: NameRule, maximumNameBytes: Int, maximumValue: ByteCount, forms: Set<SecretForm>,
        fields: Set<Field>, idBytes: ClosedRange<Int> = 1...SecretVersionID.maximumCount, keepsVersions: Bool = true,
        tellsRemovedVersions: Bool = true, comparison: VaultComparison,
        stateChanges: Set<SecretStateChange>, removals: Set<SecretRemovalKind>, stages: SecretStages? = nil,
        maximumLabels: Int = 0, putsDisabled: Bool = false, concurrency: Int
    ) {
        self.kind = kind
        self.nameRule = nameRule
        self.maximumNameBytes = maximumNameBytes
        self.maximumValue = maximumValue
        self.forms = forms
        self.fields = fields
        self.idBytes = idBytes
        self.keepsVersions = keepsVersions
        self.tellsRemovedVersions = tellsRemovedVersions
        self.comparison = comparison
        self.stateChanges = stateChanges
        self.removals = removals
        self.stages = stages
        self.maximumLabels = maximumLabels
        self.putsDisabled = putsDisabled
        self.concurrency = concurrency
    }

    /// Whether a put can give a version this id.
    package func takes(_ id: SecretVersionID) -> Bool {
        fields.contains(.versionID) && idBytes.contains(id.bytes.count)
    }

    /// Says why `name` can't be a secret of such a vault, or nil when it can.
    package func refusal(of name: SecretName) -> String? {
        if name.bytes.count > maximumNameBytes { return "it has more than \(maximumNameBytes) bytes" }
        switch nameRule {
        case .any: return nil
        case .path:
            let parts = name.text.split(separator: "/", omittingEmptySubsequences: false)
            return parts.contains { $0.isEmpty || $0 == "." || $0 == ".." }
                ? "a part between slashes is empty, `.` or `..`" : nil
        case .awsName: return Self.refusal(of: name, beside: "/_+=.@-")
        case .azureName: return Self.refusal(of: name, beside: "-")
        }
    }

    private static func refusal(of name: SecretName, beside others: String) -> String? {
        let isFit = name.bytes.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                UInt8(ascii: "A")...UInt8(ascii: "Z"):
                true
            default: others.utf8.contains(byte)
            }
        }
        return isFit ? nil : "it has characters beside letters and digits of ASCII and `\(others)`"
    }
}
