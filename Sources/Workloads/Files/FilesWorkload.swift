// dir: a directory tree, as a source and as a target.

import CLinux
import Glibc
import Primitives
import Repository

/// A directory with all below it.
///
/// As a target it takes a snapshot of any kind, as files.
package struct FilesWorkload: Workload {
    package static let kind = "dir"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRestoredTo = true
        capabilities.canBeJoined = true
        capabilities.isTree = true
        capabilities.canBeEstimated = true
        return capabilities
    }

    package let path: [UInt8]
    private let options: TreeReaderOptions

    package init(path: String, options: WorkloadOptions = WorkloadOptions()) {
        self.init(bytes: Array(Host.absolutePath(path).utf8), options: options)
    }

    /// - Parameter bytes: An absolute path, which need not be text.
    package init(bytes: [UInt8], options: WorkloadOptions = WorkloadOptions()) {
        path = bytes
        var tree = TreeReaderOptions()
        tree.exclusions = options.exclusions
        tree.oneFileSystem = options.oneFileSystem
        self.options = tree
    }

    package var identity: WorkloadIdentity {
        WorkloadIdentity(kind: Self.kind, url: "dir:\(String(decoding: path, as: UTF8.self))")
    }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    /// Whether it can be read at its top. What lies below and cannot be read is told by the backup, which goes on.
    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        let name = printablePath(path)
        var status = stat()
        guard withCString(path, { stat($0, &status) }) == 0 else {
            let error = HoldfastError.systemCall("look at", errno, on: name, code: .sourceFailed)
            return [
                WorkloadFinding(
                    .error, "directory", error.message, hint: "Check the path and the rights of its parents.",
                    code: error.code)
            ]
        }
        guard EntryKind(fileMode: status.st_mode) == .directory else {
            return [WorkloadFinding(.good, "directory", "\(name) is there, and is no directory")]
        }
        guard withCString(path, { access($0, R_OK | X_OK) }) == 0 else {
            return [
                WorkloadFinding(
                    .error, "directory", "\(name) cannot be read: \(describeErrno(errno))",
                    hint: "Run as a user who may read it.", code: .accessDenied)
            ]
        }
        return [WorkloadFinding(.good, "directory", "\(name) can be read")]
    }

    /// What changed while files were read one after another may be missing, so there is no instant but the start.
    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        try sink.tree(at: path, options)
        return ReadOutcome()
    }

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage { RestoreStage([.init(root: nil, directory: path)]) }

    /// That each root is there; see ``RestoredCopy/checkRoots()``.
    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { copy.checkRoots() }
}
