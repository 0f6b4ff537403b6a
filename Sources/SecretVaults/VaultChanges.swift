// Everything that can be done to a secret, as values: planned, printed, then carried out.

import Primitives

/// What a put expects to find.
package enum SecretExpectation: Sendable, Hashable {
    /// Whatever is there.
    case anything
    /// No version: the secret is not there, or is there without one. KV 2 `cas: 0`, AWS CreateSecret.
    case absent
    /// This version is the current one. KV 2 `cas: N`.
    case current(SecretVersionID)
}

/// What becomes of the labels with a put.
package enum SecretStaging: Sendable, Hashable {
    /// The new version becomes the current one; the only choice without staging labels.
    case current
    /// It gets these labels alone, which leave the versions that they are on. Current and previous stay where they are
    /// unless they are among them. Empty is a version without a label, which AWS may drop after a day.
    case labels([StagingLabel])
}

/// A new version to be put.
package struct SecretPut: Sendable {
    package var name: SecretName
    package var value: SecretValue
    package var expected: SecretExpectation
    package var staging: SecretStaging
    /// The id that it is to have, where ``VaultCapabilities/Field/versionID`` is kept; it makes the put safe to repeat.
    package var id: SecretVersionID?
    package var attributes: SecretVersionAttributes
    /// When it was made at first, where ``VaultCapabilities/Field/created`` is kept.
    package var created: Timestamp?

    package init(
        _ name: SecretName, _ value: SecretValue, expected: SecretExpectation, staging: SecretStaging = .current,
        id: SecretVersionID? = nil, attributes: SecretVersionAttributes = SecretVersionAttributes(),
        created: Timestamp? = nil
    ) {
        self.name = name
        self.value = value
        self.expected = expected
        self.staging = staging
        self.id = id
        self.attributes = attributes
        self.created = created
    }
}

/// A change of how a version stands.
package enum SecretStateChange: String, Sendable, Hashable, CaseIterable {
    /// Azure, embedded. Azure's unversioned reading fails while its newest version is disabled.
    case disable, enable
    /// KV 2 `delete` and `undelete`, embedded.
    case softDelete, undelete
    /// KV 2 `destroy`, embedded: the value is gone for good. AWS and Azure can't do that to one version.
    case destroy
}

/// How a secret is removed as a whole.
package enum SecretRemovalKind: String, Sendable, Hashable, CaseIterable {
    /// It can be had back by ``SecretChange/recover``: AWS with its window of days, Azure, embedded.
    case recoverable
    /// With all versions, at once, for good: KV 2 `DELETE metadata`, AWS `ForceDeleteWithoutRecovery`, embedded. Azure
    /// needs ``recoverable`` first and no purge protection.
    case permanent
}

/// A change of a secret that puts no value.
package enum SecretChange: Sendable, Hashable {
    case state(SecretStateChange, of: SecretVersionID)
    /// Moves a label by comparing and swapping: it must be on `from`, or on no version when that is nil, and is then on
    /// `to`, or on none when that is nil. Where it is on `to` already the change is made.
    ///
    /// The label of the current version can't be taken away, and moving it moves the previous one along to `from`.
    case label(StagingLabel, from: SecretVersionID?, to: SecretVersionID?)
    /// Replaces the attributes as a whole. A secret without any version is made by that where the vault can (KV 2,
    /// embedded).
    case attributes(SecretAttributes)
    /// Lets the secret keep so many versions at least, and changes nothing else. Where it keeps as many already, or has
    /// no limit, nothing changes: this never lowers anything. KV 2 `max_versions`, embedded; the others have no limits.
    case keepVersions(atLeast: Int)
    /// Replaces the attributes of a version as a whole.
    case versionAttributes(SecretVersionAttributes, of: SecretVersionID)
    case remove(SecretRemovalKind)
    /// Undoes a ``SecretRemovalKind/recoverable`` removal: AWS RestoreSecret, Azure `recover`.
    case recover
}
