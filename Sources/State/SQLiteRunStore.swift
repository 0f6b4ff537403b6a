// Runs in an SQLite database: one file, one host, durable at every commit.

import CLinux
import GRDB
import Glibc
import Primitives
import Scheduling

/// The state database of one host.
///
/// Write-ahead log with `synchronous=FULL`: a transaction that returned is on stable storage. SQLite's own file locks
/// keep processes apart; a lock that is held for longer than ``patience`` is `.busy`.
package final class SQLiteRunStore: RunStore, RunHistory, CheckLedger {
    package static let fileName = "runs.sqlite"
    /// A run that died is started again so many times.
    package static let maximumRestarts = 1
    static let maximumBuried = 1000
    /// Outputs of runs are kept for 90 days.
    static let outputAge: Int64 = 90 * 86_400 * 1_000_000_000

    let database: DatabaseQueue
    let clock: RunStoreClock
    package let path: String
    package let identity: Int64
    /// A random number of this state, which goes along with copies of it: what is told of its history elsewhere is
    /// known by it, also after the state was moved.
    package let origin: Int64

    package let capabilities = RunStoreCapabilities(isDurable: true, servesSeveralHosts: false)

    /// Opens the database at `path`, and makes it and its directory when they are not there.
    ///
    /// - Parameters:
    ///   - entropy: For what tells this state from others.
    ///   - patience: How long a lock of another process is waited for.
    ///   - maximumPages: The database grows no further than to so many pages of 4 KiB; beyond is `.noSpace`.
    package init(
        path: String, clock: RunStoreClock, entropy: any Entropy = SystemEntropy(),
        patience: Duration = .seconds(10), maximumPages: Int = 1 << 22
    ) throws(HoldfastError) {
        self.path = path
        self.clock = clock
        try Self.makeDirectory(of: path)
        var configuration = GRDB.Configuration()
        configuration.busyMode = .timeout(Double(patience.nanosecondsClamped) / 1e9)
        configuration.label = "holdfast.state"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA journal_mode=WAL")
            try database.execute(sql: "PRAGMA synchronous=FULL")
            try database.execute(sql: "PRAGMA journal_size_limit=16777216")
            try database.execute(sql: "PRAGMA max_page_count=\(maximumPages)")
        }
        do {
            database = try DatabaseQueue(path: path, configuration: configuration)
            try Self.migrate(database)
            guard try database.read({ try !StateSchema.migrator.hasBeenSuperseded($0) }) else {
                throw HoldfastError(
                    .unsupportedFormat, "the state database \(path) is of a newer holdfast",
                    hint: "Use the version that wrote it, or a newer one.")
            }
            try Self.settleOlder(database)
            origin = try Self.origin(in: database, entropy)
            identity = try Self.identity(of: path, origin)
        } catch {
            throw Self.failure(error, path)
        }
        // What is in it is the user's alone: outputs of runs may tell of much.
        for ending in ["", "-wal", "-shm"] { chmod(path + ending, 0o600) }
    }

    /// Brings the tables up to date. Who does so at the same moment has made a step that was still to be made here:
    /// then what is left is looked at anew, once for each step at most.
    private static func migrate(_ database: DatabaseQueue) throws {
        for _ in StateSchema.migrator.migrations {
            do { return try StateSchema.migrator.migrate(database) } catch {}
        }
        try StateSchema.migrator.migrate(database)
    }

    /// The number of this state, drawn once.
    private static func origin(in database: DatabaseQueue, _ entropy: any Entropy) throws -> Int64 {
        let sql = "SELECT value FROM counters WHERE name = 'identity'"
        if let known = try database.read({ try Int64.fetchOne($0, sql: sql) }) { return known }
        let random = try entropy.bytes(8)
        let fresh = random.reduce(Int64(0)) { $0 << 8 | Int64($1) }
        return try database.write { database in
            // Another may have drawn one in the meantime.
            try database.execute(
                sql: "INSERT INTO counters VALUES ('identity', ?) ON CONFLICT DO NOTHING", arguments: [fresh])
            return try Int64.fetchOne(database, sql: sql) ?? fresh
        }
    }

    /// The number of this file: that of the state, and another one for each copy of it.
    private static func identity(of path: String, _ origin: Int64) throws(HoldfastError) -> Int64 {
        var file = stat()
        guard stat(path, &file) == 0 else { throw HoldfastError.systemCall("stat", errno, on: path) }
        // Odd factors, so that each number of a device and of a file gives another result.
        let device = UInt64(file.st_dev) &* 0x9E37_79B9_7F4A_7C15
        let number = UInt64(file.st_ino) &* 0xC2B2_AE3D_27D4_EB4F
        return origin ^ Int64(bitPattern: device ^ number)
    }

    /// This machine's clock for leases.
    package static func systemClock(_ clock: any Primitives.Clock) throws(HoldfastError) -> RunStoreClock {
        let bytes = try InputFile.read("/proc/sys/kernel/random/boot_id", limit: ByteCount(4096))
        let boot = String(decoding: bytes.prefix { $0 > 32 }, as: UTF8.self)
        return RunStoreClock(boot: boot) { clock.uptime() }
    }

    private static func makeDirectory(of path: String) throws(HoldfastError) {
        let parts = Host.absolutePath(path).split(separator: "/").dropLast()
        var directory = ""
        for part in parts {
            directory += "/\(part)"
            guard mkdir(directory, 0o700) == 0 || errno == EEXIST else {
                throw HoldfastError.systemCall("make directory", errno, on: directory)
            }
        }
    }

    // MARK: Transactions

    func write<R: Sendable>(_ body: @Sendable (Database) throws -> R) throws(HoldfastError) -> R {
        do {
            return try database.writeWithoutTransaction { database in
                var result: R?
                // Immediate: a transaction that will write never fails half-way for another's lock.
                try database.inTransaction(.immediate) {
                    result = try body(database)
                    return .commit
                }
                guard let result else { throw HoldfastError(.inputOutput, "a transaction without a result") }
                return result
            }
        } catch {
            throw Self.failure(error, path)
        }
    }

    func read<R: Sendable>(_ body: @Sendable (Database) throws -> R) throws(HoldfastError) -> R {
        do {
            return try database.read(body)
        } catch {
            throw Self.failure(error, path)
        }
    }

    /// A failure of the engine as an operator reads it.
    static func failure(_ error: any Error, _ path: String) -> HoldfastError {
        if let own = error as? HoldfastError { return own }
        guard let own = error as? DatabaseError else {
            return HoldfastError(
                .inputOutput, "the state database \(path) failed", hint: "Read the cause.", cause: error)
        }
        func failure(
            _ code: ErrorCode, _ what: String, _ hint: String, _ retry: RetryClass = .never
        ) -> HoldfastError {
            HoldfastError(code, "the state database \(path) \(what)", hint: hint, cause: error, retry: retry)
        }
        switch own.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return failure(
                .busy, "is locked by another process",
                "Find who holds it with `fuser \(path)`; holdfast itself holds it for moments only.", .later)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return failure(
                .corruptObject, "is damaged",
                "Move it away with its -wal and -shm files; a new one is made, and only the history of runs is lost.")
        case .SQLITE_FULL:
            return failure(.noSpace, "cannot grow", "Free some space on that file system.", .later)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            return failure(
                .accessDenied, "cannot be opened for writing",
                "Check the owner and the mode of it and its directory, or name another place with --state-dir.")
        default:
            return failure(
                .inputOutput, "failed: \(own.message ?? "\(own.resultCode)")", "Check the disk and the kernel log.")
        }
    }

    // MARK: Values

    var uptime: Int64 { clock.uptime().nanosecondsClamped }

    func lease(_ length: Duration) -> Int64 {
        let (end, isOver) = uptime.addingReportingOverflow(length.nanosecondsClamped)
        return isOver ? .max : end
    }
}
