// A run store in memory: the model that the one on disk is held to, and what tests of the daemon run on.

import Primitives
import Scheduling
import State
import Synchronization

/// Runs, orders and alerts for as long as the process lives. A copy of the reference is the same store.
///
/// The whole state is a value, and every transaction works on a copy of it: one that fails has changed nothing.
package final class MemoryRunStore: RunStore, RunHistory, CheckLedger, OrderStore, AlertStore {
    package let capabilities = RunStoreCapabilities(isDurable: false, servesSeveralHosts: false)

    private struct Line {
        var record: RunRecord
        var holder: RunHolder
        var boot: String
        var lease: Duration
        var restarts = 0
        var retry: Timestamp?
        var outcome: RunOutcome?
        var noted: Timestamp
    }

    private struct State {
        var lines: [RunKey: Line] = [:]
        var refusals: [(noted: Timestamp, record: RunRecord)] = []
        var jobs: [JobName: JobMemory] = [:]
        var alerts: [String: AlertRecord] = [:]
        var checks: [CheckRecord] = []
        /// What each notifier told last of each alert, and since when there is that notifier.
        var told: [String: [String: AlertRecord]] = [:]
        var notifiers: [String: Timestamp] = [:]
        var fence: Int64 = 0
        var revision: Int64 = 0
    }

    package let identity: Int64
    private let clock: RunStoreClock
    private let state = Mutex(State())
    private let fault = Mutex<(@Sendable (String) -> HoldfastError?)?>(nil)

    package init(clock: RunStoreClock, identity: Int64 = 1) {
        self.clock = clock
        self.identity = identity
    }

    /// Lets calls fail from now on: what this returns for the name of a method is thrown by it.
    package func fail(_ fault: (@Sendable (_ method: String) -> HoldfastError?)?) {
        self.fault.withLock { $0 = fault }
    }

    private func write<R: Sendable>(
        _ method: String = #function, _ body: (inout State) throws(HoldfastError) -> R
    ) throws(HoldfastError) -> R {
        try check(method)
        return try state.withLock { (state: inout State) throws(HoldfastError) -> R in
            var copy = state
            let result = try body(&copy)
            copy.revision += 1
            state = copy
            return result
        }
    }

    private func read<R: Sendable>(
        _ method: String = #function, _ body: (State) -> R
    ) throws(HoldfastError) -> R {
        try check(method)
        return state.withLock { body($0) }
    }

    private func check(_ method: String) throws(HoldfastError) {
        let name = String(method.prefix { $0 != "(" })
        let fault = fault.withLock { $0 }
        if let error = fault?(name) { throw error }
    }

    // MARK: Runs

    package func begin(
        _ key: RunKey, _ trigger: RunTrigger, holder: RunHolder, lease: Duration, at now: Timestamp
    ) throws(HoldfastError) -> RunClaim {
        try write { (state) throws(HoldfastError) in
            try Self.checkFree(key, trigger, now, &state)
            if let other = state.lines.values.first(where: { isHeld($0) && $0.record.key.job == key.job }) {
                throw HoldfastError(.busy, "the run \(other.record.key) is under way", hint: "Wait for its end.")
            }
            let known = state.lines[key]
            let attempt = (known?.record.attempt ?? 0) + 1
            state.fence += 1
            let record = RunRecord(
                key: key, trigger: known?.record.trigger ?? trigger, state: .running, attempt: attempt,
                fence: state.fence, host: holder.host, began: now, ended: nil, code: nil, message: nil)
            state.lines[key] = Line(
                record: record, holder: holder, boot: clock.boot, lease: clock.uptime() + lease,
                restarts: known?.restarts ?? 0, noted: now)
            Self.know(key.job, now, &state)
            if known == nil, trigger == .schedule { Self.advance(key.job, key.scheduled, &state) }
            return RunClaim(key: key, fence: state.fence, attempt: attempt, began: now)
        }
    }

    private func isHeld(_ line: Line) -> Bool {
        line.record.state == .running && line.boot == clock.boot && line.lease > clock.uptime()
    }

    private func silence(_ line: Line) -> Duration? {
        guard line.record.state == .running, line.boot == clock.boot, !isHeld(line) else { return nil }
        return clock.uptime() - line.lease
    }

    package func checks() throws(HoldfastError) -> [CheckRecord] { try read { $0.checks } }

    private static func note(
        _ check: CheckNote, _ outcome: RunOutcome, of job: JobName, began: Int64, at ended: Timestamp,
        _ state: inout State
    ) {
        state.fence += 1
        state.checks.removeAll { $0.job == job && $0.note == check && $0.outcome == outcome }
        state.checks.append(
            CheckRecord(job: job, note: check, outcome: outcome, began: began, noted: state.fence, ended: ended))
    }

    package func beginCheck(at now: Timestamp) throws(HoldfastError) -> Int64 {
        try write { (state) throws(HoldfastError) in
            state.fence += 1
            return state.fence
        }
    }

    package func endCheck(
        _ token: Int64, _ check: CheckNote, _ outcome: RunOutcome, at now: Timestamp
    ) throws(HoldfastError) {
        try write { (state) throws(HoldfastError) in
            Self.note(check, outcome, of: CheckRecord.byHand, began: token, at: now, &state)
        }
    }

    private static func checkFree(
        _ key: RunKey, _ trigger: RunTrigger, _ now: Timestamp, _ state: inout State
    ) throws(HoldfastError) {
        func taken(_ how: String) -> HoldfastError {
            HoldfastError(.runTaken, "the run \(key) \(how)", hint: "Nothing is to be done.")
        }
        switch state.lines[key]?.record.state {
        case .running: throw taken("is under way")
        case .ended: throw taken("has ended")
        case .notRun: throw taken("was recorded as not run")
        case .waiting: return
        case nil: break
        }
        guard trigger == .schedule else { return }
        stepBack([key.job], now, &state)
        let hasPast = state.lines.contains { $0.key.job == key.job && $0.value.record.trigger == .schedule }
        if hasPast, let through = state.jobs[key.job]?.through, key.scheduled <= through {
            throw taken("is in the past of its job")
        }
    }

    private static func know(_ job: JobName, _ now: Timestamp, _ state: inout State) {
        if state.jobs[job] == nil { state.jobs[job] = JobMemory(through: Timestamp(seconds: now.seconds)) }
    }

    private static func advance(_ job: JobName, _ instant: Timestamp, _ state: inout State) {
        guard let through = state.jobs[job]?.through else { return }
        state.jobs[job]?.through = max(through, instant)
    }

    private static func stepBack(_ jobs: [JobName], _ now: Timestamp, _ state: inout State) {
        guard now >= RunMemoryLimits.oldestClock else { return }
        for job in jobs {
            guard let through = state.jobs[job]?.through, through.since(now) > RunMemoryLimits.ahead else { continue }
            state.jobs[job]?.through = Timestamp(seconds: now.seconds)
        }
    }

    package func conclude(
        _ key: RunKey, _ trigger: RunTrigger, _ completion: RunCompletion, at now: Timestamp
    ) throws(HoldfastError) {
        try write { (state) throws(HoldfastError) in
            try Self.checkFree(key, trigger, now, &state)
            Self.know(key.job, now, &state)
            state.fence += 1
            let known = state.lines[key]
            var line =
                known
                ?? Line(
                    record: RunRecord(
                        key: key, trigger: trigger, state: .running, attempt: 1, fence: 0, host: "", began: now,
                        ended: nil, code: nil, message: nil), holder: RunHolder(host: "", process: 0),
                    boot: clock.boot, lease: .zero, noted: now)
            line.record.fence = state.fence
            state.lines[key] = line
            if known == nil, trigger == .schedule { Self.advance(key.job, key.scheduled, &state) }
            var last = completion
            last.retryAt = nil
            Self.end(key, last, began: line.record.began ?? now, at: now, &state)
        }
    }

    package func renew(_ claim: RunClaim, lease: Duration) throws(HoldfastError) {
        try write { (state) throws(HoldfastError) in
            guard let line = state.lines[claim.key], line.record.fence == claim.fence, line.record.state == .running
            else { throw Self.lost(claim) }
            state.lines[claim.key]?.lease = clock.uptime() + lease
        }
    }

    private static func lost(_ claim: RunClaim) -> HoldfastError {
        HoldfastError(.leaseLost, "the run \(claim.key) is not ours any more", hint: "Look at the history.")
    }

    package func complete(
        _ claim: RunClaim, _ completion: RunCompletion, at now: Timestamp
    ) throws(HoldfastError) {
        try write { (state) throws(HoldfastError) in
            guard let line = state.lines[claim.key], line.record.fence == claim.fence else { throw Self.lost(claim) }
            switch line.record.state {
            case .running:
                Self.end(claim.key, completion, began: claim.began, at: now, &state)
                if let check = completion.check {
                    Self.note(
                        check, completion.outcome, of: claim.key.job, began: claim.fence, at: completion.ended ?? now,
                        &state)
                }
                if completion.retryAt == nil { Self.tell(completion, of: claim.key.job, at: now, &state) }
            case .ended where completion.retryAt == nil && line.outcome == completion.outcome: return
            case .waiting where completion.retryAt != nil && line.outcome == completion.outcome: return
            default: throw Self.lost(claim)
            }
        }
    }

    private static func end(
        _ key: RunKey, _ completion: RunCompletion, began: Timestamp, at now: Timestamp, _ state: inout State
    ) {
        guard var line = state.lines[key] else { return }
        line.record.state = completion.retryAt.map { .waiting(until: $0) } ?? .ended(completion.outcome)
        line.record.ended = completion.ended ?? now
        line.record.code = completion.code
        line.record.message = completion.message
        line.outcome = completion.outcome
        line.noted = now
        state.lines[key] = line
        guard completion.retryAt == nil, var memory = state.jobs[key.job] else { return }
        let ended = JobMemory.Ended(
            scheduled: key.scheduled, began: began, ended: completion.ended ?? now, outcome: completion.outcome)
        memory.last = ended
        if !completion.outcome.isByOrder { memory.verdict = ended }
        memory.failures = completion.outcome == .succeeded ? 0 : memory.failures + 1
        if completion.outcome == .succeeded { memory.lastSuccess = ended }
        state.jobs[key.job] = memory
    }

    package func record(
        _ nonRuns: [NonRun], of job: JobName, _ trigger: RunTrigger, at now: Timestamp
    ) throws(HoldfastError) {
        guard !nonRuns.isEmpty else { return }
        try write { (state) throws(HoldfastError) in
            Self.know(job, now, &state)
            for nonRun in nonRuns {
                let key = RunKey(job: job, scheduled: nonRun.first)
                let record = RunRecord(
                    key: key, trigger: trigger,
                    state: .notRun(nonRun.reason, last: nonRun.last, count: nonRun.count), attempt: 0, fence: 0,
                    host: "", began: nil, ended: nil, code: nil, message: nil)
                guard trigger == .schedule else {
                    if !state.refusals.contains(where: { $0.noted == now && $0.record == record }) {
                        state.refusals.append((now, record))
                    }
                    continue
                }
                if state.lines[key] == nil {
                    state.lines[key] = Line(
                        record: record, holder: RunHolder(host: "", process: 0), boot: clock.boot, lease: .zero,
                        noted: now)
                }
                Self.advance(job, nonRun.last, &state)
                if nonRun.reason == .skipped { state.jobs[job]?.skip = nil }
            }
        }
    }

    package func buryDead(
        gone holder: RunHolder?, sparing tokens: Set<Int64>, at now: Timestamp
    ) throws(HoldfastError) -> [DeadRun] {
        try write { (state) throws(HoldfastError) in
            var dead: [DeadRun] = []
            for key in state.lines.keys.sorted() {
                guard let line = state.lines[key], line.record.state == .running,
                    !tokens.contains(line.record.fence),
                    line.boot != clock.boot || line.lease <= clock.uptime() || line.holder == holder
                else { continue }
                let isRestarted = line.restarts < SQLiteRunStore.maximumRestarts
                var completion = RunCompletion(.died, code: ErrorCode.processFailed.rawValue, message: "it went away")
                completion.retryAt = isRestarted ? now : nil
                Self.end(key, completion, began: line.record.began ?? now, at: now, &state)
                state.fence += 1
                state.lines[key]?.record.fence = state.fence
                state.lines[key]?.restarts += 1
                dead.append(
                    DeadRun(
                        key: key, attempt: line.record.attempt, fence: line.record.fence, holder: line.holder,
                        isRestarted: isRestarted))
            }
            return dead
        }
    }

    package func memories(of jobs: [JobName], at now: Timestamp) throws(HoldfastError) -> [JobName: JobMemory] {
        let isKnown = try read { state in
            jobs.allSatisfy { (state.jobs[$0]?.through.since(now)).map { $0 <= RunMemoryLimits.ahead } ?? false }
        }
        if !isKnown {
            try write { (state) throws(HoldfastError) in
                for job in jobs { Self.know(job, now, &state) }
                Self.stepBack(jobs, now, &state)
            }
        }
        let wanted = Set(jobs)
        return try read { state in state.jobs.filter { wanted.contains($0.key) } }
    }

    package func run(_ key: RunKey) throws(HoldfastError) -> RunRecord? { try read { $0.lines[key]?.record } }

    package func active() throws(HoldfastError) -> [ActiveRun] {
        try read { state in
            state.lines.values.compactMap { line in
                let phase: ActiveRun.Phase
                switch line.record.state {
                case .running: phase = .running(line.holder, fence: line.record.fence)
                case .waiting(let until): phase = .waiting(until: until)
                case .ended, .notRun: return nil
                }
                return ActiveRun(
                    key: line.record.key, trigger: line.record.trigger, phase: phase, attempt: line.record.attempt,
                    began: line.record.began ?? line.noted, isHeld: isHeld(line), silence: silence(line))
            }.sorted { $0.key < $1.key }
        }
    }

    package func revision() throws(HoldfastError) -> Int64 { try read { $0.revision } }

    package func history(_ query: HistoryQuery) throws(HoldfastError) -> [RunRecord] {
        try read { state in
            let all = state.lines.values.map { (noted: $0.noted, record: $0.record) } + state.refusals
            return all.filter { line in
                query.job.map { $0 == line.record.key.job } ?? true
                    && query.from.map { line.noted >= $0 } ?? true && query.until.map { line.noted < $0 } ?? true
            }.sorted { one, other in
                let (first, second) = (one.record.key.scheduled, other.record.key.scheduled)
                return query.job == nil
                    ? (one.noted, first) > (other.noted, second) : (first, one.noted) > (second, other.noted)
            }.prefix(query.limit).map(\.record)
        }
    }

    // MARK: Orders and alerts

    package func pause(_ job: JobName, _ order: StandingOrder?, at now: Timestamp) throws(HoldfastError) -> Bool {
        try write { (state) throws(HoldfastError) in
            Self.know(job, now, &state)
            defer { state.jobs[job]?.pause = order }
            return state.jobs[job]?.pause != nil
        }
    }

    package func skip(_ job: JobName, _ order: StandingOrder?, at now: Timestamp) throws(HoldfastError) -> Bool {
        try write { (state) throws(HoldfastError) in
            Self.know(job, now, &state)
            defer { state.jobs[job]?.skip = order }
            return state.jobs[job]?.skip != nil
        }
    }

    package func fire(
        _ key: String, _ severity: AlertRecord.Severity, _ summary: String, at now: Timestamp
    ) throws(HoldfastError) -> AlertRecord? {
        try write { (state) throws(HoldfastError) in Self.fire(key, severity, summary, now, &state) }
    }

    private static func fire(
        _ key: String, _ severity: AlertRecord.Severity, _ summary: String, _ now: Timestamp, _ state: inout State
    ) -> AlertRecord? {
        let known = state.alerts[key]
        let severity = known?.state == .firing ? max(severity, known?.severity ?? severity) : severity
        if let known, known.state == .firing, known.severity == severity, known.summary == summary { return nil }
        let since = known?.state == .firing ? known?.since ?? now : now
        let alert = AlertRecord(
            key: key, severity: severity, state: .firing, summary: summary, since: since, changed: now)
        state.alerts[key] = alert
        return alert
    }

    package func resolve(_ key: String, at now: Timestamp) throws(HoldfastError) -> AlertRecord? {
        try write { (state) throws(HoldfastError) in Self.resolve(key, now, &state) }
    }

    private static func resolve(_ key: String, _ now: Timestamp, _ state: inout State) -> AlertRecord? {
        guard var alert = state.alerts[key], alert.state == .firing else { return nil }
        alert.state = .resolved
        alert.changed = now
        state.alerts[key] = alert
        return alert
    }

    private static func tell(
        _ completion: RunCompletion, of job: JobName, at now: Timestamp, _ state: inout State
    ) {
        guard completion.outcome == .succeeded else {
            let (severity, summary) = JobAlert.firing(job, completion)
            _ = fire(JobAlert.key(job), severity, summary, now, &state)
            return
        }
        let grave = state.alerts.values.filter { $0.state == .firing && $0.severity == .critical }.map(\.key)
        let over = JobAlert.over(job, grave: Set(grave), state.checks)
        if over.isOwn { _ = resolve(JobAlert.key(job), now, &state) }
        guard completion.check != nil else { return }
        for other in over.mayBe where JobAlert.isOver(state.jobs[other]?.last?.outcome) {
            _ = resolve(JobAlert.key(other), now, &state)
        }
    }

    package func alerts(all: Bool) throws(HoldfastError) -> [AlertRecord] {
        try read { state in
            state.alerts.values.filter { all || $0.state == .firing }.sorted { $0.key < $1.key }
        }
    }

    package func untoldAlerts(
        for notifier: String, from severity: AlertRecord.Severity, at now: Timestamp
    ) throws(HoldfastError) -> [AlertRecord] {
        try write { (state) throws(HoldfastError) in
            let since = state.notifiers[notifier] ?? now
            state.notifiers[notifier] = since
            let untold = state.alerts.values.filter { alert in
                let told = state.told[notifier]?[alert.key]
                let isOver = alert.state == .resolved && told?.state == .firing
                return (alert.severity >= severity || isOver) && (alert.state == .firing || alert.changed >= since)
                    && told?.changed != alert.changed
            }
            return Array(untold.sorted { ($0.changed, $0.key) < ($1.changed, $1.key) }.prefix(100))
        }
    }

    package func markTold(_ alert: AlertRecord, to notifier: String) throws(HoldfastError) {
        try write { (state) throws(HoldfastError) in state.told[notifier, default: [:]][alert.key] = alert }
    }
}
