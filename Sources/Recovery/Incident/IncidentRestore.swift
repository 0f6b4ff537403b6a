// A restore in an incident: into its real place, checked like a drill, with a record of it.

import Glibc
import ObjectStore
import Primitives
import Repository
import Workloads

/// How a restore in an incident is carried out.
package struct IncidentSettings: Sendable {
    package var evidence: EvidencePlace
    /// Where is kept what must outlive a crash; nil when there is no such place, and then nothing is.
    package var stateDirectory: String?
    package var `operator`: String
    package var host: String
    package var toolVersion: String
    package var threads: Int
    package var restoresOwners = true
    /// When the service failed; nil when nobody said, and then the beginning of the restore stands for it.
    package var failedAt: Timestamp?
    /// At most ``longestReason`` bytes of it are kept.
    package var reason: String?
    /// What detecting, deciding and switching over took, as somebody says.
    package var declared: [RecoveryPhase: Duration] = [:]
    /// How the snapshot was chosen, as evidence names it.
    package var selection = "given"
    /// What was asked for, as it was typed.
    package var wanted = ""
    /// The newest snapshot of each source that the repository showed.
    package var heads: [EvidenceSnapshot] = []

    /// In bytes of UTF-8.
    package static let longestReason = DrillRecorder.mostText

    package init(evidence: EvidencePlace, operator: String, host: String, toolVersion: String, threads: Int) {
        self.evidence = evidence
        self.operator = `operator`
        self.host = host
        self.toolVersion = toolVersion
        self.threads = threads
    }

    var journals: String? { stateDirectory.map { Host.absolutePath($0) + "/incidents" } }
}

/// What a restore in an incident came to.
package struct IncidentOutcome: Sendable {
    package var record: EvidenceRecord
    /// Its link; nil when it was left in a file.
    package var evidence: Evidence?
    /// Why the record could not be left where it belongs, and the file that holds it; that file can be imported.
    package var unleft: (error: HoldfastError, file: String?)?
    /// Nil when the restore did not come to its end.
    package var result: RestoreResult?
    /// What had come of one that did not; nil when it had not begun.
    package var unfinished: RestoreResult?
    package var findings: [WorkloadFinding] = []
    /// What ended it early.
    package var failure: HoldfastError?
}

/// Restores one snapshot, checks what is there then, measures, and leaves evidence of the kind `incident`.
///
/// Thread: one at a time, on a thread that may block.
package struct IncidentRestore {
    let repository: Repository
    let snapshot: Snapshot
    let snapshotRecord: SnapshotRecord
    let target: any Workload
    let filter: PathFilter
    let settings: IncidentSettings
    let progress: Progress
    let tell: (DrillEvent) -> Void

    /// - Parameter tell: Is told what happens, on the thread that runs it.
    /// - Throws: `.notPermitted` when this key may not read the snapshot.
    package init(
        _ repository: Repository, _ snapshot: Snapshot, to target: any Workload, filter: PathFilter,
        _ settings: IncidentSettings, progress: Progress, tell: @escaping (DrillEvent) -> Void
    ) throws(HoldfastError) {
        self.repository = repository
        self.snapshot = snapshot
        snapshotRecord = try snapshot.readableRecord()
        self.target = target
        self.filter = filter
        self.settings = settings
        self.progress = progress
        self.tell = tell
    }

    private var name: String { snapshotRecord.source }
    private var clock: any Clock { repository.clock }
    private var cancellation: Cancellation { repository.environment.cancellation }

    /// Carries it out.
    ///
    /// - Returns: The record, whatever became of the restore: a failure and an interruption are in it. Evidence that
    ///   cannot be left does not undo a restore; the outcome says so.
    /// - Throws: before anything is written, when this key may not leave evidence.
    package func run(after attempts: IncidentAttempts) throws(HoldfastError) -> IncidentOutcome {
        try settings.evidence.prepare(repository)
        settle()
        let recorder = DrillRecorder(try firstRecord(attempts), clock: clock, tell: tell)
        let journal = journal(recorder.record)
        if let journal { recorder.keep(in: journal) }
        var outcome = IncidentOutcome(record: recorder.record)
        let start = clock.uptime()
        do throws(HoldfastError) {
            try restore(recorder, &outcome)
        } catch {
            outcome.failure = error
            if !isInterrupted(error) {
                recorder.find("error", name, error.description + (error.hint.isEmpty ? "" : ". \(error.hint)"))
            }
        }
        judge(recorder, outcome)
        end(recorder, outcome.failure, took: clock.uptime() - start)
        outcome.record = recorder.record
        leave(&outcome, journal)
        return outcome
    }

    private func isInterrupted(_ error: HoldfastError?) -> Bool {
        cancellation.isRaised && (error == nil || error?.code == .interrupted)
    }

    private func firstRecord(_ attempts: IncidentAttempts) throws(HoldfastError) -> EvidenceRecord {
        let now = clock.now()
        let place = EvidenceEnvironment(
            host: settings.host, target: IncidentTarget.text(of: target), network: "open", account: settings.operator,
            isSegregated: false)
        var record = EvidenceRecord(
            id: try ULID(at: now, entropy: repository.entropy), kind: .incident, occasion: .manual,
            verdict: .interrupted, operator: settings.operator, toolVersion: settings.toolVersion,
            runID: try ULID(at: now, entropy: repository.entropy), started: now, finished: now, environment: place)
        record.environment.hardware = DrillHardware.facts(
            scratch: IncidentTarget.directory(of: target), store: repository.store.location)
        record.failedAt = settings.failedAt ?? now
        record.facts["failedAt"] = settings.failedAt == nil ? "assumed" : "given"
        record.facts["reason"] = settings.reason.map { DrillRecorder.short($0) }
        record.heads = settings.heads
        var member = EvidenceMember(
            name: name, source: name, workload: "", selection: settings.selection, verdict: .interrupted)
        member.wanted = DrillRecorder.name(settings.wanted)
        member.describe(snapshotRecord, snapshot)
        member.facts["proves"] = IncidentTarget(target, filter: filter).limit(snapshotRecord)
        record.members = [member]
        record.rpoObjective = member.rpoObjective
        record.rtoObjective = member.rtoObjective
        attempts.describe(&record)
        return record
    }

    // MARK: Restoring

    private func restore(_ recorder: DrillRecorder, _ outcome: inout IncidentOutcome) throws(HoldfastError) {
        let fetch = enter(.fetch, recorder)
        let store = MeasuringStore(repository.store, clock: clock)
        let reading = repository.view(through: store, cancellation: cancellation)
        let wanted = snapshot
        // A lease and an index of its own: somebody may have thought about the plan for an hour.
        let session = try RestoreSession(reading) { (repository) throws(HoldfastError) in
            try repository.find(.prefix(wanted.id.description), in: try repository.snapshots(of: wanted.tag))
        }
        defer { session.close() }
        let checks = CopyCheck(
            name: name, record: snapshotRecord, recorder: recorder, clock: clock, cancellation: cancellation,
            progress: progress)
        tell(.entered(.restore, member: name))
        let begin = clock.uptime()
        progress.enter(.planning)
        var failure: HoldfastError?
        var early: (result: RestoreResult, findings: [WorkloadFinding])?
        do throws(HoldfastError) {
            let options = Restorer.writerOptions(ownership: settings.restoresOwners)
            let (result, findings) = try session.restore(
                to: target, filter: filter, options: options, threads: settings.threads, progress: progress,
                unfinished: { early = ($0, $1) })
            outcome.result = result
            outcome.findings = findings
        } catch {
            if let early {
                outcome.unfinished = early.result
                outcome.findings = early.findings
                for finding in early.findings where finding.severity != .good { checks.note(finding) }
            }
            // The engine had looked at all that was written; other codes are of the place and of the copy.
            if error.code == .checkFailed, IncidentTarget(target, filter: filter).isFiles {
                checks.add(WorkloadFinding(.error, "restored", error.message), from: begin)
            }
            failure = error
        }
        let read = store.reading
        let fetched = recorder.add(.fetch, name, from: fetch, to: read.last, bytes: read.bytes, after: [])
        let restored = recorder.add(
            .restore, name, from: begin, bytes: outcome.result?.bytesWritten, after: [fetched])
        recorder.member(name) { member in
            member.logicalBytes = outcome.result?.bytesWritten
            member.storedBytes = read.bytes
            member.logBytes = PointSelection.logBytes(snapshotRecord)
        }
        if let failure { throw failure }
        guard let result = outcome.result else { return }
        recorder.update { $0.facts["bytesAlreadyThere"] = String(result.bytesAlreadyThere) }
        let validate = enter(.validate, recorder)
        for finding in outcome.findings { checks.add(finding, from: validate) }
        try checks.judge(result)
        try requireSomething(result)
        try self.validate(result, session, checks, from: validate)
        recorder.add(.validate, name, from: validate, after: [restored])
    }

    private func validate(
        _ result: RestoreResult, _ session: RestoreSession, _ checks: CopyCheck, from start: Duration
    ) throws(HoldfastError) {
        let place = IncidentTarget(target, filter: filter)
        if let copy = try place.comparison(snapshotRecord) {
            let isManifest = target is PgdataWorkload
            let bytes =
                filter.isEmpty ? snapshotRecord.counts.bytes : result.bytesWritten + result.bytesAlreadyThere
            try checks.compare(session, copy, expected: isManifest ? 0 : bytes, least: isManifest ? 2 : 0)
        }
        if let finding = place.transferFinding(result) { checks.add(finding, from: start) }
        checks.judgeFlags()
        let context = WorkloadContext(
            clock: clock, entropy: repository.entropy, cancellation: cancellation)
        for finding in try place.engineFindings(snapshotRecord, context) { checks.add(finding, from: start) }
        try cancellation.check()
    }

    /// - Throws: `.checkFailed` when patterns took nothing of a snapshot that holds files: nobody wants that, and
    ///   nothing would differ.
    private func requireSomething(_ result: RestoreResult) throws(HoldfastError) {
        guard !filter.isEmpty, snapshotRecord.counts.files > 0 else { return }
        guard result.files == 0, result.hardLinks == 0, result.others == 0 else { return }
        let files = snapshotRecord.counts.files
        throw HoldfastError(
            .checkFailed, "the patterns take none of the snapshot's \(files) file\(files == 1 ? "" : "s")",
            hint: "Correct --include and --exclude: `holdfast ls` shows the paths that they are held against.")
    }

    /// A phase begins. A journal that cannot be written does not hold up a restore.
    private func enter(_ phase: RecoveryPhase, _ recorder: DrillRecorder) -> Duration {
        do throws(HoldfastError) {
            return try recorder.enter(phase, name)
        } catch {
            tell(.found(EvidenceFinding(severity: "warning", object: name, message: error.message)))
            return clock.uptime()
        }
    }

    // MARK: End

    /// Notes what was found wrong with the snapshot itself, for whoever asks what counts and what can be restored.
    private func judge(_ recorder: DrillRecorder, _ outcome: IncidentOutcome) {
        var damage = recorder.record.damage(
            of: name, outcome.failure, hasDamagedObjects: outcome.result.map { $0.damagedCount > 0 } ?? false)
        if damage == .content, !IncidentTarget(target, filter: filter).isFiles { damage = nil }
        recorder.member(name) { member in
            member.facts[PointDamage.placeFact] = PointDamage.place(repository.store.location)
            member.facts[PointDamage.fact] = damage?.rawValue
        }
    }

    func end(_ recorder: DrillRecorder, _ failure: HoldfastError?, took: Duration) {
        let now = recorder.now
        let isInterrupted = isInterrupted(failure)
        recorder.update { record in
            record.finished = now
            record.facts["phase"] = isInterrupted ? record.facts["phase"] : nil
            for name in [RecoveryPhase.detect, .decide, .cutover] {
                guard let duration = settings.declared[name] else { continue }
                record.phases.append(EvidencePhase(name, .declared(duration)))
            }
            if let first = record.facts["firstAttempt"].flatMap({ Timestamp(text: $0) }) {
                record.facts["sinceFirstAttempt.seconds"] = now.since(first).tenths
            }
            record.members[0].verdict = isInterrupted ? .interrupted : failure == nil ? .passed : .failed
        }
        if !recorder.isGood, !isInterrupted { recorder.member(name) { $0.verdict = .failed } }
        recorder.update { record in
            let passed = record.members[0].verdict == .passed
            if passed, let failedAt = record.failedAt, let instant = record.members[0].consistentAsOf,
                instant <= failedAt
            {
                record.members[0].rpoAchieved = failedAt.since(instant)
                record.rpoAchieved = record.members[0].rpoAchieved
            }
            if passed {
                record.members[0].rtoMeasured = took
                record.rtoMeasured = record.technicalRTO
            }
            record.verdict = record.members[0].verdict
        }
        if recorder.record.members[0].verdict == .passed, recorder.record.rpoAchieved == nil {
            recorder.find(
                "warning", name,
                "there is no achieved RPO: the snapshot is of after the failure, or clocks differ")
        }
        // Late is not the same as lost: an objective that was missed fails no restore.
        for miss in Set(recorder.record.misses.map(\.message)).sorted() { recorder.find("warning", name, miss) }
        recorder.shortenFacts()
    }
}
