// The loop of the daemon: asks the planner what to do, and does it.

import Glibc
import Logging
import Primitives
import Scheduling
import State
import Synchronization

/// Starts the process of a run.
package protocol RunLauncher: Sendable {
    /// - Throws: `.processFailed` when it cannot be started.
    func launch(_ key: RunKey) throws(HoldfastError) -> any RunningProcess
}

/// Jobs that were read. Nothing goes by them until they are taken, which cannot fail.
package struct ReadJobs: Sendable {
    package var jobs: [Job]
    /// Called when they hold from now on, with all that was read beside them.
    package var take: @Sendable () -> Void
    /// Called when they do not hold after all.
    package var drop: @Sendable () -> Void

    package init(
        _ jobs: [Job], take: @escaping @Sendable () -> Void = {}, drop: @escaping @Sendable () -> Void = {}
    ) {
        self.jobs = jobs
        self.take = take
        self.drop = drop
    }
}

/// What is known of the places of repositories. None of this blocks: a place may hang for ever.
package struct PlaceWatch: Sendable {
    /// Those that do not answer.
    package var silent: @Sendable () -> Set<String>
    /// The same jobs, by what is known now.
    package var filledIn: @Sendable ([Job]) -> [Job]
    /// Has places looked at again, since a run could not begin.
    package var ask: @Sendable (Set<String>) -> Void

    package init(
        silent: @escaping @Sendable () -> Set<String>, filledIn: @escaping @Sendable ([Job]) -> [Job],
        ask: @escaping @Sendable (Set<String>) -> Void
    ) {
        self.silent = silent
        self.filledIn = filledIn
        self.ask = ask
    }
}

/// What the loop needs from around it.
package struct RunLoopSurroundings: Sendable {
    package var store: any RunStore & RunHistory & AlertStore
    package var spool: OutcomeSpool
    package var launcher: any RunLauncher
    package var clock: any Clock
    package var host: String
    package var logger: Logger
    /// Reads the jobs again, as at the start.
    package var jobs: @Sendable () throws(HoldfastError) -> ReadJobs
    /// The jobs that were taken last, for a start at which they cannot be read; nil when there are none.
    package var lastGood: @Sendable () -> ReadJobs? = { nil }
    package var places = PlaceWatch(silent: { [] }, filledIn: { $0 }, ask: { _ in })
    /// Removes what a run of this job left behind that died.
    package var cleanUp: @Sendable (Job) -> Void = { _ in }
    /// Ends what runs left behind that have ended: every process below this one that nobody here waits for.
    package var endOrphans: @Sendable () -> Void = {}
    /// Told once, after the first turn: what was due has been looked at.
    package var ready: @Sendable () -> Void = {}
    /// Knows the secrets of this process and those that it hands on.
    package var scrubber = SecretScrubber()
    /// Told at every turn: the loop lives.
    package var heartbeat: @Sendable () -> Void = {}
    package var limits = RunPlanner.Limits()
    /// For how long runs may go on after a drain began.
    package var drain = Duration.seconds(300)

    package init(
        store: any RunStore & RunHistory & AlertStore, spool: OutcomeSpool, launcher: any RunLauncher,
        clock: any Clock, host: String, logger: Logger, jobs: @escaping @Sendable () throws(HoldfastError) -> ReadJobs
    ) {
        self.store = store
        self.spool = spool
        self.launcher = launcher
        self.clock = clock
        self.host = host
        self.logger = logger
        self.jobs = jobs
    }
}

/// Runs jobs until it is told to drain. One thread; others speak to it through ``drain()``, ``reload()``.
package final class RunLoop: Sendable {
    private struct Orders {
        var isDraining = false
        var isReloading = false
    }

    /// Turns come at least so often while runs are under way, to see their ends.
    private static let busyTurn = Duration.milliseconds(100)
    /// And so often without: orders of operators are in the store.
    private static let idleTurn = Duration.seconds(1)
    private static let burial = Duration.seconds(10)

    let around: RunLoopSurroundings
    private let orders = Mutex(Orders())

    package init(_ around: RunLoopSurroundings) { self.around = around }

    /// No run begins any more; the loop ends when those under way have ended.
    package func drain() { orders.withLock { $0.isDraining = true } }

    /// Jobs are read again at the next turn; what is wrong with them leaves the old ones as they are.
    package func reload() { orders.withLock { $0.isReloading = true } }

    /// Blocks until the drain is over.
    ///
    /// - Throws: What reading the jobs at the start throws when there are none that were good before, and
    ///   `.corruptObject` for a damaged store. Runs under way are ended then.
    package func run() throws(HoldfastError) {
        let (read, failure) = try jobsAtStart()
        let now = around.clock.now()
        // Ends that are beside the store are taken in by the first look for the dead.
        var turn: Turn
        do throws(HoldfastError) {
            turn = try Turn(around, read.jobs, at: now)
        } catch {
            read.drop()
            throw error
        }
        read.take()
        if let failure { turn.noteBadJobs(failure, severity: .critical) }
        var watch = ClockWatch(wall: now, uptime: around.clock.uptime())
        var nextBurial = around.clock.uptime()
        var drainEnd: Duration?
        var isReady = false
        around.logger.notice("the daemon began", metadata: ["jobs": "\(read.jobs.count)"])
        while true {
            around.heartbeat()
            let orders = orders.withLock { orders in
                defer { orders.isReloading = false }
                return orders
            }
            if orders.isReloading { turn.reload() }
            let uptime = around.clock.uptime()
            if let step = watch.look(wall: around.clock.now(), uptime: uptime) { turn.noteClockStep(step) }
            if uptime >= nextBurial {
                try turn.guarded { (turn) throws(HoldfastError) in
                    try turn.bury()
                    try turn.keepAlerts()
                }
                nextBurial = uptime + Self.burial
            }
            try turn.guarded { (turn) throws(HoldfastError) in
                try turn.collect()
                try turn.sweep()
                try turn.lookAtPlaces()
                if !orders.isDraining { try turn.decide() }
            }
            if !isReady {
                around.ready()
                isReady = true
            }
            if orders.isDraining {
                let end = drainEnd ?? uptime + around.drain
                if drainEnd == nil {
                    around.logger.notice("no run begins any more", metadata: ["running": "\(turn.runningCount)"])
                }
                drainEnd = end
                if turn.isIdle { break }
                if uptime >= end {
                    // Of runs whose ends cannot be looked at now the next daemon learns from the store.
                    if turn.runningCount == 0 { break }
                    turn.stopAll()
                }
            }
            around.clock.sleep(for: pause(turn, isDraining: orders.isDraining), unless: Cancellation())
        }
        around.logger.notice("the daemon ended")
    }

    /// The jobs, or those that were good last and why they are not.
    private func jobsAtStart() throws(HoldfastError) -> (ReadJobs, HoldfastError?) {
        do throws(HoldfastError) {
            return (try around.jobs(), nil)
        } catch {
            guard let old = around.lastGood() else { throw error }
            return (old, error)
        }
    }

    private func pause(_ turn: Turn, isDraining: Bool) -> Duration {
        let most = turn.runningCount == 0 ? Self.idleTurn : Self.busyTurn
        // In a drain nothing begins, however long it is due.
        guard !isDraining, let wake = turn.wake else { return most }
        return max(.milliseconds(10), min(most, wake.since(around.clock.now())))
    }
}
