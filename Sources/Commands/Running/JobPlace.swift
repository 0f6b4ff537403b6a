// Which jobs a run is about, and what they refer to.

import ArgumentParser
import Configuring
import FoundationEssentials
import Primitives
import Scheduling

/// Where job files are.
struct JobOptions: ParsableArguments {
    @Option(
        name: .long,
        help: ArgumentHelp(
            "The directory of job files.",
            discussion: "HOLDFAST_SCHEDULES where it is not given, else `schedules` beside the configuration file.",
            valueName: "directory"))
    var schedules: String?

    /// The option, else the variable, else `schedules` beside the configuration, which may also lie in it.
    func directory(_ context: CommandContext) throws(HoldfastError) -> String {
        if let named = schedules ?? context.variables["HOLDFAST_SCHEDULES"] { return named }
        guard let path = ConfigurationPlace.path(context.options, context.variables) else {
            throw HoldfastError(
                .usage, "no directory of jobs is named, and there is no configuration file beside which it would be",
                hint: "Give --schedules DIRECTORY, or --config FILE.")
        }
        let parts = Host.absolutePath(path).split(separator: "/").dropLast()
        let parent = "/" + parts.joined(separator: "/")
        // A copy that a daemon has accepted: the jobs that it accepted with it are beside it.
        if parts.last == "configuration", KeptFile.origin(of: parent) != nil {
            return "/" + parts.dropLast().joined(separator: "/") + "/schedules"
        }
        return parts.last == "schedules" ? parent : parent + (parts.isEmpty ? "schedules" : "/schedules")
    }

    /// Whether an option or the variable names a directory.
    func isNamed(_ context: CommandContext) -> Bool {
        schedules != nil || context.variables["HOLDFAST_SCHEDULES"] != nil
    }

    /// Whether there are no jobs since nobody named a directory of them and the usual one is not there.
    func isAbsent(_ context: CommandContext) throws(HoldfastError) -> Bool {
        guard !isNamed(context) else { return false }
        return !FileManager.default.fileExists(atPath: try directory(context))
    }

    /// The jobs of the directory, in order of their files.
    ///
    /// - Throws: `.configuration` with all that is wrong by file, line and column.
    func load(_ context: CommandContext) throws(HoldfastError) -> [ConfiguredJob] {
        let directory = try directory(context)
        let files = try Self.files(in: directory)
        switch try JobDirectory.read(files.map { "\(directory)/\($0)" }) {
        case .good(let jobs): return jobs
        case .bad(let problems):
            throw HoldfastError(
                .configuration,
                "the jobs in \(KeptFile.origin(of: directory) ?? directory) have "
                    + (problems.count == 1 ? "an error" : "\(problems.count) errors"),
                hint: "Correct the files; docs/JOBS.md lists every key.",
                context: problems.map { path, problem in
                    ("\(path):\(problem.position.line):\(problem.position.column)", problem.message)
                })
        }
    }

    /// The names of the job files of a directory, in order.
    static func files(in directory: String) throws(HoldfastError) -> [String] {
        let names: [String]
        do {
            names = try FileManager.default.contentsOfDirectory(atPath: directory)
        } catch {
            throw HoldfastError(
                .configuration, "the directory of jobs \(directory) cannot be read",
                hint: "Make it, with one file a job, or name another with --schedules.", cause: error)
        }
        return try JobDirectory.files(names, in: directory)
    }

    /// All jobs as they are run: with what the configuration fills in.
    ///
    /// A configuration that cannot be read says nothing, and then jobs that name no repository may share one; the runs
    /// themselves tell what is wrong with it.
    ///
    /// - Parameter looks: Looks at the places of repositories, and waits for none that hangs.
    func loadFilledIn(
        _ context: CommandContext, _ looks: RepositoryLooks? = nil
    ) throws(HoldfastError) -> [Job] {
        Self.filledIn(try load(context).map(\.job), context, looks ?? RepositoryLooks(context.clock))
    }

    /// These jobs with what the configuration fills in.
    ///
    /// - Parameter isAnew: Whether places are looked at; else what is known of them counts.
    static func filledIn(
        _ jobs: [Job], _ context: CommandContext, _ looks: RepositoryLooks, isAnew: Bool = true
    ) -> [Job] {
        guard let configuration = try? context.configuration() else { return jobs }
        // The variable holds for the verbs that runs start; options of this verb do not.
        let named = context.variables["HOLDFAST_REPO"]
        return configuration.filledIn(jobs, named: named, looks, isAnew: isAnew)
    }

    /// The jobs of these names, or all when there are none.
    func load(_ names: [String], _ context: CommandContext) throws(HoldfastError) -> [ConfiguredJob] {
        let jobs = try load(context)
        guard !names.isEmpty else { return jobs }
        return try names.map { (name) throws(HoldfastError) in
            if let job = jobs.first(where: { $0.job.name.description == name }) { return job }
            throw HoldfastError(
                .usage, "there is no job `\(name)` in \(try directory(context))",
                hint: jobs.isEmpty
                    ? "There are no job files there."
                    : "There are: \(jobs.map { "\($0.job.name)" }.joined(separator: ", ")).")
        }
    }
}

/// Instants for people and for `--json`.
enum LocalTime {
    /// `2026-03-29T02:00:00+01:00`.
    static func text(_ instant: Timestamp, in zone: TimeZoneRules) -> String {
        let offset = zone.offset(at: instant)
        let wall = "\(Timestamp(seconds: instant.seconds + offset))".dropLast()
        func two(_ value: Int64) -> String { value < 10 ? "0\(value)" : "\(value)" }
        let distance = abs(offset)
        let seconds = distance % 60 == 0 ? "" : ":\(two(distance % 60))"
        return "\(wall)\(offset < 0 ? "-" : "+")\(two(distance / 3600)):\(two(distance / 60 % 60))\(seconds)"
    }
}
