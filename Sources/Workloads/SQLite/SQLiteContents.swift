// What a database holds, for the snapshot's record and for the look at a restored copy.

import Primitives
import Repository
import Sealing

/// Facts and expectations of the state that a connection's transaction sees.
final class SQLiteContents {
    /// How long the rows of all tables may be counted.
    static let countingTime = Duration.seconds(60)
    /// Tables whose rows are counted.
    static let mostTables = 10_000

    static let schemaKey = "schema.sha256"
    static let rowsPrefix = "rows:"

    private let connection: SQLiteConnection
    private let clock: any Clock
    /// Says which rows were not counted, when there are such.
    private(set) var leftOut: String?

    init(_ connection: SQLiteConnection, clock: any Clock) {
        self.connection = connection
        self.clock = clock
    }

    func facts(_ snapshot: SQLiteSnapshot) throws(HoldfastError) -> [String: String] {
        var facts = [
            "sqlite.pageSize": String(snapshot.pageSize), "sqlite.pageCount": String(snapshot.pageCount),
            "sqlite.walFrames": String(snapshot.frameCount),
        ]
        for name in ["journal_mode", "encoding", "user_version", "application_id", "auto_vacuum"] {
            facts["sqlite.\(name)"] = try connection.text("PRAGMA \(name)")
        }
        facts["sqlite.readerVersion"] = try connection.text("SELECT sqlite_version()")
        return facts
    }

    /// Row counts of the tables, and a fingerprint of the schema.
    func expectations() throws(HoldfastError) -> [String: String] {
        var expected = [Self.schemaKey: try schemaFingerprint()]
        let deadline = (clock: clock, uptime: clock.uptime() + Self.countingTime)
        let tables = try self.tables()
        for (number, table) in tables.enumerated() {
            do throws(HoldfastError) {
                guard number < Self.mostTables else {
                    throw HoldfastError(.limitExceeded, "there are more than \(Self.mostTables) tables")
                }
                expected[Self.rowsPrefix + table] = String(try count(table, by: deadline))
            } catch {
                if connection.isDamage || error.code == .interrupted { throw error }
                // A table of an extension that is not loaded here cannot be asked.
                leftOut = leftOut ?? "the rows of \(table) and perhaps others were not counted: \(error.message)"
                if error.code == .limitExceeded { break }
            }
        }
        return expected
    }

    func count(
        _ table: String, by deadline: (clock: any Clock, uptime: Duration)? = nil
    ) throws(HoldfastError) -> Int64 {
        let quoted = table.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
        return try connection.number("SELECT count(*) FROM main.\"\(quoted)\"", by: deadline)
    }

    /// Ordinary tables, by their names; those of extensions keep their rows in such.
    private func tables() throws(HoldfastError) -> [String] {
        var names: [String] = []
        let sql = """
            SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0
            AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name
            """
        try connection.query(sql) { names.append($0.text(0)) }
        return names
    }

    func schemaFingerprint() throws(HoldfastError) -> String {
        let hash = SHA256Stream()
        let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY type, name, tbl_name, sql"
        try connection.query(sql) { row in
            for column in Int32(0)..<4 {
                let bytes = row.bytes(column)
                // Lengths before the texts keep two schemas from running into the same bytes.
                let length = Array("\(bytes.count):".utf8)
                hash.update(length.span.bytes)
                hash.update(bytes.span.bytes)
            }
        }
        return Hex.encode(hash.finish().array)
    }
}
