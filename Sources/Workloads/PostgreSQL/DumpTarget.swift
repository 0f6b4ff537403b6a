// Databases of a server as targets of a restore: made, looked at, and dropped.

import Primitives

/// What is done with the server that dumps are restored to.
struct DumpTarget: Sendable {
    /// A setting of a database that a restore is making, until it is whole: another run may make it anew.
    private static let marker = "holdfast.restoring"
    private static let action = "prepare the target"

    enum State: Sendable, Hashable {
        case absent
        case empty
        /// A restore that was broken off made it.
        case unfinished
        case full
    }

    let workload: DumpWorkload
    let context: WorkloadContext

    /// A session that does not keep the database `name` from being dropped.
    private func beside(_ name: String) throws(HoldfastError) -> PostgresConnection {
        try connect(name == DumpDatabase.maintenance ? "template1" : DumpDatabase.maintenance)
    }

    func connect(_ name: String) throws(HoldfastError) -> PostgresConnection {
        do throws(HoldfastError) {
            return try workload.connect(name, context)
        } catch {
            throw error.ofTarget
        }
    }

    func major() throws(HoldfastError) -> Int { try connect(DumpDatabase.maintenance).serverVersion / 10_000 }

    func state(of name: String) throws(HoldfastError) -> State {
        let server = try beside(name)
        let literal = try server.literal(name)
        let rows = try server.rows(
            """
            SELECT EXISTS (SELECT FROM pg_db_role_setting s, unnest(s.setconfig) line
            WHERE s.setdatabase = d.oid AND s.setrole = 0 AND starts_with(line, '\(Self.marker)='))
            FROM pg_database d WHERE d.datname = \(literal)
            """, for: Self.action)
        guard let row = rows.first else { return .absent }
        if row.first == "t" { return .unfinished }
        let own = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
        let isFull = try connect(name).rows(
            """
            SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE \(own))
            OR EXISTS (SELECT FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE \(own))
            OR EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE \(own))
            OR EXISTS (SELECT FROM pg_namespace n WHERE \(own) AND nspname <> 'public')
            OR EXISTS (SELECT FROM pg_extension WHERE extname <> 'plpgsql')
            OR EXISTS (SELECT FROM pg_largeobject_metadata)
            """, for: Self.action)
        return isFull.first?.first == "t" ? .full : .empty
    }

    /// Makes the database by the statement of its archive, under a name of the caller's, as unfinished.
    ///
    /// - Parameter definition: `CREATE DATABASE name …` of the database `original`; empty for the server's defaults.
    func make(_ name: String, like original: String, _ definition: String) throws(HoldfastError) {
        let server = try beside(name)
        let quoted = try server.identifier(name)
        let start = "CREATE DATABASE "
        var rest = " TEMPLATE template0"
        for written in [try server.identifier(original), original] where definition.hasPrefix(start + written + " ") {
            rest = " " + definition.dropFirst(start.count + written.count + 1)
            break
        }
        do throws(HoldfastError) {
            _ = try server.rows(start + quoted + rest, for: "make the database \(name)")
            _ = try server.rows(
                "ALTER DATABASE \(quoted) SET \(Self.marker) = 'yes'", for: "make the database \(name)")
        } catch {
            throw error.ofTarget
        }
    }

    /// Marks it as whole.
    func settle(_ name: String) throws(HoldfastError) {
        let server = try beside(name)
        do throws(HoldfastError) {
            _ = try server.rows(
                "ALTER DATABASE \(try server.identifier(name)) RESET \(Self.marker)", for: "settle the database \(name)"
            )
        } catch {
            throw error.ofTarget
        }
    }

    /// The name of the database that is to take the place of the one called `name`.
    static func provisional(_ name: String) -> String {
        let suffix = ".\(marker)"
        var start = name
        // A name has at most 63 bytes.
        while start.utf8.count + suffix.utf8.count > 63 { start.unicodeScalars.removeLast() }
        return start + suffix
    }

    /// - Throws: `.targetFailed` when sessions other than those of this restore are in the database.
    func refuseUse(of name: String) throws(HoldfastError) {
        let server = try beside(name)
        let rows = try server.rows(
            """
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = \(try server.literal(name)) AND backend_type = 'client backend'
            """, for: Self.action)
        guard let count = rows.first?.first ?? nil, count != "0" else { return }
        throw HoldfastError(
            .targetFailed, "the database \(name) is in use by \(count) sessions",
            hint: "End them, or restore under another name.", retry: .later)
    }

    /// Drops the database that a restore left that was broken off.
    func dropUnfinished(_ name: String) throws(HoldfastError) {
        switch try state(of: name) {
        case .absent: return
        case .unfinished: try drop(name)
        case .empty, .full:
            throw HoldfastError(
                .targetFailed, "there is a database \(name) that is none of a restore", hint: "Rename or drop it.")
        }
    }

    func rename(_ name: String, to other: String) throws(HoldfastError) {
        let server = try beside(name)
        do throws(HoldfastError) {
            _ = try server.rows(
                "ALTER DATABASE \(try server.identifier(name)) RENAME TO \(try server.identifier(other))",
                for: "rename the database \(name) to \(other)")
        } catch {
            throw HoldfastError(
                .targetFailed, error.message, hint: "What was restored is whole: rename that database by hand.",
                context: error.context.map { ($0.key, $0.value) })
        }
    }

    func drop(_ name: String) throws(HoldfastError) {
        let server = try beside(name)
        do throws(HoldfastError) {
            _ = try server.rows("DROP DATABASE \(try server.identifier(name))", for: "drop the database \(name)")
        } catch {
            throw error.ofTarget
        }
    }

    /// Gives a database what belongs to it as a whole: its settings and comment, and with `withOwners` its owner and
    /// rights. It has the name that it had when it was dumped.
    ///
    /// - Returns: What the server refused.
    func apply(
        _ items: [DumpItem], to name: String, withOwners: Bool
    ) throws(HoldfastError) -> [HoldfastError] {
        let server = try beside(name)
        var statements: [String] = []
        for item in items where item.isOfDatabase {
            if item.kind != "DATABASE", withOwners || item.kind != "ACL" {
                statements += SQLStatements(Array(item.definition.utf8)).all
            } else if withOwners, !item.owner.isEmpty, item.kind == "DATABASE" {
                let owner = try server.identifier(item.owner)
                statements.append("ALTER DATABASE \(try server.identifier(name)) OWNER TO \(owner)")
            }
        }
        var refused: [HoldfastError] = []
        for statement in statements {
            do throws(HoldfastError) {
                _ = try server.rows(statement, for: "properties of the database \(name)")
            } catch {
                guard error.context.contains(where: { $0.key == "sqlstate" }) else { throw error.ofTarget }
                refused.append(error)
            }
        }
        return refused
    }

    // MARK: Tables

    func hasSchema(_ schema: String, in name: String) throws(HoldfastError) -> Bool {
        let connection = try connect(name)
        let literal = try connection.literal(schema)
        return try !connection.rows("SELECT FROM pg_namespace WHERE nspname = \(literal)", for: Self.action).isEmpty
    }

    /// Refuses tables that are there, or drops them.
    func clear(_ tables: [DumpTable], in name: String, replacing: Bool) throws(HoldfastError) {
        let connection = try connect(name)
        for table in tables {
            let quoted = "\(try connection.identifier(table.schema)).\(try connection.identifier(table.name))"
            let literal = try connection.literal(quoted)
            let found = try connection.rows("SELECT to_regclass(\(literal)) IS NOT NULL", for: Self.action)
            guard found.first?.first == "t" else { continue }
            guard replacing else {
                throw HoldfastError(
                    .targetFailed, "the database \(name) has a table \(table.text) already",
                    hint: "Restore it into another database, or add --replace to drop what is there.")
            }
            do throws(HoldfastError) {
                _ = try connection.rows("DROP TABLE \(quoted)", for: "drop the table \(table.text)")
            } catch {
                throw error.ofTarget
            }
        }
    }

    // MARK: Afterwards

    /// Compares what a database holds with what its dump's record expects.
    ///
    /// - Parameters:
    ///   - tables: Those that were restored; nil for all.
    ///   - schema: The fingerprint; nil when it cannot be compared.
    func compare(
        _ name: String, _ expected: [String: String], tables: [DumpTable]?, schema: String?
    ) throws(HoldfastError) -> [WorkloadFinding] {
        let connection = try connect(name)
        let contents = DumpContents(connection)
        _ = try connection.rows("SET search_path = ''", for: Self.action)
        var findings: [WorkloadFinding] = []
        var compared = 0
        var asked = tables ?? []
        if tables == nil { asked = try contents.tables() }
        for table in asked {
            guard let due = expected[DumpContents.rowsPrefix + table.text] else { continue }
            let count = String(try contents.count(table))
            compared += 1
            if count != due {
                findings.append(Self.differs("table \(table.text) holds \(count) rows instead of \(due)"))
            }
        }
        let due = expected.keys.count { $0.hasPrefix(DumpContents.rowsPrefix) }
        if tables == nil {
            if compared < due { findings.append(Self.differs("\(due - compared) tables of \(due) are not there")) }
            let objects = String(try contents.largeObjects())
            if let due = expected[DumpContents.largeObjectsKey], due != objects {
                findings.append(Self.differs("\(objects) large objects instead of \(due)"))
            }
            if let schema, schema != (try contents.fingerprint()) {
                findings.append(Self.differs("the schema is another than when it was dumped"))
            }
        }
        if findings.isEmpty {
            findings.append(WorkloadFinding(.good, "contents", "\(name): \(compared) tables hold the rows they should"))
        }
        return findings.map { finding in
            guard finding.severity != .good else { return finding }
            var finding = finding
            finding.message = "\(name): \(finding.message)"
            return finding
        }
    }

    private static func differs(_ message: String) -> WorkloadFinding {
        WorkloadFinding(.error, "contents", message, code: .checkFailed)
    }
}
