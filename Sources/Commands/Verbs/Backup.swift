// holdfast backup: a snapshot of directories or of a stream.

import ArgumentParser
import Compression
import Configuring
import Primitives
import Recovery
import Repository
import Workloads

struct BackupVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Take a snapshot.",
        discussion: """
            A source is the name of one in the configuration, several of which make a snapshot each; or dir:PATH, \
            several of which make one snapshot; or sqlite:PATH, a database that others may be writing, again for more; \
            or stdin:NAME for what comes on standard input. \
            With a command after --, stdin:NAME takes what the command prints, and the snapshot is made only when it \
            exits 0. Without one, a pipe's producer can fail unseen: an empty stream is refused, and so is one under \
            --min-size, but a stream that was cut off above that size looks whole. Prefer the command.

            The backup is incremental against the newest snapshot of the same source: files whose size, times and \
            inode did not change are not read again. Paths that cannot be read are named, the rest is committed, and \
            the exit status is 3.

            Examples:

              holdfast backup dir:/etc dir:/srv/www --source web --exclude '*.tmp'

              holdfast backup sqlite:/srv/app/app.db --source app

              holdfast backup stdin:shop.dump -- pg_dump -Fc -Z0 shop

              tar -c /srv | holdfast backup stdin:srv.tar --unpack --min-size 1M

              holdfast backup site shop

              holdfast backup --all
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions
    @OptionGroup(title: "Snapshot Options") var identity: SourceIdentity

    // One list for both, since the parser allows nothing after a list: behind stdin:NAME stands its command.
    @Argument(
        help: ArgumentHelp(
            "Names of the configuration; dir:PATH or sqlite:PATH, again for more; or stdin:NAME, after -- a command.",
            valueName: "source"))
    var arguments: [String] = []

    @Flag(name: .long, help: "Back up all sources of the configuration.")
    var all = false

    /// Whether the arguments are names of the configuration.
    var isConfigured: Bool { all || arguments.first.map(ConfiguredSource.isName) == true }

    private var sources: [SourceArgument] {
        guard let first = arguments.first.flatMap(SourceArgument.init(argument:)) else { return [] }
        return first.scheme.isStream ? [first] : arguments.compactMap(SourceArgument.init(argument:))
    }

    /// What stands behind stdin:NAME.
    private var command: [String] { sources.first?.scheme.isStream == true ? Array(arguments.dropFirst()) : [] }

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
        if isConfigured { return try validateNames() }
        guard let first = arguments.first.flatMap(SourceArgument.init(argument:)) else {
            throw ValidationError(SourceArgument.refusal(of: arguments.first ?? ""))
        }
        let isTree = first.scheme.capabilities.isTree
        if !isTree, !exclude.isEmpty || !excludeFile.isEmpty || excludeCaches || oneFileSystem || reread {
            throw ValidationError("Exclusions, --one-file-system and --reread go with dir:PATH.")
        }
        if dryRun, !first.scheme.capabilities.canBeEstimated {
            throw ValidationError(
                "--dry-run cannot look into \(first.scheme.form): what it holds is known when it is read.")
        }
        if first.scheme.isStream {
            if let other = command.first, SourceArgument(argument: other) != nil {
                throw ValidationError("stdin:NAME is backed up alone; a command goes after --.")
            }
            return
        }
        for argument in arguments {
            guard let source = SourceArgument(argument: argument) else {
                throw ValidationError(SourceArgument.refusal(of: argument))
            }
            if arguments.count > 1, !source.scheme.capabilities.canBeJoined {
                throw ValidationError("\(source.scheme.form) is backed up alone.")
            }
            if source.scheme.name != first.scheme.name {
                throw ValidationError("Sources of one snapshot are of one kind; back the others up by themselves.")
            }
        }
        if unpack { throw ValidationError("--unpack goes with stdin:NAME.") }
        if minSize != ByteCount(1) { throw ValidationError("--min-size goes with stdin:NAME.") }
        let names = sources.map(\.canonical)
        if Set(names).count < names.count { throw ValidationError("Each source can be given once.") }
    }

    private func validateNames() throws {
        if all, !arguments.isEmpty { throw ValidationError("--all takes all sources; name none besides.") }
        if let other = arguments.first(where: { !ConfiguredSource.isName($0) }) {
            throw ValidationError("Give names of the configuration or URLs, not both: \(other).")
        }
        if Set(arguments).count < arguments.count { throw ValidationError("Each source can be given once.") }
        if identity.source != nil { throw ValidationError("A configured source goes by its name; leave --source out.") }
        if unpack || minSize != ByteCount(1) {
            throw ValidationError("--unpack and --min-size go with stdin:NAME; a configured source has keys for them.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            if isConfigured { return try ConfiguredBackup(self, context).run(all ? nil : arguments) }
            let repository = try context.openRepository(transfer)
            var options = try options(for: repository)
            options.vaultOpener = context.vaultOpener()
            var workload = options.workload
            workload.command = command
            var workloads: [any Workload] = []
            for source in sources { workloads.append(try source.workload(workload)) }
            if identity.source == nil, let name = try Self.name(of: workloads, in: repository) { options.source = name }
            let summary = try context.withProgress { (progress) throws(HoldfastError) in
                try Backup(repository, options: options, progress: progress, runner: context.runner)
                    .run(workloads: workloads)
            }
            try BackupText.show(summary, on: context.output)
            try context.output.json(BackupReport(summary, seconds: BackupText.seconds(summary)))
            if summary.isDamaged { return .checkFailed }
            return summary.isPartial ? .partial : .success
        }
    }

    /// What the sources themselves say that they go by.
    private static func name(
        of workloads: [any Workload], in repository: Repository
    ) throws(HoldfastError) -> String? {
        guard workloads.count == 1, let workload = workloads.first else { return nil }
        return try workload.sourceName(
            WorkloadContext(
                clock: repository.clock, entropy: repository.entropy,
                cancellation: repository.environment.cancellation))
    }

    private func options(for repository: Repository) throws(HoldfastError) -> BackupOptions {
        let host = identity.host ?? Host.name
        let source = identity.source ?? Self.sourceName(of: sources.map(\.canonical), on: host)
        var options = BackupOptions(source: source, host: host, toolVersion: ToolVersion.current)
        options.compression = try Self.compression(of: repository, unless: compression)
        options.tags = identity.tagsByKey
        try addExclusions(to: &options)
        options.oneFileSystem = oneFileSystem
        options.reread = reread
        options.dryRun = dryRun
        options.unpack = unpack
        options.minimumSize = minSize
        options.threads = transfer.threads ?? Self.threadsByDefault
        options.readLimit = transfer.limitRead
        return options
    }

    /// What snapshots of sources without a name are filed under.
    static func sourceName(of sources: [String], on host: String) -> String {
        "\(host):" + sources.joined(separator: " ")
    }

    static var threadsByDefault: Int { min(Host.processors, BackupOptions.mostThreadsByDefault) }

    /// `chosen`, else the repository's own setting.
    static func compression(
        of repository: Repository, unless chosen: CompressionSetting?
    ) throws(HoldfastError) -> CompressionSetting {
        if let chosen { return chosen }
        if let setting = CompressionSetting(repository.format.compression) { return setting }
        throw HoldfastError(
            .unsupportedFormat, "the repository's compression \(repository.format.compression) is not known",
            hint: "Upgrade holdfast, or give --compression.")
    }

    /// Adds what the command line leaves out.
    func addExclusions(to options: inout BackupOptions) throws(HoldfastError) {
        for pattern in exclude { try options.exclusions.add(pattern: pattern) }
        for file in excludeFile { try options.exclusions.add(file: try InputFile.read(file, limit: .mebi(16))) }
        options.exclusions.excludesCaches = options.exclusions.excludesCaches || excludeCaches
    }
}
