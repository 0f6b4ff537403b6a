// What the databases of a cluster hold by its catalogues, for snapshots' records and for the look at a restored copy.
// https://www.postgresql.org/docs/15/catalogs.html

import Primitives
import Repository
import Sealing

/// The schemas of a cluster at one time, as far as the role may see them.
///
/// A base backup is consistent as of its end, which is no transaction's instant, so nothing can be counted in the very
/// state that it holds. What is the same before its start and after its end, though, is so in the backup too: that goes
/// for schemas, and is why two pictures are taken. Counts of rows are the planner's estimates.
struct PostgresPicture: Sendable {
    /// Fingerprint of roles, databases and tablespaces.
    var cluster = ""
    /// Fingerprints of schemas, by database.
    var schemas: [String: String] = [:]
    /// Estimated rows of large tables.
    var estimates: [PostgresTable: Int64] = [:]
    /// Unlogged relations, which come back empty, of all databases.
    var unlogged = 0
    /// The cluster's first role, which is always a superuser.
    var superuser: String?
    /// When the newest transaction was committed that a standby has replayed, by its primary's clock; nil for others.
    var replayed: Timestamp?
    /// Directories of tablespaces at the server.
    var tablespaces: [String] = []
    /// Why databases were not looked into, by their names.
    var unseen: [String: String] = [:]
}

/// A table of one of a cluster's databases.
struct PostgresTable: Sendable, Hashable {
    var database: String
    var schema: String
    var name: String

    /// What the record calls it: `"schema"."table"@database`, quotes within doubled.
    var key: String { "\(Self.quoted(schema)).\(Self.quoted(name))@\(database)" }

    init(database: String, schema: String, name: String) {
        self.database = database
        self.schema = schema
        self.name = name
    }

    /// - Returns: nil for what is no key.
    init?(key: some StringProtocol) {
        var rest = Substring(key)
        guard let schema = Self.unquote(&rest, closing: "."), let name = Self.unquote(&rest, closing: "@"),
            !rest.isEmpty
        else { return nil }
        self.init(database: String(rest), schema: schema, name: name)
    }

    private static func quoted(_ text: String) -> String { "\"\(text.replacing("\"", with: "\"\""))\"" }

    private static func unquote(_ rest: inout Substring, closing: Character) -> String? {
        guard rest.popFirst() == "\"" else { return nil }
        var text = ""
        while let character = rest.popFirst() {
            guard character == "\"" else {
                text.append(character)
                continue
            }
            let next = rest.popFirst()
            if next == closing { return text }
            guard next == "\"" else { return nil }
            text.append("\"")
        }
        return nil
    }
}

/// Takes pictures.
struct PostgresCatalogue: Sendable {
    static let clusterKey = "cluster.sha256"
    static let schemaPrefix = "schema.sha256:"
    static let estimatePrefix = "rows.estimate:"
    static let positionKey = "stopPosition"
    static let identifierKey = "systemIdentifier"

    static let mostDatabases = 500
    /// Estimates are kept of this many tables of a database, the largest.
    static let mostTables = 200
    /// Tables with fewer rows are not estimated: the estimates of small ones are far off.
    static let fewestRows = 1000
    /// For one statement.
    private static let patience = Duration.seconds(60)
    private static let reach = Duration.seconds(10)

    let address: PostgresAddress

    /// A session that reads only, and prints definitions in one way whatever is set for the role.
    func connect(
        to database: String, isReadOnly: Bool = true, _ context: WorkloadContext
    ) throws(HoldfastError) -> PostgresConnection {
        let connection = try PostgresConnection(
            address, for: .database(database), clock: context.clock, cancellation: context.cancellation,
            timeout: Self.reach)
        let settings = [
            "search_path = ''", "datestyle = 'ISO, MDY'", "intervalstyle = 'postgres'", "timezone = 'UTC'",
            "extra_float_digits = 1", "quote_all_identifiers = off", "standard_conforming_strings = on",
            "default_transaction_read_only = \(isReadOnly ? "on" : "off")",
            "statement_timeout = \(isReadOnly ? Self.patience.components.seconds * 1000 : 0)",
            "lock_timeout = \(isReadOnly ? 2000 : 0)",
        ]
        for setting in settings { _ = try connection.rows("SET \(setting)", for: "set up the session") }
        return connection
    }

    /// The database that tells of the whole cluster.
    private func first(_ context: WorkloadContext) throws(HoldfastError) -> PostgresConnection {
        if let database = address.database { return try connect(to: database, context) }
        do throws(HoldfastError) {
            return try connect(to: "postgres", context)
        } catch {
            guard error.sqlstate == "3D000" else { throw error }
            return try connect(to: "template1", context)
        }
    }

    /// - Parameter isOfDatabase: Whether a failure leaves out the database in which it happens, and no more.
    /// - Throws: when no database lets the role in, `.interrupted`.
    func picture(
        _ context: WorkloadContext, leavingOut isOfDatabase: (HoldfastError) -> Bool = { $0.code != .interrupted }
    ) throws(HoldfastError) -> PostgresPicture {
        var picture = PostgresPicture()
        let names = try lookAtCluster(try first(context), &picture)
        for (number, name) in names.enumerated() {
            guard number < Self.mostDatabases else {
                picture.unseen[name] = "there are more than \(Self.mostDatabases) databases"
                continue
            }
            do throws(HoldfastError) {
                try look(at: name, try connect(to: name, context), &picture)
            } catch {
                guard isOfDatabase(error) else { throw error }
                picture.schemas[name] = nil
                picture.unseen[name] = error.message
            }
        }
        return picture
    }

    private func lookAtCluster(
        _ connection: PostgresConnection, _ picture: inout PostgresPicture
    ) throws(HoldfastError) -> [String] {
        let lines = try connection.rows(Self.clusterLines, for: "the list of roles and databases")
        let hash = SHA256Stream()
        for line in lines.compactMap({ $0.first ?? nil }).sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            let bytes = Array("\(line.utf8.count):\(line)".utf8)
            hash.update(bytes.span.bytes)
        }
        picture.cluster = Hex.encode(hash.finish().array)
        picture.superuser =
            try connection.rows("SELECT rolname FROM pg_roles WHERE oid = 10", for: "the first role").first?.first
            ?? nil
        let replayed = try connection.rows(
            """
            SELECT to_char(pg_last_xact_replay_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
            WHERE pg_is_in_recovery()
            """, for: "what the standby has replayed")
        picture.replayed = (replayed.first?.first ?? nil).flatMap { Timestamp(text: $0) }
        picture.tablespaces = try connection.rows(
            "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE oid >= 16384 ORDER BY 1",
            for: "the list of tablespaces"
        ).compactMap { $0.first ?? nil }
        return try databases(connection)
    }

    /// Databases that can be connected to, by name.
    func databases(_ connection: PostgresConnection) throws(HoldfastError) -> [String] {
        try connection.rows(
            "SELECT datname FROM pg_database WHERE datallowconn ORDER BY datname", for: "the list of databases"
        ).compactMap { $0.first ?? nil }
    }

    private func look(
        at database: String, _ connection: PostgresConnection, _ picture: inout PostgresPicture
    ) throws(HoldfastError) {
        picture.schemas[database] = try schema(connection)
        for row in try connection.rows(Self.estimates, for: "the estimates of rows") {
            guard row.count == 3, let schema = row[0], let name = row[1], let count = row[2].flatMap({ Int64($0) })
            else { continue }
            picture.estimates[PostgresTable(database: database, schema: schema, name: name)] = count
        }
        let unlogged = "SELECT count(*) FROM pg_class WHERE relpersistence = 'u' AND relkind IN ('r', 'm')"
        let count = try connection.rows(unlogged, for: "the count of unlogged tables").first?.first ?? nil
        picture.unlogged += count.flatMap { Int($0) } ?? 0
    }

    /// The fingerprint of the schemas of the database that `connection` is to.
    func schema(_ connection: PostgresConnection) throws(HoldfastError) -> String {
        let found = try connection.rows(Self.schemaFingerprint, for: "the fingerprint of the schemas").first?.first
        guard let text = found ?? nil else { throw HoldfastError(.sourceFailed, "the server gives no fingerprint") }
        return text
    }

    // MARK: Statements

    private static let clusterLines = """
        SELECT format('role %I %s %s %s %s %s %s %s', rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb,
          rolcanlogin, rolreplication, rolbypassrls) FROM pg_roles
        UNION ALL SELECT format('member %s %s', roleid::regrole, member::regrole) FROM pg_auth_members
        UNION ALL SELECT format('database %I %s %s %s', datname, pg_encoding_to_char(encoding), datcollate, datctype)
          FROM pg_database
        UNION ALL SELECT format('tablespace %I', spcname) FROM pg_tablespace
        """

    private static let ownSchemas = """
        n AS (SELECT oid, nspname FROM pg_namespace
          WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND nspname !~ '^pg_(toast_)?temp_'),
        r AS (SELECT c.*, nspname FROM pg_class c JOIN n ON n.oid = relnamespace WHERE relpersistence <> 't')
        """

    // The server adds up the lines, which may be many. Sorted by bytes, so that no locale counts.
    private static let schemaFingerprint = """
        WITH \(ownSchemas), lines (line) AS (
          SELECT format('relation %I.%I %s %s %s', nspname, relname, relkind, relpersistence, relispartition) FROM r
          UNION ALL SELECT format('column %I.%I %s %I %s %s %s', nspname, relname, attnum, attname,
              format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
            FROM r JOIN pg_attribute ON attrelid = r.oid LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
            WHERE attnum > 0 AND NOT attisdropped AND relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
          UNION ALL SELECT pg_get_indexdef(r.oid) FROM r WHERE relkind IN ('i', 'I')
          UNION ALL SELECT format('constraint %I.%I %I %s', nspname, relname, conname, pg_get_constraintdef(k.oid))
            FROM r JOIN pg_constraint k ON conrelid = r.oid
          UNION ALL SELECT format('view %I.%I %s', nspname, relname, pg_get_viewdef(r.oid)) FROM r
            WHERE relkind IN ('v', 'm')
          UNION ALL SELECT pg_get_triggerdef(t.oid) FROM r JOIN pg_trigger t ON tgrelid = r.oid WHERE NOT tgisinternal
          UNION ALL SELECT format('function %I.%I(%s) %s', nspname, proname, pg_get_function_identity_arguments(p.oid),
              md5(prosrc)) FROM pg_proc p JOIN n ON n.oid = pronamespace)
        SELECT encode(sha256(convert_to(coalesce(string_agg(line, E'\\n' ORDER BY line COLLATE "C"), ''),
          getdatabaseencoding())), 'hex') FROM lines
        """

    private static let estimates = """
        WITH \(ownSchemas) SELECT nspname, r.relname,
          (CASE WHEN n_live_tup > 0 THEN n_live_tup ELSE reltuples END)::bigint AS rows
        FROM r LEFT JOIN pg_stat_all_tables ON relid = r.oid WHERE relkind IN ('r', 'm') AND relpersistence = 'p'
          AND (CASE WHEN n_live_tup > 0 THEN n_live_tup ELSE reltuples END) >= \(fewestRows)
        ORDER BY rows DESC, 1, 2 LIMIT \(mostTables)
        """
}

extension PostgresPicture {
    /// What a snapshot that was taken between this picture and a `later` one is known to hold.
    func expectations(with later: PostgresPicture) -> [String: String] {
        var expected: [String: String] = [:]
        if cluster == later.cluster { expected[PostgresCatalogue.clusterKey] = cluster }
        for (name, schema) in schemas where later.schemas[name] == schema {
            expected[PostgresCatalogue.schemaPrefix + name] = schema
            for (table, count) in later.estimates where table.database == name {
                expected[PostgresCatalogue.estimatePrefix + table.key] = String(count)
            }
        }
        return expected
    }

    /// Databases whose schemas are not known for the snapshot, since they changed meanwhile.
    func changed(until later: PostgresPicture) -> [String] {
        Set(schemas.keys).union(later.schemas.keys).filter { schemas[$0] != later.schemas[$0] }.sorted()
    }
}

extension HoldfastError {
    /// What the server's failure is called by the standard; nil when it is none of a server.
    var sqlstate: String? { context.first { $0.key == "sqlstate" }?.value }
}
