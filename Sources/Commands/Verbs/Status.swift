// holdfast status: can each source be recovered, and is that proven?

import ArgumentParser
import Configuring
import ControlPlane
import Primitives
import Recovery
import Repository

struct StatusVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Say of each source whether it can be recovered, and whether that is proven.",
        discussion: """
            A source is `proven` when a drill restored it within the period and everything held, `unproven` when there \
            is a snapshot and no such drill, and `no` when there is nothing to recover, its newest drill failed, no \
            snapshot of a vault holds the secret that opens its newest snapshot, or \
            checks of its repository found damage that no later one has shown to be gone: after damage in packs that \
            takes a check that reads them. The period is --proof-within, else one and a half times the interval of \
            the job that drills it, else 31 days. A good backup makes up for neither a failed check nor a failed \
            drill, and what cannot be read counts as unproven; so does a source whose repository no check has \
            looked at within one and a half times the interval of a job that checks it. Exposure and proofs are \
            those of `holdfast rpo`, with all mirrors that can be read.

            The exit status follows the worst: 0 when all is proven and within its objective and every job does what \
            it should, 3 when something is unproven, a job fails, is overdue, does not get to run or never ran, a \
            critical alert fires, or jobs or the state of runs cannot be read, 4 when something is `no` or over \
            its objective.

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
            let now = context.clock.now()
            let schedule = StatusSchedule(jobs, context)
            var repositories: [String: Result<RepositoryCopies, HoldfastError>] = [:]
            let named = try context.namedPlace()
            var sources: [SourceStatus] = []
            var failures: [String: HoldfastError] = [:]
            for source in configuration.sources {
                var place = named
                if place == nil { place = try context.place(of: source.repository, in: configuration) }
                guard let place else { continue }
                let opened = repositories[place.location] ?? Self.open(place, context)
                repositories[place.location] = opened
                var facts = StatusFacts(
                    now: now, name: source.name, objective: source.rpo,
                    checks: schedule.checks(at: place.location),
                    lateCheck: schedule.lateCheck(at: place.location),
                    isScheduleKnown: schedule.isKnown, next: schedule.nextBackup(of: source, now),
                    period: proofWithin?.duration ?? schedule.proofPeriod(of: source.name, now, configuration))
                facts.openings = Self.openings(of: source, opened)
                let points = Self.points(of: source.name, opened)
                for (location, error) in ((try? opened.get())?.failures ?? []) + ((try? points.get())?.failures ?? []) {
                    failures[location] = error
                }
                sources.append(SourceStatus(facts, points))
            }
            let report = StatusReport(
                sources: sources, jobs: schedule.troubles(at: now), alerts: schedule.alerts,
                unknown: schedule.failure, at: now)
            for line in report.lines { try context.output.line(line) }
            for (location, error) in failures.sorted(by: { $0.key < $1.key }) {
                context.output.warning("the copy \(location) cannot be read: \(ShownText.line(error.message))")
            }
            try context.output.json(report)
            return report.status
        }
    }

    /// A repository that cannot be read is told of elsewhere.
    private static func openings(
        of source: ConfiguredSource, _ opened: Result<RepositoryCopies, HoldfastError>
    ) -> OpeningStanding {
        guard !source.openings.isEmpty, let place = (try? opened.get())?.places.first else { return OpeningStanding() }
        do throws(HoldfastError) {
            return try OpeningStanding(of: source.name, isDeclared: true, in: place.repository)
        } catch {
            var standing = OpeningStanding()
            standing.unknown.append("what opens it cannot be looked at: \(error.message)")
            return standing
        }
    }

    private static func points(
        of source: String, _ opened: Result<RepositoryCopies, HoldfastError>
    ) -> Result<RecoveryPoints, HoldfastError> {
        do throws(HoldfastError) {
            return .success(try RecoveryPoints(of: source, in: try opened.get().places))
        } catch {
            return .failure(error)
        }
    }

    private static func open(
        _ place: RepositoryPlace, _ context: CommandContext
    ) -> Result<RepositoryCopies, HoldfastError> {
        do throws(HoldfastError) {
            return .success(RepositoryCopies(of: try context.openRepository(at: place), place, context))
        } catch {
            return .failure(error)
        }
    }
}
