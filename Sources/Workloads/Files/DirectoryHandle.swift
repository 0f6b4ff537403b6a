// Reads a tree by descriptors: every name is opened relative to its parent, and no symbolic link is followed.

import CLinux
import Glibc
import Primitives
import Repository

/// How a tree is read.
package struct TreeReaderOptions: Sendable {
    package var exclusions = Exclusions()
    /// Stay on the file system of the root: a mount point is listed and read as empty.
    package var oneFileSystem = false
    package var readLimit: ByteRateLimit?
    /// Tell the kernel to drop what was read of files over 8 MiB from its cache.
    package var dropsCache = false
    /// Directories nested deeper are reported and not read; each level holds one descriptor open.
    package var maximumDepth = 512
    /// The most names held in memory for one directory.
    package var maximumEntries = 8_000_000

    package init() {}
}

/// A thing that could not be read, by its path below the root; the rest of the directory is unharmed.
package struct EntryFailure: Sendable {
    package var path: [UInt8]
    package var error: HoldfastError
}

/// One step of a listing.
package enum ListedEntry: Sendable {
    case entry(EntryMetadata)
    case failure(EntryFailure)
}

/// What one directory holds, in the order of name bytes.
package struct DirectoryListing: Sendable {
    package var entries: [EntryMetadata] = []
    package var failures: [EntryFailure] = []
}

/// An open directory of a source tree.
///
/// Thread: one thread at a time for a handle; different handles are independent.
package final class DirectoryHandle: Sendable {
    /// Shared by all handles of one tree.
    final class Tree: Sendable {
        let options: TreeReaderOptions
        let owners = OwnerNames()
        let device: UInt64
        /// Attributes are read by path through /proc, without opening the file; else by opening it.
        let hasProc: Bool

        init(options: TreeReaderOptions, device: UInt64) {
            self.options = options
            self.device = device
            hasProc = access("/proc/self/fd", X_OK) == 0
        }
    }

    let descriptor: OwnedDescriptor
    let tree: Tree
    /// The slash-separated path below the root; empty for the root.
    package let path: [UInt8]
    /// Zero for the root.
    package let depth: Int
    private let device: UInt64

    private init(_ descriptor: OwnedDescriptor, tree: Tree, path: [UInt8], depth: Int, device: UInt64) {
        self.descriptor = descriptor
        self.tree = tree
        self.path = path
        self.depth = depth
        self.device = device
    }

    /// Opens the root of a tree. The path given by the operator may lead through links; nothing below it may.
    ///
    /// - Throws: `.pathNotFound`, `.accessDenied` or `.inputOutput`.
    package static func open(
        path: [UInt8], options: TreeReaderOptions = TreeReaderOptions()
    ) throws(HoldfastError) -> DirectoryHandle {
        let (number, errorNumber) = withCString(path) { path in
            retryingInterrupts { holdfast_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0) }
        }
        guard number >= 0 else {
            if errorNumber == ENOENT || errorNumber == ENOTDIR {
                let what = errorNumber == ENOENT ? "does not exist" : "is not a directory"
                throw HoldfastError(.pathNotFound, "\(printablePath(path)) \(what)", hint: "Check the path.")
            }
            throw HoldfastError.systemCall("open", errorNumber, on: printablePath(path))
        }
        let descriptor = OwnedDescriptor(number)
        let device = UInt64(try descriptor.status(of: printablePath(path)).st_dev)
        let tree = Tree(options: options, device: device)
        return DirectoryHandle(descriptor, tree: tree, path: [], depth: 0, device: device)
    }

    /// A root over a directory that is open already, read with the options by default.
    static func borrowing(_ descriptor: OwnedDescriptor) throws(HoldfastError) -> DirectoryHandle {
        let device = UInt64(try descriptor.status(of: "the directory").st_dev)
        let tree = Tree(options: TreeReaderOptions(), device: device)
        return DirectoryHandle(descriptor, tree: tree, path: [], depth: 0, device: device)
    }

    /// Metadata of the directory itself, with an empty name at the root.
    package func metadata() throws(HoldfastError) -> EntryMetadata {
        let name = path.split(separator: UInt8(ascii: "/")).last.map(Array.init) ?? []
        return try describe(descriptor, name: name, path: path)
    }

    /// Opens the directory `listed`.
    ///
    /// - Throws: `.sourceIncomplete` when another thing stands in its place now, `.limitExceeded` past the
    ///   maximum depth.
    package func directory(_ listed: EntryMetadata) throws(HoldfastError) -> DirectoryHandle {
        let path = joinPath(self.path, listed.name)
        guard depth < tree.options.maximumDepth else {
            throw HoldfastError(
                .limitExceeded, "\(printablePath(path)) is nested deeper than \(tree.options.maximumDepth) levels",
                hint: "Back up a directory further down as a source of its own.")
        }
        let opened = try openAgain(listed, O_RDONLY | O_DIRECTORY, path)
        return DirectoryHandle(
            opened.descriptor, tree: tree, path: path, depth: depth + 1, device: UInt64(opened.status.st_dev))
    }

    /// Opens the regular file `listed`, which must still be the same inode.
    ///
    /// - Throws: `.sourceIncomplete` when another thing stands in its place now; `.accessDenied`, `.objectMissing`.
    package func file(_ listed: EntryMetadata) throws(HoldfastError) -> FileHandle {
        let path = joinPath(self.path, listed.name)
        let opened = try openAgain(listed, O_RDONLY | O_NONBLOCK, path)
        return FileHandle(
            opened.descriptor, directory: self, name: listed.name, path: path, size: listed.size, status: opened.status)
    }

    /// Opens without following, reads no access time into being, and compares with what was listed.
    private func openAgain(
        _ listed: EntryMetadata, _ flags: Int32, _ path: [UInt8]
    ) throws(HoldfastError) -> (descriptor: OwnedDescriptor, status: stat) {
        let number = withCString(listed.name) { name in
            let quiet = openPart(descriptor.number, name, flags | holdfast_o_noatime)
            // Only the owner and the privileged may ask for no access time.
            return quiet == -EPERM ? openPart(descriptor.number, name, flags) : quiet
        }
        guard number >= 0 else {
            if number == -ELOOP || number == -ENOTDIR { throw Self.changed(path) }
            throw HoldfastError.systemCall("open", -number, on: printablePath(path))
        }
        let opened = OwnedDescriptor(number)
        let status = try opened.status(of: printablePath(path))
        guard EntryKind(fileMode: status.st_mode) == listed.kind, UInt64(status.st_ino) == listed.inode,
            UInt64(status.st_dev) == listed.device
        else { throw Self.changed(path) }
        return (opened, status)
    }

    static func changed(_ path: [UInt8]) -> HoldfastError {
        HoldfastError(
            .sourceIncomplete, "\(printablePath(path)) was replaced while it was read",
            hint: "Back up again when the source is quiet.", retry: .now)
    }

    // MARK: Listing

    /// All that the directory holds, sorted by name bytes. For directories of ordinary size.
    ///
    /// - Throws: as ``visitEntries(_:)``.
    package func entries() throws(HoldfastError) -> DirectoryListing {
        var listing = DirectoryListing()
        try visitEntries { (step) throws(HoldfastError) in
            switch step {
            case .entry(let entry): listing.entries.append(entry)
            case .failure(let failure): listing.failures.append(failure)
            }
        }
        return listing
    }

    /// Visits what the directory holds in the order of name bytes, without what the exclusions name.
    ///
    /// Memory: the names of this one directory (at most ``TreeReaderOptions/maximumEntries``), and one entry's
    /// metadata. A name that vanishes between the listing and its turn is skipped: it is not in the source any more.
    /// - Parameter leavesFileAttributes: Whether regular files come without extended attributes, for callers that open
    ///   each file and ask ``FileHandle/metadata()``, which finds them without going by the path once more.
    /// - Throws: when the directory itself cannot be listed; a failure of one entry is handed to `visit`.
    package func visitEntries(
        leavesFileAttributes: Bool = false, _ visit: (ListedEntry) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let options = tree.options
        if options.oneFileSystem, device != tree.device { return }
        let names = try NameList(
            reading: descriptor.number, limit: options.maximumEntries,
            as: path.isEmpty ? "the source" : printablePath(path))
        let onlyTag = isTaggedCache(names)
        let reader = EntryReader(directory: self, leavesFileAttributes: leavesFileAttributes)
        for item in names.items {
            let name = names.name(item)
            if onlyTag, name != CacheTag.name { continue }
            guard let step = reader.read(name, type: item.type) else { continue }
            try visit(step)
        }
    }

    /// Whether the exclusions drop this directory's contents because of its cache tag. The root is never dropped: the
    /// operator named it.
    private func isTaggedCache(_ names: NameList) -> Bool {
        guard tree.options.exclusions.excludesCaches, depth > 0, names.contains(CacheTag.name) else { return false }
        return CacheTag.isValid(in: descriptor.number)
    }

    /// Metadata of an open file or directory.
    func describe(
        _ descriptor: OwnedDescriptor, name: [UInt8], path: [UInt8]
    ) throws(HoldfastError) -> EntryMetadata {
        let status = try descriptor.status(of: printablePath(path))
        guard var entry = EntryMetadata(name: name, status: status) else { throw Self.changed(path) }
        entry.userName = tree.owners.user(entry.user)
        entry.groupName = tree.owners.group(entry.group)
        let (attributes, number) = AttributeHolder.descriptor(descriptor.number).read()
        guard number == 0 else {
            throw HoldfastError.systemCall("read attributes of", number, on: printablePath(path))
        }
        entry.attributes = attributes
        return entry
    }
}
