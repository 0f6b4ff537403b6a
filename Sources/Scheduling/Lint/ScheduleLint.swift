// Whether a set of jobs can do what is asked of it: a pure function of the jobs and of what they refer to.

import Primitives

/// How long runs take, from wherever that is known.
package protocol RunDurations: Sendable {
    /// The time that 95 of 100 runs of a job for a source took no more than; nil when too little is known.
    func p95(of job: JobName, source: String) -> Duration?
}

/// Nothing was measured yet; what the files expect of a job holds.
package struct NoMeasuredDurations: RunDurations {
    package init() {}

    package func p95(of job: JobName, source: String) -> Duration? { nil }
}

/// What jobs may refer to.
package struct LintFacts: Sendable {
    package struct Source: Sendable {
        package var name: String
        package var rpo: Duration?
        /// Its repository, when the configuration names several.
        package var repository: String?

        package init(name: String, rpo: Duration?, repository: String?) {
            self.name = name
            self.rpo = rpo
            self.repository = repository
        }
    }

    package var sources: [Source]
    /// Sources that have retention.
    package var retained: Set<String> = []
    package var plans: Set<String> = []
    /// Names of repositories, each with the number of its mirrors.
    package var repositories: [String: Int] = [:]
    package var defaultRepository: String?
    /// Places in the configuration where what should be filled in still stands.
    package var placeholders: [String] = []

    package init(sources: [Source]) { self.sources = sources }
}

/// Something that the lint found.
package struct LintFinding: Sendable, Hashable {
    package enum Severity: String, Sendable {
        case error, warning
    }

    package enum Rule: String, Sendable, CaseIterable {
        case unknownSource = "unknown-source"
        case unknownPlan = "unknown-plan"
        case unknownRepository = "unknown-repository"
        case unknownJob = "unknown-job"
        case cycle
        case placeholder
        case neverRuns = "never-runs"
        case objective = "rpo"
        case noMirror = "no-mirror"
        case noRetention = "no-retention"
        case clockChange = "clock-change"
        case noDuration = "no-duration"
        case jitter
        case deadline
        case paused
    }

    package var severity: Severity
    package var rule: Rule
    /// The job that it is about; nil for a source.
    package var job: JobName?
    package var source: String?
    package var message: String
    package var hint: String
}

/// How much of a source can be lost at worst when its jobs run as planned.
package struct ExposureForecast: Sendable, Hashable {
    package var source: String
    package var objective: Duration
    package var jobs: [JobName]
    /// The longest time between two starts in the months that were looked at; nil when there are no two.
    package var interval: Duration?
    package var duration: Duration
    /// Whether the duration was measured or declared for every job.
    package var isDurationKnown: Bool
    package var jitter: Duration
    /// When the run ends after which the exposure falls back.
    package var worstAt: Timestamp?

    /// What is lost at worst: a failure just before the end of a run takes all since the start of the run before.
    package var worst: Duration? { interval.map { $0 + duration + jitter } }
    package var isMet: Bool { worst.map { $0 <= objective } ?? false }
}

/// The result.
package struct ScheduleLint: Sendable {
    /// Instants of a job that are looked at; more than a year of an hourly one.
    package static let maximumInstants = 10_000
    /// How far ahead; a year has every change of the clocks.
    package static let horizon: Duration = .seconds(400 * 86_400)

    package private(set) var findings: [LintFinding] = []
    package private(set) var forecasts: [ExposureForecast] = []

    package var hasErrors: Bool { findings.contains { $0.severity == .error } }

    /// - Parameter host: The host that the jobs run on, for its jitter and windows.
    package init(
        _ jobs: [Job], _ facts: LintFacts, durations: any RunDurations, host: String, now: Timestamp
    ) {
        for job in jobs {
            references(job, jobs, facts)
            timing(job, host, now)
        }
        var planned = PlannedStarts(jobs, host, now)
        if let ring = Self.ring(jobs) {
            add(
                .error, .cycle, ring[0],
                "these jobs wait for each other: \(ring.map(\.description).joined(separator: ", "))",
                hint: "Take one of them out of `after` or `before` of another.")
        } else {
            for job in jobs { predecessors(job, jobs, &planned) }
        }
        for text in facts.placeholders {
            findings.append(
                LintFinding(
                    severity: .error, rule: .placeholder, job: nil, source: nil, message: text,
                    hint: "Fill in what is meant."))
        }
        for source in facts.sources {
            guard let objective = source.rpo else { continue }
            forecast(source.name, objective, jobs, facts, durations, &planned, now)
        }
    }

    // MARK: References

    private mutating func references(_ job: Job, _ jobs: [Job], _ facts: LintFacts) {
        func check(_ names: [String], _ known: [String], _ rule: LintFinding.Rule, _ what: String) -> [LintFinding] {
            names.filter { !known.contains($0) }.map { name in
                LintFinding(
                    severity: .error, rule: rule, job: job.name, source: nil,
                    message: "there is no \(what) `\(name)`",
                    hint: known.isEmpty
                        ? "There is none at all." : "There are: \(known.sorted().joined(separator: ", ")).")
            }
        }
        let sources = facts.sources.map(\.name)
        switch job.action {
        case .backup(let names): findings += check(names, sources, .unknownSource, "source")
        case .forget(let names, _):
            findings += check(names, sources, .unknownSource, "source")
            for name in names where sources.contains(name) && !facts.retained.contains(name) {
                add(
                    .error, .noRetention, job.name, "source `\(name)` has no retention, so nothing of it is forgotten",
                    hint: "Add `retention` to the source or to `defaults`.")
            }
            if facts.retained.isEmpty {
                add(
                    .error, .noRetention, job.name, "no source has retention, so there is nothing to forget",
                    hint: "Add `retention` to `defaults` of the configuration.")
            }
        case .drill(let plan):
            findings += check([plan], sources + facts.plans.sorted(), .unknownPlan, "plan of a drill and no source")
        case .mirror(let places):
            if places.isEmpty, let name = job.repository ?? facts.defaultRepository, facts.repositories[name] == 0 {
                add(
                    .error, .noMirror, job.name, "repository `\(name)` has no mirrors",
                    hint: "Add `mirrors` to it in the configuration, or `to` to the job.")
            }
        case .check, .ledger, .rotate, .command: break
        }
        if let name = job.repository {
            findings += check([name], Array(facts.repositories.keys), .unknownRepository, "repository")
        }
        findings += check(
            job.after.map(\.description), jobs.map(\.name.description), .unknownJob, "job")
    }

    /// Jobs that wait for each other; nil when there is an order.
    private static func ring(_ jobs: [Job]) -> [JobName]? {
        var left = jobs
        while true {
            let waiting = Set(left.map(\.name))
            let rest = left.filter { job in job.after.contains { waiting.contains($0) } }
            if rest.isEmpty { return nil }
            if rest.count == left.count { return ring(within: rest) }
            left = rest
        }
    }

    /// From a job along `after` until one comes again: what lies between is a ring.
    private static func ring(within jobs: [Job]) -> [JobName] {
        var path: [Job] = []
        var current = jobs.first
        while let job = current {
            if let start = path.firstIndex(where: { $0.name == job.name }) {
                return path[start...].map(\.name).sorted()
            }
            path.append(job)
            current = jobs.first { job.after.contains($0.name) }
        }
        return path.map(\.name)
    }

    /// A job that comes after one that never runs never runs.
    private mutating func predecessors(_ job: Job, _ jobs: [Job], _ planned: inout PlannedStarts) {
        guard job.isEnabled else { return }
        for name in job.after {
            guard let other = jobs.first(where: { $0.name == name }), planned.starts(of: other).instants.isEmpty else {
                continue
            }
            let why = !other.isEnabled ? "is disabled" : other.pause == nil ? "never runs" : "is paused"
            add(
                .error, .neverRuns, job.name, "it comes after \(name), which \(why), and so never runs itself",
                hint: "Take \(name) out of `after`, or let it run.")
        }
    }

    // MARK: Timing

    private mutating func timing(_ job: Job, _ host: String, _ now: Timestamp) {
        guard job.isEnabled else { return }
        let instants = Self.starts(job, host, now)
        guard let first = instants.first else {
            let isOpen = job.windows.isEmpty && job.blackouts.isEmpty
            add(
                .error, .neverRuns, job.name,
                "`\(job.schedule.text)` is never due\(isOpen ? "" : " inside its windows and outside its blackouts")",
                hint: "Correct `when`, or disable the job.")
            return
        }
        if instants.count > 1 {
            let shortest = zip(instants, instants.dropFirst()).map { $1.since($0) }.min() ?? .zero
            if job.jitter >= shortest, shortest > .zero {
                add(
                    .warning, .jitter, job.name,
                    "a jitter of \(job.jitter.lengthOfTime) reaches over the \(shortest.lengthOfTime) to the next run",
                    hint: "Take a jitter that is shorter than the interval.")
            }
        }
        if let start = job.startDeadline, start <= job.jitter(on: host) {
            add(
                .error, .deadline, job.name,
                "the jitter on this host is \(job.jitter(on: host).lengthOfTime), after the start deadline",
                hint: "Take a longer start deadline, or less jitter.")
        }
        if let pause = job.pause, pause.holds(at: now) {
            add(
                .warning, .paused, job.name, "it is paused: \(pause.reason)",
                hint: "Take `paused` away when the reason is gone.")
        }
        clockChange(job, from: first)
    }

    /// Wall times at which clocks change, in zones whose clocks do.
    private mutating func clockChange(_ job: Job, from first: Timestamp) {
        guard case .calendar(let fields) = job.schedule.rule, !fields.isWildcard else { return }
        let zone = job.schedule.zone
        guard let change = zone.segment(at: first.seconds).end, change - first.seconds < 400 * 86_400 else { return }
        let end = first + Self.horizon
        let shifted = job.schedule.occurrences(after: first, through: end, limit: Self.maximumInstants)
            .first { $0.mark != .plain }
        guard fields.namesNightHours || shifted != nil else { return }
        let example = shifted.map { occurrence in
            ": on \("\(occurrence.instant)".prefix(10)) it \(occurrence.mark == .moved ? "is moved" : "comes twice")"
        }
        add(
            .warning, .clockChange, job.name,
            "`\(job.schedule.text)` lies where the clocks of \(zone.name) change"
                + (example ?? ", between 01:00 and 03:00"),
            hint: "Take a time outside 01:00 to 03:00, or `timeZone: UTC`.")
    }

    /// The longest time between two runs in the year to come; nil when there are no two.
    package static func longestInterval(_ job: Job, _ host: String, _ now: Timestamp) -> Duration? {
        let starts = starts(job, host, now)
        return zip(starts, starts.dropFirst()).map { $1.since($0) }.max()
    }

    /// Scheduled instants of a job whose runs may start, from now on.
    package static func starts(_ job: Job, _ host: String, _ now: Timestamp) -> [Timestamp] {
        let instants = job.schedule.occurrences(after: now, through: now + horizon, limit: maximumInstants)
            .map(\.instant)
        guard !job.windows.isEmpty || !job.blackouts.isEmpty else { return instants }
        let (opening, delay) = (Opening(job), job.jitter(on: host))
        return instants.filter { opening.refusal(at: $0 + delay) == nil }
    }

    // MARK: Objectives

    private mutating func forecast(
        _ source: String, _ objective: Duration, _ jobs: [Job], _ facts: LintFacts, _ durations: any RunDurations,
        _ planned: inout PlannedStarts, _ now: Timestamp
    ) {
        let covering = jobs.filter { job in
            guard case .backup(let names) = job.action else { return false }
            let isPaused = job.pause.map { $0.holds(at: now) && $0.until == nil } ?? false
            return job.isEnabled && !isPaused && (names.isEmpty || names.contains(source))
        }
        var forecast = ExposureForecast(
            source: source, objective: objective, jobs: covering.map(\.name), interval: nil, duration: .zero,
            isDurationKnown: true, jitter: covering.map(\.jitter).max() ?? .zero, worstAt: nil)
        var starts: [(at: Timestamp, duration: Duration)] = []
        var end = now + Self.horizon
        for job in covering {
            let known = Self.duration(of: job, through: source, facts, durations)
            if known == nil { forecast.isDurationKnown = false }
            let own = planned.starts(of: job)
            end = min(end, own.end)
            starts += own.instants.map { ($0, known ?? .zero) }
            // The time until the end of a pause counts; what was before it is not known.
            if own.isHeldUp { starts.append((now, .zero)) }
        }
        starts = starts.filter { $0.at <= end }.sorted { $0.at < $1.at }
        var worst: Duration = .zero
        for (one, next) in zip(starts, starts.dropFirst()) {
            let gap = next.at.since(one.at)
            if gap + next.duration > worst {
                worst = gap + next.duration
                (forecast.interval, forecast.duration) = (gap, next.duration)
                forecast.worstAt = next.at + next.duration
            }
        }
        forecasts.append(forecast)
        judge(forecast)
    }

    /// How long a run takes until `source` is done: its sources come one after the other, and those before it may take
    /// long where they took no time in the run before.
    private static func duration(
        of job: Job, through source: String, _ facts: LintFacts, _ durations: any RunDurations
    ) -> Duration? {
        guard let own = durations.p95(of: job.name, source: source) else { return job.expectedDuration }
        guard case .backup(let named) = job.action else { return own }
        let place = job.repository
        let names =
            named.isEmpty
            ? facts.sources.filter { place == nil || $0.repository == nil || $0.repository == place }.map(\.name)
            : named
        return names.prefix { $0 != source }.reduce(own) { sum, name in
            sum + (durations.p95(of: job.name, source: name) ?? .zero)
        }
    }

    private mutating func judge(_ forecast: ExposureForecast) {
        func add(_ severity: LintFinding.Severity, _ rule: LintFinding.Rule, _ message: String, _ hint: String) {
            findings.append(
                LintFinding(
                    severity: severity, rule: rule, job: forecast.jobs.first, source: forecast.source, message: message,
                    hint: hint))
        }
        let name = forecast.source
        guard !forecast.jobs.isEmpty else {
            add(
                .error, .objective, "source `\(name)` has an RPO and no job that backs it up",
                "Add it to a job with `backup`, and see that the job is enabled.")
            return
        }
        if !forecast.isDurationKnown {
            add(
                .warning, .noDuration, "how long a backup of `\(name)` takes is not known, and counted as nothing",
                "Add `duration` to the job, or give --measured to take it from the repository's snapshots.")
        }
        guard !forecast.isMet else { return }
        guard let worst = forecast.worst, let interval = forecast.interval else {
            add(
                .error, .objective, "source `\(name)` is backed up less than twice in the next year",
                "Let its job run more often.")
            return
        }
        let most = forecast.objective - forecast.duration - forecast.jitter
        add(
            .error, .objective,
            "source `\(name)` can lose \(worst.lengthOfTime), and its RPO is \(forecast.objective.lengthOfTime): "
                + "\(interval.lengthOfTime) between two runs, \(forecast.duration.lengthOfTime) for a run, "
                + "\(forecast.jitter.lengthOfTime) of jitter",
            most > .zero
                ? "Let it run at least every \(most.lengthOfTime), or declare an RPO of \(worst.lengthOfTime)."
                : "No interval can meet this; make the run shorter, or declare a longer RPO.")
    }

    private mutating func add(
        _ severity: LintFinding.Severity, _ rule: LintFinding.Rule, _ job: JobName, _ message: String, hint: String
    ) {
        findings.append(
            LintFinding(severity: severity, rule: rule, job: job, source: nil, message: message, hint: hint))
    }
}

extension CalendarFields {
    /// A wall time between 01:00 and 03:00.
    var namesNightHours: Bool { hours & 0b110 != 0 }
}
