// holdfast secrets: how rotated secrets stand.

import ArgumentParser
import Primitives
import Rotation
import State

struct SecretsVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "secrets",
        abstract: "Look at secrets that are rotated, and go back.",
        discussion: """
            The policies are those below `rotations` of the configuration. docs/SECRET_ROTATION_GUIDE.md says how \
            rotations work. No value is shown by any of these.
            """,
        subcommands: [
            SecretsList.self, SecretsHistory.self, SecretsExpiring.self, SecretsRollback.self, SecretsReconcile.self,
        ])
}

/// A planned secret in a report.
extension SecretsReport.Secret {
    init(_ planned: PlannedRotation, _ group: RotationGroup, level: Duration? = nil) {
        let subject = planned.subject
        vault = "vault:\(subject.secret.vault)"
        secret = subject.secret.name
        policy = group.policies[subject.policy].name
        verdict = planned.verdict.word
        due = planned.due.map { "\($0)" }
        next = planned.verdict.next.map { "\($0)" }
        succeeded = subject.succeeded.map { "\($0)" }
        expires = subject.expires.map { "\($0)" }
        self.level = level?.lengthOfTime
        rotation = subject.open.map { RotationReport($0) }
    }
}

struct SecretsList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List rotated secrets with when they are due.",
        discussion: """
            Example:

              holdfast secrets list tokens
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("Policies, or secrets of policies.", valueName: "name"))
    var names: [String] = []

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var setting = try RotationSetting(names, context, for: VaultUse())
            try setting.look(try RotationSetting.journal(context))
            let now = context.clock.now()
            var table = Table([
                ("SECRET", .left), ("POLICY", .left), ("ROTATED", .left), ("DUE", .left), ("STANDING", .left),
            ])
            var secrets: [SecretsReport.Secret] = []
            for group in setting.groups {
                for planned in group.planner.plan(group.subjects, at: now) {
                    let secret = SecretsReport.Secret(planned, group)
                    secrets.append(secret)
                    table.add([
                        ShownText.name(secret.secret), secret.policy, secret.succeeded ?? "-", secret.due ?? "-",
                        planned.subject.open.map { RotationReport.standing($0) } ?? secret.verdict,
                    ])
                }
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(SecretsReport(secrets: secrets))
            return .success
        }
    }
}

struct SecretsExpiring: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "expiring",
        abstract: "List secrets that are due soon, soonest first.",
        discussion: """
            Soon is the longest of the policy's `alerts`, or what --within says.

            Example:

              holdfast secrets expiring --within 14d
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("Policies, or secrets of policies.", valueName: "name"))
    var names: [String] = []

    @Option(name: .long, help: ArgumentHelp("Due within this time.", valueName: "duration"))
    var within: DurationArgument?

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var setting = try RotationSetting(names, context, for: VaultUse())
            try setting.look(try RotationSetting.journal(context))
            let now = context.clock.now()
            var table = Table([("SECRET", .left), ("POLICY", .left), ("DUE", .left), ("WITHIN", .left)])
            var found: [(secret: SecretsReport.Secret, due: Timestamp)] = []
            for group in setting.groups {
                let planned = group.planner.plan(group.subjects, at: now)
                for expiring in ExpiringSecret.all(planned, group.policies, within: within?.duration, at: now) {
                    found.append(
                        (SecretsReport.Secret(expiring.planned, group, level: expiring.level), expiring.due))
                }
            }
            found.sort { ($0.due, $0.secret.secret) < ($1.due, $1.secret.secret) }
            for (secret, due) in found {
                let left = due > now ? secret.level ?? due.since(now).lengthOfTime : "over"
                table.add([ShownText.name(secret.secret), secret.policy, "\(due)", left])
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(SecretsReport(secrets: found.map(\.secret)))
            return .success
        }
    }
}

struct SecretsHistory: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List rotations, newest first.",
        discussion: """
            With the name of a secret each rotation comes with its steps.

            Example:

              holdfast secrets history app/token
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("A secret.", valueName: "secret"))
    var secret: String?

    @Option(name: .long, help: ArgumentHelp("How many at most, up to 10000.", valueName: "n"))
    var count = 50

    func validate() throws {
        guard (1...10_000).contains(count) else { throw ValidationError("--count takes 1 to 10000.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let journal = try context.existingRunStore()
            var records: [RotationRecord] = []
            if let secret {
                // The name may be in several vaults, also in such as no policy names any more.
                let vaults = Set(try journal.standings().keys.map(\.vault))
                    .union(try journal.unfinished().map(\.secret.vault))
                for vault in vaults.sorted() {
                    records += try journal.rotations(of: RotatedSecret(vault: vault, name: secret), limit: count)
                }
                guard !records.isEmpty else {
                    throw HoldfastError(
                        .usage, "no rotation of `\(secret)` is known",
                        hint: "`holdfast secrets list` shows the secrets of policies.")
                }
            } else {
                records = try journal.rotations(of: nil, limit: count)
            }
            var reports: [RotationReport] = []
            for record in records {
                let steps: [RotationStep]? = try secret == nil ? nil : journal.steps(of: record.id)
                reports.append(RotationReport(record, steps: steps))
                try show(record, steps, context.output)
            }
            try context.output.json(RotationsReport(rotations: reports))
            return .success
        }
    }

    private func show(
        _ record: RotationRecord, _ steps: [RotationStep]?, _ output: Output
    ) throws(HoldfastError) {
        let versions = "\(record.from ?? "-") -> \(record.to ?? "-")"
        try output.line(
            "\(Timestamp(nanoseconds: record.began))  \(ShownText.name(record.secret.name))  \(record.trigger.rawValue)  "
                + "\(ShownText.name(versions))  \(RotationReport.standing(record))  \(record.id)")
        for step in steps ?? [] {
            let note = step.note.isEmpty ? "" : "  " + ShownText.line(step.note)
            try output.line("  \(step.at)  \(step.state) \(step.phase.rawValue)\(note)")
        }
    }
}
