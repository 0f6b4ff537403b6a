// Who and what a snapshot is of.

import ArgumentParser
import Primitives

/// The name, host and tags that a snapshot is filed under.
struct SourceIdentity: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The name of the source.",
            discussion:
                "What \"the previous snapshot\", retention and latest:SOURCE go by; host and location where not given.",
            valueName: "name"))
    var source: String?

    @Option(name: .long, help: ArgumentHelp("The host that the snapshot names.", valueName: "name"))
    var host: String?

    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("A tag of the snapshot; may be given again.", valueName: "key=value"))
    var tags: [TagArgument] = []

    func validate() throws {
        if source?.isEmpty == true { throw ValidationError("--source takes a name that is not empty.") }
        let names = tags.map(\.key)
        if Set(names).count < names.count { throw ValidationError("Each key of --tag can be given once.") }
        if tags.contains(where: { $0.value == nil }) { throw ValidationError("--tag takes KEY=VALUE.") }
    }

    /// Tags by key.
    var tagsByKey: [String: String] {
        Dictionary(tags.map { ($0.key, $0.value ?? "") }) { first, _ in first }
    }
}

/// `KEY=VALUE`, or `KEY` alone where any value will do.
struct TagArgument: ExpressibleByArgument, Hashable, Sendable {
    var key: String
    var value: String?

    init?(argument: String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        guard let key = parts.first, !key.isEmpty else { return nil }
        self.key = String(key)
        value = parts.count == 2 ? String(parts[1]) : nil
    }

    func matches(_ tags: [String: String]) -> Bool {
        guard let found = tags[key] else { return false }
        return value == nil || value == found
    }
}
