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
    private let cancellation: Cancellation?
    private let top: Int32
    private let stream: OpaquePointer
    private let device: dev_t
    private let mount: Int?
    /// Names that were tried, of which each is only tried once.
    private var tries = 0
    private var moved = 0
    /// Of the pass under way.
    private var failure: HoldfastError?
    private var failures = 0

    /// - Throws: for what is no directory that can be opened.
    init(_ path: String, _ cancellation: Cancellation? = nil) throws(HoldfastError) {
        self.path = path
        self.cancellation = cancellation
        let directory = Self.openTop(path)
        var status = stat()
        guard directory >= 0, fstat(directory, &status) == 0, let stream = fdopendir(directory) else {
            let number = errno
            if directory >= 0 { close(directory) }
            throw Self.failed(number, path)
        }
        top = directory
        mount = Self.mount(of: directory)
        self.stream = stream
        device = status.st_dev
    }

    /// Once: all is closed afterwards.
    ///
    /// - Parameter steps: What is left alone in the tree's top at first, and in what order it goes: each of these holds
    ///   until all else is gone. By the last nothing is left.
    mutating func run(sparing steps: [(String) -> Bool] = []) throws(HoldfastError) {
        defer { closedir(stream) }
        for isSpared in steps { try empty(sparing: isSpared) }
        try empty(sparing: nil)
        guard unlinkat(AT_FDCWD, path, AT_REMOVEDIR) == 0 || errno == ENOENT else { throw Self.failed(errno, path) }
    }

    /// - Throws: With the first that cannot be removed; all that can be is gone then.
    private mutating func empty(sparing isSpared: ((String) -> Bool)?) throws(HoldfastError) {
        var before = 0
        repeat {
            (before, failure, failures) = (moved, nil, 0)
            rewinddir(stream)
            empty(stream, top, path, 0, sparing: isSpared)
            try cancellation?.check()
            // Each directory is moved once at most, and only what was moved is worth another pass: there is an end.
        } while moved > before
        guard let failure else { return }
        let others = failures == 1 ? "" : ", and \(failures - 1) more cannot be removed"
        throw HoldfastError(failure.code, failure.message + others, hint: failure.hint, retry: failure.retry)
    }

    /// - Parameter isSpared: Names in this directory that stay.
    private mutating func empty(
        _ stream: OpaquePointer, _ directory: Int32, _ shown: String, _ depth: Int,
        sparing isSpared: ((String) -> Bool)? = nil
    ) {
        var status = stat()
        // What lies within can only be removed from a directory that may be written to.
        if fstat(directory, &status) == 0, status.st_mode & 0o700 != 0o700 { fchmod(directory, 0o700) }
        while cancellation?.isRaised != true, let name = next(stream, shown) {
            if ScratchTree.isDots(name) || isSpared?(String(cString: name)) == true { continue }
            if unlinkat(directory, name, 0) == 0 || errno == ENOENT { continue }
            let number = errno
            guard number == EISDIR || number == EPERM else {
                note(number, shown, name)
                continue
            }
            if depth + 1 < Self.mostDepth {
                descend(directory, name, shown, depth, number)
            } else {
                move(directory, name, shown, number)
            }
        }
    }

    /// The next name; a directory that cannot be read to its end is told like what cannot be removed.
    private mutating func next(_ stream: OpaquePointer, _ shown: String) -> UnsafePointer<CChar>? {
        errno = 0
        if let entry = readdir(stream) { return holdfast_dirent_name(entry) }
        if errno != 0 { note(errno, shown, ".") }
        return nil
    }

    /// - Parameter refusal: Why it could not be removed like a file; that is the reason when it is no directory.
    private mutating func descend(
        _ directory: Int32, _ name: UnsafePointer<CChar>, _ shown: String, _ depth: Int, _ refusal: Int32
    ) {
        let inner = open(directory, name)
        guard inner >= 0 else { return note(errno == ENOTDIR ? refusal : errno, shown, name) }
        guard let stream = fdopendir(inner) else {
            note(errno, shown, name)
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
    private mutating func move(
        _ directory: Int32, _ name: UnsafePointer<CChar>, _ shown: String, _ refusal: Int32
    ) {
        if unlinkat(directory, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
        if errno == ENOTDIR { return note(refusal, shown, name) }
        // A directory that moves must be one that we may write to.
        admit(directory, name)
        while tries < Self.mostMoves {
            tries += 1
            if renameat(directory, name, top, "holdfast-deep-\(tries)") == 0 {
                moved += 1
                return
            }
            if errno == ENOENT { return }
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

    private static let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC

    /// The directory that is removed, wherever it is mounted.
    private static func openTop(_ path: String) -> Int32 {
        let directory = openat(AT_FDCWD, path, flags)
        guard directory < 0, errno == EACCES, admit(AT_FDCWD, path, where: { _ in true }) else { return directory }
        return openat(AT_FDCWD, path, flags)
    }

    /// One within; EBUSY for what is mounted there, which is somebody's.
    private func open(_ parent: Int32, _ name: UnsafePointer<CChar>) -> Int32 {
        var directory = openat(parent, name, Self.flags)
        if directory < 0, errno == EACCES, admit(parent, name) { directory = openat(parent, name, Self.flags) }
        guard directory >= 0, !isOurs(directory) else { return directory }
        close(directory)
        errno = EBUSY
        return -1
    }

    @discardableResult
    private func admit(_ parent: Int32, _ name: UnsafePointer<CChar>) -> Bool {
        Self.admit(parent, name, where: isOurs)
    }

    /// Lets us into a directory of ours; never through a link that was put into its place. `errno` stays as it was when
    /// that fails.
    private static func admit(
        _ parent: Int32, _ name: UnsafePointer<CChar>, where isOurs: (Int32) -> Bool
    ) -> Bool {
        let before = errno
        defer { errno = before }
        let place = openat(parent, name, holdfast_o_path | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard place >= 0 else { return false }
        defer { close(place) }
        return isOurs(place) && chmod("/proc/self/fd/\(place)", 0o700) == 0
    }

    // MARK: Mounts

    /// Whether nothing is mounted between the top and this directory. A bind mount of the same file system is only
    /// known by the number of its mount, which needs /proc.
    private func isOurs(_ directory: Int32) -> Bool {
        var status = stat()
        guard fstat(directory, &status) == 0, status.st_dev == device else { return false }
        return mount == nil || Self.mount(of: directory) == mount
    }

    /// The number of the mount that a descriptor was opened in, as proc_pid_fdinfo(5) has it.
    private static func mount(of descriptor: Int32) -> Int? {
        let file = Glibc.open("/proc/self/fdinfo/\(descriptor)", O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return nil }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 512)
        let count = read(file, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let key = Array("mnt_id:".utf8)
        let line = bytes[..<count].split(separator: 0x0A).first { $0.starts(with: key) }
        return line.flatMap { Int(String(decoding: $0.dropFirst(key.count + 1), as: UTF8.self)) }
    }
}
