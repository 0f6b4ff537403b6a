// Statements of SQL over a restored copy: through its scratch server, or on the file itself.

import CSQLite
import Glibc
import Primitives
import Repository

/// A statement that reads.
package struct CopyQuestion: Sendable, Hashable {
    /// Rows that an answer may have.
    package static let mostRows = 10_000

    package var statement: String
    /// The database of the server, or the file's name among several; nil for the only one, or `postgres`.
    package var database: String?

    package init(_ statement: String, database: String? = nil) {
        self.statement = statement
        self.database = database
    }

    /// Whether copies of this kind can be asked at all.
    package static func canBeAsked(_ record: SnapshotRecord) -> Bool {
        [SQLiteWorkload.kind, PostgresWorkload.kind, DumpWorkload.kind].contains(record.workload)
    }

    /// Asks `copy`; nothing is changed by it.
    ///
    /// - Parameter timeout: The statement is ended after this.
    /// - Throws: `.limitExceeded` when its time is over or the answer is too long, `.interrupted`, and what the
    ///   engine says.
    package func ask(
        _ copy: RestoredCopy, _ scratch: (any WorkloadScratch)?, timeout: Duration?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [[String?]] {
        if let scratch { return try ask(server: scratch.address, timeout, context) }
        guard copy.record.workload == SQLiteWorkload.kind else {
            throw HoldfastError(
                .usage, "a \(copy.record.workload) copy cannot be asked in SQL",
                hint: "Check it with a command of your own.")
        }
        return try ask(file: try place(in: copy), timeout, context)
    }

    // MARK: PostgreSQL

    private func ask(
        server: String, _ timeout: Duration?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [[String?]] {
        let address = try PostgresAddress(server)
        let connection = try PostgresConnection(
            address, for: .database(database ?? address.database), clock: context.clock,
            cancellation: context.cancellation)
        let limit = timeout.map { max(1, $0.nanosecondsClamped / 1_000_000) } ?? 0
        _ = try connection.rows(
            "SET default_transaction_read_only = on; SET statement_timeout = \(limit); SET TimeZone = 'UTC'; "
                + "SET DateStyle = 'ISO'; SET search_path = public, pg_catalog", for: "set up the session")
        do throws(HoldfastError) {
            let rows = try connection.rows(statement, for: "ask the restored copy")
            guard rows.count <= Self.mostRows else { throw tooLong }
            return rows
        } catch {
            // query_canceled: nobody but the server's own timer ends it here.
            guard error.sqlstate == "57014" else { throw error }
            throw HoldfastError(.limitExceeded, "the statement was ended after its time")
        }
    }

    // MARK: SQLite

    private func place(in copy: RestoredCopy) throws(HoldfastError) -> String {
        let found = copy.places.filter { path, _ in
            guard let database else { return copy.places.count == 1 }
            return path == Array(database.utf8) || pathParts(path).last == Array(database.utf8)
        }
        guard found.count == 1, let place = found.first?.value else {
            throw HoldfastError(
                .usage, database.map { "the snapshot has no database `\($0)`" } ?? "the snapshot has several databases",
                hint: "Name one with `database`: the name of its file.")
        }
        return place
    }

    private func ask(
        file: String, _ timeout: Duration?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [[String?]] {
        let connection = try SQLiteConnection(
            file, isImmutable: true, patience: .seconds(1), cancellation: context.cancellation)
        guard holdfast_sqlite_set(connection.handle, SQLITE_DBCONFIG_ENABLE_VIEW, 1) == SQLITE_OK else {
            throw connection.failure("set up")
        }
        var rows: [[String?]] = []
        let deadline = timeout.map { (clock: context.clock, uptime: context.clock.uptime() + $0) }
        try connection.query(statement, by: deadline) { (row) throws(HoldfastError) in
            guard rows.count < Self.mostRows else { throw tooLong }
            rows.append(
                (0..<sqlite3_column_count(row.statement)).map { row.isNull($0) ? nil : row.text($0) })
        }
        return rows
    }

    private var tooLong: HoldfastError {
        HoldfastError(
            .limitExceeded, "the answer has more than \(Self.mostRows) rows",
            hint: "Let the statement count or add up.")
    }
}
