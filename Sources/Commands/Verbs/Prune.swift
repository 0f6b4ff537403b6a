// holdfast prune: frees the space of what no snapshot needs.

import ArgumentParser
import Primitives
import Repository

struct Prune: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prune",
        abstract: "Free the space of what no snapshot needs.",
        discussion: """
            Backups and restores may run at the same time. A first prune condemns the packs that no snapshot needs: \
            from then on no backup relies on them. A prune after 24 hours looks again, and deletes what is still \
            unneeded. Packs that are partly needed are copied out of when more than --max-unused lies idle in them, \
            with a key that may read data.

            --exclusive condemns and deletes at once, for a disk that is full. It is refused, with exit status 11, \
            while a backup or a restore holds a lease; restores without one may fail.

            Examples:

              holdfast prune

              holdfast prune --dry-run --json

              holdfast prune --exclusive --max-repack 2G
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Prune Options") var settings: PruneSettings

    @Flag(name: .long, help: "Condemn and delete at once; refused while a lease is open.")
    var exclusive = false

    @Flag(name: .long, help: "Say what would be done, and write nothing.")
    var dryRun = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let result = try PruneRun(context, repository, settings.options(exclusive: exclusive))
                .run(dryRun: dryRun)
            for line in result.lines { try context.output.line(line) }
            for warning in result.warnings { context.output.warning(warning) }
            try context.output.json(result)
            return result.warnings.isEmpty ? .success : .failed
        }
    }
}

/// Plans a prune and carries it out.
struct PruneRun {
    private let context: CommandContext
    private let repository: Repository
    private let options: PruneOptions

    init(_ context: CommandContext, _ repository: Repository, _ options: PruneOptions) {
        self.context = context
        self.repository = repository
        self.options = options
    }

    func run(dryRun: Bool) throws(HoldfastError) -> PruneResult {
        let output = context.output
        let collector = try Collector(repository, options: options) { output.remark($0) }
        let plan = try collector.plan()
        return PruneResult(plan, dryRun ? nil : try collector.run(plan))
    }
}

/// `holdfast.prune/1`.
struct PruneResult: Encodable {
    let schema = "holdfast.prune/1"
    let dryRun: Bool
    let snapshots: Int
    let packs: Int
    let bytes: UInt64
    /// Needed by no snapshot, and named by no generation before this prune.
    let unneededPacks: Int
    let unneededBytes: UInt64
    /// Of backups under way.
    let sparedPacks: Int
    /// Idle in packs that are partly needed.
    let unusedBytes: UInt64
    /// To be copied out of, or copied out of.
    let repackPacks: Int
    let repackBytes: UInt64
    let condemnedGeneration: UInt32?
    let condemnedPacks: Int
    let condemnedBytes: UInt64
    let deletedPacks: Int
    let deletedBytes: UInt64
    let refusedPacks: [String]
    let fencedLeases: Int
    let mergedRuns: Int
    let waiting: Waiting?
    let warnings: [String]

    struct Waiting: Encodable {
        let generation: UInt32
        let packs: Int
        let condemnedAt: String
        let sweepableFrom: String
        let leases: [Lease]

        struct Lease: Encodable {
            let id: String
            let holder: String
            let renewedAt: String
        }

        init(_ open: OpenGeneration) {
            generation = open.number
            packs = open.packs
            condemnedAt = open.condemned.description
            sweepableFrom = open.sweepableFrom.description
            leases = open.waitingFor.map {
                Lease(id: $0.id.description, holder: $0.label, renewedAt: $0.renewed.description)
            }
        }
    }

    private enum CodingKeys: String, CodingKey {
        case schema, dryRun, snapshots, packs, bytes, unneededPacks, unneededBytes, sparedPacks, unusedBytes
        case repackPacks, repackBytes, condemnedGeneration, condemnedPacks, condemnedBytes, deletedPacks
        case deletedBytes, refusedPacks, fencedLeases, mergedRuns, waiting, warnings
    }

    init(_ plan: PrunePlan, _ report: PruneReport?) {
        dryRun = report == nil
        snapshots = plan.snapshots
        packs = plan.packs
        bytes = plan.bytes
        unneededPacks = plan.condemnable.count
        unneededBytes = plan.condemnableBytes
        sparedPacks = plan.spared
        unusedBytes = plan.unused
        repackPacks = report?.repackedPacks ?? plan.repack.count
        repackBytes = report?.repackedBytes ?? plan.repackBytes
        condemnedGeneration = report?.condemned?.generation
        condemnedPacks = report?.condemned?.packs ?? 0
        condemnedBytes = report?.condemned?.bytes ?? 0
        deletedPacks = report?.deletedPacks ?? 0
        deletedBytes = report?.deletedBytes ?? 0
        refusedPacks = (report?.refused ?? []).map(\.description)
        fencedLeases = report?.fencedLeases ?? 0
        mergedRuns = report?.mergedRuns ?? 0
        waiting = (report == nil ? plan.open : report?.waiting).map(Waiting.init)
        warnings =
            (plan.foreign + (report?.damaged ?? [])).map { "pack \($0.pack): \(ShownText.line($0.error.message))" }
    }

    var lines: [String] {
        var lines = [
            "repository  \(snapshots) snapshots, \(packs) packs, \(ByteCount(bytes))",
            "unneeded    \(unneededPacks) packs, \(ByteCount(unneededBytes))",
            "idle        \(ByteCount(unusedBytes)) in packs that are partly needed",
        ]
        if sparedPacks > 0 { lines.append("under way   \(sparedPacks) packs of open backups") }
        if dryRun {
            if repackPacks > 0 { lines.append("would copy  \(ByteCount(repackBytes)) out of \(repackPacks) packs") }
        } else {
            if repackPacks > 0 { lines.append("copied      \(ByteCount(repackBytes)) out of \(repackPacks) packs") }
            if let condemnedGeneration {
                lines.append(
                    "condemned   \(condemnedPacks) packs, \(ByteCount(condemnedBytes)), as generation "
                        + "\(condemnedGeneration)")
            }
            lines.append("deleted     \(deletedPacks) packs, \(ByteCount(deletedBytes))")
            if !refusedPacks.isEmpty { lines.append("kept        \(refusedPacks.count) packs that the store locks") }
        }
        if let waiting {
            lines.append(
                "waiting     generation \(waiting.generation), \(waiting.packs) packs, to be deleted from "
                    + waiting.sweepableFrom)
            for lease in waiting.leases {
                lines.append("  for lease \(lease.id) of \(ShownText.name(lease.holder)), renewed \(lease.renewedAt)")
            }
        }
        if dryRun { lines.append("dry run: nothing was written") }
        return lines
    }
}
