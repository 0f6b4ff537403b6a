// The decision what to run: a value that is told what is remembered and what time it is, and says what to do.

import Primitives

/// What is to be done now.
package enum RunAction: Sendable, Hashable {
    /// Let this run begin, or its next attempt.
    case start(RunKey)
    /// These runs do not take place.
    case record(JobName, [NonRun])
    /// End this run, since another takes its place.
    case stop(RunKey)
    /// This run waited for another attempt, and the next run of its job is due.
    case giveUp(RunKey)
    /// This run was ended for another one, which takes its place: it gets no further attempt.
    case replace(RunKey)
}

/// What is to be done now, and when to ask again at the latest.
package struct RunDecision: Sendable, Hashable {
    package var actions: [RunAction] = []
    /// Nil when nothing will be due.
    package var wake: Timestamp?

    mutating func wake(by instant: Timestamp?) {
        guard let instant else { return }
        wake = min(wake ?? instant, instant)
    }
}

/// Decides which runs begin, wait and do not take place.
///
/// It starts nothing and asks nobody for the time: the same memories, jobs and instants give the same decisions. What
/// was
/// due and cannot begin yet is kept here; after a restart the catch-up finds it again.
package struct RunPlanner: Sendable {
    package struct Limits: Sendable {
        /// Runs that are under way together.
        package var running = 8
        /// Runs that are due and wait to begin. More than that are not taken in before others have begun.
        package var waiting = 20_000
        /// What was due no longer ago than this is not missed.
        package var grace = Duration.seconds(60)
        /// What was run or taken in further ahead than this was so under a clock that has been set right since.
        package var ahead = RunMemoryLimits.ahead

        package init() {}
    }

    /// A job with what was worked out about it.
    struct Entry: Sendable {
        let job: Job
        let opening: Opening
        let delay: Duration
        var memory: JobMemory
        /// What was due up to here has been taken in.
        var admitted: Timestamp
        /// The next instant that is due, with the delay; nil when there is none.
        var next: Timestamp?
        /// Due, and not begun; in order.
        var pending: [Timestamp] = []
    }

    package var limits = Limits()
    var entries: [Entry] = []
    var places: [JobName: Int] = [:]
    /// Runs that have not ended, by the store.
    var active: [RunKey: ActiveRun] = [:]
    /// Runs that were started and whose processes have not ended.
    var launched: Set<RunKey> = []
    var stopping: Set<RunKey> = []
    /// Runs that were to start and did not begin, with the instants before which they are not tried again.
    var putOff: [RunKey: Timestamp] = [:]
    /// What checks found that speaks against retention.
    private(set) var faults = RepositoryFaults([], jobs: [])
    private var checks: [CheckRecord] = []
    /// What was due of jobs of which somebody else ran a later run.
    private var overtaken: [(job: JobName, instants: [Timestamp])] = []
    private let host: String

    /// - Parameter checks: All that the store knows; retention goes by them.
    package init(
        jobs: [Job], memories: [JobName: JobMemory], active: [ActiveRun], checks: [CheckRecord] = [], host: String,
        at now: Timestamp
    ) {
        self.host = host
        self.checks = checks
        replace(jobs: jobs, memories: memories, at: now)
        update(memories: memories, active: active)
    }

    // MARK: What is told

    /// Other jobs, as after a reload. What waits of jobs that are still there goes on waiting.
    package mutating func replace(jobs: [Job], memories: [JobName: JobMemory], at now: Timestamp) {
        let before = Dictionary(uniqueKeysWithValues: entries.map { ($0.job.name, $0) })
        entries = jobs.map { job in
            let memory = memories[job.name] ?? JobMemory(through: Timestamp(seconds: now.seconds))
            let old = before[job.name]
            var entry = Entry(
                job: job, opening: Opening(job), delay: job.jitter(on: host), memory: memory,
                admitted: max(memory.through, old?.admitted ?? memory.through), pending: old?.pending ?? [])
            entry.foresee()
            return entry
        }
        places = Dictionary(uniqueKeysWithValues: entries.enumerated().map { ($0.element.job.name, $0.offset) })
        faults = RepositoryFaults(checks, jobs: jobs)
    }

    /// What the store remembers now.
    ///
    /// - Parameter checks: Nil when they are as they were.
    package mutating func update(
        memories: [JobName: JobMemory], active: [ActiveRun], checks: [CheckRecord]? = nil
    ) {
        if let checks, checks != self.checks {
            self.checks = checks
            faults = RepositoryFaults(checks, jobs: entries.map(\.job))
        }
        for (name, memory) in memories {
            guard let place = places[name] else { continue }
            entries[place].memory = memory
            if memory.through > entries[place].admitted {
                // Somebody else ran it.
                entries[place].admitted = memory.through
                entries[place].foresee()
            }
            // A later one was run by somebody else, as by a timer.
            let passed = entries[place].pending.filter { $0 < memory.through }
            if !passed.isEmpty { overtaken.append((name, passed)) }
            entries[place].pending.removeAll { $0 <= memory.through }
        }
        self.active = Dictionary(uniqueKeysWithValues: active.map { ($0.key, $0) })
        stopping = stopping.filter { self.active[$0] != nil || launched.contains($0) }
        putOff = putOff.filter { key, _ in
            self.active[key] != nil
                || places[key.job].map { entries[$0].pending.contains(key.scheduled) } ?? false
        }
    }

    /// The process of a run that was started has ended; ``update(memories:active:)`` tells how.
    package mutating func ended(_ key: RunKey) {
        // One that was to be ended for another may wait for an attempt that it does not get.
        launched.remove(key)
    }

    /// A run that was to start did not begin, and nobody else has it: it is due still, and tried again at `instant`.
    package mutating func putOff(_ key: RunKey, until instant: Timestamp) {
        ended(key)
        guard let place = places[key.job] else { return }
        putOff[key] = instant
        // The next attempt of a run that has begun is known from the store.
        if active[key] != nil || key.scheduled <= entries[place].memory.through { return }
        let pending = entries[place].pending
        if pending.contains(key.scheduled) { return }
        entries[place].pending.insert(key.scheduled, at: pending.firstIndex { $0 > key.scheduled } ?? pending.count)
    }

    /// The newest attempt of a run that has not ended, as the store told; 0 when there was none.
    package func attempt(of key: RunKey) -> Int { active[key]?.attempt ?? 0 }

    /// Who carries the run out, as the store told.
    package func holder(of key: RunKey) -> RunHolder? {
        if case .running(let holder, _)? = active[key]?.phase { holder } else { nil }
    }

    /// Runs that are due and wait to begin.
    package var waitingCount: Int { entries.reduce(0) { $0 + $1.pending.count } }

    package var launchedCount: Int { launched.count }

    // MARK: The decision

    package mutating func decide(at now: Timestamp) -> RunDecision {
        var decision = RunDecision()
        for (job, instants) in overtaken {
            decision.actions.append(
                .record(job, instants.map { NonRun(first: $0, last: $0, count: 1, reason: .caughtUp) }))
        }
        overtaken = []
        var room = limits.waiting - waitingCount
        for place in entries.indices {
            stepBack(place, at: now)
            guard let next = entries[place].next else { continue }
            if next <= now, room > 0 {
                let before = entries[place].pending.count
                admit(place, at: now, &decision)
                room -= max(0, entries[place].pending.count - before)
            }
            decision.wake(by: entries[place].next)
        }
        var questions = entries.indices.filter { !entries[$0].pending.isEmpty }.map { place in
            Question(place: place, scheduled: entries[place].pending[0], delay: entries[place].delay)
        }
        for run in active.values {
            guard case .waiting(let until) = run.phase, !launched.contains(run.key) else { continue }
            if stopping.contains(run.key) {
                decision.actions.append(.replace(run.key))
                continue
            }
            guard let place = places[run.key.job] else { continue }
            if !entries[place].pending.isEmpty || isForsaken(run.key, entries[place], at: now) {
                decision.actions.append(.giveUp(run.key))
                continue
            }
            guard isOver(until, entries[place].job, at: now) else {
                decision.wake(by: until)
                continue
            }
            questions.append(Question(place: place, scheduled: run.key.scheduled, delay: .zero, retry: until))
        }
        questions.sort { ($0.due, entries[$0.place].job.name) < ($1.due, entries[$1.place].job.name) }
        for question in questions { answer(question, at: now, &decision) }
        return decision
    }

    /// Whether a run that waits for another attempt gets none: its job is disabled, or so long paused that the next
    /// instant of its schedule went by. It would hold up retention, and what comes after it, for as long.
    private func isForsaken(_ key: RunKey, _ entry: Entry, at now: Timestamp) -> Bool {
        switch standstill(of: entry, at: now) {
        case .disabled: true
        case nil: false
        default: entry.memory.through > key.scheduled
        }
    }

    /// Whether the wait for another attempt is over. One that is longer than any is was begun under a clock that was
    /// set since.
    func isOver(_ until: Timestamp, _ job: Job, at now: Timestamp) -> Bool {
        until <= now || until.since(now) > job.retries.longestBackoff + limits.grace
    }

    /// Forgets what was taken in further ahead than can be, as after the clock was set back from a wrong year.
    private mutating func stepBack(_ place: Int, at now: Timestamp) {
        guard entries[place].admitted.since(now) > limits.ahead else { return }
        entries[place].admitted = min(entries[place].memory.through, Timestamp(seconds: now.seconds))
        entries[place].pending.removeAll { $0 > now }
        entries[place].foresee()
    }

    /// Takes in what has become due of a job.
    private mutating func admit(_ place: Int, at now: Timestamp, _ decision: inout RunDecision) {
        let entry = entries[place]
        let due = Timestamp(nanoseconds: now.nanoseconds &- entry.delay.nanosecondsClamped)
        defer {
            entries[place].admitted = max(entry.admitted, due)
            entries[place].foresee()
        }
        if let reason = standstill(of: entry, at: now) {
            let policy = CatchUpPolicy(.none)
            let found = CatchUp(entry.job.schedule, after: entry.admitted, now: due, policy: policy)
            drop(place, .startDeadline, &decision)
            let nonRuns = found.nonRuns.map { NonRun(first: $0.first, last: $0.last, count: $0.count, reason: reason) }
            if !nonRuns.isEmpty { decision.actions.append(.record(entry.job.name, nonRuns)) }
            return
        }
        let found = CatchUp(
            entry.job.schedule, after: entry.admitted, now: due, policy: entry.job.catchUp, grace: limits.grace)
        if !found.nonRuns.isEmpty {
            // Records go forward only.
            drop(place, .startDeadline, &decision)
            decision.actions.append(.record(entry.job.name, found.nonRuns))
        }
        entries[place].pending += found.runs
    }

    /// Records what waits of a job as not run.
    private mutating func drop(_ place: Int, _ reason: NonRun.Reason, _ decision: inout RunDecision) {
        let pending = entries[place].pending
        guard !pending.isEmpty else { return }
        entries[place].pending = []
        decision.actions.append(
            .record(
                entries[place].job.name, pending.map { NonRun(first: $0, last: $0, count: 1, reason: reason) }))
    }

    func standstill(of entry: Entry, at now: Timestamp) -> NonRun.Reason? {
        if !entry.job.isEnabled { return .disabled }
        let isPaused = entry.job.pause?.holds(at: now) == true || entry.memory.pause?.holds(at: now) == true
        return isPaused ? .paused : nil
    }

    // MARK: One run

    private mutating func answer(_ question: Question, at now: Timestamp, _ decision: inout RunDecision) {
        let place = question.place
        let name = entries[place].job.name
        let key = RunKey(job: name, scheduled: question.scheduled)
        let (verdict, stops) = verdict(on: question, at: now)
        for stop in stops where stopping.insert(stop).inserted { decision.actions.append(.stop(stop)) }
        switch verdict {
        case .start:
            if !question.isRetry { entries[place].pending.removeFirst() }
            putOff[key] = nil
            launched.insert(key)
            decision.actions.append(.start(key))
        case .wait(let until):
            decision.wake(by: until)
            if !question.isRetry { decision.wake(by: startDeadline(of: question)) }
        case .refuse(let reason):
            entries[place].pending.removeFirst()
            let nonRun = NonRun(first: question.scheduled, last: question.scheduled, count: 1, reason: reason)
            decision.actions.append(.record(name, [nonRun]))
            if reason == .skipped { entries[place].memory.skip = nil }
            if !entries[place].pending.isEmpty { decision.wake(by: now) }
        }
    }
}

extension RunPlanner.Entry {
    /// Works out the next instant that is due.
    mutating func foresee() {
        next = job.schedule.next(after: admitted).map { $0.instant + delay }
    }
}
