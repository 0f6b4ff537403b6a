// holdfast rotate: new values for secrets that are due.

import ArgumentParser
import Primitives
import Repository
import Rotation
import SecretVaults
import State

struct RotateVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rotate",
        abstract: "Give secrets new values by the policies of the configuration.",
        discussion: """
            Without names all policies are looked at. What is not due is left alone; what a run before this one left \
            half done goes on from where it was. With --now a secret is rotated whether it is due or not, and what \
            waits for an operator is tried again.

            With --emergency the old value counts as known to somebody: there is no grace, and no way back to it.

            Examples:

              holdfast rotate

              holdfast rotate app/token --now --dry-run

              holdfast rotate tokens --emergency --reason INC-204
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("Policies, or secrets of policies.", valueName: "name"))
    var names: [String] = []

    @Flag(name: .long, help: "Rotate what is named though it is not due.")
    var now = false

    @Flag(name: .long, help: "The value is known to somebody: no grace, and no way back. Needs --reason.")
    var emergency = false

    @Flag(name: .long, help: "Say what would be done, and do nothing.")
    var dryRun = false

    func validate() throws {
        if now || emergency, names.isEmpty {
            throw ValidationError("--now and --emergency need the names of policies or secrets.")
        }
        if emergency, (audit.reason ?? "").isEmpty {
            throw ValidationError("--emergency needs --reason, which goes into the audit log.")
        }
        if Set(names).count < names.count { throw ValidationError("Each name can be given once.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var setting = try RotationSetting(names, context, for: audit.use)
            let journal: SQLiteRunStore?
            if dryRun { journal = try RotationSetting.journal(context) } else { journal = try context.openRunStore() }
            try setting.look(journal)
            let now = context.clock.now()
            var runs: [RotateReport.Run] = []
            var errors: [HoldfastError] = []
            for group in setting.groups {
                let planned = group.planner.plan(group.subjects, at: now)
                if dryRun {
                    runs += planned.map { dry($0, group, setting) }
                    continue
                }
                guard let journal else { preconditionFailure("a run has its journal") }
                let (done, failures) = try rotate(planned, group, setting, journal)
                runs += done
                errors += failures
            }
            if let journal, !dryRun { try tell(&setting, journal, context) }
            return try end(runs, errors, context)
        }
    }

    /// Alerts of what is due soon, as it stands after the run.
    private func tell(
        _ setting: inout RotationSetting, _ journal: SQLiteRunStore, _ context: CommandContext
    ) throws(HoldfastError) {
        try setting.look(journal)
        let now = context.clock.now()
        var planned: [(planned: PlannedRotation, policy: RotationPolicy)] = []
        for group in setting.groups {
            for one in group.planner.plan(group.subjects, at: now) {
                planned.append((one, group.policies[one.subject.policy]))
            }
        }
        try RotationAlerts.tell(planned, isAll: names.isEmpty, in: journal, at: now)
    }

    /// Whether something is done about a secret now.
    private func isWanted(_ planned: PlannedRotation) -> Bool { now || emergency || planned.verdict.isNow }

    // MARK: Dry run

    private func dry(
        _ planned: PlannedRotation, _ group: RotationGroup, _ setting: RotationSetting
    ) -> RotateReport.Run {
        var run = Self.run(planned, group)
        guard isWanted(planned) else { return run }
        run.outcome = "planned"
        if let open = planned.subject.open {
            run.effects = ["go on with rotation \(open.id) from the state \(open.state.rawValue)"]
            return run
        }
        let target = group.target(planned.subject, setting.programs, setting.context)
        run.effects =
            RotationEffects(
                group.policies[planned.subject.policy],
                SecretName(validated: Array(planned.subject.secret.name.utf8)), current: nil, target,
                group.vault.capabilities, emergency: emergency
            ).lines
        return run
    }

    private static func run(_ planned: PlannedRotation, _ group: RotationGroup) -> RotateReport.Run {
        RotateReport.Run(
            vault: "vault:\(planned.subject.secret.vault)", secret: planned.subject.secret.name,
            policy: group.policies[planned.subject.policy].name, outcome: planned.verdict.word,
            next: planned.verdict.next.map { "\($0)" },
            rotation: planned.subject.open.map { RotationReport($0) })
    }

    // MARK: Rotating

    private func rotate(
        _ planned: [PlannedRotation], _ group: RotationGroup, _ setting: RotationSetting, _ journal: SQLiteRunStore
    ) throws(HoldfastError) -> (runs: [RotateReport.Run], errors: [HoldfastError]) {
        let wanted = planned.filter(isWanted)
        var runs = planned.filter { !isWanted($0) }.map { planned -> RotateReport.Run in Self.run(planned, group) }
        var errors: [HoldfastError] = []
        // What waits for an operator is told of each time.
        for index in runs.indices where runs[index].outcome == "parked" {
            let text = runs[index].rotation?.failure?.message ?? "see `holdfast secrets history`"
            let error = HoldfastError(
                .rotationParked, "the rotation of \(runs[index].secret) waits for an operator: \(text)",
                hint: "Put that right and run `holdfast rotate \(runs[index].secret) --now`, or give it up with "
                    + "`holdfast secrets rollback`.")
            runs[index].error = ErrorReport(error)
            errors.append(error)
        }
        guard !wanted.isEmpty else { return (runs, errors) }
        let (engine, keeper) = try setting.engine(group, journal)
        var tasks: [RotationTask] = []
        for planned in wanted { tasks.append(try task(planned, group, setting)) }
        var outcomes = try engine.run(tasks)
        if emergency {
            // What was under way has ended: its value may be the one that is known to somebody.
            let again = outcomes.indices.filter { outcomes[$0].wasUnderWay && outcomes[$0].record.state == .done }
            var more: [RotationTask] = []
            for index in again { more.append(try task(wanted[index], group, setting)) }
            for (index, outcome) in zip(again, try engine.run(more)) { outcomes[index] = outcome }
        }
        try RotationEvidence(context: setting.context, journal: journal, planner: group.planner)
            .sign(vault: group.vault.location, in: keeper)
        for (planned, outcome) in zip(wanted, outcomes) {
            var run = Self.run(planned, group)
            run.rotation = RotationReport(outcome.record)
            run.error = outcome.error.map { ErrorReport($0) }
            errors += [outcome.error].compactMap { $0 }
            (run.outcome, run.next) = Self.end(outcome, planned, group)
            runs.append(run)
        }
        return (runs, errors)
    }

    private func task(
        _ planned: PlannedRotation, _ group: RotationGroup, _ setting: RotationSetting
    ) throws(HoldfastError) -> RotationTask {
        let policy = group.policies[planned.subject.policy]
        let trigger: RotationTrigger = emergency ? .compromise : now ? .manual : .schedule
        let record = RotationRecord(
            id: RotationID(try setting.context.environment.entropy.bytes16()), secret: planned.subject.secret,
            policy: policy.name, strategy: policy.strategy.rawValue, trigger: trigger, reason: audit.reason,
            actor: Actor.name, began: setting.context.clock.now())
        var task = RotationTask(
            record: record, policy: policy, target: group.target(planned.subject, setting.programs, setting.context))
        task.isOrdered = now || emergency
        return task
    }

    private static func end(
        _ outcome: RotationOutcome, _ planned: PlannedRotation, _ group: RotationGroup
    ) -> (outcome: String, next: String?) {
        let record = outcome.record
        func text(_ nanoseconds: Int64?) -> String? { nanoseconds.map { "\(Timestamp(nanoseconds: $0))" } }
        if record.isParked { return ("parked", nil) }
        if outcome.error != nil { return ("failed", text(record.nextAttempt)) }
        if record.state == .grace { return ("grace", text(record.retireAt)) }
        var subject = planned.subject
        subject.succeeded = record.promoted.map { Timestamp(nanoseconds: $0) }
        subject.expires = nil
        return ("rotated", group.planner.due(subject).map { "\($0)" })
    }

    // MARK: Report

    private func end(
        _ runs: [RotateReport.Run], _ errors: [HoldfastError], _ context: CommandContext
    ) throws(HoldfastError) -> ExitStatus {
        for run in runs {
            try context.output.line(Self.line(run))
            for effect in run.effects ?? [] { try context.output.line("  " + ShownText.line(effect)) }
        }
        if runs.count == 1, let error = errors.first { throw error }
        for error in errors {
            for line in ErrorText.lines(error, verbose: context.options.verbose) { context.output.console.line(line) }
        }
        try context.output.json(RotateReport(dryRun: dryRun, runs: runs))
        if errors.isEmpty { return .success }
        return errors.count == runs.count ? .failed : .partial
    }

    private static func line(_ run: RotateReport.Run) -> String {
        let name = ShownText.name(run.secret)
        let version = run.rotation?.to.map { "version \(ShownText.name($0))" } ?? "the new version"
        return switch run.outcome {
        case "rotated": "\(name): \(version) is current, due next \(run.next ?? "when its policy says so")"
        case "grace": "\(name): \(version) is current, the old one works until \(run.next ?? "it is retired")"
        case "not-due": "\(name): not due before \(run.next ?? "its policy says so")"
        case "waiting": "\(name): due, and waits for its window until \(run.next ?? "it opens")"
        case "later": "\(name): goes on at \(run.next ?? "a later time")"
        case "planned": "\(name): would be rotated by the policy \(run.policy)"
        default: "\(name): \(run.outcome)"
        }
    }
}
