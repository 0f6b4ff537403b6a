// How each need is judged, by the rows of a report alone.

import Primitives

extension Need {
    /// - Parameter report: With everything but its controls.
    func judge(_ report: Report) -> NeedJudgement {
        let declared = report.sources.filter(\.isDeclared)
        switch self {
        case .inventory:
            return NeedJudgement(
                declared.count(where: \.isPlanned), of: declared.count,
                "declared sources are backed up by an enabled job",
                none: "no inventory was sealed in the period")
        case .backupsRun: return Self.backups(report)
        case .coverage:
            if report.coverage.stretches.isEmpty {
                return NeedJudgement(.noEvidence, "no ledger of runs covers any of the period")
            }
            let gaps = report.coverage.gaps.count
            return NeedJudgement(
                gaps == 0 ? .met : .partial,
                gaps == 0 ? "the ledger of runs covers the whole period" : "the ledger of runs has \(gaps) gaps")
        case .objectives:
            let both = declared.count { row in
                row.objectives.last.map { $0.rpoSeconds != nil && $0.rtoSeconds != nil } ?? false
            }
            return NeedJudgement(
                both, of: declared.count, "declared sources have both objectives", none: "no source is declared")
        case .classes:
            let classed = declared.count { $0.tier != nil && $0.dataClass != nil }
            return NeedJudgement(
                classed, of: declared.count, "declared sources have a tier and a class of data",
                none: "no source is declared")
        case .rpo:
            let held = report.sources.filter { $0.rpo?.isMet != nil }
            return NeedJudgement(
                held.count { $0.rpo?.isMet == true }, of: held.count,
                "sources kept their RPO objective for all of the time",
                none: "no RPO objective could be held to anything")
        case .restoreTest, .yearlyTest, .dataChecks, .reconciliation, .rto, .isolation, .mediaCheck, .sampling,
            .transactions, .plan, .incident:
            return judgeTest(report)
        case .followUp, .offsite, .immutable, .mirrorRuns, .encryption, .rotation, .auditLog, .chain:
            return judgeKeeping(report)
        }
    }

    private static func backups(_ report: Report) -> NeedJudgement {
        let runs = report.jobs.filter { $0.kind == "backup" }.map(\.population).reduce(.init(), +)
        guard runs.recorded > 0 else { return NeedJudgement(.noEvidence, "the ledger has no run of a backup") }
        let text =
            "\(runs.done) runs done, \(runs.partial) in part, \(runs.failed) failed, \(runs.missed) missed, "
            + "\(runs.unaccounted) without a line, of \(runs.expected) expected"
        if runs.done == 0 { return NeedJudgement(.notMet, text) }
        return NeedJudgement(runs.partial + runs.failed + runs.missed + runs.unaccounted == 0 ? .met : .partial, text)
    }

    // MARK: Tests

    private func judgeTest(_ report: Report) -> NeedJudgement {
        let tests = report.drills.filter(\.counts)
        let declared = report.sources.filter(\.isDeclared)
        switch self {
        case .restoreTest, .yearlyTest:
            guard !tests.isEmpty else { return NeedJudgement(.noEvidence, "no test in the period") }
            if declared.isEmpty {
                let passed = tests.count { $0.members.contains(where: \.isProven) }
                return NeedJudgement(
                    passed, of: tests.count, "tests recovered something; no source is declared", none: "")
            }
            return NeedJudgement(
                declared.count { $0.tests.passed > 0 }, of: declared.count,
                "declared sources were recovered by a test of the period", none: "")
        case .dataChecks: return Self.checks(["contents", "engine", "sql"], tests, "of contents and engines")
        case .reconciliation: return Self.checks(["reconcile", "reconciliation"], tests, "that reconcile systems")
        case .rto:
            let measured = report.sources.filter { $0.rto.isMet != nil }
            return NeedJudgement(
                measured.count { $0.rto.isMet == true }, of: measured.count,
                "sources were recovered within their RTO objective",
                none: "no recovery with an RTO objective was measured in the period")
        case .isolation:
            let isolation = report.isolation
            return NeedJudgement(
                isolation.status,
                isolation.drills == 0
                    ? "no drill in the period"
                    : "\(isolation.drills - Int64(isolation.failed.count)) of \(isolation.drills) drills ran "
                        + "apart from their sources"
            )
        case .mediaCheck: return Self.mediaChecks(report)
        case .sampling:
            let random = tests.filter { $0.members.contains { $0.selection == "random" } }
            return NeedJudgement(
                random.count { $0.verdict == "passed" }, of: random.count, "tests of a random recovery point passed",
                none: "no test of a random recovery point in the period")
        case .transactions:
            let replayed = tests.filter { $0.members.contains { $0.logBytes ?? 0 > 0 } }
            return NeedJudgement(
                replayed.count { $0.verdict == "passed" }, of: replayed.count, "tests that replayed a log passed",
                none: "no test of the period replayed a log")
        case .plan:
            let planned = tests.filter { $0.planSha256 != nil }
            return NeedJudgement(
                planned.isEmpty ? .noEvidence : .met,
                planned.isEmpty
                    ? "no plan was carried out in the period"
                    : "\(Set(planned.compactMap(\.planSha256)).count) versions of plans were carried out in "
                        + "\(planned.count) tests"
            )
        default:
            let incidents = tests.filter { $0.kind == "incident" }
            guard !incidents.isEmpty else {
                return NeedJudgement(.notApplicable, "no restore in an incident in the period")
            }
            return NeedJudgement(
                incidents.count { $0.verdict == "passed" }, of: incidents.count, "restores in incidents passed",
                none: "")
        }
    }

    private static func checks(_ kinds: Set<String>, _ tests: [Report.DrillRow], _ what: String) -> NeedJudgement {
        let made = tests.flatMap(\.checks).filter {
            kinds.contains($0.kind) && !["skipped", "notRun"].contains($0.verdict)
        }
        let passed = made.count { $0.verdict == "passed" }
        return NeedJudgement(passed, of: made.count, "checks \(what) passed", none: "no check \(what) in the period")
    }

    /// Checks that read packs, by jobs.
    private static func mediaChecks(_ report: Report) -> NeedJudgement {
        let runs = report.jobs.filter { $0.kind == "check" && $0.readsData }.map(\.population).reduce(.init(), +)
        guard runs.done + runs.failed + runs.partial > 0 else {
            return NeedJudgement(.noEvidence, "no job read back what is stored")
        }
        let text =
            "\(runs.done) of \(runs.done + runs.failed + runs.partial) checks that read back what is stored found "
            + "nothing"
        return NeedJudgement(runs.done == 0 ? .notMet : runs.failed + runs.partial == 0 ? .met : .partial, text)
    }

    // MARK: Keeping

    private func judgeKeeping(_ report: Report) -> NeedJudgement {
        switch self {
        case .followUp:
            let grave = report.findings.filter { $0.severity == .error }
            let owned = grave.count { $0.exception != nil }
            if report.exceptions.contains(where: \.isOverdue) {
                return NeedJudgement(.notMet, "an exception is overdue")
            }
            if grave.isEmpty { return NeedJudgement(.met, "there is no grave finding to follow up") }
            return NeedJudgement(
                owned == grave.count ? .met : .partial,
                "\(owned) of \(grave.count) grave findings have an owner and a date")
        case .offsite: return Self.copies(report.copies.offsite, "another place")
        case .immutable: return Self.copies(report.copies.immutable, "where nobody can delete for a time")
        case .mirrorRuns:
            let runs = report.jobs.filter { $0.kind == "mirror" }.map(\.population).reduce(.init(), +)
            guard runs.recorded > 0 else {
                return NeedJudgement(.noEvidence, "no job brings the repository to another place")
            }
            let isWhole = runs.failed + runs.partial + runs.missed + runs.unaccounted == 0
            return NeedJudgement(
                runs.done == 0 ? .notMet : isWhole ? .met : .partial,
                "\(runs.done) of \(runs.recorded) runs of mirrors are done")
        case .encryption:
            return NeedJudgement(
                .met,
                "every object of the repository is sealed with AES-256-GCM, by its format; there is no other way "
                    + "to write one"
            )
        case .rotation:
            let rotation = report.rotation
            return rotation.records == 0
                ? NeedJudgement(.noEvidence, "no record of a rotation in the period")
                : NeedJudgement(
                    rotation.failed == 0 ? .met : .partial, "\(rotation.records) rotations, \(rotation.failed) failed")
        case .auditLog:
            return report.auditHeads.isEmpty
                ? NeedJudgement(.noEvidence, "no head of an audit log was sealed in the period")
                : NeedJudgement(.met, "\(report.auditHeads.count) heads of audit logs were sealed")
        default:
            let broken = report.findings.count { $0.key.hasPrefix("chain/") }
            if report.chains.isEmpty { return NeedJudgement(.noEvidence, "there is no evidence at all") }
            return NeedJudgement(
                broken == 0 ? .met : .notMet,
                broken == 0
                    ? "the chains of evidence are whole from the first record that was used on"
                    : "\(broken) links are missing or changed")
        }
    }

    /// What is declared is never more than a part: nobody looked there.
    private static func copies(_ count: Int64, _ place: String) -> NeedJudgement {
        count == 0
            ? NeedJudgement(.noEvidence, "no copy is declared to be at \(place)")
            : NeedJudgement(.partial, "\(count) copies are declared to be at \(place); nothing here measured that")
    }
}
