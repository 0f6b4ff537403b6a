// Whether the newest snapshot of a database can be opened with what snapshots of vaults hold.

import Primitives
import Repository

/// What speaks against it.
package struct OpeningStanding: Sendable, Hashable {
    /// No snapshot holds any version that opens it: what is restored stays shut.
    package var lost: [String] = []
    /// It is not known what opens it, or whether that is held.
    package var unknown: [String] = []

    package init() {}

    /// Looks at the newest snapshot of `source`.
    ///
    /// - Parameter isDeclared: Some secret is said to open the source, so that its newest snapshot should say which.
    /// - Throws: what the store throws.
    package init(of source: String, isDeclared: Bool, in repository: Repository) throws(HoldfastError) {
        let tag = try repository.tag(ofSource: source)
        guard let record = try repository.snapshots(of: tag).latest(of: tag)?.record else { return }
        guard let openings = record.openings else {
            if isDeclared { unknown.append("its newest snapshot does not say which secrets open it") }
            return
        }
        var vaults: [String: (held: HeldVersions, isHidden: Bool)] = [:]
        for opening in openings.openings {
            if let failure = opening.failure {
                unknown.append("\(opening.label) was not seen to open its newest snapshot: \(failure)")
            }
            guard !opening.versions.isEmpty else { continue }
            let vault: (held: HeldVersions, isHidden: Bool)
            if let known = vaults[opening.source] {
                vault = known
            } else {
                let tag = try repository.tag(ofSource: opening.source)
                let snapshots = try repository.snapshots(of: tag).snapshots
                let held = try HeldVersions(repository, among: snapshots)
                vault = (held, snapshots.contains { $0.record == nil })
                vaults[opening.source] = vault
            }
            try add(opening, vault)
        }
    }

    private mutating func add(
        _ opening: SnapshotOpening, _ vault: (held: HeldVersions, isHidden: Bool)
    ) throws(HoldfastError) {
        var missing: [String] = []
        for version in opening.versions {
            let needed = opening.needed(version)
            if try vault.held.holder(of: needed) == nil { missing.append(needed.label) }
        }
        guard !missing.isEmpty else { return }
        let what = missing.joined(separator: " and ")
        if vault.isHidden {
            unknown.append("this key cannot see whether a snapshot of \(opening.source) holds \(what)")
        } else if missing.count == opening.versions.count {
            lost.append("no snapshot of \(opening.source) holds \(what), which opens its newest snapshot")
        } else {
            // One of the two opens it, and nobody can tell which before it is tried.
            unknown.append(
                "no snapshot of \(opening.source) holds \(what), which may be what opens its newest snapshot")
        }
    }
}
