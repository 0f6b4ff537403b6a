// holdfast drill: restore into scratch space, check, measure, tear down, and leave evidence.

import ArgumentParser
import Configuring
import Glibc
import Primitives
import Recovery
import Repository

struct DrillVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drill",
        abstract: "Prove that snapshots can be recovered: restore into scratch space, check, measure, leave evidence.",
        discussion: """
            PLAN is a plan of the configuration, SOURCE a source of it or one that the repository has snapshots of; \
            sources that are named together make one drill. Without either all plans are carried out.

            Each system is restored into a private directory, a database is started there without network and without \
            a way back to its source, and checked: by its engine's own means, against what the snapshot recorded, and \
            by the checks of the plan. Every phase is timed by itself. Then all of it is removed. What a drill that \
            was killed left behind is removed by the next, which also leaves the evidence that it was interrupted.

            The record is signed and stored in the repository; with a key that may not, --evidence leaves it in a \
            file. When a check, the drill or an objective failed, the exit status is 4.

            --keep leaves the restored copies where they are, to be looked at; servers are stopped. They hold data \
            that was sealed before: --clean removes what earlier drills kept.

            --sabotage breaks the restored copy and must fail: page and missing-file harm a file, swapped-row swaps \
            two rows, old-snapshot passes an older snapshot off as the one that was asked for. The exit status is 4 \
            when the engine's checks or the comparison with the snapshot noticed that, or a server did not start for \
            it; 1 when it was not noticed, whatever else failed, or the drill failed before; 64, without a record, \
            when a copy holds nothing that could be broken so. Objectives are not judged then.

            Examples:

              holdfast drill nightly

              holdfast drill shop --point oldest --scratch /srv/scratch

              holdfast drill shop --sabotage swapped-row

              holdfast drill shop --keep

              holdfast drill --clean
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var expected: ExpectedHeads
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Argument(help: ArgumentHelp("Plans or sources.", valueName: "plan or source"))
    var names: [String] = []

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The recovery point, in place of that of the plan: \(PointChoice.form).", valueName: "point"))
    var point: PointArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Where the scratch directory is made.", discussion: "The plan's, else TMPDIR, else /var/tmp.",
            valueName: "directory"))
    var scratch: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Leave the record in a new file, to be imported later, and not in the repository.", valueName: "file"))
    var evidence: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Break the restored copy: " + SabotageKind.allCases.map(\.rawValue).joined(separator: ", ") + ".",
            valueName: "kind"))
    var sabotage: SabotageKind?

    @Flag(name: .long, help: "Leave the restored copies to be looked at; the record says where.")
    var keep = false

    @Flag(name: .long, help: "Remove what --keep left, here and where --scratch says, and do nothing else.")
    var clean = false

    @Option(name: .long, help: ArgumentHelp("Who wanted it: automatic, manual or game-day.", valueName: "occasion"))
    var occasion: OccasionArgument = OccasionArgument(occasion: .manual)

    func validate() throws {
        guard clean else { return }
        guard names.isEmpty, !keep, point == nil, evidence == nil, sabotage == nil else {
            throw ValidationError("--clean goes with --scratch alone.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            if clean { return try removeKept(context) }
            let plans = try DrillPlans(names, point?.choice, context)
            guard evidence == nil || plans.all.count == 1 else {
                throw HoldfastError(
                    .usage, "--evidence takes the record of one drill, and these are \(plans.all.count)",
                    hint: "Run them one by one.")
            }
            var outcomes: [DrillOutcome] = []
            for planned in plans.all {
                let repository = try context.openRepository(transfer, at: planned.place)
                try expected.verify(in: repository)
                let plan = try planned.plan(in: repository)
                let outcome = try drill(plan, repository, planned.directory, context)
                try DrillText.show(outcome, evidence, on: context.output)
                outcomes.append(outcome)
                if outcome.record.verdict == .interrupted { break }
            }
            try context.output.json(DrillReport(outcomes, file: evidence))
            return try status(outcomes, context)
        }
    }

    private func removeKept(_ context: CommandContext) throws(HoldfastError) -> ExitStatus {
        let outcomes = KeptScratch.removeAll(
            stateDirectory: global.stateDirectory(context.variables, isRoot: geteuid() == 0), parent: scratch,
            cancellation: context.cancellation)
        for outcome in outcomes {
            if let failure = outcome.failure {
                context.output.warning("\(ShownText.name(outcome.path)) stays: \(ShownText.line(failure.description))")
            } else {
                try context.output.line("removed   \(ShownText.name(outcome.path))")
            }
        }
        try context.cancellation.check()
        if outcomes.isEmpty { context.output.remark("holdfast: nothing was kept") }
        try context.output.json(DrillCleanReport(outcomes))
        return outcomes.contains { $0.failure != nil } ? .failed : .success
    }

    private func drill(
        _ plan: DrillPlan, _ repository: Repository, _ directory: String?, _ context: CommandContext
    ) throws(HoldfastError) -> DrillOutcome {
        var settings = DrillSettings(
            evidence: evidence.map { .file(Host.absolutePath($0)) } ?? .repository, operator: Operator.name,
            host: Host.name,
            toolVersion: ToolVersion.current, threads: min(Restorer.maximumThreads, transfer.threads ?? Host.processors)
        )
        settings.scratch = scratch ?? directory
        settings.stateDirectory = global.stateDirectory(context.variables, isRoot: geteuid() == 0)
        settings.sabotage = sabotage
        settings.hidden = context.hiddenFromCopies()
        settings.witness = DrillWitness(context)
        settings.keeps = keep
        settings.occasion = occasion.occasion
        return try context.withProgress { (progress) throws(HoldfastError) in
            try Drill(plan, repository, settings, progress: progress, runner: context.runner) { event in
                DrillText.show(event, on: context.output)
            }.run()
        }
    }

    private func status(_ outcomes: [DrillOutcome], _ context: CommandContext) throws(HoldfastError) -> ExitStatus {
        try context.cancellation.check()
        let records = outcomes.map(\.record)
        for case let result? in outcomes.map(\.sabotage) {
            switch result {
            case .noticed: continue
            case .unnoticed(let names):
                let systems = names.map { ShownText.name($0) }.joined(separator: ", ")
                context.output.warning(
                    "the copy was broken (\(sabotage?.rawValue ?? "")), and the drill did not notice: \(systems)")
            case .notBroken: context.output.warning("nothing was broken: the drill failed before")
            }
            return .failed
        }
        return records.allSatisfy { $0.verdict == .passed } ? .success : .checkFailed
    }
}

/// The user who typed a command.
enum Operator {
    /// The name, or the number of one who has none.
    static var name: String {
        guard let entry = getpwuid(getuid()) else { return "\(getuid())" }
        return String(cString: entry.pointee.pw_name)
    }
}

/// A recovery point as it is typed.
struct PointArgument: ExpressibleByArgument, Sendable {
    let choice: PointChoice

    init?(argument: String) {
        guard let choice = PointChoice(argument) else { return nil }
        self.choice = choice
    }
}

struct OccasionArgument: ExpressibleByArgument, Sendable {
    let occasion: EvidenceOccasion

    init(occasion: EvidenceOccasion) { self.occasion = occasion }

    init?(argument: String) {
        switch argument {
        case "automatic": occasion = .automatic
        case "manual": occasion = .manual
        case "game-day": occasion = .gameDay
        default: return nil
        }
    }

    var defaultValueDescription: String { "manual" }
}

extension SabotageKind: ExpressibleByArgument {}
