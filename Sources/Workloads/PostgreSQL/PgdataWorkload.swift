// pgdata:DIR — a data directory as the target of a restore.

import CLinux
import Glibc
import Primitives
import Repository

/// A data directory that a physical snapshot of a cluster is restored into.
///
/// Whatever ends the restore early, the directory lacks `global/pg_control`, so that no server starts over it, and
/// holds ``marker``, by which the next run knows it and goes on.
package struct PgdataWorkload: Workload {
    package static let kind = "pgdata"
    /// Stands in a directory whose restore has begun and not ended; holds the cluster's identifier.
    static let marker = "holdfast.restoring"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRead = false
        capabilities.canBeRestoredTo = true
        capabilities.needsScratch = true
        return capabilities
    }

    package let path: String
    private let tablespaces: [String: String]

    /// Whether a restore ends with a comparison of all files with the server's manifest.
    private let comparesFiles: Bool

    /// - Parameters:
    ///   - options: Its `tablespaces` say where tablespaces go, by their place at the source; the others go back to
    ///     where they were.
    ///   - comparesFiles: False for a copy over which a scratch server is started next, which begins with
    ///     pg_verifybackup: once is enough. That leaves out `postgresql.auto.conf`, which is to be compared in another
    ///     way then.
    package init(path: String, options: WorkloadOptions = WorkloadOptions(), comparesFiles: Bool = true) {
        self.path = Host.absolutePath(path)
        self.comparesFiles = comparesFiles
        tablespaces = options.tablespaces
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: "pgdata:\(path)") }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    // MARK: Before

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        guard record.workload == PostgresWorkload.kind, let cluster = record.facts["systemIdentifier"] else {
            throw HoldfastError(
                .usage, "the snapshot is of a \(record.workload) source, not of a PostgreSQL cluster",
                hint: "Restore it to dir:PATH.")
        }
        let directory = PostgresDirectory(path)
        let state = try directory.examine(cluster: cluster)
        let places = try places(of: record, directory, isOurs: state == .ours)
        if !context.isDryRun {
            try directory.makeUnstartable(cluster: cluster)
            try directory.clearLog()
            try directory.linkTablespaces(places)
        }
        let root = RestoreStage.Part(
            root: PostgresWorkload.rootPath, directory: Array(path.utf8), last: [PostgresWorkload.control])
        var stage = RestoreStage(
            places.map { oid, place in
                .init(root: PostgresWorkload.rootPath(ofTablespace: oid), directory: Array(place.utf8))
            } + [root])
        stage.beforeLast = { () throws(HoldfastError) in try Self.clear(directory) }
        return stage
    }

    /// Takes away what an earlier state left between the files of this one, while no server can start over them.
    private static func clear(_ directory: PostgresDirectory) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        let removed = try directory.removeOthers(than: try directory.manifest())
        if removed > 0 {
            findings.append(
                WorkloadFinding(.good, "data directory", "\(removed) files that are not in the snapshot were removed"))
        }
        let signals = try directory.removeSignals()
        if !signals.isEmpty {
            findings.append(
                WorkloadFinding(
                    .good, "data directory",
                    "\(signals.joined(separator: " and ")) of the standby that was backed up was left out: the server "
                        + "starts by itself"))
        }
        return findings
    }

    /// Where each tablespace goes, by its number.
    private func places(
        of record: SnapshotRecord, _ directory: PostgresDirectory, isOurs: Bool
    ) throws(HoldfastError) -> [(oid: String, place: String)] {
        var places: [(oid: String, place: String)] = []
        let tablespaces = try record.tablespaces
        let known = tablespaces.map(\.location)
        if let wrong = self.tablespaces.keys.filter({ !known.contains($0) }).min() {
            throw HoldfastError(
                .usage, "the snapshot has no tablespace at \(wrong)",
                hint: known.isEmpty ? "It has none at all." : "It has \(known.joined(separator: ", ")).")
        }
        for (oid, location) in tablespaces {
            let chosen = self.tablespaces[location]
            guard location.hasPrefix("/") || chosen != nil else {
                // One that was made in place stays a directory of the data directory.
                places.append((oid, "\(path)/pg_tblspc/\(oid)"))
                continue
            }
            let place = Host.absolutePath(chosen ?? location)
            guard place != path, !place.hasPrefix(path + "/"), !path.hasPrefix(place + "/") else {
                throw HoldfastError(
                    .usage, "the tablespace directory \(place) and the data directory lie in each other",
                    hint: "Choose another directory with --tablespace \(location)=DIR.")
            }
            guard !places.contains(where: { $0.place == place }) else {
                throw HoldfastError(
                    .usage, "two tablespaces cannot both go to \(place)", hint: "Give each a directory of its own.")
            }
            let isLinked = isOurs && directory.linkTarget(ofTablespace: oid) == place
            guard isLinked || PostgresDirectory.isEmptyOrAbsent(place) else {
                throw HoldfastError(
                    .targetFailed, "the tablespace directory \(place) is not empty",
                    hint: "Choose another with --tablespace \(location)=DIR, or empty it.")
            }
            places.append((oid, place))
        }
        return places
    }

    // MARK: After

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        let directory = PostgresDirectory(path)
        guard isComplete else {
            try directory.removeControl()
            return [
                WorkloadFinding(
                    .warning, "data directory", "the restore is not complete, so \(path) was left without pg_control",
                    hint: "Run the same restore again: what is there is kept.")
            ]
        }
        var findings: [WorkloadFinding] = []
        do throws(HoldfastError) {
            let manifest = try directory.manifest().without(PostgresDirectory.signals)
            if comparesFiles {
                let count = try ManifestVerification(manifest, directory: path, threads: Host.processors).run(context)
                findings.append(
                    WorkloadFinding(.good, "manifest", "\(count) files are as the server's manifest says"))
            }
            try directory.unmark()
        } catch {
            try directory.removeControl()
            throw error
        }
        if record.flags.contains(ReadOutcome.Flag.damaged.rawValue) {
            findings.append(
                WorkloadFinding(
                    .warning, "page checksums", "the server found damaged pages when this snapshot was taken",
                    hint: "Restore an older one as well, and compare."))
        }
        return findings
    }

    // MARK: Asking a copy

    package func startScratch(
        over copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> (any WorkloadScratch)? { try PostgresScratch.start(over: copy, context) }

    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { try PostgresScratch.check(copy, scratch, context) }
}

extension SnapshotRecord {
    /// Tablespaces of a physical snapshot by number, with their directories at the source.
    ///
    /// - Throws: `.corruptObject` for what is no number: it becomes a part of paths.
    package var tablespaces: [(oid: String, location: String)] {
        get throws(HoldfastError) {
            var found: [(oid: String, location: String)] = []
            for (key, value) in facts.sorted(by: { $0.key < $1.key }) where key.hasPrefix("tablespace ") {
                let oid = String(key.dropFirst("tablespace ".count))
                guard let number = UInt32(oid), String(number) == oid else {
                    throw HoldfastError(
                        .corruptObject, "the snapshot holds a tablespace with the impossible number `\(oid)`",
                        hint: "Do not trust this snapshot: such a number is made to lead elsewhere.")
                }
                found.append((oid, value))
            }
            return found
        }
    }
}
