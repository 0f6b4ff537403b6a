// holdfast ls: what a snapshot holds.

import ArgumentParser
import Primitives
import Recovery
import Repository
import Workloads

struct ListVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ls",
        abstract: "List what a snapshot holds.",
        discussion: """
            PATH is relative to the snapshot's root: a snapshot of one directory lists its contents, one of several \
            has each under its own name, as a restore lays them out. A list that is damaged is named, the rest is \
            listed, and the exit status is 1. In a snapshot of a vault a secret or a version that is not live has its \
            state behind it: (disabled), (deleted), (destroyed) or (removed).

            Examples:

              holdfast ls latest

              holdfast ls latest:web conf --long --recursive
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The snapshot.", valueName: "snapshot"))
    var snapshot: String

    @Argument(help: ArgumentHelp("A path within it.", valueName: "path"))
    var path: String = ""

    @Flag(name: .shortAndLong, help: "Show kind and mode, owner, group, size and time.")
    var long = false

    @Flag(name: [.customShort("R"), .long], help: "List all that lies below.")
    var recursive = false

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let selector = try SnapshotSelector(snapshot)
            let repository = try context.openRepository()
            let found = try repository.snapshot(selector).snapshot
            let index = try repository.loadIndex(for: .reading).index
            let view = try SnapshotView(found, tree: try repository.makeTree(index))
            var report = ListReport(snapshot: found.id.description)
            let output = context.output
            let isVault = found.record?.workload == VaultWorkload.kind
            try view.list(
                pathParts(Array(path.utf8)), recursive: recursive, cancellation: context.cancellation
            ) { (parts, error) throws(HoldfastError) in
                output.warning("\(ShownText.path(joinedPath(parts))): \(ShownText.line(error.message))")
                report.damaged.append(RestoreReport.Failure(joinedPath(parts), error))
            } _: { (parts, entry) throws(HoldfastError) in
                let secret = isVault ? try SecretEntry(entry.metadata) : nil
                if output.isJSON {
                    try report.add(ListedItem(joinedPath(parts), entry, secret))
                } else {
                    let text = long ? EntryText.long(parts, entry) : EntryText.path(parts, entry)
                    try output.line(text + (secret.map { SecretText.standing($0) } ?? ""))
                }
            }
            try output.json(report)
            return report.damaged.isEmpty ? .success : .failed
        }
    }
}

/// Entries as lines of text.
enum EntryText {
    /// The path, with a closing slash for a directory.
    static func path(_ parts: [[UInt8]], _ entry: Entry) -> String {
        ShownText.path(joinedPath(parts)) + (entry.metadata.kind == .directory ? "/" : "")
    }

    /// As `ls -l` has it: mode, owner, group, bytes, time and path.
    static func long(_ parts: [[UInt8]], _ entry: Entry) -> String {
        let metadata = entry.metadata
        let size = entry.content?.size ?? metadata.size
        let owner = metadata.userName.isEmpty ? "\(metadata.user)" : ShownText.name(metadata.userName)
        let group = metadata.groupName.isEmpty ? "\(metadata.group)" : ShownText.name(metadata.groupName)
        let target = metadata.kind == .symbolicLink ? " -> " + ShownText.path(metadata.linkTarget) : ""
        return mode(metadata) + " " + padded(owner, 8) + " " + padded(group, 8) + " " + padded("\(size)", -12) + " "
            + "\(metadata.modified) " + path(parts, entry) + target
    }

    /// Ten letters, such as `-rw-r--r--`.
    static func mode(_ metadata: EntryMetadata) -> String {
        let bits = metadata.mode
        var text = letter(metadata.kind)
        for (shift, special, set, lower, upper) in [
            (6, 0o4000, "s", "x", "S"), (3, 0o2000, "s", "x", "S"), (0, 0o1000, "t", "x", "T"),
        ] as [(UInt32, UInt32, String, String, String)] {
            let three = bits >> shift & 7
            let runs = three & 1 != 0
            text += three & 4 != 0 ? "r" : "-"
            text += three & 2 != 0 ? "w" : "-"
            text += bits & special != 0 ? (runs ? set : upper) : (runs ? lower : "-")
        }
        return text
    }

    private static func letter(_ kind: EntryKind) -> String {
        switch kind {
        case .file: "-"
        case .directory: "d"
        case .symbolicLink: "l"
        case .fifo: "p"
        case .characterDevice: "c"
        case .blockDevice: "b"
        case .socket: "s"
        }
    }

    /// Filled up with spaces on the right, or on the left for a negative width.
    private static func padded(_ text: String, _ width: Int) -> String {
        let gap = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? gap + text : text + gap
    }
}

extension EntryKind {
    /// The kind's name in JSON.
    var name: String {
        switch self {
        case .file: "file"
        case .directory: "directory"
        case .symbolicLink: "symlink"
        case .fifo: "fifo"
        case .characterDevice: "character-device"
        case .blockDevice: "block-device"
        case .socket: "socket"
        }
    }
}

/// `holdfast.ls/1`.
struct ListReport: Encodable {
    /// One object holds no more than this; the text form has no bound.
    static let maximumEntries = 1_000_000

    let schema = "holdfast.ls/1"
    let snapshot: String
    var entries: [ListedItem] = []
    var damaged: [RestoreReport.Failure] = []

    private enum CodingKeys: String, CodingKey { case schema, snapshot, entries, damaged }

    init(snapshot: String) { self.snapshot = snapshot }

    mutating func add(_ item: ListedItem) throws(HoldfastError) {
        guard entries.count < Self.maximumEntries else {
            throw HoldfastError(
                .limitExceeded, "more than \(Self.maximumEntries) entries for one JSON object",
                hint: "List a directory further down, or leave --json out.")
        }
        entries.append(item)
    }
}

struct ListedItem: Encodable {
    let path: String
    let pathBytes: String?
    let kind: String
    let mode: String
    let user, group: UInt32
    let userName, groupName: String
    let size, links: UInt64
    let modified: String
    let modifiedNanoseconds: Int64
    let target: String?
    let targetBytes: String?
    /// Of secrets and versions alone.
    let state: String?
    /// Of versions alone.
    let labels: [String]?

    init(_ bytes: [UInt8], _ entry: Entry, _ secret: SecretEntry?) {
        let text = PathText(bytes)
        let metadata = entry.metadata
        path = text.path
        pathBytes = text.pathBytes
        kind = metadata.kind.name
        mode = String(metadata.mode, radix: 8)
        user = metadata.user
        group = metadata.group
        userName = metadata.userName
        groupName = metadata.groupName
        size = entry.content?.size ?? metadata.size
        links = metadata.links
        modified = metadata.modified.description
        modifiedNanoseconds = metadata.modified.nanoseconds
        let link = metadata.kind == .symbolicLink ? PathText(metadata.linkTarget) : nil
        target = link?.path
        targetBytes = link?.pathBytes
        state = secret?.standing.rawValue
        if case .version(let facts)? = secret { labels = facts.labels } else { labels = nil }
    }
}
