// A restored copy against the snapshot that it is said to be: every file, byte by byte, as it stands on the disk.

import CLinux
import Glibc
import Primitives
import Repository
import Sealing
import Workloads

/// Walks beside a snapshot through a restored copy.
///
/// Unlike the comparison of a restore it takes nothing for granted: holes are read, sizes and kinds are compared, and
/// what cannot be read is a difference. Links are compared by their targets, and what is too many is one where the copy
/// is said to hold the snapshot alone. Owners, modes and times are not compared.
/// Memory: a descriptor and the names of each level, and a chunk. Thread: one at a time.
final class CopyComparison {
    private static let mostNamed = 10

    private(set) var files: UInt64 = 0
    private(set) var bytes: UInt64 = 0
    private(set) var differing: UInt64 = 0
    /// The first of them by path, each with what is wrong.
    private(set) var named: [String] = []

    private let session: RestoreSession
    private let cancellation: Cancellation
    private let progress: Progress
    private let hash: KeyedHash
    private let buffer: UnsafeMutableRawBufferPointer
    private var levels: [OwnedDescriptor?] = []
    /// Names of the snapshot in each directory that is compared as a whole; nil for one that is not.
    private var expected: [Set<[UInt8]>?] = []
    private let isAlone: Bool

    /// - Parameter isAlone: Nothing else may lie in the directories of the copy.
    init(
        _ session: RestoreSession, isAlone: Bool = false, cancellation: Cancellation, progress: Progress = Progress()
    ) throws(HoldfastError) {
        self.isAlone = isAlone
        self.session = session
        self.cancellation = cancellation
        self.progress = progress
        hash = KeyedHash(key: try session.repository.keyring.key(.dataID))
        buffer = .allocate(byteCount: Int(PackContents.maximumRaw), alignment: 16)
    }

    deinit { buffer.deallocate() }

    var isSame: Bool { differing == 0 }

    /// Compares the tree at `directory` with what `filter` takes of the roots of `layout`.
    ///
    /// - Throws: `.interrupted`, and what keeps the snapshot from being read.
    func run(_ directory: String, _ layout: SnapshotLayout, filter: PathFilter = PathFilter()) throws(HoldfastError) {
        let tree = try session.repository.makeTree(session.index)
        let base = holdfast_openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0)
        levels = [base >= 0 ? OwnedDescriptor(base) : nil]
        let walk = SnapshotWalk(tree, filter: filter, cancellation: cancellation)
        try walk.visit(layout) { (step) throws(HoldfastError) in
            switch step {
            case .enter(let parts, _, let isTaken):
                note(parts)
                enter(parts, isTaken: isTaken)
                // Where only a part is taken the rest is somebody else's.
                expected.append(isAlone && filter.isEmpty ? [] : nil)
            case .leave(let parts, _):
                if let names = expected.removeLast() { findOthers(parts, names) }
                levels.removeLast()
            case .damaged(let parts, _, let error): differs(parts, error.message)
            case .entry(let parts, let entry):
                note(parts)
                try compare(parts, entry, tree)
            }
            return true
        }
        levels = []
    }

    /// Compares the file at `path`, whatever it is called, with a root that is a file.
    ///
    /// - Throws: as ``run(_:_:filter:)``.
    func run(file path: String, _ placed: PlacedRoot) throws(HoldfastError) {
        let slash = path.lastIndex(of: "/") ?? path.startIndex
        let directory = slash == path.startIndex ? "/" : String(path[..<slash])
        let base = holdfast_openat(AT_FDCWD, directory, O_RDONLY | O_DIRECTORY, 0)
        levels = [base >= 0 ? OwnedDescriptor(base) : nil]
        let name = Array(path[slash...].utf8.drop { $0 == UInt8(ascii: "/") })
        try compare([name], placed.root.entry, try session.repository.makeTree(session.index))
        levels = []
    }

    /// Fewer files than this are a difference: a snapshot that has none of them would agree with anything.
    func expect(atLeast least: UInt64) {
        guard files < least else { return }
        differs([], "the snapshot has \(files) of the \(least) files that are compared")
    }

    private func note(_ parts: [[UInt8]]) {
        guard let name = parts.last, let last = expected.indices.last else { return }
        expected[last]?.insert(name)
    }

    /// What lies in the directory at hand beside `names`.
    private func findOthers(_ parts: [[UInt8]], _ names: Set<[UInt8]>) {
        guard let directory = levels[levels.count - 1] else { return }
        let copy = holdfast_openat(directory.number, ".", O_RDONLY | O_DIRECTORY, 0)
        guard copy >= 0, let stream = fdopendir(copy) else {
            if copy >= 0 { close(copy) }
            return differs(parts, "cannot be listed")
        }
        defer { closedir(stream) }
        while let entry = readdir(stream) {
            guard let start = holdfast_dirent_name(entry) else { continue }
            let name = Array(UnsafeRawBufferPointer(start: start, count: strlen(start)))
            guard name != [0x2E], name != [0x2E, 0x2E], !names.contains(name) else { continue }
            differs(parts + [name], "is not in the snapshot")
        }
    }

    private func differs(_ parts: [[UInt8]], _ what: String) {
        differing += 1
        let path = Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
        if named.count < Self.mostNamed { named.append("\(printablePath(path)): \(what)") }
    }

    /// The directory of a root may lie several parts below the top; the others one below the level at hand.
    private func enter(_ parts: [[UInt8]], isTaken: Bool) {
        let steps = levels.count == 1 ? parts[...] : parts.suffix(1)
        var at = levels[levels.count - 1]
        for name in steps {
            guard let above = at else { break }
            let number = Self.withName(name) {
                holdfast_openat(above.number, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
            }
            at = number >= 0 ? OwnedDescriptor(number) : nil
        }
        if at == nil, isTaken, levels[levels.count - 1] != nil { differs(parts, "the directory is not there") }
        levels.append(at)
    }

    private func compare(_ parts: [[UInt8]], _ entry: Entry, _ tree: SnapshotTree) throws(HoldfastError) {
        try cancellation.check()
        var at = levels[levels.count - 1]
        // A root that is a file stands below directories that are no part of the snapshot.
        if levels.count == 1 {
            for name in parts.dropLast() {
                guard let above = at else { break }
                let number = Self.withName(name) {
                    holdfast_openat(above.number, $0, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0)
                }
                at = number >= 0 ? OwnedDescriptor(number) : nil
            }
        }
        guard let directory = at, let name = parts.last else { return differs(parts, "is not there") }
        var status = stat()
        guard Self.withName(name, { fstatat(directory.number, $0, &status, AT_SYMLINK_NOFOLLOW) }) == 0 else {
            // Sockets are never restored.
            return entry.metadata.kind == .socket ? () : differs(parts, "is not there")
        }
        guard EntryKind(fileMode: status.st_mode) == entry.metadata.kind else {
            return differs(parts, "is no \(entry.metadata.kind)")
        }
        if entry.metadata.kind == .symbolicLink {
            var target = [UInt8](repeating: 0, count: entry.metadata.linkTarget.count + 1)
            let count = Self.withName(name) { readlinkat(directory.number, $0, &target, target.count) }
            let isSame = count >= 0 && target.prefix(count).elementsEqual(entry.metadata.linkTarget)
            return isSame ? () : differs(parts, "points elsewhere than in the snapshot")
        }
        guard entry.metadata.kind == .file, let content = entry.content else { return }
        files += 1
        bytes.addClamped(content.size)
        guard UInt64(clamping: status.st_size) == content.size else {
            return differs(parts, "is \(status.st_size) bytes long, not \(content.size)")
        }
        let number = Self.withName(name) { holdfast_openat(directory.number, $0, O_RDONLY | O_NOFOLLOW, 0) }
        guard number >= 0 else { return differs(parts, describeErrno(errno)) }
        let file = OwnedDescriptor(number)
        var pieces = PieceWalk(content, tree: tree)
        while let step = try pieces.next() {
            try cancellation.check()
            switch step {
            case .damaged(_, let error): return differs(parts, error.message)
            case .piece(let offset, let piece):
                guard holds(file.number, piece, at: offset) else {
                    return differs(parts, "other bytes from \(offset) on than in the snapshot")
                }
                progress.add(bytes: Int(clamping: piece.length))
            }
        }
    }

    private func holds(_ file: Int32, _ piece: ContentPiece, at offset: UInt64) -> Bool {
        if piece.id == .zeros { return isZero(file, offset, piece.length) }
        guard piece.length <= UInt64(buffer.count) else { return false }
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(piece.length)])
        guard fill(file, offset, part) else { return false }
        return ChunkID(hash.digest(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(part)))) == piece.id
    }

    private func isZero(_ file: Int32, _ offset: UInt64, _ length: UInt64) -> Bool {
        var done: UInt64 = 0
        while done < length {
            let count = Int(min(UInt64(buffer.count), length - done))
            let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
            guard fill(file, offset + done, part), part.allSatisfy({ $0 == 0 }) else { return false }
            done += UInt64(count)
        }
        return true
    }

    private func fill(_ file: Int32, _ offset: UInt64, _ part: UnsafeMutableRawBufferPointer) -> Bool {
        var filled = 0
        while filled < part.count {
            let (count, _) = retryingInterrupts {
                pread(file, part.baseAddress.map { $0 + filled }, part.count - filled, off_t(offset) + off_t(filled))
            }
            guard count > 0 else { return false }
            filled += count
        }
        return true
    }

    private static func withName<R>(_ name: [UInt8], _ body: (UnsafePointer<CChar>) -> R) -> R {
        let ended = name.map { CChar(bitPattern: $0) } + [0]
        return ended.withUnsafeBufferPointer { buffer in
            guard let start = buffer.baseAddress else { preconditionFailure("a name has an end at least") }
            return body(start)
        }
    }
}
