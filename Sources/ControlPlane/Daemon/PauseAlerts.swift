// The alert of a pause, which lasts as long as the pause does.

import Primitives
import Scheduling
import State

/// Alerts that a job is paused.
package enum PauseAlerts {
    private static let (prefix, suffix) = ("job/", "/paused")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// Resolves those of pauses that are over, which nobody takes away.
    package static func end(in store: any RunStore & AlertStore, at now: Timestamp) throws(HoldfastError) {
        let jobs = try store.alerts(all: false).map(\.key).filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
            .map { JobName(String($0.dropFirst(prefix.count).dropLast(suffix.count))) }
        guard !jobs.isEmpty else { return }
        let memories = try store.memories(of: jobs, at: now)
        for job in jobs where memories[job]?.pause?.holds(at: now) != true {
            _ = try store.resolve(key(job), at: now)
        }
    }
}
