// What a backup would read, by metadata alone: `backup --dry-run`.

import Primitives
import Repository
import Workloads

/// Counts a source tree and the part of it that changed since the parent snapshot.
struct Estimate {
    let tree: SnapshotTree?
    let failures: FailureList
    let rereads: Bool
    let cancellation: Cancellation

    func add(
        _ directory: DirectoryHandle, parent: Entry?, to counts: inout SnapshotCounts
    ) throws(HoldfastError) {
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
                    try add(try directory.directory(entry), parent: known, to: &counts)
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
