// holdfast exception: findings that are known, with an owner and a date, as signed records.

import ArgumentParser
import Compliance
import Primitives
import Repository

struct ExceptionVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "exception",
        abstract: "Record that a finding is known, who owns it and until when; and that it is closed.",
        discussion: """
            Reports list findings by keys that stay the same while their cause does, such as rpo/app or untested/mail. \
            An exception is a signed record about such a key. It does not make a control met: it says that somebody \
            knows, and when it is due. The key needs the right to attest.

            Examples:

              holdfast exception open rpo/app --owner Ada --due 2026-12-31 --reason 'the new store comes in December'

              holdfast exception close 01m87r3y --reason 'the store is there' --retest 01m9a2kq

              holdfast exception list
            """,
        subcommands: [ExceptionOpen.self, ExceptionClose.self, ExceptionList.self])
}

struct ExceptionOpen: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "open", abstract: "Record that a finding is known, who owns it and until when.")

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The key of the finding, as reports list it.", valueName: "finding"))
    var finding: String

    @Option(name: .long, help: ArgumentHelp("Who sees to it.", valueName: "name"))
    var owner: String

    @Option(name: .long, help: ArgumentHelp("Until when: a date, or a time with its zone.", valueName: "time"))
    var due: String

    @Option(name: .long, help: ArgumentHelp("Why it is as it is for now.", valueName: "text"))
    var reason: String

    @Option(name: .long, help: ArgumentHelp("Where it is worked on.", valueName: "text"))
    var ticket: String?

    @Option(name: .long, help: ArgumentHelp("How grave it is: error, warning or info.", valueName: "word"))
    var severity = Report.Severity.error

    func validate() throws {
        guard Timestamp(text: due) != nil else { throw ValidationError("--due takes a date such as 2026-12-31.") }
        guard !finding.isEmpty, !owner.isEmpty, !reason.isEmpty else {
            throw ValidationError("The finding, its owner and the reason are not empty.")
        }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            var facts = [
                ExceptionFact.finding: finding, ExceptionFact.owner: owner,
                ExceptionFact.due: Timestamp(text: due)?.description ?? due, ExceptionFact.reason: reason,
                ExceptionFact.severity: severity.rawValue,
            ]
            facts[ExceptionFact.ticket] = ticket
            let made = try ExceptionRecord.attest(facts, in: try context.openRepository(), context)
            try context.output.line("opened    \(made.id), link \(made.number) of \(made.slot)")
            try context.output.json(ExceptionReport(made))
            return .success
        }
    }
}

struct ExceptionClose: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "close", abstract: "Record that an exception is over.")

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Argument(help: ArgumentHelp("The beginning of the exception's id.", valueName: "id"))
    var id: String

    @Option(name: .long, help: ArgumentHelp("What became of it.", valueName: "text"))
    var reason: String

    @Option(name: .long, help: ArgumentHelp("The record of the test that showed it mended.", valueName: "id"))
    var retest: String?

    func validate() throws {
        guard !id.isEmpty, !reason.isEmpty else { throw ValidationError("The id and the reason are not empty.") }
    }

    func run() throws {
        try global.execute { (context) throws(HoldfastError) in
            let repository = try context.openRepository()
            let listing = try repository.evidence()
            let open = ExceptionRecord.figures(listing).openID(id.lowercased())
            guard let first = open.first, open.count == 1 else {
                throw HoldfastError(
                    open.isEmpty ? .evidenceNotFound : .usage,
                    open.isEmpty ? "no exception is open whose id begins with \(id)" : "\(open.count) begin with \(id)",
                    hint: "`holdfast exception list` lists them.")
            }
            var facts = [ExceptionFact.closes: first, ExceptionFact.reason: reason]
            if let retest {
                facts[ExceptionFact.retest] = try repository.findEvidence(retest, in: listing).id.description
            }
            let made = try ExceptionRecord.attest(facts, in: repository, context)
            try context.output.line("closed    \(first), by link \(made.number) of \(made.slot)")
            try context.output.json(ExceptionReport(made))
            return .success
        }
    }
}

struct ExceptionList: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List exceptions, those that are closed as well.")

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let period = try ReportPeriod(from: now + (.zero - ReportPeriod.longest) + .seconds(1), to: now)
            let rows = ExceptionRecord.figures(try context.openRepository().evidence()).rows(period)
            var table = Table([
                ("ID", .left), ("FINDING", .left), ("OWNER", .left), ("DUE", .left), ("STATE", .left),
                ("REASON", .left),
            ])
            for row in rows {
                let state = row.closed.map { "closed \($0)" } ?? (row.isOverdue ? "overdue" : "open")
                table.add([
                    row.id, ShownText.name(row.finding), ShownText.line(row.owner), row.due, state,
                    ShownText.line(row.reason),
                ])
            }
            for line in table.lines { try context.output.line(line) }
            try context.output.json(ExceptionsReport(exceptions: rows))
            return .success
        }
    }
}

extension Report.Severity: ExpressibleByArgument {}

/// Records of the kind `exception`.
enum ExceptionRecord {
    static func figures(_ listing: EvidenceListing) -> ExceptionFigures {
        var figures = ExceptionFigures()
        for link in listing.evidence {
            guard let record = link.record, record.kind == .exception else { continue }
            figures.add(
                record, ReportLink(link.object, digest: link.digest, record: record),
                isImported: link.object.origin == .imported)
        }
        return figures
    }

    static func attest(
        _ facts: [String: String], in repository: Repository, _ context: CommandContext
    ) throws(HoldfastError) -> Evidence {
        let now = context.clock.now()
        let id = try ULID(at: now, entropy: repository.entropy)
        var record = EvidenceRecord(
            id: id, kind: .exception, occasion: .manual, verdict: .passed, operator: Operator.name,
            toolVersion: ToolVersion.current, runID: id, started: now, finished: now,
            environment: EvidenceEnvironment(
                host: Host.name, target: "", network: "", account: Operator.name, isSegregated: false))
        record.facts = facts
        return try repository.attest(record)
    }
}

/// `holdfast.exception/1`.
struct ExceptionReport: Encodable {
    let schema = "holdfast.exception/1"
    let id, slot: String
    let number: UInt32

    private enum CodingKeys: String, CodingKey { case schema, id, slot, number }

    init(_ evidence: Evidence) {
        id = evidence.id.description
        slot = evidence.slot.description
        number = evidence.number
    }
}

/// `holdfast.exceptions/1`.
struct ExceptionsReport: Encodable {
    let schema = "holdfast.exceptions/1"
    let exceptions: [Report.ExceptionRow]

    private enum CodingKeys: String, CodingKey { case schema, exceptions }
}
