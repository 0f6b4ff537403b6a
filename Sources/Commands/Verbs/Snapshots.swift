// holdfast snapshots: what the repository holds.

import ArgumentParser
import ObjectStore
import Primitives
import Repository

struct Snapshots: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "snapshots",
        abstract: "List snapshots.",
        discussion: """
            Snapshots are in order of source, oldest first. Size is the content of the snapshot, new what the \
            repository did not hold before, stored what the snapshot added to it. A snapshot that this key may not \
            read is listed without its details. Damaged snapshots are named, and the exit status is 1.

            Examples:

              holdfast snapshots --latest 3

              holdfast snapshots --source web --tag env=production --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var expected: ExpectedHeads

    @Option(name: .long, help: ArgumentHelp("Only snapshots of this source.", valueName: "name"))
    var source: String?

    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only snapshots with this tag; given again, with all of them.", valueName: "key[=value]"))
    var tags: [TagArgument] = []

    @Option(name: .long, help: ArgumentHelp("Only the newest N of each source.", valueName: "n"))
    var latest: Int?

    func validate() throws {
        if let latest, latest < 1 { throw ValidationError("--latest takes a number of at least 1.") }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            try expected.verify(in: repository)
            let listing = try repository.snapshots()
            let chosen = Self.orderedBySource(choose(listing.snapshots))
            var table = SnapshotTable()
            for snapshot in chosen { table.add(snapshot) }
            for line in table.lines { try context.output.line(line) }
            for damaged in listing.damaged {
                context.output.warning("\(damaged.key) is damaged: \(ShownText.line(damaged.error.message))")
            }
            try context.output.json(
                SnapshotsReport(
                    repository: repository.id.description, snapshots: chosen.map(SnapshotSummary.init),
                    heads: HeadSummary.all(listing),
                    damaged: listing.damaged.map { DamagedObject($0.key.path, $0.error) }))
            return listing.damaged.isEmpty ? .success : .failed
        }
    }

    /// Those that the options ask for, in the order given.
    func choose(_ snapshots: [Snapshot]) -> [Snapshot] {
        var chosen = snapshots
        if let source { chosen.removeAll { $0.record?.source != source } }
        if !tags.isEmpty {
            chosen.removeAll { snapshot in !tags.allSatisfy { $0.matches(snapshot.record?.tags ?? [:]) } }
        }
        guard let latest else { return chosen }
        // The listing is in order of sequence within a source.
        var later: [SourceTag: Int] = [:]
        return chosen.reversed().filter { snapshot in
            later[snapshot.tag, default: 0] += 1
            return later[snapshot.tag, default: 0] <= latest
        }.reversed()
    }

    /// The same snapshots in order of the names of their sources; those of one source stay in the order given.
    ///
    /// The listing goes by tags, whose order means nothing to a reader. What is sealed to this key comes last.
    static func orderedBySource(_ snapshots: [Snapshot]) -> [Snapshot] {
        let named = snapshots.enumerated().map { place, snapshot in
            (isSealed: snapshot.record == nil, name: snapshot.record?.source ?? "", place: place, snapshot: snapshot)
        }
        return named.sorted { one, other in
            if one.isSealed != other.isSealed { return other.isSealed }
            return one.name == other.name ? one.place < other.place : one.name < other.name
        }.map(\.snapshot)
    }
}

/// Snapshots in columns.
struct SnapshotTable {
    private var table = Table([
        ("ID", .left), ("TIME", .left), ("SOURCE", .left), ("SIZE", .right), ("NEW", .right), ("STORED", .right),
        ("FLAGS", .left),
    ])

    mutating func add(_ snapshot: Snapshot) {
        let id = snapshot.id.description
        guard let record = snapshot.record else {
            table.add([id, "\(snapshot.id.time)", "(\(snapshot.tag))", "-", "-", "-", "sealed"])
            return
        }
        let counts = record.counts
        let tags = record.tags.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        table.add([
            id, "\(record.started)", ShownText.name(record.source), "\(ByteCount(counts.bytes))",
            "\(ByteCount(counts.bytesNew))", "\(ByteCount(counts.bytesStored))",
            (record.flags + tags).map(ShownText.name).joined(separator: " "),
        ])
    }

    var lines: [String] { table.lines }
}

/// `holdfast.snapshots/1`.
struct SnapshotsReport: Encodable {
    let schema = "holdfast.snapshots/1"
    let repository: String
    let snapshots: [SnapshotSummary]
    /// The newest of each source, whatever the options chose.
    let heads: [HeadSummary]
    let damaged: [DamagedObject]

    private enum CodingKeys: String, CodingKey { case schema, repository, snapshots, heads, damaged }
}

/// An object that cannot be used, and why.
struct DamagedObject: Encodable {
    let object: String
    let code: String
    let message: String

    init(_ object: String, _ error: HoldfastError) {
        self.object = object
        code = error.code.rawValue
        message = error.message
    }
}
