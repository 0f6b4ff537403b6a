// The backup verb: one session, one pass over the sources, one snapshot.

import Chunking
import Primitives
import Repository
import Sealing
import Workloads

/// Takes one snapshot.
package struct Backup: Sendable {
    private let repository: Repository
    private let options: BackupOptions
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

    /// Reads `sources` and commits a snapshot of them.
    ///
    /// - Durability: when it returns, the snapshot and all that it needs are on stable storage.
    /// - Cancellation: nothing is committed; what was put and indexed is reused by the next run.
    /// - Throws: `.sourceFailed` and `.emptyStream` for streams, `.pathNotFound` when no source could be read, and what
    ///   the store throws. Paths that could not be read are in the summary, not thrown.
    package func run(_ sources: [BackupSource]) throws(HoldfastError) -> BackupSummary {
        precondition(!sources.isEmpty, "a backup has a source")
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
        progress.enter(.loadingIndex)
        if options.dryRun { return try estimate(sources, started: started, uptime: uptime) }
        let session = try WriterSession(repository, tag: tag)
        defer { session.close() }
        let listing = try repository.snapshots(of: tag)
        let previous = listing.latest(of: tag)
        var record = try read(sources, session, parent: previous, started: started)
        progress.enter(.committing)
        try session.flush()
        record.finished = repository.clock.now()
        record.counts.bytesStored = session.bytesStored
        let id = try session.commit(record, previous: previous)
        progress.enter(.finished)
        return BackupSummary(snapshot: id, record: record, duration: repository.clock.uptime() - uptime)
    }

    private func newRecord(_ sources: [BackupSource], started: Timestamp) throws(HoldfastError) -> SnapshotRecord {
        let isStream = sources.contains { if case .stream = $0 { true } else { false } }
        guard !isStream || sources.count == 1 else {
            throw HoldfastError(
                .usage, "a stream is backed up alone", hint: "Take a snapshot of its own for each stream.")
        }
        var record = SnapshotRecord(
            source: options.source, workload: isStream ? "stdin" : "dir", host: options.host,
            toolVersion: options.toolVersion, runID: try ULID(at: started, entropy: repository.entropy),
            started: started)
        record.tags = options.tags
        record.facts = options.facts
        record.opensWith = options.opensWith
        record.exclusions = options.exclusions.canonical + (options.oneFileSystem ? ["(one file system)"] : [])
        return record
    }

    private func read(
        _ sources: [BackupSource], _ session: WriterSession, parent: Snapshot?, started: Timestamp
    ) throws(HoldfastError) -> SnapshotRecord {
        var record = try newRecord(sources, started: started)
        let keyring = repository.keyring
        // Two readers of the parent: the scanner's, and the tree builder's on the workers' side.
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
        var paths: [[UInt8]] = []
        for source in sources {
            switch source {
            case .directory(let path):
                let scanner = TreeScanner(
                    session, filler: filler, options: options, parents: scanTree, failures: failures)
                if try scan(path, scanner, failures, parent?.record) { paths.append(path) }
            case .stream(let name, let origin):
                paths.append(Array(name.utf8))
                record.facts.merge(try readStream(name, origin, filler, builder)) { $1 }
            }
        }
        guard !paths.isEmpty else { throw Self.nothingRead(failures) }
        try filler.finish()
        record.roots = zip(paths, builder.roots).map { SnapshotRoot(path: $0, entry: $1) }
        record.counts = builder.counts
        record.counts.bytesRead = filler.bytesRead
        record.unreadable = failures.kept
        record.unreadableCount = failures.count
        if failures.count > 0 { record.flags.append("partial") }
        // `consistentAsOf` stays the start: what changed while files were read one after another may be missing.
        return record
    }

    private static func nothingRead(_ failures: FailureList) -> HoldfastError {
        HoldfastError(
            .pathNotFound, "no source could be read: \(failures.kept.first?.reason ?? "")",
            hint: "Check the paths; nothing was committed.")
    }

    /// Scans one directory; false when it cannot be opened, so that the other sources go on.
    private func scan(
        _ path: [UInt8], _ scanner: TreeScanner, _ failures: FailureList, _ parent: SnapshotRecord?
    ) throws(HoldfastError) -> Bool {
        failures.root = path
        let root: DirectoryHandle
        do throws(HoldfastError) {
            var tree = TreeReaderOptions()
            tree.exclusions = options.exclusions
            tree.oneFileSystem = options.oneFileSystem
            tree.readLimit = readLimit
            root = try DirectoryHandle.open(path: path, options: tree)
        } catch {
            guard failures.isOfSource(error) else { throw error }
            failures.add([], error)
            return false
        }
        try scanner.scan(root, parent: parent?.roots.first { $0.path == path }?.entry)
        return true
    }

    private var readLimit: ByteRateLimit? {
        options.readLimit.map {
            ByteRateLimit($0, clock: repository.clock, cancellation: repository.environment.cancellation)
        }
    }

    private func readStream(
        _ name: String, _ origin: BackupSource.StreamOrigin, _ filler: BatchFiller, _ builder: TreeBuilder
    ) throws(HoldfastError) -> [String: String] {
        let cancellation = repository.environment.cancellation
        let stream: any ByteStream
        var facts: [String: String] = [:]
        switch origin {
        case .descriptor(let descriptor):
            stream = StreamSource(descriptor: descriptor, minimumSize: options.minimumSize, cancellation: cancellation)
        case .command(let arguments):
            stream = try CommandSource(
                ProcessRequest(arguments), runner: runner, minimumSize: options.minimumSize,
                cancellation: cancellation)
            // The program alone: arguments may hold what should not be in a snapshot.
            facts["producer"] = arguments.first ?? ""
            facts["exitStatus"] = "0"
        }
        let now = repository.clock.now()
        var root = EntryMetadata(name: Array(name.utf8), kind: options.unpack ? .directory : .file)
        root.mode = options.unpack ? 0o700 : 0o600
        root.modified = now
        let scanner = StreamScanner(filler: filler, clock: repository.clock, limit: readLimit)
        if options.unpack {
            root.name = []
            let notes = try scanner.unpack(stream, root: root, builder: builder)
            if !notes.isEmpty { facts["archiveNotes"] = notes.joined(separator: "; ") }
        } else {
            try scanner.scan(stream, name: name, root: root)
        }
        return facts
    }

    /// Walks the sources without reading content and says what is there.
    private func estimate(
        _ sources: [BackupSource], started: Timestamp, uptime: Duration
    ) throws(HoldfastError) -> BackupSummary {
        var record = try newRecord(sources, started: started)
        let tag = try repository.tag(ofSource: options.source)
        let parent = try repository.snapshots(of: tag).latest(of: tag)
        record.parent = parent?.id
        let tree = parent?.record == nil ? nil : try repository.makeTree(try repository.loadIndex().index)
        let failures = FailureList()
        let estimate = Estimate(
            tree: tree, failures: failures, rereads: options.reread,
            cancellation: repository.environment.cancellation)
        var hasRoot = false
        for source in sources {
            guard case .directory(let path) = source else { continue }
            failures.root = path
            var treeOptions = TreeReaderOptions()
            treeOptions.exclusions = options.exclusions
            treeOptions.oneFileSystem = options.oneFileSystem
            let known = parent?.record?.roots.first { $0.path == path }?.entry
            do throws(HoldfastError) {
                let root = try DirectoryHandle.open(path: path, options: treeOptions)
                try estimate.add(root, parent: known, to: &record.counts)
                hasRoot = true
            } catch {
                guard failures.isOfSource(error) else { throw error }
                failures.add([], error)
            }
        }
        guard hasRoot else { throw Self.nothingRead(failures) }
        record.unreadable = failures.kept
        record.unreadableCount = failures.count
        record.finished = repository.clock.now()
        return BackupSummary(snapshot: nil, record: record, duration: repository.clock.uptime() - uptime)
    }
}
