// holdfast daemon: runs jobs when they are due, until it is told to stop.

import ArgumentParser
import Configuring
import ControlPlane
import Logging
import Primitives
import Recovery
import Scheduling
import State
import Synchronization
import Telemetry

struct DaemonVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daemon",
        abstract: "Run jobs when they are due.",
        discussion: """
            Each run is a process of its own. SIGTERM begins a drain: no run begins any more, and the daemon ends when \
            those under way have ended, or after --drain. SIGHUP reads the configuration and the jobs again; when \
            something is wrong with them the old ones hold, and an alert says so. One daemon runs on one state; a \
            second one is refused with status 11.

            Under systemd it tells when it is ready, and that it lives (WatchdogSec=). Its log is one JSON object a \
            line unless standard error is a terminal.

            Examples:

              holdfast daemon

              holdfast daemon --schedules /etc/holdfast/schedules --max-running 4 --drain 10m
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var jobs: JobOptions

    @Option(name: .long, help: ArgumentHelp("Runs under way together.", valueName: "n"))
    var maxRunning = 4

    @Option(
        name: .long,
        help: ArgumentHelp("How long runs may go on after SIGTERM; 5m where it is not given.", valueName: "duration"))
    var drain: DurationArgument?

    /// What holds until the files are read again and are good.
    private struct Holding {
        /// About the copies of the files that were accepted.
        var options: [String] = []
        var configuration: Configuration?
        /// The same jobs by what is known of the places of their repositories.
        var filledIn: @Sendable ([Job]) -> [Job] = { $0 }
    }

    /// Far more than a notifier takes that works.
    private static let lastTelling = Duration.seconds(30)

    func validate() throws {
        guard (1...1000).contains(maxRunning) else { throw ValidationError("--max-running takes 1 to 1000.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            Descendants.adoptOrphans()
            let manager = ServiceManager()
            let directory = try context.stateDirectory()
            let store = try context.openRunStore()
            let lock = try DaemonLock(directory: directory, host: Host.name)
            defer { withExtendedLifetime(lock) {} }
            let scrubber = context.scrubber
            let logger = context.serviceLogger(scrubber)
            let dispatcher = AlertDispatcher(store, [], host: Host.name, clock: context.clock, logger: logger)
            var around = try surroundings(context, store, dispatcher, logger, scrubber)
            let beats = Heartbeats(manager, clock: context.clock)
            around.heartbeat = { beats.beat() }
            around.ready = { manager?.tell("READY=1\nSTATUS=running") }
            let loop = RunLoop(around)
            try Self.telling(dispatcher, context.clock) { () throws(HoldfastError) in
                try Daemon.run(loop, manager: manager, logger: logger)
            }
            return .success
        }
    }

    private func surroundings(
        _ context: CommandContext, _ store: SQLiteRunStore, _ dispatcher: AlertDispatcher, _ logger: Logger,
        _ scrubber: SecretScrubber
    ) throws(HoldfastError) -> RunLoopSurroundings {
        let holding = Mutex(Holding())
        let launcher = try ProcessLauncher(
            program: try OwnProgram.path(), options: { holding.withLock { $0.options } },
            password: context.inheritedPassword, runner: context.runner)
        var spool = try context.outcomeSpool()
        spool.onDamaged = { path, reason in
            logger.error(
                "a file that holds no end of a run was set aside", metadata: ["path": "\(path)", "error": "\(reason)"])
        }
        let known = Mutex<Set<String>>([])
        spool.onUnreadable = { path, reason in
            // The alert lasts; the log has a line at the first look alone.
            guard known.withLock({ $0.count < 1000 && $0.insert(path).inserted }) else { return }
            logger.error("the end of a run cannot be read", metadata: ["path": "\(path)", "error": "\(reason)"])
        }
        let looks = RepositoryLooks(context.clock)
        let accepted = AcceptedFiles(state: try context.stateDirectory())
        let take: @Sendable (Holding, [AlertRoute], SecretScrubber) -> Void = { fresh, routes, secrets in
            holding.withLock { $0 = fresh }
            dispatcher.replace(routes)
            scrubber.learn(from: secrets)
        }
        var around = RunLoopSurroundings(
            store: store, spool: spool, launcher: launcher, clock: context.clock,
            host: Host.name, logger: logger
        ) { () throws(HoldfastError) in
            try read(context, accepted, looks, take: take)
        }
        around.lastGood = { lastGood(context, accepted, looks, take: take) }
        around.scrubber = scrubber
        around.places = PlaceWatch(
            silent: { looks.silent }, filledIn: { jobs in holding.withLock { $0.filledIn }(jobs) },
            ask: { looks.ask($0) })
        let clock = context.clock
        around.endOrphans = { Descendants.end(grace: .zero, clock: clock) }
        around.limits.running = maxRunning
        if let drain { around.drain = drain.duration }
        let janitor = Janitor { parent in
            for path in Drill.removeLeftovers(scratch: parent.isEmpty ? nil : parent) {
                logger.notice("scratch space of a drill that died was removed", metadata: ["path": "\(path)"])
            }
        }
        around.cleanUp = { job in
            guard JobTypes.leavesScratch(job) else { return }
            for parent in Self.scratch(of: job, holding.withLock { $0.configuration }) { janitor.clear(parent) }
        }
        return around
    }

    /// Reads all files, which takes nothing: what was read is given to `take` when the loop has taken the jobs.
    private func read(
        _ context: CommandContext, _ accepted: AcceptedFiles, _ looks: RepositoryLooks,
        take: @escaping @Sendable (Holding, [AlertRoute], SecretScrubber) -> Void
    ) throws(HoldfastError) -> ReadJobs {
        let kept = try accepted.keep(context, jobs)
        do throws(HoldfastError) {
            var read = try read(kept.context, kept.jobs, looks, take: take)
            let takeAll = read.take
            read.take = {
                takeAll()
                accepted.accept(kept.directory, context, jobs)
                accepted.thin()
            }
            read.drop = { accepted.drop(kept.directory) }
            return read
        } catch {
            accepted.drop(kept.directory)
            throw error
        }
    }

    /// The newest copies of the same files that were good and are whole, for a start at which the files are not.
    private func lastGood(
        _ context: CommandContext, _ accepted: AcceptedFiles, _ looks: RepositoryLooks,
        take: @escaping @Sendable (Holding, [AlertRoute], SecretScrubber) -> Void
    ) -> ReadJobs? {
        for kept in accepted.accepted(context, jobs) {
            if let read = try? read(kept.context, kept.jobs, looks, take: take) { return read }
        }
        return nil
    }

    /// Reads copies of the files.
    private func read(
        _ context: CommandContext, _ jobs: JobOptions, _ looks: RepositoryLooks,
        take: @escaping @Sendable (Holding, [AlertRoute], SecretScrubber) -> Void
    ) throws(HoldfastError) -> ReadJobs {
        // The configuration that runs will be about has to be good as well, and so have those who are told.
        let routes = try context.alertRoutes()
        let filledIn = try jobs.loadFilledIn(context, looks)
        let fresh = Holding(
            options: try context.childOptions() + ["--schedules", try jobs.directory(context)],
            configuration: try context.configuration(),
            filledIn: { JobOptions.filledIn($0, context, looks, isAnew: false) })
        let secrets = context.scrubber
        return ReadJobs(filledIn, take: { take(fresh, routes, secrets) })
    }

    /// Runs `body` while alerts are told by threads that no job waits for. What the last runs ended with is told before
    /// this returns, in bounded time; what is not told then is by the next daemon.
    private static func telling(
        _ dispatcher: AlertDispatcher, _ clock: any Primitives.Clock, _ body: () throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let (stop, abort, isDone) = (Cancellation(), Cancellation(), Cancellation())
        // A daemon that tells nobody of anything would look like one that has nothing to tell.
        guard let telling = JoinableThread({ dispatcher.run(until: stop, abort: abort) }) else {
            throw HoldfastError(
                .processFailed, "no thread to tell alerts with", hint: "Start it again when the machine is less busy.",
                retry: .later)
        }
        let outcome: Result<Void, HoldfastError>
        do throws(HoldfastError) {
            outcome = .success(try body())
        } catch {
            outcome = .failure(error)
        }
        let limit = JoinableThread {
            clock.sleep(for: lastTelling, unless: isDone)
            abort.raise()
        }
        if limit == nil { abort.raise() }
        stop.raise()
        telling.join()
        dispatcher.round(abort: abort)
        isDone.raise()
        limit?.join()
        try outcome.get()
    }

    /// Where runs of a job may leave scratch space: the directory of its plan, and the usual one, which is empty here.
    static func scratch(of job: Job, _ configuration: Configuration?) -> [String] {
        guard case .drill(let plan) = job.action,
            let own = configuration?.drills.first(where: { $0.name == plan })?.directory
        else { return [""] }
        return [own, ""]
    }
}
