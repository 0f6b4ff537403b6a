// One system of a drill: its scratch directory, its restore, its server, its checks and its end.

import ObjectStore
import Primitives
import Repository
import Workloads

/// Recovers one system. Kept until the drill's end, since others may have to be compared with it.
///
/// Thread: one at a time.
final class SystemDrill {
    let system: DrillSystem
    let snapshot: Snapshot
    let record: SnapshotRecord
    private(set) var copy: RestoredCopy?
    private(set) var scratch: (any WorkloadScratch)?
    /// The place of the last phase in the record, for those that come after.
    private(set) var lastPhase: Int?

    /// The copy was broken on purpose, so that its checks have to fail.
    private(set) var isBroken = false
    /// Why it could not be broken: there is nothing in it to break.
    private(set) var refusal: HoldfastError?

    private let shared: DrillShared
    private let older: Snapshot?
    private var session: RestoreSession?
    private var directory: String?
    /// Objects of the repository could not be read.
    private var hasDamagedObjects = false

    /// - Parameter older: What is passed off as `snapshot`, to break the copy.
    init(_ system: DrillSystem, _ snapshot: Snapshot, older: Snapshot?, _ shared: DrillShared) throws(HoldfastError) {
        self.system = system
        self.snapshot = snapshot
        self.older = older
        self.shared = shared
        record = try snapshot.readableRecord()
    }

    private var name: String { system.name }
    private var recorder: DrillRecorder { shared.recorder }

    /// The directory of the restored copy; nil before it was restored.
    var data: String? { directory.map { "\($0)/data" } }

    // MARK: Phases

    /// From an empty directory to a system that was checked.
    ///
    /// - Parameter after: Places of phases that had to end before.
    /// - Throws: what keeps the system from being recovered. Failed checks are in the record.
    func run(after: [Int]) throws(HoldfastError) {
        let provision = try recorder.enter(.provision, name)
        let place = try shared.scratch.make(name)
        directory = place
        var last = recorder.add(.provision, name, from: provision, after: after)
        lastPhase = last
        last = try restore(after: last)
        lastPhase = last
        try breakCopy()
        try ScratchIsolation.handOver(place)
        let workload = try workload()
        if workload.capabilities.needsScratch {
            let start = try recorder.enter(.replay, name)
            // What a server changes can only be compared before it runs.
            try compare()
            try startServer(workload)
            last = recorder.add(
                .replay, name, from: start, bytes: PointSelection.logBytes(record), after: [last])
            lastPhase = last
            let validate = try recorder.enter(.validate, name)
            try validateCopy(workload)
            lastPhase = recorder.add(.validate, name, from: validate, after: [last])
        } else {
            let validate = try recorder.enter(.validate, name)
            try compare()
            try validateCopy(workload)
            lastPhase = recorder.add(.validate, name, from: validate, after: [last])
        }
    }

    /// Fetches and writes; the two run beside each other, and each has its own time.
    private func restore(after: Int) throws(HoldfastError) -> Int {
        guard let data else { preconditionFailure("provisioned before") }
        let start = try recorder.enter(.fetch, name)
        shared.store.reset()
        let wanted = older ?? snapshot
        let session = try RestoreSession(shared.repository) { (_) throws(HoldfastError) in wanted }
        self.session = session
        tellEntered(.restore)
        let begin = shared.clock.uptime()
        let target = try target(at: data)
        var options = Restorer.writerOptions(ownership: false)
        options.followsTarget = false
        let (result, findings) = try shared.guarded { () throws(HoldfastError) in
            try session.restore(
                to: target, options: options, threads: shared.threads,
                progress: shared.progress)
        }
        let reading = shared.store.reading
        let fetch = recorder.add(
            .fetch, name, from: start, to: reading.last, bytes: reading.bytes, after: [after])
        let restored = recorder.add(
            .restore, name, from: begin, bytes: result.bytesWritten, after: [fetch])
        recorder.member(name) { member in
            member.logicalBytes = result.bytesWritten
            member.storedBytes = reading.bytes
            member.logBytes = PointSelection.logBytes(record)
        }
        hasDamagedObjects = result.damagedCount > 0
        try checks.judge(result)
        for finding in findings where finding.severity != .good { checks.note(finding) }
        copy = RestoredCopy(record: record, places: try places(at: data))
        return restored
    }

    private func breakCopy() throws(HoldfastError) {
        guard let kind = shared.sabotage, let copy else { return }
        do throws(HoldfastError) {
            let done = try Sabotage(copy).apply(kind)
            isBroken = true
            recorder.find("info", name, "broken on purpose: \(done)")
        } catch {
            if error.code == .usage { refusal = error }
            throw error
        }
    }

    private func tellEntered(_ phase: RecoveryPhase) { shared.tell(.entered(phase, member: name)) }

    private func startServer(_ workload: any Workload) throws(HoldfastError) {
        guard let copy else { return }
        var context = shared.context(shared.watch.cancellation)
        let found = StartFindings()
        context.startFindings = found
        let start = shared.clock.uptime()
        do throws(HoldfastError) {
            scratch = try shared.guarded { () throws(HoldfastError) in try workload.startScratch(over: copy, context) }
        } catch {
            // What was found before is not lost with the server, nor is that it ended over this copy.
            for finding in found.all { checks.add(finding, from: start) }
            throw error
        }
    }

    // MARK: Checks

    /// The manifest of a cluster, and what it says nothing of or the server's own comparison leaves out.
    static let filesOfCluster = ["/backup_label", "/backup_manifest", "/postgresql.auto.conf"]

    /// The copy against the snapshot's own list, before anything has run over it. A cluster's files are compared by
    /// the server's manifest, so that only the manifest itself and what it leaves out are held to the snapshot here.
    private func compare() throws(HoldfastError) {
        guard let data, let session else { return }
        var filter = PathFilter()
        var layout = SnapshotLayout(record.roots)
        if record.workload == PostgresWorkload.kind {
            filter = try PathFilter(include: Self.filesOfCluster.map { Array($0.utf8) }, exclude: [])
            layout = SnapshotLayout(record.roots.filter { $0.path == PostgresWorkload.rootPath })
        }
        let right = older == nil ? session : session.of(snapshot)
        try shared.guarded { () throws(HoldfastError) in
            try checks.compare(
                right, .tree(data, layout, filter), expected: filter.isEmpty ? record.counts.bytes : 0,
                least: filter.isEmpty ? 0 : 2, isAlone: true)
        }
        checks.judgeFlags()
    }

    private var checks: CopyCheck {
        CopyCheck(
            name: name, record: record, recorder: recorder, clock: shared.clock,
            cancellation: shared.watch.cancellation, progress: shared.progress)
    }

    private func validateCopy(_ workload: any Workload) throws(HoldfastError) {
        guard let copy else { return }
        shared.progress.enter(.validating)
        let start = shared.clock.uptime()
        let context = shared.context(shared.watch.cancellation)
        let scratch = scratch
        do throws(HoldfastError) {
            let findings = try shared.guarded { () throws(HoldfastError) in
                try workload.check(copy, scratch: scratch, context)
            }
            for finding in findings { checks.add(finding, from: start) }
        } catch {
            // What was found until then may be all that is ever said of the copy's files.
            for finding in scratch?.findings ?? [] { checks.add(finding, from: start) }
            throw error
        }
        try shared.guarded { () throws(HoldfastError) in
            try OpeningCheck(name: name, record: record, scratch: scratch, shared: shared).run()
        }
        for check in system.checks { try PlanCheck(check, shared).run(over: self) }
    }

    // MARK: Targets

    /// What the copy is restored into.
    private func target(at data: String) throws(HoldfastError) -> any Workload {
        guard record.workload == PostgresWorkload.kind else { return FilesWorkload(path: data) }
        var options = WorkloadOptions()
        for (oid, location) in try record.tablespaces { options.tablespaces[location] = tablespace(oid, data) }
        return PgdataWorkload(path: data, options: options, comparesFiles: shared.sabotage != nil)
    }

    private func tablespace(_ oid: String, _ data: String) -> String { "\(data)-tablespace-\(oid)" }

    /// The kind that checks the copy.
    private func workload() throws(HoldfastError) -> any Workload {
        guard let data else { preconditionFailure("provisioned before") }
        switch record.workload {
        case PostgresWorkload.kind: return PgdataWorkload(path: data)
        case SQLiteWorkload.kind: return SQLiteWorkload(path: data)
        case DumpWorkload.kind: return DumpWorkload(rest: "postgres:///")
        case RaftWorkload.kind: return RaftWorkload.ofCopies
        default: return FilesWorkload(path: data)
        }
    }

    private func places(at data: String) throws(HoldfastError) -> [[UInt8]: String] {
        if record.workload == PostgresWorkload.kind {
            var places = [PostgresWorkload.rootPath: data]
            for (oid, location) in try record.tablespaces {
                // One that was made in place lies within the data directory.
                places[PostgresWorkload.rootPath(ofTablespace: oid)] =
                    location.hasPrefix("/") ? tablespace(oid, data) : "\(data)/pg_tblspc/\(oid)"
            }
            return places
        }
        return SnapshotLayout(record.roots).places(below: data)
    }

    // MARK: End

    /// That the copy is broken was seen in its contents or by its engine, which includes that its server ended over it.
    /// What else fails, such as a check of the plan, or a server that lacks something, could have another reason.
    var isNoticed: Bool {
        guard isBroken else { return false }
        return recorder.record.checks.contains { check in
            check.member == name && check.verdict == .failed && ["engine", "contents"].contains(check.kind)
                && check.statement != CopyCheck.wholeness
        }
    }

    /// Why this copy cannot be broken by an older snapshot; nil when it can, or something else is to be broken.
    var olderRefusal: HoldfastError? {
        guard shared.sabotage == .oldSnapshot else { return nil }
        let hint = "Take another snapshot, or choose another kind of sabotage."
        guard let older else {
            return HoldfastError(
                .usage, "there is no older snapshot of \(system.source) to pass off as \(snapshot.id)", hint: hint)
        }
        guard older.record?.roots == record.roots else { return nil }
        return HoldfastError(
            .usage, "the older snapshot \(older.id) of \(system.source) holds the same as \(snapshot.id)", hint: hint)
    }

    /// What this drill found wrong with the point itself; nil when nothing, or when it was broken on purpose.
    ///
    /// - Parameter failure: What ended the drill of this system.
    func damage(_ failure: HoldfastError?) -> PointDamage? {
        guard shared.sabotage == nil else { return nil }
        return recorder.record.damage(of: name, failure, hasDamagedObjects: hasDamagedObjects)
    }

    /// Stops the server and removes all of it. Never fails the drill: what cannot be removed is a finding.
    ///
    /// - Parameter keeping: The restored copy stays.
    func tearDown(keeping: Bool) {
        let start = shared.clock.uptime()
        do throws(HoldfastError) {
            _ = try recorder.enter(.teardown, name)
        } catch {
            // The next drill would only miss the name of the phase.
            recorder.find("warning", name, "the journal of the drill cannot be written: \(error.message)")
        }
        scratch?.stop()
        scratch = nil
        session?.close()
        if let directory, !keeping {
            do throws(HoldfastError) {
                try ScratchTree.remove(directory)
            } catch {
                recorder.find("error", directory, "cannot be removed: \(error.message)")
            }
        }
        recorder.add(.teardown, name, from: start, after: lastPhase.map { [$0] } ?? [])
    }
}
