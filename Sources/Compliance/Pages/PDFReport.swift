// A report on paper: the same rows as the other formats, by the same library as the recovery kit.

import Primitives
import Printing

extension ReportDocument {
    /// The document as PDF.
    ///
    /// - Throws: as ``PDFPage/render(_:)``.
    package func pdf() throws(HoldfastError) -> [UInt8] {
        let bytes = try PDFPage.render(printed)
        return bytes.withBytes { [UInt8]($0) }
    }

    /// What is printed. Letters that the fonts of a printer lack stand by their numbers.
    package var printed: PrintedDocument {
        PrintedDocument(
            title: report.frameworkName, foot: "holdfast report \(id) - \(report.from) to \(report.to)",
            blocks: head + controlBlocks + findingBlocks + exceptionBlocks + sourceBlocks + runBlocks + testBlocks
                + trendBlocks + evidenceBlocks)
    }

    private func plain(_ text: String) -> String { PaperText.plain(text) }

    private var head: [PrintedDocument.Block] {
        var blocks: [PrintedDocument.Block] = [
            .paragraph("Evidence of backup and recovery from \(report.from) to \(report.to)."),
            .facts([
                .init("Report", sha256), .init("Repository", plain(report.repository)),
                .init("Admin key", plain(report.adminKey)),
                .init(
                    "Made",
                    plain("\(origin.at) by \(origin.operator) on \(origin.host), holdfast \(origin.toolVersion)")),
                .init(
                    "Controls",
                    statuses.filter { $0.count > 0 }.map { "\($0.count) \($0.status.words)" }.joined(separator: ", ")),
            ]),
        ]
        if !origin.seen.isEmpty {
            blocks.append(.paragraph("Seen in the repository when this was made:"))
            blocks += origin.seen.map { .paragraph(plain($0)) }
        }
        return blocks
    }

    private var controlBlocks: [PrintedDocument.Block] {
        var blocks: [PrintedDocument.Block] = [
            .heading("Controls"),
            .paragraph(
                "A status speaks of the evidence in this repository alone. A control that asks for tests is met "
                    + "by tests of the "
                    + "period and by nothing else; where there is no evidence, that is the finding."),
        ]
        for control in report.controls {
            blocks.append(.heading("\(plain(control.control)) \(plain(control.title)): \(control.status.words)"))
            blocks.append(.paragraph(plain(control.asks)))
            blocks.append(
                .table(
                    PrintedTable(
                        [("Status", 16), ("Evidence", 84)],
                        rows: control.needs.map { [$0.status.words, plain($0.text)] })))
            if !control.notShown.isEmpty {
                blocks.append(
                    .paragraph("Not shown here: \(plain(control.notShown.joined(separator: "; "))).")
                )
            }
            blocks.append(.paragraph("Wording: \(plain(control.text))."))
        }
        return blocks
    }

    private func section(
        _ title: String, none: String, _ columns: [(name: String, part: Int)], _ rows: [[String]]
    ) -> [PrintedDocument.Block] {
        [.heading(title)]
            + (rows.isEmpty
                ? [.paragraph(none)] : [.table(PrintedTable(columns, rows: rows.map { $0.map(plain) }))])
    }

    private var findingBlocks: [PrintedDocument.Block] {
        section(
            "Findings", none: "None.", [("Severity", 12), ("Finding", 52), ("Key", 22), ("Exception", 14)],
            report.findings.map { [$0.severity.rawValue, $0.text, $0.key, $0.exception ?? "-"] })
    }

    private var exceptionBlocks: [PrintedDocument.Block] {
        section(
            "Exceptions", none: "None are recorded.",
            [("Finding", 22), ("Owner", 14), ("Due", 12), ("State", 12), ("Reason", 28), ("Ticket", 12)],
            report.exceptions.map { row in
                [
                    row.finding, row.owner, String(row.due.prefix(10)),
                    row.closed.map { "closed \($0.prefix(10))" } ?? (row.isOverdue ? "overdue" : "open"), row.reason,
                    row.ticket ?? "-",
                ]
            })
    }

    private var sourceBlocks: [PrintedDocument.Block] {
        section(
            "Sources", none: "No inventory and no test names any.",
            [
                ("Source", 20), ("Planned by", 16), ("Points", 9), ("RPO", 8), ("Worst", 10), ("Within", 10),
                ("RTO", 8),
                ("Longest", 9), ("Tests", 10),
            ],
            report.sources.map { row in
                let objective = row.objectives.last
                return [
                    row.source + (row.isDeclared ? "" : ", in no configuration"),
                    row.isPlanned ? row.jobs.joined(separator: ", ") : "no job", "\(row.points)",
                    Self.length(objective?.rpoSeconds),
                    row.rpo.map { $0.worstSeconds.map(Self.length) ?? "no end" } ?? "-",
                    Self.percent(row.rpo?.withinMillionths), Self.length(objective?.rtoSeconds),
                    Self.length(row.rto.worstSeconds),
                    "\(row.tests.passed) of \(row.tests.passed + row.tests.failed + row.tests.unclear)",
                ]
            })
    }

    private static func percent(_ millionths: Int64?) -> String {
        guard let millionths else { return "-" }
        let hundredths = millionths / 100
        return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) %"
    }

    private var runBlocks: [PrintedDocument.Block] {
        let gaps = report.coverage.gaps.map {
            PrintedDocument.Block.paragraph("Not covered by a ledger of runs: \($0.from) to \($0.to).")
        }
        func row(_ name: String, _ kind: String, _ runs: Report.Population) -> [String] {
            [name, kind]
                + [
                    runs.expected, runs.done, runs.partial, runs.failed, runs.missed, runs.madeUp + runs.excused,
                    runs.late,
                    runs.unaccounted,
                ].map { "\($0)" }
        }
        return section(
            "Runs", none: "The ledger has none.",
            [
                ("Job", 22), ("Kind", 10), ("Expected", 10), ("Done", 8), ("In part", 8), ("Failed", 8), ("Missed", 8),
                ("Excused", 9), ("Late", 7), ("No line", 8),
            ],
            report.jobs.isEmpty
                ? [] : report.jobs.map { row($0.job, $0.kind, $0.population) } + [row("all", "", report.totals)]) + gaps
    }

    private var testBlocks: [PrintedDocument.Block] {
        section(
            "Tests and restores (isolation: \(report.isolation.status.words))", none: "None in the period.",
            [
                ("Ended", 16), ("Kind", 9), ("System", 16), ("Point", 10), ("Result", 12), ("Took", 9),
                ("Objective", 9), ("Apart", 7),
                ("Record", 18),
            ],
            report.drills.flatMap { drill in
                drill.members.map { member in
                    let result = drill.sabotage.map { "broken on purpose: \($0)" }
                    return [
                        String(drill.finished.prefix(16)) + "Z", drill.kind, member.source, member.selection,
                        (result ?? (member.isProven ? "recovered" : member.verdict))
                            + (drill.isImported ? ", imported" : ""),
                        Self.length(member.rtoMeasuredSeconds), Self.length(member.rtoObjectiveSeconds),
                        drill.isSegregated ? "yes" : "no", drill.id,
                    ]
                }
            })
    }

    private var trendBlocks: [PrintedDocument.Block] {
        let grown = report.trends.filter { $0.growth != nil || !$0.anomalies.isEmpty }
        guard !grown.isEmpty else { return [] }
        return section(
            "Trends", none: "", [("Source", 20), ("Growth", 60), ("Stands out", 20)],
            grown.map { row in
                [
                    row.source, row.growth.map(Self.text) ?? "-",
                    row.anomalies.isEmpty
                        ? "nothing" : "\(row.anomalies.count) points, newest \(row.anomalies.last?.at ?? "")",
                ]
            })
    }

    private var evidenceBlocks: [PrintedDocument.Block] {
        section(
            "Evidence", none: "There is none.",
            [("Chain", 26), ("From", 7), ("To", 7), ("Newest", 46), ("Used", 7), ("Imported", 9)],
            report.chains.map {
                ["\($0.slot)", "\($0.first)", "\($0.last)", $0.lastSha256, "\($0.used)", "\($0.imported)"]
            })
            + [.paragraph(ReportWords.verification(sha256)), .paragraph(ReportWords.tail)]
    }
}
