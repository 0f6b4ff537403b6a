// holdfast report: what evidence of a period shows, control by control.

import ArgumentParser
import Compliance
import FoundationEssentials
import Primitives
import Repository

struct ReportVerb: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "report",
        abstract: "Make a compliance report from the signed records of the repository.",
        discussion: """
            A report is made from evidence, the sealed ledger of runs, inventories and audit heads in the repository, \
            and from nothing on this host. A control that asks for tests is met only by tests of the period; where \
            there is no evidence, that is the finding. docs/COMPLIANCE.md says what each control rests on.

            The key must be able to read all evidence: an admin's, a restorer's or a maintainer's.

            With `--format json` the file holds the signed records that the report was made from, and opens these to \
            whoever has it: `holdfast verify-report` checks it without the repository and without a key. The other \
            formats show the digest of the same report.

            Examples:

              holdfast report --framework soc2 --from 2026-10-01 --to 2026-11-01 --format json --output october.json

              holdfast report --framework dora --format html --output dora.html
            """)

    @OptionGroup(title: "Global Options") var global: GlobalOptions

    @Option(
        name: .long,
        help: ArgumentHelp(
            "Whose controls: " + Framework.allCases.map(\.rawValue).joined(separator: ", ") + ".", valueName: "name"))
    var framework: Framework

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The beginning: a date, a time, or a length of time ago.",
            discussion: "The first day of the month before this one, in UTC, where neither is given.", valueName: "time"
        ))
    var from: InstantArgument?

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The end, which is no part of the period.",
            discussion: "The first day of this month where neither is given; now where --from is.", valueName: "time"))
    var to: InstantArgument?

    @Option(name: .long, help: ArgumentHelp("The form: \(ReportFormat.form).", valueName: "form"))
    var format: ReportFormat

    @Option(
        name: .long,
        help: ArgumentHelp(
            "The new file; for csv the new directory; - for standard output.",
            discussion: "A file that is there is left alone.", valueName: "file"))
    var output: String

    func validate() throws {
        guard output != "-" || !global.json else {
            throw ValidationError("With --json the report goes to a file: standard output holds the object.")
        }
        guard output != "-" || format == .json || format == .html || format == .junit else {
            throw ValidationError("\(format.rawValue) does not go to standard output: name a file.")
        }
    }

    func run() throws {
        try global.execute(onStepBack: .tell) { (context) throws(HoldfastError) in
            let now = context.clock.now()
            let repository = try context.openRepository()
            let made = try MadeReport(
                of: repository, framework, try period(now),
                by: ReportMaker(host: Host.name, operator: Operator.name, at: now))
            let document = made.document
            switch format {
            case .csv: try writeTables(document, context)
            case .json:
                if output == "-" {
                    var sink = GatheringSink(OutputSink(output: context.output))
                    sink = try ReportFile.write(document, needed: made.needed, of: repository, to: sink)
                    try sink.flush()
                } else {
                    let file = try NewFile(output, entropy: repository.entropy)
                    var sink = try ReportFile.write(
                        document, needed: made.needed, of: repository, to: GatheringSink(file))
                    try sink.flush()
                    try file.finish()
                }
            case .html: try write(Array(document.html.utf8), context)
            case .junit: try write(Array(document.junit.utf8), context)
            case .pdf: try write(try document.pdf(), context)
            }
            for line in document.origin.seen { context.output.warning(ShownText.line(line)) }
            let report = MadeReportReport(document, output: output)
            if output != "-" { for line in report.lines { try context.output.line(line) } }
            try context.output.json(report)
            return .success
        }
    }

    private func period(_ now: Timestamp) throws(HoldfastError) -> ReportPeriod {
        guard let from else {
            guard to == nil else {
                throw HoldfastError(.usage, "--to is given without --from", hint: "Give both, or neither.")
            }
            return try ReportPeriod.monthBefore(now)
        }
        return try ReportPeriod(from: from.instant(now: now), to: to?.instant(now: now) ?? now)
    }

    private func write(_ bytes: [UInt8], _ context: CommandContext) throws(HoldfastError) {
        if output == "-" { return try context.output.raw(bytes) }
        let file = try NewFile(output, entropy: context.environment.entropy)
        try file.write(bytes)
        try file.finish()
    }

    private func writeTables(_ document: ReportDocument, _ context: CommandContext) throws(HoldfastError) {
        do {
            try FileManager.default.createDirectory(
                atPath: output, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
        } catch {
            throw HoldfastError(
                .usage, "the directory \(output) cannot be made",
                hint: "Name a directory that is not there yet, in one that this user may write to.", cause: error)
        }
        for table in document.tables {
            let file = try NewFile("\(output)/\(table.name).csv", entropy: context.environment.entropy)
            try file.write(Array(table.text.utf8))
            try file.finish()
        }
    }
}

/// Standard output as a place for a report.
private struct OutputSink: ReportSink {
    let output: Output

    mutating func write(_ bytes: [UInt8]) throws(HoldfastError) { try output.raw(bytes) }
}

/// `holdfast.report-made/1`.
struct MadeReportReport: Encodable {
    struct Statuses: Encodable {
        let met, partial, notMet, noEvidence, notApplicable: Int
    }

    let schema = "holdfast.report-made/1"
    let output, framework, from, to, sha256, repository, adminKey: String
    let controls: Statuses
    let errors, warnings: Int

    private enum CodingKeys: String, CodingKey {
        case schema, output, framework, from, to, sha256, repository, adminKey, controls, errors, warnings
    }

    init(_ document: ReportDocument, output: String) {
        let report = document.report
        self.output = output
        (framework, from, to) = (report.framework, report.from, report.to)
        (repository, adminKey, sha256) = (report.repository, report.adminKey, document.sha256)
        func count(_ status: Report.Status) -> Int { report.controls.count { $0.status == status } }
        controls = Statuses(
            met: count(.met), partial: count(.partial), notMet: count(.notMet), noEvidence: count(.noEvidence),
            notApplicable: count(.notApplicable))
        errors = report.findings.count { $0.severity == .error }
        warnings = report.findings.count { $0.severity == .warning }
    }

    var lines: [String] {
        [
            "report    \(framework), \(from) to \(to): \(ShownText.line(output))",
            "controls  \(controls.met) met, \(controls.partial) partly, \(controls.notMet) not met, "
                + "\(controls.noEvidence) without evidence, \(controls.notApplicable) not applicable",
            "findings  \(errors) errors, \(warnings) warnings", "sha256    \(sha256)",
        ]
    }
}
