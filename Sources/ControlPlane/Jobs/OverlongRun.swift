// Runs that go on for longer than they should.

import Primitives
import Scheduling
import State

/// A run that is under way for much longer than its job's runs are, so that it may hang.
package struct OverlongRun: Sendable, Hashable {
    /// Of the newest runs that succeeded, so many are looked at for how long runs are.
    private static let looked = 30
    /// A length above is none: the clock was set meanwhile.
    private static let longest = Duration.seconds(30 * 86_400)
    /// A run of a job of which nothing is known may take so long.
    private static let unknown = Duration.seconds(86_400)
    /// What is over sooner holds nobody up.
    private static let least = Duration.seconds(600)
    /// After which a run that holds up no other counts as well.
    private static let day = Duration.seconds(86_400)

    package var job: JobName
    package var since: Timestamp

    /// Nil unless the run has gone on for more than ``limit(of:_:)``, and its next run is due or a day has gone by.
    ///
    /// - Parameter good: Runs of the job that succeeded.
    package init?(_ run: ActiveRun, of job: Job, _ good: [RunRecord], at now: Timestamp) {
        guard Self.mayBe(run, of: job, at: now), now.since(run.began) > Self.limit(of: job, good) else { return nil }
        (self.job, since) = (job.name, run.began)
    }

    /// How long a run may take: twice what nine in ten of those that are known took, so that a first backup of
    /// everything says little about the others, or twice what the job's file says, if that is more.
    private static func limit(of job: Job, _ good: [RunRecord]) -> Duration {
        let lengths = good.compactMap { run -> Duration? in
            guard let began = run.began, let ended = run.ended else { return nil }
            let length = ended.since(began)
            return length >= .zero && length <= longest ? length : nil
        }.sorted()
        // The nearest rank: ten of ten, 27 of 30.
        let most = lengths.isEmpty ? nil : lengths[(lengths.count * 9 + 9) / 10 - 1]
        guard let expected = [most, job.expectedDuration].compactMap({ $0 }).max() else { return unknown }
        return max(least, expected * 2)
    }

    /// What can be told without the history.
    private static func mayBe(_ run: ActiveRun, of job: Job, at now: Timestamp) -> Bool {
        let age = now.since(run.began)
        guard run.isRunning, run.isHeld, age > least else { return false }
        let start = run.trigger == .schedule ? run.key.scheduled : run.began
        return age > day || job.schedule.next(after: start).map { $0.instant <= now } ?? false
    }

    /// Those among the runs that are under way.
    package static func all(
        of jobs: [Job], in store: any RunStore & RunHistory, at now: Timestamp
    ) throws(HoldfastError) -> [OverlongRun] {
        var found: [OverlongRun] = []
        for run in try store.active() {
            guard let job = jobs.first(where: { $0.name == run.key.job }), mayBe(run, of: job, at: now) else {
                continue
            }
            let good = try store.history(HistoryQuery(job: job.name, outcome: .succeeded, limit: looked))
            if let overlong = OverlongRun(run, of: job, good, at: now) { found.append(overlong) }
        }
        return found
    }
}

/// The alerts ``JobAlert/overlong(_:)``. Once one fires it does so until the attempt ends, which the store sees to:
/// others may know the job otherwise.
package enum OverlongAlerts {
    /// Tells of the runs among those that are under way.
    ///
    /// - Returns: All that go on for too long.
    @discardableResult
    package static func tell(
        _ jobs: [Job], in store: any RunStore & RunHistory & AlertStore, at now: Timestamp
    ) throws(HoldfastError) -> [OverlongRun] {
        let overlong = try OverlongRun.all(of: jobs, in: store, at: now)
        guard !overlong.isEmpty else { return [] }
        for run in overlong {
            _ = try store.fire(
                JobAlert.overlong(run.job), .warning,
                "the run of job \(run.job) that began at \(run.since) is under way still, for longer than it should be",
                at: now)
        }
        // One that has ended before it was told of left no word to end.
        let active = try store.active()
        for run in overlong
        where !active.contains(where: { $0.key.job == run.job && $0.isRunning && $0.began == run.since }) {
            _ = try store.resolve(JobAlert.overlong(run.job), at: now)
        }
        return overlong
    }
}
