// Names of objects in a store.

import Primitives

/// A relative, slash-separated name: lower-case letters, digits, `-`, `_` and `.`, no empty and no dot-first part.
package struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let path: String

    /// Checks `path`; nil for a name that no store may hold (so a hostile listing cannot lead outside the store).
    package init?(_ path: String) {
        guard path.utf8.count <= 512, !path.isEmpty else { return nil }
        for part in path.split(separator: "/", omittingEmptySubsequences: false) {
            guard let first = part.utf8.first, first != UInt8(ascii: ".") else { return nil }
            let isPlain = part.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                case UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): true
                default: false
                }
            }
            guard isPlain else { return nil }
        }
        self.path = path
    }

    package static func < (a: ObjectKey, b: ObjectKey) -> Bool { a.path < b.path }
    package var description: String { path }

    /// The last part of the name.
    package var lastPart: Substring { path.split(separator: "/").last ?? "" }
}
