// The walk of a restore: makes what has no content, and hands out the pieces of files in batches.

import Primitives
import Repository
import Sealing
import Synchronization
import Workloads

/// Goes through the snapshot once.
///
/// Thread: one at a time.
final class RestoreWalk {
    private let context: RestoreContext
    private let tree: SnapshotTree
    private let plan: RestorePlan
    private let threads: Int
    private let queue: BoundedQueue<ReadUnit>
    private let units: UnitMaker
    private let existing: ExistingContent?
    private var links = LinkGroups()

    private var wants: [Want] = []
    private var files = 0
    private var openFiles = 0
    /// Directories from the root to the one at hand; those that a filter only passes through are made when needed.
    private var open: [(parts: [[UInt8]], isMade: Bool)] = []

    init(
        _ context: RestoreContext, repository: Repository, plan: RestorePlan, threads: Int,
        queue: BoundedQueue<ReadUnit>
    ) throws(HoldfastError) {
        self.context = context
        self.plan = plan
        self.threads = threads
        self.queue = queue
        tree = try repository.makeTree(context.index, packs: context.packs)
        units = UnitMaker(index: context.index, gap: context.gap, windowSize: context.windowSize)
        // In an empty target there is nothing to compare.
        let isEmpty = try context.writer.entries(of: []).entries.isEmpty && !plan.layout.overlaps
        existing = isEmpty ? nil : ExistingContent(context, threads: threads)
    }

    func run() throws(HoldfastError) {
        let walk = SnapshotWalk(tree, filter: plan.filter, cancellation: context.cancellation)
        try walk.visit(plan.layout) { (step) throws(HoldfastError) in
            guard !context.tally.isAborted else { return false }
            switch step {
            case .enter(let parts, _, let isTaken): return enter(parts, isTaken: isTaken)
            case .leave(_, let entry): leave(entry)
            case .entry(let parts, let entry):
                makeParents()
                try add(parts, entry)
            case .damaged(let parts, _, let error):
                context.tally.damaged(DamagedPath(path: joinedPath(parts), parts: [], error: error))
            }
            return true
        }
        try flush()
    }

    /// Hard links, once all content is in place, and the metadata of directories.
    func end() {
        let tally = context.tally
        do throws(HoldfastError) {
            links.visit { existing, parts in
                attempt(parts) { () throws(HoldfastError) in
                    try context.writer.makeHardLink(existing, parts)
                    tally.change { $0.hardLinks += 1 }
                }
            }
            try context.writer.finish()
            try context.writer.sync()
        } catch {
            tally.failed([], error)
        }
    }

    // MARK: Directories

    private func enter(_ parts: [[UInt8]], isTaken: Bool) -> Bool {
        open.append((parts, false))
        guard isTaken else { return true }
        if makeParents() { return true }
        // No `leave` comes for what is not entered.
        open.removeLast()
        return false
    }

    /// Makes the directories from the root to the one at hand; false when the target refuses one.
    @discardableResult
    private func makeParents() -> Bool {
        for level in open.indices where !open[level].isMade {
            let parts = open[level].parts
            let isMade = attempt(parts) { () throws(HoldfastError) in try context.writer.makeDirectory(parts) }
            guard isMade else { return false }
            open[level].isMade = true
        }
        return true
    }

    private func leave(_ entry: Entry) {
        guard let last = open.popLast(), last.isMade else { return }
        attempt(last.parts) { () throws(HoldfastError) in
            try context.writer.apply(entry.metadata, at: last.parts)
            context.tally.change { $0.directories += 1 }
        }
    }

    /// Does what concerns one path; a refusal is noted under it.
    @discardableResult
    private func attempt(_ parts: [[UInt8]], _ body: () throws(HoldfastError) -> Void) -> Bool {
        do throws(HoldfastError) {
            try body()
            return true
        } catch {
            context.tally.failed(parts, error)
            return false
        }
    }

    // MARK: Entries

    private func add(_ parts: [[UInt8]], _ entry: Entry) throws(HoldfastError) {
        let metadata = entry.metadata
        if metadata.links > 1, links.isAnother(parts, entry) { return }
        switch metadata.kind {
        case .file: try addFile(parts, entry)
        case .directory: break
        case .socket: context.writer.skipSocket(parts)
        case .symbolicLink, .fifo, .characterDevice, .blockDevice:
            attempt(parts) { () throws(HoldfastError) in
                var isMade = true
                switch metadata.kind {
                case .symbolicLink: try context.writer.makeSymlink(parts, target: metadata.linkTarget)
                case .fifo: try context.writer.makeFifo(parts)
                default: isMade = try context.writer.makeDevice(parts, metadata)
                }
                guard isMade else { return }
                try context.writer.apply(metadata, at: parts)
                context.tally.change { $0.others += 1 }
            }
        }
    }

    private func addFile(_ parts: [[UInt8]], _ entry: Entry) throws(HoldfastError) {
        guard let content = entry.content else {
            let error = HoldfastError(
                .corruptObject, "a file of the snapshot has no content", hint: "Run `holdfast check`.")
            return context.tally.damaged(DamagedPath(path: joinedPath(parts), parts: [], error: error))
        }
        try content.requireNoSecret()
        var metadata = entry.metadata
        metadata.size = content.size
        let job = FileJob(parts, metadata)
        files += 1
        var pieces = PieceWalk(content, tree: tree)
        var count = 0
        while let step = try pieces.next() {
            guard !context.tally.isAborted else { break }
            switch step {
            case .damaged(let range, let error):
                job.damaged(range, pack: nil, error, context.writer, context.tally)
            case .piece(let offset, let piece):
                if piece.id == .zeros {
                    existing?.makeZero(offset..<offset + piece.length, job)
                } else {
                    count += 1
                    if count == 2 { openFiles += 1 }
                    add(piece, at: offset, job)
                    if wants.count >= Restorer.maximumPieces { try flush() }
                }
            }
        }
        job.release(1, context.writer, context.tally)
        let limit = existing == nil ? Restorer.maximumFiles : Restorer.maximumOpenFiles
        if files >= limit || openFiles >= Restorer.maximumOpenFiles { try flush() }
    }

    private func add(_ piece: ContentPiece, at offset: UInt64, _ job: FileJob) {
        guard let location = context.index.find(piece.id.bytes.prefix, for: .reading) else {
            return job.damaged(
                offset..<offset + piece.length, pack: nil, ChunkReader.missing(piece.id), context.writer,
                context.tally)
        }
        guard UInt64(location.entry.raw) == piece.length else {
            let error = HoldfastError(
                .corruptObject, "chunk \(piece.id) has another length than the file says",
                hint: "Run `holdfast check`.")
            return job.damaged(
                offset..<offset + piece.length, pack: location.pack, error, context.writer, context.tally)
        }
        job.hold()
        wants.append(Want(location: location, id: piece.id, job: job, offset: offset))
    }

    /// Hands the batch to the workers.
    private func flush() throws(HoldfastError) {
        let batch = wants
        wants = []
        files = 0
        openFiles = 0
        let needed = existing?.withoutEqual(batch) ?? batch
        let made = units.units(needed) { lost in
            lost.job.damaged(
                lost.range, pack: lost.location.pack, ChunkReader.missing(lost.id), context.writer, context.tally)
            lost.job.release(1, context.writer, context.tally)
        }
        for unit in made {
            try context.cancellation.check()
            if context.tally.isAborted { return }
            queue.push(unit)
        }
    }
}
