// The end of a drill: what is left is removed, the verdict is drawn, and evidence is left, also of those that crashed.

import Glibc
import Primitives
import Repository
import Workloads

extension Drill {
    /// Removes the scratch directory or leaves it to be looked at, stops the watch and draws the verdict.
    func end(_ recorder: DrillRecorder, _ scratch: DrillScratch, _ watch: DrillWatch, keeping: Bool) {
        watch.stop()
        let isInterrupted = watch.cancellation.isRaised && watch.reason == nil
        let isKept = keeping && !isInterrupted && keep(scratch, recorder)
        var isRemoved = false
        do throws(HoldfastError) {
            if !isKept {
                try scratch.remove()
                isRemoved = true
            }
        } catch {
            recorder.find("error", scratch.path, "cannot be removed: \(error.message)")
        }
        let now = recorder.now
        recorder.update { record in
            record.environment.teardownAt = isRemoved ? now : nil
            record.facts["scratch.kept"] = isKept ? scratch.path : nil
            record.facts["scratch.mostDisk"] = String(watch.mostDisk)
            record.facts["scratch.mostMemory"] = String(watch.mostMemory)
            record.facts["phase"] = nil
            for name in [RecoveryPhase.detect, .decide, .cutover] {
                guard let duration = plan.declared[name] else { continue }
                record.phases.append(EvidencePhase(name, .declared(duration)))
            }
            record.measure(plan)
        }
        let misses = recorder.record.misses
        for miss in misses { recorder.find("error", miss.object, miss.message) }
        let isGood = misses.isEmpty && recorder.isGood
        recorder.update { record in
            record.finished = now
            record.verdict = isInterrupted ? .interrupted : isGood ? .passed : .failed
        }
        estimate(recorder)
        recorder.shortenFacts()
    }

    /// Whether the copies stay to be looked at. Those that cannot be found again, or that the next drill would remove,
    /// are not kept.
    private func keep(_ scratch: DrillScratch, _ recorder: DrillRecorder) -> Bool {
        do throws(HoldfastError) {
            try KeptScratch.keep(scratch, settings)
        } catch {
            recorder.find("error", scratch.path, "cannot be kept: \(error.description)")
            return false
        }
        recorder.find("info", scratch.path, "was kept; remove it with `holdfast drill --clean`")
        return true
    }

    /// Leaves the record where it belongs, and forgets what was kept of it. One that is too large is left without its
    /// particulars: its verdict must not depend on what a row of a database holds. Nor does it get lost because there
    /// is no note of it to be made: that is a warning.
    func leave(_ whole: EvidenceRecord, _ journal: DrillJournal) throws(HoldfastError) -> Evidence? {
        let record = try whole.fitting(repository.id)
        do throws(HoldfastError) {
            try journal.note(record)
        } catch {
            tell(
                .found(
                    EvidenceFinding(
                        severity: "warning", object: settings.journals,
                        message: "the verdict of the drill cannot be noted: \(error.message)")))
        }
        let evidence = try settings.evidence.leave(record, repository)
        // The note that is left may say that the drill was broken off.
        for name in journal.end() {
            tell(
                .found(
                    EvidenceFinding(
                        severity: "warning", object: name,
                        message: "cannot be removed, and the next drill would take it for that of one that was killed: "
                            + "remove it")))
        }
        return evidence
    }

    /// Cleans up after drills whose processes are gone, and leaves the evidence that they did not.
    func settle() throws(HoldfastError) {
        // Other drills put theirs elsewhere: those that their journals tell of are looked at too.
        let leftovers = DrillJournal.leftovers(of: repository.id, in: settings.journals)
        var parents = [settings.parent]
        for leftover in leftovers {
            let target = leftover.record.environment.target
            let parent = target.lastIndex(of: "/").map { String(target[..<$0]) } ?? ""
            if !parent.isEmpty, !parents.contains(parent) { parents.append(parent) }
        }
        for parent in parents {
            for failure in DrillScratch.removeLeftovers(in: parent).failures {
                tell(.found(EvidenceFinding(severity: "warning", object: parent, message: failure.message)))
            }
        }
        for leftover in leftovers {
            var record = leftover.record
            // Without a phase it came to its end, and only its evidence could not be left.
            if record.verdict == .interrupted, let phase = record.facts["phase"] {
                // The first, which stays when the record has to be shortened.
                record.findings.insert(
                    EvidenceFinding(
                        severity: "error", object: record.environment.target,
                        message: "the drill ended without a word in the phase \(phase); the next one found that at "
                            + "\(repository.clock.now())"), at: 0)
                let target = record.environment.target
                if KeptScratch.isKept(target) {
                    record.facts["scratch.kept"] = target
                } else if access(target, F_OK) != 0, errno == ENOENT {
                    record.environment.teardownAt = repository.clock.now()
                }
            }
            guard try leaveLate(record) else { continue }
            leftover.journal.end()
            tell(.settled(record))
        }
    }

    /// Leaves the record of an earlier drill: a file of its own goes beside that of this drill.
    ///
    /// - Returns: Whether it is where it belongs. The next drill tries again when somebody else has files of all the
    ///   names that it can have; this one is not to wait for that.
    private func leaveLate(_ whole: EvidenceRecord) throws(HoldfastError) -> Bool {
        // What was added to it may be more than it has room for.
        let record = try whole.fitting(repository.id)
        guard case .file(let path) = settings.evidence else {
            try settings.evidence.leave(record, repository, isRepeated: true)
            return true
        }
        let file = "\(path)-\(record.id)"
        for number in 1...Self.mostNames {
            do throws(HoldfastError) {
                let name = number == 1 ? file : "\(file)-\(number)"
                try EvidencePlace.file(name).leave(record, repository, isRepeated: true)
                tell(
                    .found(
                        EvidenceFinding(
                            severity: "info", object: name, message: "holds the evidence of an earlier drill now")))
                return true
            } catch {
                guard error.code == .usage else { throw error }
            }
        }
        tell(
            .found(
                EvidenceFinding(
                    severity: "warning", object: file,
                    message: "the evidence of an earlier drill cannot be left there: there are other files of that "
                        + "name and of those with a number")))
        return false
    }

    /// Files that the evidence of an earlier drill can be left in.
    private static let mostNames = 9
}

extension EvidenceMember {
    /// What is known of a snapshot before it is restored.
    mutating func describe(_ record: SnapshotRecord, _ snapshot: Snapshot) {
        workload = record.workload
        self.snapshot = EvidenceSnapshot(snapshot)
        consistentAsOf = record.consistentAsOf
        durableAt = snapshot.stored
        reached = record.facts["stopPosition"] ?? ""
        func declared(_ name: String) -> Duration? {
            record.facts["declared.\(name)"].flatMap { Duration(lengthOfTime: $0) }
        }
        rpoObjective = rpoObjective ?? declared("rpo")
        rtoObjective = rtoObjective ?? declared("rto")
        facts["snapshot.bytes"] = String(record.counts.bytes)
    }

    /// What a recovery of the newest snapshot takes, with the most log that a point of the source has.
    mutating func describe(_ full: (bytes: UInt64, logBytes: UInt64)) {
        facts["full.bytes"] = String(full.bytes)
        facts["full.logBytes"] = String(full.logBytes)
    }
}

extension EvidenceMember {
    /// What cannot be at the time of a failure: data or a snapshot that came later. Nothing can be said of what was
    /// lost then; nil when there is no such thing.
    func clockContradiction(_ failedAt: Timestamp) -> String? {
        func late(_ instant: Timestamp?, _ what: String, _ skew: Duration) -> String? {
            guard let instant, instant > failedAt + skew else { return nil }
            return "\(what) at \(instant), after the failure at \(failedAt): there is no achieved RPO; set the clocks "
                + "of this host, of the source and of the store"
        }
        return late(consistentAsOf, "by the source's clock the data is consistent", .zero)
            ?? late(durableAt, "by the store's clock the snapshot was durable", Heartbeat.clockSkew)
            ?? late(newestData, "by its writer's clock the newest data came", Heartbeat.clockSkew)
    }
}

extension SnapshotRecord {
    /// About what a restored copy takes with all that a server writes beside it.
    var scratchBytes: UInt64 {
        // A record can say anything; no disk has an exbibyte, and a thousand of them can be added up.
        let bytes = min(counts.bytes, 1 << 50)
        switch workload {
        case PostgresWorkload.kind: return bytes + bytes / 20 + (128 << 20)
        // The dumps, and a cluster of them with its indexes and its log.
        case DumpWorkload.kind: return bytes * 4 + (256 << 20)
        default: return bytes + bytes / 20 + (1 << 20)
        }
    }
}

extension EvidenceRecord {
    /// Figures that follow from the phases and the members.
    mutating func measure(_ plan: DrillPlan) {
        let isWhole = members.allSatisfy { $0.verdict == .passed }
        if isWhole { rtoMeasured = technicalRTO }
        for place in members.indices where members[place].selection == "latest" {
            guard let failedAt, let newest = members[place].newestData ?? members[place].consistentAsOf,
                members[place].verdict == .passed
            else { continue }
            if members[place].clockContradiction(failedAt) == nil {
                members[place].rpoAchieved = max(.zero, failedAt.since(newest))
            }
        }
        for (name, ready) in readyTimes {
            guard let place = members.firstIndex(where: { $0.name == name }), !members[place].after.isEmpty else {
                continue
            }
            members[place].facts["plan.ready.seconds"] = ready.tenths
        }
        let achieved = members.compactMap(\.rpoAchieved)
        if achieved.count == members.count { rpoAchieved = achieved.max() }
        let spans = spans(RecoveryPhase.technical)
        guard isWhole, !spans.isEmpty else { return }
        let path = CriticalPath(of: spans)
        facts["criticalPath"] = path.steps.map {
            step in
            let span = step.span.map { spans[$0] }
            let name =
                span.map { $0.member.isEmpty ? $0.name.rawValue : "\($0.member) \($0.name.rawValue)" } ?? "waiting"
            return "\(name) \(step.duration.tenths)"
        }.joined(separator: ", ")
        facts["criticalPath.seconds"] = path.total.tenths
        let tasks = members.map { PlanTask($0.name, duration: $0.rtoMeasured ?? .zero, after: $0.after) }
        guard tasks.count > 1, let schedule = try? PlanSchedule(tasks, workers: tasks.count) else { return }
        facts["plan.atOnce.seconds"] = schedule.total.tenths
        facts["plan.atOnce.path"] = schedule.criticalTasks.joined(separator: ", ")
    }

    /// When each system that was recovered is there if every one begins as soon as those that it waits for are there.
    var readyTimes: [String: Duration] {
        let tasks = members.map { PlanTask($0.name, duration: max(.zero, $0.rtoMeasured ?? .zero), after: $0.after) }
        let slots = tasks.isEmpty ? [] : (try? PlanSchedule(tasks, workers: tasks.count).slots) ?? []
        let recovered = Set(members.filter { $0.rtoMeasured != nil }.map(\.name))
        return Dictionary(slots.filter { recovered.contains($0.name) }.map { ($0.name, $0.end) }) { $1 }
    }

    /// Facts of members that others draw conclusions from.
    private static let essentialFacts: Set<String> = [
        "proves", PointDamage.fact, PointDamage.unclearFact, PointDamage.placeFact,
    ]

    /// The record as `repository` can take it. One that is too large goes without its particulars: its verdict must not
    /// depend on what a row of a database holds.
    ///
    /// - Throws: what is wrong with a record whose size is not.
    func fitting(_ repository: RepositoryID) throws(HoldfastError) -> EvidenceRecord {
        do throws(HoldfastError) {
            _ = try EvidenceDraft(repository: repository, record: self).encoded()
            return self
        } catch {
            guard error.code == .limitExceeded else { throw error }
            return withoutParticulars(because: error.message)
        }
    }

    /// What is left of a record that is too large to be kept: all that its verdict says, and figures, but no texts of
    /// checks beyond their first words, of the members' facts only what they prove, and the findings that are errors.
    private func withoutParticulars(because reason: String) -> EvidenceRecord {
        var record = self
        let first = { (text: String) in String(String.UnicodeScalarView(text.unicodeScalars.prefix(60))) }
        record.checks = record.checks.map { check in
            var check = check
            check.statement = first(check.statement)
            check.expected = first(check.expected)
            check.actual = first(check.actual)
            return check
        }
        record.findings = record.findings.filter { $0.severity == "error" }.prefix(100).map { finding in
            EvidenceFinding(
                severity: finding.severity, object: first(finding.object), message: first(finding.message))
        }
        record.findings.append(
            EvidenceFinding(severity: "error", object: "", message: "the record is shortened: \(first(reason))"))
        for place in record.members.indices {
            record.members[place].facts = record.members[place].facts.filter { Self.essentialFacts.contains($0.key) }
        }
        return record
    }

    /// Objectives that were not kept; none of a copy that was broken on purpose.
    var misses: [(object: String, message: String)] {
        guard sabotage == nil else { return [] }
        var misses: [(object: String, message: String)] = []
        func hold(_ what: String, _ object: String, _ found: Duration?, _ objective: Duration?) {
            guard let found, let objective, found > objective else { return }
            misses.append(
                (object, "\(what) \(found.lengthOfTime) is over the objective of \(objective.lengthOfTime)"))
        }
        let declared = serviceRTO?.declared ?? .zero
        let ready = readyTimes
        hold("RPO", "", rpoAchieved, rpoObjective)
        hold("RTO with what is declared", "", rtoMeasured.map { $0 + declared }, rtoObjective)
        for member in members {
            if kind == .drill, let failedAt, member.selection == PointChoice.latest.name, member.verdict == .passed,
                let contradiction = member.clockContradiction(failedAt)
            {
                misses.append((member.name, contradiction))
            }
            hold("RPO", member.name, member.rpoAchieved, member.rpoObjective)
            // A system is not there before those that it waits for are.
            let waiting = member.after.isEmpty ? "" : " and what it waits for"
            hold(
                "RTO with what is declared\(waiting)", member.name, ready[member.name].map { $0 + declared },
                member.rtoObjective)
        }
        return misses
    }

    /// All systems were recovered, all checks passed, and nothing was found that is an error.
    var isGood: Bool {
        let bad: Set<EvidenceCheckVerdict> = [.failed, .timedOut, .notRun]
        return members.allSatisfy { $0.verdict == .passed } && !checks.contains { bad.contains($0.verdict) }
            && !findings.contains { $0.severity == "error" }
    }
}

extension Duration {
    /// Seconds with one place.
    var tenths: String {
        let tenths = nanosecondsClamped / 100_000_000
        return "\(tenths / 10).\(tenths % 10)"
    }
}
