// holdfast mirror: a second copy of the repository, without a key.

import ArgumentParser
import Configuring
import ObjectStore
import Primitives
import Repository

struct MirrorVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mirror",
        abstract: "Copy what another place lacks.",
        discussion: """
            Every object is verified before it is copied, and nothing is deleted or replaced at the target. No key is \
            needed; the copy opens with the same passwords. A snapshot is copied when all that it may need is there, \
            so that the target is a whole repository whenever the command breaks off; run it again to go on. \
            Bad objects and snapshots that were held back are named, and the exit status is 4.

            Examples:

              holdfast mirror --to /mnt/second-disk/holdfast

              holdfast mirror --to /mnt/second-disk/holdfast --limit-write 20M --dry-run

              holdfast mirror
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The other place: a path, dir:PATH or file:///PATH.",
            discussion: "All mirrors of the repository in the configuration where it is not given.",
            valueName: "location"))
    var to: String?

    @Flag(name: .long, help: "Say what would be copied, and copy nothing.")
    var dryRun = false

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            if let to { try LocationText.refusePassword(in: to) }
            let place = try context.place()
            let targets = try targets(of: place)
            let opened = try StoreLocation.open(place.location)
            // Nothing is made at the target before there is something to copy.
            _ = try Repository.readFormat(in: opened, trusted: nil)
            if let to {
                let report = try mirror(opened, to: to, context)
                for line in MirrorText.lines(report) { try context.output.line(line) }
                try context.output.json(MirrorSummary(report))
                return report.isComplete ? .success : .checkFailed
            }
            return try mirrorAll(opened, targets, context)
        }
    }

    private func targets(of place: RepositoryPlace) throws(HoldfastError) -> [String] {
        if let to { return [to] }
        if let mirrors = place.configured?.mirrors, !mirrors.isEmpty { return mirrors }
        throw HoldfastError(
            .usage, "nothing says where the copy is",
            hint: "Give --to LOCATION, or add `mirrors` to the repository in the configuration.")
    }

    private func mirror(
        _ opened: any ObjectStore, to location: String, _ context: CommandContext
    ) throws(HoldfastError) -> MirrorReport {
        // Reading is limited at the source, writing at the target.
        var (reading, writing) = (transfer, transfer)
        reading.limitWrite = nil
        writing.limitRead = nil
        let source = context.decorated(opened, reading)
        let target = context.decorated(try target(location), writing)
        return try context.withProgress { (progress) throws(HoldfastError) in
            var options = MirrorOptions()
            options.isDryRun = dryRun
            if let threads = transfer.threads { options.threads = threads }
            options.progress = progress
            return try Mirror(from: source, to: target, environment: context.environment).run(options)
        }
    }

    /// Brings each mirror up to date; one that fails does not stop the others.
    private func mirrorAll(
        _ opened: any ObjectStore, _ targets: [String], _ context: CommandContext
    ) throws(HoldfastError) -> ExitStatus {
        var runs: [MirrorsSummary.Run] = []
        for target in targets {
            do throws(HoldfastError) {
                let report = try mirror(opened, to: target, context)
                try context.output.line("\(ShownText.name(target)):")
                for line in MirrorText.lines(report) { try context.output.line(line) }
                runs.append(.init(to: target, mirror: MirrorSummary(report), error: nil))
            } catch {
                if error.code == .interrupted || targets.count == 1 { throw error }
                for line in ErrorText.lines(error.with("mirror", target), verbose: global.verbose) {
                    context.output.console.line(line)
                }
                runs.append(.init(to: target, mirror: nil, error: ErrorReport(error)))
            }
        }
        try context.output.json(MirrorsSummary(runs: runs))
        if runs.contains(where: { $0.mirror?.isComplete == false }) { return .checkFailed }
        let failed = runs.count { $0.error != nil }
        return failed == 0 ? .success : failed == runs.count ? .failed : .partial
    }

    /// The store at the target, made when there is none; a dry run compares with an empty one instead.
    private func target(_ location: String) throws(HoldfastError) -> any ObjectStore {
        do throws(HoldfastError) {
            return try StoreLocation.open(location)
        } catch {
            guard error.code == .repositoryNotFound || error.code == .objectMissing else { throw error }
            return dryRun ? MemoryStore() : try StoreLocation.create(location)
        }
    }
}

/// A report as a person reads it.
enum MirrorText {
    static func lines(_ report: MirrorReport) -> [String] {
        var lines: [String] = []
        for failure in report.badAtSource {
            lines.append("bad at the source: \(failure.object): \(ShownText.line(failure.message))")
        }
        for failure in report.badAtTarget {
            lines.append("bad at the target: \(failure.object): \(ShownText.line(failure.message))")
        }
        for withheld in report.withheld {
            lines.append("snapshot \(withheld.snapshot) was not copied: it may need \(withheld.waitsFor[0])")
        }
        for read in report.transientReads {
            lines.append("transient: \(read.object): \(ShownText.line(read.message)); good when read again")
        }
        lines.append(
            "\(report.isDryRun ? "would copy" : "copied") \(report.objectsCopied) objects "
                + "(\(ByteCount(report.bytesCopied))), among them \(report.snapshotsCopied) snapshots and "
                + "\(report.packsCopied) packs; \(report.objectsPresent) were there")
        return lines
    }
}

/// `holdfast.mirror/1`.
struct MirrorSummary: Encodable {
    let schema = "holdfast.mirror/1"
    let isDryRun, isComplete: Bool
    let objectsCopied, bytesCopied, packsCopied, snapshotsCopied, objectsPresent: UInt64
    let badAtSource, badAtTarget, transientReads: [Item]
    let withheld: [Withheld]

    struct Item: Encodable {
        let object, message: String
    }

    struct Withheld: Encodable {
        let snapshot: String
        let waitsFor: [String]
    }

    private enum CodingKeys: String, CodingKey {
        case schema, isDryRun, isComplete, objectsCopied, bytesCopied, packsCopied, snapshotsCopied, objectsPresent
        case badAtSource, badAtTarget, transientReads, withheld
    }

    init(_ report: MirrorReport) {
        isDryRun = report.isDryRun
        isComplete = report.isComplete
        objectsCopied = report.objectsCopied
        bytesCopied = report.bytesCopied
        packsCopied = report.packsCopied
        snapshotsCopied = report.snapshotsCopied
        objectsPresent = report.objectsPresent
        badAtSource = report.badAtSource.map { Item(object: $0.object, message: $0.message) }
        badAtTarget = report.badAtTarget.map { Item(object: $0.object, message: $0.message) }
        transientReads = report.transientReads.map { Item(object: $0.object, message: $0.message) }
        withheld = report.withheld.map {
            Withheld(snapshot: $0.snapshot.description, waitsFor: $0.waitsFor)
        }
    }
}

/// `holdfast.mirrors/1`.
struct MirrorsSummary: Encodable {
    let schema = "holdfast.mirrors/1"
    let runs: [Run]

    struct Run: Encodable {
        let to: String
        let mirror: MirrorSummary?
        let error: ErrorReport?
    }

    private enum CodingKeys: String, CodingKey { case schema, runs }
}
