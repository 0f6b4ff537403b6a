// The private directory of one drill: known again after a crash, and taken away then by the next.

import CLinux
import Glibc
import Primitives
import Workloads

/// A directory below the scratch directory, with one for each system in it.
///
/// Its file `owner` is locked as long as this process lives; whoever finds it unlocked knows that its maker is gone.
final class DrillScratch: Sendable {
    static let prefix = "holdfast-drill-"
    /// What is not yet locked has another name, so that nobody takes it for what a crash left.
    private static let freshPrefix = "holdfast-new-drill-"
    private static let longestMaking: Int64 = 3600
    private static let mostLeftovers = 1000

    let path: String
    private let lock: OwnedDescriptor

    /// Where scratch directories are when nobody says: `TMPDIR`, else `/var/tmp`.
    static var standardParent: String {
        ProcessEnvironment.value("TMPDIR").map { Host.absolutePath($0) } ?? "/var/tmp"
    }

    /// Makes one below `parent`.
    ///
    /// - Throws: `.targetFailed`, `.accessDenied`, `.noSpace`.
    init(_ id: ULID, in parent: String) throws(HoldfastError) {
        let whole = "\(parent)/\(Self.prefix)\(id)"
        let path = "\(parent)/\(Self.freshPrefix)\(id)"
        // Others may pass, so that a server can run as another user; what is in it is closed to them.
        guard mkdir(path, 0o711) == 0, chmod(path, 0o711) == 0 else {
            throw HoldfastError.systemCall("make directory", errno, on: path, code: .targetFailed)
        }
        let number = holdfast_openat(AT_FDCWD, "\(path)/owner", O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: path, code: .targetFailed) }
        lock = OwnedDescriptor(number)
        guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
            throw HoldfastError.systemCall("lock", errno, on: path, code: .targetFailed)
        }
        guard rename(path, whole) == 0 else {
            throw HoldfastError.systemCall("rename", errno, on: path, code: .targetFailed)
        }
        self.path = whole
    }

    /// Makes the directory of one system and the one of its copy, closed to all others until they are handed over: what
    /// is restored is written by us, who may be root, and nobody may lead that astray.
    ///
    /// - Throws: `.usage` for a name that is no name of a directory, and leads elsewhere; `.targetFailed`.
    func make(_ system: String) throws(HoldfastError) -> String {
        guard isSafeName(Array(system.utf8)) else { throw DrillPlan.badName(system) }
        let place = "\(path)/\(system)"
        for made in [place, "\(place)/data"] {
            guard mkdir(made, 0o700) == 0 else {
                throw HoldfastError.systemCall("make directory", errno, on: made, code: .targetFailed)
            }
        }
        return place
    }

    /// Looks, before any work is done, whether a directory can be made below `parent`.
    ///
    /// - Throws: `.targetFailed`, `.accessDenied`.
    static func require(_ parent: String) throws(HoldfastError) {
        var status = stat()
        guard fstatat(AT_FDCWD, parent, &status, 0) == 0 else {
            throw HoldfastError.systemCall("look at", errno, on: parent, code: .targetFailed)
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            throw HoldfastError(
                .targetFailed, "\(parent) is no directory, and scratch space is made in one",
                hint: "Name a directory with --scratch.")
        }
        guard access(parent, W_OK | X_OK) == 0 else {
            throw HoldfastError.systemCall("write into", errno, on: parent, code: .targetFailed)
        }
    }

    /// Bytes that can still be written where the scratch directory is.
    func room() throws(HoldfastError) -> UInt64 {
        var system = statvfs()
        guard statvfs(path, &system) == 0 else {
            throw HoldfastError.systemCall("look at", errno, on: path, code: .targetFailed)
        }
        return UInt64(system.f_bavail) * UInt64(system.f_frsize)
    }

    /// The same for any place; 0 where nobody tells.
    static func room(at path: String) -> UInt64 {
        var system = statvfs()
        guard statvfs(path, &system) == 0 else { return 0 }
        return UInt64(system.f_bavail) * UInt64(system.f_frsize)
    }

    func remove() throws(HoldfastError) { try Self.remove(path) }

    /// Removes one that is locked. What cannot be removed is found again: the owner, the mark of copies that were kept
    /// and the notes of servers go last.
    static func remove(_ path: String, _ cancellation: Cancellation? = nil) throws(HoldfastError) {
        try ScratchTree.remove(path, cancellation: cancellation) {
            $0 == KeptScratch.mark || $0.hasPrefix(ScratchPlace.prefix)
        }
    }

    /// Puts an empty file beside the systems, which says something to whoever finds the directory.
    ///
    /// - Durability: on return it is on stable storage.
    /// - Throws: when it is not there.
    func mark(_ name: String) throws(HoldfastError) {
        let number = holdfast_openat(AT_FDCWD, "\(path)/\(name)", O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: path, code: .targetFailed) }
        close(number)
        let directory = holdfast_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0)
        defer { if directory >= 0 { close(directory) } }
        guard directory >= 0, fsync(directory) == 0 else {
            let failure = errno
            unlink("\(path)/\(name)")
            throw HoldfastError.systemCall("sync", failure, on: path, code: .targetFailed)
        }
    }

    /// Holds a directory whose drill is over, so that nobody else acts upon it; nil for another user's, for one of a
    /// drill under way, and for what has no owner.
    static func lock(_ path: String) -> OwnedDescriptor? {
        var status = stat()
        // Another user's, or a link that another user made, is not ours to act upon.
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid() else {
            return nil
        }
        let number = holdfast_openat(AT_FDCWD, "\(path)/owner", O_RDWR | O_NOFOLLOW, 0)
        guard number >= 0 else { return nil }
        let owner = OwnedDescriptor(number)
        return flock(owner.number, LOCK_EX | LOCK_NB) == 0 ? owner : nil
    }

    // MARK: After a crash

    /// Stops the servers of drills whose processes are gone and removes their directories below `parent`.
    ///
    /// - Returns: The directories that were removed, and what could not be.
    static func removeLeftovers(
        in parent: String, at now: Timestamp = SystemClock().now()
    ) -> (removed: [String], failures: [HoldfastError]) {
        ScratchPlace.removeLeftovers(stop: PostgresScratch.stopServer)
        var outcome: (removed: [String], failures: [HoldfastError]) = ([], [])
        let names = ScratchTree.names(in: parent).filter { $0.hasPrefix(prefix) || $0.hasPrefix(freshPrefix) }.sorted()
        for name in names.prefix(mostLeftovers) {
            if name.hasPrefix(freshPrefix), !isOld("\(parent)/\(name)", now) { continue }
            let path = "\(parent)/\(name)"
            // One that is being made has no owner yet; it is left for the next time unless it is empty.
            guard access("\(path)/owner", F_OK) == 0 else {
                if errno == ENOENT, rmdir(path) == 0 { outcome.removed.append(path) }
                continue
            }
            guard let owner = lock(path) else { continue }
            defer { withExtendedLifetime(owner) {} }
            // Somebody wanted to look at it.
            if KeptScratch.isKept(path) { continue }
            // Its servers may have been started under another TMPDIR than ours.
            for place in ScratchPlace.noted(in: path) {
                _ = ScratchPlace.removeLeftover(place, stop: PostgresScratch.stopServer)
            }
            do throws(HoldfastError) {
                try remove(path)
                outcome.removed.append(path)
            } catch {
                outcome.failures.append(error)
            }
        }
        return outcome
    }

    private static func isOld(_ path: String, _ now: Timestamp) -> Bool {
        var status = stat()
        return lstat(path, &status) == 0 && holdfast_modified_seconds(&status) + longestMaking < now.seconds
    }
}

extension Drill {
    /// Looks, before any work is done, whether a drill can make its directory.
    ///
    /// - Parameter scratch: Where that would be; nil for where it is when nobody says.
    /// - Throws: `.targetFailed`, `.accessDenied`.
    package static func requireScratch(_ scratch: String?) throws(HoldfastError) {
        try DrillScratch.require(scratch.map { Host.absolutePath($0) } ?? DrillScratch.standardParent)
    }

    /// Stops servers and removes directories that drills left whose processes are gone.
    ///
    /// - Parameter scratch: Where drills have their directories; nil for where they are when nobody says.
    /// - Returns: The directories that were removed. What could not be removed is left to the next drill, which tells.
    package static func removeLeftovers(scratch: String?) -> [String] {
        DrillScratch.removeLeftovers(in: scratch ?? DrillScratch.standardParent).removed
    }
}
