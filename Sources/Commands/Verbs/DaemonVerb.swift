// holdfast daemon: runs jobs when they are due, until it is told to stop.

import ArgumentParser
import Configuration
import ControlPlane
import Logging
import Primitives
import Recovery
import Scheduling
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
            let logger = context.serviceLogger(context.scrubber)
            let launcher = try ProcessLauncher(
                program: try OwnProgram.path(),
                options: try context.childOptions() + ["--schedules", Host.absolutePath(try jobs.directory(context))],
                password: context.inheritedPassword, runner: context.runner)
            var around = RunLoopSurroundings(
                store: store, spool: try context.outcomeSpool(), launcher: launcher, clock: context.clock,
                host: Host.name, logger: logger
            ) { () throws(HoldfastError) in
                // The configuration that runs will be about has to be good as well.
                _ = try context.configuration()
                return try jobs.loadFilledIn(context)
            }
            around.limits.running = maxRunning
            if let drain { around.drain = drain.duration }
            let clock = context.clock
            around.sweep = { _ = Descendants.end(grace: .zero, clock: clock, sparing: $0) }
            around.cleanUp = { job in
                guard JobTypes.leavesScratch(job) else { return }
                for path in Drill.removeLeftovers(scratch: nil) {
                    logger.notice("scratch space of a drill that died was removed", metadata: ["path": "\(path)"])
                }
            }
            let beats = Heartbeats(manager, clock: context.clock)
            around.heartbeat = { beats.beat() }
            let dispatcher = AlertDispatcher(
                store, try context.alertRoutes(), host: Host.name, clock: context.clock, logger: logger)
            let stop = Cancellation()
            // A thread that no job waits for.
            let telling = JoinableThread { dispatcher.run(until: stop) }
            defer {
                stop.raise()
                telling?.join()
            }
            try Daemon.run(RunLoop(around), manager: manager, logger: logger)
            // What the last runs ended with is told before the end.
            dispatcher.round(until: stop)
            return .success
        }
    }
}
