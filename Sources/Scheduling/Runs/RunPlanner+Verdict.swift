// Whether one run may begin now: the same rules for the daemon, for timers, and for further attempts.

import Primitives

/// Whether a run may begin.
package enum RunVerdict: Sendable, Hashable {
    case start
    /// Not yet; asked again at the latest at this instant, or when anything has changed.
    case wait(until: Timestamp?)
    /// It does not take place.
    case refuse(NonRun.Reason)
}

extension RunPlanner {
    /// A run that is asked about.
    struct Question {
        var place: Int
        var scheduled: Timestamp
        /// How much later than `scheduled` it is due.
        var delay: Duration
        /// The end of its wait, when it is another attempt.
        var retry: Timestamp?

        var isRetry: Bool { retry != nil }
        var due: Timestamp { retry ?? scheduled + delay }
    }

    /// Whether the run may begin that somebody else than ``decide(at:)`` found due, such as a timer.
    ///
    /// A run that waits for another attempt, by what ``update(memories:active:)`` told, is asked about as such.
    ///
    /// - Parameter delay: How much later than its key it may be due.
    /// - Returns: Also the runs that are to be ended first, each time.
    package func verdict(
        on key: RunKey, delay: Duration, at now: Timestamp
    ) -> (verdict: RunVerdict, stops: [RunKey]) {
        guard let place = places[key.job] else { return (.refuse(.disabled), []) }
        var question = Question(place: place, scheduled: key.scheduled, delay: delay)
        if case .waiting(let until)? = active[key]?.phase {
            guard isOver(until, entries[place].job, at: now) else { return (.wait(until: until), []) }
            question.retry = until
        }
        return verdict(on: question, at: now)
    }

    /// What became due of a job before `key` while nothing ran it, and does not take place; and why `key` itself is not
    /// made up for, if it is not. For timers, which make up for all that they missed by one run at most.
    ///
    /// Nothing is missed of a job that was not known before, nor by another attempt.
    package func missed(before key: RunKey, at now: Timestamp) -> (nonRuns: [NonRun], refusal: NonRun.Reason?) {
        guard let entry = places[key.job].map({ entries[$0] }), entry.memory.through < key.scheduled,
            active[key] == nil
        else { return ([], nil) }
        let (policy, begin) = (entry.job.catchUp, entry.memory.through)
        let end = Timestamp(seconds: key.scheduled.seconds - 1)
        func noted(after start: Timestamp, through end: Timestamp, _ reason: NonRun.Reason) -> [NonRun] {
            guard start < end else { return [] }
            let found = CatchUp(entry.job.schedule, after: start, now: end, policy: CatchUpPolicy(.none))
            return found.nonRuns.map { NonRun(first: $0.first, last: $0.last, count: $0.count, reason: reason) }
        }
        if let reason = standstill(of: entry, at: now) { return (noted(after: begin, through: end, reason), nil) }
        let age = now.since(key.scheduled)
        let isLate = age > limits.grace + entry.job.jitter
        if policy.which == .none {
            return (noted(after: begin, through: end, .missed), isLate ? .missed : nil)
        }
        let edge = Timestamp(nanoseconds: now.nanoseconds &- policy.within.nanosecondsClamped)
        let cut = min(end, max(begin, Timestamp(seconds: edge.seconds - 1)))
        let old = noted(after: begin, through: cut, .tooLongAgo)
        return (
            old + noted(after: cut, through: end, .caughtUp), isLate && age > policy.within ? .tooLongAgo : nil
        )
    }

    /// A run that has begun already is never refused: it waits, until the next run of its job is due.
    func verdict(on question: Question, at now: Timestamp) -> (verdict: RunVerdict, stops: [RunKey]) {
        let found = rule(on: question, at: now)
        guard question.isRetry, case .refuse = found.verdict else { return found }
        return (.wait(until: now + .seconds(60)), found.stops)
    }

    private func rule(on question: Question, at now: Timestamp) -> (verdict: RunVerdict, stops: [RunKey]) {
        let entry = entries[question.place]
        if let reason = standstill(of: entry, at: now) { return (.refuse(reason), []) }
        if !question.isRetry, entry.memory.skip != nil { return (.refuse(.skipped), []) }
        let deadline = question.isRetry ? nil : startDeadline(of: question)
        let isLate = deadline.map { $0 < now } ?? false
        if let reason = entry.opening.refusal(at: now) {
            guard !isLate, let next = entry.opening.next(from: now), deadline.map({ next <= $0 }) ?? true else {
                return (.refuse(reason), [])
            }
            return (.wait(until: next), [])
        }
        // The call of a run that waits for a mount whose server is gone may not even be ended.
        if entry.job.reach?.silent.isEmpty == false { return (isLate ? .refuse(.unreachable) : .wait(until: nil), []) }
        // Looked at anew for each attempt: a backup may have failed since the one before.
        switch dependencies(of: entry, at: now) {
        case .refuse(let reason): return (.refuse(reason), [])
        case .wait: return (isLate ? .refuse(.dependency) : .wait(until: nil), [])
        case .start: break
        }
        // Runs that are made up for wait for one another.
        let isMadeUp = entry.job.catchUp.which == .all && now.since(question.due) > limits.grace
        let (overlap, stops) = overlaps(of: entry, isMadeUp: isMadeUp)
        switch overlap {
        case .refuse(let reason): return (.refuse(reason), stops)
        case .wait: return (isLate ? .refuse(.startDeadline) : .wait(until: nil), stops)
        case .start: break
        }
        if isLate { return (.refuse(.startDeadline), stops) }
        let key = RunKey(job: entry.job.name, scheduled: question.scheduled)
        if let instant = putOff[key], instant > now, instant.since(now) <= Self.longestPutOff {
            return (.wait(until: instant), stops)
        }
        return (launched.count < limits.running ? .start : .wait(until: nil), stops)
    }

    /// Longer waits were begun under a clock that was set since.
    package static let longestPutOff = Duration.seconds(300)

    /// Until when a run may begin: so much after it was due, or until the next is.
    func startDeadline(of question: Question) -> Timestamp? {
        let entry = entries[question.place]
        if let most = entry.job.startDeadline { return question.scheduled + question.delay + most }
        // Runs that are made up for wait for one another.
        if entry.pending.count > 1, entry.job.catchUp.which == .all { return nil }
        // The last instant before the next one is due.
        return entry.job.schedule.next(after: question.scheduled).map {
            Timestamp(nanoseconds: $0.instant.nanoseconds - 1) + question.delay
        }
    }

    private func dependencies(of entry: Entry, at now: Timestamp) -> RunVerdict {
        var isWaiting = false
        // What began ahead of time began under another clock, and says nothing of what came before or after it.
        let since = entry.memory.last.flatMap { $0.began.since(now) > limits.ahead ? nil : $0.began }
        for name in entry.job.after {
            guard let other = places[name].map({ entries[$0] }) else { return .refuse(.dependency) }
            switch Self.standing(of: other, since: since, isBusy: isBusy(other)) {
            case .good: continue
            case .bad: return .refuse(.dependency)
            case .open: isWaiting = true
            }
        }
        guard case .forget = entry.job.action else { return isWaiting ? .wait(until: nil) : .start }
        let rule = RetentionRule(
            entry.job, among: entries.map(\.job), memories: { name in places[name].map { entries[$0].memory } },
            faults: faults, isBusy: { name in places[name].map { isBusy(entries[$0]) } ?? false }, at: now)
        if let objection = rule.objection {
            guard objection.passes else { return .refuse(.dependency) }
            isWaiting = true
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

    /// What waits for another attempt of a disabled job waits for ever, and holds up nothing.
    private func isBusy(_ entry: Entry) -> Bool {
        !entry.pending.isEmpty
            || active.values.contains { $0.key.job == entry.job.name && (entry.job.isEnabled || !$0.isWaiting) }
            || launched.contains { $0.job == entry.job.name }
    }

    private func overlaps(of entry: Entry, isMadeUp: Bool) -> (verdict: RunVerdict, stops: [RunKey]) {
        var isWaiting = false
        var stops: [RunKey] = []
        let running = launched.union(active.values.filter(\.isRunning).map(\.key))
        for key in running.sorted() {
            // A job that is not in the files any more minds nothing but itself.
            let other = places[key.job].map { entries[$0].job }
            guard let policy = other.flatMap({ entry.job.overlap(with: $0) }) else { continue }
            switch isMadeUp && key.job == entry.job.name ? .queue : policy {
            case .skip: return (.refuse(.overlap), stops)
            case .queue: isWaiting = true
            case .replace:
                isWaiting = true
                stops.append(key)
            }
        }
        return (isWaiting ? .wait(until: nil) : .start, stops)
    }
}
