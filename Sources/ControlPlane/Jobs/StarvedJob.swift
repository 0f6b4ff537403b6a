// Jobs that something runs, and that never get to run.

import Primitives
import Scheduling
import State

/// What kept a job from running since a while, though nobody ordered so.
package struct StarvedJob: Sendable, Hashable {
    /// Lines of the history that are looked at.
    package static let lines = 100

    /// When the first of the runs was due that did not take place.
    package var since: Timestamp
    /// Why the newest did not.
    package var reason: NonRun.Reason

    /// Nil while the job runs, does not run by an order, or was left out no more than once in a row: starved is one of
    /// which two runs or more in a row did not take place, when the time of the second is over; of one whose schedule
    /// has ended with the first, that one.
    ///
    /// - Parameter lines: The newest ones of the job, newest first.
    package init?(_ job: Job, _ lines: [RunRecord], host: String, at now: Timestamp) {
        var found: [(first: Timestamp, last: Timestamp, reason: NonRun.Reason)] = []
        var kept: (first: Timestamp, reason: NonRun.Reason)?
        look: for line in lines {
            guard case .notRun(let reason, let last, _) = line.state else { break }
            // What an operator was refused says nothing of the schedule.
            if line.trigger == .manual { continue }
            switch reason {
            case .paused, .disabled, .skipped: break look
            // They go with a run that makes up for them, or have an alert of their own.
            case .caughtUp, .overCap, .unreachable: continue
            // Runs that the job's file does not want.
            case .outsideWindow, .blackout: kept = (line.key.scheduled, kept?.reason ?? reason)
            case .missed, .tooLongAgo, .overlap, .startDeadline, .dependency:
                found.append((line.key.scheduled, last, reason))
            }
        }
        if let newest = found.first, let oldest = found.last,
            found.count > 1 || job.schedule.next(after: newest.last) == nil
        {
            let second = found[max(0, found.count - 2)].last
            let end = JobTrouble.startDeadline(of: job, due: second)
            guard let end, end + job.jitter(on: host) <= now else { return nil }
            (since, reason) = (oldest.first, newest.reason)
            return
        }
        guard found.isEmpty, let kept, ScheduleLint.starts(job, host, now).isEmpty else { return nil }
        (since, reason) = (kept.first, kept.reason)
    }
}

/// The alerts `job/NAME/not-run`.
package enum StarvedAlerts {
    private static let (prefix, suffix) = ("job/", "/not-run")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// Tells of a job that does not get to run, after a run of it did not take place.
    package static func tell(
        _ job: Job, in store: any RunStore & RunHistory & AlertStore, host: String, at now: Timestamp
    ) throws(HoldfastError) {
        // A run that goes on for longer than the time to the next has an alert of its own: ``OverlongRun``.
        guard try !store.active().contains(where: { $0.key.job == job.name && $0.isRunning && $0.isHeld }) else {
            return
        }
        let lines = try store.history(HistoryQuery(job: job.name, limit: StarvedJob.lines))
        guard let starved = StarvedJob(job, lines, host: host, at: now) else { return }
        // The same for as long as it lasts, but for its reason.
        _ = try store.fire(
            key(job.name), .warning,
            "no run of job \(job.name) has taken place since \(starved.since): \(starved.reason.rawValue)", at: now)
    }

    /// Resolves those of jobs that have run since, do not run by an order, or are gone; and tells of jobs whose
    /// schedules are over, of which nothing more will be recorded.
    ///
    /// - Parameter jobs: All that there are; nil when they are not known.
    package static func keep(
        _ jobs: [Job]?, in store: any RunStore & RunHistory & AlertStore, host: String, at now: Timestamp
    ) throws(HoldfastError) {
        try end(jobs, in: store, host: host, at: now)
        let over = (jobs ?? []).filter {
            $0.isEnabled && $0.pause?.holds(at: now) != true && $0.schedule.next(after: now) == nil
        }
        guard !over.isEmpty else { return }
        let firing = Set(try store.alerts(all: false).map(\.key))
        let memories = try store.memories(of: over.map(\.name), at: now)
        for job in over where !firing.contains(key(job.name)) {
            guard let memory = memories[job.name], memory.pause?.holds(at: now) != true,
                memory.last.map({ $0.scheduled < memory.through }) ?? true
            else { continue }
            try tell(job, in: store, host: host, at: now)
        }
    }

    private static func end(
        _ jobs: [Job]?, in store: any RunStore & RunHistory & AlertStore, host: String, at now: Timestamp
    ) throws(HoldfastError) {
        let firing = try store.alerts(all: false).filter { $0.key.hasPrefix(prefix) && $0.key.hasSuffix(suffix) }
        guard !firing.isEmpty else { return }
        let names = firing.map { JobName(String($0.key.dropFirst(prefix.count).dropLast(suffix.count))) }
        let memories = try store.memories(of: names, at: now)
        for (alert, name) in zip(firing, names) {
            let job = jobs?.first { $0.name == name }
            let isGone = jobs != nil && job == nil
            let isOrdered =
                job?.isEnabled == false || job?.pause?.holds(at: now) == true
                || memories[name]?.pause?.holds(at: now) == true
            var hasRun = memories[name]?.last.map { $0.began >= alert.since } ?? false
            if let job, !hasRun, alert.since.since(now) > RunMemoryLimits.ahead {
                // It fired under a clock that was ahead; what was recorded then is not so.
                let lines = try store.history(HistoryQuery(job: name, limit: StarvedJob.lines))
                let real = lines.filter { $0.key.scheduled.since(now) <= RunMemoryLimits.ahead }
                hasRun = StarvedJob(job, real, host: host, at: now) == nil
            }
            if isGone || isOrdered || hasRun { _ = try store.resolve(alert.key, at: now) }
        }
    }
}
