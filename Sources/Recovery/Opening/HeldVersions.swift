// Which snapshots of vaults hold the versions of secrets that databases need.

import Primitives
import Repository
import SecretVaults
import Workloads

/// A version of a secret that some snapshot of a database needs.
package struct NeededVersion: Sendable, Hashable {
    /// Where the vault is, without credentials.
    package var vault: String
    /// The name that snapshots of the vault go by.
    package var source: String
    package var secret: String
    package var version: String
    /// When the vault took it, where it said so.
    package var created: Timestamp?
    /// When it was last seen to log in, where its id and instant do not tell it from others: then the first snapshot of
    /// the vault that was begun after that is taken to hold it, and no later one.
    package var seen: Timestamp?
    /// What needs it, for messages: `opens snapshot 01k9x2… of shop as app`.
    package var reason: String

    /// All versions that `snapshots` need, each with the newest of the snapshots that do; for whoever prunes vaults.
    ///
    /// Snapshots whose records this key may not read are passed over.
    package static func list(of snapshots: [Snapshot]) -> [NeededVersion] {
        var found: [NeededVersion] = []
        var places: [NeededVersion: Int] = [:]
        for snapshot in snapshots.sorted(by: { ($0.stored, $0.id) > ($1.stored, $1.id) }) {
            guard let record = snapshot.record, let openings = record.openings else { continue }
            for needed in openings.needed {
                guard places[needed] == nil else { continue }
                places[needed] = found.count
                var whole = needed
                whole.reason = "opens snapshot \(snapshot.id) of \(record.source)" + needed.reason
                found.append(whole)
            }
        }
        return found
    }

    /// How messages call it: `version 3 of app/database`.
    package var label: String { "version \(version) of \(secret)" }
}

extension SnapshotOpenings {
    /// The versions that logged in; their reasons say as whom.
    package var needed: [NeededVersion] {
        openings.flatMap { opening in opening.versions.map { opening.needed($0) } }
    }
}

extension SnapshotOpening {
    /// What has to be held for `version` to be had.
    func needed(_ version: OpenedVersion) -> NeededVersion {
        NeededVersion(
            vault: vault, source: source, secret: secret, version: version.id, created: version.created,
            seen: version.created == nil ? version.last : nil, reason: " as \(role)")
    }
}

/// Looks for versions of secrets in snapshots of vaults, without their values.
///
/// Thread: one at a time.
package final class HeldVersions {
    private let tree: SnapshotTree
    private let snapshots: [String: [Snapshot]]

    /// - Parameter snapshots: Those that are looked at; others than of vaults are passed over.
    package init(_ repository: Repository, among snapshots: [Snapshot]) throws(HoldfastError) {
        tree = try repository.makeTree(try repository.loadIndex(for: .reading).index)
        let vaults = snapshots.filter { $0.record?.workload == VaultWorkload.kind }
        self.snapshots = Dictionary(grouping: vaults) { $0.record?.source ?? "" }.mapValues { own in
            own.sorted { ($0.sequence, $0.id) > ($1.sequence, $1.id) }
        }
    }

    /// The newest snapshot that holds `needed` with a value; nil when none does.
    ///
    /// - Parameter isGood: Whether a snapshot counts.
    /// - Throws: what the store throws. A snapshot that is damaged on the way, or may not be read, does not count.
    package func holder(
        of needed: NeededVersion, where isGood: (Snapshot) -> Bool = { _ in true }
    ) throws(HoldfastError) -> Snapshot? {
        for snapshot in candidates(for: needed) where isGood(snapshot) {
            if try content(of: needed, in: snapshot) != nil { return snapshot }
        }
        return nil
    }

    /// Snapshots of the vault that may hold it, newest first.
    private func candidates(for needed: NeededVersion) -> [Snapshot] {
        let all = snapshots[needed.source] ?? []
        guard let seen = needed.seen else { return all }
        func started(_ snapshot: Snapshot) -> Timestamp { snapshot.record?.started ?? snapshot.stored }
        return all.filter { started($0) >= seen }.min { started($0) < started($1) }.map { [$0] } ?? []
    }

    /// All snapshots that hold it, newest first, each with the content of its value.
    func holders(of needed: NeededVersion) throws(HoldfastError) -> [(snapshot: Snapshot, content: Content)] {
        var found: [(snapshot: Snapshot, content: Content)] = []
        for snapshot in snapshots[needed.source] ?? [] {
            if let content = try content(of: needed, in: snapshot) { found.append((snapshot, content)) }
        }
        return found
    }

    private func content(
        of needed: NeededVersion, in snapshot: Snapshot
    ) throws(HoldfastError) -> Content? {
        guard let root = snapshot.record?.roots.first?.entry else { return nil }
        do throws(HoldfastError) {
            let (name, id) = (try SecretName(needed.secret), try SecretVersionID(needed.version))
            let parts = VaultLayout.parts(of: name, id)
            // Paths are for looking; whose a version is the attributes tell.
            guard let directory = try tree.entry(at: Array(parts.dropLast()), below: root),
                try VaultLayout.record(of: directory.metadata)?.name == name,
                let entry = try tree.entry(at: Array(parts.suffix(1)), below: directory),
                let version = try VaultLayout.version(of: entry.metadata), version.id == id,
                let content = entry.content, content.rule == .secret
            else { return nil }
            // A vault that was made anew counts from the beginning.
            if let due = needed.created, let found = version.created, due != found { return nil }
            return content
        } catch {
            switch error.code {
            case .corruptObject, .objectMissing, .limitExceeded, .unsupportedFormat, .notPermitted, .usage: return nil
            default: throw error
            }
        }
    }
}
