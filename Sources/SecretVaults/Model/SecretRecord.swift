// What is known of a secret and of its versions without any value.

import Primitives

/// Everything that a vault says of a secret but its values.
///
/// A field that a kind of vault has no word for is nil or empty, and its capabilities say so: nothing is made up.
package struct SecretRecord: Sendable, Hashable {
    package var name: SecretName
    /// What a writer can set.
    package var attributes = SecretAttributes()
    /// KV 2 `created_time`, AWS `CreatedDate`; Azure has none of a secret, and KV 1 none at all.
    package var created: Timestamp?
    /// KV 2 `updated_time`, AWS `LastChangedDate`.
    package var changed: Timestamp?
    /// Set while the secret as a whole is removed and can be had back.
    package var removal: SecretRemoval?
    /// The version that a reading without a version gives; nil when there is none, as after every version was destroyed
    /// or before AWSCURRENT was set. KV 2 `current_version`, also when that one is soft-deleted; Azure's newest.
    package var current: SecretVersionID?
    /// Oldest first. Those that the vault has forgotten are not here.
    package var versions: [SecretVersion] = []
    /// Versions up to this place in the order are gone for good where they are not listed: KV 2 `oldest_version` less
    /// one. Zero when nothing is known to be gone.
    package var prunedThrough: UInt64 = 0
    /// What the vault says beyond this model, by the vault's own words, such as AWS `KmsKeyId` and `RotationRules`, KV
    /// `metadata_cas_required`, Azure `recoveryLevel`. A restore into the same kind may use them; none is a secret.
    package var extras = SecretTags()

    package init(name: SecretName) { self.name = name }

    package subscript(id: SecretVersionID) -> SecretVersion? { versions.first { $0.id == id } }
}

/// What a writer can set of a secret as a whole.
package struct SecretAttributes: Sendable, Hashable {
    /// AWS `Description`; the embedded vault has it too.
    package var description: String?
    /// See ``SecretTags`` for where they are; Azure has none of a secret.
    package var tags = SecretTags()
    package var limits = SecretLimits()

    package init(description: String? = nil, tags: SecretTags = SecretTags(), limits: SecretLimits = SecretLimits()) {
        self.description = description
        self.tags = tags
        self.limits = limits
    }
}

/// Rules that a vault holds the versions of a secret to. KV 2 and the embedded vault have them.
///
/// Nil stands for the vault's own default, which ``VaultPreflight/defaults`` tells: `max_versions: 0` of KV 2 is nil.
package struct SecretLimits: Sendable, Hashable {
    /// More versions than these push the oldest out, without a word.
    package var maximumVersions: Int?
    /// A put must say what it expects to replace.
    package var requiresComparison: Bool?
    /// New versions are soft-deleted after so long; whole seconds.
    package var deletesAfter: Duration?

    package init(maximumVersions: Int? = nil, requiresComparison: Bool? = nil, deletesAfter: Duration? = nil) {
        self.maximumVersions = maximumVersions
        self.requiresComparison = requiresComparison
        self.deletesAfter = deletesAfter
    }
}

/// A secret that is removed as a whole and can be had back: AWS `DeletedDate`, Azure `deletedDate` and
/// `scheduledPurgeDate`, the embedded vault's. KV has no such state.
package struct SecretRemoval: Sendable, Hashable {
    package var at: Timestamp?
    /// When it will be gone for good; nil when nobody will do that.
    package var purge: Timestamp?

    package init(at: Timestamp?, purge: Timestamp?) {
        self.at = at
        self.purge = purge
    }
}

/// What is known of one version.
package struct SecretVersion: Sendable, Hashable {
    package var id: SecretVersionID
    /// Its place among the versions: later ones have larger numbers, also after others are gone. The number of KV 2 and
    /// of the embedded vault. AWS and Azure give instants alone: there it is the place by those and then by id, from 1,
    /// which holds for one record only.
    package var order: UInt64
    /// When the vault took it. No vault but the embedded one takes it back.
    package var created: Timestamp?
    /// Azure `updated`.
    package var changed: Timestamp?
    package var state: SecretVersionState
    /// A soft deletion to come, by ``SecretLimits/deletesAfter``: KV 2 `deletion_time` in the future.
    package var deletionDue: Timestamp?
    /// Sorted, each once.
    package var labels: [StagingLabel] = []
    package var attributes = SecretVersionAttributes()
    /// As ``SecretRecord/extras``.
    package var extras = SecretTags()

    package init(id: SecretVersionID, order: UInt64, created: Timestamp?, state: SecretVersionState = .live) {
        self.id = id
        self.order = order
        self.created = created
        self.state = state
    }
}

/// How a version stands.
package enum SecretVersionState: Sendable, Hashable {
    /// It can be read. `notBefore` and `expires` don't change that: no vault enforces them.
    case live
    /// Azure `enabled: false`: the service refuses its value until it is enabled again.
    case disabled
    /// Its value is kept and can be had back; KV 2 and the embedded vault.
    case softDeleted(at: Timestamp?)
    /// Its value is gone for good, and its place is kept; KV 2 and the embedded vault.
    case destroyed(at: Timestamp?)
}

/// What a writer can set of one version: Azure and the embedded vault have all four, the others none.
package struct SecretVersionAttributes: Sendable, Hashable {
    /// Azure `nbf`; whole seconds there.
    package var notBefore: Timestamp?
    /// Azure `exp`; whole seconds there. Told to readers, enforced by nobody.
    package var expires: Timestamp?
    package var contentType: String?
    package var tags = SecretTags()

    package init(
        notBefore: Timestamp? = nil, expires: Timestamp? = nil, contentType: String? = nil,
        tags: SecretTags = SecretTags()
    ) {
        self.notBefore = notBefore
        self.expires = expires
        self.contentType = contentType
        self.tags = tags
    }
}
