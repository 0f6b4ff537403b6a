// Labels that keep old versions in AWS.

import Primitives
import SecretVaults

/// What to do to the labels of a secret so that AWS drops no version that somebody needs.
///
/// AWS drops versions that have no label when there are more than 100, a day after they were made at the earliest. A
/// version with a label of ours stays. All labels of a secret are at most ``SecretsManager/labelQuota``, three of them
/// the service's own, so that not every version can be pinned: those without any label come first, since they may go
/// now, the newest of them before older ones; then the previous and the pending one, which lose their labels with the
/// next puts. The current one needs none, and neither does one that has a label of somebody else's.
///
/// A pin bears who set it. Those of others are left, and take room; that one is there is no reason to do without an own
/// one, since it may be taken off without a word.
package struct VersionPins: Sendable, Hashable {
    /// Releases before pins, so that there is room.
    package private(set) var changes: [SecretChange] = []
    /// Versions that are needed and get no pin, newest first.
    package private(set) var unpinned: [SecretVersionID] = []

    /// - Parameters:
    ///   - needed: Versions that are to stay; those that are not there do not count.
    ///   - owner: Who sets pins here, such as a repository: short, without `-`.
    package init(_ record: SecretRecord, needed: Set<SecretVersionID>, owner: String) {
        let own = Set([SecretsManager.stages.current, SecretsManager.stages.previous, SecretsManager.stages.pending])
        // Places for the service's three are kept, whether they are taken or not.
        var room = SecretsManager.labelQuota - own.count
        var waiting: [(version: SecretVersion, isBare: Bool)] = []
        for version in record.versions {
            let pins = version.labels.filter { $0.isPin(of: owner) }
            let others = version.labels.filter { !$0.isPin && !own.contains($0) }
            room -= version.labels.count { !own.contains($0) } - pins.count
            let isWanted = needed.contains(version.id) && others.isEmpty && version.id != record.current
            if isWanted, let kept = pins.first {
                room -= 1
                changes += pins.filter { $0 != kept }.map { .label($0, from: version.id, to: nil) }
                continue
            }
            changes += pins.map { .label($0, from: version.id, to: nil) }
            if isWanted { waiting.append((version, !version.labels.contains(where: own.contains))) }
        }
        waiting.sort { ($0.isBare ? 1 : 0, $0.version.order) > ($1.isBare ? 1 : 0, $1.version.order) }
        for (version, _) in waiting {
            guard room > 0 else {
                unpinned.append(version.id)
                continue
            }
            room -= 1
            changes.append(.label(.pin(version.id, by: owner), from: nil, to: version.id))
        }
    }
}
