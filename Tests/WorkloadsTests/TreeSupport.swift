// Shell and tree tools of the tests in this target.

import CLinux
import Glibc
import Primitives
import Repository
import TestSupport
import Testing
import Workloads

let isRoot = geteuid() == 0

/// Runs a shell line in `directory` and gives its exit status.
@discardableResult
func shell(_ line: String, in directory: String) -> Int32 {
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    let words = ["sh", "-c", "cd '\(directory)' && { \(line)\n}"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process = pid_t()
    guard posix_spawn(&process, "/bin/sh", nil, &attributes, &arguments, Glibc.environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
func parts(_ path: String) -> [[UInt8]] { pathParts(bytes(path)) }

/// Every thing of a tree by its path, and the content of files.
struct TreePicture {
    var entries: [[UInt8]: EntryMetadata] = [:]
    var contents: [[UInt8]: [UInt8]] = [:]
    var order: [[UInt8]] = []
    var failures: [EntryFailure] = []

    init(_ path: String, _ options: TreeReaderOptions = TreeReaderOptions(), contents: Bool = true) throws {
        try walk(DirectoryHandle.open(path: bytes(path), options: options), contents)
    }

    private mutating func walk(_ directory: DirectoryHandle, _ readsContents: Bool) throws {
        entries[directory.path] = try directory.metadata()
        let listing = try directory.entries()
        failures += listing.failures
        for entry in listing.entries {
            let path = joinPath(directory.path, entry.name)
            order.append(path)
            entries[path] = entry
            if entry.kind == .directory { try walk(directory.directory(entry), readsContents) }
            if entry.kind == .file, readsContents { contents[path] = try readAll(directory.file(entry), entry.size) }
        }
    }

    var paths: [String] { order.map { printablePath($0) } }
}

func readAll(_ file: FileHandle, _ size: UInt64) throws -> [UInt8] {
    var content = [UInt8](repeating: 0, count: Int(size))
    let count = try content.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
    return Array(content[..<count])
}

/// Writes a whole picture into `target`, as a restore does: content, then links, then metadata.
func write(_ picture: TreePicture, to target: String, _ options: TreeWriterOptions = TreeWriterOptions()) throws
    -> TreeWriterReport
{
    let writer = try TreeWriter(target: bytes(target), options: options)
    var links: [(existing: [[UInt8]], path: [[UInt8]])] = []
    var known: [UInt64: [[UInt8]]] = [:]
    for path in picture.order {
        guard let entry = picture.entries[path] else { continue }
        let parts = pathParts(path)
        if entry.links > 1, entry.kind != .directory {
            if let first = known[entry.inode] {
                links.append((first, parts))
                continue
            }
            known[entry.inode] = parts
        }
        switch entry.kind {
        case .directory: try writer.makeDirectory(parts)
        case .file:
            let file = try writer.openFile(parts)
            try (picture.contents[path] ?? []).withUnsafeBytes { try file.write($0, at: 0) }
            try file.setSize(entry.size)
            try file.apply(entry)
        case .symbolicLink: try writer.makeSymlink(parts, target: entry.linkTarget)
        case .fifo: try writer.makeFifo(parts)
        case .characterDevice, .blockDevice: _ = try writer.makeDevice(parts, entry)
        case .socket: writer.skipSocket(parts)
        }
        if entry.kind != .file, entry.kind != .socket { try writer.apply(entry, at: parts) }
    }
    for link in links { try writer.makeHardLink(link.existing, link.path) }
    if let root = picture.entries[[]] { try writer.apply(root, at: []) }
    try writer.finish()
    try writer.sync()
    return writer.currentReport
}

/// What must be equal after a restore: all but the numbers that the file system gives, and change times.
func comparable(_ entry: EntryMetadata) -> EntryMetadata {
    var entry = entry
    entry.inode = 0
    entry.device = 0
    entry.changed = Timestamp(nanoseconds: 0)
    if entry.kind == .directory { entry.links = 0 }
    return entry
}

func setAttribute(_ path: String, _ name: String, _ value: [UInt8]) -> Bool {
    lsetxattr(path, name, value, value.count, 0) == 0
}

/// A POSIX access list for `system.posix_acl_access`: version 2, then tag, permission and id for each entry
/// (include/uapi/linux/posix_acl_xattr.h).
func accessList(_ entries: [(tag: UInt16, permissions: UInt16, id: UInt32)]) -> [UInt8] {
    var writer = ByteWriter()
    writer.u32(2)
    for entry in entries {
        writer.u16(entry.tag)
        writer.u16(entry.permissions)
        writer.u32(entry.id)
    }
    return writer.bytes
}

let sampleList = accessList([
    (0x01, 6, .max), (0x02, 6, 1234), (0x04, 4, .max), (0x10, 6, .max), (0x20, 0, .max),
])
