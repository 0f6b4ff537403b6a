// The one table of what a source's URL can begin with.

/// A scheme of source URLs.
package struct SourceScheme: Sendable {
    /// What stands before the first colon.
    package var name: String
    /// How such a URL is written.
    package var form: String
    package var doc: String
    /// What follows the scheme is a path of a file or directory; a relative one goes from the file's directory.
    package var isPath: Bool
    /// Several of these make one snapshot.
    package var canBeJoined: Bool
    /// The source is a tree of files: exclusions and the like have a meaning.
    package var isTree: Bool
    /// The source is one stream of bytes.
    package var isStream: Bool

    package static let all: [SourceScheme] = [
        SourceScheme(
            name: "dir", form: "dir:PATH", doc: "a directory with all below it", isPath: true, canBeJoined: true,
            isTree: true, isStream: false),
        SourceScheme(
            name: "stdin", form: "stdin:NAME", doc: "what comes on standard input, as a file of that name",
            isPath: false, canBeJoined: false, isTree: false, isStream: true),
    ]

    /// `dir:PATH or stdin:NAME`.
    package static var forms: String { all.map(\.form).joined(separator: " or ") }
}

/// A source's URL: a scheme of the table, and text that means something to its workload alone.
package struct SourceURL: Sendable, Hashable {
    package var text: String
    package var scheme: String

    /// - Returns: nil for a scheme that is not in the table, or nothing behind it.
    package init?(_ text: String) {
        guard let colon = text.firstIndex(of: ":"), !text[colon...].dropFirst().isEmpty, !text.utf8.contains(0),
            SourceScheme.all.contains(where: { $0.name == text[..<colon] })
        else { return nil }
        self.text = text
        scheme = String(text[..<colon])
    }

    package var kind: SourceScheme? { SourceScheme.all.first { $0.name == scheme } }

    /// What stands behind the scheme.
    package var rest: String { String(text.dropFirst(scheme.count + 1)) }

    /// The same with an absolute path, when it is one of a file or directory.
    func resolved(from directory: String) -> SourceURL {
        guard kind?.isPath == true, !rest.hasPrefix("/") else { return self }
        var resolved = self
        resolved.text = "\(scheme):\(directory)/\(rest)"
        return resolved
    }

    static func refusal(of text: String) -> String {
        let known = SourceScheme.all.map(\.name)
        guard let colon = text.firstIndex(of: ":") else {
            return "a source's URL is \(SourceScheme.forms); for a directory write dir:PATH"
        }
        let scheme = String(text[..<colon])
        if known.contains(scheme) { return "nothing stands behind \(scheme):" }
        let hint = Nearest.word(to: scheme, among: known).map { "; did you mean `\($0):`?" } ?? ""
        return "unknown scheme `\(scheme):`; a source's URL is \(SourceScheme.forms)\(hint)"
    }
}
