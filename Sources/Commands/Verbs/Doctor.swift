// holdfast doctor: would backups succeed, and could they be recovered?

import ArgumentParser
import Configuring
import ObjectStore
import Primitives
import Recovery
import Repository
import Workloads

struct Doctor: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor",
        abstract: "Look whether backups would succeed and could be recovered.",
        discussion: """
            Looks at the sources that are named, else at all of the configuration: rights, versions and settings; at \
            the repositories that they go to: whether they can be reached, opened and written to; and at the programs \
            of databases that are installed. Changes nothing.

            Each finding is ok, a warning or an error, with what to do about it. The exit status is that of the worst: \
            0, 3 with a warning, 4 with an error.

            Examples:

              holdfast doctor

              holdfast doctor shop postgres://holdfast@db1/ --json
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(
        help: ArgumentHelp(
            "Names of the configuration, or URLs; all of the configuration without any.", valueName: "source"))
    var sources: [String] = []

    func validate() throws {
        for source in sources where !ConfiguredSource.isName(source) && SourceArgument(argument: source) == nil {
            throw ValidationError(SourceArgument.refusal(of: source))
        }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let sections = try Examination(context).sections(sources)
            let report = DoctorReport(sections)
            for line in report.lines { try context.output.line(line) }
            try context.output.json(report)
            switch report.worstSeverity {
            case .good: return .success
            case .warning: return .partial
            case .error: return .checkFailed
            }
        }
    }
}

/// What was looked at, and what was found.
struct ExaminedThing: Sendable {
    enum Kind: String, Sendable { case repository, source, programs }

    var kind: Kind
    var name: String
    var findings: [WorkloadFinding]
}

/// One run of `doctor`.
private struct Examination {
    private let context: CommandContext
    private let surroundings: WorkloadContext

    /// A source before it is looked at.
    private struct Subject {
        var name: String
        var workloads: [any Workload]
        var place: RepositoryPlace?
        /// The name by which its snapshots go; nil for a URL, which may go by any.
        var source: String?
        var restore: [String]?
        var isCommand = false
        /// Secrets of vaults that are to open it.
        var openings: [OpeningWish] = []
    }

    init(_ context: CommandContext) {
        self.context = context
        surroundings = WorkloadContext(
            clock: context.clock, entropy: context.environment.entropy, cancellation: context.cancellation,
            runner: context.runner)
    }

    func sections(_ names: [String]) throws(HoldfastError) -> [ExaminedThing] {
        let configuration = try context.configuration()
        let named = try context.namedPlace()
        var subjects: [Subject] = []
        for name in names.isEmpty ? configuration?.sources.map(\.name) ?? [] : names {
            subjects.append(try subject(name, configuration, named))
        }
        var places: [RepositoryPlace] = []
        for place in subjects.compactMap(\.place) where !places.contains(place) { places.append(place) }
        if places.isEmpty {
            guard named != nil || configuration?.defaultRepository != nil || !subjects.isEmpty else {
                throw HoldfastError(
                    .usage, "there is nothing to look at",
                    hint: "Name sources, or a repository with --repo, or write a configuration file.")
            }
            if named != nil || configuration?.defaultRepository != nil { places.append(try context.place()) }
        }
        var sections: [ExaminedThing] = []
        var opened: [RepositoryPlace: Repository] = [:]
        for place in places {
            var (findings, repository) = try look(at: place)
            opened[place] = repository
            if let repository { findings += try wayIn(repository, place, subjects, configuration, named) }
            sections.append(ExaminedThing(kind: .repository, name: place.location, findings: findings))
            for mirror in place.configured?.mirrors ?? [] { sections.append(try look(atMirror: mirror, configuration)) }
        }
        for subject in subjects {
            let repository = subject.place.flatMap { opened[$0] }
            sections.append(
                ExaminedThing(kind: .source, name: subject.name, findings: try look(at: subject, in: repository)))
        }
        let tools = [WorkloadFinding(.good, "holdfast", ToolVersion.current)] + (try ClientTools.findings(surroundings))
        return sections + [ExaminedThing(kind: .programs, name: "programs", findings: tools)]
    }

    private func options(_ vaultPassword: SecretReference?) -> WorkloadOptions {
        var options = WorkloadOptions()
        options.vaultOpener = context.vaultOpener(vaultPassword)
        return options
    }

    private func subject(
        _ name: String, _ configuration: Configuration?, _ named: RepositoryPlace?
    ) throws(HoldfastError) -> Subject {
        guard ConfiguredSource.isName(name) else {
            guard let argument = SourceArgument(argument: name) else {
                throw HoldfastError(.usage, SourceArgument.refusal(of: name))
            }
            var place = named
            if place == nil, configuration?.defaultRepository != nil { place = try context.place() }
            return Subject(name: name, workloads: [try argument.workload(options(nil))], place: place)
        }
        guard let configuration else {
            throw HoldfastError(
                .usage, "there is no configuration file to take sources from",
                hint: "Give a URL, or name a file with --config or HOLDFAST_CONFIG.")
        }
        let source = try configuration.requireSource(named: name)
        var place = named
        if place == nil, let repository = source.repository {
            place = try context.place(of: repository, in: configuration)
        }
        var subject = Subject(
            name: name, workloads: try ConfiguredBackup.workloads(of: source, options(source.vaultPassword)),
            place: place,
            source: name)
        subject.openings = try OpeningWish.wishes(of: source, configuration, context)
        if case .command(let command) = source.origin {
            subject.isCommand = true
            subject.restore = command.restore
        }
        return subject
    }

    // MARK: Repositories

    private func look(
        at place: RepositoryPlace
    ) throws(HoldfastError) -> (findings: [WorkloadFinding], repository: Repository?) {
        let repository: Repository
        do throws(HoldfastError) {
            repository = try context.openRepository(at: place)
        } catch {
            return ([try finding(error, as: "open")], nil)
        }
        var findings = [
            WorkloadFinding(
                .good, "open", "repository \(repository.id), with a key of the role \(repository.keyring.role)")
        ]
        findings += RepositoryRights.findings(repository.keyring)
        findings += RepositoryRights.findings(location: place.location)
        do throws(HoldfastError) {
            let listing = try repository.snapshots()
            findings.append(
                listing.damaged.isEmpty
                    ? WorkloadFinding(.good, "snapshots", "\(listing.snapshots.count) can be listed")
                    : WorkloadFinding(
                        .error, "snapshots", "\(listing.damaged.count) are damaged",
                        hint: "Run `holdfast check`.", code: .corruptObject))
        } catch {
            findings.append(try finding(error, as: "snapshots"))
        }
        return (findings, repository)
    }

    /// Whether losing this host means losing the way in.
    private func wayIn(
        _ repository: Repository, _ place: RepositoryPlace, _ subjects: [Subject], _ configuration: Configuration?,
        _ named: RepositoryPlace?
    ) throws(HoldfastError) -> [WorkloadFinding] {
        var covered: [WayIn.Covered] = []
        var openers: [WayIn.Covered] = []
        for source in configuration?.sources ?? [] {
            var target = named
            if target == nil, let configuration, let name = source.repository {
                target = try context.place(of: name, in: configuration)
            }
            guard target == place else { continue }
            covered += WayIn.Covered.paths(of: source)
            openers += WayIn.Covered.openers(of: source)
        }
        covered += subjects.filter { $0.place == place && $0.source == nil }.compactMap { WayIn.Covered(url: $0.name) }
        do throws(HoldfastError) {
            return try WayIn(
                opening: place.opening, variables: context.variables, isInherited: context.inheritedPassword != nil,
                covered: covered, openers: openers
            ).findings(repository)
        } catch {
            return [try finding(error, as: "way in")]
        }
    }

    private func look(
        atMirror name: String, _ configuration: Configuration?
    ) throws(HoldfastError) -> ExaminedThing {
        let location = configuration?.repository(named: name)?.location ?? name
        do throws(HoldfastError) {
            let store = context.decorated(try StoreLocation.open(location), nil)
            let format = try Repository.readFormat(in: store, trusted: nil)
            let findings = [WorkloadFinding(.good, "open", "a mirror, repository \(format.repository)")]
            return ExaminedThing(
                kind: .repository, name: location, findings: findings + RepositoryRights.findings(location: location))
        } catch {
            return ExaminedThing(kind: .repository, name: location, findings: [try finding(error, as: "open")])
        }
    }

    // MARK: Sources

    private func look(at subject: Subject, in repository: Repository?) throws(HoldfastError) -> [WorkloadFinding] {
        var findings: [WorkloadFinding] = []
        var surroundings = surroundings
        if let repository, let source = subject.source {
            do throws(HoldfastError) {
                let tag = try repository.tag(ofSource: source)
                let allowed = repository.keyring.current.sources
                if !allowed.isEmpty, !allowed.contains(tag) {
                    findings.append(
                        WorkloadFinding(
                            .error, "rights", "this key may not take snapshots of it",
                            hint: "Use a key that was added with --source \(source).", code: .notPermitted))
                }
                surroundings.parent = try repository.snapshots(of: tag).latest(of: tag)?.record
            } catch {
                // A key that takes no snapshots may not know what sources are called either; its role was told.
                if error.code != .notPermitted { findings.append(try finding(error, as: "snapshots")) }
            }
        }
        for workload in subject.workloads {
            do throws(HoldfastError) {
                findings += try workload.preflight(surroundings)
            } catch {
                findings.append(try finding(error, as: workload.identity.kind))
            }
        }
        findings += try openings(of: subject, in: repository, surroundings)
        guard subject.isCommand else { return findings }
        if let restore = subject.restore {
            findings.append(ProgramSearch.finding(restore, as: "restore"))
        } else {
            findings.append(
                WorkloadFinding(
                    .warning, "restore", "no command is said that takes it back",
                    hint: "Add `restore` to its `command`, so that it is known when it is needed."))
        }
        return findings
    }

    /// Whether the secrets of vaults open it now, and whether snapshots hold what opens its newest one.
    private func openings(
        of subject: Subject, in repository: Repository?, _ surroundings: WorkloadContext
    ) throws(HoldfastError) -> [WorkloadFinding] {
        guard !subject.openings.isEmpty, let workload = subject.workloads.first else { return [] }
        var findings: [WorkloadFinding] = []
        for wish in subject.openings { findings.append(try wish.finding(opening: workload, surroundings)) }
        guard let repository, let source = subject.source else { return findings }
        do throws(HoldfastError) {
            let standing = try OpeningStanding(of: source, isDeclared: true, in: repository)
            let hint = "Back up the vault, then this source, with the same key."
            findings += standing.lost.map {
                WorkloadFinding(.error, "opening", $0, hint: hint, code: .secretNotFound)
            }
            findings += standing.unknown.map { WorkloadFinding(.warning, "opening", $0, hint: hint) }
        } catch {
            // A key that takes no snapshots may not know what sources are called.
            if error.code != .notPermitted { findings.append(try finding(error, as: "opening")) }
        }
        return findings
    }

    /// A failure as a finding; an interruption ends the run.
    private func finding(_ error: HoldfastError, as subject: String) throws(HoldfastError) -> WorkloadFinding {
        if error.code == .interrupted { throw error }
        return WorkloadFinding(.error, subject, error.message, hint: error.hint, code: error.code)
    }
}
