// holdfast restore: what a snapshot holds, back into a directory, a database or a program.

import ArgumentParser
import Configuring
import Primitives
import Recovery
import Repository
import Workloads

struct RestoreVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore",
        abstract: "Restore a snapshot into a directory, a database or a program.",
        discussion: """
            SNAPSHOT is the beginning of an id, latest, or latest:SOURCE. A snapshot of one directory puts its \
            contents straight into the target; one of several puts each under its own name; a stream becomes a file \
            of its name.

            Where the target holds something already, it is compared piece by piece and only what differs is \
            fetched, so a restore that was broken off goes on when it is run again. Files that are not in the \
            snapshot stay. Nothing is written outside of the target. Every chunk is checked: what is damaged is \
            named with its bytes, which read as zeros, everything else is restored, and the exit status is 1.

            A SQLite database is restored beside its place, looked through, and put into place in one step; a target \
            that is in use is refused. Of a snapshot of several the one is taken that is called as the target.

            command: gives a stream back to a program on its standard input: that of the configured source behind \
            the colon, or that of the snapshot's own source, or the one after --. It must read all and exit 0; when a \
            piece is damaged it is killed before it sees an end.

            Dumps of PostgreSQL databases go through pg_restore into a server: all with the roles that they need, or \
            with a database at the end of the URL that one. Errors of pg_restore and rows that are missing are told, \
            and the exit status is then 4.

            In an incident --guide tells what can be recovered, what is lost and how long it takes, shows the plan, \
            asks, restores, checks the result like a drill, and leaves signed evidence. --incident does the same \
            without questions. Both end with status 4 when a check failed, and with 3 when the restore is good and \
            its evidence could not be left.

            Examples:

              holdfast restore --guide

              holdfast restore latest:app --to sqlite:/srv/app/app.db --incident --failed-at 25m --reason 'ticket 4711'

              holdfast restore latest:shop --to command:

              holdfast restore latest:shop --to command: -- pg_restore --clean --dbname shop

              holdfast restore latest:app --to sqlite:/srv/app/app.db

              holdfast restore latest --to dir:/srv/restored

              holdfast restore latest:shop --to pgdump:postgres://localhost/shop --table public.orders

              holdfast restore latest:web --to dir:/tmp/look --include '/conf/*.yaml' --dry-run
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var expected: ExpectedHeads
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Argument(help: ArgumentHelp("The snapshot; with --guide it may be left out.", valueName: "snapshot"))
    var snapshot: String?

    @Argument(
        parsing: .postTerminator,
        help: ArgumentHelp("With --to command:, after -- the program and its arguments.", valueName: "command"))
    var command: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where to: \(WorkloadScheme.targetForms). The parent of PATH must exist.", valueName: "url"),
        transform: { try TargetArgument(typed: $0) })
    var to: TargetArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Restore only what matches the pattern, with all below it; may be given again.",
            discussion: "As in .gitignore: * ? [a-z] **, a leading / anchors at the root of the snapshot.",
            valueName: "pattern"))
    var include: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp("Leave out what matches the pattern; may be given again.", valueName: "pattern"))
    var exclude: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "With pgdata:, where a tablespace goes; may be given again.",
            discussion: "OLD is its directory at the source. Without it a tablespace goes back to where it was.",
            valueName: "old=new"))
    var tablespace: [String] = []

    @OptionGroup(title: "PostgreSQL Dump Options") var dump: DumpRestoreOptions

    @Flag(name: .long, help: "Say what would be fetched and how long it would take, and write nothing.")
    var dryRun = false

    @Flag(name: .long, help: "Let all that is restored belong to the caller, also as root.")
    var noOwnership = false

    @OptionGroup(title: "Vault Options") var secrets: SecretOptions

    @OptionGroup(title: "Incident Options") var incident: IncidentOptions

    func validate() throws {
        if incident.guide {
            if global.json, !dryRun {
                throw ValidationError("--guide is for people. Use --incident with --json, or add --dry-run.")
            }
            return
        }
        if snapshot == nil { throw ValidationError("Missing expected argument '<snapshot>'") }
        if let to, !incident.isIncident, incident.reason != nil, !(to.workload is VaultWorkload) {
            throw ValidationError("--reason goes with --to vault:…, --guide or --incident.")
        }
        if to == nil { throw ValidationError("Missing expected argument '--to <url>'") }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            if incident.isIncident { return try GuidedRestore(self, context).run() }
            guard let snapshot, let to else {
                throw HoldfastError(.usage, "no snapshot or no target is named", hint: "Give SNAPSHOT and --to URL.")
            }
            return try restore(try SnapshotSelector(snapshot), to, context)
        }
    }

    private func restore(
        _ selector: SnapshotSelector, _ to: TargetArgument, _ context: CommandContext
    ) throws(HoldfastError) -> ExitStatus {
        var workload = try options(of: to)
        let filter = try filter()
        let repository = try context.openRepository(transfer)
        try expected.verify(in: repository)
        let session = try RestoreSession(repository, takesLease: !dryRun) {
            (repository) throws(HoldfastError) in try repository.snapshot(selector).snapshot
        }
        defer { session.close() }
        workload.vaultOpener = context.vaultOpener(for: VaultUse(reason: incident.reason))
        workload.command = try takers(for: to, of: session.snapshot, context)
        if dryRun {
            let plan = try context.withProgress { (progress) throws(HoldfastError) in
                progress.enter(.planning)
                return try session.plan(to: to.workload(workload), filter: filter)
            }
            try report(plan, threads: threads, to: context.output)
            return plan.missing == 0 ? .success : .failed
        }
        let started = context.clock.uptime()
        let (result, findings) = try carryOut(session, to.workload(workload), filter, context)
        for finding in findings { Self.show(finding, on: context.output) }
        let seconds = (context.clock.uptime() - started).inSeconds
        try show(result, of: session.snapshot.id, seconds: seconds, on: context.output)
        try context.output.json(RestoreReport(result, findings, snapshot: session.snapshot.id, seconds: seconds))
        guard result.isComplete else { return .failed }
        return findings.contains { $0.severity == .error } ? .checkFailed : .success
    }

    /// Tells also what had come of a restore that fails or is interrupted.
    private func carryOut(
        _ session: RestoreSession, _ workload: any Workload, _ filter: PathFilter, _ context: CommandContext
    ) throws(HoldfastError) -> (RestoreResult, [WorkloadFinding]) {
        var early: (result: RestoreResult, findings: [WorkloadFinding])?
        do throws(HoldfastError) {
            return try context.withProgress { (progress) throws(HoldfastError) in
                progress.enter(.planning)
                let options = Restorer.writerOptions(ownership: !noOwnership)
                return try session.restore(
                    to: workload, filter: filter, options: options, threads: threads, progress: progress,
                    unfinished: { early = ($0, $1) })
            }
        } catch {
            if let early {
                for finding in early.findings { Self.show(finding, on: context.output) }
                tell(early.result, on: context.output)
                context.output.keep(unfinished: early.result, early.findings)
            }
            throw error
        }
    }

    var threads: Int { min(Restorer.maximumThreads, transfer.threads ?? Host.processors) }

    func filter() throws(HoldfastError) -> PathFilter {
        try PathFilter(include: include.map { Array($0.utf8) }, exclude: exclude.map { Array($0.utf8) })
    }

    /// What the options say of a target, its command apart.
    func options(of to: TargetArgument) throws(HoldfastError) -> WorkloadOptions {
        var workload = WorkloadOptions()
        workload.tablespaces = try tablespaces(of: to)
        try dump.apply(to: &workload, target: to.workload)
        workload.restoresOwners = !noOwnership
        try secrets.apply(to: &workload, target: to.workload)
        return workload
    }

    /// Directories of tablespaces by those at the source.
    private func tablespaces(of to: TargetArgument) throws(HoldfastError) -> [String: String] {
        var places: [String: String] = [:]
        for text in tablespace {
            let parts = text.split(separator: "=", maxSplits: 1).map { String($0) }
            guard parts.count == 2, places.updateValue(Host.absolutePath(parts[1]), forKey: parts[0]) == nil else {
                throw HoldfastError(
                    .usage, "--tablespace takes OLD=NEW, once for each OLD, not \(text)",
                    hint: "`holdfast snapshots --json` lists the tablespaces of a snapshot among its facts.")
            }
        }
        guard places.isEmpty || to.workload is PgdataWorkload else {
            throw HoldfastError(.usage, "--tablespace goes with --to pgdata:DIR", hint: "Leave it out.")
        }
        return places
    }

    /// The command that takes the stream; empty when the target is none.
    func takers(
        for to: TargetArgument, of snapshot: Snapshot, _ context: CommandContext
    ) throws(HoldfastError) -> [String] {
        guard let target = to.workload as? CommandTarget else {
            guard command.isEmpty else {
                throw HoldfastError(.usage, "a command goes with --to command:", hint: "Leave it out.")
            }
            return []
        }
        if !command.isEmpty {
            guard target.source.isEmpty else {
                throw HoldfastError(
                    .usage, "both a source and a command are named", hint: "Write --to command: before --.")
            }
            return command
        }
        let name = target.source.isEmpty ? try snapshot.readableRecord().source : target.source
        guard let configuration = try context.configuration() else {
            throw HoldfastError(
                .usage, "there is no configuration file that says how `\(name)` is restored",
                hint: "Give the command after --, or name a file with --config or HOLDFAST_CONFIG.")
        }
        let source = try configuration.requireSource(named: name)
        guard case .command(let configured) = source.origin, let words = configured.restore else {
            throw HoldfastError(
                .usage, "\(configuration.path) says of `\(name)` no command that restores it",
                hint: "Add `restore` to its `command`, or give the command after --.")
        }
        return words
    }

    private func report(_ plan: RestorePlan, threads: Int, to output: Output) throws(HoldfastError) {
        let expected = plan.expectedTime(threads: threads)
        try output.line("snapshot  \(plan.snapshot)")
        for line in plan.lines { try output.line(line) }
        if let expected { try output.line("expected  \(RestoreTime.text(expected.inSeconds))") }
        if plan.missing > 0 { output.warning("\(plan.missing) pieces are in no pack, or their lists are damaged") }
        try output.line("dry run: nothing was written")
        try output.json(RestorePlanReport(plan, expected: expected?.inSeconds))
    }

    static func show(_ finding: WorkloadFinding, on output: Output) {
        let text = "\(finding.subject): \(ShownText.line(finding.message))"
        if finding.severity == .good { return output.remark("holdfast: note: \(text)") }
        output.warning(text)
        // What is an error is not over with the restore.
        if finding.severity == .error, !finding.hint.isEmpty { output.remark("hint: \(ShownText.line(finding.hint))") }
    }

    /// What is damaged and what failed, by name.
    func tell(_ result: RestoreResult, on output: Output) {
        for damaged in result.damaged.prefix(100) {
            let parts = damaged.parts.prefix(8).map { part in
                let pack = part.pack.map { ", pack \($0)" } ?? ""
                return "bytes \(part.range.lowerBound)-\(part.range.upperBound - 1)\(pack)"
            }
            let more = damaged.parts.count > 8 ? ["and \(damaged.parts.count - 8) more ranges"] : []
            let ranges = parts.isEmpty ? "" : " [" + (parts + more).joined(separator: "; ") + "]"
            output.warning(
                "\(ShownText.path(damaged.path)) is damaged: \(ShownText.line(damaged.error.message))\(ranges)")
        }
        for failure in result.failures.prefix(100) {
            output.warning("\(ShownText.path(failure.path)): \(ShownText.line(failure.error.message))")
        }
        for warning in result.report.warnings.prefix(100) {
            output.warning("\(ShownText.path(warning.path)): \(ShownText.line(warning.message))")
        }
        for note in result.notes { output.remark("holdfast: note: \(ShownText.line(note))") }
    }

    /// What came of a restore, in words.
    func show(
        _ result: RestoreResult, of snapshot: SnapshotID, seconds: Double, on output: Output
    ) throws(HoldfastError) {
        tell(result, on: output)
        let owners = result.report.ownersNotSet
        if owners > 0, !noOwnership { output.remark("holdfast: note: \(owners) owners were not set, only root may") }
        let others = result.others + result.hardLinks
        try output.line("snapshot  \(snapshot)")
        try output.line("files     \(result.files), directories \(result.directories), others \(others)")
        try output.line("written   \(ByteCount(result.bytesWritten))")
        try output.line("there     \(ByteCount(result.bytesAlreadyThere))")
        try output.line("fetched   \(ByteCount(result.bytesFetched))")
        try output.line("time      \(RestoreTime.text(seconds))")
        if result.damagedCount > 0 { try output.line("damaged   \(result.damagedCount) paths") }
        if result.failureCount > 0 { try output.line("failed    \(result.failureCount) paths") }
        if result.leftLiveCount > 0 { try output.line("left live \(result.leftLiveCount)") }
    }
}

extension RestorePlan {
    /// The sums, as both a dry run and the guide tell them.
    var lines: [String] {
        [
            "files     \(files), directories \(directories), others \(others)",
            "content   \(ByteCount(bytes)), of it \(ByteCount(zeroBytes)) zeros",
            "there     \(ByteCount(bytesAlreadyThere))",
            "to write  \(ByteCount(bytesToWrite))",
            "to fetch  \(ByteCount(bytesToFetch)) in \(chunks) chunks of \(packs.count) packs",
        ]
    }
}

/// A restore target as it is typed: a URL of a scheme that can be restored to.
struct TargetArgument: ExpressibleByArgument, Sendable {
    private let text: String
    let workload: any Workload

    /// - Throws: What is wrong with it, for the command line.
    init(typed argument: String) throws {
        guard let target = TargetArgument(argument: argument) else {
            let why = WorkloadScheme.refusal(of: argument) ?? "a target is \(WorkloadScheme.targetForms)"
            throw ValidationError("\(argument): \(why).")
        }
        self = target
    }

    init?(argument: String) {
        guard let workload = WorkloadScheme.workload(argument), workload.capabilities.canBeRestoredTo else {
            return nil
        }
        text = argument
        self.workload = workload
    }

    /// The workload with what the options say of it.
    func workload(_ options: WorkloadOptions) -> any Workload { WorkloadScheme.workload(text, options) ?? workload }
}

enum RestoreTime {
    /// Seconds with two decimals, and minutes where there are any.
    static func text(_ seconds: Double) -> String {
        let rounded = Double((seconds * 100).rounded()) / 100
        guard rounded >= 60 else { return "\(rounded) s" }
        let whole = Int(min(seconds, 1e15))
        return "\(whole / 60) min \(whole % 60) s"
    }
}

extension Duration {
    var inSeconds: Double { Double(components.seconds) + Double(components.attoseconds) / 1e18 }
}
