// A report as tables of comma-separated values (RFC 4180), which spreadsheets open without running anything in them.

import Primitives

/// One table.
package struct CSVTable: Sendable {
    package let name: String
    package private(set) var text: String

    init(_ name: String, _ columns: [String]) {
        self.name = name
        text = columns.joined(separator: ",") + "\r\n"
    }

    /// A cell: text from outside, or a number of ours.
    enum Cell {
        case text(String?)
        case number(Int64?)
        case flag(Bool?)
        case bytes(UInt64?)
    }

    mutating func add(_ cells: [Cell]) {
        text += cells.map(Self.cell).joined(separator: ",") + "\r\n"
    }

    private static func cell(_ cell: Cell) -> String {
        switch cell {
        case .text(let text): quoted(text ?? "")
        case .number(let number): number.map { "\($0)" } ?? ""
        case .bytes(let bytes): bytes.map { "\($0)" } ?? ""
        case .flag(let flag): flag.map { $0 ? "true" : "false" } ?? ""
        }
    }

    /// A cell that a spreadsheet would take for a formula gets an apostrophe before it; so do its wide likes, which
    /// some
    /// turn into the narrow ones.
    private static let formulas = Set("=+-@|%＝＋－＠".unicodeScalars)

    static func quoted(_ text: String) -> String {
        let visible = VisibleText.of(text)
        let first = visible.unicodeScalars.first { $0 != " " && $0 != "\u{A0}" && $0 != "\u{3000}" }
        let safe = first.map { formulas.contains($0) } ?? false ? "'" + visible : visible
        var cell = "\""
        for scalar in safe.unicodeScalars {
            if scalar == "\"" { cell.unicodeScalars.append(scalar) }
            cell.unicodeScalars.append(scalar)
        }
        return cell + "\""
    }
}

extension ReportDocument {
    /// One table for each kind of row; the table `report` has the digest of the whole.
    package var tables: [CSVTable] {
        [
            reportTable, controlsTable, needsTable, findingsTable, jobsTable, sourcesTable, drillsTable, checksTable,
            exceptionsTable, chainsTable, trendsTable, anomaliesTable,
        ]
    }

    private var reportTable: CSVTable {
        var table = CSVTable("report", ["name", "value"])
        for (name, value) in [
            ("framework", report.frameworkName), ("from", report.from), ("to", report.to),
            ("repository", report.repository), ("adminKey", report.adminKey), ("reportSha256", sha256),
            ("generatedAt", origin.at), ("generatedBy", origin.operator), ("toolVersion", origin.toolVersion),
        ] {
            table.add([.text(name), .text(value)])
        }
        return table
    }

    private var controlsTable: CSVTable {
        var table = CSVTable(
            "controls",
            ["control", "title", "asks", "textStanding", "isTextChecked", "asksForTest", "status", "notShown"])
        for row in report.controls {
            table.add([
                .text(row.control), .text(row.title), .text(row.asks), .text(row.text), .flag(row.isTextChecked),
                .flag(row.asksForTest), .text(row.status.rawValue), .text(row.notShown.joined(separator: "; ")),
            ])
        }
        return table
    }

    private var needsTable: CSVTable {
        var table = CSVTable("needs", ["control", "need", "status", "text"])
        for row in report.controls {
            for need in row.needs {
                table.add([.text(row.control), .text(need.need), .text(need.status.rawValue), .text(need.text)])
            }
        }
        return table
    }

    private var findingsTable: CSVTable {
        var table = CSVTable("findings", ["key", "severity", "text", "evidence", "exception"])
        for row in report.findings {
            let places = row.evidence.map { "evidence/\($0.slot)/\($0.number)" }.joined(separator: " ")
            table.add([
                .text(row.key), .text(row.severity.rawValue), .text(row.text), .text(places), .text(row.exception),
            ])
        }
        return table
    }

    private var jobsTable: CSVTable {
        var table = CSVTable(
            "jobs",
            [
                "job", "kind", "schedule", "isEnabled", "sources", "expected", "unknownStretches", "done", "partial",
                "failed", "missed", "madeUp", "excused", "late", "manual", "unaccounted",
            ])
        for row in report.jobs {
            let runs = row.population
            table.add(
                [
                    .text(row.job), .text(row.kind), .text(row.schedule), .flag(row.isEnabled),
                    .text(row.sources.joined(separator: " ")),
                ]
                    + [
                        runs.expected, runs.unknownStretches, runs.done, runs.partial, runs.failed, runs.missed,
                        runs.madeUp, runs.excused, runs.late, runs.manual, runs.unaccounted,
                    ].map { .number($0) })
        }
        return table
    }

    private var sourcesTable: CSVTable {
        var table = CSVTable(
            "sources",
            [
                "source", "workload", "owner", "tier", "dataClass", "isDeclared", "isPlanned", "added", "retired",
                "rpoObjectiveSeconds", "rtoObjectiveSeconds", "points", "incompletePoints", "newestPoint",
                "worstExposureSeconds", "meanExposureSeconds", "unprotectedSeconds", "withinRpoMillionths", "rpoIsMet",
                "rtoWorstSeconds", "rtoLastSeconds", "rtoIsMet", "testsPassed", "testsFailed", "testsUnclear",
                "lastProof",
            ])
        for row in report.sources {
            let objective = row.objectives.last
            let said: [CSVTable.Cell] = [
                .text(row.source), .text(row.workload), .text(row.owner), .text(row.tier), .text(row.dataClass),
                .flag(row.isDeclared), .flag(row.isPlanned), .text(row.added), .text(row.retired),
                .number(objective?.rpoSeconds), .number(objective?.rtoSeconds), .number(row.points),
                .number(row.incompletePoints), .text(row.newestPoint),
            ]
            let measured: [CSVTable.Cell] = [
                .number(row.rpo?.worstSeconds), .number(row.rpo?.meanSeconds), .number(row.rpo?.unprotectedSeconds),
                .number(row.rpo?.withinMillionths), .flag(row.rpo?.isMet), .number(row.rto.worstSeconds),
                .number(row.rto.lastSeconds), .flag(row.rto.isMet), .number(row.tests.passed),
                .number(row.tests.failed), .number(row.tests.unclear), .text(row.tests.lastProof),
            ]
            table.add(said + measured)
        }
        return table
    }

    private var drillsTable: CSVTable {
        var table = CSVTable(
            "drills",
            [
                "id", "evidence", "kind", "occasion", "plan", "planSha256", "started", "finished", "operator",
                "approver",
                "verdict", "isImported", "sabotage", "host", "network", "account", "isSegregated", "member", "source",
                "memberVerdict", "selection", "snapshot", "consistentAsOf", "rpoObjectiveSeconds", "rpoAchievedSeconds",
                "rtoObjectiveSeconds", "rtoMeasuredSeconds", "isProven",
            ])
        for row in report.drills {
            let head: [CSVTable.Cell] = [
                .text(row.id), .text("evidence/\(row.evidence.slot)/\(row.evidence.number)"), .text(row.kind),
                .text(row.occasion), .text(row.plan), .text(row.planSha256), .text(row.started), .text(row.finished),
                .text(row.operator), .text(row.approver), .text(row.verdict), .flag(row.isImported),
                .text(row.sabotage),
                .text(row.host), .text(row.network), .text(row.account), .flag(row.isSegregated),
            ]
            for member in row.members {
                table.add(
                    head + [
                        .text(member.name), .text(member.source), .text(member.verdict), .text(member.selection),
                        .text(member.snapshot), .text(member.consistentAsOf), .number(member.rpoObjectiveSeconds),
                        .number(member.rpoAchievedSeconds), .number(member.rtoObjectiveSeconds),
                        .number(member.rtoMeasuredSeconds), .flag(member.isProven),
                    ])
            }
        }
        return table
    }

    private var checksTable: CSVTable {
        var table = CSVTable(
            "checks", ["drill", "check", "member", "kind", "verdict", "expected", "actual", "outputSha256"])
        for row in report.drills {
            for check in row.checks {
                table.add([
                    .text(row.id), .text(check.id), .text(check.member), .text(check.kind), .text(check.verdict),
                    .text(check.expected), .text(check.actual), .text(check.outputSha256),
                ])
            }
        }
        return table
    }

    private var exceptionsTable: CSVTable {
        var table = CSVTable(
            "exceptions",
            [
                "id", "evidence", "finding", "severity", "owner", "reason", "ticket", "opened", "due", "closed",
                "closedBecause", "retest", "isOverdue",
            ])
        for row in report.exceptions {
            table.add([
                .text(row.id), .text("evidence/\(row.evidence.slot)/\(row.evidence.number)"), .text(row.finding),
                .text(row.severity), .text(row.owner), .text(row.reason), .text(row.ticket), .text(row.opened),
                .text(row.due), .text(row.closed), .text(row.closedBecause), .text(row.retest), .flag(row.isOverdue),
            ])
        }
        return table
    }

    private var chainsTable: CSVTable {
        var table = CSVTable("chains", ["slot", "first", "last", "lastSha256", "used", "imported"])
        for row in report.chains {
            table.add([
                .text(row.slot), .number(Int64(row.first)), .number(Int64(row.last)), .text(row.lastSha256),
                .number(row.used), .number(row.imported),
            ])
        }
        return table
    }

    private var trendsTable: CSVTable {
        var table = CSVTable("trends", ["source", "month", "points", "bytes", "bytesNew", "bytesStored"])
        for row in report.trends {
            for month in row.months {
                table.add([
                    .text(row.source), .text(month.month), .number(month.points), .bytes(month.bytes),
                    .bytes(month.bytesNew), .bytes(month.bytesStored),
                ])
            }
        }
        return table
    }

    private var anomaliesTable: CSVTable {
        var table = CSVTable("anomalies", ["source", "at", "kind", "object", "value", "baseline"])
        for row in report.trends {
            for anomaly in row.anomalies {
                table.add([
                    .text(row.source), .text(anomaly.at), .text(anomaly.kind), .text(anomaly.object),
                    .number(anomaly.value), .number(anomaly.baseline),
                ])
            }
        }
        return table
    }
}
