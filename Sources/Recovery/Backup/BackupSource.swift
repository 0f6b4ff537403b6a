// Files and streams as sources, without a URL.

import Primitives
import Repository
import Workloads

/// A directory or a stream to back up; other workloads are made by their schemes.
package enum BackupSource: Sendable {
    /// A directory with all below it.
    case directory([UInt8])
    /// A stream under a name, from an open descriptor or from a command.
    case stream(name: String, StreamWorkload.Origin)

    func workload(_ options: WorkloadOptions) -> any Workload {
        switch self {
        case .directory(let path): FilesWorkload(bytes: path, options: options)
        case .stream(let name, let origin): StreamWorkload(name: name, origin, options)
        }
    }
}

extension Backup {
    /// Reads `sources` and commits a snapshot of them; see ``run(workloads:)``.
    package func run(_ sources: [BackupSource]) throws(HoldfastError) -> BackupSummary {
        try run(workloads: sources.map { $0.workload(options.workload) })
    }
}
