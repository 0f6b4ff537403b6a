// Trees to restore, pictures of what came back, and a shell.

import CLinux
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport
import Testing
import Workloads

/// Runs a shell line in `directory` and gives its exit status.
@discardableResult
func shell(_ line: String, in directory: String) -> Int32 {
    let words = ["sh", "-c", "cd '\(directory)' && { \(line)\n}"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var process = pid_t()
    guard posix_spawn(&process, "/bin/sh", nil, nil, &arguments, Glibc.environ) == 0 else { return -1 }
    var status: Int32 = 0
    while waitpid(process, &status, 0) < 0, errno == EINTR {}
    return status
}

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// Every thing of a tree by its path, and the content of files up to 64 MiB.
struct TreePicture: Equatable {
    var entries: [[UInt8]: EntryMetadata] = [:]
    var contents: [[UInt8]: [UInt8]] = [:]
    /// Paths of one inode, by the first of them.
    var links: [[UInt8]: [[UInt8]]] = [:]

    init(_ path: String) throws {
        var inodes: [UInt64: [UInt8]] = [:]
        try walk(DirectoryHandle.open(path: bytes(path)), &inodes)
    }

    private mutating func walk(_ directory: DirectoryHandle, _ inodes: inout [UInt64: [UInt8]]) throws {
        entries[directory.path] = comparable(try directory.metadata())
        let listing = try directory.entries()
        #expect(listing.failures.isEmpty)
        for entry in listing.entries {
            let path = joinPath(directory.path, entry.name)
            if entry.kind != .directory, entry.links > 1 {
                let first = inodes[entry.inode] ?? path
                inodes[entry.inode] = first
                links[first, default: []].append(path)
            }
            entries[path] = comparable(entry)
            if entry.kind == .directory { try walk(directory.directory(entry), &inodes) }
            if entry.kind == .file, entry.size <= 64 << 20 {
                var content = [UInt8](repeating: 0, count: Int(entry.size))
                let file = try directory.file(entry)
                _ = try content.withUnsafeMutableBytes { try file.read(at: 0, into: $0) }
                contents[path] = content
            }
        }
    }

    /// Paths that differ between two pictures, for messages.
    func differences(_ other: TreePicture) -> [String] {
        Set(entries.keys).union(other.entries.keys).filter {
            entries[$0] != other.entries[$0] || contents[$0] != other.contents[$0] || links[$0] != other.links[$0]
        }.map { printablePath($0) }.sorted()
    }
}

/// What must be equal after a restore: all but the numbers that the file system gives, and change times.
private func comparable(_ entry: EntryMetadata) -> EntryMetadata {
    var entry = entry
    entry.inode = 0
    entry.device = 0
    entry.changed = Timestamp(nanoseconds: 0)
    if entry.kind == .directory { entry.links = 0 }
    return entry
}

extension TestRepository {
    func snapshot(_ id: SnapshotID?) throws -> Snapshot {
        try #require(try repository.snapshots().snapshots.first { $0.id == id })
    }

    func backUp(_ tree: SourceTree, threads: Int = 2) throws -> Snapshot {
        try snapshot(RecoveryTests.backUp(repository, tree, threads: threads).snapshot)
    }
}

/// Plans and restores `snapshot` into `target`.
func restore(
    _ repository: Repository, _ snapshot: Snapshot, to target: String, filter: PathFilter = PathFilter(),
    threads: Int = 2, cancellation: Cancellation = Cancellation()
) throws -> RestoreResult {
    let index = try repository.loadIndex(for: .reading).index
    let plan = try RestorePlan.make(repository, snapshot: snapshot, index: index, filter: filter)
    let writer = try TreeWriter(target: bytes(target), options: Restorer.writerOptions())
    return try Restorer(repository, index: index).run(
        plan, target: writer, threads: threads, cancellation: cancellation)
}
