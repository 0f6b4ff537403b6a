// holdfast schedule lint: can the jobs do what is asked of them.

import ArgumentParser
import Configuring
import Primitives
import Repository
import Scheduling

struct ScheduleLintVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lint",
        abstract: "Check that the jobs refer to what there is, and can meet the objectives.",
        discussion: """
            For each source with an RPO the longest time between two backups in the year to come, with the time that \
            a run takes and the jitter, is held to the objective: a nightly job of two hours can lose 26 hours. How \
            long runs take is what the jobs' `duration` says, or with --measured the 95th percentile of the source's \
            snapshots, the newest hundred. When something is wrong the exit status is 4.

            Examples:

              holdfast schedule lint

              holdfast schedule lint --measured --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Flag(name: .long, help: "Take the durations of backups from the snapshots of the repository.")
    var measured = false

    @Option(
        name: .long,
        help: ArgumentHelp("The instant from which the year counts; now where it is not given.", valueName: "time"))
    var at: InstantArgument?

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            guard let configuration = try context.configuration() else {
                throw HoldfastError(
                    .usage, "there is no configuration file to hold the jobs to",
                    hint: "Name one with --config.")
            }
            let loaded = try jobs.load(context)
            let now = context.clock.now()
            let facts = LintFacts(configuration, loaded)
            let durations: any RunDurations =
                measured ? try SnapshotDurations(configuration, context) : NoMeasuredDurations()
            let lint = ScheduleLint(
                loaded.map(\.job), facts, durations: durations, host: Host.name, now: at?.instant(now: now) ?? now)
            let report = ScheduleLintReport(lint, loaded)
            for line in report.lines { try context.output.line(line) }
            try context.output.json(report)
            return lint.hasErrors ? .checkFailed : .success
        }
    }
}

extension LintFacts {
    init(_ configuration: Configuration, _ jobs: [ConfiguredJob]) {
        self.init(
            sources: configuration.sources.map { .init(name: $0.name, rpo: $0.rpo, repository: $0.repository) })
        retained = Set(configuration.sources.filter { $0.retention != nil }.map(\.name))
        plans = Set(configuration.drills.map(\.name))
        for repository in configuration.repositories { repositories[repository.name] = repository.mirrors.count }
        defaultRepository = configuration.defaultRepository
        var texts: [(place: String, text: String, isCode: Bool)] = []
        for repository in configuration.repositories {
            texts += ([repository.location] + repository.mirrors).map { ("repository \(repository.name)", $0, false) }
        }
        for source in configuration.sources {
            switch source.origin {
            case .urls(let urls): texts += urls.map { ("source \(source.name)", $0.text, false) }
            case .command(let command): texts += command.dump.map { ("source \(source.name)", $0, true) }
            }
        }
        for job in jobs {
            switch job.job.action {
            case .command(let words): texts += words.map { ("job \(job.job.name)", $0, true) }
            case .mirror(let places): texts += places.map { ("job \(job.job.name)", $0, false) }
            case .backup, .forget, .check, .drill, .ledger, .rotate: break
            }
        }
        placeholders = texts.compactMap { place, text, isCode in
            Placeholder.found(in: text, isCode: isCode).map {
                "\(place): `\($0)` in `\(text)` is still to be filled in"
            }
        }
    }
}

/// How long backups took, by the repositories' snapshots.
struct SnapshotDurations: RunDurations {
    private static let newest = 100
    private var seconds: [String: [Duration]] = [:]

    init(_ configuration: Configuration, _ context: CommandContext) throws(HoldfastError) {
        let named = try context.namedPlace()
        var places: [RepositoryPlace] = []
        if let named {
            places = [named]
        } else {
            for name in Set(configuration.sources.map(\.repository)) {
                places.append(try context.place(of: name, in: configuration))
            }
        }
        for place in places {
            let repository = try context.openRepository(at: place)
            for snapshot in try repository.snapshots().snapshots {
                guard let record = snapshot.record else { continue }
                seconds[record.source, default: []].append(record.finished.since(record.started))
            }
        }
    }

    func p95(of job: JobName, source: String) -> Duration? {
        guard let all = seconds[source], !all.isEmpty else { return nil }
        // The listing is in order of sequence within a source. The rank is rounded up.
        let sorted = all.suffix(Self.newest).sorted()
        return sorted[(sorted.count * 95 + 99) / 100 - 1]
    }
}

/// `holdfast.schedule-lint/1`.
struct ScheduleLintReport: Encodable {
    let schema = "holdfast.schedule-lint/1"
    let isGood: Bool
    let findings: [Finding]
    let sources: [Forecast]

    struct Finding: Encodable {
        let severity, rule: String
        let job, source, file: String?
        let line: Int?
        let message, hint: String
    }

    struct Forecast: Encodable {
        let source: String
        let jobs: [String]
        let objectiveSeconds: Int64
        let intervalSeconds: Int64?
        let durationSeconds: Int64
        let isDurationKnown: Bool
        let jitterSeconds: Int64
        let worstSeconds: Int64?
        let worstAt: String?
        let isMet: Bool
    }

    private enum CodingKeys: String, CodingKey { case schema, isGood, findings, sources }

    /// The key of the file that a finding is about.
    private static func key(_ rule: LintFinding.Rule, _ job: ConfiguredJob) -> String {
        switch rule {
        case .unknownSource, .unknownPlan, .noMirror, .noRetention, .placeholder: job.job.action.kind
        case .unknownRepository: "repository"
        case .unknownJob, .cycle: job.positions["after"] == nil ? "before" : "after"
        case .neverRuns, .objective, .clockChange: "when"
        case .noDuration: "name"
        case .jitter: "jitter"
        case .deadline: "deadlines"
        case .paused: "paused"
        }
    }

    init(_ lint: ScheduleLint, _ jobs: [ConfiguredJob]) {
        isGood = !lint.hasErrors
        findings = lint.findings.map { finding in
            let job = jobs.first { $0.job.name == finding.job }
            return Finding(
                severity: finding.severity.rawValue, rule: finding.rule.rawValue, job: finding.job?.description,
                source: finding.source, file: job?.path,
                line: job.map { $0.positions[Self.key(finding.rule, $0)]?.line ?? 1 }, message: finding.message,
                hint: finding.hint)
        }
        sources = lint.forecasts.map { forecast in
            Forecast(
                source: forecast.source, jobs: forecast.jobs.map(\.description),
                objectiveSeconds: forecast.objective.components.seconds,
                intervalSeconds: forecast.interval?.components.seconds,
                durationSeconds: Self.up(forecast.duration), isDurationKnown: forecast.isDurationKnown,
                jitterSeconds: forecast.jitter.components.seconds, worstSeconds: forecast.worst.map(Self.up),
                worstAt: forecast.worstAt?.description, isMet: forecast.isMet)
        }
    }

    /// Whole seconds, rounded up.
    private static func up(_ duration: Duration) -> Int64 {
        duration.components.seconds + (duration.components.attoseconds > 0 ? 1 : 0)
    }

    var lines: [String] {
        var lines: [String] = []
        for finding in findings {
            let place = finding.file.map { "\($0):\(finding.line ?? 1): " } ?? ""
            lines.append("\(finding.severity): \(place)\(ShownText.line(finding.message))")
            lines.append("  \(finding.hint)")
        }
        var table = Table([
            ("SOURCE", .left), ("RPO", .right), ("WORST", .right), ("INTERVAL", .right), ("RUN", .right),
            ("JITTER", .right), ("", .left),
        ])
        func text(_ seconds: Int64) -> String { Duration.seconds(seconds).lengthOfTime }
        for source in sources {
            table.add([
                source.source, text(source.objectiveSeconds), source.worstSeconds.map(text) ?? "no end",
                source.intervalSeconds.map(text) ?? "-",
                source.isDurationKnown ? text(source.durationSeconds) : "unknown", text(source.jitterSeconds),
                source.isMet ? "met" : "not met",
            ])
        }
        if !sources.isEmpty { lines += table.lines }
        let errors = findings.count { $0.severity == "error" }
        lines.append(
            findings.isEmpty ? "no findings" : "\(errors) errors, \(findings.count - errors) warnings")
        return lines
    }
}
