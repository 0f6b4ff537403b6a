// SQLite's C interface as far as a backup needs it: statements, failures as errors, and a read-only connection that
// leaves the database as it is.

import CLinux
import CSQLite
import Glibc
import Primitives

/// A connection that only reads.
///
/// It never checkpoints, not even when it is the last to close, and never rolls a journal back.
/// Thread: one at a time.
final class SQLiteConnection {
    /// Steps of SQLite's virtual machine between two looks at the cancellation: some milliseconds.
    private static let stepsBetweenChecks: Int32 = 100_000

    let handle: OpaquePointer
    let path: String
    private let watch: Watch

    /// What the progress handler looks at; outlives the connection.
    private final class Watch {
        let cancellation: Cancellation
        var deadline: (clock: any Clock, uptime: Duration)?

        init(_ cancellation: Cancellation) { self.cancellation = cancellation }

        var isOver: Bool {
            if cancellation.isRaised { return true }
            guard let deadline else { return false }
            return deadline.clock.uptime() >= deadline.uptime
        }
    }

    /// - Parameters:
    ///   - isImmutable: Nobody can change the file: no locks are taken and nothing is made beside it.
    ///   - patience: How long a lock of another process is waited for.
    /// - Throws: `.pathNotFound`, `.accessDenied`, `.sourceFailed`.
    init(
        _ path: String, isImmutable: Bool = false, patience: Duration, cancellation: Cancellation
    ) throws(HoldfastError) {
        self.path = path
        watch = Watch(cancellation)
        var status = stat()
        // SQLite waits for the writer of a FIFO, and nothing ends that.
        if isImmutable, lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFREG {
            throw irregular(path, .sourceFailed)
        }
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE
        let name = isImmutable ? Self.immutableURI(path) : path
        let result = sqlite3_open_v2(name, &opened, isImmutable ? flags | SQLITE_OPEN_URI : flags, nil)
        guard let opened else {
            throw HoldfastError(.sourceFailed, "SQLite has no memory for \(path)", hint: "Free some.", retry: .later)
        }
        handle = opened
        // All properties are set, so `deinit` closes it.
        guard result == SQLITE_OK else { throw failure("open") }
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, Int32(clamping: patience.components.seconds * 1000))
        let settings = [
            (SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1), (SQLITE_DBCONFIG_DEFENSIVE, 1), (SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
            (SQLITE_DBCONFIG_ENABLE_TRIGGER, 0), (SQLITE_DBCONFIG_ENABLE_VIEW, 0),
        ]
        for (option, value) in settings where holdfast_sqlite_set(handle, option, Int32(value)) != SQLITE_OK {
            throw failure("set up")
        }
        sqlite3_progress_handler(
            handle, Self.stepsBetweenChecks,
            { context in
                guard let context else { return 0 }
                return Unmanaged<Watch>.fromOpaque(context).takeUnretainedValue().isOver ? 1 : 0
            }, Unmanaged.passUnretained(watch).toOpaque())
    }

    deinit { sqlite3_close_v2(handle) }

    private static func immutableURI(_ path: String) -> String {
        var uri = "file:"
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"): uri += "%" + Hex.encode([byte])
            default: uri.unicodeScalars.append(Unicode.Scalar(byte))
            }
        }
        // Bytes over 127 were taken one by one; SQLite puts them together again only when they are escaped.
        return uri.utf8.count == path.utf8.count + 5 ? uri + "?immutable=1" : escapedURI(path)
    }

    private static func escapedURI(_ path: String) -> String {
        "file:" + path.utf8.map { "%" + Hex.encode([$0]) }.joined() + "?immutable=1"
    }

    /// Runs a statement that gives no rows.
    func run(_ sql: String) throws(HoldfastError) {
        guard sqlite3_exec(handle, sql, nil, nil, nil) == SQLITE_OK else { throw failure("read") }
    }

    /// Runs a query and hands each row on.
    ///
    /// - Parameter deadline: What is not done by then throws `.limitExceeded`.
    /// - Throws: `.usage` for none and for more than one statement, and what the engine says.
    func query(
        _ sql: String, by deadline: (clock: any Clock, uptime: Duration)? = nil,
        _ row: (SQLiteRow) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        watch.deadline = deadline
        defer { watch.deadline = nil }
        var (statement, more): (OpaquePointer?, OpaquePointer?)
        let result = sql.withCString { text in
            var rest: UnsafePointer<CChar>?
            let first = sqlite3_prepare_v2(handle, text, -1, &statement, &rest)
            // After the one there may be spaces and comments, of which no statement is made.
            return first == SQLITE_OK ? sqlite3_prepare_v2(handle, rest, -1, &more, nil) : first
        }
        defer {
            sqlite3_finalize(statement)
            sqlite3_finalize(more)
        }
        guard result == SQLITE_OK else { throw failure("read") }
        guard let statement, more == nil else {
            throw HoldfastError(
                .usage, "what is asked is \(statement == nil ? "no statement" : "more than one statement")",
                hint: "Ask one statement at a time.")
        }
        while true {
            switch sqlite3_step(statement) {
            case SQLITE_ROW: try row(SQLiteRow(statement: statement))
            case SQLITE_DONE: return
            default: throw failure("read")
            }
        }
    }

    /// The first column of the first row as a number.
    func number(
        _ sql: String, by deadline: (clock: any Clock, uptime: Duration)? = nil
    ) throws(HoldfastError) -> Int64 {
        var value: Int64 = 0
        try query(sql, by: deadline) { value = $0.number(0) }
        return value
    }

    func text(_ sql: String) throws(HoldfastError) -> String {
        var value = ""
        try query(sql) { value = $0.text(0) }
        return value
    }

    /// Whether the last failure means that a statement cannot be made for this database, with nothing read yet: it
    /// needs a function or collation of its application, or the schema contradicts itself.
    var isUnsupported: Bool { sqlite3_extended_errcode(handle) & 0xFF == SQLITE_ERROR }

    /// Whether the last failure means that the file's content is broken.
    var isDamage: Bool { Self.isDamage(sqlite3_extended_errcode(handle)) }

    private static func isDamage(_ code: Int32) -> Bool { [SQLITE_CORRUPT, SQLITE_NOTADB].contains(code & 0xFF) }

    /// The failure of the last call.
    func failure(_ call: String) -> HoldfastError {
        let code = sqlite3_extended_errcode(handle)
        let text = String(cString: sqlite3_errmsg(handle))
        let message = "\(call) database \(path): \(text)"
        switch code & 0xFF {
        case SQLITE_INTERRUPT:
            if watch.cancellation.isRaised { return HoldfastError(.interrupted, "interrupted") }
            return HoldfastError(.limitExceeded, "\(path) takes too long to look through")
        case SQLITE_BUSY, SQLITE_LOCKED, SQLITE_PROTOCOL:
            return HoldfastError(
                .sourceFailed, message,
                hint: "Another process holds a lock; find out which, or back up when it is done.", retry: .later)
        case SQLITE_NOTADB:
            return HoldfastError(
                .sourceFailed, message, hint: "Give the path of a SQLite database; encrypted ones cannot be read.")
        case SQLITE_CORRUPT:
            return HoldfastError(
                .sourceFailed, message, hint: "The database is corrupt; see `PRAGMA integrity_check` and `.recover`.")
        case SQLITE_READONLY where code == sqliteHotJournal:
            return HoldfastError(
                .sourceFailed, "database \(path) has a hot journal: a transaction was broken off in the middle",
                hint: "Open it once with its own application, which rolls the transaction back; then back up.")
        case SQLITE_CANTOPEN, SQLITE_READONLY:
            return HoldfastError(
                .accessDenied, message,
                hint: "A database in WAL mode needs the right to write in its directory, unless another process has "
                    + "it open: SQLite makes -wal and -shm there.")
        case SQLITE_FULL, SQLITE_IOERR:
            return HoldfastError(.inputOutput, message, hint: "Look at the system's log.", retry: .later)
        default: return HoldfastError(.sourceFailed, message)
        }
    }
}

/// SQLITE_READONLY_ROLLBACK, a macro that Swift cannot read.
private let sqliteHotJournal: Int32 = SQLITE_READONLY | 3 << 8

/// A row of a query, valid while it is handed on.
struct SQLiteRow {
    let statement: OpaquePointer

    func number(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(statement, column) == SQLITE_NULL }

    /// Of the value as text.
    func byteCount(_ column: Int32) -> Int { isNull(column) ? 0 : Int(sqlite3_column_bytes(statement, column)) }

    func text(_ column: Int32) -> String { String(decoding: bytes(column), as: UTF8.self) }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let start = sqlite3_column_blob(statement, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: start, count: Int(sqlite3_column_bytes(statement, column))))
    }
}
