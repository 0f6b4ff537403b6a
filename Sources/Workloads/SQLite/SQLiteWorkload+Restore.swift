// sqlite: as a target: a database beside its place, looked through, and put into its place in one step.

import CLinux
import Glibc
import Primitives
import Repository

extension SQLiteWorkload {
    private static let rootNote = "root"

    /// Where the database is written before it takes its place: always the same, so that a second run goes on.
    private var stagingDirectory: String {
        let (directory, name) = parts
        return "\(directory)/.\(name).holdfast"
    }

    private var parts: (directory: String, name: String) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let directory = String(path[..<slash])
        return (directory.isEmpty ? "/" : directory, String(path[slash...].dropFirst()))
    }

    package func prepareRestore(
        of record: SnapshotRecord, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        let root = try chosenRoot(of: record)
        try refuseUse()
        let staging = stagingDirectory
        if !context.isDryRun, mkdir(staging, 0o700) != 0, errno != EEXIST {
            throw HoldfastError.systemCall("make directory", errno, on: staging, code: .targetFailed)
        }
        var stage = RestoreStage([.init(root: root, directory: Array(staging.utf8))])
        stage.notes[Self.rootNote] = String(decoding: root, as: UTF8.self)
        return stage
    }

    /// The snapshot's only database, or the one of several that is called as the target.
    package func chosenRoot(of record: SnapshotRecord) throws(HoldfastError) -> [UInt8] {
        guard record.workload == Self.kind else {
            throw HoldfastError(
                .usage, "the snapshot is of \(record.workload):, not of a SQLite database",
                hint: "Restore it to dir:PATH.")
        }
        if record.roots.count == 1 { return record.roots[0].path }
        let name = Array(parts.name.utf8)
        let named = record.roots.filter { pathParts($0.path).last == name }
        guard named.count == 1 else {
            let names = record.roots.map { printablePath($0.path) }.joined(separator: ", ")
            throw HoldfastError(
                .usage, "the snapshot holds several databases, of which not exactly one is called \(parts.name)",
                hint: "Call the target as the one that you want, or restore all to dir:PATH.",
                context: [("databases", names)])
        }
        return named[0].path
    }

    /// Refuses a target that anyone has open, or that has a journal beside it.
    private func refuseUse() throws(HoldfastError) {
        var status = stat()
        guard lstat(path, &status) == 0 else {
            guard errno == ENOENT else {
                throw HoldfastError.systemCall("look at", errno, on: path, code: .targetFailed)
            }
            // Beside a database that is not there, SQLite would take them for its own.
            for name in ["-wal", "-journal"] where access(path + name, F_OK) == 0 { throw journal(name) }
            return
        }
        guard EntryKind(fileMode: status.st_mode) == .file else {
            throw HoldfastError(.targetFailed, "\(path) is there and is no file", hint: "Give another path.")
        }
        let holders = OpenFiles.holders(of: path)
        guard holders.isEmpty else {
            let processes = holders.map(String.init).joined(separator: ", ")
            throw inUse.with("processes", processes)
        }
        guard let lock = SQLiteLock(path) else { throw inUse }
        defer { lock.release() }
        for name in ["-wal", "-journal"] {
            var status = stat()
            if stat(path + name, &status) == 0, status.st_size > 0 { throw journal(name) }
        }
    }

    private var inUse: HoldfastError {
        HoldfastError(
            .targetFailed, "\(path) is in use", hint: "Stop what uses it, or restore to another path and move it then.",
            retry: .later)
    }

    private func journal(_ name: String) -> HoldfastError {
        HoldfastError(
            .targetFailed, "\(path)\(name) holds changes of the database that is there",
            hint: "Open that database once with its own application, or move both files away.")
    }

    package func finishRestore(
        _ stage: RestoreStage, of record: SnapshotRecord, isComplete: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard isComplete, let note = stage.notes[Self.rootNote] else { return [] }
        let root = Array(note.utf8)
        let name = pathParts(root).last ?? []
        let staged = "\(stagingDirectory)/\(String(decoding: name, as: UTF8.self))"
        let findings = try Self.look(
            at: staged, expecting: record.expectedContents(ofRoot: root), isDamaged: record.isDamaged, context)
        if let error = findings.first(where: { $0.severity == .error }) {
            throw HoldfastError(
                .checkFailed, "the restored database is not sound: \(error.message)",
                hint: "It was so when it was read. It stays at \(staged); nothing was put into place.")
        }
        try putInPlace(staged)
        return findings
    }

    /// Puts the database into its place, durably.
    private func putInPlace(_ staged: String) throws(HoldfastError) {
        try refuseUse()
        // Held until the new file is there. Where there is none yet, there is nothing to hold.
        let lock = SQLiteLock(path)
        defer { lock?.release() }
        guard lock != nil || access(path, F_OK) != 0 else { throw inUse }
        for name in ["-wal", "-shm", "-journal"] where unlink(path + name) != 0 && errno != ENOENT {
            throw HoldfastError.systemCall("remove", errno, on: path + name, code: .targetFailed)
        }
        guard rename(staged, path) == 0 else {
            throw HoldfastError.systemCall("put into place", errno, on: path, code: .targetFailed)
        }
        rmdir(stagingDirectory)
        let descriptor = holdfast_openat(AT_FDCWD, parts.directory, O_RDONLY | O_DIRECTORY, 0)
        guard descriptor >= 0 else {
            throw HoldfastError.systemCall("open", errno, on: parts.directory, code: .targetFailed)
        }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw HoldfastError.systemCall("sync", errno, on: parts.directory, code: .targetFailed)
        }
    }

    // MARK: Checks

    package func check(
        _ copy: RestoredCopy, scratch: (any WorkloadScratch)?, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        for root in copy.record.roots {
            guard let place = copy.places[root.path] else {
                findings.append(
                    WorkloadFinding(.error, "file", "\(printablePath(root.path)) was not restored", code: .checkFailed))
                continue
            }
            do throws(HoldfastError) {
                findings += try Self.look(
                    at: place, expecting: copy.record.expectedContents(ofRoot: root.path),
                    isDamaged: copy.record.isDamaged, context)
            } catch {
                if error.code == .interrupted { throw error }
                findings.append(WorkloadFinding(.error, "file", error.message, hint: error.hint, code: .checkFailed))
            }
        }
        return findings
    }

    /// Looks through a database that nobody uses.
    ///
    /// - Parameter isDamaged: The damage was known when it was read: it is a warning then.
    private static func look(
        at place: String, expecting expected: [String: String], isDamaged: Bool, _ context: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        let connection = try SQLiteConnection(
            place, isImmutable: true, patience: .seconds(1), cancellation: context.cancellation)
        let bad: WorkloadFinding.Severity = isDamaged ? .warning : .error
        var findings: [WorkloadFinding] = []
        do throws(HoldfastError) {
            findings.append(try size(connection, at: place, bad))
            findings.append(try integrity(connection, bad))
            findings.append(try references(connection))
            findings += try compare(SQLiteContents(connection, clock: context.clock), expected, bad)
        } catch {
            guard connection.isDamage else { throw error }
            findings.append(WorkloadFinding(bad, "integrity_check", error.message, code: .checkFailed))
        }
        return findings
    }

    private static func integrity(
        _ connection: SQLiteConnection, _ bad: WorkloadFinding.Severity
    ) throws(HoldfastError) -> WorkloadFinding {
        var problems: [String] = []
        do throws(HoldfastError) {
            try connection.query("PRAGMA integrity_check(10)") { problems.append($0.text(0)) }
        } catch {
            return try notAsked("integrity_check", connection, error)
        }
        return problems == ["ok"]
            ? WorkloadFinding(.good, "integrity_check", "ok")
            : WorkloadFinding(bad, "integrity_check", problems.joined(separator: "; "), code: .checkFailed)
    }

    private static func references(_ connection: SQLiteConnection) throws(HoldfastError) -> WorkloadFinding {
        var violations: UInt64 = 0
        do throws(HoldfastError) {
            try connection.query("PRAGMA foreign_key_check") { _ in violations += 1 }
        } catch {
            return try notAsked("foreign_key_check", connection, error)
        }
        guard violations > 0 else { return WorkloadFinding(.good, "foreign_key_check", "ok") }
        // The application may do so, and the copy is as its database was.
        var told = WorkloadFinding(
            .warning, "foreign_key_check", "\(violations) rows refer to rows that are not there")
        told.isOnlyTold = true
        return told
    }

    /// A check that needs what the application brings, or that the schema does not allow: no reason to withhold the
    /// only copy there is.
    private static func notAsked(
        _ check: String, _ connection: SQLiteConnection, _ error: HoldfastError
    ) throws(HoldfastError) -> WorkloadFinding {
        guard connection.isUnsupported else { throw error }
        return WorkloadFinding(
            .warning, check, "cannot be run without the application: \(error.message)",
            hint: "Have the application check its database.")
    }

    /// Pages that are missing at the end, or bytes that are none of the database's.
    private static func size(
        _ connection: SQLiteConnection, at place: String, _ bad: WorkloadFinding.Severity
    ) throws(HoldfastError) -> WorkloadFinding {
        let due = try connection.number("PRAGMA page_count") * connection.number("PRAGMA page_size")
        var status = stat()
        guard stat(place, &status) == 0 else { throw HoldfastError.systemCall("look at", errno, on: place) }
        return Int64(status.st_size) == due
            ? WorkloadFinding(.good, "file", "\(due) bytes, as its pages say")
            : WorkloadFinding(bad, "file", "is \(status.st_size) bytes long, its pages \(due)", code: .checkFailed)
    }

    /// Holds a database to what was counted when it was read.
    private static func compare(
        _ contents: SQLiteContents, _ expected: [String: String], _ bad: WorkloadFinding.Severity
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        if let schema = expected[SQLiteContents.schemaKey] {
            let isSame = try contents.schemaFingerprint() == schema
            findings.append(
                WorkloadFinding(
                    isSame ? .good : bad, "schema", isSame ? "as when it was read" : "is another than when it was read",
                    code: .checkFailed))
        } else {
            findings.append(WorkloadFinding(.warning, "schema", "the snapshot holds no record of it to compare with"))
        }
        var tables = 0
        for (key, value) in expected.sorted(by: { $0.key < $1.key }) where key.hasPrefix(SQLiteContents.rowsPrefix) {
            let table = String(key.dropFirst(SQLiteContents.rowsPrefix.count))
            let count = String(try contents.count(table))
            tables += 1
            if count != value {
                findings.append(
                    WorkloadFinding(
                        bad, "rows", "table \(table) holds \(count) rows instead of \(value)", code: .checkFailed))
            }
        }
        findings.append(WorkloadFinding(.good, "rows", "\(tables) tables counted"))
        return findings
    }
}

extension SnapshotRecord {
    /// Whether the source reported damage when it was read.
    var isDamaged: Bool { flags.contains(ReadOutcome.Flag.damaged.rawValue) }
}
