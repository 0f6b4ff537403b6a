// A secret as the embedded vault keeps it: all but the values.

import Primitives
import SecretVaults

/// One version of a ``StoredSecret``.
struct StoredVersion: Sendable, Equatable {
    var id: SecretVersionID
    var order: UInt64
    var created: Timestamp
    var changed: Timestamp?
    var isDisabled = false
    var deleted: Timestamp?
    var deletionDue: Timestamp?
    var destroyed: Timestamp?
    var labels: Set<StagingLabel> = []
    var attributes = SecretVersionAttributes()
    /// What the key of the value is derived with. It is kept here alone: without it nobody opens the value, so that
    /// destroying a version is also to drop this.
    var salt: Bytes32

    /// How it stands at `now`. An outer state hides an inner one, which comes back when the outer one is undone.
    func state(at now: Timestamp) -> SecretVersionState {
        if let destroyed { return .destroyed(at: destroyed) }
        if let deleted { return .softDeleted(at: deleted) }
        if let deletionDue, deletionDue <= now { return .softDeleted(at: deletionDue) }
        return isDisabled ? .disabled : .live
    }

    func version(at now: Timestamp) -> SecretVersion {
        var version = SecretVersion(id: id, order: order, created: created, state: state(at: now))
        version.changed = changed
        if let deletionDue, deletionDue > now, destroyed == nil { version.deletionDue = deletionDue }
        version.labels = labels.sorted()
        version.attributes = attributes
        return version
    }
}

/// The record of a secret, sealed as one.
struct StoredSecret: Sendable, Equatable {
    var name: SecretName
    var attributes = SecretAttributes()
    var created: Timestamp
    var changed: Timestamp
    var removed: Timestamp?
    /// The order of the newest version that there ever was.
    var lastOrder: UInt64 = 0
    var prunedThrough: UInt64 = 0
    /// By order.
    var versions: [StoredVersion] = []

    init(name: SecretName, created: Timestamp) {
        self.name = name
        self.created = created
        changed = created
    }

    func record(at now: Timestamp) -> SecretRecord {
        var record = SecretRecord(name: name)
        record.attributes = attributes
        record.created = created
        record.changed = changed
        record.removal = removed.map { SecretRemoval(at: $0, purge: nil) }
        record.current = holder(of: EmbeddedVault.stages.current).map { versions[$0].id }
        record.versions = versions.map { $0.version(at: now) }
        record.prunedThrough = prunedThrough
        return record
    }

    func holder(of label: StagingLabel) -> Int? { versions.firstIndex { $0.labels.contains(label) } }

    func index(of id: SecretVersionID) -> Int? { versions.firstIndex { $0.id == id } }

    /// Puts `label` on one version, or on none.
    mutating func move(_ label: StagingLabel, to index: Int?) {
        for place in versions.indices { versions[place].labels.remove(label) }
        if let index { versions[index].labels.insert(label) }
    }

    /// Makes a version the current one, and the one that was it the previous.
    mutating func makeCurrent(_ index: Int) {
        let stages = EmbeddedVault.stages
        let before = holder(of: stages.current)
        guard before != index else { return }
        move(stages.current, to: index)
        if let before { move(stages.previous, to: before) }
    }

    /// Takes out the oldest versions over the limit; those with a label stay.
    ///
    /// - Returns: The orders of those that are gone.
    mutating func prune(to limit: Int) -> [UInt64] {
        var gone: [UInt64] = []
        var excess = versions.count - max(1, limit)
        versions.removeAll { version in
            guard excess > 0, version.labels.isEmpty else { return false }
            excess -= 1
            gone.append(version.order)
            return true
        }
        prunedThrough = max(prunedThrough, gone.last ?? 0)
        return gone
    }
}
