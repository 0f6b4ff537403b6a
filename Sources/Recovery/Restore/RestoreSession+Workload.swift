// A restore into a workload: its parts one after the other, and the workload's own end.

import Primitives
import Repository
import Workloads

extension RestoreSession {
    /// Restores the snapshot into `workload`.
    ///
    /// - Parameters:
    ///   - filter: What to restore; workloads other than files take all or nothing.
    ///   - unfinished: Is given what had come of it when it fails or is interrupted, once, before that is thrown.
    /// - Returns: What came of all parts together, and what the workload verified when all was written.
    /// - Throws: what the workload refuses, and what ``run(_:target:threads:progress:)`` throws; the workload has then
    ///   been told that it is not complete.
    package func restore(
        to workload: any Workload, filter: PathFilter = PathFilter(), options: TreeWriterOptions, threads: Int,
        progress: Progress = Progress(), unfinished: (RestoreResult, [WorkloadFinding]) -> Void = { _, _ in }
    ) throws(HoldfastError) -> (result: RestoreResult, findings: [WorkloadFinding]) {
        let record = try snapshot.readableRecord()
        var context = context
        context.progress = progress
        let stage = try stage(in: workload, filter, context)
        var result = RestoreResult()
        var findings: [WorkloadFinding] = []
        do throws(HoldfastError) {
            if let receiver = stage.receiver { result.add(try stream(record, to: receiver, progress)) }
            if let secrets = stage.secrets { try restore(secrets: secrets, into: &result, progress) }
            for part in stage.parts {
                var first = filter
                if !part.last.isEmpty { first = try PathFilter(include: [], exclude: part.last.map { Array($0.utf8) }) }
                try write(part, first, record, options, threads, into: &result, progress)
            }
            if result.isComplete, let beforeLast = stage.beforeLast { findings += try beforeLast() }
            for part in stage.parts where !part.last.isEmpty && result.isComplete {
                let last = try PathFilter(include: part.last.map { Array($0.utf8) }, exclude: [])
                try write(part, last, record, options, threads, into: &result, progress)
            }
            try feed(stage.streams, into: &result, progress)
        } catch {
            unfinished(result, findings + lastWords(of: workload, stage, record, error, context))
            throw error
        }
        do throws(HoldfastError) {
            findings += try workload.finishRestore(stage, of: record, isComplete: result.isComplete, context)
        } catch {
            unfinished(result, findings)
            throw error
        }
        return (result, findings)
    }

    /// What a workload found of a restore that failed. That it could not end it is found as well, unless that is the
    /// failure itself.
    private func lastWords(
        of workload: any Workload, _ stage: RestoreStage, _ record: SnapshotRecord, _ failure: HoldfastError,
        _ context: WorkloadContext
    ) -> [WorkloadFinding] {
        do throws(HoldfastError) {
            return try workload.finishRestore(stage, of: record, isComplete: false, context)
        } catch {
            guard error.code != .interrupted, error.message != failure.message else { return [] }
            return [WorkloadFinding(.warning, "end", error.message, hint: error.hint, code: error.code)]
        }
    }

    /// Streams the snapshot's only root; what lacks a piece is not begun.
    private func stream(
        _ record: SnapshotRecord, to receiver: any StreamReceiver, _ progress: Progress
    ) throws(HoldfastError) -> RestoreResult {
        let plan = try self.plan()
        guard plan.missing == 0 else {
            throw HoldfastError(
                .objectMissing, "\(plan.missing) pieces of the stream are in no pack, or their lists are damaged",
                hint: "Run `holdfast check`, or restore to dir:PATH what is there.")
        }
        let kept = rely(on: plan)
        let layout = SnapshotLayout(record.roots)
        guard layout.roots.count == 1, let placed = layout.roots.first else {
            throw HoldfastError(
                .usage, "the snapshot holds \(record.roots.count) things, and a command takes one",
                hint: "Restore to dir:PATH.")
        }
        progress.enter(.restoring, bytesTotal: plan.bytes)
        let dump = try Dump(repository, snapshot, index: index, progress: progress)
        let receive = { (bytes: UnsafeRawBufferPointer) throws(HoldfastError) in try receiver.receive(bytes) }
        var result = RestoreResult()
        let summary: Dump.Summary
        do throws(HoldfastError) {
            summary =
                placed.root.entry.metadata.kind == .directory
                ? try dump.archive(placed.place, as: .tar, to: receive)
                : try dump.file(placed.root.entry, to: receive)
            try receiver.finish()
        } catch {
            receiver.abort()
            throw error
        }
        result.files = summary.entries
        result.bytesWritten = summary.bytes
        result.bytesFetched = plan.bytesToFetch
        result.notes = kept
        return result
    }

    private var context: WorkloadContext {
        WorkloadContext(
            clock: repository.clock, entropy: repository.entropy, cancellation: repository.environment.cancellation)
    }

    private func stage(
        in workload: any Workload, _ filter: PathFilter, _ context: WorkloadContext
    ) throws(HoldfastError) -> RestoreStage {
        guard filter.isEmpty || workload.capabilities.isTree else {
            throw HoldfastError(
                .usage, "a part of a snapshot cannot be restored to \(workload.identity.url)",
                hint: "Leave the patterns out, or restore to dir:PATH.")
        }
        return try workload.prepareRestore(of: try snapshot.readableRecord(), context)
    }

    /// Plans what ``restore(to:filter:options:threads:progress:)`` would do, and changes nothing.
    ///
    /// What stands where a part would be written is compared with it.
    /// - Throws: what the workload refuses.
    package func plan(to workload: any Workload, filter: PathFilter = PathFilter()) throws(HoldfastError) -> RestorePlan
    {
        var context = context
        context.isDryRun = true
        let stage = try stage(in: workload, filter, context)
        // A receiver takes all, whatever it holds.
        if stage.receiver != nil { return try plan(filter: filter) }
        if let secrets = stage.secrets {
            var result = RestoreResult()
            try restore(secrets: secrets, into: &result, isDryRun: true, Progress())
            return try plan(filter: filter)
        }
        if !stage.streams.isEmpty { return try plan(filter: try Self.filter(for: stage.streams)) }
        let record = try snapshot.readableRecord()
        var whole: RestorePlan?
        for part in stage.parts {
            let plan = try RestorePlan.make(
                repository, snapshot: snapshot, index: index, layout: try layout(of: part, record), filter: filter,
                comparing: part.directory)
            if whole == nil { whole = plan } else { whole?.add(plan) }
        }
        guard let whole else { throw HoldfastError(.corruptObject, "the snapshot has no roots") }
        return whole
    }

    /// Takes the paths of the streams, whatever letters are in them, and nothing else.
    private static func filter(for streams: [RestoreStage.Stream]) throws(HoldfastError) -> PathFilter {
        let special = Array("\\*?[]".utf8)
        let patterns = streams.map { stream in
            [UInt8(ascii: "/")] + joinedPath(stream.path).flatMap { special.contains($0) ? [special[0], $0] : [$0] }
        }
        return try PathFilter(include: patterns, exclude: [])
    }

    private func layout(of part: RestoreStage.Part, _ record: SnapshotRecord) throws(HoldfastError) -> SnapshotLayout {
        let roots = part.root.map { path in record.roots.filter { $0.path == path } } ?? record.roots
        guard !roots.isEmpty else {
            throw HoldfastError(
                .corruptObject, "the snapshot lacks \(printablePath(part.root ?? []))", hint: "Run `holdfast check`.")
        }
        return SnapshotLayout(roots)
    }

    private func write(
        _ part: RestoreStage.Part, _ filter: PathFilter, _ record: SnapshotRecord, _ options: TreeWriterOptions,
        _ threads: Int, into result: inout RestoreResult, _ progress: Progress
    ) throws(HoldfastError) {
        let plan = try RestorePlan.make(
            repository, snapshot: snapshot, index: index, layout: try layout(of: part, record), filter: filter)
        guard plan.secrets == 0 else { throw Content.secretRefusal }
        var options = options
        options.expectedFiles = plan.files
        let writer = try TreeWriter(target: part.directory, options: options)
        var begun = RestoreResult()
        do throws(HoldfastError) {
            result.add(
                try run(plan, target: writer, threads: threads, progress: progress, unfinished: { begun = $0 }))
        } catch {
            result.add(begun)
            throw error
        }
    }
}

extension RestorePlan {
    /// Adds the sums of another part of the same restore; a chunk that both need counts twice.
    mutating func add(_ other: RestorePlan) {
        files += other.files
        directories += other.directories
        others += other.others
        bytes.addClamped(other.bytes)
        zeroBytes.addClamped(other.zeroBytes)
        bytesAlreadyThere.addClamped(other.bytesAlreadyThere)
        bytesToFetch.addClamped(other.bytesToFetch)
        chunks += other.chunks
        deltas += other.deltas
        missing += other.missing
        packs.formUnion(other.packs)
        measuredRate = [measuredRate, other.measuredRate].compactMap { $0 }.min()
    }
}

extension RestoreResult {
    /// Adds what came of another part of the same restore.
    mutating func add(_ other: RestoreResult) {
        files += other.files
        directories += other.directories
        others += other.others
        hardLinks += other.hardLinks
        bytesWritten += other.bytesWritten
        bytesAlreadyThere += other.bytesAlreadyThere
        bytesFetched += other.bytesFetched
        damaged += other.damaged.prefix(max(0, Self.maximumKept - damaged.count))
        damagedCount += other.damagedCount
        failures += other.failures.prefix(max(0, Self.maximumKept - failures.count))
        failureCount += other.failureCount
        report.warnings += other.report.warnings
        report.furtherWarnings += other.report.furtherWarnings
        report.ownersNotSet += other.report.ownersNotSet
        report.socketsSkipped += other.report.socketsSkipped
        leftLiveCount += other.leftLiveCount
        notes += other.notes.filter { !notes.contains($0) }
    }
}
