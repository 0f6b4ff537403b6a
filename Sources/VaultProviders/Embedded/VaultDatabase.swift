// The file of an embedded vault, and what SQLite is asked of it.

import CLinux
import GRDB
import Glibc
import Primitives
import SecretVaults

/// The tables. All that is in them but the slots' public halves is sealed.
enum VaultSchema {
    /// "HFVT" in the file's head, which tells a vault from other databases.
    static let applicationID: Int32 = 0x4846_5654
    static let version: Int32 = 1

    static let tables = """
        -- One row. `root` is a VaultRoot.
        CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1), id BLOB NOT NULL, root BLOB NOT NULL);
        CREATE TABLE slots (id BLOB PRIMARY KEY NOT NULL, slot BLOB NOT NULL) WITHOUT ROWID;
        -- `tag` is the keyed digest of the name, `record` a StoredSecret.
        CREATE TABLE secrets (tag BLOB PRIMARY KEY NOT NULL, record BLOB NOT NULL) WITHOUT ROWID;
        -- `place` is the order of the version.
        CREATE TABLE secret_values (
            tag BLOB NOT NULL, place INTEGER NOT NULL, sealed BLOB NOT NULL, PRIMARY KEY (tag, place)
        );
        """
}

/// An opened file. Transactions are SQLite's own, so that several processes may use one vault.
///
/// Write-ahead log with `synchronous=FULL`: a transaction that returned is on stable storage. `secure_delete`
/// overwrites what rows leave behind, and ``scrub()`` empties the log, which has its own copies.
///
/// Thread: any; one call at a time is carried out.
struct VaultDatabase: Sendable {
    let path: String
    private let queue: DatabaseQueue

    /// - Parameters:
    ///   - isNew: Makes the file when it is not there.
    ///   - patience: How long a lock of another process is waited for.
    ///   - maximumPages: The file grows no further than to so many pages of 4 KiB.
    init(path: String, isNew: Bool, patience: Duration, maximumPages: Int) throws(HoldfastError) {
        self.path = path
        try Self.look(at: path, isNew: isNew)
        var configuration = GRDB.Configuration()
        let milliseconds = patience.nanosecondsClamped / 1_000_000
        configuration.busyMode = .timeout(Double(milliseconds) / 1e3)
        configuration.label = "holdfast.vault"
        configuration.prepareDatabase { database in
            try database.execute(sql: "PRAGMA trusted_schema=OFF")
            try database.execute(sql: "PRAGMA cell_size_check=ON")
            try database.execute(sql: "PRAGMA secure_delete=ON")
            // Sorting and the like never writes a file beside the vault.
            try database.execute(sql: "PRAGMA temp_store=MEMORY")
            try database.execute(sql: "PRAGMA journal_mode=WAL")
            try database.execute(sql: "PRAGMA synchronous=FULL")
            try database.execute(sql: "PRAGMA journal_size_limit=16777216")
            try database.execute(sql: "PRAGMA max_page_count=\(maximumPages)")
        }
        do {
            queue = try DatabaseQueue(path: path, configuration: configuration)
        } catch {
            throw Self.failure(error, path)
        }
    }

    /// Looks at the names before SQLite does, without opening them: to close a file would drop the locks that this
    /// process holds on it.
    ///
    /// A file that is made is the owner's alone from its first moment on; SQLite gives its log the same mode.
    private static func look(at path: String, isNew: Bool) throws(HoldfastError) {
        var status = stat()
        if lstat(path, &status) != 0 {
            guard errno == ENOENT else { throw HoldfastError.systemCall("look at", errno, on: path) }
            guard isNew else {
                throw HoldfastError(
                    .vaultNotFound, "there is no vault at \(path)",
                    hint: "Check the path, and that the disk is mounted; a new vault has to be made first.")
            }
            let (file, number) = retryingInterrupts {
                open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
            }
            guard file >= 0 else { throw HoldfastError.systemCall("create", number, on: path) }
            close(file)
            let parent = path.lastIndex(of: "/").map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
            try syncDirectory(parent)
            guard lstat(path, &status) == 0 else { throw HoldfastError.systemCall("look at", errno, on: path) }
        }
        try check(status, path)
        for ending in ["-wal", "-shm"] where lstat(path + ending, &status) == 0 { try check(status, path + ending) }
    }

    private static func check(_ status: stat, _ path: String) throws(HoldfastError) {
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw HoldfastError(
                .unsafePath, "\(path) is a symbolic link or no file", hint: "Name the file of the vault itself.")
        }
        guard status.st_uid == geteuid(), status.st_mode & 0o077 == 0 else {
            throw HoldfastError(
                .accessDenied, "the file \(path) of a vault is not its user's alone",
                hint: "Run `chmod 600` on it, as the user whose it is, and see who could have read it.")
        }
    }

    // MARK: Transactions

    func write<R: Sendable>(_ body: @Sendable (Database) throws -> R) throws(HoldfastError) -> R {
        do {
            return try queue.writeWithoutTransaction { database in
                var result: R?
                // Immediate: what is compared stays as it is until it is swapped.
                try database.inTransaction(.immediate) {
                    result = try body(database)
                    return .commit
                }
                guard let result else { throw HoldfastError(.inputOutput, "a transaction without a result") }
                return result
            }
        } catch {
            let failure = Self.failure(error, path)
            // What a failing disk took of the log may be found in it later.
            throw failure.code == .inputOutput
                ? HoldfastError(
                    .writeUnknown, failure.message, hint: "Check the disk, then read back what is there.") : failure
        }
    }

    /// One state of the whole vault, whatever others write meanwhile.
    func read<R: Sendable>(_ body: @Sendable (Database) throws -> R) throws(HoldfastError) -> R {
        do {
            return try queue.read(body)
        } catch {
            throw Self.failure(error, path)
        }
    }

    /// Brings the log into the file and empties it, so that no copy of what was overwritten is left in it.
    ///
    /// A reader of another process can be in the way; the log is then emptied by a later call.
    /// - Throws: `.writeUnknown` when the disk fails: the write before took place, and what it overwrote may still be
    ///   in the log.
    func scrub() throws(HoldfastError) {
        do {
            try queue.writeWithoutTransaction { database in
                try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)")
            }
        } catch {
            let failure = Self.failure(error, path)
            if failure.code == .busy { return }
            throw HoldfastError(
                .writeUnknown, "the log of the vault \(path) could not be emptied after a write",
                hint: "Check the disk; the log is emptied when the vault is opened next.", cause: failure)
        }
    }

    /// A failure of the engine as an operator reads it. Statements are parts of it, their arguments are not.
    static func failure(_ error: any Error, _ path: String) -> HoldfastError {
        if let own = error as? HoldfastError { return own }
        guard let own = error as? DatabaseError else {
            return HoldfastError(
                .corruptObject, "the vault \(path) has a row that is none", hint: "Restore it from a snapshot.",
                cause: error)
        }
        func failure(
            _ code: ErrorCode, _ what: String, _ hint: String, _ retry: RetryClass = .never
        ) -> HoldfastError {
            let message = own.message.map { ": \($0)" } ?? ""
            return HoldfastError(code, "the vault \(path) \(what)\(message)", hint: hint, retry: retry)
        }
        switch own.resultCode {
        case .SQLITE_BUSY, .SQLITE_LOCKED:
            return failure(
                .busy, "is locked by another process",
                "Find who holds it with `fuser \(path)`; holdfast itself holds it for moments only.", .later)
        case .SQLITE_CORRUPT, .SQLITE_NOTADB:
            return failure(.corruptObject, "is damaged", "Restore it from a snapshot; keep the damaged file meanwhile.")
        case .SQLITE_FULL:
            return failure(.noSpace, "cannot grow", "Free some space on that file system.", .later)
        case .SQLITE_READONLY, .SQLITE_PERM, .SQLITE_CANTOPEN, .SQLITE_AUTH:
            return failure(
                .accessDenied, "cannot be opened for writing", "Check the owner and the mode of it and its directory.")
        default:
            return failure(.inputOutput, "failed", "Check the disk and the kernel log.")
        }
    }
}
