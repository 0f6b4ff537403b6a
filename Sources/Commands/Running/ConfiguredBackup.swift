// A backup of sources of the configuration, each into a snapshot of its own.

import Configuring
import Primitives
import Recovery
import Repository
import Workloads

/// One run of `backup` with names.
///
/// A source that fails does not stop the others; what they committed stays, and the exit status is 3.
struct ConfiguredBackup {
    private let verb: BackupVerb
    let context: CommandContext

    init(_ verb: BackupVerb, _ context: CommandContext) {
        self.verb = verb
        self.context = context
    }

    enum Outcome {
        case done(BackupSummary)
        case failed(HoldfastError)
    }

    /// What two sources share when they share an open repository.
    private struct Opening: Hashable {
        var place: RepositoryPlace
        var limitRead: ByteCount?
        var limitWrite: ByteCount?
    }

    /// - Parameter names: Nil for all sources.
    func run(_ names: [String]?) throws(HoldfastError) -> ExitStatus {
        guard let configuration = try context.configuration() else {
            let name = names?.first ?? "PATH"
            throw HoldfastError(
                .usage, "there is no configuration file to take sources from",
                hint: "For a directory write dir:\(name); else name a file with --config or HOLDFAST_CONFIG.")
        }
        var sources = configuration.sources
        if let names {
            sources = []
            for name in names { sources.append(try configuration.requireSource(named: name)) }
        }
        guard !sources.isEmpty else {
            throw HoldfastError(
                .usage, "\(configuration.path) has no sources", hint: "Add one below `sources`, or give a URL.")
        }
        try checkOptions(sources)
        let named = try context.namedPlace()
        var openings: [Opening] = []
        for source in sources {
            var place = named
            if place == nil { place = try context.place(of: source.repository, in: configuration) }
            guard let place else { continue }
            openings.append(
                Opening(
                    place: place, limitRead: verb.transfer.limitRead ?? source.limitRead,
                    limitWrite: verb.transfer.limitWrite ?? source.limitWrite))
        }
        var repositories: [Opening: Result<Repository, HoldfastError>] = [:]
        var outcomes: [(source: ConfiguredSource, outcome: Outcome)] = []
        for (source, opening) in zip(sources, openings) {
            // A vault whose snapshot another source needed has one of this run already.
            guard !outcomes.contains(where: { $0.source.name == source.name }) else { continue }
            var kept: [(source: ConfiguredSource, outcome: Outcome)] = []
            let outcome = try back(up: source, opening, configuration, &repositories, &kept)
            for one in [(source: source, outcome: outcome)] + kept {
                outcomes.append(one)
                try show(one.source, one.outcome, isAlone: sources.count == 1 && kept.isEmpty)
            }
        }
        return try end(outcomes)
    }

    /// Options that cannot be meant for one of the sources.
    private func checkOptions(_ sources: [ConfiguredSource]) throws(HoldfastError) {
        let isForTrees =
            !verb.exclude.isEmpty || !verb.excludeFile.isEmpty || verb.excludeCaches || verb.oneFileSystem
            || verb.reread
        if isForTrees, let other = sources.first(where: { !$0.isTree }) {
            throw HoldfastError(
                .usage, "`\(other.name)` is not of directories",
                hint: "Exclusions, --one-file-system and --reread go with directories.")
        }
        if verb.dryRun, let other = sources.first(where: { !$0.canBeEstimated }) {
            throw HoldfastError(
                .usage, "`\(other.name)` is a stream or a command", hint: "--dry-run cannot look into it.")
        }
        let readers = sources.filter(\.readsStandardInput)
        if readers.count > 1 {
            throw HoldfastError(
                .usage, "\(readers.map { "`\($0.name)`" }.joined(separator: " and ")) both read standard input",
                hint: "Back them up in runs of their own, or let each have a `command`.")
        }
    }

    /// - Throws: `.interrupted` alone: it ends the whole run.
    private func back(
        up source: ConfiguredSource, _ opening: Opening, _ configuration: Configuration,
        _ repositories: inout [Opening: Result<Repository, HoldfastError>],
        _ kept: inout [(source: ConfiguredSource, outcome: Outcome)]
    ) throws(HoldfastError) -> Outcome {
        do throws(HoldfastError) {
            let repository: Repository
            if let known = repositories[opening] {
                repository = try known.get()
            } else {
                let opened = open(opening)
                repositories[opening] = opened
                repository = try opened.get()
            }
            var options = try options(for: source, in: repository)
            options.openings = try wishes(of: source, configuration)
            var vaults: [(source: ConfiguredSource, outcome: Outcome)] = []
            defer { kept = vaults }
            let summary = try context.withProgress { (progress) throws(HoldfastError) in
                try Backup(repository, options: options, progress: progress, runner: context.runner)
                    .run(workloads: try Self.workloads(of: source, options.workload)) {
                        (openings) throws(HoldfastError) in
                        try keep(openings, repository, configuration, &vaults)
                    }
            }
            return .done(summary)
        } catch {
            if error.code == .interrupted { throw error }
            return .failed(error)
        }
    }

    private func open(_ opening: Opening) -> Result<Repository, HoldfastError> {
        var transfer = verb.transfer
        transfer.limitRead = opening.limitRead
        transfer.limitWrite = opening.limitWrite
        do throws(HoldfastError) {
            return .success(try context.openRepository(transfer, at: opening.place))
        } catch {
            return .failure(error)
        }
    }

    func options(
        for source: ConfiguredSource, in repository: Repository
    ) throws(HoldfastError) -> BackupOptions {
        var options = BackupOptions(
            source: source.name, host: verb.identity.host ?? Host.name, toolVersion: ToolVersion.current)
        options.compression = try BackupVerb.compression(of: repository, unless: verb.compression ?? source.compression)
        options.tags = source.tags.merging(verb.identity.tagsByKey) { $1 }
        options.facts = source.facts
        options.vaultOpener = context.vaultOpener(source.vaultPassword)
        options.opensWith = source.opensWith.map(\.description)
        for pattern in source.excludes { try options.exclusions.add(pattern: pattern.text) }
        options.exclusions.excludesCaches = source.excludeCaches
        try verb.addExclusions(to: &options)
        options.oneFileSystem = source.oneFileSystem || verb.oneFileSystem
        options.reread = verb.reread
        options.dryRun = verb.dryRun
        options.unpack = source.unpack
        options.minimumSize = source.minSize ?? ByteCount(1)
        options.threads = verb.transfer.threads ?? source.threads ?? BackupVerb.threadsByDefault
        options.readLimit = verb.transfer.limitRead ?? source.limitRead
        return options
    }

    static func workloads(
        of source: ConfiguredSource, _ options: WorkloadOptions
    ) throws(HoldfastError) -> [any Workload] {
        switch source.origin {
        case .command(let command): return [StreamWorkload(name: command.file, .command(command.dump), options)]
        case .urls(let urls):
            var workloads: [any Workload] = []
            for url in urls {
                guard let argument = SourceArgument(argument: url.text) else {
                    throw HoldfastError(
                        .usage, "source `\(source.name)` cannot be read: \(SourceArgument.refusal(of: url.text))",
                        hint: "Correct its `url`.")
                }
                workloads.append(try argument.workload(options))
            }
            return workloads
        }
    }

    // MARK: Reports

    private func show(_ source: ConfiguredSource, _ outcome: Outcome, isAlone: Bool) throws(HoldfastError) {
        switch outcome {
        case .done(let summary):
            if !isAlone { try context.output.line("\(ShownText.name(source.name)):") }
            try BackupText.show(summary, on: context.output)
        case .failed(let error):
            // Alone, it is the run's own failure and is told as such.
            guard !isAlone else { return }
            for line in ErrorText.lines(error.with("source", source.name), verbose: context.options.verbose) {
                context.output.console.line(line)
            }
        }
    }

    private func end(_ outcomes: [(source: ConfiguredSource, outcome: Outcome)]) throws(HoldfastError) -> ExitStatus {
        var runs: [BackupsReport.Run] = []
        var (failed, partial, damaged) = (0, 0, 0)
        for (source, outcome) in outcomes {
            switch outcome {
            case .done(let summary):
                if summary.isDamaged { damaged += 1 }
                if summary.isPartial || summary.isWithoutSecret { partial += 1 }
                let report = BackupReport(summary, seconds: BackupText.seconds(summary))
                runs.append(.init(source: source.name, backup: report, error: nil))
            case .failed(let error):
                if outcomes.count == 1 { throw error }
                failed += 1
                runs.append(.init(source: source.name, backup: nil, error: ErrorReport(error)))
            }
        }
        try context.output.json(BackupsReport(runs: runs))
        if failed == outcomes.count { return .failed }
        if damaged > 0 { return .checkFailed }
        return failed + partial > 0 ? .partial : .success
    }
}
