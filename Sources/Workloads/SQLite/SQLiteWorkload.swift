// sqlite: a database that others are using, as a source.

import CLinux
import CSQLite
import Glibc
import Primitives
import Repository

/// A SQLite database.
///
/// Read in one read transaction, page by page, without a copy on disk, without a checkpoint, and without a file left
/// beside it that was not there. In WAL mode writers do not notice. In rollback mode they wait while it is read.
package struct SQLiteWorkload: Workload {
    package static let kind = "sqlite"

    package static var capabilities: WorkloadCapabilities {
        var capabilities = WorkloadCapabilities()
        capabilities.canBeRestoredTo = true
        capabilities.canBeJoined = true
        capabilities.expectsContents = true
        capabilities.canBeEstimated = true
        return capabilities
    }

    /// Pages are read this many bytes at a time.
    private static let stretch = 1 << 20
    /// From this size on the readers of a database in rollback mode are told that its writers wait.
    private static let noticeableSize = ByteCount.mebi(256)

    package let path: String
    /// How long another's lock is waited for.
    private let patience: Duration

    /// - Parameter path: Relative paths go from the working directory.
    package init(path: String, patience: Duration = .seconds(10)) {
        self.path = Host.absolutePath(path)
        self.patience = patience
    }

    package var identity: WorkloadIdentity { WorkloadIdentity(kind: Self.kind, url: "sqlite:\(path)") }

    package var capabilities: WorkloadCapabilities { Self.capabilities }

    // MARK: Preflight

    package func preflight(_ context: WorkloadContext) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        let status: stat
        do throws(HoldfastError) {
            status = try self.status()
        } catch {
            return [WorkloadFinding(.error, "file", error.message, hint: error.hint, code: error.code)]
        }
        findings.append(WorkloadFinding(.good, "file", "\(path) is a file of \(ByteCount(UInt64(status.st_size)))"))
        if status.st_size == 0 {
            findings.append(
                WorkloadFinding(
                    .warning, "size", "\(path) has no bytes: a database that nothing was ever written to",
                    hint: "Check that this is the file that the application uses."))
        }
        let real = try realPath()
        do throws(HoldfastError) {
            _ = try Self.isFixed(real)
        } catch {
            findings.append(WorkloadFinding(.error, "journal", error.message, hint: error.hint))
            return findings + SQLiteHeader.findings(real, status)
        }
        if let journal = Self.hotJournal(beside: real) {
            findings.append(
                WorkloadFinding(
                    .warning, "journal", "\(journal) exists: a transaction is under way, or was broken off",
                    hint: "If no process uses the database, open it once with its own application."))
        }
        return findings + SQLiteHeader.findings(real, status)
    }

    private static func hotJournal(beside path: String) -> String? {
        var status = stat()
        let journal = path + "-journal"
        return stat(journal, &status) == 0 && status.st_size > 0 ? journal : nil
    }

    private func status() throws(HoldfastError) -> stat {
        var status = stat()
        guard stat(path, &status) == 0 else {
            let number = errno
            guard number == ENOENT || number == ENOTDIR else {
                throw HoldfastError.systemCall("look at", number, on: path)
            }
            throw HoldfastError(.pathNotFound, "there is no \(path)", hint: "Check the path of the database.")
        }
        guard EntryKind(fileMode: status.st_mode) == .file else {
            throw HoldfastError(.sourceFailed, "\(path) is no file", hint: "Give the path of a SQLite database.")
        }
        return status
    }

    /// The file that stands at the path, when there is one: its size, and when it was changed last.
    package var standing: (size: ByteCount, changed: Timestamp)? {
        var status = Glibc.stat()
        guard stat(path, &status) == 0, EntryKind(fileMode: status.st_mode) == .file else { return nil }
        return (ByteCount(UInt64(status.st_size)), Timestamp(seconds: holdfast_modified_seconds(&status)))
    }

    /// The path with links followed, beside which SQLite keeps its own files.
    private func realPath() throws(HoldfastError) -> String {
        guard let real = realpath(path, nil) else { throw HoldfastError.systemCall("look at", errno, on: path) }
        defer { free(real) }
        return String(cString: real)
    }

    // MARK: Reading

    package func read(into sink: any EntrySink, _ context: WorkloadContext) throws(HoldfastError) -> ReadOutcome {
        let status = try status()
        let real = try realPath()
        let sidecars = SQLiteSidecars(real)
        var outcome: ReadOutcome
        do throws(HoldfastError) {
            outcome = try readOpen(real, status, into: sink, context)
        } catch {
            // Closed by now.
            _ = sidecars.clean()
            throw error
        }
        for left in sidecars.clean() {
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "left over", "\(left) was made by SQLite and is left, for the database is in use",
                    hint: "It goes when the last connection closes."))
        }
        return outcome
    }

    private func readOpen(
        _ real: String, _ status: stat, into sink: any EntrySink, _ context: WorkloadContext
    ) throws(HoldfastError) -> ReadOutcome {
        let connection = try SQLiteConnection(
            real, isImmutable: try Self.isFixed(real), patience: patience, cancellation: context.cancellation)
        let snapshot = try SQLiteSnapshot(connection, clock: context.clock)
        defer { snapshot.end() }
        guard var metadata = EntryMetadata(name: pathParts(path.utf8).last ?? [], status: status) else {
            throw HoldfastError(.sourceFailed, "\(path) is no file")
        }
        metadata.links = 1
        try sink.beginRoot(Array(path.utf8), metadata, order: .sorted)
        try sink.beginFile([], .pages)
        try push(snapshot, into: sink)
        try snapshot.verify()
        try sink.endFile(metadata)
        try sink.endRoot()
        var outcome = ReadOutcome()
        outcome.consistentAsOf = snapshot.instant
        let contents = SQLiteContents(connection, clock: context.clock)
        do throws(HoldfastError) {
            outcome.facts = try contents.facts(snapshot)
            outcome.expectedContents = try contents.expectations()
        } catch {
            guard connection.isDamage else { throw error }
            // What is there is kept: it may be the best that there will ever be.
            outcome.flags.insert(.damaged)
            outcome.findings.append(
                WorkloadFinding(.warning, "damage", error.message, hint: error.hint))
        }
        if let left = contents.leftOut {
            outcome.findings.append(WorkloadFinding(.warning, "row counts", left))
        }
        if !snapshot.isWAL, status.st_size > Self.noticeableSize.bytes {
            outcome.findings.append(
                WorkloadFinding(
                    .warning, "journal mode", "writers of \(path) had to wait while it was read",
                    hint: "`PRAGMA journal_mode=WAL` lets them go on."))
        }
        return outcome
    }

    private func push(_ snapshot: SQLiteSnapshot, into sink: any EntrySink) throws(HoldfastError) {
        let pageSize = snapshot.pageSize
        var next: UInt32 = 0
        while next < snapshot.pageCount {
            let pages = min(UInt32(Self.stretch / pageSize), snapshot.pageCount - next)
            let count = try sink.fill(atMost: Int(pages) * pageSize) { (buffer) throws(HoldfastError) in
                let whole = buffer.count / pageSize * pageSize
                try snapshot.read(next + 1, into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<whole]))
                return whole
            }
            guard count > 0 else {
                throw HoldfastError(.inputOutput, "there is no room for a page of \(path)", retry: .later)
            }
            next += UInt32(count / pageSize)
        }
    }

    /// Whether nobody changes the file, as on a read-only file system, where SQLite could not make its own files.
    ///
    /// - Throws: `.sourceFailed` when a log or a journal lies beside it, which SQLite does not look at then.
    private static func isFixed(_ path: String) throws(HoldfastError) -> Bool {
        var system = statvfs()
        guard statvfs(path, &system) == 0, system.f_flag & UInt(ST_RDONLY) != 0 else { return false }
        for name in ["-wal", "-journal"] {
            var status = stat()
            guard stat(path + name, &status) == 0, status.st_size > 0 else { continue }
            throw HoldfastError(
                .sourceFailed,
                "\(path)\(name) holds changes that are not in the database yet, on a read-only file system",
                hint: "Copy the database with all files beside it to where SQLite may write, and back that up; or back "
                    + "up the directory with dir:PATH.")
        }
        return true
    }
}
