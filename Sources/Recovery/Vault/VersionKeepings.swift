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

    /// Snapshots of sources that this key cannot tell: they may be of this vault.
    package private(set) var untold = 0
    /// Directories of secrets that were read.
    package private(set) var directoriesRead = 0

    package var snapshotCount: Int { snapshots.count }

    /// - Throws: what the store throws.
    package init(_ source: Source, in repository: Repository) throws(HoldfastError) {
        let state = try repository.loadIndex(for: .keeping)
        index = state.index
        reader = try SecretReader(repository, index: index, readsValues: false)
        let listing = try repository.snapshots()
        snapshots = listing.snapshots.filter { Self.isOf(source, $0) }.sorted { $0.id > $1.id }
        // What cannot be read does not say what it is of; the name that it is filed under does.
        var tags = Set(snapshots.map(\.tag))
        if let name = source.name, repository.keyring.current.keys[.sourceID] != nil {
            tags.insert(try repository.tag(ofSource: name))
        }
        let others = Set(listing.snapshots.filter { $0.record != nil }.map(\.tag)).subtracting(tags)
        for snapshot in listing.snapshots where snapshot.record == nil {
            if tags.contains(snapshot.tag) {
                note("snapshot \(snapshot.id)", "this key may not read it")
            } else if !others.contains(snapshot.tag) {
                untold += 1
            }
        }
        // One that is damaged may be of this vault unless its neighbours are of something else.
        for (key, error) in listing.damaged {
            guard let name = ObjectNames.snapshotID(key), !others.contains(name.tag) else { continue }
            note("snapshot \(name.id)", error.message)
        }
        for (run, error) in state.damaged { note("index \(run)", error.message) }
    }

    private static func isOf(_ source: Source, _ snapshot: Snapshot) -> Bool {
        guard let record = snapshot.record, record.workload == VaultWorkload.kind else { return false }
        let address = Array(source.address.utf8)
        return record.source == source.name || record.roots.contains { $0.path == address }
    }

    /// For a vault that shows no secret: where the newest snapshot that can be read has some, that is unseen.
    ///
    /// - Throws: what the store throws; damage is in ``unseen``.
    package mutating func doubtEmptiness() throws(HoldfastError) {
        for snapshot in snapshots {
            do throws(HoldfastError) {
                guard try reader.hasSecret(snapshot) else { return }
                return note("the vault", "it shows no secret, and the snapshot \(snapshot.id) of it has some")
            } catch {
                guard error.leavesOtherCopies else { throw error }
                note("snapshot \(snapshot.id)", error.message)
            }
        }
    }

    private mutating func note(_ what: String, _ why: String) {
        let part = UnseenPart(what, why: why)
        if !unseen.contains(part) { unseen.append(part) }
    }

    /// What is known of `wanted`, by secret and id; those of which nothing is known are not there.
    ///
    /// No snapshot is looked at for a version that was made after it, and none further for a version once its value is
    /// found.
    ///
    /// - Throws: what the store throws; damage is in ``unseen``.
    package mutating func find(
        _ wanted: [SecretName: [SecretVersion]]
    ) throws(HoldfastError) -> [SecretName: [SecretVersionID: VersionKeeping]] {
        var found: [SecretName: [SecretVersionID: VersionKeeping]] = [:]
        var open = wanted
        var last: [SecretName: NodeReference] = [:]
        for snapshot in snapshots where !open.isEmpty {
            for (name, versions) in open {
                let left = versions.filter { version in
                    found[name]?[version.id]?.held == nil && Self.mayHave(snapshot, version)
                }
                open[name] = left.isEmpty ? nil : left
                guard !left.isEmpty else { continue }
                do throws(HoldfastError) {
                    try look(for: left, of: name, in: snapshot, &last[name], &found[name, default: [:]])
                } catch {
                    guard error.leavesOtherCopies else { throw error }
                    note("snapshot \(snapshot.id)", error.message)
                }
            }
        }
        return found
    }

    /// The clocks of vaults and of those who back up are not the same; a wrong no makes a version needed.
    private static let clockDifference = Duration.seconds(86_400)

    private static func mayHave(_ snapshot: Snapshot, _ version: SecretVersion) -> Bool {
        guard let created = version.created, let finished = snapshot.record?.finished else { return true }
        return created <= finished + clockDifference
    }

    /// - Parameter last: The directory that was read of a newer snapshot: the same one has nothing else.
    private mutating func look(
        for versions: [SecretVersion], of name: SecretName, in snapshot: Snapshot, _ last: inout NodeReference?,
        _ found: inout [SecretVersionID: VersionKeeping]
    ) throws(HoldfastError) {
        guard let place = try reader.place(of: name, in: snapshot), place.tree != last else { return }
        last = place.tree
        directoriesRead += 1
        guard let kept = try reader.secret(name, at: place) else { return }
        for version in versions {
            guard let other = kept.record[version.id], Self.isSame(version, other) else { continue }
            var keeping = found[version.id] ?? VersionKeeping()
            keeping.named = keeping.named ?? snapshot.id
            if let content = kept.contents[version.id], isThere(content) { keeping.held = snapshot.id }
            found[version.id] = keeping
        }
    }

    /// The id alone does not tell: numbers begin anew when a secret was removed for good and made again.
    private static func isSame(_ version: SecretVersion, _ other: SecretVersion) -> Bool {
        version.id == other.id && version.created == other.created
    }

    /// Whether packs have what the snapshot names that no collection is about to take away.
    private func isThere(_ content: Content) -> Bool {
        guard case .inline(let pieces) = content.location, !pieces.isEmpty else { return false }
        return pieces.allSatisfy { index.find($0.id.bytes.prefix, for: .keeping) != nil }
    }
}
