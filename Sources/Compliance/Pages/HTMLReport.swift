// A report as one HTML page: nothing is loaded, nothing runs, and it reads in light, in dark and on paper.

import Primitives

extension ReportDocument {
    /// The page, in UTF-8.
    package var html: String {
        var page = Markup()
        page.literal("<!DOCTYPE html>\n")
        page.tag("html", [("lang", "en")]) { page in
            page.tag("head") { page in
                page.empty("meta", [("charset", "utf-8")])
                page.empty("meta", [("name", "viewport"), ("content", "width=device-width, initial-scale=1")])
                // Nothing may be fetched and nothing may run, whatever a name in here says.
                page.empty(
                    "meta",
                    [
                        ("http-equiv", "Content-Security-Policy"),
                        (
                            "content",
                            "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
                        ),
                    ])
                page.tag("title", "\(report.frameworkName), \(day(report.from)) to \(day(report.to))")
                page.tag("style") { $0.literal(HTMLStyle.sheet) }
            }
            page.tag("body") { page in
                page.tag("main") { page in
                    head(&page)
                    controls(&page)
                    findings(&page)
                    exceptions(&page)
                    sources(&page)
                    runs(&page)
                    tests(&page)
                    trends(&page)
                    evidence(&page)
                }
            }
        }
        return page.text + "\n"
    }

    private func day(_ instant: String) -> String { String(instant.prefix(10)) }

    private func section(_ page: inout Markup, _ title: String, _ body: (inout Markup) -> Void) {
        page.literal("\n")
        page.tag("section") { page in
            page.tag("h2", title)
            body(&page)
        }
    }

    private func table(
        _ page: inout Markup, _ columns: [String], numbers: Set<Int> = [], _ rows: [[Cell]]
    ) {
        page.tag("div", [("class", "scroll")]) { page in
            page.tag("table") { page in
                page.tag("thead") { page in
                    page.tag("tr") { page in
                        for (place, column) in columns.enumerated() {
                            page.tag("th", numbers.contains(place) ? [("class", "n")] : [], column)
                        }
                    }
                }
                page.tag("tbody") { page in
                    for row in rows {
                        page.literal("\n")
                        page.tag("tr") { page in
                            for (place, cell) in row.enumerated() {
                                page.tag("td", numbers.contains(place) ? [("class", "n")] : []) { cell.write(&$0) }
                            }
                        }
                    }
                }
            }
        }
    }

    /// What stands in a cell.
    enum Cell {
        case text(String)
        case status(Report.Status)
        case severity(Report.Severity)
        case bar(millionths: Int64?, isGood: Bool?)

        func write(_ page: inout Markup) {
            switch self {
            case .text(let text): page.add(text)
            case .status(let status): page.tag("span", [("class", "badge \(status.rawValue)")], status.words)
            case .severity(let severity): page.tag("span", [("class", "badge \(severity.rawValue)")], severity.rawValue)
            case .bar(let millionths, let isGood):
                guard let millionths else { return page.add("–") }
                Chart.share(millionths, isGood: isGood, &page)
            }
        }
    }

    // MARK: Sections

    private func head(_ page: inout Markup) {
        page.tag("header") { page in
            page.tag("p", [("class", "kind")], "Evidence of backup and recovery")
            page.tag("h1", report.frameworkName)
            page.tag("p", [("class", "period")], "\(report.from) to \(report.to)")
            page.tag("dl") { page in
                for (name, value) in [
                    ("Report", sha256), ("Repository", report.repository), ("Admin key", report.adminKey),
                    ("Made", "\(origin.at) by \(origin.operator) on \(origin.host), holdfast \(origin.toolVersion)"),
                ] {
                    page.tag("dt", name)
                    page.tag("dd", value)
                }
            }
        }
        page.tag("div", [("class", "tiles")]) { page in
            for (status, count) in statuses where count > 0 {
                page.tag("div", [("class", "tile \(status.rawValue)")]) { page in
                    page.tag("b", "\(count)")
                    page.tag("span", status.words)
                }
            }
        }
        Chart.stack(statuses.map { ($0.status.rawValue, $0.status.words, Int64($0.count)) }, &page)
        if !origin.seen.isEmpty {
            page.tag("div", [("class", "warn")]) { page in
                page.tag("p", "Seen in the repository when this was made:")
                page.tag("ul") { page in for line in origin.seen { page.tag("li", line) } }
            }
        }
    }

    private func controls(_ page: inout Markup) {
        section(&page, "Controls") { page in
            page.tag(
                "p", [("class", "note")],
                "A status speaks of the evidence in this repository alone. A control that asks for tests is met "
                    + "by tests of the "
                    + "period and by nothing else; where there is no evidence, that is the finding.")
            for control in report.controls {
                page.literal("\n")
                page.tag("article", [("class", "control \(control.status.rawValue)")]) { page in
                    page.tag("h3") { page in
                        page.tag("span", [("class", "id")], control.control)
                        page.add(" \(control.title) ")
                        Cell.status(control.status).write(&page)
                    }
                    page.tag("p", control.asks)
                    page.tag("ul", [("class", "needs")]) { page in
                        for need in control.needs {
                            page.tag("li") { page in
                                Cell.status(need.status).write(&page)
                                page.add(" \(need.text)")
                            }
                        }
                    }
                    if !control.notShown.isEmpty {
                        page.tag(
                            "p", [("class", "note")], "Not shown here: \(control.notShown.joined(separator: "; ")).")
                    }
                    page.tag(
                        "p", [("class", control.isTextChecked ? "source" : "source unchecked")],
                        "Wording: \(control.text)")
                }
            }
        }
    }

    private func findings(_ page: inout Markup) {
        section(&page, "Findings") { page in
            guard !report.findings.isEmpty else { return page.tag("p", "None.") }
            table(
                &page, ["Severity", "Finding", "Key", "Exception"],
                report.findings.map { row in
                    let places = row.evidence.map { " (evidence/\($0.slot)/\($0.number))" }.joined()
                    return [
                        .severity(row.severity), .text(row.text + places), .text(row.key), .text(row.exception ?? "–"),
                    ]
                })
        }
    }

    private func exceptions(_ page: inout Markup) {
        section(&page, "Exceptions") { page in
            guard !report.exceptions.isEmpty else { return page.tag("p", "None are recorded.") }
            table(
                &page, ["Finding", "Owner", "Due", "State", "Reason", "Ticket", "Record"],
                report.exceptions.map { row in
                    let state = row.closed.map { "closed \(day($0))" } ?? (row.isOverdue ? "overdue" : "open")
                    let reason = row.reason + (row.closedBecause.map { "; closed: \($0)" } ?? "")
                    return [
                        .text(row.finding), .text(row.owner), .text(day(row.due)), .text(state), .text(reason),
                        .text(row.ticket ?? "–"), .text(row.id),
                    ]
                })
        }
    }

    private func sources(_ page: inout Markup) {
        section(&page, "Sources") { page in
            guard !report.sources.isEmpty else { return page.tag("p", "No inventory and no test names any.") }
            table(
                &page,
                [
                    "Source", "Owner", "Planned", "Points", "RPO objective", "Worst exposure", "Within",
                    "RTO objective",
                    "Longest recovery", "Tests passed", "Failed", "Last proof",
                ], numbers: [3, 4, 5, 7, 8, 9, 10],
                report.sources.map { row in
                    let objective = row.objectives.last
                    let changed = row.objectives.count > 1 ? " (changed)" : ""
                    let came = row.added.map { ", came \(day($0))" } ?? ""
                    let went = row.retired.map { ", went \(day($0))" } ?? ""
                    return [
                        .text(row.source + (row.isDeclared ? came + went : ", in no configuration")),
                        .text(row.owner ?? "–"),
                        .text(row.isPlanned ? row.jobs.joined(separator: ", ") : "no"), .text("\(row.points)"),
                        .text(Self.length(objective?.rpoSeconds) + changed),
                        .text(row.rpo.map { $0.worstSeconds.map(Self.length) ?? "no end" } ?? "–"),
                        .bar(millionths: row.rpo?.withinMillionths, isGood: row.rpo?.isMet),
                        .text(Self.length(objective?.rtoSeconds)), .text(Self.length(row.rto.worstSeconds)),
                        .text("\(row.tests.passed)"), .text("\(row.tests.failed)"),
                        .text(row.tests.lastProof.map(day) ?? "never"),
                    ]
                })
        }
    }

    static func length(_ seconds: Int64?) -> String { seconds.map { Duration.seconds($0).lengthOfTime } ?? "-" }

    private func runs(_ page: inout Markup) {
        section(&page, "Runs") { page in
            let covered = report.coverage.stretches.map { "\($0.from) to \($0.to)" }.joined(separator: ", ")
            page.tag(
                "p", covered.isEmpty ? "No ledger of runs covers the period." : "The ledger of runs covers \(covered).")
            for gap in report.coverage.gaps {
                page.tag("p", [("class", "warn")], "Not covered: \(gap.from) to \(gap.to).")
            }
            guard !report.jobs.isEmpty else { return }
            table(
                &page,
                [
                    "Job", "Kind", "Schedule", "Expected", "Done", "In part", "Failed", "Missed", "Made up", "By order",
                    "Late",
                    "No line", "",
                ], numbers: [3, 4, 5, 6, 7, 8, 9, 10, 11],
                report.jobs.map { Self.row($0.job, $0.kind, $0.schedule, $0.population) }
                    + [Self.row("all", "", "", report.totals)])
            for job in report.jobs where job.population.recorded > 0 {
                page.tag("figure") { page in
                    page.tag("figcaption", job.job)
                    let runs = job.population
                    Chart.stack(
                        [
                            ("met", "done", runs.done), ("partial", "in part", runs.partial),
                            ("not-met", "failed", runs.failed),
                            ("no-evidence", "missed", runs.missed),
                            ("not-applicable", "made up or by order", runs.madeUp + runs.excused),
                        ], &page)
                }
            }
        }
    }

    private static func row(_ job: String, _ kind: String, _ schedule: String, _ runs: Report.Population) -> [Cell] {
        let expected = runs.unknownStretches > 0 ? "\(runs.expected)+" : "\(runs.expected)"
        return [.text(job), .text(kind), .text(schedule), .text(expected)]
            + [
                runs.done, runs.partial, runs.failed, runs.missed, runs.madeUp, runs.excused, runs.late,
                runs.unaccounted,
            ].map { .text("\($0)") } + [.text(runs.manual > 0 ? "\(runs.manual) by hand or timer" : "")]
    }

    private func tests(_ page: inout Markup) {
        section(&page, "Tests and restores") { page in
            page.tag("p") { page in
                page.add("Isolation: ")
                Cell.status(report.isolation.status).write(&page)
                page.add(" \(report.isolation.drills) drills")
            }
            guard !report.drills.isEmpty else { return page.tag("p", "None in the period.") }
            table(
                &page,
                [
                    "Ended", "Kind", "Plan", "System", "Point", "Result", "Loss", "Took", "Objective", "Checks",
                    "Apart", "By", "Record",
                ], numbers: [6, 7, 8],
                report.drills.flatMap { drill in drill.members.map { Self.row(drill, $0) } })
        }
    }

    private static func row(_ drill: Report.DrillRow, _ member: Report.MemberRow) -> [Cell] {
        let checks = drill.checks.filter { $0.member == member.name || $0.member.isEmpty }
        let passed = checks.count { $0.verdict == "passed" }
        let what = drill.sabotage.map { "broken on purpose: \($0)" } ?? (member.isProven ? "recovered" : member.verdict)
        return [
            .text(String(drill.finished.prefix(16)) + "Z"), .text(drill.kind),
            .text(drill.plan.isEmpty ? "–" : drill.plan),
            .text(member.name == member.source ? member.name : "\(member.name) (\(member.source))"),
            .text(member.selection),
            .text(what + (drill.isImported ? ", imported" : "")), .text(length(member.rpoAchievedSeconds)),
            .text(length(member.rtoMeasuredSeconds)), .text(length(member.rtoObjectiveSeconds)),
            .text("\(passed) of \(checks.count)"), .text(drill.isSegregated ? "yes" : "no"), .text(drill.operator),
            .text("\(drill.id) (evidence/\(drill.evidence.slot)/\(drill.evidence.number))"),
        ]
    }

    private func trends(_ page: inout Markup) {
        let shown = report.trends.filter { $0.months.count > 1 || $0.restores.count > 1 || !$0.anomalies.isEmpty }
        guard !shown.isEmpty else { return }
        section(&page, "Trends") { page in
            for row in shown {
                page.literal("\n")
                page.tag("article") { page in
                    page.tag("h3", row.source)
                    page.tag("div", [("class", "charts")]) { page in
                        Chart.line(
                            "Size by month", row.months.map { ($0.month, Double($0.bytes)) },
                            label: { ByteCount(UInt64($0)).description }, &page)
                        Chart.line(
                            "Restore time", row.restores.map { (day($0.at), Double($0.seconds)) },
                            label: { Self.length(Int64($0)) }, &page)
                    }
                    if let growth = row.growth { page.tag("p", Self.text(growth)) }
                    page.tag("ul") { page in
                        for anomaly in row.anomalies.suffix(10) {
                            page.tag(
                                "li",
                                "\(anomaly.at): \(anomaly.kind) \(anomaly.object) \(anomaly.value), against "
                                    + "\(anomaly.baseline) in the thirty days before"
                            )
                        }
                    }
                }
            }
        }
    }

    static func text(_ growth: Report.Growth) -> String {
        let sign = growth.bytesPerDay < 0 ? "-" : "+"
        func bytes(_ count: Int64) -> String { ByteCount(UInt64(count.magnitude)).description }
        return
            "\(sign)\(bytes(growth.bytesPerDay)) a day; on \(growth.forecastAt.prefix(10)) about "
            + "\(bytes(growth.forecastBytes)), "
            + "nine of ten within \(bytes(growth.lowBytes)) to \(bytes(growth.highBytes)) "
            + "(confidence \(growth.confidence), R² \(growth.rSquaredThousandths) thousandths)"
    }

    private func evidence(_ page: inout Markup) {
        section(&page, "Evidence") { page in
            table(
                &page, ["Chain", "From link", "To link", "Newest", "Records used", "Imported"], numbers: [1, 2, 4, 5],
                report.chains.map { row in
                    [
                        .text(row.slot), .text("\(row.first)"), .text("\(row.last)"), .text(row.lastSha256),
                        .text("\(row.used)"),
                        .text("\(row.imported)"),
                    ]
                })
            if !report.auditHeads.isEmpty {
                table(
                    &page, ["Audit log", "Host", "Records", "Newest", "Sealed"], numbers: [2],
                    report.auditHeads.suffix(20).map { row in
                        [
                            .text(row.log), .text(row.host), .text("\(row.records)"), .text(row.sha256),
                            .text(row.sealed),
                        ]
                    })
            }
            page.tag("p", ReportWords.verification(sha256))
            page.tag("p", ReportWords.tail)
        }
    }
}

/// Sentences that stand in every format.
enum ReportWords {
    static func verification(_ sha256: String) -> String {
        "To check this page, have the same report as JSON: holdfast verify-report FILE --admin-key KEY checks it "
            + "offline, and prints "
            + "the digest of the report, which must be \(sha256). Get the admin key by another way than the file."
    }

    static let tail =
        "Records at the end of a chain that nothing later names can be cut off without a trace. Only a later head "
        + "finds that: "
        + "--anchor takes one that was written down at another time, in another report or by another hand. "
        + "Without one it cannot be found."
}

extension Report.Status {
    /// For people.
    var words: String {
        switch self {
        case .met: "met"
        case .partial: "partly met"
        case .notMet: "not met"
        case .noEvidence: "no evidence"
        case .notApplicable: "not applicable"
        }
    }
}
