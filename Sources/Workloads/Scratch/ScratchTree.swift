// Trees of files that are thrown away: their size, and their removal whatever they hold.

import CLinux
import Glibc
import Primitives

/// Trees whose directories others may write to: each step goes by a descriptor of its parent, and follows no link.
package enum ScratchTree {
    /// Deeper trees are not followed; no restore writes them.
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

    private static func isDots(_ name: UnsafePointer<CChar>) -> Bool {
        name[0] == 0x2E && (name[1] == 0 || name[1] == 0x2E && name[2] == 0)
    }

    /// Removes a tree; what is not there is no failure. Links are removed, not followed; a directory that lets nobody
    /// in is opened first.
    ///
    /// - Throws: `.targetFailed` with the name of what cannot be removed.
    package static func remove(_ path: String) throws(HoldfastError) {
        if unlinkat(AT_FDCWD, path, 0) == 0 || errno == ENOENT { return }
        try empty(AT_FDCWD, path, shown: path, 0)
        guard unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT else {
            throw HoldfastError.systemCall("remove", errno, on: path, code: .targetFailed)
        }
    }

    private static func empty(
        _ parent: Int32, _ name: UnsafePointer<CChar>, shown: String, _ depth: Int
    ) throws(HoldfastError) {
        var directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        if directory < 0, errno == EACCES, fchmodat(parent, name, 0o700, 0) == 0 {
            directory = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        }
        guard directory >= 0, depth < mostDepth, let stream = fdopendir(directory) else {
            let number = errno
            if directory >= 0 { close(directory) }
            throw HoldfastError.systemCall("remove", number, on: shown, code: .targetFailed)
        }
        defer { closedir(stream) }
        var status = stat()
        // What lies within can only be removed from a directory that may be written to.
        if fstat(directory, &status) == 0, status.st_mode & 0o700 != 0o700 { fchmod(directory, 0o700) }
        while let entry = readdir(stream) {
            guard let inner = holdfast_dirent_name(entry), !isDots(inner) else { continue }
            if unlinkat(directory, inner, 0) == 0 || errno == ENOENT { continue }
            let place = "\(shown)/\(String(cString: inner))"
            guard errno == EISDIR || errno == EPERM else {
                throw HoldfastError.systemCall("remove", errno, on: place, code: .targetFailed)
            }
            try empty(directory, inner, shown: place, depth + 1)
            guard unlinkat(directory, inner, AT_REMOVEDIR) == 0 || errno == ENOENT else {
                throw HoldfastError.systemCall("remove", errno, on: place, code: .targetFailed)
            }
        }
    }
}
