// The directory of a scratch server: short enough for a socket, and known again after a crash.

import CLinux
import Glibc
import Primitives

/// A private directory for what a scratch server needs besides the restored copy.
///
/// Its file `owner` is locked as long as this process lives. Whoever finds it unlocked knows that its maker crashed,
/// and may stop the server and take the directory away. The file holds the path of the restored copy.
package final class ScratchPlace: Sendable {
    package static let prefix = "holdfast-scratch-"
    /// A socket's path ends at 107 bytes; below the directory there are `/s/.s.PGSQL.5432`, and room to spare.
    static let longestParent = 48
    private static let mostLeftovers = 1000

    let path: String
    private let lock: OwnedDescriptor

    /// What the server may write to.
    var inner: String { "\(path)/s" }

    private init(path: String, lock: OwnedDescriptor) {
        self.path = path
        self.lock = lock
    }

    /// Where such directories are made: TMPDIR where it is short enough, else `/tmp`.
    static var parent: String {
        let chosen = ProcessEnvironment.value("TMPDIR").map { Host.absolutePath($0) }
        return chosen.flatMap { $0.utf8.count <= longestParent ? $0 : nil } ?? "/tmp"
    }

    /// Makes one for a server over the copy at `data`.
    static func make(
        over data: String, in parent: String = parent, _ context: WorkloadContext
    ) throws(HoldfastError) -> ScratchPlace {
        let name = prefix + Hex.encode(try context.entropy.bytes32().array.prefix(8))
        let path = "\(parent)/\(name)"
        if let notes = context.scratchNotes { try note(path, in: "\(notes)/\(name)") }
        guard mkdir(path, 0o711) == 0, chmod(path, 0o711) == 0, mkdir("\(path)/s", 0o700) == 0 else {
            throw HoldfastError.systemCall("make directory", errno, on: path, code: .targetFailed)
        }
        let number = holdfast_openat(AT_FDCWD, "\(path)/owner", O_RDWR | O_CREAT | O_EXCL, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: path, code: .targetFailed) }
        let lock = OwnedDescriptor(number)
        let text = Array(data.utf8)
        guard flock(number, LOCK_EX | LOCK_NB) == 0, Glibc.write(number, text, text.count) == text.count else {
            throw HoldfastError.systemCall("write", errno, on: "\(path)/owner", code: .targetFailed)
        }
        return ScratchPlace(path: path, lock: lock)
    }

    /// Before the directory is made, so that none is without a note.
    private static func note(_ path: String, in file: String) throws(HoldfastError) {
        let number = holdfast_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: file, code: .targetFailed) }
        let descriptor = OwnedDescriptor(number)
        let bytes = Array(path.utf8)
        guard Glibc.write(descriptor.number, bytes, bytes.count) == bytes.count else {
            throw HoldfastError.systemCall("write", errno, on: file, code: .targetFailed)
        }
    }

    /// The directories that are noted in the directory of a drill.
    package static func noted(in notes: String) -> [String] {
        ScratchTree.names(in: notes).filter { $0.hasPrefix(prefix) }.sorted().prefix(mostLeftovers).compactMap { name in
            guard let bytes = try? PostgresDirectory.content("\(notes)/\(name)", atMost: 4096) else { return nil }
            let path = String(decoding: bytes, as: UTF8.self)
            return path.hasSuffix("/\(name)") ? path : nil
        }
    }

    /// Writes a file for the server, before its directory is given to the server's user.
    func write(_ name: String, _ text: String) throws(HoldfastError) {
        let file = "\(inner)/\(name)"
        let number = holdfast_openat(AT_FDCWD, file, O_WRONLY | O_CREAT | O_EXCL, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: file, code: .targetFailed) }
        let descriptor = OwnedDescriptor(number)
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor.number, bytes, bytes.count) == bytes.count else {
            throw HoldfastError.systemCall("write", errno, on: file, code: .targetFailed)
        }
    }

    /// Puts another file in the place of one of the server's, who is at work in the directory.
    ///
    /// - Throws: `.targetFailed`; the file is as it was then.
    func replace(_ name: String, _ text: String, ownedBy user: ServerUser) throws(HoldfastError) {
        let (file, fresh) = ("\(inner)/\(name)", "\(inner)/.\(name).new")
        unlink(fresh)
        // Never through a link that the server's user has put there.
        let number = holdfast_openat(AT_FDCWD, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600)
        guard number >= 0 else { throw HoldfastError.systemCall("create", errno, on: fresh, code: .targetFailed) }
        let descriptor = OwnedDescriptor(number)
        let bytes = Array(text.utf8)
        guard Glibc.write(descriptor.number, bytes, bytes.count) == bytes.count,
            !user.isOther || fchown(descriptor.number, user.number, user.group) == 0, rename(fresh, file) == 0
        else {
            let failure = errno
            unlink(fresh)
            throw HoldfastError.systemCall("write", failure, on: file, code: .targetFailed)
        }
    }

    /// Takes the directory away; what is not there is no failure.
    func remove() { try? ScratchTree.remove(path) { _ in false } }

    // MARK: After a crash

    /// Stops the servers of processes that are gone, and removes their directories. The copies stay where they are:
    /// they are their makers'.
    ///
    /// - Parameter stop: Stops the server over a copy, if it is the one that was started from the place.
    /// - Returns: The copies whose servers were looked for.
    @discardableResult
    package static func removeLeftovers(in parent: String? = nil, stop: (_ data: String, _ place: String) -> Void)
        -> [String]
    {
        let parent = parent ?? Self.parent
        let names = (try? PostgresDirectory.names(in: parent)) ?? []
        var found: [String] = []
        for name in names.filter({ $0.hasPrefix(prefix) }).prefix(mostLeftovers) {
            if let data = removeLeftover("\(parent)/\(name)", stop: stop) { found.append(data) }
        }
        return found
    }

    /// The same for one directory, if it is ours and its maker is gone.
    ///
    /// - Returns: The copy whose server was looked for.
    package static func removeLeftover(_ path: String, stop: (_ data: String, _ place: String) -> Void) -> String? {
        let name = String(path.split(separator: "/").last ?? "")
        var status = stat()
        // Another user's, or a link that another user made, is not ours to act upon.
        guard name.hasPrefix(prefix), lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR,
            status.st_uid == geteuid()
        else { return nil }
        let number = holdfast_openat(AT_FDCWD, "\(path)/owner", O_RDWR | O_NOFOLLOW, 0)
        guard number >= 0 else { return nil }
        let owner = OwnedDescriptor(number)
        guard flock(owner.number, LOCK_EX | LOCK_NB) == 0 else { return nil }
        var data: String?
        if let bytes = try? PostgresDirectory.content("\(path)/owner", atMost: 4096), !bytes.isEmpty {
            let text = String(decoding: bytes, as: UTF8.self)
            stop(text, name)
            data = text
        }
        try? ScratchTree.remove(path) { _ in false }
        return data
    }
}
