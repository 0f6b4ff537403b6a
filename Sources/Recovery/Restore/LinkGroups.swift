// Names of one inode: the first is restored, the others become hard links to it.

import Primitives
import Repository

/// Finds hard links by device and inode.
///
/// Memory: one record for each inode whose names have not all come, and one for each further name.
struct LinkGroups {
    /// Further names that are made as links; those past it are restored as files of their own.
    static let maximumLinks = 4_000_000

    private struct Key: Hashable {
        var device: UInt64
        var inode: UInt64
    }

    private struct Group {
        var parts: [[UInt8]]
        var marks: Int
        var missing: UInt64
    }

    /// Whether further names are remembered for ``visit(_:)``.
    private let keepsNames: Bool
    private var groups: [Key: Group] = [:]
    private var links: [(existing: [[UInt8]], parts: [[UInt8]])] = []

    init(keepsNames: Bool = true) { self.keepsNames = keepsNames }

    /// Whether `entry` is a further name of something that came before; it is remembered then.
    mutating func isAnother(_ parts: [[UInt8]], _ entry: Entry) -> Bool { first(parts, entry) != nil }

    /// The first name of what `entry` is a further name of; nil when it is the first itself.
    mutating func first(_ parts: [[UInt8]], _ entry: Entry) -> [[UInt8]]? {
        let key = Key(device: entry.metadata.device, inode: entry.metadata.inode)
        // What the snapshot says is not believed: names of one inode have the same kind and content.
        var hasher = Hasher()
        hasher.combine(entry.metadata.kind)
        hasher.combine(entry.content)
        hasher.combine(entry.metadata.linkTarget)
        let marks = hasher.finalize()
        guard var group = groups[key], group.marks == marks, links.count < Self.maximumLinks else {
            groups[key] = Group(parts: parts, marks: marks, missing: entry.metadata.links - 1)
            return nil
        }
        if keepsNames { links.append((group.parts, parts)) }
        group.missing -= 1
        groups[key] = group.missing > 0 ? group : nil
        return group.parts
    }

    func visit(_ body: (_ existing: [[UInt8]], _ parts: [[UInt8]]) -> Void) {
        for link in links { body(link.existing, link.parts) }
    }
}
