// Runs that go on for longer than they should.

import Primitives
import Scheduling
import State

/// A run that is under way for longer than its job's runs are, so that it may hang.
package struct OverlongRun: Sendable, Hashable {
    /// Lines of the history that are looked at for how long runs are.
    private static let lines = 100
    /// A run of a job of which nothing is known may take so long.
    private static let unknown = Duration.seconds(86_400)
    /// What is over sooner holds nobody up.
    private static let least = Duration.seconds(600)
    /// After which a run that holds up no other counts as well.
    private static let day = Duration.seconds(86_400)

    package var job: JobName
    package var since: Timestamp

    /// Nil unless the run has gone on for more than twice the longest that is known of its job, and its next run is
    /// due or a day has gone by.
    ///
    /// - Parameter lines: Lines of the job's history.
    package init?(_ run: ActiveRun, of job: Job, _ lines: [RunRecord], at now: Timestamp) {
        guard run.isRunning, run.isHeld, Self.mayBe(run, of: job, at: now) else { return nil }
        let known = lines.compactMap { line -> Duration? in
            guard case .ended(.succeeded) = line.state, let began = line.began, let ended = line.ended else {
                return nil
            }
            return ended.since(began)
        }
        let longest = (known + [job.expectedDuration].compactMap { $0 }).max()
        guard now.since(run.began) > longest.map({ max(Self.least, $0 * 2) }) ?? Self.unknown else { return nil }
        (self.job, since) = (job.name, run.began)
    }

    /// What can be told without the history.
    private static func mayBe(_ run: ActiveRun, of job: Job, at now: Timestamp) -> Bool {
        let age = now.since(run.began)
        guard age > least else { return false }
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
            let lines = try store.history(HistoryQuery(job: job.name, limit: Self.lines))
            if let overlong = OverlongRun(run, of: job, lines, at: now) { found.append(overlong) }
        }
        return found
    }
}

/// The alerts `job/NAME/overlong`.
package enum OverlongAlerts {
    private static let (prefix, suffix) = ("job/", "/overlong")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// Lets them fire and end with their causes.
    ///
    /// - Parameter jobs: All that there are.
    package static func keep(
        _ jobs: [Job], in store: any RunStore & RunHistory & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let overlong = try OverlongRun.all(of: jobs, in: store, at: now)
        for run in overlong {
            _ = try store.fire(
                key(run.job), .warning,
                "the run of job \(run.job) that began at \(run.since) is under way still, for longer than its runs are",
                at: now)
        }
        let keys = Set(overlong.map { key($0.job) })
        for alert in try store.alerts(all: false)
        where alert.key.hasPrefix(prefix) && alert.key.hasSuffix(suffix) && !keys.contains(alert.key) {
            _ = try store.resolve(alert.key, at: now)
        }
    }
}
