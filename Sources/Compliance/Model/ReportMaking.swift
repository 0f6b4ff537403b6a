// The second half of making a report: rows, findings and controls out of what was gathered.

import Primitives
import Recovery
import Repository

extension ReportGatherer {
    /// The report of one framework. The same links give the same report, whoever makes it and whenever.
    ///
    /// - Precondition: ``close()`` was called.
    package func report(
        _ framework: Framework, repository: RepositoryID, adminKey: Bytes32
    ) throws(HoldfastError) -> Report {
        let drills = recoveries.map { Report.DrillRow($0.link, $0.record) }
        let jobs = jobRows()
        let sources = try sourceRows(drills)
        var report = Report(
            framework: framework.rawValue, frameworkName: framework.name, repository: repository.description,
            adminKey: Hex.encode(adminKey.array), from: period.from.description, to: period.to.description,
            chains: chains.rows, coverage: coverage, totals: jobs.map(\.population).reduce(.init(), +), jobs: jobs,
            sources: sources, drills: drills, exceptions: exceptions.rows(period),
            isolation: Self.isolation(drills), rotation: rotation, auditHeads: auditHeads, copies: inventory.copies,
            trends: trends(drills), findings: [], controls: [])
        report.findings = findings(report)
        report.controls = framework.controls.map { Report.ControlRow($0, report) }
        return report
    }

    private var coverage: Report.Coverage {
        func stretch(_ one: TimeCover.Stretch) -> Report.Stretch {
            Report.Stretch(from: one.from.description, to: one.to.description)
        }
        return Report.Coverage(
            stretches: covered.joined.map(stretch), gaps: covered.gaps(in: period).map(stretch),
            segments: segmentsUsed, inventories: inventory.count, newestInventory: inventory.newest?.description)
    }

    private func jobRows() -> [Report.JobRow] {
        let figures = runs.finished()
        return Set(figures.keys).union(inventory.jobs.keys).sorted().map { name in
            let declared = inventory.jobs[name]
            let outcomes = (figures[name]?.outcomes ?? [:]).sorted { $0.key < $1.key }
            return Report.JobRow(
                job: name, kind: declared?.kind ?? "", schedule: declared?.schedule ?? "",
                isEnabled: declared?.isEnabled ?? false, readsData: declared?.readsData ?? false,
                sources: (declared?.sources ?? []).sorted(),
                population: figures[name]?.population ?? .init(),
                outcomes: outcomes.map { Report.Count(name: $0.key, count: $0.value) })
        }
    }

    private func sourceRows(_ drills: [Report.DrillRow]) throws(HoldfastError) -> [Report.SourceRow] {
        var tests: [String: TestFigures] = [:]
        for drill in drills {
            for source in Set(drill.members.map(\.source)) {
                var own = drill
                own.members = drill.members.filter { $0.source == source }
                tests[source, default: TestFigures()].add(own)
            }
        }
        let names = Set(inventory.sources.keys).union(tests.keys).sorted()
        var rows: [Report.SourceRow] = []
        for name in names {
            let figures = inventory.sources[name] ?? SourceFigures(name: name)
            let own = tests[name] ?? TestFigures()
            let objectives = figures.objectives(in: period)
            rows.append(
                Report.SourceRow(
                    source: name, workload: figures.workload, owner: figures.owner, tier: figures.tier,
                    dataClass: figures.dataClass, isDeclared: !objectives.isEmpty,
                    isPlanned: inventory.planned[name] != nil, jobs: (inventory.planned[name] ?? []).sorted(),
                    added: figures.added(period, first: inventory.firstEnd)?.description,
                    retired: figures.retired(period, last: inventory.lastStart)?.description,
                    objectives: objectives, points: figures.pointsInPeriod, incompletePoints: figures.incomplete,
                    newestPoint: figures.newestPoint(period)?.description,
                    rpo: try figures.rpo(period),
                    rto: own.rto(declared: objectives.last?.rtoSeconds), tests: own.tests))
        }
        return rows
    }

    /// Whether tests ran apart from their sources. Incident restores go where the service is.
    private static func isolation(_ drills: [Report.DrillRow]) -> Report.Isolation {
        let tests = drills.filter { $0.kind == "drill" }
        let failed = tests.filter { !$0.isSegregated }.map(\.id)
        return Report.Isolation(
            status: tests.isEmpty ? .noEvidence : failed.isEmpty ? .met : .notMet, drills: Int64(tests.count),
            failed: failed)
    }
}
