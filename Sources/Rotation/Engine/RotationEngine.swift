// Carries out rotations: one state after the other, each written down before what it does and after what was seen.

import Primitives
import Scheduling
import SecretVaults
import State

/// A rotation that is wanted.
package struct RotationTask: Sendable {
    /// The rotation that begins where none is under way.
    package var record: RotationRecord
    package var policy: RotationPolicy
    package var target: (any RotationTarget)?
    /// The value that is to become current, where it is no new one.
    package var candidate: SecretValue?
    /// An operator says so: what is parked or waits goes on.
    package var isOrdered = false
    /// What is under way goes back.
    package var goesBack = false

    package init(record: RotationRecord, policy: RotationPolicy, target: (any RotationTarget)?) {
        self.record = record
        self.policy = policy
        self.target = target
    }
}

/// How a rotation stands when the engine leaves it.
package struct RotationOutcome: Sendable {
    package var record: RotationRecord
    /// It was under way before.
    package var wasUnderWay: Bool
    /// Why it went no further; nil when it is over, or in its grace.
    package var error: HoldfastError?
}

/// A version that is to be in a snapshot before a rotation changes anything.
package struct VersionToKeep: Sendable {
    package var name: SecretName
    package var version: SecretVersionID
    /// When the vault says that it was made: the same id may be of another version where a secret was put anew.
    package var created: Timestamp?
    /// The value as the vault has it; nil where it need not be compared.
    package var value: SecretValue?

    package init(name: SecretName, version: SecretVersionID, created: Timestamp?, value: SecretValue?) {
        self.name = name
        self.version = version
        self.created = created
        self.value = value
    }
}

/// Keeps versions of secrets in snapshots.
package protocol VersionKeeper: Sendable {
    /// Looks whether the newest snapshot holds these versions with their values, takes one where it does not, and looks
    /// again: what is in the answer was seen in a snapshot that is on stable storage.
    ///
    /// - Returns: In the order of `versions`; a failure for what no snapshot holds.
    /// - Throws: what keeps it from looking at all.
    func keep(_ versions: [VersionToKeep]) throws(HoldfastError) -> [Result<RotationRecord.Kept, HoldfastError>]
}

/// What an engine works with.
package struct RotationTools: Sendable {
    package var vault: any SecretVault
    package var journal: any RotationJournal
    package var audit: any AuditTrail
    package var keeper: any VersionKeeper
    package var key: RotationKey
    package var programs: SecretPrograms
    package var clock: any Primitives.Clock
    package var entropy: any Entropy
    package var cancellation: Cancellation
    package var holder: RunHolder
    /// Whether the process of a holder is known not to be there any more.
    package var isGone: @Sendable (RunHolder) -> Bool
    package var lease = Duration.seconds(900)

    package init(
        vault: any SecretVault, journal: any RotationJournal, audit: any AuditTrail, keeper: any VersionKeeper,
        key: RotationKey, programs: SecretPrograms, clock: any Primitives.Clock, entropy: any Entropy,
        cancellation: Cancellation, holder: RunHolder, isGone: @escaping @Sendable (RunHolder) -> Bool
    ) {
        self.vault = vault
        self.journal = journal
        self.audit = audit
        self.keeper = keeper
        self.key = key
        self.programs = programs
        self.clock = clock
        self.entropy = entropy
        self.cancellation = cancellation
        self.holder = holder
        self.isGone = isGone
    }
}

/// One rotation in the hands of the engine.
final class RotationWork {
    let policy: RotationPolicy
    let target: (any RotationTarget)?
    let wasUnderWay: Bool
    var claim: RotationClaim
    /// The intent that was there when it was taken: what it stands for may have taken place.
    var found: RotationState?
    var current: SecretValue?
    var candidate: SecretValue?
    var standing: SecretStanding
    var error: HoldfastError?
    /// It goes on in this run.
    var isActive = true
    /// The number of the audit record of the step under way.
    var audited: UInt64 = 0

    var record: RotationRecord {
        get { claim.record }
        set { claim.record = newValue }
    }

    var name: SecretName { SecretName(validated: Array(record.secret.name.utf8)) }

    init(_ claim: RotationClaim, _ task: RotationTask, _ standing: SecretStanding) {
        self.claim = claim
        self.standing = standing
        policy = task.policy
        target = task.target
        wasUnderWay = claim.record.id != task.record.id
        found = claim.record.intent
        candidate = wasUnderWay ? nil : task.candidate
    }

    /// The next state on its way; nil when it is over, or in its grace.
    func next(at now: Timestamp) -> RotationState? {
        switch record.state {
        case .planned: .preflight
        case .preflight: .snapshot
        case .snapshot: .staged
        case .staged: target == nil ? .promoted : .applied
        case .applied: .verified
        case .verified: .promoted
        case .promoted: target == nil ? .done : .grace
        case .grace: (record.retireAt ?? 0) <= now.nanoseconds ? .retired : nil
        case .retired: .done
        case .done, .rolledBack: nil
        }
    }
}

/// Rotates secrets of one vault.
///
/// Groups of secrets go through the states together, so that they share the writes of the journal and of the audit log;
/// what is done outside is done for one after the other.
///
/// Thread: one at a time. Cancellation: between two acts; what was done is written down, and the claims are given back.
package struct RotationEngine {
    let tools: RotationTools
    /// Called before and after each write of the journal; tests end the process there.
    let boundary: (@Sendable (String) -> Void)?

    package init(_ tools: RotationTools, boundary: (@Sendable (String) -> Void)? = nil) {
        self.tools = tools
        self.boundary = boundary
    }

    var vault: any SecretVault { tools.vault }
    var now: Timestamp { tools.clock.now() }

    /// Carries out `tasks`, each of another secret, as far as they can go now.
    ///
    /// - Returns: In the order of `tasks`.
    /// - Throws: what keeps all of them from going on: the journal or the audit log can't be written, `.interrupted`.
    package func run(_ tasks: [RotationTask]) throws(HoldfastError) -> [RotationOutcome] {
        var outcomes: [RotationOutcome] = []
        var start = 0
        while start < tasks.count {
            let end = min(start + RotationLimits.group, tasks.count)
            outcomes += try runGroup(Array(tasks[start..<end]))
            start = end
        }
        return outcomes
    }

    private func runGroup(_ tasks: [RotationTask]) throws(HoldfastError) -> [RotationOutcome] {
        let takings = try tools.journal.take(
            tasks.map(\.record), holder: tools.holder, lease: tools.lease, isGone: tools.isGone)
        let standings = try tools.journal.standings()
        var works: [RotationWork?] = []
        for (task, taking) in zip(tasks, takings) {
            guard case .taken(let claim) = taking else {
                works.append(nil)
                continue
            }
            let work = RotationWork(claim, task, standings[claim.record.secret] ?? SecretStanding())
            prepare(work, task)
            works.append(work)
        }
        let held = works.compactMap(\.self)
        do throws(HoldfastError) {
            try goOn(held)
        } catch {
            // What keeps the journal from being written is told, not that the claims could not be given back as well.
            try? tools.journal.release(held.map(\.claim))
            throw error
        }
        try tools.journal.release(held.map(\.claim))
        return zip(takings, works).map { taking, work in
            if let work {
                return RotationOutcome(record: work.record, wasUnderWay: work.wasUnderWay, error: work.error)
            }
            guard case .held(let record, let holder) = taking else { preconditionFailure("taken, or held") }
            return RotationOutcome(
                record: record, wasUnderWay: true,
                error: HoldfastError(
                    .busy, "process \(holder.process) on \(holder.host) rotates the secret \(record.secret.name)",
                    hint: "Wait for its end; `holdfast secrets history` shows it.", retry: .later))
        }
    }

    /// What an operator's order changes of a rotation that is under way, and what its own clock says.
    private func prepare(_ work: RotationWork, _ task: RotationTask) {
        if task.record.isEmergency, work.wasUnderWay {
            work.record.isEmergency = true
            work.record.reason = task.record.reason ?? work.record.reason
            if work.record.retireAt != nil { work.record.retireAt = now.nanoseconds }
        }
        if task.goesBack { work.record.isGoingBack = true }
        if task.isOrdered || task.goesBack {
            work.record.isParked = false
            work.record.attempts = 0
            work.record.nextAttempt = nil
        }
        let isWaiting = work.record.nextAttempt.map { $0 > now.nanoseconds } ?? false
        if work.record.isParked || isWaiting {
            work.isActive = false
            work.error = Self.parked(work.record)
        }
    }

    private static func parked(_ record: RotationRecord) -> HoldfastError {
        let why = record.failure?.message ?? "it failed"
        if record.isParked {
            return HoldfastError(
                .rotationParked, "the rotation of \(record.secret.name) waits for an operator: \(why)",
                hint: "Put that right and run `holdfast rotate \(record.secret.name) --now`, or give it up with "
                    + "`holdfast secrets rollback`.")
        }
        let code = record.failure.flatMap { ErrorCode(rawValue: $0.code) } ?? .targetFailed
        return HoldfastError(code, why, hint: "It is tried again by itself.", retry: .later)
    }

    /// Brings each as far as it can go now.
    private func goOn(_ works: [RotationWork]) throws(HoldfastError) {
        let back = works.filter { $0.isActive && $0.record.isGoingBack }
        if !back.isEmpty { try goBack(back) }
        while true {
            try tools.cancellation.check()
            let now = now
            let ahead = works.compactMap { work -> (RotationWork, RotationState)? in
                guard work.isActive, !work.record.isGoingBack else { return nil }
                return work.next(at: now).map { (work, $0) }
            }
            let order = RotationState.allCases
            guard let first = order.first(where: { state in ahead.contains { $0.1 == state } }) else { return }
            try step(first, ahead.filter { $0.1 == first }.map(\.0))
        }
    }

    private func step(_ state: RotationState, _ works: [RotationWork]) throws(HoldfastError) {
        switch state {
        case .preflight: try preflight(works)
        case .snapshot: try keep(works)
        case .staged: try stage(works)
        case .applied: try act(state, works) { (work) throws(HoldfastError) in try apply(work) }
        case .verified: try act(state, works) { (work) throws(HoldfastError) in try verify(work) }
        case .promoted: try promote(works)
        case .grace: try enterGrace(works)
        case .retired: try act(state, works) { (work) throws(HoldfastError) in try retire(work) }
        case .done: try finish(works)
        case .planned, .rolledBack: preconditionFailure("no rotation goes there")
        }
    }

    // MARK: Writing down

    /// Writes into the audit log, then into the journal, that `state` may take place from now on.
    ///
    /// - Returns: Those that are this process's still.
    func begin(_ state: String, _ intent: RotationState?, _ works: [RotationWork]) throws(HoldfastError)
        -> [RotationWork]
    {
        guard !works.isEmpty else { return [] }
        let number = try tools.audit.append(works.map { Self.entry(state, $0.record) })
        for (place, work) in works.enumerated() { work.audited = number + UInt64(place) }
        for work in works { work.record.intent = intent }
        let now = now
        try write(
            works.map { RotationUpdate($0.record, fence: $0.claim.fence, steps: [.init(state, .intent, at: now)]) },
            of: works)
        return works.filter(\.isActive)
    }

    /// Writes changes of rotations; one that is somebody else's by now goes no further here.
    func write(_ updates: [RotationUpdate], of works: [RotationWork]) throws(HoldfastError) {
        let name = updates.first?.steps.last.map { "\($0.state).\($0.phase.rawValue)" } ?? ""
        boundary?("before \(name)")
        let lost = try tools.journal.write(updates, lease: tools.lease)
        boundary?("after \(name)")
        for work in works where lost.contains(work.record.id) {
            work.isActive = false
            work.error = HoldfastError(
                .leaseLost, "the rotation of \(work.record.secret.name) is not ours any more",
                hint: "Another process goes on with it; `holdfast secrets history` shows how.",
                context: [("fence", "\(work.claim.fence)")])
        }
    }

    /// One act outside for each, between two writes.
    func act(
        _ state: RotationState, _ works: [RotationWork], _ body: (RotationWork) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        let works = try begin(state.rawValue, state, works)
        try loadCurrent(works)
        for work in works where work.isActive && work.error == nil {
            do throws(HoldfastError) {
                try tools.cancellation.check()
                try body(work)
                boundary?("done \(state.rawValue)")
            } catch {
                work.error = error
            }
        }
        try end(state, works)
    }

    /// Writes down what was seen of each, and what becomes of those that failed.
    func end(_ state: RotationState, _ works: [RotationWork]) throws(HoldfastError) {
        var updates: [RotationUpdate] = []
        let now = now
        let works = works.filter(\.isActive)
        for work in works {
            var update: RotationUpdate
            if let error = work.error {
                update = try settle(work, state.rawValue, error, at: now)
            } else {
                work.record.state = state
                work.record.intent = nil
                work.found = nil
                work.record.attempts = 0
                work.record.nextAttempt = nil
                work.record.failure = nil
                update = RotationUpdate(
                    work.record, fence: work.claim.fence, steps: [.init(state.rawValue, .done, at: now)])
                if state == .promoted { update.standing = work.standing }
                if state == .done {
                    update.candidate = .erased
                    work.candidate = nil
                }
            }
            updates.append(update)
        }
        try write(updates, of: works)
    }

    static func entry(_ state: String, _ record: RotationRecord) -> AuditEntry {
        let reason = record.reason.map { "\(record.policy): \($0)" } ?? record.policy
        return AuditEntry(
            AuditAction(rawValue: "rotation.\(state)"), vault: record.secret.vault, secret: record.secret.name,
            version: record.to ?? record.from, reason: String(reason.prefix(AuditLimits.reason / 4)))
    }
}
