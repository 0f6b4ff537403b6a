// The removal of a tree that somebody may have made to be hard to remove.

import CLinux
import Glibc
import Primitives

/// Goes down no deeper than there are descriptors for: directories below that are moved to the top of the tree, and
/// removed from there in another pass.
struct TreeRemoval {
    /// As many descriptors are open at a time, of which a process may have about a thousand.
    private static let mostDepth = 100
    private static let mostMoves = 1 << 30
    private static let longestShown = 300

    private let path: String
    private let top: Int32
    private let stream: OpaquePointer
    private let device: dev_t
    private var moves = 0
    /// Of the pass under way.
    private var failure: HoldfastError?
    private var failures = 0

    /// - Throws: for what is no directory that can be opened.
    init(_ path: String) throws(HoldfastError) {
        self.path = path
        let directory = Self.open(AT_FDCWD, path)
        var status = stat()
        guard directory >= 0, fstat(directory, &status) == 0, let stream = fdopendir(directory) else {
            let number = errno
            if directory >= 0 { close(directory) }
            throw Self.failed(number, path)
        }
        top = directory
        self.stream = stream
        device = status.st_dev
    }

    /// Once: all is closed afterwards.
    mutating func run() throws(HoldfastError) {
        defer { closedir(stream) }
        var before = 0
        repeat {
            (before, failure, failures) = (moves, nil, 0)
            rewinddir(stream)
            empty(stream, top, path, 0)
            // Each pass takes what lay so deep a hundred levels further up, so that there is an end.
        } while moves > before
        if let failure {
            let others = failures == 1 ? "" : ", and \(failures - 1) more cannot be removed"
            throw HoldfastError(
                failure.code, failure.message + others, hint: failure.hint, retry: failure.retry)
        }
        guard unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw Self.failed(errno, path) }
    }

    private mutating func empty(_ stream: OpaquePointer, _ directory: Int32, _ shown: String, _ depth: Int) {
        var status = stat()
        // What lies within can only be removed from a directory that may be written to.
        if fstat(directory, &status) == 0, status.st_mode & 0o700 != 0o700 { fchmod(directory, 0o700) }
        while let entry = readdir(stream) {
            guard let name = holdfast_dirent_name(entry), !ScratchTree.isDots(name) else { continue }
            if unlinkat(directory, name, 0) == 0 || errno == ENOENT { continue }
            guard errno == EISDIR || errno == EPERM else {
                note(errno, shown, name)
                continue
            }
            if depth + 1 < Self.mostDepth {
                descend(directory, name, shown, depth)
            } else {
                move(directory, name, shown)
            }
        }
    }

    private mutating func descend(_ directory: Int32, _ name: UnsafePointer<CChar>, _ shown: String, _ depth: Int) {
        let inner = Self.open(directory, name)
        guard inner >= 0 else { return note(errno, shown, name) }
        var status = stat()
        guard fstat(inner, &status) == 0, status.st_dev == device, let stream = fdopendir(inner) else {
            // What is mounted there is somebody's.
            note(status.st_dev == device ? errno : EBUSY, shown, name)
            close(inner)
            return
        }
        let before = failures
        empty(stream, inner, "\(shown)/\(String(cString: name))", depth + 1)
        closedir(stream)
        // Of a directory that is not empty the reason was told.
        if unlinkat(directory, name, AT_REMOVEDIR) != 0, errno != ENOENT, failures == before {
            note(errno, shown, name)
        }
    }

    /// Puts a directory that lies too deep into the top of the tree.
    private mutating func move(_ directory: Int32, _ name: UnsafePointer<CChar>, _ shown: String) {
        if unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
        // A directory that moves must be one that we may write to.
        Self.admit(directory, name)
        while moves < Self.mostMoves {
            moves += 1
            if renameat(directory, name, top, "holdfast-deep-\(moves)") == 0 || errno == ENOENT { return }
            // The tree has one of that name that is not empty, or no directory.
            guard errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR else { return note(errno, shown, name) }
        }
        note(ELOOP, shown, name)
    }

    private mutating func note(_ number: Int32, _ shown: String, _ name: UnsafePointer<CChar>) {
        failures += 1
        guard failure == nil else { return }
        var place = "\(shown)/\(String(cString: name))"
        if place.utf8.count > Self.longestShown { place = "\(path)/…/\(String(cString: name))" }
        failure = Self.failed(number, place)
    }

    private static func failed(_ number: Int32, _ thing: String) -> HoldfastError {
        .systemCall("remove", number, on: thing, code: .targetFailed)
    }

    // MARK: Rights

    private static func open(_ parent: Int32, _ name: UnsafePointer<CChar>) -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let directory = openat(parent, name, flags)
        guard directory < 0, errno == EACCES, admit(parent, name) else { return directory }
        return openat(parent, name, flags)
    }

    /// Lets us into a directory of ours; never through a link that was put into its place. `errno` stays as it was when
    /// that fails.
    @discardableResult
    private static func admit(_ parent: Int32, _ name: UnsafePointer<CChar>) -> Bool {
        let before = errno
        defer { errno = before }
        let place = openat(parent, name, holdfast_o_path | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else { return false }
        defer { close(place) }
        return chmod("/proc/self/fd/\(place)", 0o700) == 0
    }
}
