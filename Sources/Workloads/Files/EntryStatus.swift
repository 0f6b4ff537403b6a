// From stat(2) to entry metadata.

import CLinux
import Glibc
import Primitives
import Repository

extension EntryKind {
    /// The kind in the S_IFMT bits of `mode` (stat(2); spelt out, since two modules export the constants); nil for what
    /// Linux does not have.
    package init?(fileMode mode: UInt32) {
        switch mode & 0o170_000 {
        case 0o100_000: self = .file
        case 0o040_000: self = .directory
        case 0o120_000: self = .symbolicLink
        case 0o010_000: self = .fifo
        case 0o020_000: self = .characterDevice
        case 0o060_000: self = .blockDevice
        case 0o140_000: self = .socket
        default: return nil
        }
    }
}

extension EntryMetadata {
    /// Everything that `status` holds; nil when its kind is unknown.
    init?(name: [UInt8], status: stat) {
        guard let kind = EntryKind(fileMode: status.st_mode) else { return nil }
        self.init(name: name, kind: kind)
        mode = status.st_mode & 0o7777
        user = status.st_uid
        group = status.st_gid
        modified = Timestamp(seconds: Int64(status.st_mtim.tv_sec), nanoseconds: Int64(status.st_mtim.tv_nsec))
        changed = Timestamp(seconds: Int64(status.st_ctim.tv_sec), nanoseconds: Int64(status.st_ctim.tv_nsec))
        inode = UInt64(status.st_ino)
        device = UInt64(status.st_dev)
        links = UInt64(status.st_nlink)
        size = kind == .file ? UInt64(clamping: status.st_size) : 0
        deviceNumber = kind == .characterDevice || kind == .blockDevice ? UInt64(status.st_rdev) : 0
    }
}
