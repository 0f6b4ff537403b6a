// Streams a tree out as tar or zip (libarchive).

import CArchive
import Glibc
import Primitives
import Repository

/// The formats that a directory is dumped in.
package enum ArchiveFormat: String, Sendable, CaseIterable {
    /// Pax: times in nanoseconds, long names, attributes and access lists.
    case tar
    case zip
}

/// Writes an archive to `sink` as members are added.
///
/// Memory: one block. Thread: one at a time. An archive that is not finished is torn, and readers say so.
package final class ArchiveWriter {
    package typealias Sink = (UnsafeRawBufferPointer) throws(HoldfastError) -> Void

    /// What libarchive calls back into.
    private final class Output {
        let sink: Sink
        var failure: HoldfastError?

        init(_ sink: @escaping Sink) { self.sink = sink }
    }

    private let archive: OpaquePointer
    private let output: Output
    private let format: ArchiveFormat
    /// Content bytes that the current member still wants.
    private var missing: UInt64 = 0

    /// - Throws: `.inputOutput` when the archive cannot be begun.
    package init(_ format: ArchiveFormat, to sink: @escaping Sink) throws(HoldfastError) {
        guard let archive = archive_write_new() else {
            throw HoldfastError(.inputOutput, "no memory for an archive writer", retry: .later)
        }
        self.archive = archive
        self.format = format
        output = Output(sink)
        let client = Unmanaged.passUnretained(output).toOpaque()
        var status =
            format == .tar
            ? archive_write_set_format_pax(archive) : archive_write_set_format_zip(archive)
        if status == ARCHIVE_OK { status = archive_write_add_filter_none(archive) }
        // Attributes once, in the form that GNU tar reads too.
        if status == ARCHIVE_OK, format == .tar {
            status = archive_write_set_options(archive, "xattrheader=SCHILY")
        }
        archive_write_set_bytes_in_last_block(archive, 1)
        if status == ARCHIVE_OK {
            status = ArchiveLocale.use {
                archive_write_open(
                    archive, client, nil,
                    { _, client, bytes, count in
                        guard let client else { return -1 }
                        let output = Unmanaged<Output>.fromOpaque(client).takeUnretainedValue()
                        do throws(HoldfastError) {
                            try output.sink(UnsafeRawBufferPointer(start: bytes, count: count))
                            return la_ssize_t(count)
                        } catch {
                            output.failure = error
                            return -1
                        }
                    }, nil)
            }
        }
        // All properties are set, so `deinit` frees the archive.
        guard status == ARCHIVE_OK else { throw failure() }
    }

    deinit {
        // Without this, freeing would close the archive and make a torn one look whole.
        archive_write_fail(archive)
        archive_write_free(archive)
    }

    /// Begins a member; the content of a file with `size` over zero follows through ``write(_:)``.
    ///
    /// A `hardLink` has no content of its own. A zip has no hard links, devices, fifos or sockets: false is returned
    /// when the member is left out. The caller gives the content of a hard link in a zip as that of a file.
    package func add(
        _ parts: [[UInt8]], _ metadata: EntryMetadata, hardLink: [[UInt8]]? = nil
    ) throws(HoldfastError) -> Bool {
        precondition(missing == 0, "the member before must be whole")
        let isPlain = metadata.kind == .file || metadata.kind == .directory || metadata.kind == .symbolicLink
        if metadata.kind == .socket || (format == .zip && (!isPlain || hardLink != nil)) { return false }
        try TargetDirectories.validate(parts)
        guard let entry = archive_entry_new() else { throw HoldfastError(.inputOutput, "no memory", retry: .later) }
        defer { archive_entry_free(entry) }
        let header = { () throws(HoldfastError) in
            try Self.fill(entry, parts, metadata, hardLink)
            let status = archive_write_header(self.archive, entry)
            guard status == ARCHIVE_OK || status == ARCHIVE_WARN else { throw self.failure() }
        }
        if format == .zip, parts.contains(where: { String(validating: $0, as: UTF8.self) == nil }) {
            // In the UTF-8 locale a zip would claim that the name is UTF-8, and readers would refuse the archive.
            try header()
        } else {
            try ArchiveLocale.use(header)
        }
        missing = metadata.kind == .file && hardLink == nil ? metadata.size : 0
        return true
    }

    /// More content of the member begun last.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(HoldfastError) {
        precondition(UInt64(bytes.count) <= missing, "a member's content must not be longer than its size")
        var rest = bytes
        while !rest.isEmpty {
            let count = archive_write_data(archive, rest.baseAddress, rest.count)
            guard count > 0 else { throw failure() }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        missing -= UInt64(bytes.count)
    }

    /// Writes the end of the archive.
    package func finish() throws(HoldfastError) {
        precondition(missing == 0, "the last member must be whole")
        guard ArchiveLocale.use({ archive_write_close(archive) }) == ARCHIVE_OK else { throw failure() }
    }

    private func failure() -> HoldfastError {
        output.failure ?? HoldfastError(.inputOutput, "write the archive: \(archiveMessage(archive))")
    }

    private static func fill(
        _ entry: OpaquePointer, _ parts: [[UInt8]], _ metadata: EntryMetadata, _ hardLink: [[UInt8]]?
    ) throws(HoldfastError) {
        let path = parts.isEmpty ? [0x2E] : Array(parts.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
        withCString(path) { archive_entry_copy_pathname(entry, $0) }
        archive_entry_set_filetype(entry, metadata.kind.fileMode)
        archive_entry_set_perm(entry, mode_t(metadata.mode & 0o7777))
        archive_entry_set_uid(entry, la_int64_t(metadata.user))
        archive_entry_set_gid(entry, la_int64_t(metadata.group))
        if !metadata.userName.isEmpty { archive_entry_copy_uname(entry, metadata.userName) }
        if !metadata.groupName.isEmpty { archive_entry_copy_gname(entry, metadata.groupName) }
        let modified = max(metadata.modified, Timestamp(nanoseconds: .min + 2_000_000_000))
        let rest = modified.nanoseconds - modified.seconds * 1_000_000_000
        archive_entry_set_mtime(entry, time_t(modified.seconds), Int(rest))
        archive_entry_set_size(entry, 0)
        if let hardLink {
            let path = Array(hardLink.joined(separator: CollectionOfOne(UInt8(ascii: "/"))))
            withCString(path) { archive_entry_copy_hardlink(entry, $0) }
            return
        }
        switch metadata.kind {
        case .file: archive_entry_set_size(entry, la_int64_t(clamping: metadata.size))
        case .symbolicLink:
            guard !metadata.linkTarget.contains(0) else {
                throw HoldfastError(.unsafePath, "the snapshot holds an impossible symbolic link")
            }
            withCString(metadata.linkTarget) { archive_entry_copy_symlink(entry, $0) }
        case .characterDevice, .blockDevice: archive_entry_set_rdev(entry, dev_t(metadata.deviceNumber))
        case .directory, .fifo, .socket: break
        }
        for attribute in metadata.attributes where !attribute.name.contains(0) {
            switch attribute.name {
            case PosixAccessList.accessName:
                try add(attribute.value, ARCHIVE_ENTRY_ACL_TYPE_ACCESS, to: entry)
            case PosixAccessList.defaultName:
                try add(attribute.value, ARCHIVE_ENTRY_ACL_TYPE_DEFAULT, to: entry)
            default:
                withCString(attribute.name) { name in
                    attribute.value.withUnsafeBytes {
                        archive_entry_xattr_add_entry(entry, name, $0.baseAddress, $0.count)
                    }
                }
            }
        }
    }

    private static func add(_ list: [UInt8], _ type: Int32, to entry: OpaquePointer) throws(HoldfastError) {
        for item in try PosixAccessList.decode(list) {
            guard let tag = PosixAccessList.tags.first(where: { $0.kernel == item.tag })?.archive else { continue }
            let isNamed = item.tag == 0x02 || item.tag == 0x08
            archive_entry_acl_add_entry(
                entry, type, Int32(item.permissions & 7), tag, isNamed ? Int32(bitPattern: item.id) : -1, nil)
        }
    }
}

extension EntryKind {
    /// The S_IFMT bits of stat(2).
    var fileMode: UInt32 {
        switch self {
        case .file: 0o100_000
        case .directory: 0o040_000
        case .symbolicLink: 0o120_000
        case .fifo: 0o010_000
        case .characterDevice: 0o020_000
        case .blockDevice: 0o060_000
        case .socket: 0o140_000
        }
    }
}
