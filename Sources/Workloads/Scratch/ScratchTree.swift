// Trees of files that are thrown away: their size, and their removal whatever they hold.

import CLinux
import Glibc
import Primitives

/// Trees whose directories others may write to: each step goes by a descriptor of its parent, and follows no link.
package enum ScratchTree {
    /// Deeper trees are not measured; no restore writes them.
    private static let mostDepth = 4096

    /// Names of a directory; empty for one that cannot be read.
    package static func names(in path: String) -> [String] {
        guard let directory = opendir(path) else { return [] }
        defer { closedir(directory) }
        return names(directory)
    }

    private static func names(_ directory: OpaquePointer) -> [String] {
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = String(cString: holdfast_dirent_name(entry))
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// What a tree takes on its file system, in bytes.
    package static func size(of path: String) -> UInt64 {
        var status = stat()
        guard lstat(path, &status) == 0 else { return 0 }
        var sum = UInt64(clamping: status.st_blocks) * 512
        guard status.st_mode & S_IFMT == S_IFDIR else { return sum }
        let directory = holdfast_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
        if directory >= 0 { sum += size(within: directory, 0) }
        return sum
    }

    /// Takes `directory` over. Names are read as bytes, since they need not be text.
    private static func size(within directory: Int32, _ depth: Int) -> UInt64 {
        guard let stream = fdopendir(directory) else {
            close(directory)
            return 0
        }
        defer { closedir(stream) }
        var sum: UInt64 = 0
        while let entry = readdir(stream) {
            guard let name = holdfast_dirent_name(entry), !isDots(name) else { continue }
            var status = stat()
            guard fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            sum += UInt64(clamping: status.st_blocks) * 512
            guard status.st_mode & S_IFMT == S_IFDIR, depth < mostDepth else { continue }
            let inner = openat(directory, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            if inner >= 0 { sum += size(within: inner, depth + 1) }
        }
        return sum
    }

    static func isDots(_ name: UnsafePointer<CChar>) -> Bool {
        name[0] == 0x2E && (name[1] == 0 || name[1] == 0x2E && name[2] == 0)
    }

    /// Removes a tree; what is not there is no failure. Links are removed, not followed; a directory that lets nobody
    /// in is opened first. What is mounted in it is left alone. What cannot be removed does not keep the rest.
    ///
    /// - Throws: `.targetFailed` and the like, with the name of the first that cannot be removed.
    package static func remove(_ path: String) throws(HoldfastError) {
        guard try isTree(path) else { return }
        var removal = try TreeRemoval(path)
        try removal.run()
    }

    /// Removes a directory of ours that is found again by its file `owner` and by marks: these go when all else is
    /// gone, so that what could not be removed is found once more.
    ///
    /// - Parameters:
    ///   - isMark: Whether a name in it is that of a mark.
    ///   - cancellation: Once raised, what is there still stays, with the marks.
    /// - Throws: As ``remove(_:)``; all that could be removed is gone then, and the marks are there. `.interrupted`.
    package static func remove(
        _ path: String, cancellation: Cancellation? = nil, marks isMark: @escaping (String) -> Bool
    ) throws(HoldfastError) {
        guard try isTree(path) else { return }
        // One removal for all: whatever is mounted in it is seen by that.
        var removal = try TreeRemoval(path, cancellation)
        let owner = "owner"
        // Without its owner nobody would look for what is left.
        try removal.run(sparing: [{ $0 == owner || isMark($0) }, { $0 == owner }])
    }

    /// Whether `path` is something that is removed from within; what is none is removed at once.
    private static func isTree(_ path: String) throws(HoldfastError) -> Bool {
        if unlinkat(AT_FDCWD, path, 0) == 0 || errno == ENOENT { return false }
        let number = errno
        var status = stat()
        // EPERM is said of directories too, by some file systems.
        if lstat(path, &status) == 0, status.st_mode & S_IFMT != S_IFDIR {
            throw HoldfastError.systemCall("remove", number, on: path, code: .targetFailed)
        }
        return true
    }
}
