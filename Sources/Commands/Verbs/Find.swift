// holdfast find: which snapshots hold a name, and in which versions.

import ArgumentParser
import Primitives
import Recovery
import Repository
import Workloads

struct FindVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "find",
        abstract: "Find names in snapshots.",
        discussion: """
            A pattern without a slash is matched against names, one with a slash against whole paths from the \
            snapshot's root: * ? [a-z] and ** as in .gitignore. Each version of a path is listed with its size, its \
            time and the snapshots that hold it. All snapshots that this key may read are searched unless \
            --snapshot or --source chooses.

            Examples:

              holdfast find '*.sql'

              holdfast find conf/server.yaml --source web
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("A name or path, with wildcards.", valueName: "pattern"))
    var pattern: String

    @Option(name: .long, help: ArgumentHelp("Only this snapshot; may be given again.", valueName: "snapshot"))
    var snapshot: [String] = []

    @Option(name: .long, help: ArgumentHelp("Only snapshots of this source.", valueName: "name"))
    var source: String?

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let listing = try repository.snapshots()
            var chosen: [Snapshot] = []
            for text in snapshot { chosen.append(try repository.find(try SnapshotSelector(text), in: listing)) }
            if snapshot.isEmpty { chosen = listing.snapshots.filter { $0.record != nil } }
            if let source { chosen.removeAll { $0.record?.source != source } }
            let index = try repository.loadIndex(for: .reading).index
            let search = try FindSearch(
                Array(pattern.utf8), tree: try repository.makeTree(index), cancellation: context.cancellation)
            for snapshot in chosen { try search.search(snapshot) }
            let results = search.results
            for found in results {
                try context.output.line(ShownText.path(found.path))
                for version in found.versions {
                    let names = version.snapshots.map(\.description).joined(separator: " ")
                    try context.output.line(
                        "  \(version.kind.name) \(version.size) \(version.modified)  \(names)")
                }
            }
            for damaged in search.damaged {
                context.output.warning(
                    "snapshot \(damaged.snapshot), \(ShownText.path(damaged.path)): "
                        + ShownText.line(damaged.error.message))
            }
            try context.output.json(
                FindReport(
                    snapshots: chosen.map(\.id.description), paths: results.map(FindReport.Path.init),
                    damaged: search.damaged.map { RestoreReport.Failure($0.path, $0.error) }))
            return search.damaged.isEmpty ? .success : .failed
        }
    }
}

/// `holdfast.find/1`.
struct FindReport: Encodable {
    let schema = "holdfast.find/1"
    /// Those that were searched.
    let snapshots: [String]
    let paths: [Path]
    let damaged: [RestoreReport.Failure]

    struct Path: Encodable {
        struct Version: Encodable {
            let kind: String
            let size: UInt64
            let modified: String
            let snapshots: [String]
        }

        let path: String
        let pathBytes: String?
        let versions: [Version]

        init(_ found: FoundPath) {
            let text = PathText(found.path)
            path = text.path
            pathBytes = text.pathBytes
            versions = found.versions.map {
                Version(
                    kind: $0.kind.name, size: $0.size, modified: $0.modified.description,
                    snapshots: $0.snapshots.map(\.description))
            }
        }
    }

    private enum CodingKeys: String, CodingKey { case schema, snapshots, paths, damaged }
}
