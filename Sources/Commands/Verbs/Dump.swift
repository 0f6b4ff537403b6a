// holdfast dump: one file, or a directory as an archive, to standard output or into a file.

import ArgumentParser
import Primitives
import Recovery
import Repository
import SecretVaults
import State
import Workloads

struct DumpVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dump",
        abstract: "Stream a file or a directory out of a snapshot.",
        discussion: """
            A file is written as it is, a directory as a tar or zip archive whose names are relative to it. PATH is \
            relative to the snapshot's root. Every chunk is checked before it is written; at the first that is \
            damaged the stream ends and the exit status is not 0, so look at it when the output goes into a pipe. \
            With --output the file appears only when it is whole.

            Examples:

              holdfast dump latest:shop shop.dump | pg_restore -d shop

              holdfast dump latest:web conf --archive zip --output conf.zip
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Argument(help: ArgumentHelp("The snapshot.", valueName: "snapshot"))
    var snapshot: String

    @Argument(help: ArgumentHelp("The file or directory; / for the whole snapshot.", valueName: "path"))
    var path: String

    @Option(name: .long, help: ArgumentHelp("For a directory: tar or zip.", valueName: "format"))
    var archive: ArchiveFormat?

    @OptionGroup var reveal: RevealOptions
    @OptionGroup var audit: AuditOptions

    @Option(name: .shortAndLong, help: ArgumentHelp("Write into this file, replacing it.", valueName: "file"))
    var output: String?

    func validate() throws {
        if audit.reason != nil, !reveal.reveal { throw ValidationError("--reason goes with --reveal.") }
        if output == nil, global.json { throw ValidationError("--json needs --output, since the dump is on stdout.") }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let selector = try SnapshotSelector(snapshot)
            let parts = pathParts(Array(path.utf8))
            let repository = try context.openRepository(transfer)
            try repository.keyring.requireReadingData()
            let found = try repository.snapshot(selector).snapshot
            let index = try repository.loadIndex(for: .reading).index
            if let value = try secret(repository, found, index, parts, context) {
                try RevealOptions.write(value)
                return .success
            }
            let sink = try DumpSink(path: output.map { Host.absolutePath($0) })
            // On standard output a terminal's progress would mix with the data's own.
            let summary = try context.withProgress { (progress) throws(HoldfastError) in
                progress.enter(.restoring)
                let dump = try Dump(repository, found, index: index, progress: progress)
                return try write(dump, parts, sink)
            }
            try sink.finish()
            if summary.leftOut > 0 {
                context.output.warning("\(summary.leftOut) things that the format cannot hold were left out")
            }
            try context.output.json(
                DumpReport(
                    snapshot: found.id.description, path: PathText(joinedPath(parts)), summary: summary))
            return .success
        }
    }

    /// The value at `parts` of a snapshot of a vault, when it is to be revealed.
    private func secret(
        _ repository: Repository, _ snapshot: Snapshot, _ index: Index, _ parts: [[UInt8]],
        _ context: CommandContext
    ) throws(HoldfastError) -> SecretValue? {
        guard reveal.reveal else { return nil }
        guard output == nil, archive == nil else {
            throw HoldfastError(
                .usage, "a revealed secret goes to standard output alone", hint: "Leave --output and --archive out.")
        }
        let view = try SnapshotView(snapshot, tree: try repository.makeTree(index))
        guard case .entry(_, let entry) = try view.node(at: parts), let content = entry.content, content.rule == .secret
        else {
            throw HoldfastError(
                .usage, "\(path) is no version of a secret with a value", hint: "Leave --reveal out for a file.")
        }
        var access = AuditEntry(.revealed, vault: "snapshot:\(snapshot.id)", reason: audit.reason)
        if case .entry(_, let directory) = try view.node(at: Array(parts.dropLast())) {
            access.secret = try VaultLayout.record(of: directory.metadata)?.name.text
        }
        access.version = try VaultLayout.version(of: entry.metadata)?.id.text
        return try context.audited(access) { () throws(HoldfastError) in
            try SecretReader(repository, index: index).value(content)
        }
    }

    private func write(_ dump: Dump, _ parts: [[UInt8]], _ sink: DumpSink) throws(HoldfastError) -> Dump.Summary {
        if case .entry(_, let entry) = try dump.node(at: parts), entry.metadata.kind != .directory {
            guard archive == nil else {
                throw HoldfastError(.usage, "\(path) is no directory", hint: "Leave --archive out to dump a file.")
            }
            return try dump.file(entry) { (bytes) throws(HoldfastError) in try sink.write(bytes) }
        }
        return try dump.archive(parts, as: archive ?? .tar) { (bytes) throws(HoldfastError) in
            try sink.write(bytes)
        }
    }
}

extension ArchiveFormat: ExpressibleByArgument {}

/// `holdfast.dump/1`.
struct DumpReport: Encodable {
    let schema = "holdfast.dump/1"
    let snapshot: String
    let path: String
    let pathBytes: String?
    let entries: UInt64
    let bytes: UInt64
    let leftOut: UInt64

    private enum CodingKeys: String, CodingKey { case schema, snapshot, path, pathBytes, entries, bytes, leftOut }

    init(snapshot: String, path: PathText, summary: Dump.Summary) {
        self.snapshot = snapshot
        self.path = path.path
        pathBytes = path.pathBytes
        entries = summary.entries
        bytes = summary.bytes
        leftOut = summary.leftOut
    }
}
