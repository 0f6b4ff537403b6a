// What a backup would read, by metadata alone: `backup --dry-run`.

import Primitives
import Repository
import Workloads

/// Counts what a source holds, and the part of it that would be read since the parent snapshot.
///
/// Thread: the reader's alone.
final class Estimate: EntrySink {
    /// Bytes of what is pushed go nowhere.
    private static let scratch = 1 << 20

    private let tree: SnapshotTree?
    private let roots: [SnapshotRoot]
    private let failures: FailureList
    private let rereads: Bool
    private let cancellation: Cancellation
    private(set) var counts = SnapshotCounts()
    private(set) var hasRoot = false

    init(
        tree: SnapshotTree?, roots: [SnapshotRoot], failures: FailureList, rereads: Bool, cancellation: Cancellation
    ) {
        self.tree = tree
        self.roots = roots
        self.failures = failures
        self.rereads = rereads
        self.cancellation = cancellation
    }

    func beginRoot(_ path: [UInt8], _ metadata: EntryMetadata, order: EntryOrder) {
        hasRoot = true
        if metadata.kind == .directory { counts.directories += 1 }
    }

    func add(_ parts: [[UInt8]], _ metadata: EntryMetadata, link: [[UInt8]]?) {
        if metadata.kind == .directory { counts.directories += 1 } else { counts.others += 1 }
    }

    func beginFile(_ parts: [[UInt8]], _ rule: CutRule) throws(HoldfastError) {
        try cancellation.check()
        counts.files += 1
        counts.filesRead += 1
    }

    func fill(
        atMost limit: Int, _ read: (UnsafeMutableRawBufferPointer) throws(HoldfastError) -> Int
    ) throws(HoldfastError) -> Int {
        try cancellation.check()
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: min(max(1, limit), Self.scratch), alignment: 64)
        defer { buffer.deallocate() }
        let count = try read(buffer)
        counts.bytes += UInt64(count)
        counts.bytesRead += UInt64(count)
        return count
    }

    func hole(_ length: UInt64) { counts.bytes += length }

    func boundary() {}

    func endFile(_ metadata: EntryMetadata) {}

    func endRoot() {}

    func tree(at path: [UInt8], _ options: TreeReaderOptions) throws(HoldfastError) {
        failures.root = path
        let known = roots.first { $0.path == path }?.entry
        do throws(HoldfastError) {
            try add(try DirectoryHandle.open(path: path, options: options), parent: known)
            hasRoot = true
        } catch {
            guard failures.isOfSource(error) else { throw error }
            failures.add([], error)
        }
    }

    private func add(_ directory: DirectoryHandle, parent: Entry?) throws(HoldfastError) {
        try cancellation.check()
        counts.directories += 1
        let listing: DirectoryListing
        do throws(HoldfastError) {
            listing = try directory.entries()
        } catch {
            guard failures.isOfSource(error) else { throw error }
            failures.add(directory.path, error)
            return
        }
        for failure in listing.failures { failures.add(failure.path, failure.error) }
        for entry in listing.entries {
            let known = parentEntry(entry.name, parent)
            switch entry.kind {
            case .directory:
                do throws(HoldfastError) {
                    try add(try directory.directory(entry), parent: known)
                } catch {
                    guard failures.isOfSource(error) else { throw error }
                    failures.add(joinPath(directory.path, entry.name), error)
                }
            case .file:
                counts.files += 1
                counts.bytes += entry.size
                if rereads || known?.metadata.hasSameContentMarks(as: entry) != true {
                    counts.filesRead += 1
                    counts.bytesRead += entry.size
                }
            default: counts.others += 1
            }
        }
    }

    /// The entry in the parent snapshot; nil also when its directory cannot be read, as for the backup itself.
    private func parentEntry(_ name: [UInt8], _ parent: Entry?) -> Entry? {
        guard let reference = parent?.tree, let tree else { return nil }
        do throws(HoldfastError) {
            return try tree.entry(name, in: reference)
        } catch {
            return nil
        }
    }
}

extension Estimate: SecretSink {
    func hadSecrets() -> Bool { false }

    func holdsSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata) -> Bool { false }

    func addSecret(_ parts: [[UInt8]], _ metadata: EntryMetadata, _ item: SecretBytes?) -> Bool {
        counts.files += 1
        counts.bytes += UInt64(item?.count ?? 0)
        return item != nil
    }

    func carrySecret(_ parts: [[UInt8]]) -> Bool { false }

    func carrySecrets(below parts: [[UInt8]], besides taken: Set<[[UInt8]]>) -> UInt64 { 0 }

    func discardSecret(_ parts: [[UInt8]]) {}

    func failSecret(_ parts: [[UInt8]], _ error: HoldfastError) { failures.add(joinedPath(parts), error) }
}
