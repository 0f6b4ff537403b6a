// The backup verb: one session, one pass over the sources, one snapshot.

import Chunking
import Primitives
import Repository
import Sealing
import Workloads

/// Takes one snapshot.
package struct Backup: Sendable {
    private let repository: Repository
    let options: BackupOptions
    private let progress: Progress
    private let runner: any ProcessRunner

    package init(
        _ repository: Repository, options: BackupOptions, progress: Progress = Progress(),
        runner: any ProcessRunner = SystemProcessRunner()
    ) {
        self.repository = repository
        self.options = options
        self.progress = progress
        self.runner = runner
    }

    /// Sees to it that snapshots of vaults hold the versions of secrets that were seen, and returns a warning for each
    /// that none holds. Throws `.interrupted` alone.
    package typealias OpeningKeeper = (SnapshotOpenings) throws(HoldfastError) -> [WorkloadFinding]

    /// Reads the workloads, all of one kind, and commits a snapshot of them.
    ///
    /// - Parameter keep: Asked before the commit when some secret opens what was read; nil where nobody keeps any.
    /// - Durability: when it returns, the snapshot and all that it needs are on stable storage.
    /// - Cancellation: nothing is committed; what was put and indexed is reused by the next run.
    /// - Throws: `.sourceFailed` and the like when a workload says that what it read is not whole, `.pathNotFound` when
    ///   no source could be read, and what the store throws. Paths that could not be read are in the summary, not
    ///   thrown.
    package func run(
        workloads: [any Workload], keeping keep: OpeningKeeper? = nil
    ) throws(HoldfastError) -> BackupSummary {
        precondition(!workloads.isEmpty, "a backup has a source")
        let keyring = repository.keyring
        try keyring.require(.admin, .writer, toDo: "take snapshots")
        let tag = try repository.tag(ofSource: options.source)
        guard keyring.current.sources.isEmpty || keyring.current.sources.contains(tag) else {
            throw HoldfastError(
                .notPermitted, "this key may not take snapshots of \(options.source)",
                hint: "Use a key that was added with --source \(options.source).")
        }
        let started = repository.clock.now()
        let uptime = repository.clock.uptime()
        let record = try newRecord(workloads, started: started)
        var context = WorkloadContext(
            clock: repository.clock, entropy: repository.entropy, cancellation: repository.environment.cancellation,
            runner: runner)
        progress.enter(.loadingIndex)
        if options.dryRun { return try estimate(workloads, record, context, uptime: uptime) }
        var findings: [WorkloadFinding] = []
        // Trees tell what cannot be read as they go, and the rest of them is kept.
        for workload in workloads where !workload.capabilities.isTree {
            findings += try Self.passing(workload.preflight(context))
        }
        let session = try WriterSession(repository, tag: tag)
        defer { session.close() }
        let listing = try repository.snapshots(of: tag)
        let previous = listing.latest(of: tag)
        context.parent = previous?.record
        let watch =
            options.openings.isEmpty ? nil : try OpeningWatch(options.openings, workloads, repository, context)
        try watch?.look()
        var read = try read(workloads, record, session, parent: previous, context)
        if let watch { read.findings += try openings(watch, &read.record, keep) }
        progress.enter(.committing)
        try session.flush()
        read.record.finished = repository.clock.now()
        read.record.counts.bytesStored = session.bytesStored
        let id = try session.commit(read.record, previous: previous)
        progress.enter(.finished)
        return BackupSummary(
            snapshot: id, record: read.record, duration: repository.clock.uptime() - uptime,
            findings: findings + read.findings)
    }

    /// Looks once more what opens the database, now that it was read, and has the versions kept before anything that
    /// needs them is committed.
    private func openings(
        _ watch: OpeningWatch, _ record: inout SnapshotRecord, _ keep: OpeningKeeper?
    ) throws(HoldfastError) -> [WorkloadFinding] {
        try watch.look()
        let openings = watch.openings
        record.openings = openings
        guard let keep else { return watch.findings }
        return watch.findings + (try keep(openings))
    }

    /// The warnings among `findings`; the first error is thrown.
    private static func passing(_ findings: [WorkloadFinding]) throws(HoldfastError) -> [WorkloadFinding] {
        if let error = findings.first(where: { $0.severity == .error }) { throw error.failure }
        return findings.filter { $0.severity == .warning }
    }

    private func newRecord(_ workloads: [any Workload], started: Timestamp) throws(HoldfastError) -> SnapshotRecord {
        let kind = workloads[0].identity.kind
        guard workloads.count == 1 || workloads.allSatisfy({ $0.capabilities.canBeJoined && $0.identity.kind == kind })
        else {
            throw HoldfastError(
                .usage, "sources of these kinds do not make one snapshot",
                hint: "Take a snapshot of its own for each.")
        }
        var record = SnapshotRecord(
            source: options.source, workload: kind, host: options.host,
            toolVersion: options.toolVersion, runID: try ULID(at: started, entropy: repository.entropy),
            started: started)
        record.tags = options.tags
        record.facts = options.facts
        record.opensWith = options.opensWith
        record.exclusions = options.exclusions.canonical + (options.oneFileSystem ? ["(one file system)"] : [])
        return record
    }

    private func read(
        _ workloads: [any Workload], _ record: SnapshotRecord, _ session: WriterSession, parent: Snapshot?,
        _ context: WorkloadContext
    ) throws(HoldfastError) -> (record: SnapshotRecord, findings: [WorkloadFinding]) {
        var record = record
        let keyring = repository.keyring
        // Two readers of the parent: the reader's, and the tree builder's on the workers' side.
        let scanTree = parent?.record == nil ? nil : try repository.makeTree(session.index, packs: session.packReader)
        let buildTree = parent?.record == nil ? nil : try repository.makeTree(session.index, packs: session.packReader)
        record.parent = parent?.record == nil ? nil : parent?.id
        let builder = TreeBuilder(parents: buildTree, progress: progress)
        let pipeline = try ChunkPipeline(
            session, builder: builder, workers: max(1, options.threads), setting: options.compression,
            verifies: options.verifies)
        defer { pipeline.close() }
        let material = try HKDF.derive(
            try keyring.key(.cut), salt: [], info: Array("gear".utf8), count: GearTable.materialCount)
        let cutter = ContentCutter(table: GearTable(material: material))
        let filler = try BatchFiller(pipeline, cutter: cutter, progress: progress)
        let failures = FailureList()
        progress.enter(.backingUp, bytesTotal: parent?.record?.counts.bytes ?? 0)
        let sink = EntryGatherer(
            session, filler: filler, builder: builder, options: options, parents: scanTree,
            parentRoots: parent?.record?.roots ?? [], failures: failures, limit: readLimit)
        var outcomes: [(workload: any Workload, outcome: ReadOutcome)] = []
        for workload in workloads { outcomes.append((workload, try workload.read(into: sink, context))) }
        guard !sink.paths.isEmpty else { throw Self.nothingRead(failures) }
        try filler.finish()
        record.roots = zip(sink.paths, builder.roots).map { SnapshotRoot(path: $0, entry: $1) }
        record.counts = builder.counts
        record.counts.bytesRead = filler.bytesRead
        record.unreadable = failures.kept
        record.unreadableCount = failures.count
        if failures.count > 0 { record.flags.append("partial") }
        record.add(outcomes)
        return (record, outcomes.flatMap(\.outcome.findings))
    }

    private static func nothingRead(_ failures: FailureList) -> HoldfastError {
        HoldfastError(
            .pathNotFound, "no source could be read: \(failures.kept.first?.reason ?? "")",
            hint: "Check the paths; nothing was committed.")
    }

    private var readLimit: ByteRateLimit? {
        options.readLimit.map {
            ByteRateLimit($0, clock: repository.clock, cancellation: repository.environment.cancellation)
        }
    }

    /// Walks the sources without storing anything and says what is there.
    private func estimate(
        _ workloads: [any Workload], _ record: SnapshotRecord, _ context: WorkloadContext, uptime: Duration
    ) throws(HoldfastError) -> BackupSummary {
        var record = record
        if let workload = workloads.first(where: { !$0.capabilities.canBeEstimated }) {
            throw HoldfastError(
                .usage, "a dry run cannot look into \(workload.identity.url)",
                hint: "What it holds is known when it is read; leave --dry-run out.")
        }
        let tag = try repository.tag(ofSource: options.source)
        let parent = try repository.snapshots(of: tag).latest(of: tag)
        record.parent = parent?.id
        let tree = parent?.record == nil ? nil : try repository.makeTree(try repository.loadIndex().index)
        let failures = FailureList()
        let sink = Estimate(
            tree: tree, roots: parent?.record?.roots ?? [], failures: failures, rereads: options.reread,
            cancellation: repository.environment.cancellation)
        var findings: [WorkloadFinding] = []
        for workload in workloads {
            if !workload.capabilities.isTree { findings += try Self.passing(workload.preflight(context)) }
            _ = try workload.read(into: sink, context)
        }
        guard sink.hasRoot else { throw Self.nothingRead(failures) }
        record.counts = sink.counts
        record.unreadable = failures.kept
        record.unreadableCount = failures.count
        record.finished = repository.clock.now()
        return BackupSummary(
            snapshot: nil, record: record, duration: repository.clock.uptime() - uptime, findings: findings)
    }
}

extension SnapshotRecord {
    /// Adds what the workloads know of what they read; of several each has its URL before its names.
    mutating func add(_ outcomes: [(workload: any Workload, outcome: ReadOutcome)]) {
        for (workload, outcome) in outcomes {
            let path = workload.identity.url.drop { $0 != ":" }.dropFirst()
            let prefix = outcomes.count > 1 ? Self.prefix(ofRoot: String(path)) : ""
            for (name, value) in outcome.facts { facts[prefix + name] = value }
            for (name, value) in outcome.expectedContents { expectedContents[prefix + name] = value }
            if let instant = outcome.consistentAsOf, outcomes.count > 1 {
                facts[prefix + "consistentAsOf"] = instant.description
            }
            for flag in outcome.flags where !flags.contains(flag.rawValue) { flags.append(flag.rawValue) }
        }
        // Of several the earliest holds for all; without one it stays the start of reading.
        let instants = outcomes.compactMap(\.outcome.consistentAsOf)
        if instants.count == outcomes.count, let earliest = instants.min() { consistentAsOf = earliest }
    }
}
