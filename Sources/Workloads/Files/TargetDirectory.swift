// Directories of a restore target, opened one part at a time from the target's own descriptor.

import CLinux
import Glibc
import Primitives
import Repository
import Synchronization

/// Opens directories below a root without following a link and without leaving the root.
///
/// Thread: safe; a descriptor stays open while someone holds it, even when the cache has let it go.
final class TargetDirectories: Sendable {
    /// Open directories kept for the next file beside the last.
    static let maximumCached = 128

    private struct Cache {
        var entries: [[UInt8]: (descriptor: OwnedDescriptor, lastUse: UInt64)] = [:]
        var clock: UInt64 = 0
    }

    let root: OwnedDescriptor
    private let barrier: TargetBarrier
    /// The target's path, for messages.
    let name: String
    private let cache = Mutex(Cache())

    init(root: OwnedDescriptor, name: String, barrier: TargetBarrier) {
        self.root = root
        self.barrier = barrier
        self.name = name
    }

    /// How `parts` are called in a message.
    func describe(_ parts: some Collection<[UInt8]>) -> String {
        name + parts.map { "/" + printablePath($0) }.joined()
    }

    /// Checks every part of a path that came from a snapshot.
    ///
    /// - Throws: `.unsafePath`.
    static func validate(_ parts: some Collection<[UInt8]>) throws(HoldfastError) {
        for part in parts where !isSafeName(part) {
            let text = parts.map { printablePath($0) }.joined(separator: "/")
            throw HoldfastError(
                .unsafePath, "the snapshot holds the unsafe name `\(printablePath(part))`",
                hint: "Do not trust this snapshot: names like it are made to write outside of the target.",
                context: [("path", text)])
        }
    }

    /// The directory at `parts`; missing ones are made with mode 0700.
    ///
    /// - Throws: `.unsafePath` when a link stands in the way, `.targetFailed` when another thing does.
    func open(_ parts: ArraySlice<[UInt8]>) throws(HoldfastError) -> OwnedDescriptor {
        try Self.validate(parts)
        var known = parts
        var current = root
        while !known.isEmpty {
            if let found = cached(known) {
                current = found
                break
            }
            known = known.dropLast()
        }
        for end in known.endIndex..<parts.endIndex {
            current = try step(current, parts[end], path: parts[parts.startIndex...end])
            remember(current, at: parts[parts.startIndex...end])
        }
        return current
    }

    /// Forgets what is known of `parts` and below, after something else took its place.
    func forget(_ parts: ArraySlice<[UInt8]>) {
        let key = Self.key(parts)
        let below = key + [UInt8(ascii: "/")]
        cache.withLock { cache in
            cache.entries = cache.entries.filter { $0.key != key && !$0.key.starts(with: below) }
        }
    }

    private func step(
        _ parent: OwnedDescriptor, _ part: [UInt8], path: ArraySlice<[UInt8]>
    ) throws(HoldfastError) -> OwnedDescriptor {
        var number = Self.openDirectory(parent.number, part)
        if number == -ENOENT {
            let made = withCString(part) { mkdirat(parent.number, $0, 0o700) == 0 ? 0 : errno }
            guard made == 0 || made == EEXIST else {
                throw HoldfastError.systemCall("make directory", made, on: describe(path), code: .targetFailed)
            }
            number = Self.openDirectory(parent.number, part)
        }
        if number == -EACCES { number = Self.openLocked(parent.number, part) }
        guard number >= 0 else { throw obstacle(-number, parent, part, path) }
        let directory = OwnedDescriptor(number)
        // Another file system may be mounted there.
        barrier.note(directory)
        return directory
    }

    private func obstacle(
        _ number: Int32, _ parent: OwnedDescriptor, _ part: [UInt8], _ path: ArraySlice<[UInt8]>
    ) -> HoldfastError {
        var status = stat()
        let found = withCString(part) { fstatat(parent.number, $0, &status, AT_SYMLINK_NOFOLLOW) } == 0
        if number == ELOOP || (found && EntryKind(fileMode: status.st_mode) == .symbolicLink) {
            return HoldfastError(
                .unsafePath, "\(describe(path)) is a symbolic link where a directory is due",
                hint: "Remove the link, or restore into an empty directory.")
        }
        return .systemCall("open directory", number, on: describe(path), code: .targetFailed)
    }

    private static func openDirectory(_ parent: Int32, _ part: [UInt8]) -> Int32 {
        withCString(part) { openPart(parent, $0, O_RDONLY | O_DIRECTORY) }
    }

    /// Opens a directory that its owner may not enter, after giving the owner the right.
    private static func openLocked(_ parent: Int32, _ part: [UInt8]) -> Int32 {
        let number = withCString(part) { openPart(parent, $0, holdfast_o_path | O_DIRECTORY) }
        guard number >= 0 else { return number }
        let handle = OwnedDescriptor(number)
        let changed = withCString(Array("/proc/self/fd/\(handle.number)".utf8)) { chmod($0, 0o700) == 0 ? 0 : errno }
        return changed == 0 ? openDirectory(parent, part) : -changed
    }

    private static func key(_ parts: ArraySlice<[UInt8]>) -> [UInt8] {
        Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
    }

    private func cached(_ parts: ArraySlice<[UInt8]>) -> OwnedDescriptor? {
        let key = Self.key(parts)
        return cache.withLock { cache in
            cache.clock += 1
            guard let found = cache.entries[key] else { return nil }
            cache.entries[key] = (found.descriptor, cache.clock)
            return found.descriptor
        }
    }

    private func remember(_ descriptor: OwnedDescriptor, at parts: ArraySlice<[UInt8]>) {
        let key = Self.key(parts)
        cache.withLock { cache in
            cache.clock += 1
            if cache.entries.count >= Self.maximumCached,
                let oldest = cache.entries.min(by: { $0.value.lastUse < $1.value.lastUse })
            {
                cache.entries[oldest.key] = nil
            }
            cache.entries[key] = (descriptor, cache.clock)
        }
    }
}
