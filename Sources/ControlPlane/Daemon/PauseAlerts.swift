// The alert of a pause, which lasts as long as the pause does.

import Primitives
import Scheduling
import State

/// Alerts that a job is paused.
package enum PauseAlerts {
    private static let (prefix, suffix) = ("job/", "/paused")

    package static func key(_ job: JobName) -> String { prefix + job.description + suffix }

    /// Lets those of pauses in files of jobs fire, and resolves those of pauses that are over.
    ///
    /// - Parameter jobs: All that there are.
    package static func keep(
        _ jobs: [Job], in store: any RunStore & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let paused = jobs.filter { $0.pause?.holds(at: now) == true }
        if !paused.isEmpty {
            let memories = try store.memories(of: paused.map(\.name), at: now)
            let firing = Dictionary(
                try store.alerts(all: false).map { ($0.key, $0.summary) }, uniquingKeysWith: { one, _ in one })
            for job in paused {
                // What was ordered beside the file has told of itself.
                guard let pause = job.pause, memories[job.name]?.pause?.holds(at: now) != true else { continue }
                let text = "job \(job.name) is paused \(pause.text)"
                if firing[key(job.name)] != text { _ = try store.fire(key(job.name), .warning, text, at: now) }
            }
        }
        try end(jobs, in: store, at: now)
    }

    /// Resolves those of pauses that are over, which nobody takes away.
    ///
    /// - Parameter jobs: All that there are; nil when they are not known, and then one may be paused by its file.
    package static func end(
        _ jobs: [Job]? = nil, in store: any RunStore & AlertStore, at now: Timestamp
    ) throws(HoldfastError) {
        let names = try store.alerts(all: false).map(\.key).filter { $0.hasPrefix(prefix) && $0.hasSuffix(suffix) }
            .map { JobName(String($0.dropFirst(prefix.count).dropLast(suffix.count))) }
        guard !names.isEmpty else { return }
        let memories = try store.memories(of: names, at: now)
        for name in names {
            let order = memories[name]?.pause
            let isInFile = jobs.map { $0.first { $0.name == name }?.pause?.holds(at: now) == true } ?? (order == nil)
            if order?.holds(at: now) != true, !isInFile { _ = try store.resolve(key(name), at: now) }
        }
    }
}

extension Pause {
    /// Such as `by its file until 2026-12-01T00:00:00Z: migration`.
    package var text: String { "by its file" + (until.map { " until \($0)" } ?? "") + ": \(reason)" }
}
