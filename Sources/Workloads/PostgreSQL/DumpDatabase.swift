// The databases of a cluster as a dump sees them: which there are, and one of them held in a snapshot of its own.

import Primitives
import Sealing

/// A database of a cluster.
struct DumpDatabase: Sendable, Hashable {
    static let suffix = ".dump"
    static let globals = "globals.sql"
    /// The database that is asked when the URL names none.
    static let maintenance = "postgres"

    let name: String
    let mayConnect: Bool

    /// What its dump is called: a name of a file, also for a database with a slash in its name.
    var file: String { Self.file(of: name) }

    static func file(of name: String) -> String {
        var text = ""
        for character in name.unicodeScalars {
            switch character {
            case "/": text += "%2F"
            case "%": text += "%25"
            default: text.unicodeScalars.append(character)
            }
        }
        return text + suffix
    }
}

/// What a server tells of its cluster to a dump.
struct DumpCluster: Sendable {
    let serverVersion: String
    let number: Int
    /// Nil when the role may not ask for it.
    let systemIdentifier: String?
    let databases: [DumpDatabase]
    /// Whether the hashes of the passwords may be read.
    let readsPasswords: Bool
    /// Whether the role may read all tables.
    let readsAll: Bool

    var major: Int { number / 10_000 }

    init(_ connection: PostgresConnection) throws(HoldfastError) {
        serverVersion = connection.setting("server_version") ?? ""
        number = connection.serverVersion
        let rights = try connection.rows(
            """
            SELECT has_table_privilege('pg_catalog.pg_authid', 'SELECT'), rolsuper OR EXISTS (
            SELECT FROM pg_roles r WHERE r.rolname = 'pg_read_all_data' AND pg_has_role(current_user, r.oid, 'USAGE')),
            has_function_privilege('pg_control_system()', 'EXECUTE')
            FROM pg_roles WHERE rolname = current_user
            """, columns: 3, for: "the rights of the role"
        ).first
        readsPasswords = rights?[0] == "t"
        readsAll = rights?[1] == "t"
        systemIdentifier =
            rights?[2] == "t"
            ? try connection.rows("SELECT system_identifier FROM pg_control_system()", for: "identify the cluster")
                .first?.first ?? nil : nil
        let rows = try connection.rows(
            """
            SELECT datname, has_database_privilege(oid, 'CONNECT') FROM pg_database WHERE datallowconn
            """, columns: 2, for: "the list of databases")
        databases = rows.map { DumpDatabase(name: $0[0] ?? "", mayConnect: $0[1] == "t") }
            .sorted { $0.file.utf8.lexicographicallyPrecedes($1.file.utf8) }
    }
}

/// One database held at one instant, whose snapshot pg_dump reads too.
///
/// Thread: one at a time. The snapshot ends with the object.
final class DumpSnapshot {
    /// How long the rows of all tables may be counted.
    static let countingTime = Duration.seconds(60)
    /// How long a lock that another holds is waited for.
    static let patience = "60s"

    private let connection: PostgresConnection
    private let contents: DumpContents
    /// All that was committed before it is in the snapshot.
    let instant: Timestamp
    let identifier: String

    init(_ address: PostgresAddress, database name: String, _ context: WorkloadContext) throws(HoldfastError) {
        connection = try PostgresConnection(
            address, for: .database(name), clock: context.clock, cancellation: context.cancellation)
        let action = "a snapshot of the database \(name)"
        for setting in ["idle_in_transaction_session_timeout = 0", "statement_timeout = 0", "row_security = off"] {
            _ = try connection.rows("SET \(setting)", for: action)
        }
        _ = try connection.rows("SET lock_timeout = '\(Self.patience)'", for: action)
        _ = try connection.rows("SET search_path = ''", for: action)
        _ = try connection.rows("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", for: action)
        instant = context.clock.now()
        guard let text = try connection.rows("SELECT pg_export_snapshot()", for: action).first?.first ?? nil else {
            throw HoldfastError(.sourceFailed, "\(action): the server gives no name for it")
        }
        identifier = text
        contents = DumpContents(connection)
    }

    /// What its dump must hold, and a restore.
    func expectations(_ clock: any Clock) throws(HoldfastError) -> DumpExpectations {
        let deadline = clock.uptime() + Self.countingTime
        let tables = try contents.tables()
        var rows: [DumpTable: UInt64] = [:]
        for table in tables.prefix(DumpContents.mostTables) {
            let left = deadline - clock.uptime()
            guard left > .zero, let count = try contents.count(table, within: left) else { break }
            rows[table] = count
        }
        return DumpExpectations(
            tables: tables, rows: rows, largeObjects: try contents.largeObjects(), schema: try contents.fingerprint())
    }

    func end() { _ = try? connection.rows("COMMIT", for: "the end of a snapshot") }
}

/// What a database holds at one instant.
struct DumpExpectations: Sendable {
    let tables: [DumpTable]
    /// As far as there was time to count them.
    let rows: [DumpTable: UInt64]
    let largeObjects: UInt64
    let schema: String
}

/// What a database holds, for the snapshot's record and for the look at a restored one.
struct DumpContents {
    /// Tables whose rows are counted and kept in the record.
    static let mostTables = 10_000
    static let rowsPrefix = "rows:"
    static let largeObjectsKey = "largeObjects"
    /// Of the entries of an archive.
    static let entriesKey = "entries.sha256"
    /// Of a database's columns, keys and indexes; a fact, since only a server can tell it.
    static let schemaFact = "schema.sha256"

    private static let isOwn = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
    private static let isExtension = """
        EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
        AND d.objid = c.oid AND d.deptype = 'e')
        """

    let connection: PostgresConnection

    init(_ connection: PostgresConnection) { self.connection = connection }

    /// The tables with rows of their own that a dump holds: those of extensions come with these, and what is not logged
    /// cannot be read on a standby.
    func tables() throws(HoldfastError) -> [DumpTable] {
        let rows = try connection.rows(
            """
            SELECT n.nspname, c.relname FROM pg_catalog.pg_class c
            JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND (c.relpersistence = 'p' OR c.relpersistence = 'u' AND NOT pg_is_in_recovery())
            AND \(Self.isOwn) AND NOT \(Self.isExtension)
            """, columns: 2, for: "the list of tables")
        return rows.map { DumpTable(schema: $0[0] ?? "", name: $0[1] ?? "") }.sorted()
    }

    /// The rows of a table; nil when there was no time to count them, or another session has it locked.
    func count(_ table: DumpTable, within time: Duration) throws(HoldfastError) -> UInt64? {
        let milliseconds = max(1, time.components.seconds * 1000 + time.components.attoseconds / 1_000_000_000_000_000)
        let action = "the rows of \(table.text)"
        // A statement that runs out of time must not end the transaction, and with it the snapshot.
        _ = try connection.rows("SAVEPOINT counting", for: action)
        _ = try connection.rows("SET LOCAL statement_timeout = \(milliseconds)", for: action)
        // Whoever holds the table keeps pg_dump waiting later on; that wait is not to come twice.
        _ = try connection.rows("SET LOCAL lock_timeout = \(min(milliseconds, 2000))", for: action)
        do throws(HoldfastError) {
            let count = try self.count(table)
            _ = try connection.rows("ROLLBACK TO counting", for: action)
            return count
        } catch {
            let state = error.context.first { $0.key == "sqlstate" }?.value
            guard state == "57014" || state == "55P03" else { throw error }
            _ = try connection.rows("ROLLBACK TO counting", for: action)
            return nil
        }
    }

    func count(_ table: DumpTable) throws(HoldfastError) -> UInt64 {
        let name = "\(try connection.identifier(table.schema)).\(try connection.identifier(table.name))"
        return try number("SELECT count(*) FROM ONLY \(name)", for: "the rows of \(table.text)")
    }

    func largeObjects() throws(HoldfastError) -> UInt64 {
        try number("SELECT count(*) FROM pg_catalog.pg_largeobject_metadata", for: "the number of large objects")
    }

    private func number(_ statement: String, for action: String) throws(HoldfastError) -> UInt64 {
        guard let text = try connection.rows(statement, for: action).first?.first ?? nil, let number = UInt64(text)
        else { throw HoldfastError(.sourceFailed, "\(action): the server gives no number") }
        return number
    }

    /// A fingerprint of what is the same after a restore: columns, keys and indexes.
    ///
    /// Texts that the server makes of expressions are left out: they differ after a restore.
    func fingerprint() throws(HoldfastError) -> String {
        let from = """
            FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            """
        let rows = try connection.rows(
            """
            SELECT line FROM (
            SELECT concat_ws(chr(1), 'column', n.nspname, c.relname, c.relkind, row_number() OVER (
                PARTITION BY c.oid ORDER BY a.attnum), a.attname,
                pg_catalog.format_type(a.atttypid, a.atttypmod), a.attnotnull) AS line
            \(from) JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c') AND c.relpersistence <> 't' AND \(Self.isOwn)
            AND NOT \(Self.isExtension)
            UNION ALL
            SELECT concat_ws(chr(1), 'index', n.nspname, c.relname, t.relname, i.indisunique, i.indisprimary)
            \(from) JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid JOIN pg_catalog.pg_class t ON t.oid = i.indrelid
            WHERE t.relpersistence <> 't' AND \(Self.isOwn)
            UNION ALL
            SELECT concat_ws(chr(1), 'constraint', n.nspname, c.relname, k.conname, k.contype)
            \(from) JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid
            WHERE k.contype <> 'n' AND c.relpersistence <> 't' AND \(Self.isOwn)
            UNION ALL
            SELECT concat_ws(chr(1), 'sequence', n.nspname, c.relname)
            \(from) WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND \(Self.isOwn)
            ) lines ORDER BY line COLLATE "C"
            """, for: "the fingerprint of the schema")
        let hash = SHA256Stream()
        for row in rows {
            let line = Array(((row.first ?? nil) ?? "").utf8) + [0]
            hash.update(line.span.bytes)
        }
        return Hex.encode(hash.finish().array)
    }
}
