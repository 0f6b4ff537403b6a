// Statements of SQL over a restored copy: through its scratch server, or on the file itself.

import CSQLite
import Glibc
import Primitives
import Repository

/// A statement that reads.
package struct CopyQuestion: Sendable, Hashable {
    /// Rows that an answer may have.
    package static let mostRows = 10_000
    /// Bytes of text that an answer may have.
    package static let mostBytes = ByteCount.mebi(1)

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
    /// The answer is held back row by row; only one row of it is in memory beyond what it may have.
    /// - Throws: `.limitExceeded` when its time is over or the answer is too long, `.interrupted`, and what the
    ///   engine says, also of more than one statement.
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
            var answer = Answer()
            try connection.eachRow(of: statement, for: "ask the restored copy") { (fields) throws(HoldfastError) in
                try answer.add(fields.count) {
                    fields.byteCount($0)
                } _: {
                    fields.text($0)
                }
            }
            return answer.rows
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
        var answer = Answer()
        let deadline = timeout.map { (clock: context.clock, uptime: context.clock.uptime() + $0) }
        try connection.query(statement, by: deadline) { (row) throws(HoldfastError) in
            try answer.add(Int(sqlite3_column_count(row.statement))) {
                row.byteCount(Int32($0))
            } _: { place in
                row.isNull(Int32(place)) ? nil : row.text(Int32(place))
            }
        }
        return answer.rows
    }
}

/// Rows that were answered, within bounds.
private struct Answer {
    private(set) var rows: [[String?]] = []
    private var bytes = 0

    /// Adds a row of `count` fields.
    ///
    /// - Throws: `.limitExceeded` before a field is copied that is too much.
    mutating func add(
        _ count: Int, _ size: (Int) -> Int, _ text: (Int) -> String?
    ) throws(HoldfastError) {
        guard rows.count < CopyQuestion.mostRows else { throw Self.tooLong("\(CopyQuestion.mostRows) rows") }
        // A field without text takes room as well.
        bytes += (0..<count).reduce(0) { $0 + size($1) + 1 }
        let most = CopyQuestion.mostBytes
        guard ByteCount(bytes).bytes <= most.bytes else { throw Self.tooLong("\(most)") }
        rows.append((0..<count).map(text))
    }

    private static func tooLong(_ limit: String) -> HoldfastError {
        HoldfastError(
            .limitExceeded, "the answer has more than \(limit)", hint: "Let the statement count or add up.")
    }
}
