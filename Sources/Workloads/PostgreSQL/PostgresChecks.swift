// What a restored cluster is asked: its manifest, its replay, its contents, its indexes, and a read of all of it.

import Primitives
import Repository

/// The checks of one scratch server; each gives a finding, also when it was passed.
struct PostgresChecks: Sendable {
    private static let mostComplaints = 20

    private let scratch: PostgresScratch
    private let record: SnapshotRecord
    private let context: WorkloadContext
    private let catalogue: PostgresCatalogue
    /// Damage that was known when the snapshot was taken is no surprise.
    private let bad: WorkloadFinding.Severity

    init(
        _ scratch: PostgresScratch, _ record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) {
        self.scratch = scratch
        self.record = record
        self.context = context
        catalogue = PostgresCatalogue(address: try PostgresAddress(scratch.address))
        bad = record.isDamaged ? .warning : .error
    }

    /// - Throws: `.interrupted`, and what keeps a check from being made that is no word of the server. What the others
    ///   found is with the scratch server then.
    func run() throws(HoldfastError) -> [WorkloadFinding] {
        var databases: [String]?
        var looks: [Look] = []
        looks.append(
            look("server") { () throws(HoldfastError) in
                let first = try catalogue.connect(to: catalogue.address.database ?? "postgres", context)
                databases = try catalogue.databases(first)
                return try identity(first)
            })
        // Before all that adds an extension to a database.
        looks.append(look("schema") { () throws(HoldfastError) in try contents() })
        let known = databases
        // A read of all keeps one processor busy, and the last index another.
        let (indexes, all) = try atOnce(
            { () throws(HoldfastError) in look("pg_amcheck") { () throws(HoldfastError) in [try amcheck()] } },
            { () throws(HoldfastError) in
                [
                    look("pg_dump") { () throws(HoldfastError) in
                        if let known { [try fullRead(known)] } else { [] }
                    },
                    look("rows") { () throws(HoldfastError) in try rows() },
                ]
            })
        looks += [indexes] + all
        let findings = scratch.findings + looks.flatMap(\.findings)
        let failures = looks.compactMap(\.failure)
        guard let first = failures.first else { return findings }
        scratch.findings = findings
        // What says least of the copy is not to hide that another check left it open.
        throw failures.first { $0.code == .interrupted }
            ?? failures.first { PostgresBlame.error($0) == .unclear }?.asUnclear ?? first
    }

    /// What came of one check.
    private struct Look: Sendable {
        var findings: [WorkloadFinding] = []
        /// What kept it from being made.
        var failure: HoldfastError?
    }

    /// One check, which takes no other along when it breaks off. What the server says is found of the copy.
    private func look(_ subject: String, _ body: () throws(HoldfastError) -> [WorkloadFinding]) -> Look {
        do throws(HoldfastError) {
            return Look(findings: try body())
        } catch {
            guard PostgresBlame.error(error) == .copy else { return Look(failure: error) }
            return Look(findings: [
                WorkloadFinding(
                    bad, subject, error.message, hint: "Compare with another snapshot.", code: .checkFailed)
            ])
        }
    }

    // MARK: Files

    /// The copy against the manifest of the server, before a server has run over it.
    static func manifest(
        _ preparation: PostgresScratch.Preparation, _ context: WorkloadContext
    ) throws(HoldfastError) -> WorkloadFinding {
        let (programs, data) = (preparation.programs, preparation.data)
        guard programs.has("pg_verifybackup") else {
            let directory = PostgresDirectory(data)
            do throws(HoldfastError) {
                let count = try ManifestVerification(directory.manifest(), directory: data, threads: Host.processors)
                    .run(context)
                return WorkloadFinding(.good, "manifest", "\(count) files are as the server's manifest says")
            } catch {
                // Other codes are of the place.
                guard [.checkFailed, .corruptObject].contains(error.code) else { throw error }
                return WorkloadFinding(.error, "manifest", error.message, hint: error.hint, code: .checkFailed)
            }
        }
        let outcome = try ToolRun(preparation.words("pg_verifybackup", ["--", data])).run(context)
        guard outcome.result.isSuccess else {
            let message = "\(outcome.result): \(outcome.complaint)"
            if let failure = PostgresBlame.program(outcome).failure(of: "pg_verifybackup", message) { throw failure }
            return WorkloadFinding(
                .error, "pg_verifybackup", message,
                hint: "Restore it again; then look whether another snapshot has the same fault.", code: .checkFailed)
        }
        return WorkloadFinding(
            .good, "pg_verifybackup", "every file is as the server's manifest says, the log is whole")
    }

    // MARK: State

    private func identity(_ connection: PostgresConnection) throws(HoldfastError) -> [WorkloadFinding] {
        let row =
            try connection.rows(
                "SELECT system_identifier, pg_current_wal_lsn() FROM pg_control_system()", for: "the state of the copy"
            ).first ?? []
        guard row.count == 2, let identifier = row[0], let position = row[1].flatMap({ PostgresPosition($0) }) else {
            throw HoldfastError(.checkFailed, "the scratch server does not say what it holds")
        }
        var findings: [WorkloadFinding] = []
        if let expected = record.expectedContents[PostgresCatalogue.identifierKey] {
            findings.append(
                expected == identifier
                    ? WorkloadFinding(.good, "identity", "cluster \(identifier)")
                    : WorkloadFinding(
                        .error, "identity", "the copy is cluster \(identifier), not \(expected)", code: .checkFailed))
        }
        if let text = record.expectedContents[PostgresCatalogue.positionKey] {
            let isReached = PostgresPosition(text).map { $0 <= position } ?? false
            findings.append(
                isReached
                    ? WorkloadFinding(.good, "replay", "to \(position); the backup ended at \(text)")
                    : WorkloadFinding(
                        .error, "replay", "stopped at \(position), before the end of the backup at \(text)",
                        hint: "Some of the log that the backup needs was not replayed.", code: .checkFailed))
        }
        return findings
    }

    private func contents() throws(HoldfastError) -> [WorkloadFinding] {
        let expected = record.expectedContents
        let picture = try catalogue.picture(context) { PostgresBlame.error($0) == .copy }
        var findings: [WorkloadFinding] = []
        func compare(_ subject: String, _ thing: String, _ key: String, _ found: String?) {
            guard let value = expected[key] else { return }
            findings.append(
                found == value
                    ? WorkloadFinding(.good, subject, "\(thing) as before and after the backup")
                    : WorkloadFinding(
                        bad, subject, found == nil ? "\(thing) not there" : "\(thing) other than around the backup",
                        hint: "Compare with another snapshot.", code: .checkFailed))
        }
        compare("globals", "roles, databases and tablespaces are", PostgresCatalogue.clusterKey, picture.cluster)
        for key in expected.keys.sorted() where key.hasPrefix(PostgresCatalogue.schemaPrefix) {
            let name = String(key.dropFirst(PostgresCatalogue.schemaPrefix.count))
            compare("schema", "the schemas of \(name) are", key, picture.schemas[name])
        }
        for (name, reason) in picture.unseen.sorted(by: { $0.key < $1.key }) {
            findings.append(WorkloadFinding(bad, "schema", "\(name) cannot be read: \(reason)", code: .checkFailed))
        }
        if findings.isEmpty {
            findings.append(
                WorkloadFinding(
                    .warning, "schema", "the snapshot holds no record of schemas to compare with",
                    hint: "Let the role of the backup connect to the databases; see docs/DATABASES.md."))
        }
        return findings
    }

    /// Counts the tables whose rows were estimated. An estimate may be far off; a table that is empty or half as large
    /// is worth a look, and no more.
    private func rows() throws(HoldfastError) -> [WorkloadFinding] {
        var tables: [PostgresTable: Int64] = [:]
        for (key, value) in record.expectedContents where key.hasPrefix(PostgresCatalogue.estimatePrefix) {
            guard let table = PostgresTable(key: key.dropFirst(PostgresCatalogue.estimatePrefix.count)) else {
                continue
            }
            tables[table] = Int64(value)
        }
        guard !tables.isEmpty else { return [] }
        var findings: [WorkloadFinding] = []
        var counted = 0
        for database in Set(tables.keys.map(\.database)).sorted() {
            do throws(HoldfastError) {
                let connection = try catalogue.connect(to: database, context)
                _ = try connection.rows("SET statement_timeout = 0", for: "set up the session")
                for (table, estimate) in tables.sorted(by: { $0.key.key < $1.key.key }) where table.database == database
                {
                    let name = try "\(connection.identifier(table.schema)).\(connection.identifier(table.name))"
                    let text = try connection.rows("SELECT count(*) FROM \(name)", for: "count \(name)")
                    guard let count = (text.first?.first ?? nil).flatMap({ Int64($0) }) else { continue }
                    counted += 1
                    if count >= estimate / 2, count / 2 <= estimate { continue }
                    findings.append(
                        WorkloadFinding(
                            .warning, "rows",
                            "\(name) of \(database) holds \(count) rows where about \(estimate) are expected",
                            hint: "The planner's estimate may be wrong: run ANALYZE at the source, and compare."))
                }
            } catch {
                guard PostgresBlame.error(error) == .copy else { throw error }
                findings.append(WorkloadFinding(bad, "rows", "\(database): \(error.message)", code: .checkFailed))
            }
        }
        return findings + [WorkloadFinding(.good, "rows", "\(counted) tables counted")]
    }

    // MARK: Tools

    private func amcheck() throws(HoldfastError) -> WorkloadFinding {
        guard scratch.programs.has("pg_amcheck") else {
            return WorkloadFinding(
                .warning, "pg_amcheck", "is not installed, so indexes are not compared with their tables",
                hint: "Install the server's contrib programs.")
        }
        let words = scratch.words(
            "pg_amcheck",
            scratch.clientOptions + [
                "--all", "--maintenance-db=\(catalogue.address.database ?? "postgres")", "--heapallindexed",
                "--install-missing", "--jobs=\(max(1, min(4, Host.processors)))",
            ])
        let outcome = try ToolRun(words, sessionOptions: PostgresScratch.sessionOptions).run(context)
        if outcome.result.isSuccess {
            return WorkloadFinding(.good, "pg_amcheck", "tables and indexes of all databases are sound")
        }
        let lines = String(decoding: outcome.head.isEmpty ? outcome.errorTail : outcome.head, as: UTF8.self)
            .split(separator: "\n").prefix(Self.mostComplaints).joined(separator: "; ")
        let message = "\(outcome.result): \(lines.isEmpty ? outcome.complaint : lines)"
        if let failure = PostgresBlame.program(outcome).failure(of: "pg_amcheck", message) { throw failure }
        return WorkloadFinding(
            bad, "pg_amcheck", message,
            hint: "What it names is damaged: compare with an older snapshot, and with the source.", code: .checkFailed)
    }

    /// Reads every row of every database, which the check of indexes does not: values that are stored apart.
    private func fullRead(_ databases: [String]) throws(HoldfastError) -> WorkloadFinding {
        guard scratch.programs.has("pg_dump") else {
            return WorkloadFinding(
                .warning, "pg_dump", "is not installed, so not every row is read",
                hint: "Install the client programs of PostgreSQL \(scratch.programs.major).")
        }
        for database in databases {
            // Through a pipe it would take twice the time of a processor.
            let words = scratch.words(
                "pg_dump", scratch.clientOptions + ["--file=/dev/null", "-d", Self.connection(database)])
            let outcome = try ToolRun(words, sessionOptions: PostgresScratch.sessionOptions).run(context)
            guard outcome.result.isSuccess else {
                let reason = postgresLine(String(decoding: outcome.errorTail, as: UTF8.self)).prefix(1000)
                let message = "of \(database): \(outcome.result): \(reason)"
                if let failure = PostgresBlame.program(outcome).failure(of: "pg_dump", message) { throw failure }
                return WorkloadFinding(
                    bad, "pg_dump", message,
                    hint: "What it names cannot be read: compare with an older snapshot.", code: .checkFailed)
            }
        }
        return WorkloadFinding(.good, "pg_dump", "read all rows of \(databases.count) databases")
    }

    /// A connection string, since a bare name may look like one.
    static func connection(_ database: String) -> String {
        var escaped = ""
        for character in database {
            if character == "'" || character == "\\" { escaped.append("\\") }
            escaped.append(character)
        }
        return "dbname='\(escaped)'"
    }
}
