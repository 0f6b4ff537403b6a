// What is known of a repository by the checks of it, and not only by the newest.

import Primitives

extension CheckRecord {
    /// Whether this check, which found nothing, has looked at all that `earlier` looked at and found damaged.
    ///
    /// Every check looks at the structure. One with a budget finds damage until it has read again and found good all
    /// that is marked as damaged in its memory.
    func clears(_ earlier: CheckRecord) -> Bool {
        guard outcome == .succeeded, began > earlier.noted else { return false }
        switch earlier.note.extent {
        case .structure: return true
        case .everything: return note.extent == .everything
        case .part:
            guard note.extent == .part else { return note.extent == .everything }
            return note.memory != nil && note.memory == earlier.note.memory
        }
    }
}

extension CheckRecord {
    /// The same check with the place that its job's file says, if it does: there was a time when none was remembered.
    /// Of runs of before it is not known that they were checks: of one of a job that does something else this is nil,
    /// since it was none, and tells of itself elsewhere.
    package func placed(by jobs: [Job]) -> CheckRecord? {
        guard note.repository == nil, began == noted, let job = jobs.first(where: { $0.name == job }) else {
            return self
        }
        guard case .check = job.action else { return nil }
        var placed = self
        placed.note.repository = (job.reach?.repositories.first ?? nil)?.path
        return placed
    }
}

/// What the checks of a repository come to.
package struct CheckStanding: Sendable, Hashable {
    /// The newest check, however it ended.
    package var newest: CheckRecord?
    /// The newest one that found damage which no later one has shown to be gone.
    package var damage: CheckRecord?
    /// All that did.
    package var damages: [CheckRecord]

    /// - Parameter repository: What else was checked says nothing; nil when it is not known which it is, and then
    ///   damage of any may be its own.
    package init(_ all: [CheckRecord], of repository: String?) {
        let checks = all.filter { check in
            guard let repository, let place = check.note.repository else { return true }
            return place == repository
        }
        newest = checks.max { $0.noted < $1.noted }
        damages =
            checks.filter { bad in
                bad.outcome == .checkFailed
                    && !checks.contains { good in
                        // Only what is known to be of the same place, or of a job that says so, clears it.
                        (good.note.repository == bad.note.repository || bad.note.repository == nil)
                            && good.clears(bad)
                    }
            }
        damage = damages.max { $0.noted < $1.noted }
    }
}
