// One thing in a snapshot's tree: its name, its metadata, and where its content is.

import Primitives

/// What kind of thing an entry is. Raw values are part of format 1.
package enum EntryKind: UInt8, Sendable {
    case file = 1
    case directory = 2
    case symbolicLink = 3
    case fifo = 4
    case characterDevice = 5
    case blockDevice = 6
    case socket = 7
}

/// An extended attribute. POSIX ACLs are the attributes `system.posix_acl_access` and `system.posix_acl_default`.
package struct ExtendedAttribute: Sendable, Hashable {
    package var name: [UInt8]
    package var value: [UInt8]

    package init(name: [UInt8], value: [UInt8]) {
        self.name = name
        self.value = value
    }
}

/// What the file system knows of a thing, but for its content. Names and targets are bytes, not text.
package struct EntryMetadata: Sendable, Hashable {
    /// One path part; empty for the root of a snapshot.
    package var name: [UInt8]
    package var kind: EntryKind
    /// Permission, set-id and sticky bits (07777).
    package var mode: UInt32
    package var user: UInt32
    package var group: UInt32
    /// Names of owner and group at the source; empty when unknown.
    package var userName: String
    package var groupName: String
    package var modified: Timestamp
    package var changed: Timestamp
    package var inode: UInt64
    package var device: UInt64
    /// Number of hard links.
    package var links: UInt64
    /// Bytes of content; zero for all but files.
    package var size: UInt64
    /// Major and minor number of a device node, else zero.
    package var deviceNumber: UInt64
    package var linkTarget: [UInt8]
    package var attributes: [ExtendedAttribute]

    package init(name: [UInt8], kind: EntryKind) {
        self.name = name
        self.kind = kind
        mode = 0
        user = 0
        group = 0
        userName = ""
        groupName = ""
        modified = Timestamp(nanoseconds: 0)
        changed = Timestamp(nanoseconds: 0)
        inode = 0
        device = 0
        links = 1
        size = 0
        deviceNumber = 0
        linkTarget = []
        attributes = []
    }
}
