// holdfast audit verify: the chain of the log, and what the repository knows of it.

import ArgumentParser
import Primitives
import Repository
import State
import Workloads

struct AuditVerify: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Find records that were removed, altered, reordered, duplicated or inserted.",
        discussion: """
            Each record has its own digest and that of the one before. What was cut off at the end, or rewritten from \
            some record to the end, shows in no digest: it is found against the heads that `holdfast schedule seal` \
            and snapshots of vaults sign into the repository, which are compared when one is named. Without one, and \
            behind the newest head, it cannot be found, and the text says so. What is wrong makes the exit status 4.

            Examples:

              holdfast audit verify

              holdfast audit verify --local
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Flag(name: .long, help: "Open no repository, though one is named.")
    var local = false

    @Option(
        name: .long,
        help: ArgumentHelp(
            "A log of this host and state that is known to be gone; may be given again.",
            discussion: "Its identity, as the problem that it is missing names it.", valueName: "log"))
    var retired: [String] = []

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let known = try heads(context)
            let state = try context.stateDirectory()
            let reader = AuditReader(state: state, clock: context.clock)
            var verdict: AuditVerdict
            do throws(HoldfastError) {
                verdict = try AuditVerifier.verify(reader, against: known?.map(\.head) ?? [])
            } catch {
                guard error.code == .objectMissing, let known, known.contains(where: { $0.isOf(state) }) else {
                    throw error
                }
                verdict = AuditVerdict()
            }
            addMissing(known ?? [], state, to: &verdict)
            try show(verdict, known, reader.directory, on: context.output)
            try context.output.json(AuditVerifyReport(verdict, directory: reader.directory, known: known != nil))
            return verdict.isWhole ? .success : .checkFailed
        }
    }

    /// The heads in the evidence and in the snapshots of the repository; nil when none is named.
    private func heads(_ context: CommandContext) throws(HoldfastError) -> [SignedAuditHead]? {
        guard !local else { return nil }
        if try context.namedPlace() == nil, try context.configuration() == nil { return nil }
        let repository = try context.openRepository()
        let evidence = try repository.evidence()
        let snapshots = try repository.snapshots()
        for (key, error) in evidence.damaged.map({ ($0.key, $0.error) }) + snapshots.damaged {
            context.output.warning("\(key) is damaged: \(ShownText.line(error.message))")
        }
        return evidence.evidence.compactMap { SignedAuditHead($0) }
            + snapshots.snapshots.flatMap { SignedAuditHead.heads(in: $0) }
    }

    /// A log as a whole that is gone, and began anew, is an end that was cut off.
    private func addMissing(_ known: [SignedAuditHead], _ state: String, to verdict: inout AuditVerdict) {
        let gone = known.filter { $0.isOf(state) && $0.head.log != verdict.head?.log }
        let newest = Dictionary(gone.map { ($0.head.log, $0) }) { $0.head.count < $1.head.count ? $1 : $0 }
        for (log, head) in newest.sorted(by: { $0.value.head.text < $1.value.head.text }) {
            let name = Hex.encode(log.array)
            guard !retired.contains(name) else { continue }
            verdict.problemCount += 1
            guard verdict.problems.count < AuditLimits.problems else { continue }
            verdict.problems.append(
                AuditProblem(
                    .missingLog, nil, at: nil,
                    "the log \(name), of \(head.head.count) records as \(head.origin) tells, is not here; "
                        + "if it was moved away on purpose, give --retired \(name)"))
        }
    }

    private func show(
        _ verdict: AuditVerdict, _ known: [SignedAuditHead]?, _ directory: String, on output: Output
    ) throws(HoldfastError) {
        try output.line("log       \(ShownText.name(directory))")
        if let head = verdict.head { try output.line("identity  \(Hex.encode(head.log.array))") }
        if let first = verdict.first, let last = verdict.last {
            try output.line("records   \(verdict.records), \(first) to \(last)")
        }
        if let head = verdict.head { try output.line("head      \(head.count) \(Hex.encode(head.digest.array))") }
        for problem in verdict.problems {
            let place = [problem.sequence.map { "record \($0)" }, problem.place].compactMap { $0 }
                .joined(separator: " at ")
            let subject = place.isEmpty ? "" : " \(place):"
            try output.line("\(problem.kind.rawValue):\(subject) \(ShownText.line(problem.message))")
        }
        if verdict.problemCount > verdict.problems.count {
            try output.line("and \(verdict.problemCount - verdict.problems.count) more problems")
        }
        if let torn = verdict.torn {
            output.warning(
                "\(torn) was not finished when its writer died; what it tells of did not take place, and the next "
                    + "access sets it aside")
        }
        if verdict.isWhole { try output.line("good: the chain is whole") }
        try output.line(ending(verdict, known))
    }

    /// What can't be told of the end.
    private func ending(_ verdict: AuditVerdict, _ known: [SignedAuditHead]?) -> String {
        guard known != nil else {
            return "no repository was asked: whether records were cut off at the end, or all rewritten, cannot be told"
        }
        guard let count = verdict.knownCount else {
            return "the repository has no head of this log: whether records were cut off at the end, or all "
                + "rewritten, cannot be told"
        }
        return "compared with \(verdict.heads) heads in the repository, the newest of \(count) records: whether any "
            + "behind that one were cut off or rewritten cannot be told"
    }
}

/// A head that a record of evidence or a snapshot carries.
struct SignedAuditHead {
    let head: AuditHead
    /// What carries it, in words.
    let origin: String
    private let host: String
    private let state: String

    init?(_ evidence: Evidence) {
        guard let record = evidence.record, record.kind == .runs, evidence.object.origin == .witnessed,
            let text = record.facts[AuditHead.fact], let head = AuditHead(text: text)
        else { return nil }
        self.head = head
        origin = "evidence \(evidence.id)"
        host = record.environment.host
        state = record.environment.target
    }

    private init?(_ snapshot: Snapshot, _ facts: [String: String], prefix: String) {
        guard let text = facts[prefix + AuditHead.fact], let head = AuditHead(text: text) else { return nil }
        self.head = head
        origin = "the snapshot \(snapshot.id)"
        host = facts[prefix + AuditHead.hostFact] ?? ""
        state = facts[prefix + AuditHead.stateFact] ?? ""
    }

    /// Those of a snapshot, of which one of several roots has each its own.
    static func heads(in snapshot: Snapshot) -> [SignedAuditHead] {
        guard let record = snapshot.record else { return [] }
        let roots = record.roots.map { SnapshotRecord.prefix(ofRoot: String(decoding: $0.path, as: UTF8.self)) }
        return ([""] + roots).compactMap { SignedAuditHead(snapshot, record.facts, prefix: $0) }
    }

    /// Whether it is of the state in this directory of this host.
    func isOf(_ directory: String) -> Bool { host == Host.name && state == directory }
}

/// `holdfast.audit-verify/1`.
struct AuditVerifyReport: Encodable {
    struct Problem: Encodable {
        let kind, message: String
        let sequence: UInt64?
        let place: String?
    }

    let schema = "holdfast.audit-verify/1"
    let directory: String
    let isWhole: Bool
    let log, digest, first, last, unfinished: String?
    let records: UInt64
    let count: UInt64?
    let problems: [Problem]
    let problemCount: Int
    /// Whether a repository was asked, and up to which record its heads vouch for the log.
    let isCompared: Bool
    let heads: Int
    let knownCount: UInt64?

    private enum CodingKeys: String, CodingKey {
        case schema, directory, isWhole, log, digest, first, last, unfinished, records, count, problems, problemCount
        case isCompared, heads, knownCount
    }

    init(_ verdict: AuditVerdict, directory: String, known: Bool) {
        self.directory = directory
        isWhole = verdict.isWhole
        log = verdict.head.map { Hex.encode($0.log.array) }
        digest = verdict.head.map { Hex.encode($0.digest.array) }
        first = verdict.first.map { AuditRecord.text(of: $0) }
        last = verdict.last.map { AuditRecord.text(of: $0) }
        unfinished = verdict.torn
        records = verdict.records
        count = verdict.head?.count
        problems = verdict.problems.map {
            Problem(kind: $0.kind.rawValue, message: $0.message, sequence: $0.sequence, place: $0.place)
        }
        problemCount = verdict.problemCount
        isCompared = known
        heads = verdict.heads
        knownCount = verdict.knownCount
    }
}
