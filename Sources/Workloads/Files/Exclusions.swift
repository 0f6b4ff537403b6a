// What of a tree is left out of its snapshots.

import Primitives

/// Patterns in the manner of gitignore; the last one that matches decides.
///
/// A pattern with a `/` at its start or within is matched against the path below the source's root; any other against
/// the name at every depth. A closing `/` means directories only, a leading `!` takes back in. What lies in an excluded
/// directory is not looked at, so it cannot be taken back in.
package struct Exclusions: Sendable, Hashable {
    /// More patterns than this are refused.
    package static let maximumPatterns = 10_000

    private struct Rule: Hashable, Sendable {
        var text: [UInt8]
        var glob: Glob
        var isAnchored: Bool
        var isDirectoryOnly: Bool
        var isInclusion: Bool
    }

    private var rules: [Rule] = []
    /// Leave out what lies beside a valid CACHEDIR.TAG; the directory and the tag stay.
    package var excludesCaches = false

    package init() {}

    package var isEmpty: Bool { rules.isEmpty }

    /// The patterns in order, as they were given: what a snapshot keeps.
    package var patterns: [[UInt8]] { rules.map(\.text) }

    /// The patterns as text, with other bytes than UTF-8 escaped; for people.
    package var canonical: [String] { rules.map { printablePath($0.text) } + (excludesCaches ? ["(caches)"] : []) }

    /// Adds one pattern.
    ///
    /// - Throws: `.usage` for a pattern that is empty or cannot be read.
    package mutating func add(pattern: [UInt8]) throws(HoldfastError) {
        var rest = pattern[...]
        let isInclusion = rest.first == UInt8(ascii: "!")
        if isInclusion { rest = rest.dropFirst() }
        let isDirectoryOnly = rest.last == UInt8(ascii: "/")
        if isDirectoryOnly { rest = rest.dropLast() }
        let isAnchored = rest.contains(UInt8(ascii: "/"))
        guard rules.count < Self.maximumPatterns else {
            throw HoldfastError(
                .limitExceeded, "more than \(Self.maximumPatterns) patterns", hint: "Use wider patterns.")
        }
        guard !rest.contains(0), let glob = Glob(rest), !glob.isEmpty else {
            throw HoldfastError(
                .usage, "the pattern `\(printablePath(pattern))` cannot be read",
                hint: "Close every `[`, and write `\\\\` for a backslash.")
        }
        rules.append(
            Rule(
                text: pattern, glob: glob, isAnchored: isAnchored, isDirectoryOnly: isDirectoryOnly,
                isInclusion: isInclusion))
    }

    package mutating func add(pattern: String) throws(HoldfastError) { try add(pattern: Array(pattern.utf8)) }

    /// Adds the lines of a pattern file: blank lines and lines that begin with `#` are skipped, `\#` and `\!` begin a
    /// pattern with that letter, blanks at the end of a line are dropped unless escaped.
    package mutating func add(file contents: [UInt8]) throws(HoldfastError) {
        for line in contents.split(separator: 0x0A) {
            var line = line
            if line.last == 0x0D { line = line.dropLast() }
            while let last = line.last, last == 0x20 || last == 0x09, line.dropLast().last != UInt8(ascii: "\\") {
                line = line.dropLast()
            }
            if line.isEmpty || line.first == UInt8(ascii: "#") { continue }
            try add(pattern: Array(line))
        }
    }

    /// Whether the thing at `path`, slash-separated below the root, is left out. Its parents are taken as not excluded.
    package func excludes(_ path: [UInt8], isDirectory: Bool) -> Bool {
        guard !rules.isEmpty else { return false }
        let parts = path.split(separator: UInt8(ascii: "/"))[...]
        for rule in rules.reversed() where isDirectory || !rule.isDirectoryOnly {
            if rule.glob.matches(rule.isAnchored ? parts : parts.suffix(1)) { return !rule.isInclusion }
        }
        return false
    }

    /// Whether the thing at `path` or a directory above it is left out.
    package func excludesWithParents(_ path: [UInt8], isDirectory: Bool) -> Bool {
        for index in path.indices where path[index] == UInt8(ascii: "/") {
            if excludes(Array(path[..<index]), isDirectory: true) { return true }
        }
        return excludes(path, isDirectory: isDirectory)
    }
}
