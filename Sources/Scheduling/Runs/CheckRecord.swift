// What is remembered of checks of repositories, apart from the jobs that ran them.

import Primitives

/// How much of the packs a check read.
package enum CheckExtent: String, Sendable, CaseIterable {
    /// The structure alone.
    case structure
    /// So much as its budget allowed.
    case part
    case everything

    /// Whether what looks at this much looks at all that `other` does.
    package func covers(_ other: CheckExtent) -> Bool {
        switch (self, other) {
        case (.everything, _), (_, .structure), (.part, .part): true
        default: false
        }
    }
}

extension CheckBudget {
    package var extent: CheckExtent {
        switch self {
        case .structure: .structure
        case .everything: .everything
        case .time, .bytes: .part
        }
    }
}

/// What a run that checked a repository was about, as it was when it ran.
package struct CheckNote: Sendable, Hashable {
    package var extent: CheckExtent
    /// Where the repository is; nil when that is not known, and then it may be any.
    package var repository: String?
    /// Of a check with a budget, the memory in which it marks what is damaged; nil when it could not.
    package var memory: String?

    package init(_ extent: CheckExtent, repository: String?, memory: String? = nil) {
        self.extent = extent
        self.repository = repository
        self.memory = memory
    }

    /// What a check says that read with `budget`. Without a memory its success says nothing of packs that an earlier
    /// one found damaged, and nothing less than a whole check shows that its own damage is gone.
    package init(_ budget: CheckBudget, _ outcome: RunOutcome, repository: String?, memory: String?) {
        self.init(budget.extent, repository: repository, memory: memory)
        guard extent == .part, memory == nil else { return }
        extent = outcome == .checkFailed ? .everything : .structure
    }
}

/// An ended check. Fencing tokens say what came before what: no clock steps them.
package struct CheckRecord: Sendable, Hashable {
    /// In the place of a job: a check that somebody ran by hand.
    package static let byHand = JobName("")

    package var job: JobName
    package var note: CheckNote
    package var outcome: RunOutcome
    /// The fencing token of its claim.
    package var began: Int64
    /// A token that was given when its end was written.
    package var noted: Int64
    package var ended: Timestamp

    package init(
        job: JobName, note: CheckNote, outcome: RunOutcome, began: Int64, noted: Int64, ended: Timestamp
    ) {
        self.job = job
        self.note = note
        self.outcome = outcome
        self.began = began
        self.noted = noted
        self.ended = ended
    }
}
