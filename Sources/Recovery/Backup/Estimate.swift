// What a backup would read, by metadata alone: `backup --dry-run`.

import Primitives
import Repository
import Workloads

/// Counts a source tree and the part of it that changed since the parent snapshot.
struct Estimate {
    let tree: SnapshotTree?
    let failures: FailureList
    let rereads: Bool

    func add(
        _ directory: DirectoryHandle, parent: Entry?, to counts: inout SnapshotCounts
    ) throws(HoldfastError) {
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
            let known = try parent?.tree.flatMap { (reference) throws(HoldfastError) -> Entry? in
                try tree?.entry(entry.name, in: reference)
            }
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
}
