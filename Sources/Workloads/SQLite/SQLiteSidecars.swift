// The files beside a database: what was there before, and taking away what was not; and whether anyone has it open.

import CLinux
import Glibc
import Primitives

/// The files that SQLite keeps beside a database in WAL mode.
struct SQLiteSidecars {
    private let path: String
    private let had: Set<String>

    /// Looks what is there before the database is opened. The path is the real one, with links followed.
    init(_ path: String) {
        self.path = path
        had = Set(["-wal", "-shm"].filter { access(path + $0, F_OK) == 0 })
    }

    /// Takes away what was not there before, when nobody else has the database open. To be called when it is closed.
    ///
    /// A log that holds frames by now is another's and stays. Nothing is copied into the database.
    /// - Returns: Names of what is left that was not there before.
    func clean() -> [String] {
        let made = ["-wal", "-shm"].filter { !had.contains($0) && access(path + $0, F_OK) == 0 }
        guard !made.isEmpty else { return [] }
        guard let lock = SQLiteLock(path) else { return made.map { path + $0 } }
        defer { lock.release() }
        var left: [String] = []
        var status = stat()
        let hasFrames = made.contains("-wal") && stat(path + "-wal", &status) == 0 && status.st_size > 0
        for name in made where name == "-shm" || !hasFrames {
            if unlink(path + name) != 0, errno != ENOENT { left.append(path + name) }
        }
        return left
    }
}

/// SQLite's exclusive lock on a database that no connection of this process has open, taken without waiting.
///
/// https://www.sqlite.org/lockingv3.html; the bytes, from 1 GiB on, are pending, reserved, and 510 shared ones.
struct SQLiteLock {
    private static let start: off_t = 0x4000_0000
    private static let length: off_t = 512

    private let descriptor: Int32

    /// nil when another process holds a lock, as every connection in WAL mode does, or the file cannot be written to.
    init?(_ path: String) {
        descriptor = holdfast_openat(AT_FDCWD, path, O_RDWR | O_NOCTTY, 0)
        guard descriptor >= 0 else { return nil }
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = Self.start
        lock.l_len = Self.length
        guard fcntl(descriptor, F_SETLK, &lock) == 0 else {
            close(descriptor)
            return nil
        }
    }

    func release() { close(descriptor) }
}
