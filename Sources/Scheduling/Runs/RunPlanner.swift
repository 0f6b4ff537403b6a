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
    private let host: String

    package init(jobs: [Job], memories: [JobName: JobMemory], active: [ActiveRun], host: String, at now: Timestamp) {
        self.host = host
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
    }

    /// What the store remembers now.
    package mutating func update(memories: [JobName: JobMemory], active: [ActiveRun]) {
        for (name, memory) in memories {
            guard let place = places[name] else { continue }
            entries[place].memory = memory
            if memory.through > entries[place].admitted {
                // Somebody else ran it.
                entries[place].admitted = memory.through
                entries[place].foresee()
            }
            entries[place].pending.removeAll { $0 <= memory.through }
        }
        self.active = Dictionary(uniqueKeysWithValues: active.map { ($0.key, $0) })
        stopping = stopping.filter { self.active[$0] != nil || launched.contains($0) }
    }

    /// The process of a run that was started has ended; ``update(memories:active:)`` tells how.
    package mutating func ended(_ key: RunKey) {
        launched.remove(key)
        stopping.remove(key)
    }

    /// Runs that are due and wait to begin.
    package var waitingCount: Int { entries.reduce(0) { $0 + $1.pending.count } }

    package var launchedCount: Int { launched.count }

    // MARK: The decision

    package mutating func decide(at now: Timestamp) -> RunDecision {
        var decision = RunDecision()
        var room = limits.waiting - waitingCount
        for place in entries.indices {
            guard let next = entries[place].next else { continue }
            if next <= now, room > 0 {
                let before = entries[place].pending.count
                admit(place, at: now, &decision)
                room -= max(0, entries[place].pending.count - before)
            }
            decision.wake(by: entries[place].next)
        }
        var candidates = entries.indices.filter { !entries[$0].pending.isEmpty }.map { place in
            Candidate(place: place, due: entries[place].pending[0] + entries[place].delay, retry: nil)
        }
        for run in active.values {
            guard case .waiting(let until) = run.phase, let place = places[run.key.job], !launched.contains(run.key)
            else { continue }
            if !entries[place].pending.isEmpty {
                decision.actions.append(.giveUp(run.key))
                continue
            }
            guard until <= now else {
                decision.wake(by: until)
                continue
            }
            candidates.append(Candidate(place: place, due: until, retry: run.key))
        }
        candidates.sort { ($0.due, entries[$0.place].job.name) < ($1.due, entries[$1.place].job.name) }
        for candidate in candidates { consider(candidate, at: now, &decision) }
        return decision
    }

    private struct Candidate {
        var place: Int
        var due: Timestamp
        /// The run whose next attempt it is.
        var retry: RunKey?
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

    private func standstill(of entry: Entry, at now: Timestamp) -> NonRun.Reason? {
        if !entry.job.isEnabled { return .disabled }
        let isPaused = entry.job.pause?.holds(at: now) == true || entry.memory.pause?.holds(at: now) == true
        return isPaused ? .paused : nil
    }

    // MARK: One run

    private enum Verdict {
        case start
        case wait(until: Timestamp?)
        case refuse(NonRun.Reason)
    }

    private mutating func consider(_ candidate: Candidate, at now: Timestamp, _ decision: inout RunDecision) {
        let place = candidate.place
        let name = entries[place].job.name
        let scheduled = candidate.retry?.scheduled ?? entries[place].pending[0]
        let key = RunKey(job: name, scheduled: scheduled)
        switch verdict(on: candidate, at: now, &decision) {
        case .start:
            if candidate.retry == nil { entries[place].pending.removeFirst() }
            launched.insert(key)
            decision.actions.append(.start(key))
        case .wait(let until):
            decision.wake(by: until)
            if candidate.retry == nil { decision.wake(by: startDeadline(of: entries[place], scheduled)) }
        case .refuse(let reason):
            // A run that has begun already is not recorded as not run: it waits on.
            guard candidate.retry == nil else { return decision.wake(by: now + .seconds(60)) }
            entries[place].pending.removeFirst()
            let nonRun = NonRun(first: scheduled, last: scheduled, count: 1, reason: reason)
            decision.actions.append(.record(name, [nonRun]))
            if reason == .skipped { entries[place].memory.skip = nil }
            if !entries[place].pending.isEmpty { decision.wake(by: now) }
        }
    }

    private mutating func verdict(
        on candidate: Candidate, at now: Timestamp, _ decision: inout RunDecision
    ) -> Verdict {
        let entry = entries[candidate.place]
        if let reason = standstill(of: entry, at: now) { return .refuse(reason) }
        if candidate.retry == nil, entry.memory.skip != nil { return .refuse(.skipped) }
        let deadline = candidate.retry == nil ? startDeadline(of: entry, entry.pending[0]) : nil
        let isLate = deadline.map { $0 < now } ?? false
        if let reason = entry.opening.refusal(at: now) {
            guard !isLate, let next = entry.opening.next(from: now), deadline.map({ next <= $0 }) ?? true else {
                return .refuse(reason)
            }
            return .wait(until: next)
        }
        if candidate.retry == nil {
            switch dependencies(of: entry) {
            case .refuse(let reason): return .refuse(reason)
            case .wait: return isLate ? .refuse(.dependency) : .wait(until: nil)
            case .start: break
            }
        }
        // Runs that are made up for wait for one another.
        let isMadeUp =
            entry.job.catchUp.which == .all && now.since(candidate.due) > limits.grace
        switch overlaps(of: entry, isMadeUp: isMadeUp, &decision) {
        case .refuse(let reason): return candidate.retry == nil ? .refuse(reason) : .wait(until: nil)
        case .wait: return isLate ? .refuse(.startDeadline) : .wait(until: nil)
        case .start: break
        }
        if isLate { return .refuse(.startDeadline) }
        return launched.count < limits.running ? .start : .wait(until: nil)
    }

    /// Until when a run may begin: so much after it was due, or until the next is.
    private func startDeadline(of entry: Entry, _ scheduled: Timestamp) -> Timestamp? {
        if let most = entry.job.startDeadline { return scheduled + entry.delay + most }
        // Runs that are made up for wait for one another.
        if entry.pending.count > 1, entry.job.catchUp.which == .all { return nil }
        // The last instant before the next one is due.
        return entry.job.schedule.next(after: scheduled).map {
            Timestamp(nanoseconds: $0.instant.nanoseconds - 1) + entry.delay
        }
    }

    private func dependencies(of entry: Entry) -> Verdict {
        var isWaiting = false
        for name in entry.job.after {
            guard let other = places[name].map({ entries[$0] }) else { return .refuse(.dependency) }
            switch Self.standing(of: other, since: entry.memory.last?.began, isBusy: isBusy(other)) {
            case .good: continue
            case .bad: return .refuse(.dependency)
            case .open: isWaiting = true
            }
        }
        guard case .forget = entry.job.action else { return isWaiting ? .wait(until: nil) : .start }
        for other in entries where entry.job.thinsOut(sourcesOf: other.job) {
            switch Self.standing(of: other, since: nil, isBusy: isBusy(other)) {
            case .good: continue
            case .bad: return .refuse(.dependency)
            case .open: isWaiting = true
            }
        }
        return isWaiting ? .wait(until: nil) : .start
    }

    private enum Standing { case good, bad, open }

    /// Whether the newest run of a job ended well, and after `since`.
    private static func standing(of entry: Entry, since: Timestamp?, isBusy: Bool) -> Standing {
        guard !isBusy, let last = entry.memory.last else { return .open }
        if let since, last.began <= since { return .open }
        return last.outcome == .succeeded ? .good : .bad
    }

    private func isBusy(_ entry: Entry) -> Bool {
        !entry.pending.isEmpty || active.keys.contains { $0.job == entry.job.name }
            || launched.contains { $0.job == entry.job.name }
    }

    private mutating func overlaps(of entry: Entry, isMadeUp: Bool, _ decision: inout RunDecision) -> Verdict {
        var isWaiting = false
        let running = launched.union(active.values.filter(\.isRunning).map(\.key))
        for key in running.sorted() {
            // A job that is not in the files any more minds nothing but itself.
            let other = places[key.job].map { entries[$0].job }
            guard let policy = other.flatMap({ entry.job.overlap(with: $0) }) else { continue }
            switch isMadeUp && key.job == entry.job.name ? .queue : policy {
            case .skip: return .refuse(.overlap)
            case .queue: isWaiting = true
            case .replace:
                isWaiting = true
                if stopping.insert(key).inserted { decision.actions.append(.stop(key)) }
            }
        }
        return isWaiting ? .wait(until: nil) : .start
    }
}

extension RunPlanner.Entry {
    /// Works out the next instant that is due.
    mutating func foresee() {
        next = job.schedule.next(after: admitted).map { $0.instant + delay }
    }
}
