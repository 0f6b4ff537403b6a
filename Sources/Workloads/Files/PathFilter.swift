// Which part of a snapshot is restored.

import Primitives

/// Patterns to take and patterns to leave, over paths of a snapshot; leaving wins.
package struct PathFilter: Sendable, Hashable {
    package enum Decision: Sendable, Hashable {
        /// Take it; for a directory, look at each thing in it.
        case include
        /// Leave it and all that lies in it.
        case excludeAll
        /// Do not take it for itself, but look into it: something below may be taken.
        case descend
    }

    private var inclusions = Exclusions()
    private var exclusions = Exclusions()

    package init() {}

    /// - Throws: `.usage` for a pattern that cannot be read.
    package init(include: [[UInt8]], exclude: [[UInt8]]) throws(HoldfastError) {
        for pattern in include { try inclusions.add(pattern: pattern) }
        for pattern in exclude { try exclusions.add(pattern: pattern) }
    }

    /// Whether everything is taken.
    package var isEmpty: Bool { inclusions.isEmpty && exclusions.isEmpty }

    /// What to do with the thing at `path`, given parent before child. An empty list of inclusions takes everything; a
    /// directory that is included is so with all that lies in it, less the exclusions.
    package func decision(_ path: [UInt8], isDirectory: Bool) -> Decision {
        if exclusions.excludes(path, isDirectory: isDirectory) { return .excludeAll }
        if inclusions.isEmpty || inclusions.excludesWithParents(path, isDirectory: isDirectory) { return .include }
        return isDirectory ? .descend : .excludeAll
    }
}
