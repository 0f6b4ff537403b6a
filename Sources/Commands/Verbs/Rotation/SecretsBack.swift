// holdfast secrets rollback and reconcile: the way back, and whether vault and target are together.

import ArgumentParser
import Primitives
import Repository
import Rotation
import SecretVaults
import State

struct SecretsRollback: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rollback",
        abstract: "Go back to the value of before, or give up a rotation.",
        discussion: """
            A rotation that is under way goes back: before its promotion what was staged is taken away, after it the \
            old value becomes current again as a new version. One that has ended is followed by another rotation, \
            which makes the value of the version before current, or that of --to-version; a target gets it first. A \
            value that an emergency gave up is never made current again.

            Example:

              holdfast secrets rollback app/token --reason INC-204
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("A secret of a policy.", valueName: "secret"))
    var secret: String

    @Option(name: .long, help: ArgumentHelp("The version whose value becomes current.", valueName: "id"))
    var toVersion: String?

    @Flag(name: .long, help: "Say what would be done, and do nothing.")
    var dryRun = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var setting = try RotationSetting([secret], context, for: audit.use)
            let journal = try context.existingRunStore()
            try setting.look(journal)
            guard let group = setting.groups.first, setting.groups.count == 1, group.subjects.count == 1,
                let subject = group.subjects.first
            else {
                throw HoldfastError(
                    .usage, "`\(secret)` is more than one secret", hint: "Name one secret of a policy.")
            }
            var task = RotationTask(
                record: RotationRecord(
                    id: RotationID(try context.environment.entropy.bytes16()), secret: subject.secret,
                    policy: group.policies[subject.policy].name,
                    strategy: group.policies[subject.policy].strategy.rawValue, trigger: .rollback,
                    reason: audit.reason, actor: Actor.name, began: context.clock.now()),
                policy: group.policies[subject.policy], target: group.target(subject, setting.programs, setting.context)
            )
            task.isOrdered = true
            let (engine, keeper) = try setting.engine(group, journal)
            let plan: String
            if let open = subject.open {
                guard toVersion == nil else {
                    throw HoldfastError(
                        .usage, "a rotation of \(secret) is under way, and goes back to where it began",
                        hint: "Leave --to-version out, then run this again with it.")
                }
                task.goesBack = true
                plan = "would give up rotation \(open.id), which is in the state \(open.state.rawValue)"
            } else {
                let version = try version(subject, journal, group)
                plan = "would make the value of version \(version) current, as a new version"
                if !dryRun { task.candidate = try engine.valueToGoBackTo(version, of: subject.secret) }
            }
            if dryRun {
                try context.output.line("\(ShownText.name(secret)): \(ShownText.line(plan))")
                try context.output.json(
                    RotateReport(
                        dryRun: true,
                        runs: [
                            RotateReport.Run(
                                vault: "vault:\(subject.secret.vault)", secret: secret, policy: task.policy.name,
                                outcome: "planned", effects: [plan])
                        ]))
                return .success
            }
            guard let outcome = try engine.run([task]).first else { preconditionFailure("one task, one outcome") }
            if let error = outcome.error { throw error }
            try RotationEvidence(context: context, journal: journal, planner: group.planner)
                .sign(vault: group.vault.location, in: keeper)
            let text = outcome.record.notes["rolledBack"] ?? "version \(outcome.record.to ?? "-") is current"
            try context.output.line("\(ShownText.name(secret)): \(ShownText.line(text))")
            try context.output.json(RotationsReport(rotations: [RotationReport(outcome.record)]))
            return .success
        }
    }

    private func version(
        _ subject: RotationSubject, _ journal: SQLiteRunStore, _ group: RotationGroup
    ) throws(HoldfastError) -> SecretVersionID {
        if let toVersion { return try SecretVersionID(toVersion) }
        guard let previous = try journal.standings()[subject.secret]?.previousVersion else {
            throw HoldfastError(
                .usage, "no rotation of \(secret) is known that could be gone back from",
                hint: "Name a version with --to-version; `holdfast vault show` lists them.")
        }
        return try SecretVersionID(previous)
    }
}

struct SecretsReconcile: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reconcile",
        abstract: "Say whether vault, target and journal are together; change nothing.",
        discussion: """
            After a restore of a vault, of a database or of the state: the target is asked for the current value, for \
            the one before, and for the one of a rotation that is under way. The exit status is 4 when something is \
            apart.

            Example:

              holdfast secrets reconcile
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var audit: AuditOptions

    @Argument(help: ArgumentHelp("Policies, or secrets of policies.", valueName: "name"))
    var names: [String] = []

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let setting = try RotationSetting(names, context, for: audit.use)
            let journal = try context.openRunStore()
            var reports: [ReconcileReport.Secret] = []
            var (isApart, hasFailed) = (false, false)
            for group in setting.groups {
                let engine = try setting.engine(group, journal).engine
                let asked = group.subjects.map { ($0.secret, group.target($0, setting.programs, setting.context)) }
                for (subject, result) in zip(group.subjects, try engine.reconcile(asked)) {
                    let report = Self.report(subject.secret, result)
                    if case .success(let found) = result {
                        isApart = isApart || found.isDrift
                    } else {
                        hasFailed = true
                    }
                    reports.append(report)
                    try context.output.line(
                        "\(ShownText.name(report.secret)): \(report.verdict ?? report.error?.message ?? "")")
                    if let advice = report.advice { try context.output.line("  " + ShownText.line(advice)) }
                }
            }
            try context.output.json(ReconcileReport(secrets: reports))
            if isApart { return .checkFailed }
            return hasFailed ? .partial : .success
        }
    }

    private static func report(
        _ secret: RotatedSecret, _ result: Result<SecretReconciliation, HoldfastError>
    ) -> ReconcileReport.Secret {
        switch result {
        case .success(let found):
            ReconcileReport.Secret(
                vault: "vault:\(secret.vault)", secret: secret.name, verdict: found.verdict.rawValue,
                current: found.current, advice: found.advice, answers: found.answers, error: nil)
        case .failure(let error):
            ReconcileReport.Secret(
                vault: "vault:\(secret.vault)", secret: secret.name, verdict: nil, current: nil, advice: nil,
                answers: [:], error: ErrorReport(error))
        }
    }
}
