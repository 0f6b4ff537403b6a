// Which versions of secrets the snapshots of a vault have.

import Primitives
import Repository
import SecretVaults
import Workloads

/// What the snapshots know of one version of a secret.
package struct VersionKeeping: Sendable, Hashable {
    /// The newest one that has its value.
    package var held: SnapshotID?
    /// The newest one that names it.
    package var named: SnapshotID?

    package init(held: SnapshotID? = nil, named: SnapshotID? = nil) {
        self.held = held
        self.named = named
    }
}

/// Looks versions up in the snapshots of a vault, newest first, until each is found with its value.
///
/// Memory: one secret of one snapshot. Reads no value. Thread: one at a time.
package struct VersionKeepings {
    /// Whose snapshots count.
    package struct Source: Sendable, Hashable {
        /// What the vault is called in snapshots: ``VaultAddress/text``.
        package var address: String
        /// The name that snapshots of it are filed under; nil when none is known.
        package var name: String?

        package init(address: String, name: String?) {
            self.address = address
            self.name = name
        }
    }

    private let reader: SecretReader
    private let index: Index
    /// Newest first.
    private let snapshots: [Snapshot]
    /// Snapshots that this key cannot read, and those that are damaged. What could not be read of one is added.
    package private(set) var unseen: [UnseenPart] = []

    package var snapshotCount: Int { snapshots.count }

    /// - Throws: what the store throws.
    package init(_ source: Source, in repository: Repository) throws(HoldfastError) {
        index = try repository.loadIndex(for: .reading).index
        reader = try SecretReader(repository, index: index, readsValues: false)
        let listing = try repository.snapshots()
        snapshots = listing.snapshots.filter { Self.isOf(source, $0) }.sorted { $0.id > $1.id }
        // What cannot be read does not say what it is of; the name that it is filed under does.
        var tags = Set(snapshots.map(\.tag))
        if let name = source.name, repository.keyring.current.keys[.sourceID] != nil {
            tags.insert(try repository.tag(ofSource: name))
        }
        for snapshot in listing.snapshots where snapshot.record == nil && tags.contains(snapshot.tag) {
            unseen.append(UnseenPart("snapshot \(snapshot.id)", why: "this key may not read it"))
        }
        // One that is damaged may be of this vault unless its neighbours are of something else.
        let others = Set(listing.snapshots.filter { $0.record != nil }.map(\.tag)).subtracting(tags)
        for (key, error) in listing.damaged {
            guard let name = ObjectNames.snapshotID(key), !others.contains(name.tag) else { continue }
            unseen.append(UnseenPart("snapshot \(name.id)", why: error.message))
        }
    }

    private static func isOf(_ source: Source, _ snapshot: Snapshot) -> Bool {
        guard let record = snapshot.record, record.workload == VaultWorkload.kind else { return false }
        let address = Array(source.address.utf8)
        return record.source == source.name || record.roots.contains { $0.path == address }
    }

    /// What is known of the versions of `records`, by secret and id; those of which nothing is known are not there.
    ///
    /// - Throws: what the store throws; damage is in ``unseen``.
    package mutating func find(
        _ records: [SecretRecord]
    ) throws(HoldfastError) -> [SecretName: [SecretVersionID: VersionKeeping]] {
        var found: [SecretName: [SecretVersionID: VersionKeeping]] = [:]
        var open = records
        for snapshot in snapshots where !open.isEmpty {
            var failed: HoldfastError?
            var left: [SecretRecord] = []
            for record in open {
                do throws(HoldfastError) {
                    let isDone = try look(for: record, in: snapshot, &found[record.name, default: [:]])
                    if !isDone { left.append(record) }
                } catch {
                    guard error.leavesOtherCopies else { throw error }
                    left.append(record)
                    failed = failed ?? error
                }
            }
            if let failed { unseen.append(UnseenPart("snapshot \(snapshot.id)", why: failed.message)) }
            open = left
        }
        return found
    }

    /// - Returns: Whether every version is known with its value by now.
    private func look(
        for record: SecretRecord, in snapshot: Snapshot, _ found: inout [SecretVersionID: VersionKeeping]
    ) throws(HoldfastError) -> Bool {
        guard let kept = try reader.secret(record.name, in: snapshot) else { return false }
        for version in record.versions where found[version.id]?.held == nil {
            guard let other = kept.record[version.id], Self.isSame(version, other) else { continue }
            var keeping = found[version.id] ?? VersionKeeping()
            keeping.named = keeping.named ?? snapshot.id
            if let content = kept.contents[version.id], isThere(content) { keeping.held = snapshot.id }
            found[version.id] = keeping
        }
        return record.versions.allSatisfy { found[$0.id]?.held != nil }
    }

    /// The id alone does not tell: numbers begin anew when a secret was removed for good and made again.
    private static func isSame(_ version: SecretVersion, _ other: SecretVersion) -> Bool {
        version.id == other.id && version.created == other.created
    }

    /// Whether the packs have what the snapshot names.
    private func isThere(_ content: Content) -> Bool {
        guard case .inline(let pieces) = content.location, !pieces.isEmpty else { return false }
        return pieces.allSatisfy { index.find($0.id.bytes.prefix, for: .reading) != nil }
    }
}
