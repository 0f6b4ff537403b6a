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
    /// - Parameter damaged: Told of directories that cannot be read, by their paths; the others go on.
    /// - Throws: `.usage` for a snapshot of something else; what `body` and the store throw.
    package func visit(
        _ snapshot: Snapshot, damaged: ([UInt8], HoldfastError) -> Void,
        _ body: (SecretRecord, [SecretVersionID: Content]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let record = try snapshot.readableRecord()
        guard record.workload == VaultWorkload.kind else {
            throw HoldfastError(
                .usage, "the snapshot \(snapshot.id) is of \(record.workload):, which is no vault",
                hint: "`holdfast snapshots` lists those of vaults.")
        }
        for root in record.roots { try visit([], root.entry, damaged, body) }
    }

    /// Where a snapshot of a vault has a secret; nil when it does not have it.
    ///
    /// - Throws: `.corruptObject` or `.objectMissing` for what cannot be read; `.notPermitted` for another's snapshot.
    func place(of name: SecretName, in snapshot: Snapshot) throws(HoldfastError) -> Entry? {
        try cancellation.check()
        let parts = VaultLayout.parts(of: name)
        for root in try snapshot.readableRecord().roots {
            if let entry = try tree.entry(at: parts, below: root.entry), entry.tree != nil { return entry }
        }
        return nil
    }

    /// The secret at its place, with the contents of the versions that the snapshot has values of; nil where only
    /// others lie below.
    ///
    /// - Throws: as ``place(of:in:)``.
    func secret(
        _ name: SecretName, at place: Entry
    ) throws(HoldfastError) -> (record: SecretRecord, contents: [SecretVersionID: Content])? {
        let directory = try read(VaultLayout.parts(of: name), place)
        return directory.secret.map { ($0, directory.contents) }
    }

    /// Whether a snapshot of a vault has any secret; looks no further than the first.
    ///
    /// - Throws: as ``place(of:in:)``.
    func hasSecret(_ snapshot: Snapshot) throws(HoldfastError) -> Bool {
        var open = try snapshot.readableRecord().roots.map { (parts: [[UInt8]](), entry: $0.entry) }
        while let next = open.popLast() {
            try cancellation.check()
            let directory = try read(next.parts, next.entry)
            if directory.secret != nil { return true }
            open += directory.below.map { (next.parts + [$0.metadata.name], $0) }
        }
        return false
    }

    private func visit(
        _ parts: [[UInt8]], _ entry: Entry, _ damaged: ([UInt8], HoldfastError) -> Void,
        _ body: (SecretRecord, [SecretVersionID: Content]) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try cancellation.check()
        let directory: Directory
        do throws(HoldfastError) {
            directory = try read(parts, entry)
        } catch {
            let isOfContent: Set<ErrorCode> = [
                .corruptObject, .objectMissing, .limitExceeded, .usage, .unsupportedFormat,
            ]
            guard isOfContent.contains(error.code) else { throw error }
            return damaged(joinedPath(parts), error)
        }
        if let secret = directory.secret { try body(secret, directory.contents) }
        for below in directory.below { try visit(parts + [below.metadata.name], below, damaged, body) }
    }

    private struct Directory {
        var secret: SecretRecord?
        var contents: [SecretVersionID: Content] = [:]
        var below: [Entry] = []
    }

    /// One directory: the secret that it is of, if it is of one, and what lies below.
    private func read(_ parts: [[UInt8]], _ entry: Entry) throws(HoldfastError) -> Directory {
        guard parts.count <= VaultLayout.maximumParts, let reference = entry.tree else {
            throw HoldfastError(
                .corruptObject, "a directory of secrets is too deep, or has no list", hint: "Run `holdfast check`.")
        }
        var directory = Directory()
        directory.secret = try VaultLayout.record(of: entry.metadata)
        // Paths are for looking, and what is looked at is what is restored.
        if let name = directory.secret?.name, VaultLayout.parts(of: name) != parts { throw Self.misplaced }
        let cursor = EntryCursor(reference, tree: tree)
        while let entry = try cursor.next() {
            if entry.tree != nil {
                directory.below.append(entry)
            } else if let version = try VaultLayout.version(of: entry.metadata) {
                guard let name = directory.secret?.name,
                    VaultLayout.parts(of: name, version.id).last == entry.metadata.name
                else { throw Self.misplaced }
                directory.secret?.versions.append(version)
                if let content = entry.content, content.rule == .secret { directory.contents[version.id] = content }
            }
        }
        directory.secret?.versions.sort { ($0.order, $0.id) < ($1.order, $1.id) }
        return directory
    }

    private static let misplaced = HoldfastError(
        .corruptObject, "a secret of the snapshot stands under another name than its own",
        hint: "Run `holdfast check`; somebody who may write snapshots made this one by hand.")

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
