// Putting objects: the order of calls that makes "it returned" mean "it survives a power cut".

import CLinux
import Glibc
import Primitives
import Synchronization

extension LocalStore {
    /// Bytes of an object that is already there are compared in pieces of this size.
    static let comparePiece = 1 << 20

    /// Puts the object under a temporary name, syncs it, and only then gives it its name.
    ///
    /// temporary name → write → mode 0400 → fsync → link without replacing → fsync directory → remove the temporary
    /// name. A failed fsync is final for its file, since the kernel may have dropped the pages: the file is removed and
    /// the next call writes a new one. After any failure the object is absent or whole.
    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        let directory = try openDirectoryForPut(key.directory)
        defer { _ = calls.close(directory) }
        let name = String(key.lastPart)
        // A look first spares the write of bytes that are there, and lets a repeated put succeed on a full disk.
        if try confirmExisting(key, name, in: directory, bytes) { return }

        let temporary = try writeTemporary(in: directory, bytes)
        var isTemporaryThere = true
        defer { if isTemporaryThere { _ = calls.unlink(at: directory, temporary) } }
        switch try give(name, to: temporary, in: directory, key) {
        case .linked:
            try sync(directory, "the directory of \(key)")
        case .renamed:
            isTemporaryThere = false
            try sync(directory, "the directory of \(key)")
        case .taken:
            guard try confirmExisting(key, name, in: directory, bytes) else {
                throw HoldfastError(
                    .storeUnavailable, "\(key) was put by another and removed again", hint: "Try again.", retry: .now)
            }
        }
    }

    private enum NamingOutcome { case linked, renamed, taken }

    /// Gives the finished file its name by the best way that the file system knows.
    private func give(
        _ name: String, to temporary: String, in directory: Int32, _ key: ObjectKey
    ) throws(HoldfastError) -> NamingOutcome {
        var result: Int32
        if naming == .link {
            result = calls.link(at: directory, temporary, to: name)
            switch result {
            case 0: return .linked
            case -EEXIST: return .taken
            // A mount below the root may lack what the root's file system has.
            case -EPERM, -EOPNOTSUPP, -ENOSYS, -EMLINK: break
            default: throw failure("link", -result, on: key.path)
            }
        }
        result = calls.rename(directory, temporary, to: directory, name, replacing: naming == .renameOver)
        switch result {
        case 0: return .renamed
        case -EEXIST: return .taken
        default: throw failure("rename", -result, on: key.path)
        }
    }

    /// Writes and syncs a file under a temporary name; leaves nothing behind when it throws.
    private func writeTemporary(in directory: Int32, _ bytes: RawSpan) throws(HoldfastError) -> String {
        let (descriptor, name) = try makeTemporary(in: directory, prefix: Self.temporaryPrefix)
        do throws(HoldfastError) {
            do throws(HoldfastError) {
                try writeAll(descriptor, bytes)
                let result = calls.setMode(descriptor, 0o400)
                // FAT, exFAT and some network file systems have no modes; the bytes are as safe without.
                if result < 0, result != -EPERM, result != -EOPNOTSUPP, result != -EINVAL {
                    throw failure("chmod", -result, on: name)
                }
                try sync(descriptor, name)
            } catch {
                _ = calls.close(descriptor)
                throw error
            }
            // A network file system may tell of a failed write only here.
            let closed = calls.close(descriptor)
            if closed < 0 { throw failure("close", -closed, on: name) }
        } catch {
            _ = calls.unlink(at: directory, name)
            throw error
        }
        return name
    }

    func writeAll(_ descriptor: Int32, _ bytes: RawSpan) throws(HoldfastError) {
        try bytes.withUnsafeBytes { (raw) throws(HoldfastError) in
            var rest = raw[...]
            while !rest.isEmpty {
                let written = calls.write(descriptor, UnsafeRawBufferPointer(rebasing: rest))
                guard written > 0 else {
                    throw failure("write", written == 0 ? EIO : Int32(clamping: -written), on: "an object")
                }
                rest = rest.dropFirst(written)
            }
        }
    }

    /// True when the object is there with the same bytes, which are then durable; false when nothing is there.
    ///
    /// - Throws: `.objectExists` when other bytes are there.
    private func confirmExisting(
        _ key: ObjectKey, _ name: String, in directory: Int32, _ bytes: RawSpan
    ) throws(HoldfastError) -> Bool {
        guard let descriptor = try openObject(name, in: directory, key) else { return false }
        defer { _ = calls.close(descriptor) }
        guard try holds(descriptor, key, bytes) else {
            throw HoldfastError(
                .objectExists, "\(key) is taken by other bytes",
                hint: "Run `holdfast check --read-data`: the object may be damaged.", context: [("store", location)])
        }
        // Whoever put it may not have come as far as its own syncs.
        try sync(descriptor, key.path)
        try sync(directory, "the directory of \(key)")
        return true
    }

    private func holds(_ descriptor: Int32, _ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) -> Bool {
        guard try status(descriptor, key).size == UInt64(bytes.byteCount) else { return false }
        let piece = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, min(Self.comparePiece, bytes.byteCount)), alignment: 16)
        defer { piece.deallocate() }
        return try bytes.withUnsafeBytes { (raw) throws(HoldfastError) in
            var offset = 0
            while offset < raw.count {
                let part = UnsafeMutableRawBufferPointer(rebasing: piece[..<min(piece.count, raw.count - offset)])
                guard try readFully(descriptor, key, at: UInt64(offset), into: part) == part.count,
                    let found = part.baseAddress, let expected = raw.baseAddress,
                    memcmp(found, expected + offset, part.count) == 0
                else { return false }
                offset += part.count
            }
            return true
        }
    }

    // MARK: - Directories

    /// Opens the directory of a put, making it and its parents when they are not there.
    ///
    /// The first time that this process puts into a directory it syncs every directory above it, whoever made them.
    private func openDirectoryForPut(_ path: String) throws(HoldfastError) -> Int32 {
        if !syncedDirectories.withLock({ $0.contains(path) }) {
            try makeDirectories(path)
            syncedDirectories.withLock { known in
                // Forgetting costs a sync, remembering without end costs memory.
                if known.count >= 4096 { known.removeAll() }
                known.insert(path)
            }
        }
        guard let directory = try openDirectory(path) else {
            syncedDirectories.withLock { _ = $0.remove(path) }
            throw HoldfastError(
                .storeUnavailable, "the directory \(path) of \(location) went away", hint: "Try again.", retry: .now)
        }
        return directory
    }

    /// Makes each part of `path` that is not there and syncs each directory that holds one.
    func makeDirectories(_ path: String) throws(HoldfastError) {
        var made = ""
        for part in path.split(separator: "/") {
            guard let parent = try openDirectory(made) else {
                throw HoldfastError(
                    .storeUnavailable, "\(made) in \(location) is no directory", hint: "Move that file away.")
            }
            defer { _ = calls.close(parent) }
            let result = calls.makeDirectory(at: parent, String(part), mode: 0o700)
            if result < 0, result != -EEXIST { throw failure("mkdir", -result, on: "\(made)/\(part)") }
            try sync(parent, made.isEmpty ? location : made)
            made += made.isEmpty ? String(part) : "/\(part)"
        }
    }
}
