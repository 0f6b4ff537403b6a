// The secrets of a snapshot, and their values one at a time.

import Primitives
import Repository
import SecretVaults
import Workloads

/// Reads snapshots of vaults.
///
/// Memory: the versions of one secret, and one value. Thread: one at a time.
package final class SecretReader {
    private let tree: SnapshotTree
    private let chunks: ChunkReader?
    private let cancellation: Cancellation

    /// - Parameter readsValues: False to look at names and versions alone, for which a key of any role will do.
    /// - Throws: `.notPermitted` when this key may not read values.
    package init(_ repository: Repository, index: Index, readsValues: Bool = true) throws(HoldfastError) {
        let packs = PackReader(store: repository.store, keyring: repository.keyring)
        tree = try repository.makeTree(index, packs: packs)
        if readsValues { try repository.keyring.requireReadingData() }
        chunks = readsValues ? try repository.makeReader(index, packs) : nil
        cancellation = repository.environment.cancellation
    }

    /// Visits all secrets of a snapshot, each with the contents of the versions that it has values of.
    ///
    /// - Throws: `.usage` for a snapshot of something else; `.corruptObject`, `.objectMissing`.
    package func visit(
        _ snapshot: Snapshot,
        _ body: (SecretRecord, [SecretVersionID: Content]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let record = try snapshot.readableRecord()
        guard record.workload == VaultWorkload.kind else {
            throw HoldfastError(
                .usage, "the snapshot \(snapshot.id) is of \(record.workload):, which is no vault",
                hint: "`holdfast snapshots` lists those of vaults.")
        }
        for root in record.roots {
            guard let reference = root.entry.tree else {
                throw HoldfastError(
                    .corruptObject, "the snapshot of a vault has no tree", hint: "Run `holdfast check`.")
            }
            try visit(reference, root.entry.metadata, depth: 0, body)
        }
    }

    private func visit(
        _ reference: NodeReference, _ directory: EntryMetadata, depth: Int,
        _ body: (SecretRecord, [SecretVersionID: Content]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        // A name of 1,024 bytes has no more parts.
        guard depth <= SecretName.maximumCount else {
            throw HoldfastError(.corruptObject, "a tree of secrets is too deep", hint: "Run `holdfast check`.")
        }
        try cancellation.check()
        var below: [(NodeReference, EntryMetadata)] = []
        var secret = try VaultLayout.record(of: directory)
        var contents: [SecretVersionID: Content] = [:]
        let cursor = EntryCursor(reference, tree: tree)
        while let entry = try cursor.next() {
            if let tree = entry.tree {
                below.append((tree, entry.metadata))
            } else if let version = try VaultLayout.version(of: entry.metadata) {
                secret?.versions.append(version)
                if let content = entry.content, content.rule == .secret { contents[version.id] = content }
            }
        }
        if var secret {
            secret.versions.sort { ($0.order, $0.id) < ($1.order, $1.id) }
            try body(secret, contents)
        }
        for (tree, metadata) in below { try visit(tree, metadata, depth: depth + 1, body) }
    }

    /// The value that a content of a version holds.
    ///
    /// - Throws: `.corruptObject` or `.objectMissing` when it cannot be had whole.
    package func value(_ content: Content) throws(HoldfastError) -> SecretValue {
        guard let chunks, case .inline(let pieces) = content.location, let piece = pieces.first,
            content.rule == .secret
        else {
            throw HoldfastError(.corruptObject, "a version of a secret has no value", hint: "Run `holdfast check`.")
        }
        var plain = try chunks.read(piece.id, .secret)
        defer { wipe(&plain) }
        let span = plain.span.bytes
        let (form, value) = try span.withUnsafeBytes { (bytes) throws(HoldfastError) in try SecretItem.value(of: bytes)
        }
        guard let known = SecretForm(rawValue: form) else {
            throw HoldfastError(
                .unsupportedFormat, "a stored secret has the form \(form), which this holdfast does not know",
                hint: "Upgrade holdfast.")
        }
        return SecretValue(known, value)
    }
}

extension Content {
    /// Why a secret goes into vaults alone, and never into a file or an archive.
    static let secretRefusal = HoldfastError(
        .notPermitted, "secrets are not written in the clear",
        hint: "Restore to \(VaultAddress.form), or look at one value with `holdfast dump SNAPSHOT PATH --reveal`.")

    /// - Throws: `.notPermitted` for a secret.
    func requireNoSecret() throws(HoldfastError) {
        if rule == .secret { throw Self.secretRefusal }
    }
}
