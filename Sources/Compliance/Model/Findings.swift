// What somebody should look at: each finding has a key that stays the same while its cause does.

import Primitives
import Repository

extension ReportGatherer {
    func findings(_ report: Report) -> [Report.Finding] {
        var findings = evidenceFindings(report) + runFindings(report)
        for source in report.sources { findings += sourceFindings(source, report) }
        findings += drillFindings(report) + exceptionFindings(report)
        for trend in report.trends where !trend.anomalies.isEmpty {
            let newest = trend.anomalies.last.map { "\($0.kind) at \($0.at)" } ?? ""
            findings.append(
                finding(
                    "anomaly/\(trend.source)", .info,
                    "\(trend.anomalies.count) recovery points of \(trend.source) stand out, the newest by \(newest)"))
        }
        let open = report.exceptions.filter { $0.closed == nil }
        for place in findings.indices {
            findings[place].exception = open.first { $0.finding == findings[place].key }?.id
        }
        return findings.sorted { ($1.severity, $0.key) < ($0.severity, $1.key) }
    }

    private func finding(
        _ key: String, _ severity: Report.Severity, _ text: String, _ evidence: [EvidenceReference] = []
    ) -> Report.Finding {
        Report.Finding(key: key, severity: severity, text: text, evidence: evidence, exception: nil)
    }

    private func evidenceFindings(_ report: Report) -> [Report.Finding] {
        var findings = chains.problems().map { problem in
            finding(
                "chain/\(problem.slot)/\(problem.number)", .error,
                "evidence/\(problem.slot)/\(problem.number): \(problem.text)")
        }
        findings += exceptions.missing.map { head in
            finding(
                "chain/\(head.slot)/\(head.number)", .error,
                "evidence/\(head.slot)/\(head.number) is an exception that an inventory names, and is not there "
                    + "as it was"
            )
        }
        for gap in report.coverage.gaps {
            findings.append(
                finding(
                    "coverage/\(gap.from)", .error,
                    "no ledger of runs covers \(gap.from) to \(gap.to): what ran and did not run then is not known"))
        }
        if report.coverage.inventories == 0 {
            findings.append(
                finding("inventory", .error, "no inventory says what was to be protected in the period"))
        }
        return findings
    }

    private func runFindings(_ report: Report) -> [Report.Finding] {
        report.jobs.flatMap { job -> [Report.Finding] in
            var findings: [Report.Finding] = []
            let runs = job.population
            if runs.failed > 0 {
                let severity: Report.Severity = runs.done == 0 ? .error : .warning
                findings.append(
                    finding(
                        "failed-runs/\(job.job)", severity,
                        "\(runs.failed) runs of \(job.job) failed, \(runs.done) succeeded"))
            }
            if runs.missed > 0 {
                findings.append(
                    finding(
                        "missed-runs/\(job.job)", .warning,
                        "\(runs.missed) runs of \(job.job) did not take place, by nobody's order"))
            }
            if runs.unaccounted > 0 {
                findings.append(
                    finding(
                        "unaccounted-runs/\(job.job)", .error,
                        "\(runs.unaccounted) of \(runs.expected) expected runs of \(job.job) have no line in the ledger"
                    ))
            }
            return findings
        }
    }

    private func sourceFindings(_ source: Report.SourceRow, _ report: Report) -> [Report.Finding] {
        let name = source.source
        guard source.isDeclared else {
            let text = "\(name) has recovery points or tests, and stands in no configuration that was sealed"
            return inventory.count > 0 ? [finding("undeclared/\(name)", .warning, text)] : []
        }
        var findings: [Report.Finding] = []
        if !source.isPlanned {
            findings.append(finding("unplanned/\(name)", .error, "\(name) is backed up by no job that is enabled"))
        }
        if source.newestPoint == nil {
            findings.append(finding("no-point/\(name)", .error, "\(name) has no recovery point"))
        }
        switch source.rpo?.isMet {
        case false?:
            let worst = source.rpo?.worstSeconds.map { Duration.seconds($0).lengthOfTime } ?? "without end"
            findings.append(
                finding(
                    "rpo/\(name)", .error, "the RPO objective of \(name) was not kept: the worst exposure was \(worst)")
            )
        case nil:
            findings.append(
                finding("no-rpo/\(name)", .warning, "\(name) has no RPO objective, or no time to hold it to"))
        case true?: break
        }
        if source.objectives.last?.rtoSeconds == nil {
            findings.append(finding("no-rto/\(name)", .warning, "\(name) has no RTO objective"))
        }
        if source.rto.isMet == false {
            let worst = source.rto.worstSeconds.map { Duration.seconds($0).lengthOfTime } ?? "not measured"
            findings.append(
                finding(
                    "rto/\(name)", .error,
                    "the RTO objective of \(name) was not kept: the longest recovery took \(worst)"))
        }
        if source.tests.passed == 0 {
            let text =
                source.tests.failed + source.tests.unclear == 0
                ? "no test recovered \(name) in the period" : "no test of \(name) passed in the period"
            findings.append(finding("untested/\(name)", .error, text))
        }
        if source.objectives.count > 1 {
            findings.append(
                finding(
                    "objective/\(name)", .info,
                    "the objectives of \(name) changed within the period; each held for its time"))
        }
        return findings
    }

    private func drillFindings(_ report: Report) -> [Report.Finding] {
        report.drills.flatMap { drill -> [Report.Finding] in
            guard drill.sabotage == nil else { return [] }
            var findings: [Report.Finding] = []
            if drill.verdict != "passed" {
                findings.append(
                    finding(
                        "drill/\(drill.id)", drill.verdict == "failed" ? .error : .warning,
                        "the \(drill.kind) \(drill.id) of \(drill.finished) "
                            + "\(drill.verdict == "failed" ? "failed" : "was interrupted")",
                        [drill.evidence]))
            }
            if drill.kind == "drill", !drill.isSegregated {
                findings.append(
                    finding(
                        "isolation/\(drill.id)", .error, "the drill \(drill.id) did not run apart from its source",
                        [drill.evidence]))
            }
            if drill.isImported {
                findings.append(
                    finding(
                        "imported/\(drill.id)", .info,
                        "the record \(drill.id) was imported: its signature says who brought it and when, not "
                            + "that it is true",
                        [drill.evidence]))
            }
            return findings
        }
    }

    private func exceptionFindings(_ report: Report) -> [Report.Finding] {
        report.exceptions.filter(\.isOverdue).map { exception in
            finding(
                "overdue/\(exception.id)", .error,
                "the exception \(exception.id) of \(exception.owner) for \(exception.finding) was due on "
                    + "\(exception.due)",
                [exception.evidence])
        }
    }
}

extension ReportGatherer {
    /// What is missing, changed or out of place in the chains that the report rests on.
    package var chainProblems: [String] {
        chains.problems().map { "evidence/\($0.slot)/\($0.number): \($0.text)" }
            + exceptions.missing.map { "evidence/\($0.slot)/\($0.number): an inventory names it, and it is not there" }
    }
}
