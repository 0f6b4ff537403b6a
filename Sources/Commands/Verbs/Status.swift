// holdfast status: can each source be recovered, and is that proven?

import ArgumentParser
import Configuration
import ControlPlane
import Glibc
import ObjectStore
import Primitives
import Recovery
import Repository
import Scheduling
import State

struct StatusVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say of each source whether it can be recovered, and whether that is proven.",
        discussion: """
            A source is `proven` when a drill restored it within the period and everything held, `unproven` when there \
            is a snapshot and no such drill, and `no` when there is no snapshot, its newest drill failed, or the \
            newest check of its repository found damage. The period is --proof-within, else one and a half times the \
            interval of the job that drills it, else 31 days. A good backup makes up for neither a failed check nor \
            a failed drill.

            The exit status follows the worst: 0 when all is proven and within its objective, 3 when something is \
            unproven, 4 when something is `no` or over its objective.

            Examples:

              holdfast status

              holdfast status --json --proof-within 7d
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Option(name: .long, help: ArgumentHelp("How old a proof may be.", valueName: "duration"))
    var proofWithin: DurationArgument?

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            guard let configuration = try context.configuration() else {
                throw HoldfastError(
                    .usage, "there is no configuration file to take sources from",
                    hint: "Name one with --config or HOLDFAST_CONFIG; `holdfast rpo SOURCE` looks at one source.")
            }
            let schedule = StatusSchedule(jobs, context)
            if let failure = schedule.failure {
                context.output.warning("jobs and their runs are not shown: \(ShownText.line(failure.message))")
            }
            var repositories: [String: Result<StatusRepository, HoldfastError>] = [:]
            let named = try context.namedPlace()
            var sources: [SourceStatus] = []
            for source in configuration.sources {
                var place = named
                if place == nil { place = try context.place(of: source.repository, in: configuration) }
                guard let place else { continue }
                let opened = repositories[place.location] ?? StatusRepository.open(place, context)
                repositories[place.location] = opened
                let check = schedule.lastCheck(of: source.repository, configuration)
                let facts = StatusFacts(
                    now: context.clock.now(), source: source, check: check,
                    next: schedule.nextBackup(of: source, context.clock.now()),
                    period: proofWithin?.duration
                        ?? schedule.proofPeriod(of: source.name, context.clock.now(), configuration))
                sources.append(SourceStatus(facts, opened))
            }
            let report = StatusReport(sources: sources, alerts: schedule.alerts, at: context.clock.now())
            for line in report.lines { try context.output.line(line) }
            try context.output.json(report)
            return report.status
        }
    }
}

/// A repository as far as the status needs it.
struct StatusRepository: Sendable {
    var place: CopyPlace
    var evidence: [EvidenceRecord]

    static func open(_ place: RepositoryPlace, _ context: CommandContext) -> Result<StatusRepository, HoldfastError> {
        do throws(HoldfastError) {
            let repository = try context.openRepository(at: place)
            let records = try repository.evidence().evidence.compactMap(\.record)
            return .success(
                StatusRepository(
                    place: CopyPlace(location: place.location, classes: [.local], repository: repository),
                    evidence: records.sorted { $0.finished < $1.finished }))
        } catch {
            return .failure(error)
        }
    }
}

/// What jobs and the run store say; what cannot be read is missing, and `failure` says why.
struct StatusSchedule {
    private var jobs: [Job] = []
    private var memories: [JobName: JobMemory] = [:]
    private(set) var alerts: [AlertRecord] = []
    private(set) var failure: HoldfastError?

    init(_ options: JobOptions, _ context: CommandContext) {
        do throws(HoldfastError) {
            jobs = try options.load(context).map(\.job)
            let store = try context.openRunStore()
            memories = try store.memories(of: jobs.map(\.name), at: context.clock.now())
            alerts = try store.alerts(all: false)
        } catch {
            failure = error
        }
    }

    /// The newest run of a job that checks the repository.
    func lastCheck(of repository: String?, _ configuration: Configuration) -> JobMemory.Ended? {
        let runs = jobs.compactMap { job -> JobMemory.Ended? in
            guard case .check = job.action, (job.repository ?? configuration.defaultRepository) == repository else {
                return nil
            }
            return memories[job.name]?.last
        }
        return runs.max { $0.ended < $1.ended }
    }

    /// When the next backup of the source is due.
    func nextBackup(of source: ConfiguredSource, _ now: Timestamp) -> Timestamp? {
        let nexts = jobs.compactMap { job -> Timestamp? in
            guard case .backup(let sources) = job.action, job.isEnabled,
                sources.isEmpty || sources.contains(source.name)
            else { return nil }
            return job.schedule.next(after: now)?.instant
        }
        return nexts.min()
    }

    /// One and a half times the interval of the job that drills the source.
    func proofPeriod(of source: String, _ now: Timestamp, _ configuration: Configuration) -> Duration {
        let plans = configuration.drills.filter { $0.systems.contains { $0.source == source } }.map(\.name)
        let intervals = jobs.compactMap { job -> Duration? in
            guard case .drill(let plan) = job.action, plan == source || plans.contains(plan),
                let first = job.schedule.next(after: now)?.instant,
                let second = job.schedule.next(after: first)?.instant
            else { return nil }
            return second.since(first)
        }
        return intervals.min().map { $0 * 3 / 2 } ?? .seconds(31 * 86_400)
    }
}

/// What is known of a source apart from its repository.
struct StatusFacts {
    var now: Timestamp
    var source: ConfiguredSource
    var check: JobMemory.Ended?
    var next: Timestamp?
    var period: Duration
}
