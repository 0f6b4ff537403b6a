// Metadata of one name after another in a directory.

import CLinux
import Glibc
import Primitives
import Repository

/// Asks the kernel about names in one directory: one fstatat for an ordinary file, and one llistxattr where wanted.
struct EntryReader {
    private let directory: DirectoryHandle
    private let device: UInt64
    /// `/proc/self/fd/N/`, before which every attribute path begins.
    private let prefix: [UInt8]
    private let leavesFileAttributes: Bool

    /// - Parameter leavesFileAttributes: Whether the attributes of regular files are left out.
    init(directory: DirectoryHandle, leavesFileAttributes: Bool) {
        self.directory = directory
        self.leavesFileAttributes = leavesFileAttributes
        device = directory.tree.device
        prefix = Array("/proc/self/fd/\(directory.descriptor.number)/".utf8)
    }

    /// The entry, or what went wrong with it; nil when it is excluded, gone, or of a kind unknown.
    func read(_ name: [UInt8], type: UInt8) -> ListedEntry? {
        let options = directory.tree.options
        let isTypeKnown = UInt32(type) != holdfast_dt_unknown
        let hasPatterns = !options.exclusions.isEmpty
        if isTypeKnown, hasPatterns, isExcluded(name, UInt32(type) == holdfast_dt_directory) { return nil }
        var status = stat()
        let number = withCString(name) { name in
            fstatat(directory.descriptor.number, name, &status, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : errno
        }
        if number == ENOENT { return nil }
        guard number == 0 else { return failure(name, "stat", number) }
        guard var entry = EntryMetadata(name: name, status: status) else { return nil }
        if !isTypeKnown, hasPatterns, isExcluded(name, entry.kind == .directory) { return nil }
        if options.oneFileSystem, entry.device != device, entry.kind != .directory { return nil }
        entry.userName = directory.tree.owners.user(entry.user)
        entry.groupName = directory.tree.owners.group(entry.group)
        if entry.kind == .symbolicLink {
            let (target, number) = readLink(name)
            guard number == 0 else { return number == ENOENT ? nil : failure(name, "read link", number) }
            entry.linkTarget = target
        }
        if leavesFileAttributes, entry.kind == .file { return .entry(entry) }
        let (attributes, attributeNumber) = attributes(of: name, kind: entry.kind)
        if attributeNumber == ENOENT { return nil }
        guard attributeNumber == 0 else { return failure(name, "read attributes of", attributeNumber) }
        entry.attributes = attributes
        return .entry(entry)
    }

    private func isExcluded(_ name: [UInt8], _ isDirectory: Bool) -> Bool {
        directory.tree.options.exclusions.excludes(joinPath(directory.path, name), isDirectory: isDirectory)
    }

    private func failure(_ name: [UInt8], _ call: String, _ number: Int32) -> ListedEntry {
        let path = joinPath(directory.path, name)
        return .failure(EntryFailure(path: path, error: .systemCall(call, number, on: printablePath(path))))
    }

    private func readLink(_ name: [UInt8]) -> (target: [UInt8], errorNumber: Int32) {
        // PATH_MAX bounds what Linux keeps in a link.
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let (count, number) = withCString(name) { name in
            buffer.withUnsafeMutableBufferPointer { raw in
                raw.withMemoryRebound(to: CChar.self) { raw -> (Int, Int32) in
                    guard let base = raw.baseAddress else { return (-1, ENOMEM) }
                    let count = readlinkat(directory.descriptor.number, name, base, raw.count)
                    return (count, count < 0 ? errno : 0)
                }
            }
        }
        return number == 0 ? (Array(buffer[..<count]), 0) : ([], number)
    }

    private func attributes(of name: [UInt8], kind: EntryKind) -> ([ExtendedAttribute], Int32) {
        if directory.tree.hasProc {
            return withCString(prefix + name) { AttributeHolder.path($0).read() }
        }
        // Without /proc only what can be opened without a side effect is asked.
        guard kind == .file || kind == .directory else { return ([], 0) }
        let number = withCString(name) { openPart(directory.descriptor.number, $0, O_RDONLY | O_NONBLOCK) }
        guard number >= 0 else { return ([], -number) }
        let descriptor = OwnedDescriptor(number)
        return AttributeHolder.descriptor(descriptor.number).read()
    }
}
