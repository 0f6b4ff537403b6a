// holdfast forget: thins out snapshots by rules or by name, and holds those that must stay.

import ArgumentParser
import Configuring
import Primitives
import Recovery
import Repository

struct Forget: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "forget",
        abstract: "Drop snapshots by rules or by name, or hold them.",
        discussion: """
            A snapshot that any rule keeps is kept. Rules go by the time at which the store took the snapshot, source \
            by source, in the time zone given. The newest snapshot of a source, and its newest whole one, are always \
            kept; partial and damaged snapshots take no place away from whole ones. A source whose snapshots and the \
            store differ by more than an hour is left alone, and the exit status is 3. Space is freed by `prune`.

            The last snapshot of a vault that holds a secret which opens a kept snapshot of a database is kept as well.

            Without rules and ids, the rules of the configuration hold for the sources that have some, of this \
            repository; other sources are left alone.

            Examples:

              holdfast forget --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --prune

              holdfast forget --keep-within 30d --source web --dry-run

              holdfast forget 01k9x2 --hold --reason 'audit of 2026'
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Rules") var rules: RetentionRules
    @OptionGroup(title: "Prune Options") var settings: PruneSettings

    @Argument(help: ArgumentHelp("Snapshots to drop, hold or release, by id prefix.", valueName: "snapshot"))
    var snapshots: [String] = []

    @Option(name: .long, help: ArgumentHelp("Only snapshots of this source.", valueName: "name"))
    var source: String?

    @Option(
        name: .customLong("tag"),
        help: ArgumentHelp("Only snapshots with this tag; given again, with all of them.", valueName: "key[=value]"))
    var tags: [TagArgument] = []

    @Option(
        name: .customLong("timezone"),
        help: ArgumentHelp(
            "Where days and months begin, as Europe/Berlin.",
            discussion: "UTC where it is not given, or what the configuration says of its rules.", valueName: "zone"))
    var zone: String?

    @Flag(name: .long, help: "Named snapshots may be the last of their source.")
    var allowLast = false

    @Flag(name: .long, help: "Protect the named snapshots from every rule.")
    var hold = false

    @Option(name: .long, help: ArgumentHelp("Why they are held.", valueName: "text"))
    var reason: String?

    @Flag(name: .long, help: "Take the holds of the named snapshots away.")
    var release = false

    @Flag(name: .long, help: "Prune afterwards.")
    var prune = false

    @Flag(name: .long, help: "Say what would be done, and write nothing.")
    var dryRun = false

    func validate() throws {
        if !snapshots.isEmpty, !rules.policy.isEmpty {
            throw ValidationError("Give rules or snapshots, not both.")
        }
        if hold || release {
            if hold && release { throw ValidationError("--hold and --release exclude each other.") }
            if snapshots.isEmpty { throw ValidationError("--hold and --release take the ids of snapshots.") }
            if prune || dryRun { throw ValidationError("--hold and --release drop nothing.") }
        }
        if hold != (reason != nil) { throw ValidationError("--hold and --reason go together.") }
        if let reason, !(1...4096).contains(reason.utf8.count) {
            throw ValidationError("--reason takes a text of at most 4096 bytes.")
        }
        if !snapshots.isEmpty, source != nil || !tags.isEmpty {
            throw ValidationError("--source and --tag go with rules, not with the ids of snapshots.")
        }
        if allowLast, snapshots.isEmpty { throw ValidationError("--allow-last goes with the ids of snapshots.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let named = try namedSnapshots(in: repository)
            if hold || release { return try changeHolds(of: named, in: repository, context.output) }
            var selection = ForgetSelection()
            selection.named = named.map(\.id)
            selection.source = source
            selection.tags = tags.map { ($0.key, $0.value) }
            selection.allowsLast = allowLast
            let forgetter = try Forgetter(repository)
            let configured = try configuredRules(context)
            let plan: ForgetPlan
            if let configured {
                plan = try forgetter.plan(bySource: configured, selection)
            } else {
                plan = try forgetter.plan(rules.policy, selection, zone: try TimeZoneRules(named: zone ?? "UTC"))
            }
            let refused = dryRun ? [] : try forgetter.run(plan)
            try show(plan, refused, configured.map { Set($0.keys) }, context.output)
            let pruned =
                prune
                ? try PruneRun(context, repository, settings.options(exclusive: false)).run(dryRun: dryRun) : nil
            for line in pruned?.lines ?? [] { try context.output.line(line) }
            for warning in pruned?.warnings ?? [] { context.output.warning(warning) }
            try context.output.json(ForgetResult(plan, refused, dryRun: dryRun, pruned))
            return plan.obstacles.isEmpty ? .success : .partial
        }
    }

    private func namedSnapshots(in repository: Repository) throws(HoldfastError) -> [Snapshot] {
        if snapshots.isEmpty { return [] }
        let listing = try repository.snapshots()
        var named: [Snapshot] = []
        for text in snapshots {
            let selector = try SnapshotSelector(text)
            guard case .prefix = selector else {
                throw HoldfastError(
                    .usage, "\(ShownText.name(text)) names whatever is newest",
                    hint: "Name snapshots to drop or hold by their ids; `holdfast snapshots` lists them.")
            }
            named.append(try repository.find(selector, in: listing))
        }
        return named
    }

    private func changeHolds(
        of snapshots: [Snapshot], in repository: Repository, _ output: Output
    ) throws(HoldfastError) -> ExitStatus {
        var holds: [HoldChange] = []
        for snapshot in snapshots {
            let id = snapshot.id.description
            if hold {
                let object = try repository.hold(snapshot, reason: reason ?? "")
                try output.line("held snapshot \(id)")
                holds.append(HoldChange(snapshot: id, hold: object.id.description, released: 0))
            } else {
                let count = try repository.release(snapshot.id)
                try output.line("released snapshot \(id) from \(count) holds")
                holds.append(HoldChange(snapshot: id, hold: nil, released: count))
            }
        }
        try output.json(HoldResult(changes: holds))
        return .success
    }

    /// The rules of the configuration by source, when the command line has none.
    ///
    /// - Throws: `.usage` when the configuration has none either.
    private func configuredRules(
        _ context: CommandContext
    ) throws(HoldfastError) -> [String: (policy: RetentionPolicy, zone: TimeZoneRules)]? {
        guard snapshots.isEmpty, rules.policy.isEmpty else { return nil }
        let place = try context.place()
        guard let configuration = try context.configuration() else {
            throw HoldfastError(
                .usage, "nothing says what to keep",
                hint: "Give a rule such as --keep-daily 7, the ids of snapshots, or a configuration with `retention`.")
        }
        var found: [String: (policy: RetentionPolicy, zone: TimeZoneRules)] = [:]
        for source in configuration.sources {
            // A place that was named by its location is taken for what the operator meant, whatever its name.
            if let name = place.configured?.name, source.repository != name { continue }
            guard self.source == nil || source.name == self.source, let retention = source.retention else { continue }
            found[source.name] = (retention.policy, try TimeZoneRules(named: zone ?? retention.zone))
        }
        guard !found.isEmpty else {
            throw HoldfastError(
                .usage, "\(configuration.path) says of no such source what to keep",
                hint: "Add `retention` to the source or to `defaults`, or give a rule such as --keep-daily 7.")
        }
        return found
    }

    private func show(
        _ plan: ForgetPlan, _ refused: [Snapshot], _ configured: Set<String>?, _ output: Output
    ) throws(HoldfastError) {
        for source in plan.sources {
            if let configured, !configured.contains(source.name) {
                output.remark("\(ShownText.name(source.name)): has no rules and is left alone")
                continue
            }
            guard
                source.obstacle != nil || !source.dropped.isEmpty || !rules.policy.isEmpty || configured != nil
            else { continue }
            try output.line("\(ShownText.name(source.name)): keeps \(source.kept.count), drops \(source.dropped.count)")
            if let obstacle = source.obstacle {
                output.warning("\(ShownText.name(source.name)) is left alone: \(ShownText.line(obstacle.message))")
            }
            for (snapshot, reasons) in source.kept {
                let reason = reasons.isEmpty ? "" : "  " + reasons.joined(separator: ", ")
                try output.line("  keep  \(snapshot.id)  \(snapshot.stored)\(reason)")
            }
            for snapshot in source.dropped { try output.line("  drop  \(snapshot.id)  \(snapshot.stored)") }
        }
        for snapshot in refused { output.warning("the store locks snapshot \(snapshot.id); it stays for now") }
        if dryRun { try output.line("dry run: nothing was written") }
    }
}

/// What is kept.
struct RetentionRules: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("Keep the newest N.", valueName: "n"))
    var keepLast = 0
    @Option(name: .long, help: ArgumentHelp("Keep the newest of each of N hours.", valueName: "n"))
    var keepHourly = 0
    @Option(name: .long, help: ArgumentHelp("Keep the newest of each of N days.", valueName: "n"))
    var keepDaily = 0
    @Option(name: .long, help: ArgumentHelp("Keep the newest of each of N weeks.", valueName: "n"))
    var keepWeekly = 0
    @Option(name: .long, help: ArgumentHelp("Keep the newest of each of N months.", valueName: "n"))
    var keepMonthly = 0
    @Option(name: .long, help: ArgumentHelp("Keep the newest of each of N years.", valueName: "n"))
    var keepYearly = 0
    @Option(
        name: .long,
        help: ArgumentHelp("Keep all that are no older than this, from the newest back.", valueName: "duration"))
    var keepWithin: DurationArgument?
    @Option(
        name: .long,
        help: ArgumentHelp("Keep all with this tag; may be given again.", valueName: "key[=value]"))
    var keepTag: [TagArgument] = []

    func validate() throws {
        for count in [keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly] where count < 0 {
            throw ValidationError("Rules take numbers of at least 0.")
        }
    }

    var policy: RetentionPolicy {
        var policy = RetentionPolicy()
        policy.last = keepLast
        policy.periods = [
            .hourly: keepHourly, .daily: keepDaily, .weekly: keepWeekly, .monthly: keepMonthly, .yearly: keepYearly,
        ]
        policy.within = keepWithin?.duration
        policy.tags = keepTag.map { ($0.key, $0.value) }
        return policy
    }
}

/// `holdfast.forget/1`.
struct ForgetResult: Encodable {
    let schema = "holdfast.forget/1"
    let dryRun: Bool
    let sources: [Source]
    /// Dropped snapshots that the store refused to delete.
    let refused: [String]
    let prune: PruneResult?

    struct Source: Encodable {
        let source: String
        let sourceTag: String
        let kept: [Kept]
        let dropped: [String]
        let obstacle: String?
    }

    struct Kept: Encodable {
        let id: String
        let reasons: [String]
    }

    private enum CodingKeys: String, CodingKey { case schema, dryRun, sources, refused, prune }

    init(_ plan: ForgetPlan, _ refused: [Snapshot], dryRun: Bool, _ prune: PruneResult?) {
        self.dryRun = dryRun
        sources = plan.sources.map { source in
            Source(
                source: source.name, sourceTag: source.tag.description,
                kept: source.kept.map { Kept(id: $0.snapshot.id.description, reasons: $0.reasons) },
                dropped: source.dropped.map(\.id.description), obstacle: source.obstacle?.message)
        }
        self.refused = refused.map(\.id.description)
        self.prune = prune
    }
}

/// One snapshot that was held or released.
struct HoldChange: Encodable {
    let snapshot: String
    let hold: String?
    let released: Int
}

/// `holdfast.hold/1`.
struct HoldResult: Encodable {
    let schema = "holdfast.hold/1"
    let changes: [HoldChange]

    private enum CodingKeys: String, CodingKey { case schema, changes }
}
