// Writes a tree below one directory and nowhere else, whatever the snapshot says.

import CLinux
import Glibc
import Primitives
import Repository
import Synchronization

/// How a tree is written.
package struct TreeWriterOptions: Sendable {
    /// Give things to their owners; needs root. Without it, and always without root, they belong to the caller.
    package var ownership = true
    /// Leave whole zero blocks as holes.
    package var sparse = true
    /// How many files will be written, for the choice of how to wait for them.
    package var expectedFiles = UInt64.max
    /// Warnings kept with their path; more are only counted.
    package var maximumWarnings = 1000
    /// Directories whose metadata waits for ``TreeWriter/finish()``.
    package var maximumPendingDirectories = 4_000_000

    /// The target may be a link to a directory.
    package var followsTarget = true

    package init() {}
}

/// What a restore could not do, without being a failure.
package struct TreeWriterReport: Sendable {
    package struct Warning: Sendable {
        package var path: [UInt8]
        package var message: String
    }

    package var warnings: [Warning] = []
    /// Warnings beyond the limit.
    package var furtherWarnings = 0
    /// Things that stay with the caller since only root may give them away.
    package var ownersNotSet = 0
    package var socketsSkipped = 0

    package init() {}
}

/// A restore target.
///
/// Every name comes from a snapshot and is taken as hostile: it is checked, and every call is relative to a descriptor
/// of its parent and follows no link. A link found where a parent directory is due is an error; any other thing in the
/// way of what is to be made is replaced, but a directory only when it is empty.
/// Thread: all methods may be called at the same time, ``finish()`` and ``sync()`` after all others.
package final class TreeWriter: Sendable {
    package let options: TreeWriterOptions
    let directories: TargetDirectories
    let isRoot: Bool
    let hasProc: Bool
    let barrier: TargetBarrier
    private let report = Mutex(TreeWriterReport())
    private let pending = Mutex<[(parts: [[UInt8]], metadata: EntryMetadata)]>([])

    /// Opens `target`, making it with mode 0700 when it is not there. Its parent must exist.
    ///
    /// - Throws: `.pathNotFound`, `.targetFailed` when it is no directory, `.accessDenied`.
    package init(target: [UInt8], options: TreeWriterOptions = TreeWriterOptions()) throws(HoldfastError) {
        let name = printablePath(target)
        let (number, error) = withCString(target) { path -> (Int32, HoldfastError?) in
            if mkdir(path, 0o700) != 0, errno != EEXIST {
                let number = errno
                if number == ENOENT {
                    return (-1, HoldfastError(.pathNotFound, "the parent of \(name) does not exist", hint: "Make it."))
                }
                return (-1, .systemCall("make directory", number, on: name, code: .targetFailed))
            }
            let opened = holdfast_openat(
                AT_FDCWD, path, O_RDONLY | O_DIRECTORY | (options.followsTarget ? 0 : O_NOFOLLOW), 0)
            return opened >= 0 ? (opened, nil) : (-1, .systemCall("open", errno, on: name, code: .targetFailed))
        }
        if let error { throw error }
        let root = OwnedDescriptor(number)
        barrier = TargetBarrier(root: root, files: options.expectedFiles)
        directories = TargetDirectories(root: root, name: name, barrier: barrier)
        isRoot = geteuid() == 0
        hasProc = access("/proc/self/fd", X_OK) == 0
        self.options = options
    }

    /// What could not be done so far.
    package var currentReport: TreeWriterReport { report.withLock { $0 } }

    // MARK: Making things

    /// Makes a directory, or makes an existing one writable for its owner until ``finish()``.
    package func makeDirectory(_ parts: [[UInt8]]) throws(HoldfastError) {
        guard let place = try place(parts) else { return }
        var status = stat()
        let kind = try kind(at: place, &status)
        if kind == .directory {
            // Opening gives the owner the right to enter; the right to write may still be missing.
            let directory = try directories.open(parts[...])
            if !isRoot, status.st_mode & 0o700 != 0o700 {
                guard fchmod(directory.number, status.st_mode & 0o7777 | 0o700) == 0 else {
                    throw failed("change the mode of", errno, parts)
                }
            }
            return
        }
        try make("make directory", place) { parent, name in mkdirat(parent, name, 0o700) }
    }

    /// Opens the regular file at `parts`, making it when it is not there.
    ///
    /// An existing file keeps its content, to be compared; a file with more than one link is replaced, since the other
    /// names may lie outside of the target. So make hard links after all content is written.
    ///
    /// - Parameter size: The size that the file will have; a large one that is made is written past the page cache.
    package func openFile(_ parts: [[UInt8]], size: UInt64 = 0) throws(HoldfastError) -> FileTarget {
        guard let place = try place(parts) else { throw unsafe("a file cannot take the place of the target", parts) }
        // In most restores there is nothing yet, and then this is all that it takes.
        var number = create(place)
        if number < 0, let found = try openExisting(place) { return found }
        var attempt = 0
        while number < 0 {
            guard number == -EEXIST || attempt == 0, attempt < Self.attempts else {
                throw failed("create", -number, parts)
            }
            try clear(place)
            number = create(place)
            attempt += 1
        }
        let direct = size >= FileTarget.leastDirectSize && hasProc ? FileTarget.direct(number) : nil
        return FileTarget(
            OwnedDescriptor(number), direct: direct, writer: self, parts: parts, isFresh: true, foundSize: 0)
    }

    /// A new file, open and closed to all but its owner; a negative result is `-errno`.
    private func create(_ place: Place) -> Int32 {
        withCString(place.name) { openPart(place.parent.number, $0, O_RDWR | O_CREAT | O_EXCL, mode: 0o600) }
    }

    /// The file at `place` when it is regular, has one link, and lets itself be opened.
    private func openExisting(_ place: Place) throws(HoldfastError) -> FileTarget? {
        var status = stat()
        guard try kind(at: place, &status) == .file, status.st_nlink == 1 else { return nil }
        let flags = O_RDWR | O_NONBLOCK
        var number = withCString(place.name) { openPart(place.parent.number, $0, flags) }
        if number == -EACCES, unlock(place) {
            number = withCString(place.name) { openPart(place.parent.number, $0, flags) }
        }
        // A file that is being executed, or is another's, is replaced and not written to.
        guard number >= 0 else { return nil }
        let descriptor = OwnedDescriptor(number)
        status = try descriptor.status(of: directories.describe(place.parts))
        guard EntryKind(fileMode: status.st_mode) == .file, status.st_nlink == 1 else { return nil }
        barrier.note(descriptor)
        return FileTarget(
            descriptor, direct: nil, writer: self, parts: place.parts, isFresh: false,
            foundSize: UInt64(clamping: status.st_size))
    }

    /// Makes a symbolic link. The target's text is kept as it is and never followed by this writer.
    package func makeSymlink(_ parts: [[UInt8]], target: [UInt8]) throws(HoldfastError) {
        guard let place = try place(parts), !target.isEmpty, target.count < Int(PATH_MAX), !target.contains(0) else {
            throw unsafe("the snapshot holds an impossible symbolic link", parts)
        }
        if try kind(at: place) == .symbolicLink, linkTarget(at: place) == target { return }
        try make("make symbolic link", place) { parent, name in
            withCString(target) { symlinkat($0, parent, name) }
        }
    }

    /// Gives the thing at `existing`, which must be there and no directory, a second name.
    package func makeHardLink(_ existing: [[UInt8]], _ parts: [[UInt8]]) throws(HoldfastError) {
        guard let source = try place(existing), let place = try place(parts) else {
            throw unsafe("the target itself cannot be hard-linked", parts)
        }
        var from = stat()
        var to = stat()
        guard let kind = try kind(at: source, &from), kind != .directory else {
            throw HoldfastError(
                .targetFailed, "\(directories.describe(existing)) is not there to be linked to",
                hint: "Restore the file that the other names belong to in the same run.")
        }
        if try self.kind(at: place, &to) != nil, from.st_ino == to.st_ino, from.st_dev == to.st_dev { return }
        try make("make hard link", place) { parent, name in
            withCString(source.name) { linkat(source.parent.number, $0, parent, name, 0) }
        }
    }

    package func makeFifo(_ parts: [[UInt8]]) throws(HoldfastError) {
        guard let place = try place(parts) else { throw unsafe("a fifo cannot take the place of the target", parts) }
        if try kind(at: place) == .fifo { return }
        try make("make fifo", place) { parent, name in mkfifoat(parent, name, 0o600) }
    }

    /// Makes a device node. Without root it is left out with a warning, and false is returned.
    package func makeDevice(_ parts: [[UInt8]], _ metadata: EntryMetadata) throws(HoldfastError) -> Bool {
        guard let place = try place(parts) else { throw unsafe("a device cannot take the place of the target", parts) }
        guard isRoot else {
            warn(parts, "device nodes are made by root only")
            return false
        }
        let type: UInt32 = metadata.kind == .blockDevice ? 0o060_000 : 0o020_000
        var status = stat()
        if try kind(at: place, &status) == metadata.kind, UInt64(status.st_rdev) == metadata.deviceNumber {
            return true
        }
        try make("make device", place) { parent, name in
            mknodat(parent, name, type | 0o600, dev_t(metadata.deviceNumber))
        }
        return true
    }

    /// Notes a socket, which its owner makes anew when it starts.
    package func skipSocket(_ parts: [[UInt8]]) { report.withLock { $0.socketsSkipped += 1 } }

    // MARK: Ending

    /// Sets a directory's metadata at ``finish()``, and that of any other thing at once.
    ///
    /// - Throws: `.targetFailed` when another kind of thing stands there.
    package func apply(_ metadata: EntryMetadata, at parts: [[UInt8]]) throws(HoldfastError) {
        guard metadata.kind == .directory else { return try applyNow(metadata, at: parts) }
        try TargetDirectories.validate(parts)
        let isFull = pending.withLock { pending in
            if pending.count >= options.maximumPendingDirectories { return true }
            pending.append((parts, metadata))
            return false
        }
        if isFull {
            throw HoldfastError(
                .limitExceeded, "more than \(options.maximumPendingDirectories) directories",
                hint: "Restore a part of the snapshot at a time.")
        }
    }

    /// Sets the metadata of directories, deepest first, so that no later change touches their times.
    package func finish() throws(HoldfastError) {
        var waiting = pending.withLock { pending in
            let all = pending
            pending = []
            return all
        }
        waiting.sort { $0.parts.count > $1.parts.count }
        for (parts, metadata) in waiting { try applyNow(metadata, at: parts) }
    }

    /// Waits until all that was written is on stable storage.
    package func sync() throws(HoldfastError) {
        try barrier.wait(root: directories.root, name: directories.describe([]))
    }

    /// Metadata of what is in the directory at `parts`, sorted by name bytes.
    package func entries(of parts: [[UInt8]]) throws(HoldfastError) -> DirectoryListing {
        let descriptor = try directories.open(parts[...])
        return try DirectoryHandle.borrowing(descriptor).entries()
    }

    func warn(_ parts: [[UInt8]], _ message: String) {
        report.withLock { report in
            if report.warnings.count < options.maximumWarnings {
                let path = Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
                report.warnings.append(.init(path: path, message: message))
            } else {
                report.furtherWarnings += 1
            }
        }
    }

    func countOwnerNotSet() { report.withLock { $0.ownersNotSet += 1 } }
}
