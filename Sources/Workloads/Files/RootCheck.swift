// What can be asked of restored files without the snapshot's tree: whether each root is there, as what it was.

import CLinux
import Glibc
import Primitives
import Repository

extension RestoredCopy {
    /// Looks at each root: is it there, of its kind, and a file of its size?
    ///
    /// Files have no more to say of themselves. Their contents are held to the snapshot by the engine, which checks
    /// every chunk as it restores, and compares a copy piece by piece when it plans a restore over it.
    /// - Returns: A finding for each root.
    package func checkRoots() -> [WorkloadFinding] {
        record.roots.map { root in
            let name = printablePath(root.path)
            func bad(_ what: String) -> WorkloadFinding {
                WorkloadFinding(.error, "files", "\(name) \(what)", hint: "Restore it again.", code: .checkFailed)
            }
            guard let place = places[root.path] else { return bad("was not restored") }
            var status = stat()
            guard lstat(place, &status) == 0 else { return bad("is not at \(place): \(describeErrno(errno))") }
            let kind = root.entry.metadata.kind
            guard let found = EntryKind(fileMode: status.st_mode), found == kind else {
                return bad("is no \(kind) at \(place)")
            }
            guard kind == .file, let size = root.entry.content?.size else {
                return WorkloadFinding(.good, "files", "\(name) is there")
            }
            guard UInt64(status.st_size) == size else { return bad("is \(status.st_size) bytes long, not \(size)") }
            return WorkloadFinding(.good, "files", "\(name) is there with its \(size) bytes")
        }
    }
}
