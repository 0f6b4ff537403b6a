// What the first bytes of a database say of it, and whether this user may read it.
// https://www.sqlite.org/fileformat2.html#the_database_header

import CLinux
import Glibc
import Primitives

/// The look at a database without SQLite.
enum SQLiteHeader {
    private static let magic = Array("SQLite format 3\0".utf8)
    private static let count = 100

    /// Rights, format and journal mode. The path is the real one, with links followed.
    static func findings(_ path: String, _ status: stat) -> [WorkloadFinding] {
        guard access(path, R_OK) == 0 else {
            return [
                WorkloadFinding(
                    .error, "rights", "\(path) cannot be read: \(describeErrno(errno))",
                    hint: "Run as a user who may read it.", code: .accessDenied)
            ]
        }
        guard status.st_size > 0 else { return [] }
        guard let header = read(path), header.count == count, Array(header[..<magic.count]) == magic else {
            return [
                WorkloadFinding(
                    .error, "format", "\(path): file is not a database by its first bytes",
                    hint: "Check the path; an encrypted database cannot be read without its extension and key.")
            ]
        }
        // Offset 18 and 19: 2 for the write-ahead log, 1 for a rollback journal.
        guard header[18] == 2 || header[19] == 2 else {
            return [
                WorkloadFinding(.good, "rights", "this user may read it"),
                WorkloadFinding(
                    .good, "journal mode", "rollback: writers wait while it is read",
                    hint: "`PRAGMA journal_mode=WAL` lets them go on."),
            ]
        }
        return [rightsOfLog(path), WorkloadFinding(.good, "journal mode", "WAL: writers go on while it is read")]
    }

    /// Every reader in WAL mode needs -wal and -shm, and makes them where they are not there.
    private static func rightsOfLog(_ path: String) -> WorkloadFinding {
        let directory = path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
        var system = statvfs()
        let isReadOnly = statvfs(path, &system) == 0 && system.f_flag & UInt(ST_RDONLY) != 0
        let areThere = ["-wal", "-shm"].allSatisfy { access(path + $0, F_OK) == 0 }
        let mayMake = access(directory.isEmpty ? "/" : directory, W_OK | X_OK) == 0
        guard isReadOnly || areThere || mayMake else {
            return WorkloadFinding(
                .error, "rights",
                "\(directory) cannot be written to, where SQLite makes -wal and -shm for every reader",
                hint:
                    "A database in WAL mode needs the right to write in its directory, unless another has it open.",
                code: .accessDenied)
        }
        return WorkloadFinding(.good, "rights", "this user may read it and its log")
    }

    private static func read(_ path: String) -> [UInt8]? {
        let number = holdfast_openat(AT_FDCWD, path, O_RDONLY | O_NOCTTY, 0)
        guard number >= 0 else { return nil }
        let file = OwnedDescriptor(number)
        var bytes = [UInt8](repeating: 0, count: count)
        let size = Glibc.read(file.number, &bytes, count)
        return size < 0 ? nil : Array(bytes[..<size])
    }
}
