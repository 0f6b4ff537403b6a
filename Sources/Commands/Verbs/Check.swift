// holdfast check: is everything there, as it was written, and what does it hurt when not.

import ArgumentParser
import ObjectStore
import Primitives
import Repository
import Scheduling

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Check the repository, and name what damage hurts.",
        discussion: """
            Without options the structure is checked: every object but the bodies of packs, every table of contents \
            against the index, and every tree, down to the last chunk that a snapshot needs. With --read-data every \
            byte is read and every chunk decoded. With --keyless no key is asked for: names are compared with bytes, \
            digests and signatures verified, and what should exist looked for.

            A read that fails or gives wrong bytes is repeated once. Each bad object is listed with the snapshots and \
            paths that it hurts. The exit status is 4 when there are errors.

            Examples:

              holdfast check

              holdfast check --read-data-subset 5%

              holdfast check --read-data-subset 3/7 --json

              holdfast check --read-data-oldest 1h

              holdfast check --keyless --repo /mnt/second-copy
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions
    @OptionGroup var expected: ExpectedHeads
    @OptionGroup(title: "Transfer Options") var transfer: TransferOptions

    @Flag(name: .long, help: "Read every pack, and decode every chunk.")
    var readData = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Read some packs: a random share such as 5%, a part such as 2/7, or random packs up to a size.",
            valueName: "subset"))
    var readDataSubset: String?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Read packs for a time such as 1h, or up to a size such as 50G, those first that were read longest ago.",
            discussion: "What was read is remembered in the state directory. A pack that was begun is ended.",
            valueName: "budget"))
    var readDataOldest: String?

    @Flag(name: .long, help: "Use no key. All packs are read, or those of --read-data-subset.")
    var keyless = false

    @Flag(name: .long, help: "List every path that is hurt, not just the first hundred of each object.")
    var allPaths = false

    func validate() throws {
        if keyless, !expected.expectHead.isEmpty { throw ValidationError("--expect-head needs a key.") }
        if [readData, readDataSubset != nil, readDataOldest != nil].count(where: { $0 }) > 1 {
            throw ValidationError("--read-data, --read-data-subset and --read-data-oldest exclude each other.")
        }
        if let readDataOldest {
            guard ReadBudget(readDataOldest) != nil else {
                throw ValidationError("--read-data-oldest takes a time such as 1h, or a size such as 50G.")
            }
            if keyless { throw ValidationError("--read-data-oldest needs a key.") }
        }
        if let readDataSubset {
            do { _ = try DataSelection(subset: readDataSubset) } catch { throw ValidationError(error.message) }
        }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            var heads: [HeadSummary]?
            var (location, identity): (String?, String?) = (nil, nil)
            let hand = HandCheck(context)
            let report = try context.withProgress { (progress) throws(HoldfastError) in
                let options = try options(progress)
                if keyless {
                    let place = try context.place().location
                    location = place
                    let store = context.decorated(try StoreLocation.open(place), transfer)
                    return try KeylessCheck(store, environment: context.environment).run(options)
                }
                let repository = try context.openRepository(transfer)
                location = repository.store.location
                try expected.verify(in: repository)
                heads = HeadSummary.all(try repository.snapshots())
                guard let readDataOldest, let budget = ReadBudget(readDataOldest) else {
                    return try repository.check(options)
                }
                let memory = try CheckMemory(
                    of: repository, in: context.stateDirectory(), entropy: context.environment.entropy)
                var budgeted = options
                budgeted.data = .oldest(
                    OldestFirst(lastRead: memory.lastRead, bytes: budget.bytes, time: budget.time))
                budgeted.clock = context.clock
                var isSaved = true
                let unsaved = { (error: HoldfastError) in
                    isSaved = false
                    context.output.warning("what was read is not remembered: \(ShownText.line(error.message))")
                }
                let found = try memory.remembering(
                    at: context.clock, unsaved: unsaved
                ) { (note) throws(HoldfastError) in
                    budgeted.onPackRead = note
                    return try repository.check(budgeted)
                }
                // What it marked before holds, though what was read now is not remembered; new damage is not marked.
                if isSaved || memory.isFound && !found.hasErrors { identity = memory.identity }
                return found
            }
            if let location, let extent = extent(of: report) {
                hand?.note(extent, isGood: !report.hasErrors, at: location, memory: identity, context)
            }
            for line in CheckText.lines(report) { try context.output.line(line) }
            try context.output.json(CheckSummary(report, heads: heads, isKeyless: keyless, memory: identity))
            return report.hasErrors ? .checkFailed : .success
        }
    }

    /// What the check says of the repository: good packs by chance say nothing of those that are damaged, and damage
    /// that was found so takes a whole check. Nil for nothing, as of one that could not look at all.
    private func extent(of report: CheckReport) -> CheckExtent? {
        if !keyless, readDataOldest != nil, report.isComplete || report.hasErrors { return .part }
        if report.hasErrors { return readData || readDataSubset != nil || keyless ? .everything : .structure }
        guard report.isComplete, !keyless else { return nil }
        return readData ? .everything : .structure
    }

    private func options(_ progress: Progress) throws(HoldfastError) -> CheckOptions {
        var options = CheckOptions()
        options.progress = progress
        if let threads = transfer.threads { options.threads = threads }
        if readData { options.data = .all }
        if let readDataSubset { options.data = try DataSelection(subset: readDataSubset) }
        if allPaths { options.pathsPerObject = .max }
        return options
    }
}

/// A report as a person reads it.
enum CheckText {
    static func lines(_ report: CheckReport) -> [String] {
        var lines: [String] = []
        for finding in report.findings {
            lines.append("\(finding.severity.rawValue): \(finding.object): \(ShownText.line(finding.message))")
            lines += damage(finding.damage)
        }
        for read in report.transientReads {
            lines.append("transient: \(read.object): \(ShownText.line(read.message)); good when read again")
        }
        let counts = report.counts
        lines.append(
            "checked \(counts.snapshots) snapshots, \(counts.runs) index runs, \(counts.packs) packs "
                + "(\(ByteCount(counts.packBytes))), \(counts.evidence) links of evidence and \(counts.others) other "
                + "objects")
        if counts.packsRead > 0 {
            lines.append(
                "read \(counts.packsRead) of \(counts.packs) packs from end to end "
                    + "(\(ByteCount(counts.packBytesRead)) of \(ByteCount(counts.packBytes)))")
        }
        if counts.chunksVerified > 0 {
            lines.append(
                "verified \(counts.chunksVerified) chunks (\(ByteCount(counts.plainBytesVerified)) of content)")
        }
        let errors = report.findings(.error).count
        let warnings = report.findings(.warning).count
        if errors + warnings == 0 {
            lines.append(report.isComplete ? "no errors" : "no errors in what could be opened")
        } else {
            lines.append("\(errors) errors, \(warnings) warnings")
        }
        return lines
    }

    private static func damage(_ damage: CheckDamage) -> [String] {
        guard !damage.snapshots.isEmpty else { return [] }
        let verb = damage.isGuess ? "may hurt" : "hurts"
        var lines = ["  \(verb) \(damage.snapshots.count) snapshots, \(damage.pathCount) paths"]
        if damage.pathCount == 0 { lines = ["  \(verb) \(damage.snapshots.count) snapshots"] }
        if damage.paths.isEmpty {
            lines += damage.snapshots.map { "    \($0)" }
        } else {
            lines += damage.paths.map { "    \($0.snapshot)  \(ShownText.path($0.path))" }
        }
        let rest = damage.pathCount - UInt64(damage.paths.count)
        if rest > 0 { lines.append("    and \(rest) more paths (--all-paths lists them)") }
        return lines
    }
}

/// `holdfast.check/1`.
struct CheckSummary: Encodable {
    let schema = "holdfast.check/1"
    let isKeyless: Bool
    let isComplete: Bool
    let errors: Int
    let warnings: Int
    let findings: [Finding]
    let transientReads: [Transient]
    let bytesRead: UInt64
    let counts: Counts
    /// The newest snapshot of each source; nil without a key.
    let heads: [HeadSummary]?
    /// The memory of packs, of a check with a budget; nil where what it found damaged is not marked there.
    let memory: String?

    private enum CodingKeys: String, CodingKey {
        case schema, isKeyless, isComplete, errors, warnings, findings, transientReads, bytesRead, counts, heads, memory
    }

    struct Finding: Encodable {
        let severity, problem, object, message: String
        let snapshots: [String]
        let paths: [HurtPath]
        let pathCount: UInt64
        let isGuess: Bool
    }

    struct HurtPath: Encodable {
        let snapshot: String
        let path: String
        let pathBytes: String?
    }

    struct Transient: Encodable {
        let object, message: String
    }

    struct Counts: Encodable {
        let snapshots, tombstones, runs, packs, packBytes, packsRead, packBytesRead: UInt64
        let chunksVerified, plainBytesVerified, nodes, references, evidence, others: UInt64
    }

    init(_ report: CheckReport, heads: [HeadSummary]? = nil, isKeyless: Bool, memory: String? = nil) {
        self.memory = memory
        self.heads = heads
        self.isKeyless = isKeyless
        isComplete = report.isComplete
        errors = report.findings(.error).count
        warnings = report.findings(.warning).count
        findings = report.findings.map { finding in
            Finding(
                severity: finding.severity.rawValue, problem: finding.problem.rawValue, object: finding.object,
                message: finding.message, snapshots: finding.damage.snapshots.map(\.description),
                paths: finding.damage.paths.map { hurt in
                    let text = PathText(hurt.path)
                    return HurtPath(snapshot: hurt.snapshot.description, path: text.path, pathBytes: text.pathBytes)
                }, pathCount: finding.damage.pathCount, isGuess: finding.damage.isGuess)
        }
        transientReads = report.transientReads.map { Transient(object: $0.object, message: $0.message) }
        bytesRead = report.bytesRead
        let all = report.counts
        counts = Counts(
            snapshots: all.snapshots, tombstones: all.tombstones, runs: all.runs, packs: all.packs,
            packBytes: all.packBytes, packsRead: all.packsRead, packBytesRead: all.packBytesRead,
            chunksVerified: all.chunksVerified, plainBytesVerified: all.plainBytesVerified, nodes: all.nodes,
            references: all.references, evidence: all.evidence, others: all.others)
    }
}
