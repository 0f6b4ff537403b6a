// A source on the command line: a URL.

import Primitives
import Recovery
import Repository
import Workloads

/// A source as it is typed.
struct SourceArgument: Sendable {
    private enum Kind: Sendable {
        case directory(String)
        case stream(String)
    }

    private let kind: Kind

    init?(argument: String) {
        if argument.hasPrefix("dir:"), argument.count > 4 {
            kind = .directory(Host.absolutePath(String(argument.dropFirst(4))))
        } else if argument.hasPrefix("stdin:"), isSafeName(Array(argument.utf8.dropFirst(6))) {
            kind = .stream(String(argument.dropFirst(6)))
        } else {
            return nil
        }
    }

    /// Why `argument` is no source, and what may have been meant.
    static func refusal(of argument: String) -> String {
        let text = "A source is dir:PATH or stdin:NAME, not \(argument.isEmpty ? "nothing" : argument)."
        return argument.isEmpty || argument.contains(":") ? text : text + " For a directory write dir:\(argument)."
    }

    var isStream: Bool { if case .stream = kind { true } else { false } }

    /// The URL by which the source is known when it has no name.
    var canonical: String {
        switch kind {
        case .directory(let path): "dir:\(path)"
        case .stream(let name): "stdin:\(name)"
        }
    }

    func source(command: [String]) -> BackupSource {
        switch kind {
        case .directory(let path): .directory(Array(path.utf8))
        case .stream(let name): .stream(name: name, command.isEmpty ? .descriptor(0) : .command(command))
        }
    }
}
