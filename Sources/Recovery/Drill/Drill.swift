// A drill from its beginning to its evidence.

import Glibc
import ObjectStore
import Primitives
import Repository
import Workloads

/// How a drill is carried out, apart from the plan.
package struct DrillSettings: Sendable {
    /// Where the scratch directory is made; nil for the standard place.
    package var scratch: String?
    /// Where is kept what must outlive a crash; nil for the scratch directory's parent.
    package var stateDirectory: String?
    package var evidence: EvidencePlace
    package var sabotage: SabotageKind?
    /// What programs over restored copies must not see, besides the state directory and this repository.
    package var hidden = ScratchSecrets()
    /// Takes down what is opened of secrets; nil where nobody does, and then none is.
    package var witness: (any SecretWitness)?
    /// The restored copies stay, to be looked at; an interrupted drill removes them all the same.
    package var keeps = false
    package var occasion = EvidenceOccasion.manual
    package var `operator`: String
    package var host: String
    package var toolVersion: String
    package var threads: Int

    package init(evidence: EvidencePlace, operator: String, host: String, toolVersion: String, threads: Int) {
        self.evidence = evidence
        self.operator = `operator`
        self.host = host
        self.toolVersion = toolVersion
        self.threads = threads
    }

    var parent: String { scratch.map { Host.absolutePath($0) } ?? DrillScratch.standardParent }
    var journals: String { (stateDirectory.map { Host.absolutePath($0) } ?? parent) + "/drills" }
}

/// What a drill came to.
package struct DrillOutcome: Sendable {
    package var record: EvidenceRecord
    /// Its link; nil when it was left in a file.
    package var evidence: Evidence?
    /// Nil for a drill in which nothing was to be broken.
    package var sabotage: SabotageResult?
}

/// Restores what a plan names into scratch space, checks it, measures, tears down, and leaves evidence.
///
/// Nothing of it reaches a source: it reads the repository, and writes below its scratch directory alone.
/// Thread: one at a time, on a thread that may block.
package struct Drill {
    let plan: DrillPlan
    let repository: Repository
    let settings: DrillSettings
    let progress: Progress
    let runner: any ProcessRunner
    let tell: (DrillEvent) -> Void

    /// - Parameter tell: Is told what happens, on the thread that runs the drill.
    package init(
        _ plan: DrillPlan, _ repository: Repository, _ settings: DrillSettings, progress: Progress = Progress(),
        runner: any ProcessRunner = SystemProcessRunner(), tell: @escaping (DrillEvent) -> Void
    ) {
        self.plan = plan
        self.repository = repository
        self.settings = settings
        self.progress = progress
        self.runner = runner
        self.tell = tell
    }

    /// Carries the plan out.
    ///
    /// - Returns: The record, which was left where the settings say. A drill that failed or was interrupted returns
    ///   too: its verdict says so.
    /// - Throws: before anything is restored, when the plan makes no sense, evidence cannot be left, or the scratch
    ///   directory cannot be made; `.usage`, without a record, when a copy holds nothing that could be broken as the
    ///   settings say; afterwards, when the evidence could not be left: the state directory keeps it then, if it takes
    ///   it, and the next drill leaves it.
    package func run() throws(HoldfastError) -> DrillOutcome {
        try repository.keyring.requireReadingData()
        try settings.evidence.prepare(repository)
        let systems = try plan.ordered()
        try settle()
        let recorder = DrillRecorder(try firstRecord(systems), clock: repository.clock, tell: tell)
        let scratch = try DrillScratch(recorder.record.id, in: settings.parent)
        let journal: DrillJournal
        do throws(HoldfastError) {
            recorder.update { record in
                record.environment.target = scratch.path
                record.facts["phase"] = "start"
            }
            journal = try DrillJournal(recorder.record, of: repository.id, in: settings.journals)
        } catch {
            try? scratch.remove()
            throw error
        }
        recorder.keep(in: journal)
        tell(.began(plan: plan.name, systems: systems.map(\.name)))
        let watch: DrillWatch
        do throws(HoldfastError) {
            watch = try DrillWatch(
                plan.limits, directory: scratch.path, clock: repository.clock,
                parent: repository.environment.cancellation)
        } catch {
            // Nothing was tried, so that there is nothing to leave evidence of.
            try? scratch.remove()
            journal.end()
            throw error
        }
        let store = MeasuringStore(repository.store, clock: repository.clock)
        var refusal: HoldfastError?
        var sabotage: SabotageResult?
        do throws(HoldfastError) {
            let shared = DrillShared(
                repository: repository.view(through: store, cancellation: watch.cancellation), store: store,
                scratch: scratch, watch: watch, recorder: recorder,
                isolation: try ScratchIsolation(
                    WorkloadContext(
                        clock: repository.clock, entropy: repository.entropy, cancellation: watch.cancellation),
                    hiding: hidden, keeping: [scratch.path]),
                sabotage: settings.sabotage, threads: settings.threads, progress: progress, runner: runner,
                witness: settings.witness, tell: tell)
            (sabotage, refusal) = recover(systems, shared)
        } catch {
            note(error, of: "", recorder, watch)
        }
        end(recorder, scratch, watch, keeping: settings.keeps && refusal == nil)
        if let refusal {
            // There was no sabotage, and a record would be taken for one of it.
            journal.end()
            throw refusal
        }
        let evidence = try leave(recorder.record, journal)
        return DrillOutcome(record: recorder.record, evidence: evidence, sabotage: sabotage)
    }

    /// What no program over a copy sees, besides what none ever does.
    private var hidden: ScratchSecrets {
        var secrets = settings.hidden
        secrets.state.append(settings.stateDirectory.map { Host.absolutePath($0) } ?? settings.journals)
        if case .local(let path)? = try? StoreLocation(repository.store.location) {
            secrets.repositories.append(Host.absolutePath(path))
        }
        return secrets
    }

    private func firstRecord(_ systems: [DrillSystem]) throws(HoldfastError) -> EvidenceRecord {
        let now = repository.clock.now()
        let environment = EvidenceEnvironment(
            host: settings.host, target: settings.parent, network: "", account: "", isSegregated: false)
        var record = EvidenceRecord(
            id: try ULID(at: now, entropy: repository.entropy), kind: .drill, occasion: settings.occasion,
            verdict: .interrupted, operator: settings.operator, toolVersion: settings.toolVersion,
            runID: try ULID(at: now, entropy: repository.entropy), started: now, finished: now,
            environment: environment)
        record.plan = plan.name
        record.planDigest = plan.digest
        record.approver = plan.approver
        record.failedAt = now
        record.rpoObjective = plan.rpo
        record.rtoObjective = plan.rto
        record.sabotage = settings.sabotage?.rawValue
        record.environment.hardware = DrillHardware.facts(scratch: settings.parent, store: repository.store.location)
        record.members = systems.map { system in
            var member = EvidenceMember(
                name: system.name, source: system.source, workload: "", selection: system.point.name,
                verdict: .interrupted)
            if case .time(let instant) = system.point { member.wanted = instant.description }
            member.after = system.after
            member.rpoObjective = system.rpo
            member.rtoObjective = system.rto
            return member
        }
        return record
    }

    // MARK: Recovering

    /// Everything that may fail; whatever becomes of it is in the record.
    ///
    /// - Returns: What came of sabotage, and why it could not be.
    private func recover(
        _ systems: [DrillSystem], _ shared: DrillShared
    ) -> (sabotage: SabotageResult?, refusal: HoldfastError?) {
        let recorder = shared.recorder
        var drills: [SystemDrill] = []
        do throws(HoldfastError) {
            drills = try select(systems, shared)
            try checkRoom(drills, shared)
        } catch {
            note(error, of: "", recorder, shared.watch)
            for system in systems {
                recorder.member(system.name) { $0.verdict = shared.isInterrupted ? .interrupted : .failed }
                skipChecks(of: system, shared)
            }
            return (judgeSabotage(drills, recorder), nil)
        }
        var refusal = drills.lazy.compactMap(\.olderRefusal).first
        var lasts: [String: Int] = [:]
        for drill in drills where refusal == nil {
            let system = drill.system
            guard !shared.isInterrupted else {
                skipChecks(of: system, shared)
                continue
            }
            guard let waited = Self.phases(of: system.after, lasts), shared.watch.reason == nil else {
                recorder.member(system.name) { $0.verdict = .failed }
                recorder.find("error", system.name, "was not tried, since what it waits for was not recovered")
                skipChecks(of: system, shared)
                continue
            }
            recover(drill, after: waited, shared)
            if recorder.record.members.first(where: { $0.name == system.name })?.verdict == .passed {
                lasts[system.name] = drill.lastPhase
            }
            refusal = drill.refusal
        }
        if refusal == nil { reconcile(drills, shared) }
        let sabotage = judgeSabotage(drills, recorder)
        let isKept = settings.keeps && !shared.isInterrupted && refusal == nil
        for drill in drills.reversed() { drill.tearDown(keeping: isKept) }
        return (sabotage, refusal)
    }

    /// Whether those that were broken were noticed. Those that wait for a broken one are not tried.
    private func judgeSabotage(_ drills: [SystemDrill], _ recorder: DrillRecorder) -> SabotageResult? {
        guard settings.sabotage != nil else { return nil }
        let broken = drills.filter(\.isBroken)
        let unnoticed = broken.filter { !$0.isNoticed }.map(\.system.name)
        recorder.update { record in
            if broken.isEmpty { record.sabotage = nil } else { record.facts["sabotage.noticed"] = "yes" }
            if !unnoticed.isEmpty { record.facts["sabotage.noticed"] = "not in \(unnoticed.joined(separator: ", "))" }
        }
        return broken.isEmpty ? .notBroken : unnoticed.isEmpty ? .noticed : .unnoticed(unnoticed)
    }

    /// Places of the last phases of `names`; nil when one of them was not recovered.
    private static func phases(of names: [String], _ lasts: [String: Int]) -> [Int]? {
        let places = names.compactMap { lasts[$0] }
        return places.count == names.count ? places.sorted() : nil
    }

    private func recover(_ drill: SystemDrill, after: [Int], _ shared: DrillShared) {
        let name = drill.system.name
        let recorder = shared.recorder
        let start = shared.clock.uptime()
        var verdict = EvidenceVerdict.passed
        var failure: HoldfastError?
        do throws(HoldfastError) {
            try drill.run(after: after)
        } catch {
            failure = error
            note(error, of: name, recorder, shared.watch)
            verdict = shared.isInterrupted ? .interrupted : .failed
            let done = Set(recorder.record.checks.map(\.id))
            for check in drill.system.checks where !done.contains("\(name)/\(check.name)") {
                PlanCheck(check, shared).skip(of: name)
            }
        }
        let failed: Set<EvidenceCheckVerdict> = [.failed, .timedOut, .notRun]
        if verdict == .passed,
            recorder.record.checks.contains(where: { $0.member == name && failed.contains($0.verdict) })
        {
            verdict = .failed
        }
        let damage = drill.damage(failure)
        recorder.member(name) { member in
            member.facts[PointDamage.placeFact] = PointDamage.place(repository.store.location)
            member.facts[PointDamage.fact] = damage?.rawValue
            member.facts[PointDamage.unclearFact] = settings.sabotage == nil ? failure?.unclear : nil
            member.verdict = verdict
            if verdict == .passed { member.rtoMeasured = shared.clock.uptime() - start }
        }
    }

    private func skipChecks(of system: DrillSystem, _ shared: DrillShared) {
        for check in system.checks { PlanCheck(check, shared).skip(of: system.name) }
    }

    private func reconcile(_ drills: [SystemDrill], _ shared: DrillShared) {
        guard !plan.checks.isEmpty else { return }
        do throws(HoldfastError) {
            let start = try shared.recorder.enter(.validate, "")
            for check in plan.checks {
                if shared.watch.cancellation.isRaised {
                    PlanCheck(check, shared).skip(of: "")
                } else {
                    try PlanCheck(check, shared).run(over: drills)
                }
            }
            shared.recorder.add(.validate, "", from: start, after: drills.compactMap(\.lastPhase).sorted())
        } catch {
            note(error, of: "", shared.recorder, shared.watch)
        }
    }

    /// Picks the snapshots, and notes what is known of them.
    private func select(_ systems: [DrillSystem], _ shared: DrillShared) throws(HoldfastError) -> [SystemDrill] {
        let listing = try repository.snapshots()
        let tags = Set(listing.snapshots.map(\.tag))
        // The failure is as late as what there is to recover from: a backup that ended while scratch space was made
        // ready is not of after it.
        let failedAt = repository.clock.now()
        shared.recorder.update { record in
            record.failedAt = failedAt
            record.heads = tags.compactMap { listing.latest(of: $0).map { EvidenceSnapshot($0) } }
                .sorted { $0.tag < $1.tag }
        }
        var drills: [SystemDrill] = []
        for system in systems {
            let selection = try PointSelection(system.source, in: listing, repository)
            let snapshot = try selection.choose(system.point, repository.entropy)
            let older = settings.sabotage == .oldSnapshot ? selection.before(snapshot) : nil
            let drill = try SystemDrill(system, snapshot, older: older, shared)
            shared.recorder.member(system.name) { member in
                member.describe(drill.record, snapshot)
                member.describe(selection.fullSize)
            }
            drills.append(drill)
        }
        isolation(drills.map(\.record), shared)
        return drills
    }

    private func isolation(_ records: [SnapshotRecord], _ shared: DrillShared) {
        let account = (try? ScratchIsolation.account(for: shared.scratch.path)) ?? ""
        let isElsewhere = records.allSatisfy { $0.host != settings.host }
        shared.recorder.update { record in
            record.environment.network = shared.isolation.network
            record.facts["scratch.keptFrom"] = shared.isolation.summary
            record.environment.account = account
            record.environment.isSegregated = isElsewhere && shared.isolation.level == .namespaces && account != "root"
        }
    }

    /// - Throws: `.limitExceeded` for more than the plan allows, `.noSpace` for more than there is.
    private func checkRoom(_ drills: [SystemDrill], _ shared: DrillShared) throws(HoldfastError) {
        let needed = ByteCount(drills.reduce(0) { $0 + $1.record.scratchBytes })
        if let limit = plan.limits.disk, needed > limit {
            throw HoldfastError(
                .limitExceeded, "the drill needs about \(needed) of scratch space, and its limit is \(limit)",
                hint: "Raise `disk` below `scratch`, or divide the plan.")
        }
        let room = ByteCount(try shared.scratch.room())
        guard needed <= room else {
            throw HoldfastError(
                .noSpace, "the drill needs about \(needed) of scratch space, and \(room) are free",
                hint: "Free some, or name another place with --scratch.")
        }
    }

    /// What failed, as a finding; an interruption is none.
    private func note(
        _ error: HoldfastError, of member: String, _ recorder: DrillRecorder, _ watch: DrillWatch
    ) {
        if watch.cancellation.isRaised, watch.reason == nil, error.code == .interrupted { return }
        let object = error.context.first { $0.key == "object" }?.value ?? member
        recorder.find("error", object, error.description + (error.hint.isEmpty ? "" : ". \(error.hint)"))
    }
}

extension DrillShared {
    /// Somebody asked the drill to stop; no limit did.
    var isInterrupted: Bool { watch.cancellation.isRaised && watch.reason == nil }
}
