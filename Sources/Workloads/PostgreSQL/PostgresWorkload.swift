// postgres:// — a cluster as a source: a base backup over the replication protocol.

import Primitives
import Repository
import Sealing

/// A live PostgreSQL cluster, read file by file as the server streams it.
///
/// The data directory is the root `pgdata`, each tablespace a root of its own under its number. Files of pages are cut
/// as such, so that the next snapshot stores what changed in them. Nothing is written to disk on the way.
package struct PostgresWorkload: Workload {
    package static let kind = "postgres"
    package static let rootPath = Array("pgdata".utf8)
    static let control = "global/pg_control"

    /// The fact that names the cluster's first role, which is a superuser.
    static let superuserFact = "superuser"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.expectsContents = true
        capabilities.needsScratch = true
        return capabilities
    }

    /// What is wrong with the URL is told when it is used, in full.
    let address: Result<PostgresAddress, HoldfastError>
    private let url: String

    package init(url: String) {
        self.url = url
        do throws(HoldfastError) {
            address = .success(try PostgresAddress(url))
        } catch {
            address = .failure(error)
        }
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: url) }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    /// The directory of a tablespace root.
    package static func rootPath(ofTablespace oid: String) -> [UInt8] { Array("pg_tblspc/\(oid)".utf8) }

    private func connect(_ context: WorkloadContext) throws(HoldfastError) -> PostgresConnection {
        try PostgresConnection(
            try address.get(), for: .replication, clock: context.clock, cancellation: context.cancellation)
    }

    /// The cluster's own identifier, which stays the same on another host and after a restore.
    package func sourceName(_ context: WorkloadContext) throws(HoldfastError) -> String? {
        "postgres:\(try PostgresCluster(try connect(context)).systemIdentifier)"
    }

    // MARK: Looking

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        let connection: PostgresConnection
        let cluster: PostgresCluster
        do throws(HoldfastError) {
            connection = try connect(context)
            cluster = try PostgresCluster(connection)
        } catch {
            if error.code == .interrupted || error.code == .usage { throw error }
            return [WorkloadFinding(.error, "connection", error.description, hint: error.hint, code: error.code)]
        }
        var findings = [
            WorkloadFinding(
                .good, "connection", "cluster \(cluster.systemIdentifier), PostgreSQL \(cluster.version)")
        ]
        findings += cluster.findings
        findings += try PostgresPreflight(connection, try address.get(), cluster, context).findings()
        if let known = context.parent?.facts["systemIdentifier"], known != cluster.systemIdentifier {
            findings.append(Self.foreign(known, cluster))
        }
        return findings
    }

    private static func foreign(_ known: String, _ cluster: PostgresCluster) -> WorkloadFinding {
        WorkloadFinding(
            .error, "identity",
            "the server is cluster \(cluster.systemIdentifier), and the snapshots of this source are of \(known)",
            hint: "Check the URL; for a cluster that was made anew choose another name with --source.")
    }

    // MARK: Reading

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        let connection = try connect(context)
        let cluster = try PostgresCluster(connection)
        if let error = cluster.findings.first(where: { $0.severity == .error }) { throw error.failure }
        if let known = context.parent?.facts["systemIdentifier"], known != cluster.systemIdentifier {
            throw Self.foreign(known, cluster).failure
        }
        var outcome = ReadOutcome()
        if let finding = try reserveLog(connection, context) { outcome.findings.append(finding) }
        _ = connection.takeNotices()
        let before = try picture(context)
        let (backup, reading, end) = try backUp(connection, cluster, into: sink, context)
        let manifest = try BackupManifest(reading.manifest)
        try Self.check(manifest, of: cluster, backup, end)
        try manifest.compare(with: reading.sizes)
        guard Set(backup.tablespaces.map(\.oid)) == Set(reading.tablespaces.map(String.init)) else {
            throw BackupManifest.damaged("the tablespaces that came are not those that were announced")
        }
        outcome.consistentAsOf = reading.consistentAsOf
        if cluster.isStandby { limit(&outcome, to: before?.replayed) }
        outcome.facts = cluster.facts
        outcome.facts["timeline"] = String(end.timeline)
        outcome.facts["startPosition"] = backup.start.description
        outcome.facts["stopPosition"] = end.position.description
        let last = PostgresPosition(bytes: end.position.bytes - min(1, end.position.bytes))
        outcome.facts["walRange"] =
            backup.start.segmentName(timeline: backup.timeline, segmentSize: cluster.segmentSize) + ".."
            + last.segmentName(timeline: end.timeline, segmentSize: cluster.segmentSize)
        for tablespace in backup.tablespaces { outcome.facts["tablespace \(tablespace.oid)"] = tablespace.location }
        expect(before, try picture(context), cluster, end, in: &outcome)
        if end.isDamaged { try note(connection.takeNotices(), in: &outcome) }
        return outcome
    }

    /// A standby holds what it has replayed, which may be of long before the backup.
    private func limit(_ outcome: inout ReadOutcome, to replayed: Timestamp?) {
        if let replayed {
            outcome.consistentAsOf = outcome.consistentAsOf.map { min($0, replayed) } ?? replayed
            return
        }
        outcome.findings.append(
            WorkloadFinding(
                .warning, "standby", "how far the standby is behind its primary is not known, and not in the record",
                hint: "Let the role connect to a database of it, as the documentation of databases shows."))
    }

    /// What the databases hold by their catalogues; nil where the role may not ask, which keeps nobody from a backup.
    private func picture(_ context: WorkloadContext) throws(HoldfastError) -> PostgresPicture? {
        do throws(HoldfastError) {
            return try PostgresCatalogue(address: try address.get()).picture(context)
        } catch {
            if error.code == .interrupted { throw error }
            return nil
        }
    }

    /// Notes what a restore must hold: what is known of the very end of the backup, and what did not change around it.
    private func expect(
        _ before: PostgresPicture?, _ after: PostgresPicture?, _ cluster: PostgresCluster, _ end: BaseBackup.End,
        in outcome: inout ReadOutcome
    ) {
        outcome.expectedContents[PostgresCatalogue.identifierKey] = cluster.systemIdentifier
        outcome.expectedContents[PostgresCatalogue.positionKey] = end.position.description
        guard let before, let after else { return }
        outcome.expectedContents.merge(before.expectations(with: after)) { $1 }
        if let role = after.superuser { outcome.facts[Self.superuserFact] = role }
        let changed = before.changed(until: after)
        if !changed.isEmpty { outcome.facts["schemasChanged"] = changed.joined(separator: ", ") }
        if after.unlogged > 0 { outcome.facts["unloggedTables"] = String(after.unlogged) }
    }

    private func backUp(
        _ connection: PostgresConnection, _ cluster: PostgresCluster, into sink: any EntrySink,
        _ context: WorkloadContext
    ) throws(HoldfastError) -> (BaseBackup, BaseBackupReading, BaseBackup.End) {
        do throws(HoldfastError) {
            let backup = try BaseBackup(connection, label: "holdfast", clock: context.clock)
            let reading = BaseBackupReading(backup.stream, sink: sink)
            try reading.run()
            return (backup, reading, try backup.end())
        } catch {
            // What a standby refuses in this state is told in the server's language; there are no other causes.
            guard cluster.isStandby, error.context.contains(where: { $0.key == "sqlstate" && $0.value == "55000" })
            else { throw error }
            throw HoldfastError(
                error.code, error.message,
                hint: "A backup of a standby ends when the standby is promoted, or when its primary wrote log without "
                    + "full_page_writes: run the command again, or back up the primary.",
                context: error.context.map { ($0.key, $0.value) }, retry: .now)
        }
    }

    /// Keeps the log from being recycled while the backup runs, by a slot that ends with the connection.
    private func reserveLog(
        _ connection: PostgresConnection, _ context: WorkloadContext
    ) throws(HoldfastError) -> WorkloadFinding? {
        let name = "holdfast_" + Hex.encode(try context.entropy.bytes32().array.prefix(8))
        do throws(HoldfastError) {
            _ = try connection.rows(
                "CREATE_REPLICATION_SLOT \(name) TEMPORARY PHYSICAL (RESERVE_WAL)", for: "the slot of the backup")
            return nil
        } catch {
            // Only what the server refuses is bearable; a broken connection is not.
            guard error.context.contains(where: { $0.key == "sqlstate" }) else { throw error }
            return WorkloadFinding(
                .warning, "slot", "the log is not held during the backup: \(error.message)",
                hint: "Raise max_replication_slots, or set wal_keep_size to more than is written during a backup.")
        }
    }

    // MARK: Asking a copy

    package func startScratch(
        over copy: RestoredCopy, _ context: WorkloadContext
    ) throws(HoldfastError) -> (any WorkloadScratch)? { try PostgresScratch.start(over: copy, context) }

    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] { try PostgresScratch.check(copy, scratch, context) }

    private static func check(
        _ manifest: BackupManifest, of cluster: PostgresCluster, _ backup: BaseBackup, _ end: BaseBackup.End
    ) throws(HoldfastError) {
        if let told = manifest.systemIdentifier, String(told) != cluster.systemIdentifier {
            throw BackupManifest.damaged("it is of cluster \(told)")
        }
        guard manifest.ranges.contains(where: { $0.start <= backup.start }),
            manifest.ranges.contains(where: { $0.end == end.position })
        else { throw BackupManifest.damaged("its range of WAL is not that of the backup") }
    }

    private func note(
        _ notices: (kept: [PostgresReport], count: Int), in outcome: inout ReadOutcome
    ) throws(HoldfastError) {
        outcome.flags.insert(.damaged)
        let lines = notices.kept.prefix(100).map(\.message)
        outcome.facts["damage"] = lines.joined(separator: "\n")
        for line in lines { outcome.findings.append(WorkloadFinding(.warning, "page checksums", line)) }
        outcome.findings.append(
            WorkloadFinding(
                .warning, "page checksums", "the server found damaged pages, \(notices.count) remarks in all",
                hint: "Check the server's disks, and keep older snapshots until the data is known to be sound."))
    }
}

/// What a server tells of its cluster over the replication protocol.
struct PostgresCluster: Sendable {
    static let oldestVersion = 150_000

    let systemIdentifier: String
    let version: String
    let number: Int
    let segmentSize: UInt64
    /// It follows another server.
    let isStandby: Bool
    let findings: [WorkloadFinding]
    let facts: [String: String]

    init(_ connection: PostgresConnection) throws(HoldfastError) {
        let row = try connection.rows("IDENTIFY_SYSTEM", for: "identify the cluster").first ?? []
        guard let identifier = row.first ?? nil, UInt64(identifier) != nil else {
            throw HoldfastError(
                .sourceFailed, "the server does not say which cluster it is",
                hint: "Check that the server is PostgreSQL, and no proxy for it.")
        }
        func setting(_ name: String) throws(HoldfastError) -> String {
            let rows = try connection.rows("SHOW \(name)", for: "read the setting \(name)")
            return (rows.first?.first ?? nil) ?? ""
        }
        systemIdentifier = identifier
        number = connection.serverVersion
        version = connection.setting("server_version") ?? ""
        var findings: [WorkloadFinding] = []
        if number < Self.oldestVersion {
            findings.append(
                WorkloadFinding(
                    .error, "version", "the server is PostgreSQL \(version); base backups need 15 or newer",
                    hint: "Use pg_dump through stdin:NAME until the server is upgraded."))
        }
        let size = try setting("wal_segment_size")
        guard let segmentSize = PostgresPosition.segmentSize(size) else {
            throw HoldfastError(.sourceFailed, "the server's wal_segment_size is \(size), which cannot be")
        }
        self.segmentSize = segmentSize
        let checksums = try setting("data_checksums")
        if checksums != "on" {
            findings.append(
                WorkloadFinding(
                    .warning, "page checksums", "data checksums are off, so that damaged pages are not seen",
                    hint: "Stop the server and run `pg_checksums --enable` when there is time for it."))
        }
        if try setting("fsync") == "off" {
            findings.append(
                WorkloadFinding(
                    .warning, "fsync", "fsync is off: a crash of the machine destroys the cluster",
                    hint: "Set fsync = on."))
        }
        isStandby = connection.setting("in_hot_standby") == "on"
        facts = [
            "isStandby": String(isStandby), "systemIdentifier": identifier, "serverVersion": version,
            "dataChecksums": checksums,
            "walSegmentSize": String(segmentSize), "blockSize": try setting("block_size"),
        ]
        self.findings = findings
    }
}
