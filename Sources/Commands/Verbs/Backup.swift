// holdfast backup: a snapshot of directories or of a stream.

import ArgumentParser
import Compression
import Primitives
import Recovery
import Repository
import Workloads

struct BackupVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Take a snapshot.",
        discussion: """
            A source is dir:PATH, several of which make one snapshot, or stdin:NAME for what comes on standard input. \
            With a command after --, stdin:NAME takes what the command prints, and the snapshot is made only when it \
            exits 0. Without one, a pipe's producer can fail unseen: an empty stream is refused, and so is one under \
            --min-size, but a stream that was cut off above that size looks whole. Prefer the command.

            The backup is incremental against the newest snapshot of the same source: files whose size, times and \
            inode did not change are not read again. Paths that cannot be read are named, the rest is committed, and \
            the exit status is 3.

            Examples:

              holdfast backup dir:/etc dir:/srv/www --source web --exclude '*.tmp'

              holdfast backup stdin:shop.dump -- pg_dump -Fc -Z0 shop

              tar -c /srv | holdfast backup stdin:srv.tar --unpack --min-size 1M
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions
    @OptionGroup(title: "Snapshot Options") var identity: SourceIdentity

    // One list for both, since the parser allows nothing after a list: behind stdin:NAME stands its command.
    @Argument(
        help: ArgumentHelp(
            "dir:PATH, again for more; or stdin:NAME, and after -- the command whose output is backed up.",
            valueName: "source"))
    var arguments: [String]

    private var sources: [SourceArgument] {
        guard let first = arguments.first.flatMap(SourceArgument.init(argument:)) else { return [] }
        return first.isStream ? [first] : arguments.compactMap(SourceArgument.init(argument:))
    }

    /// What stands behind stdin:NAME.
    private var command: [String] { sources.first?.isStream == true ? Array(arguments.dropFirst()) : [] }

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave out what matches the pattern; may be given again.",
            discussion:
                "As in .gitignore: * ? [a-z] **, a leading / anchors, a closing / means directories, ! takes back.",
            valueName: "pattern"))
    var exclude: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Leave out what matches a line of the file; may be given again.", valueName: "file"))
    var excludeFile: [String] = []

    @Flag(name: .long, help: "Leave out the contents of directories that hold a valid CACHEDIR.TAG.")
    var excludeCaches = false

    @Flag(name: .long, help: "Stay on the file system of each source.")
    var oneFileSystem = false

    @Flag(name: .long, help: "Read all files again, also those whose size, times and inode did not change.")
    var reread = false

    @Flag(name: .long, help: "Count what would be read, and store nothing.")
    var dryRun = false

    @Flag(name: .long, help: "Take the tar archive on the stream apart into its members.")
    var unpack = false

    @Option(name: .long, help: ArgumentHelp("Refuse a stream of fewer bytes.", valueName: "size"))
    var minSize = ByteCount(1)

    @Option(
        name: .long,
        help: ArgumentHelp(
            "How new data is compressed: zstd[:1-19], zlib[:1-9], none or auto[:1-19].",
            discussion: "The repository's own setting where not given.", valueName: "codec"))
    var compression: CompressionSetting?

    func validate() throws {
        guard let first = arguments.first.flatMap(SourceArgument.init(argument:)) else {
            throw ValidationError(SourceArgument.refusal(of: arguments.first ?? ""))
        }
        if first.isStream {
            if let other = command.first, SourceArgument(argument: other) != nil {
                throw ValidationError("stdin:NAME is backed up alone; a command goes after --.")
            }
            if dryRun { throw ValidationError("--dry-run cannot look into a stream.") }
            if !exclude.isEmpty || !excludeFile.isEmpty || excludeCaches || oneFileSystem || reread {
                throw ValidationError("Exclusions, --one-file-system and --reread go with dir:PATH.")
            }
            return
        }
        for argument in arguments {
            guard let source = SourceArgument(argument: argument) else {
                throw ValidationError(SourceArgument.refusal(of: argument))
            }
            if source.isStream { throw ValidationError("stdin:NAME is backed up alone.") }
        }
        if unpack { throw ValidationError("--unpack goes with stdin:NAME.") }
        if minSize != ByteCount(1) { throw ValidationError("--min-size goes with stdin:NAME.") }
        let names = sources.map(\.canonical)
        if Set(names).count < names.count { throw ValidationError("Each directory can be given once.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository(transfer)
            let options = try options(for: repository)
            let summary = try context.withProgress { (progress) throws(HoldfastError) in
                try Backup(repository, options: options, progress: progress, runner: context.runner)
                    .run(sources.map { $0.source(command: command) })
            }
            try report(summary, to: context.output)
            return summary.isPartial ? .partial : .success
        }
    }

    private func options(for repository: Repository) throws(HoldfastError) -> BackupOptions {
        let host = identity.host ?? Host.name
        let source = identity.source ?? "\(host):" + sources.map(\.canonical).joined(separator: " ")
        var options = BackupOptions(source: source, host: host, toolVersion: ToolVersion.current)
        guard let setting = compression ?? CompressionSetting(repository.format.compression) else {
            throw HoldfastError(
                .unsupportedFormat, "the repository's compression \(repository.format.compression) is not known",
                hint: "Upgrade holdfast, or give --compression.")
        }
        options.compression = setting
        options.tags = identity.tagsByKey
        for pattern in exclude { try options.exclusions.add(pattern: pattern) }
        for file in excludeFile { try options.exclusions.add(file: try InputFile.read(file, limit: .mebi(16))) }
        options.exclusions.excludesCaches = excludeCaches
        options.oneFileSystem = oneFileSystem
        options.reread = reread
        options.dryRun = dryRun
        options.unpack = unpack
        options.minimumSize = minSize
        options.threads = transfer.threads ?? min(Host.processors, BackupOptions.mostThreadsByDefault)
        options.readLimit = transfer.limitRead
        return options
    }

    private func report(_ summary: BackupSummary, to output: Output) throws(HoldfastError) {
        let counts = summary.record.counts
        for path in summary.record.unreadable.prefix(100) {
            output.warning("\(ShownText.path(path.path)): \(ShownText.line(path.reason))")
        }
        if summary.record.unreadableCount > 100 {
            output.warning("\(summary.record.unreadableCount - 100) more paths could not be read")
        }
        let seconds =
            Double(summary.duration.components.seconds)
            + Double(summary.duration.components.attoseconds) / 1e18
        try output.line("files     \(counts.files) (\(counts.filesRead) read), directories \(counts.directories)")
        try output.line("read      \(ByteCount(counts.bytesRead)) of \(ByteCount(counts.bytes))")
        if let snapshot = summary.snapshot {
            try output.line(
                "new       \(ByteCount(counts.bytesNew)) in \(counts.chunksNew) chunks (\(counts.deltas) as deltas)")
            try output.line("stored    \(ByteCount(counts.bytesStored))")
            try output.line("time      \(Double((seconds * 100).rounded()) / 100) s")
            try output.line("snapshot  \(snapshot)")
        } else {
            try output.line("dry run: nothing was stored")
        }
        try output.json(BackupReport(summary, seconds: seconds))
    }
}

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

/// `holdfast.backup/1`.
struct BackupReport: Encodable {
    let schema = "holdfast.backup/1"
    let snapshot: String?
    let parent: String?
    let source: String
    let isPartial: Bool
    let files: UInt64
    let directories: UInt64
    let filesRead: UInt64
    let bytes: UInt64
    let bytesRead: UInt64
    let bytesNew: UInt64
    let bytesStored: UInt64
    let chunksNew: UInt64
    let chunksReused: UInt64
    let deltas: UInt64
    let seconds: Double
    let unreadableCount: UInt64
    let unreadable: [Unreadable]

    struct Unreadable: Encodable {
        let path: String
        let pathBytes: String?
        let reason: String

        init(_ item: UnreadablePath) {
            let text = PathText(item.path)
            path = text.path
            pathBytes = text.pathBytes
            reason = item.reason
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, snapshot, parent, source, isPartial, files, directories, filesRead, bytes, bytesRead, bytesNew
        case bytesStored, chunksNew, chunksReused, deltas, seconds, unreadableCount, unreadable
    }

    init(_ summary: BackupSummary, seconds: Double) {
        let record = summary.record
        snapshot = summary.snapshot?.description
        parent = record.parent?.description
        source = record.source
        isPartial = summary.isPartial
        files = record.counts.files
        directories = record.counts.directories
        filesRead = record.counts.filesRead
        bytes = record.counts.bytes
        bytesRead = record.counts.bytesRead
        bytesNew = record.counts.bytesNew
        bytesStored = record.counts.bytesStored
        chunksNew = record.counts.chunksNew
        chunksReused = record.counts.chunksReused
        deltas = record.counts.deltas
        self.seconds = seconds
        unreadableCount = record.unreadableCount
        unreadable = record.unreadable.map(Unreadable.init)
    }
}
