// What a restore in an incident writes to, and what of it can be looked at afterwards.

import Glibc
import Primitives
import Repository
import Workloads

/// A target with what the checks have to know of it.
struct IncidentTarget {
    let workload: any Workload
    private let filter: PathFilter

    init(_ workload: any Workload, filter: PathFilter) {
        self.workload = workload
        self.filter = filter
    }

    /// The directory whose file system is written to; empty for a target that is no path.
    static func directory(of workload: any Workload) -> String {
        let path: String
        switch workload {
        case let files as FilesWorkload: path = String(decoding: files.path, as: UTF8.self)
        case let database as SQLiteWorkload: path = database.path
        case let cluster as PgdataWorkload: path = cluster.path
        default: return ""
        }
        var place = path
        while place.count > 1, access(place, F_OK) != 0 {
            let slash = place.lastIndex(of: "/") ?? place.startIndex
            place = slash == place.startIndex ? "/" : String(place[..<slash])
        }
        return place
    }

    /// The target as records name it, cut where one would not have room for it.
    static func text(of workload: any Workload) -> String { DrillRecorder.name(workload.identity.url) }

    /// What was restored stands in files, as in the snapshot. What a server or a program says against it may have its
    /// reasons in them.
    var isFiles: Bool { workload is FilesWorkload || workload is SQLiteWorkload || workload is PgdataWorkload }

    /// What a restore into this target shows, where that is less than that the snapshot can be recovered.
    func limit(_ record: SnapshotRecord) -> String? {
        if !filter.isEmpty { return "a part" }
        switch workload {
        case is CommandTarget: return "the transfer"
        case is PgdataWorkload: return "the files"
        case is FilesWorkload:
            // A drill asks a server too.
            return [PostgresWorkload.kind, DumpWorkload.kind].contains(record.workload) ? "the files" : nil
        case is SQLiteWorkload: return record.roots.count > 1 ? "a part" : nil
        case let dumps as DumpWorkload: return dumps.takesAll(of: record) ? nil : "a part"
        default: return nil
        }
    }

    /// What can be held against the snapshot byte by byte, once all is written; nil when it went elsewhere than into
    /// files.
    func comparison(_ record: SnapshotRecord) throws(HoldfastError) -> CopyCheck.Place? {
        switch workload {
        case let files as FilesWorkload:
            return .tree(String(decoding: files.path, as: UTF8.self), SnapshotLayout(record.roots), filter)
        case let database as SQLiteWorkload:
            let path = try database.chosenRoot(of: record)
            guard let root = record.roots.first(where: { $0.path == path }) else { return nil }
            return .file(database.path, PlacedRoot(place: [], root: root))
        case let cluster as PgdataWorkload:
            // The manifest holds the checksum of every other file, and was held against them when all was written.
            let filter = try PathFilter(
                include: ["/backup_label", "/backup_manifest"].map { Array($0.utf8) }, exclude: [])
            let root = record.roots.filter { $0.path == PostgresWorkload.rootPath }
            return .tree(cluster.path, SnapshotLayout(root), filter)
        default: return nil
        }
    }

    /// The engine's checks of a copy in files. Nothing of them writes: no server is started over the target.
    ///
    /// A database in its own place was looked at by the end of its restore.
    func engineFindings(
        _ record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        switch workload {
        case let files as FilesWorkload:
            let path = String(decoding: files.path, as: UTF8.self)
            let copy = RestoredCopy(record: record, places: SnapshotLayout(record.roots).places(below: path))
            guard filter.isEmpty else {
                return [WorkloadFinding(.warning, "engine", "a part was restored: only its files were compared")]
            }
            switch record.workload {
            case SQLiteWorkload.kind: return try SQLiteWorkload(path: path).check(copy, scratch: nil, context)
            case DumpWorkload.kind: return try DumpWorkload(rest: "postgres:///").check(copy, scratch: nil, context)
            default: return try files.check(copy, scratch: nil, context)
            }
        case is PgdataWorkload:
            return [
                WorkloadFinding(
                    .warning, "server", "no server was started over the target, whose files are as in the snapshot",
                    hint: "`holdfast drill` starts one over a copy of the same snapshot.")
            ]
        default: return []
        }
    }

    /// What is said of a target that can't be looked at: every piece was checked on its way, and the taker is content.
    func transferFinding(_ result: RestoreResult) -> WorkloadFinding? {
        guard workload is CommandTarget else { return nil }
        return WorkloadFinding(
            .good, "stream",
            "\(ByteCount(result.bytesWritten)), each piece as in the snapshot; the program read all and exited 0")
    }
}
