// What stands in a target already, looked at without changing anything.

import Primitives
import Repository
import Sealing
import Workloads

/// Walks beside a snapshot through a directory of the file system.
///
/// A thing that cannot be read counts as absent: the restore meets it again and says what is wrong.
/// Memory: the entries of one directory for each level, and a chunk. Thread: one at a time.
final class TreeComparison {
    private struct Level {
        var handle: DirectoryHandle?
        var entries: [[UInt8]: EntryMetadata] = [:]
    }

    private let root: Level
    private let hash: KeyedHash
    private var levels: [Level] = []
    private var file: FileHandle?
    private var fileSize: UInt64 = 0
    private let buffer: UnsafeMutableRawBufferPointer

    /// Opens `path`; where nothing is, nothing compares equal.
    init(_ path: [UInt8], key: SecretBytes) throws(HoldfastError) {
        var handle: DirectoryHandle?
        do throws(HoldfastError) {
            handle = try DirectoryHandle.open(path: path)
        } catch {
            guard error.code == .pathNotFound else { throw error }
        }
        root = Self.level(handle)
        hash = KeyedHash(key: key)
        buffer = .allocate(byteCount: Int(PackContents.maximumRaw), alignment: 16)
    }

    deinit { buffer.deallocate() }

    private static func level(_ handle: DirectoryHandle?) -> Level {
        guard let handle else { return Level() }
        do throws(HoldfastError) {
            var entries: [[UInt8]: EntryMetadata] = [:]
            for entry in try handle.entries().entries { entries[entry.name] = entry }
            return Level(handle: handle, entries: entries)
        } catch {
            return Level()
        }
    }

    private static func descend(_ level: Level, _ name: [UInt8]) -> Level {
        guard let handle = level.handle, let entry = level.entries[name], entry.kind == .directory else {
            return Level()
        }
        do throws(HoldfastError) {
            return Self.level(try handle.directory(entry))
        } catch {
            return Level()
        }
    }

    /// The directory at `parts` begins, whose parent is the one at hand or, for a root, the target.
    func enter(_ parts: [[UInt8]]) {
        if levels.isEmpty {
            levels.append(parts.reduce(root) { Self.descend($0, $1) })
        } else if let name = parts.last, let last = levels.last {
            levels.append(Self.descend(last, name))
        }
    }

    func leave() { levels.removeLast() }

    /// The file that the next pieces belong to.
    func open(_ metadata: EntryMetadata) {
        file = nil
        guard let level = levels.last, let handle = level.handle, let found = level.entries[metadata.name],
            found.kind == .file, found.links == 1
        else { return }
        do throws(HoldfastError) {
            file = try handle.file(found)
            fileSize = found.size
        } catch {
            file = nil
        }
    }

    /// Whether the file holds this piece at its place.
    func holds(_ piece: ContentPiece, at offset: UInt64) -> Bool {
        guard let file, offset <= fileSize, piece.length <= fileSize - offset,
            piece.length <= UInt64(buffer.count)
        else { return false }
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(piece.length)])
        do throws(HoldfastError) {
            guard try file.read(at: offset, into: part) == part.count else { return false }
        } catch {
            return false
        }
        let bytes = UnsafeRawBufferPointer(part)
        return ChunkID(hash.digest(RawSpan(_unsafeBytes: bytes))) == piece.id
    }
}
