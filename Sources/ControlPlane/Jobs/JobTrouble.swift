// What is wrong with a job, by what is remembered of its runs.

import Primitives
import Scheduling

/// Why a job does not do what its file says.
package enum JobTrouble: Sendable, Hashable {
    /// Its newest run did not end well. One whose place another run took has not failed: that one tells how it went.
    case failing(RunOutcome, at: Timestamp)
    /// What was due then has neither run nor been recorded: nothing runs jobs.
    case overdue(since: Timestamp)
    /// Its run of then is under way still, for longer than it should be: ``OverlongRun``.
    case overlong(since: Timestamp)
    /// What is due of it does not take place since then, though nobody ordered so: ``StarvedJob``.
    case starved(since: Timestamp, NonRun.Reason)

    /// For a machine that has just started, and a scheduler that is a little late.
    private static let grace = Duration.seconds(600)

    /// A last instant of a schedule has no next one that would end its time.
    private static let lastChance = Duration.seconds(86_400)

    /// Until when what was due has been started, or recorded as not run, by whatever runs jobs; nil for the last
    /// instant of a schedule that may have to wait for a window.
    static func startDeadline(of job: Job, due: Timestamp) -> Timestamp? {
        if let deadline = job.startDeadline { return due + deadline }
        if let next = job.schedule.next(after: due) { return next.instant }
        return job.windows.isEmpty && job.blackouts.isEmpty ? due + lastChance : nil
    }

    /// Whether the run shows that something runs jobs: its lease holds, or it waits for another attempt and that is not
    /// long overdue.
    package static func isActive(_ run: ActiveRun, of job: Job, at now: Timestamp) -> Bool {
        guard run.key.job == job.name else { return false }
        guard case .waiting(let until) = run.phase else { return run.isHeld }
        return until + grace > now && until.since(now) <= job.retries.longestBackoff + grace
    }

    /// Nil when the job is as it should be, does not run now by an order, or has not been due since it is known.
    ///
    /// - Parameters:
    ///   - memory: Nil when nothing is remembered.
    ///   - isActive: A run of it is active, by ``isActive(_:of:at:)``.
    ///   - stuck: When a run of it was to have its next attempt that is not active.
    package init?(
        _ job: Job, _ memory: JobMemory?, isActive: Bool, stuck: Timestamp? = nil, host: String, at now: Timestamp
    ) {
        guard job.isEnabled, job.pause?.holds(at: now) != true, let memory, memory.pause?.holds(at: now) != true else {
            return nil
        }
        if !isActive, let due = job.schedule.next(after: memory.through)?.instant {
            let deadline = Self.startDeadline(of: job, due: due)
            if let deadline, deadline + job.jitter(on: host) + Self.grace < now {
                self = .overdue(since: due)
                return
            }
        }
        if !isActive, let stuck {
            self = .overdue(since: stuck)
            return
        }
        guard let last = memory.last, last.outcome != .succeeded, last.outcome != .replaced else { return nil }
        self = .failing(last.outcome, at: last.ended)
    }
}
