// A restore in an incident: with --guide step by step, each with what one has to know for it; with --incident at once.

import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Workloads

struct GuidedRestore {
    private static let mostAnswer = 4096
    /// Answers that make no sense before the guide gives up.
    private static let patience = 5

    private let verb: RestoreVerb
    private let context: CommandContext

    init(_ verb: RestoreVerb, _ context: CommandContext) {
        self.verb = verb
        self.context = context
    }

    private var incident: IncidentOptions { verb.incident }
    private var output: Output { context.output }
    private var asks: Bool { incident.guide && !verb.dryRun }
    /// Whether what is there, what is lost and the plan are told.
    private var tells: Bool { incident.guide || verb.dryRun }

    /// What is to be restored, and how it came to be chosen.
    private struct Choice {
        var source: OfferedSource
        var point: OfferedPoint
        /// As evidence names it.
        var selection: String
        var wanted: String
    }

    func run() throws(HoldfastError) -> ExitStatus {
        guard !asks || Terminal.canAsk else {
            throw HoldfastError(
                .usage, "--guide asks questions, and there is no terminal to ask on",
                hint: "Run it on a terminal; add --dry-run to be told the same without questions; or give SNAPSHOT, "
                    + "--to and --incident.")
        }
        let selector = try verb.snapshot.map { (text) throws(HoldfastError) in try SnapshotSelector(text) }
        let filter = try verb.filter()
        if let to = verb.to { _ = try verb.options(of: to) }
        let repository = try context.openRepository(verb.transfer)
        try repository.keyring.requireReadingData()
        try verb.expected.verify(in: repository)
        // Told before anybody has answered anything.
        if !verb.dryRun {
            try incident.place.prepare(repository)
            if incident.drill {
                try incident.drillPlace.prepare(repository)
                try Drill.requireScratch(incident.scratch)
            }
        }
        let now = context.clock.now()
        let overview = try context.withProgress { (progress) throws(HoldfastError) in
            progress.enter(.planning)
            return try RecoveryOverview(repository, failedAt: incident.failedAt?.instant(now: now) ?? now)
        }
        try tell(GuideText.sources(overview, isFailureGiven: incident.failedAt != nil))
        guard let choice = try choose(selector, overview, repository) else {
            try output.line("")
            try output.line("Name one of them, such as latest:SOURCE, to be told its points and its plan.")
            try finishDryRun(RestoreGuideReport(overview))
            return overview.damaged.isEmpty ? .success : .failed
        }
        try tell(GuideText.choice(choice.source, choice.point, overview.failedAt))
        var to = verb.to
        if to == nil { to = try askForTarget(choice) }
        let target = try to.map { (to) throws(HoldfastError) in try self.target(to, choice.point.snapshot) }
        let attempts = target.map {
            IncidentAttempts(
                of: choice.point.snapshot, to: $0, host: Host.name, overview, repository,
                stateDirectory: stateDirectory)
        }
        if tells {
            let (plan, report) = try plan(choice, target, filter, attempts, repository)
            if verb.dryRun {
                var whole = RestoreGuideReport(overview)
                whole.choice = report
                try finishDryRun(whole)
                return plan.missing == 0 ? .success : .failed
            }
            guard try ask("Restore now? Type yes: ") == "yes" else {
                try output.line("declined: nothing was written")
                return .failed
            }
        }
        guard let target, let attempts else {
            throw HoldfastError(.usage, "no target is named", hint: "Give --to URL.")
        }
        var (status, report) = try restore(choice, to: target, filter, attempts, overview, repository)
        if incident.drill, status != .failed {
            let after = try drillAfter(choice, repository, &report)
            // 4 for what failed, 3 for evidence that was not left, 0.
            if after.rawValue > status.rawValue { status = after }
        }
        if let report { try output.json(report) }
        if incident.drill { try context.cancellation.check() }
        return status
    }

    /// The drill after a restore. Whatever becomes of it, what the restore came to is told.
    private func drillAfter(
        _ choice: Choice, _ repository: Repository, _ report: inout RestoreReport?
    ) throws(HoldfastError) -> ExitStatus {
        let outcome: DrillOutcome
        do throws(HoldfastError) {
            outcome = try drill(choice, repository)
        } catch {
            output.warning("the drill after the restore left no evidence: \(ShownText.line(error.description))")
            if !error.hint.isEmpty { output.console.line("hint: \(ShownText.line(error.hint))") }
            return .partial
        }
        report?.drill = EvidenceReport(outcome.evidence?.object, outcome.record, signer: "")
        try DrillText.show(outcome, incident.evidence.map { $0 + "-drill" }, on: output)
        return outcome.record.verdict == .passed ? .success : .checkFailed
    }

    private func tell(_ lines: [String]) throws(HoldfastError) {
        guard tells else { return }
        for line in lines { try output.line(line) }
    }

    private func finishDryRun(_ report: RestoreGuideReport) throws(HoldfastError) {
        try output.line("dry run: nothing was written")
        try output.json(report)
    }

    private var stateDirectory: String? { context.options.stateDirectory(context.variables, isRoot: geteuid() == 0) }

    // MARK: Choosing

    /// Nil when nothing says which source is meant, and nobody is to be asked.
    private func choose(
        _ selector: SnapshotSelector?, _ overview: RecoveryOverview, _ repository: Repository
    ) throws(HoldfastError) -> Choice? {
        if let selector {
            let snapshot = try overview.find(selector, in: repository)
            _ = try snapshot.readableRecord()
            guard let (source, point) = overview.point(snapshot.id) else { return nil }
            try tell(GuideText.points(source))
            let isLatest = selector == .latest || selector == .latestOf(source: source.name)
            return Choice(
                source: source, point: point, selection: isLatest ? "latest" : "given", wanted: verb.snapshot ?? "")
        }
        var source = overview.sources[0]
        if overview.sources.count > 1 {
            guard asks else { return nil }
            source = try askAgain("\nWhich source, by its number or name? ") { answer in
                Self.pick(answer, overview.sources) ?? overview.source(named: answer)
            }
        }
        try tell(GuideText.points(source))
        guard asks else { return Choice(source: source, point: source.best, selection: "latest", wanted: "") }
        let best = source.points.firstIndex { $0.snapshot.id == source.best.snapshot.id } ?? 0
        let question = "\nBack to which, by number, snapshot or time? Enter for \(best + 1): "
        return try askAgain(question) { answer in
            if answer.isEmpty {
                return Choice(source: source, point: source.best, selection: "latest", wanted: "")
            }
            if let point = Self.pick(answer, source.points) {
                return Choice(source: source, point: point, selection: "given", wanted: "\(point.snapshot.id)")
            }
            if let instant = Timestamp(text: answer) {
                // Lists show whole seconds: what is typed off them means all of that second.
                let end = answer.contains(".") ? instant : instant + .nanoseconds(999_999_999)
                return source.newest(asOf: end).map {
                    Choice(source: source, point: $0, selection: "time", wanted: answer)
                }
            }
            let named = source.points.filter { "\($0.snapshot.id)".hasPrefix(answer.lowercased()) }
            guard answer.utf8.count >= SnapshotSelector.shortestPrefix, named.count == 1 else { return nil }
            return Choice(source: source, point: named[0], selection: "given", wanted: answer)
        }
    }

    private static func pick<T>(_ answer: String, _ list: [T]) -> T? {
        guard let number = Int(answer), list.indices.contains(number - 1) else { return nil }
        return list[number - 1]
    }

    private func askForTarget(_ choice: Choice) throws(HoldfastError) -> TargetArgument? {
        guard asks else { return nil }
        let form: String
        switch choice.point.record.workload {
        case SQLiteWorkload.kind: form = "sqlite:/PATH/TO/NEW.db"
        case PostgresWorkload.kind: form = "pgdata:/PATH/TO/EMPTY"
        case DumpWorkload.kind: form = "pgdump:postgres://HOST/NAME"
        default: form = "dir:/PATH"
        }
        return try askAgain("\nRestore into what, such as \(form)? ") { TargetArgument(argument: $0) }
    }

    /// Asks until the answer makes sense.
    private func askAgain<T>(_ question: String, _ meaning: (String) -> T?) throws(HoldfastError) -> T {
        for _ in 0..<Self.patience {
            let answer = try ask(question)
            if let meant = meaning(answer) { return meant }
            output.console.line("holdfast: `\(ShownText.line(answer))` is none of what was asked for")
        }
        throw HoldfastError(
            .usage, "no answer of \(Self.patience) made sense", hint: "Look at the list, and run the command again.")
    }

    private func ask(_ question: String) throws(HoldfastError) -> String {
        try output.flush()
        guard
            let answer = try Terminal.askOpenly(
                question, limit: Self.mostAnswer, cancellation: context.cancellation)
        else {
            throw HoldfastError(.usage, "the terminal is gone", hint: "Run the command again on a terminal.")
        }
        return String(answer.drop { $0 == " " }.reversed().drop { $0 == " " || $0 == "\r" }.reversed())
    }

    private func target(_ to: TargetArgument, _ snapshot: Snapshot) throws(HoldfastError) -> any Workload {
        var options = try verb.options(of: to)
        options.command = try verb.takers(for: to, of: snapshot, context)
        return to.workload(options)
    }

    // MARK: The plan

    private func plan(
        _ choice: Choice, _ target: (any Workload)?, _ filter: PathFilter, _ attempts: IncidentAttempts?,
        _ repository: Repository
    ) throws(HoldfastError) -> (RestorePlan, RestoreGuideReport.Choice) {
        let snapshot = choice.point.snapshot
        let plan = try context.withProgress { (progress) throws(HoldfastError) in
            progress.enter(.planning)
            let session = try RestoreSession(repository, takesLease: false) { (_) throws(HoldfastError) in snapshot }
            defer { session.close() }
            guard let target else { return try session.plan(filter: filter) }
            return try session.plan(to: target, filter: filter)
        }
        let expectation = RestoreExpectation(
            choice.source, choice.point.record, plan, target: target, store: repository.store.location)
        for line in GuideText.expectation(expectation, choice.source) { try output.line(line) }
        for line in GuideText.plan(plan, target, attempts, threads: verb.threads) { try output.line(line) }
        if incident.drill {
            try output.line("drilled   then, in scratch space, with a record of its own")
        }
        try output.line("evidence  \(evidenceLine(repository))")
        return (
            plan,
            RestoreGuideReport.Choice(
                source: choice.source.name, point: .init(choice.point), target: target?.identity.url,
                expected: .init(expectation),
                plan: RestorePlanReport(plan, expected: plan.expectedTime(threads: verb.threads)?.inSeconds),
                brokenAttempts: attempts?.broken.count ?? 0)
        )
    }

    private func evidenceLine(_ repository: Repository) -> String {
        if let file = incident.evidence { return "goes to the file \(ShownText.name(file)), to be imported later" }
        return repository.keyring.mayAttest
            ? "goes to the repository, signed by this key"
            : "this key may not sign it: add --evidence FILE"
    }

    // MARK: The restore

    private func restore(
        _ choice: Choice, to target: any Workload, _ filter: PathFilter, _ attempts: IncidentAttempts,
        _ overview: RecoveryOverview, _ repository: Repository
    ) throws(HoldfastError) -> (ExitStatus, RestoreReport?) {
        var settings = IncidentSettings(
            evidence: incident.place, operator: Operator.name, host: Host.name, toolVersion: ToolVersion.current,
            threads: verb.threads)
        settings.stateDirectory = stateDirectory
        settings.restoresOwners = !verb.noOwnership
        // The same instant that was told, however long somebody thought about it.
        settings.failedAt = incident.failedAt == nil ? nil : overview.failedAt
        settings.reason = incident.reason
        settings.declared = incident.declared
        settings.selection = choice.selection
        settings.wanted = choice.wanted
        settings.heads = overview.heads
        let started = context.clock.uptime()
        let outcome = try context.withProgress { (progress) throws(HoldfastError) in
            try IncidentRestore(
                repository, choice.point.snapshot, to: target, filter: filter, settings, progress: progress
            ) { event in
                DrillText.show(event, on: output)
            }.run(after: attempts)
        }
        for finding in outcome.findings { RestoreVerb.show(finding, on: output) }
        let seconds = (context.clock.uptime() - started).inSeconds
        if let result = outcome.result {
            try verb.show(result, of: choice.point.snapshot.id, seconds: seconds, on: output)
        }
        try IncidentText.show(outcome, incident.evidence, on: output)
        let report = outcome.result.map { result in
            RestoreReport(
                result, outcome.findings, snapshot: choice.point.snapshot.id, seconds: seconds,
                incident: EvidenceReport(outcome.evidence?.object, outcome.record, signer: ""),
                evidenceFile: outcome.unleft?.file ?? incident.evidence)
        }
        if outcome.result?.isComplete == false { return (.failed, report) }
        if let failure = outcome.failure { throw failure }
        if outcome.record.verdict != .passed { return (.checkFailed, report) }
        return (outcome.unleft == nil ? .success : .partial, report)
    }

    /// The server that the restore must not start: over a copy of the same snapshot.
    private func drill(_ choice: Choice, _ repository: Repository) throws(HoldfastError) -> DrillOutcome {
        let name = choice.source.name
        let system = DrillSystem(
            name: DrillPlans.systemName(name, [name]), source: name, point: .snapshot(choice.point.snapshot.id))
        var settings = DrillSettings(
            evidence: incident.drillPlace,
            operator: Operator.name, host: Host.name, toolVersion: ToolVersion.current, threads: verb.threads)
        settings.scratch = incident.scratch
        settings.witness = DrillWitness(context)
        settings.hidden = context.hiddenFromCopies()
        settings.stateDirectory = stateDirectory
        return try context.withProgress { (progress) throws(HoldfastError) in
            try Drill(
                DrillPlan(name: "", systems: [system]), repository, settings, progress: progress,
                runner: context.runner
            ) { event in
                DrillText.show(event, on: output)
            }.run()
        }
    }
}
