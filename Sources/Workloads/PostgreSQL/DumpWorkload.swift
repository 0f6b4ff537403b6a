// pgdump:postgres://… — databases as a source: logical dumps, and the roles and tablespaces that they need.

import Primitives
import Repository

/// One database of a PostgreSQL server or all that allow connections, dumped by pg_dump, and what all share by
/// pg_dumpall.
///
/// The snapshot's one root is a directory: `globals.sql`, and `NAME.dump` in pg_dump's custom format for each database.
/// A dump is cut where the data of a table begins, so that a table that did not change costs nothing. Each database is
/// taken at an instant of its own.
package struct DumpWorkload: Workload {
    package static let kind = "pgdump"
    package static let rootPath = Array("pgdump".utf8)
    static let oldestVersion = 120_000

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRestoredTo = true
        capabilities.expectsContents = true
        capabilities.needsScratch = true
        return capabilities
    }

    /// What is wrong with the URL is told when it is used, in full.
    private let target: Result<PostgresAddress, HoldfastError>
    private let url: String
    let options: WorkloadOptions
    /// How pg_restore is kept apart; nil for a server of the operator's, where it is what they would run themselves.
    var confinement: ScratchConfinement?

    /// - Parameter rest: A `postgres://` URL. With a database's name it means that alone.
    package init(rest: String, options: WorkloadOptions = WorkloadOptions()) {
        url = "pgdump:\(rest)"
        self.options = options
        do throws(HoldfastError) {
            target = .success(try PostgresAddress(rest))
        } catch {
            target = .failure(error)
        }
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: url) }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    /// Whether a restore of this snapshot brings all of it back: not one database of several, and not single tables.
    package func takesAll(of record: SnapshotRecord) -> Bool {
        guard options.tables.isEmpty, options.database == nil else { return false }
        return (try? address())?.database == nil || (try? record.dumps)?.count == 1
    }

    func address() throws(HoldfastError) -> PostgresAddress { try target.get() }

    /// A session with the database `name`, or with the one that is there for such.
    func connect(_ name: String?, _ context: WorkloadContext) throws(HoldfastError) -> PostgresConnection {
        try PostgresConnection(
            try address(), for: .database(name ?? DumpDatabase.maintenance), clock: context.clock,
            cancellation: context.cancellation)
    }

    /// The cluster's own identifier, and the database's name when it is one.
    package func sourceName(_ context: WorkloadContext) throws(HoldfastError) -> String? {
        let name = try address().database
        let cluster = try DumpCluster(try connect(name, context))
        guard let identifier = cluster.systemIdentifier else { return nil }
        return "pgdump:\(identifier)" + (name.map { "/\($0)" } ?? "")
    }

    // MARK: Looking

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        let name = try address().database
        let cluster: DumpCluster
        do throws(HoldfastError) {
            cluster = try DumpCluster(try connect(name, context))
        } catch {
            if error.code == .interrupted { throw error }
            return [WorkloadFinding(.error, "connection", error.description, hint: error.hint, code: error.code)]
        }
        var findings = [WorkloadFinding(.good, "connection", "PostgreSQL \(cluster.serverVersion)")]
        if cluster.number < Self.oldestVersion {
            findings.append(
                WorkloadFinding(
                    .error, "version", "the server is PostgreSQL \(cluster.serverVersion); dumps need 12 or newer",
                    hint: "Use pg_dump through stdin:NAME until the server is upgraded."))
        }
        for program in ["pg_dump", "pg_dumpall"] {
            do throws(HoldfastError) {
                let tool = try PostgresTool.best(program, for: cluster.major, context)
                findings.append(WorkloadFinding(.good, "client tools", "\(program) \(tool.version) at \(tool.path)"))
            } catch {
                if error.code == .interrupted { throw error }
                findings.append(WorkloadFinding(.error, "client tools", error.message, hint: error.hint))
            }
        }
        findings += Self.findings(of: cluster, chosen: name)
        if let foreign = Self.foreign(cluster, context) { findings.append(foreign) }
        return findings
    }

    private static func findings(of cluster: DumpCluster, chosen name: String?) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        for database in cluster.databases where name == nil && !database.mayConnect {
            findings.append(
                WorkloadFinding(
                    .error, "rights", "the role may not connect to the database \(database.name)",
                    hint: "GRANT CONNECT on it, or name one database in the URL.", code: .accessDenied))
        }
        if !cluster.readsAll {
            findings.append(
                WorkloadFinding(
                    .warning, "rights", "the role is no member of pg_read_all_data, so it may not read every table",
                    hint: "Run `GRANT pg_read_all_data TO` the role as a superuser; large objects need a superuser."))
        }
        if !cluster.readsPasswords {
            findings.append(
                WorkloadFinding(
                    .warning, "globals", "roles are taken without their passwords, which only a superuser may read",
                    hint: "Keep them elsewhere, or run `GRANT SELECT ON pg_authid TO` the role as a superuser."))
        }
        return findings
    }

    private static func foreign(_ cluster: DumpCluster, _ context: WorkloadContext) -> WorkloadFinding? {
        guard let known = context.parent?.facts["systemIdentifier"], let found = cluster.systemIdentifier,
            known != found
        else { return nil }
        return WorkloadFinding(
            .error, "identity", "the server is cluster \(found), and the snapshots of this source are of \(known)",
            hint: "Check the URL; for a cluster that was made anew choose another name with --source.")
    }

    // MARK: Reading

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        let name = try address().database
        let cluster = try DumpCluster(try connect(name, context))
        if let foreign = Self.foreign(cluster, context) { throw foreign.failure }
        let dumper = try PostgresTool.best("pg_dump", for: cluster.major, context)
        let databases = name.map { [DumpDatabase(name: $0, mayConnect: true)] } ?? cluster.databases
        guard !databases.isEmpty else {
            throw HoldfastError(.sourceFailed, "no database allows connections", hint: "Look at pg_database.")
        }
        var outcome = ReadOutcome()
        outcome.facts = ["serverVersion": cluster.serverVersion, "clientVersion": dumper.version]
        outcome.facts["systemIdentifier"] = cluster.systemIdentifier
        let root = Self.metadata("", .directory, context)
        try sink.beginRoot(Self.rootPath, root, order: .sorted)
        var isGlobalsDue = true
        let globals = Array(DumpDatabase.globals.utf8)
        for database in databases {
            if isGlobalsDue, globals.lexicographicallyPrecedes(database.file.utf8) {
                try readGlobals(cluster, into: sink, &outcome, context)
                isGlobalsDue = false
            }
            try DumpReading(database, try address(), dumper, context).run(into: sink, &outcome)
        }
        if isGlobalsDue { try readGlobals(cluster, into: sink, &outcome, context) }
        try sink.endRoot()
        return outcome
    }

    private func readGlobals(
        _ cluster: DumpCluster, into sink: any EntrySink, _ outcome: inout ReadOutcome, _ context: WorkloadContext
    ) throws(HoldfastError) {
        let tool = try PostgresTool.best("pg_dumpall", for: cluster.major, context)
        let start = try address().database ?? DumpDatabase.maintenance
        var arguments = [
            tool.path, "--globals-only", "--no-password", "--lock-wait-timeout=\(DumpSnapshot.patience)",
            "--dbname=\(try address().connectionString(database: start))", "--database=\(start)",
        ]
        if !cluster.readsPasswords { arguments.append("--no-role-passwords") }
        outcome.facts["globals.passwords"] = cluster.readsPasswords ? "yes" : "no"
        let source = try CommandSource(
            PostgresTool.request(arguments), runner: context.runner, cancellation: context.cancellation)
        try sink.beginFile([Array(DumpDatabase.globals.utf8)], .content)
        while try sink.fill(atMost: 1 << 20, { (raw) throws(HoldfastError) in try source.read(into: raw) }) > 0 {}
        try source.finish()
        try sink.endFile(Self.metadata(DumpDatabase.globals, .file, context))
    }

    static func metadata(_ name: String, _ kind: EntryKind, _ context: WorkloadContext) -> EntryMetadata {
        var metadata = EntryMetadata(name: Array(name.utf8), kind: kind)
        metadata.mode = kind == .directory ? 0o700 : 0o600
        metadata.modified = context.clock.now()
        return metadata
    }
}

/// The dump of one database on its way into a snapshot.
struct DumpReading {
    private static let bufferSize = 1 << 20
    private static let rightsHint =
        "Run `GRANT pg_read_all_data TO` the role as a superuser; large objects need a superuser."

    private let database: DumpDatabase
    private let address: PostgresAddress
    private let tool: PostgresTool
    private let context: WorkloadContext

    init(_ database: DumpDatabase, _ address: PostgresAddress, _ tool: PostgresTool, _ context: WorkloadContext) {
        self.database = database
        self.address = address
        self.tool = tool
        self.context = context
    }

    /// Pushes the dump, and holds it to the rows that were counted in the same snapshot.
    ///
    /// - Throws: `.sourceFailed` when pg_dump fails or what it printed is not whole.
    func run(into sink: any EntrySink, _ outcome: inout ReadOutcome) throws(HoldfastError) {
        let snapshot = try DumpSnapshot(address, database: database.name, context)
        let expected: DumpExpectations
        do throws(HoldfastError) {
            expected = try snapshot.expectations(context.clock)
        } catch {
            guard error.code == .accessDenied else { throw error }
            throw HoldfastError(
                error.code, error.message, hint: Self.rightsHint, context: error.context.map { ($0.key, $0.value) })
        }
        let source = try CommandSource(
            PostgresTool.request([
                tool.path, "--format=custom", "--compress=0", "--no-password", "--snapshot=\(snapshot.identifier)",
                "--lock-wait-timeout=\(DumpSnapshot.patience)",
                "--dbname=\(address.connectionString(database: database.name))",
            ]), runner: context.runner, cancellation: context.cancellation)
        try sink.beginFile([Array(database.file.utf8)], .content)
        let scanner: DumpScanner
        do throws(HoldfastError) {
            scanner = try push(source, into: sink)
        } catch {
            throw Self.explained(error, database)
        }
        snapshot.end()
        try sink.endFile(DumpWorkload.metadata(database.file, .file, context))
        let rows = try compare(scanner, expected)
        let prefix = SnapshotRecord.prefix(ofRoot: database.file)
        outcome.facts[prefix + "database"] = database.name
        outcome.facts[prefix + "consistentAsOf"] = snapshot.instant.description
        for (table, count) in rows {
            outcome.expectedContents[prefix + DumpContents.rowsPrefix + table.text] = String(count)
        }
        outcome.expectedContents[prefix + DumpContents.largeObjectsKey] = String(expected.largeObjects)
        outcome.expectedContents[prefix + DumpContents.entriesKey] = scanner.entriesDigest
        outcome.facts[prefix + DumpContents.schemaFact] = expected.schema
        outcome.consistentAsOf = min(outcome.consistentAsOf ?? snapshot.instant, snapshot.instant)
        if expected.tables.count > DumpContents.mostTables {
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "row counts",
                    "the rows of the first \(DumpContents.mostTables) tables of \(database.name) are in the record, "
                        + "of \(expected.tables.count)"))
        }
    }

    private func push(_ source: CommandSource, into sink: any EntrySink) throws(HoldfastError) -> DumpScanner {
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.bufferSize, alignment: 16)
        defer { buffer.deallocate() }
        var scanner = DumpScanner()
        while true {
            let count = try source.fill(buffer)
            guard count > 0 else { break }
            var rest = UnsafeRawBufferPointer(rebasing: buffer[..<count])
            while rest.count > 0 {
                let step = try scanner.advance(rest)
                try sink.write(UnsafeRawBufferPointer(rebasing: rest[..<step.count]))
                if step.isBoundary { try sink.boundary() }
                rest = UnsafeRawBufferPointer(rebasing: rest[step.count...])
            }
        }
        try source.finish()
        try scanner.finish()
        return scanner
    }

    /// The rows of the tables that are kept in the record.
    private func compare(
        _ scanner: DumpScanner, _ expected: DumpExpectations
    ) throws(HoldfastError) -> [DumpTable: UInt64] {
        let dumped = scanner.rows
        var rows: [DumpTable: UInt64] = [:]
        for table in expected.tables.prefix(DumpContents.mostTables) {
            guard let count = dumped[table] else {
                throw DumpScanner.damaged("it lacks the table \(table.text) of \(database.name)")
            }
            if let known = expected.rows[table], known != count {
                throw DumpScanner.damaged(
                    "table \(table.text) of \(database.name) has \(count) rows in it, and \(known) in the same snapshot"
                )
            }
            rows[table] = count
        }
        guard scanner.largeObjects == expected.largeObjects else {
            throw DumpScanner.damaged(
                "it has \(scanner.largeObjects) large objects instead of \(expected.largeObjects)")
        }
        return rows
    }

    /// The failure with pg_dump's own last line in the message, and what to do about it.
    private static func explained(_ error: HoldfastError, _ database: DumpDatabase) -> HoldfastError {
        guard error.code == .sourceFailed, let tail = error.context.first(where: { $0.key == "stderr" })?.value else {
            return error
        }
        let hint =
            tail.contains("permission denied")
            ? rightsHint
            : tail.contains("LOCK TABLE")
                ? "Another session holds a lock on the table: run the backup again when it is done."
                : error.hint
        return HoldfastError(
            error.code, "the dump of the database \(database.name): \(postgresLine(tail))", hint: hint,
            context: error.context.filter { $0.key != "stderr" }.map { ($0.key, $0.value) }, retry: error.retry)
    }
}
