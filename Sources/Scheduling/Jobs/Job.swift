// A job: what is done, when, and what holds for its runs. Values only; nothing here runs anything.

import Primitives

/// The name of a job, unique among the jobs of a directory.
package struct JobName: Hashable, Sendable, Comparable, CustomStringConvertible {
    package let description: String

    package init(_ text: String) { description = text }

    package static func < (one: JobName, other: JobName) -> Bool { one.description < other.description }
}

/// What nothing runs twice for: a job, and the instant in UTC for which it was due, before jitter.
package struct RunKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    package var job: JobName
    /// To the whole second.
    package var scheduled: Timestamp

    package init(job: JobName, scheduled: Timestamp) {
        self.job = job
        self.scheduled = Timestamp(seconds: scheduled.seconds)
    }

    /// `nightly@2026-11-24T02:00:00Z`.
    package var description: String { "\(job)@\(scheduled)" }

    package static func < (one: RunKey, other: RunKey) -> Bool {
        (one.scheduled, one.job) < (other.scheduled, other.job)
    }
}

/// What a run of a job does.
package enum JobAction: Sendable, Hashable {
    /// A snapshot of each of these sources; of all sources of the configuration when there are none.
    case backup(sources: [String])
    /// The retention of the configuration for these sources, or for all that have some; space is freed when `prune`.
    case forget(sources: [String], prune: Bool)
    case check(CheckBudget)
    /// A plan of a drill, or a source.
    case drill(plan: String)
    /// The repository is brought to these places, or to all its mirrors when there are none.
    case mirror(to: [String])
    /// What ran and did not run on the days that are over is sealed into the repository.
    case ledger
    /// What is due by these policies of rotation, or by all of them when there are none.
    case rotate(policies: [String])
    /// A program with its arguments; there is no shell.
    case command([String])

    package var kind: String {
        switch self {
        case .backup: "backup"
        case .forget: "forget"
        case .check: "check"
        case .drill: "drill"
        case .mirror: "mirror"
        case .ledger: "ledger"
        case .rotate: "rotate"
        case .command: "command"
        }
    }
}

/// Where a repository is.
package struct RepositorySite: Sendable, Hashable, ExpressibleByStringLiteral {
    package var path: String
    /// What two ways to one place have in common though their paths differ, as of a place that is mounted twice. Good
    /// for a comparison now; after a start of the machine they may be others.
    package var marks: Set<String>

    package init(path: String, marks: Set<String> = []) {
        self.path = path
        self.marks = marks
    }

    /// A place of which the path alone is known.
    package init(stringLiteral path: String) { self.init(path: path) }

    package func isOne(with other: RepositorySite) -> Bool {
        path == other.path || !marks.isDisjoint(with: other.marks)
    }
}

/// What the runs of a job are about, with all that the configuration fills in.
package struct JobReach: Sendable, Hashable {
    /// A source as it is in one repository.
    package struct Part: Sendable, Hashable {
        package var source: String
        /// Where it is; nil when that is not known, and then it may be anywhere.
        package var repository: RepositorySite?

        package init(source: String, repository: RepositorySite?) {
            self.source = source
            self.repository = repository
        }
    }

    /// What runs read, thin out or restore; none for checks, mirrors and commands.
    package var parts: Set<Part>
    /// The repositories that runs work on.
    package var repositories: Set<RepositorySite?>
    /// The same as they are written.
    package var locations: Set<String>
    /// Those of ``locations`` that do not answer: no run may begin, since nobody could end it.
    package var silent: Set<String>

    package init(
        parts: Set<Part>, repositories: Set<RepositorySite?>, locations: Set<String> = [], silent: Set<String> = []
    ) {
        self.parts = parts
        self.repositories = repositories
        self.locations = locations
        self.silent = silent
    }

    package var sources: Set<String> { Set(parts.map(\.source)) }

    /// Whether both may be about one repository.
    package func sharesRepository(with other: JobReach) -> Bool {
        repositories.contains { one in other.repositories.contains { Self.mayBeOne(one, $0) } }
    }

    /// Whether both may be about one source in one repository.
    package func sharesPart(with other: JobReach) -> Bool {
        parts.contains { one in
            other.parts.contains { $0.source == one.source && Self.mayBeOne($0.repository, one.repository) }
        }
    }

    /// Whether two places may be the same; of what is not known it is assumed.
    static func mayBeOne(_ one: RepositorySite?, _ other: RepositorySite?) -> Bool {
        guard let one, let other else { return true }
        return one.isOne(with: other)
    }
}

/// How much of the packs a check reads. Those whose last check lies furthest back come first.
package enum CheckBudget: Sendable, Hashable {
    /// The structure alone.
    case structure
    case everything
    /// As much as can be read in this time; a pack that was begun is finished.
    case time(Duration)
    case bytes(ByteCount)
}

/// A job of a file.
package struct Job: Sendable {
    package var name: JobName
    package var action: JobAction
    /// The name of a repository of the configuration; nil for the one that the sources or the configuration say.
    package var repository: String?
    /// What its runs are about by the configuration; nil while nobody has looked there. Then it may be anything.
    package var reach: JobReach?
    package var schedule: Schedule
    /// Every run is put off by a part of this that depends on the job and the host alone.
    package var jitter: Duration = .zero
    /// Runs start inside one of these; at any time when there are none.
    package var windows: [Span] = []
    /// No run starts inside one of these.
    package var blackouts: [Span] = []
    /// Jobs whose newest run must have ended well, after the last run of this one began, before this one starts.
    package var after: [JobName] = []
    package var concurrency: [ConcurrencyGroup: OverlapPolicy] = [.source: .skip]
    package var retries = RetryPolicy()
    /// How late a run may start; nil for until the next is due.
    package var startDeadline: Duration?
    /// How long a run may take before it is ended; nil for as long as it takes.
    package var runDeadline: Duration?
    package var catchUp = CatchUpPolicy()
    /// How long a run is expected to take, for `schedule lint`, until runs are measured.
    package var expectedDuration: Duration?
    package var isEnabled = true
    package var pause: Pause?

    package init(name: JobName, action: JobAction, schedule: Schedule) {
        self.name = name
        self.action = action
        self.schedule = schedule
    }

    /// The delay of every run of this job on this host.
    package func jitter(on host: String) -> Duration { Jitter.delay(of: name, on: host, upTo: jitter) }
}

/// A standing order not to run, from the file.
package struct Pause: Sendable, Hashable {
    package var reason: String
    /// Nil for until it is taken away.
    package var until: Timestamp?

    package init(reason: String, until: Timestamp?) {
        self.reason = reason
        self.until = until
    }

    package func holds(at instant: Timestamp) -> Bool { until.map { instant < $0 } ?? true }
}

/// What jobs have in common that must not run at the same time.
package enum ConcurrencyGroup: String, Sendable, Hashable, CaseIterable {
    /// Jobs that name one of the same sources, and the job itself.
    case source
    /// Jobs of one repository that also have this group.
    case repository
    /// Jobs of one host that also have this group.
    case host
}

/// What becomes of a run when another of its group is running.
package enum OverlapPolicy: String, Sendable, Hashable, CaseIterable {
    /// It waits, until its start deadline.
    case queue
    /// It does not take place, which is recorded.
    case skip
    /// The other is ended, then it starts.
    case replace
}

/// Whether a run that failed is tried again.
package struct RetryPolicy: Sendable, Hashable {
    /// Runs in all; 1 for no second one.
    package var attempts = 1
    /// The wait before the second; it doubles from then on.
    package var backoff: Duration = .seconds(60)
    package var longestBackoff: Duration = .seconds(3600)
    /// Only failures that end with one of these are tried again. When empty, those that say themselves that it may help
    /// (``RetryClass/later``, ``RetryClass/now``).
    package var codes: Set<ErrorCode> = []

    package init() {}

    /// The wait before attempt `next`, from 2; nil when there is none left, or the failure is not of the kind.
    package func wait(beforeAttempt next: Int, after code: ErrorCode, _ retry: RetryClass) -> Duration? {
        guard next >= 2, next <= attempts else { return nil }
        guard codes.isEmpty ? retry != .never : codes.contains(code) else { return nil }
        // A doubling more than 2^20 is above every limit that can be set.
        return min(longestBackoff, backoff * (1 << min(next - 2, 20)))
    }
}
