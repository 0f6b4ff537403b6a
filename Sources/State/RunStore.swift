// Where runs, orders and alerts are kept: the protocols, which say nothing of the engine below them.

import Primitives
import Scheduling

/// What a store can do.
package struct RunStoreCapabilities: Sendable, Hashable {
    /// What was written is there after the process or the machine stopped at any moment.
    package var isDurable: Bool
    /// Schedulers on several hosts can share it.
    package var servesSeveralHosts: Bool

    package init(isDurable: Bool, servesSeveralHosts: Bool) {
        self.isDurable = isDurable
        self.servesSeveralHosts = servesSeveralHosts
    }
}

/// A run whose lease ran out.
package struct DeadRun: Sendable, Hashable {
    package var key: RunKey
    package var attempt: Int
    /// The fencing token of the claim that is dead.
    package var fence: Int64
    package var holder: RunHolder
    /// Whether it is to be started once more.
    package var isRestarted: Bool

    package init(key: RunKey, attempt: Int, fence: Int64, holder: RunHolder, isRestarted: Bool) {
        self.key = key
        self.attempt = attempt
        self.fence = fence
        self.holder = holder
        self.isRestarted = isRestarted
    }
}

/// Which lines of the history are wanted.
package struct HistoryQuery: Sendable, Hashable {
    package var job: JobName?
    /// Lines that began or were recorded from here on.
    package var from: Timestamp?
    package var until: Timestamp?
    /// Runs that ended so, and nothing else.
    package var outcome: RunOutcome?
    package var limit: Int

    package init(
        job: JobName? = nil, from: Timestamp? = nil, until: Timestamp? = nil, outcome: RunOutcome? = nil,
        limit: Int = 100
    ) {
        self.job = job
        self.outcome = outcome
        self.from = from
        self.until = until
        self.limit = limit
    }
}

/// Tells how runs stand. It throws what ``RunStore`` does.
package protocol RunStandings: Sendable {
    /// How a run stands; nil when nothing is known of it.
    func run(_ key: RunKey) throws(HoldfastError) -> RunRecord?

    /// All runs that have not ended.
    func active() throws(HoldfastError) -> [ActiveRun]

    /// The newest ended check of each repository, job, extent and outcome, also of jobs that are gone.
    func checks() throws(HoldfastError) -> [CheckRecord]

    /// A number that is another one after anybody has written anything; of this opened store alone.
    func revision() throws(HoldfastError) -> Int64
}

/// Keeps runs. A key (``RunKey``) is run once: it has at most one lease at a time and at most one completion.
///
/// Lines of runs that ended are kept for ``HistoryLimits/age``, and ``HistoryLimits/lines`` of each job at most; what
/// is thinned out lies before ``JobMemory/through``, so that the schedule does not run it again.
///
/// Every method is one transaction: on return all of it is durable, on failure none of it took place. Methods block and
/// may be called from any thread. Leases are measured by a clock that wall time cannot step (``RunStoreClock``).
///
/// All throw `.busy` (`retry: .later`) when the store is locked by others for longer than its patience,
/// `.corruptObject` when it is damaged, `.noSpace`, `.accessDenied` and `.inputOutput` for what they say.
package protocol RunStore: RunStandings {
    var capabilities: RunStoreCapabilities { get }

    /// A number that tells this state from every other one, whose jobs and tokens may be the same, and from its copies.
    var identity: Int64 { get }

    /// Takes the run for `lease`, with a fencing token larger than every one before.
    ///
    /// A run that waits for another attempt is taken for that one. `.schedule` also moves ``JobMemory/through``, and is
    /// refused for what lies before it; of a job of which no run of its schedule is known nothing is in the past.
    /// - Throws: `.runTaken` when the run is under way, has ended, or was recorded as not run. `.busy`, without a
    ///   retry, while another run of the job is under way whose lease has not run out.
    func begin(
        _ key: RunKey, _ trigger: RunTrigger, holder: RunHolder, lease: Duration, at now: Timestamp
    ) throws(HoldfastError) -> RunClaim

    /// Ends a run that waits for another attempt, or that nobody began, without an attempt at it.
    ///
    /// - Throws: `.runTaken` when the run is under way, has ended, or was recorded as not run.
    func conclude(
        _ key: RunKey, _ trigger: RunTrigger, _ completion: RunCompletion, at now: Timestamp
    ) throws(HoldfastError)

    /// Lengthens the lease to `lease` from now.
    ///
    /// - Throws: `.leaseLost` when the run is not this claim's any more.
    func renew(_ claim: RunClaim, lease: Duration) throws(HoldfastError)

    /// Writes the end of the attempt; the lease is free. Retry: safe, the same completion again is success.
    ///
    /// That the attempt went on for too long (``JobAlert/overlong(_:)``) is over with it, however it ended.
    /// The end of the run fires the alert ``JobAlert/key(_:)``, or resolves it and those of damage which is known no
    /// more, in the same transaction. Its line is noted at `now`, whenever it ended.
    /// - Throws: `.leaseLost` when the run is not this claim's any more; nothing is written then.
    func complete(_ claim: RunClaim, _ completion: RunCompletion, at now: Timestamp) throws(HoldfastError)

    /// Writes runs of a job that do not take place. Retry: safe, with the same `now`.
    ///
    /// Those of `.schedule` take their keys, move ``JobMemory/through``, and end an order to skip with their reason
    /// `.skipped`. Those of `.manual` are lines of the history alone: what was refused may be asked for again, also
    /// within the same second.
    func record(
        _ nonRuns: [NonRun], of job: JobName, _ trigger: RunTrigger, at now: Timestamp
    ) throws(HoldfastError)

    /// Finds runs whose leases ran out, at most 1,000, and marks them: each waits to be started once more, or has ended
    /// as ``RunOutcome/died`` when it was already, which fires the alert of its job in the same transaction.
    ///
    /// - Parameters:
    ///   - holder: Those of this holder count as run out at once; their process is known to be gone.
    ///   - tokens: Fencing tokens of claims that are left as they are.
    func buryDead(
        gone holder: RunHolder?, sparing tokens: Set<Int64>, at now: Timestamp
    ) throws(HoldfastError) -> [DeadRun]

    /// What is remembered of these jobs; those seen for the first time begin at `now`.
    ///
    /// A ``JobMemory/through`` that lies further ahead of `now` than ``RunMemoryLimits/ahead`` was written under a
    /// wrong clock. It is set back to `now`, unless `now` itself is before ``RunMemoryLimits/oldestClock``.
    func memories(of jobs: [JobName], at now: Timestamp) throws(HoldfastError) -> [JobName: JobMemory]
}

extension RunStore {
    package func buryDead(gone holder: RunHolder?, at now: Timestamp) throws(HoldfastError) -> [DeadRun] {
        try buryDead(gone: holder, sparing: [], at: now)
    }
}

/// Tells what was.
package protocol RunHistory: Sendable {
    /// Lines of the history, newest first.
    func history(_ query: HistoryQuery) throws(HoldfastError) -> [RunRecord]
}

/// Keeps what checks found that are no runs of jobs.
package protocol CheckLedger: Sendable {
    /// A fencing token for a check that begins now.
    func beginCheck(at now: Timestamp) throws(HoldfastError) -> Int64

    /// Writes how the check ended that began with this token.
    func endCheck(
        _ token: Int64, _ check: CheckNote, _ outcome: RunOutcome, at now: Timestamp
    ) throws(HoldfastError)
}

/// Keeps what operators ordered of jobs.
package protocol OrderStore: Sendable {
    /// Puts the job on hold, or takes the hold away when `order` is nil. Says whether there was one before.
    func pause(_ job: JobName, _ order: StandingOrder?, at now: Timestamp) throws(HoldfastError) -> Bool

    /// Leaves out the next run, or not after all when `order` is nil. Says whether there was such an order before.
    func skip(_ job: JobName, _ order: StandingOrder?, at now: Timestamp) throws(HoldfastError) -> Bool
}

/// Keeps alerts by their keys.
package protocol AlertStore: Sendable {
    /// Lets an alert fire, or changes it. Returns it when that changed anything.
    func fire(
        _ key: String, _ severity: AlertRecord.Severity, _ summary: String, at now: Timestamp
    ) throws(HoldfastError) -> AlertRecord?

    /// Resolves an alert. Returns it when it was firing.
    func resolve(_ key: String, at now: Timestamp) throws(HoldfastError) -> AlertRecord?

    /// Alerts by their keys; those that fire alone unless all are wanted.
    func alerts(all: Bool) throws(HoldfastError) -> [AlertRecord]

    /// Alerts of at least `severity` whose last change `notifier` was not told of, oldest change first, at most 100 of
    /// those that follow `last`.
    ///
    /// A notifier that is named for the first time gets those that fire, and of the others none that was resolved
    /// before.
    func untoldAlerts(
        for notifier: String, from severity: AlertRecord.Severity, after last: AlertRecord?, at now: Timestamp
    ) throws(HoldfastError) -> [AlertRecord]

    /// `notifier` was told of this change of the alert. A later one is still to be told.
    func markTold(_ alert: AlertRecord, to notifier: String) throws(HoldfastError)
}

extension AlertStore {
    package func untoldAlerts(
        for notifier: String, from severity: AlertRecord.Severity, at now: Timestamp
    ) throws(HoldfastError) -> [AlertRecord] {
        try untoldAlerts(for: notifier, from: severity, after: nil, at: now)
    }
}

/// How much of the history is kept.
package enum HistoryLimits {
    /// 400 days: a year of a yearly job, with some time to look at it.
    package static let age = Duration.seconds(400 * 86_400)
    /// Of each job; the newest.
    package static let lines = 10_000
    /// Of one job after another the history is looked through, at every so many fencing tokens.
    static let interval: Int64 = 64
    /// Where the history is sealed, so many lines of each job are kept until they are: more than one a second in a day.
    package static let unsealedLines = 100_000
    /// A clock that goes on by more than this between two tokens may be wrong.
    package static let clockStep = Duration.seconds(30 * 86_400)
    /// It is taken for right when it has gone on for so long.
    package static let clockProof = Duration.seconds(7 * 86_400)
}

/// By what leases are measured.
package struct RunStoreClock: Sendable {
    /// What names the boot of this machine: after another one every lease has run out.
    package var boot: String
    /// A clock that wall time cannot step.
    package var uptime: @Sendable () -> Duration

    package init(boot: String, uptime: @escaping @Sendable () -> Duration) {
        self.boot = boot
        self.uptime = uptime
    }
}
