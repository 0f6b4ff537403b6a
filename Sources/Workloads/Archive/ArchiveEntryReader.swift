// From libarchive's entry to ours.

import CArchive
import Glibc
import Primitives
import Repository

/// Reads one header.
struct ArchiveEntryReader {
    private let entry: OpaquePointer
    private var notes: [String] = []
    /// The mask of the access list, when there is one.
    private var mask: UInt16?

    init(_ entry: OpaquePointer) { self.entry = entry }

    func member() throws(HoldfastError) -> ArchiveMember {
        var reader = self
        return try reader.read()
    }

    private mutating func read() throws(HoldfastError) -> ArchiveMember {
        guard let name = archive_entry_pathname(entry) else {
            throw HoldfastError(
                .sourceFailed, "a member of the tar archive has no name", hint: "Check the command that writes it.")
        }
        let parts = try Self.parts(name)
        var hardLink: [[UInt8]]?
        if let link = archive_entry_hardlink(entry) { hardLink = try Self.parts(link) }
        let type = UInt32(archive_entry_filetype(entry))
        // A hard link often has no type of its own.
        let kind = hardLink != nil && type == 0 ? .file : EntryKind(fileMode: type)
        guard let kind else {
            throw HoldfastError(
                .sourceFailed, "a member of the tar archive is of an unknown kind",
                hint: "Leave out `--unpack` to keep the stream as it is.",
                context: [("member", parts.map { printablePath($0) }.joined(separator: "/"))])
        }
        var metadata = EntryMetadata(name: parts.last ?? [], kind: kind)
        metadata.mode = UInt32(archive_entry_perm(entry)) & 0o7777
        metadata.user = UInt32(truncatingIfNeeded: archive_entry_uid(entry))
        metadata.group = UInt32(truncatingIfNeeded: archive_entry_gid(entry))
        metadata.userName = archive_entry_uname(entry).map { String(cString: $0) } ?? ""
        metadata.groupName = archive_entry_gname(entry).map { String(cString: $0) } ?? ""
        metadata.modified = Timestamp(
            seconds: Int64(archive_entry_mtime(entry)), nanoseconds: Int64(archive_entry_mtime_nsec(entry)))
        metadata.changed = metadata.modified
        if kind == .file, hardLink == nil { metadata.size = UInt64(clamping: archive_entry_size(entry)) }
        if kind == .symbolicLink, let target = archive_entry_symlink(entry) { metadata.linkTarget = Self.bytes(target) }
        if kind == .characterDevice || kind == .blockDevice {
            metadata.deviceNumber = UInt64(archive_entry_rdev(entry))
        }
        metadata.attributes = try attributes(of: parts)
        // libarchive gives the owning group's rights as the mode's; the kernel shows the mask there.
        if let mask { metadata.mode = metadata.mode & ~0o070 | UInt32(mask) << 3 }
        return ArchiveMember(parts: parts, metadata: metadata, hardLink: hardLink, notes: notes)
    }

    private static func bytes(_ text: UnsafePointer<CChar>) -> [UInt8] {
        Array(UnsafeRawBufferPointer(start: text, count: strlen(text)))
    }

    /// A member's path; `./` and leading slashes go, `..` is refused.
    private static func parts(_ text: UnsafePointer<CChar>) throws(HoldfastError) -> [[UInt8]] {
        let path = bytes(text)
        let parts = pathParts(path).filter { $0 != [0x2E] }
        guard parts.allSatisfy(isSafeName) else {
            throw HoldfastError(
                .unsafePath, "the tar archive holds the unsafe name `\(printablePath(path))`",
                hint: "Do not trust this archive, or leave out `--unpack` to keep the stream as it is.")
        }
        return parts
    }

    private mutating func attributes(of parts: [[UInt8]]) throws(HoldfastError) -> [ExtendedAttribute] {
        var attributes = [ExtendedAttribute]()
        var total = 0
        archive_entry_xattr_reset(entry)
        while true {
            var name: UnsafePointer<CChar>?
            var value: UnsafeRawPointer?
            var count = 0
            guard archive_entry_xattr_next(entry, &name, &value, &count) == ARCHIVE_OK, let name else { break }
            let attribute = ExtendedAttribute(
                name: Self.bytes(name), value: Array(UnsafeRawBufferPointer(start: value, count: count)))
            total += attribute.name.count + count
            guard total <= ArchiveReader.maximumAttributeBytes else {
                throw HoldfastError(
                    .limitExceeded, "a member of the tar archive carries too many attributes",
                    hint: "Leave out `--unpack` to keep the stream as it is.",
                    context: [("member", parts.map { printablePath($0) }.joined(separator: "/"))])
            }
            // libarchive's own writer gives each twice, in two forms.
            if !attributes.contains(where: { $0.name == attribute.name }) { attributes.append(attribute) }
        }
        for (type, name) in [
            (ARCHIVE_ENTRY_ACL_TYPE_ACCESS, PosixAccessList.accessName),
            (ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, PosixAccessList.defaultName),
        ] {
            guard let items = accessList(type), !items.isEmpty else { continue }
            if type == ARCHIVE_ENTRY_ACL_TYPE_ACCESS { mask = items.first { $0.tag == 0x10 }?.permissions }
            attributes.append(ExtendedAttribute(name: name, value: PosixAccessList.encode(items)))
        }
        return attributes.sorted { $0.name.lexicographicallyPrecedes($1.name) }
    }

    /// The entries of one access list; nil when one of them names nobody that this machine knows.
    private mutating func accessList(_ type: Int32) -> [PosixAccessList.Item]? {
        guard archive_entry_acl_reset(entry, type) > 0 else { return [] }
        var items = [PosixAccessList.Item]()
        while items.count < PosixAccessList.maximumEntries {
            var found: Int32 = 0
            var permissions: Int32 = 0
            var tag: Int32 = 0
            var id: Int32 = 0
            var name: UnsafePointer<CChar>?
            guard archive_entry_acl_next(entry, type, &found, &permissions, &tag, &id, &name) == ARCHIVE_OK else {
                break
            }
            guard let kernel = PosixAccessList.tags.first(where: { $0.archive == tag })?.kernel else { return nil }
            let isNamed = kernel == 0x02 || kernel == 0x08
            if isNamed, id < 0 {
                notes.append("an access list was left out, since it names an unknown user or group")
                return nil
            }
            items.append(
                PosixAccessList.Item(
                    tag: kernel, permissions: UInt16(truncatingIfNeeded: permissions & 7),
                    id: isNamed ? UInt32(bitPattern: id) : .max))
        }
        return items
    }
}
