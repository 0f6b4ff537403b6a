// holdfast diff: what changed from one snapshot to another.

import ArgumentParser
import Primitives
import Recovery
import Repository
import Workloads

struct DiffVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff",
        abstract: "Show what changed between two snapshots.",
        discussion: """
            Each line begins with + for added, - for removed, M for other content, T for another kind of thing, and, \
            with --metadata, U for other owners, modes, times or attributes alone. Sizes are in bytes.

            Of snapshots of a vault U is shown always: where a secret or a version changed its state, its labels, or \
            which version is the current one, and which attributes and tags are others. No value is shown, nor that of \
            a tag.

            Example:

              holdfast diff 01kb 01kc --metadata
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The earlier snapshot.", valueName: "a"))
    var first: String

    @Argument(help: ArgumentHelp("The later snapshot.", valueName: "b"))
    var second: String

    @Flag(name: .long, help: "Show also what differs in owner, mode, time or attributes alone.")
    var metadata = false

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let (a, b) = (try SnapshotSelector(first), try SnapshotSelector(second))
            let repository = try context.openRepository()
            let listing = try repository.snapshots()
            let before = try repository.find(a, in: listing)
            let after = try repository.find(b, in: listing)
            let index = try repository.loadIndex(for: .reading).index
            var diff = SnapshotDiff(tree: try repository.makeTree(index), cancellation: context.cancellation)
            diff.includesMetadata = metadata
            let output = context.output
            var report = DiffReport(before: before.id.description, after: after.id.description)
            let summary = try diff.compare(before, after) { (change) throws(HoldfastError) in
                if output.isJSON { try report.add(change) } else { try output.line(Self.text(change)) }
            }
            report.summary = DiffReport.Summary(summary)
            try output.line(
                "added \(summary.added), removed \(summary.removed), content \(summary.content), type \(summary.type)"
                    + (metadata || summary.metadata > 0 ? ", metadata \(summary.metadata)" : "")
                    + "; \(ByteCount(summary.bytesAdded)) new, \(ByteCount(summary.bytesRemoved)) old")
            try output.json(report)
            return .success
        }
    }

    private static func text(_ change: PathChange) -> String {
        let letter: String
        switch change.kind {
        case .added: letter = "+"
        case .removed: letter = "-"
        case .type: letter = "T"
        case .content: letter = "M"
        case .metadata: letter = "U"
        }
        let isDirectory = (change.after ?? change.before)?.kind == .directory
        let path = change.path.isEmpty ? "/" : ShownText.path(change.path) + (isDirectory ? "/" : "")
        var sizes = ""
        if change.kind != .metadata, !isDirectory {
            let both = [change.before?.size, change.after?.size].compactMap { $0 }.map { "\($0)" }
            sizes = "  (\(both.joined(separator: " -> ")))"
        }
        let secret = change.secret.map { SecretText.line($0, of: change.kind) } ?? ""
        return "\(letter) \(path)\(sizes)" + (secret.isEmpty ? "" : "  \(secret)")
    }
}

/// `holdfast.diff/1`.
struct DiffReport: Encodable {
    static let maximumChanges = 1_000_000

    struct Change: Encodable {
        let path: String
        let pathBytes: String?
        let change: String
        let kindBefore, kindAfter: String?
        let sizeBefore, sizeAfter: UInt64?
        /// Of secrets and versions alone, as what follows.
        let stateBefore, stateAfter: String?
        let currentBefore, currentAfter: String?
        let labelsAdded, labelsRemoved: [String]?
        let attributes: [Attribute]?
    }

    /// An attribute that is there in both, or in one of them.
    struct Attribute: Encodable {
        let name: String
        /// Of a tag.
        let key: String?
        let change: String
    }

    struct Summary: Encodable {
        let added, removed, content, type, metadata, bytesAdded, bytesRemoved: UInt64

        init(_ summary: DiffSummary) {
            added = summary.added
            removed = summary.removed
            content = summary.content
            type = summary.type
            metadata = summary.metadata
            bytesAdded = summary.bytesAdded
            bytesRemoved = summary.bytesRemoved
        }
    }

    let schema = "holdfast.diff/1"
    let before: String
    let after: String
    var changes: [Change] = []
    var summary = Summary(DiffSummary())

    private enum CodingKeys: String, CodingKey { case schema, before, after, changes, summary }

    init(before: String, after: String) {
        self.before = before
        self.after = after
    }

    mutating func add(_ change: PathChange) throws(HoldfastError) {
        guard changes.count < Self.maximumChanges else {
            throw HoldfastError(
                .limitExceeded, "more than \(Self.maximumChanges) changes for one JSON object",
                hint: "Leave --json out.")
        }
        let text = PathText(change.path)
        let secret = change.secret
        changes.append(
            Change(
                path: text.path, pathBytes: text.pathBytes, change: change.kind.rawValue,
                kindBefore: change.before?.kind.name, kindAfter: change.after?.kind.name,
                sizeBefore: change.before?.size, sizeAfter: change.after?.size,
                stateBefore: secret?.standingBefore?.rawValue, stateAfter: secret?.standingAfter?.rawValue,
                currentBefore: secret?.currentBefore, currentAfter: secret?.currentAfter,
                labelsAdded: secret?.labelsAdded, labelsRemoved: secret?.labelsRemoved,
                attributes: secret?.attributes.map { Attribute(name: $0.name, key: $0.key, change: $0.act.rawValue) }))
    }
}
