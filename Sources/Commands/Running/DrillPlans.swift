// What `drill` was asked for: plans of the configuration, or sources that make a plan of their own.

import Configuring
import Primitives
import Recovery
import Repository
import Workloads

/// The drills of one run.
struct DrillPlans {
    /// A plan before its repository is opened.
    struct Planned {
        var place: RepositoryPlace
        var directory: String?
        /// The plan as it is.
        var ready: DrillPlan

        /// - Throws: `.usage` for a source that neither the configuration nor the repository knows.
        func plan(in repository: Repository) throws(HoldfastError) -> DrillPlan {
            guard ready.name.isEmpty else { return ready }
            let known = Set(try repository.snapshots().snapshots.compactMap { $0.record?.source })
            for system in ready.systems where !known.contains(system.source) {
                throw HoldfastError(
                    .usage, "there is no plan `\(system.source)`, and no snapshot of such a source",
                    hint: "`holdfast snapshots` lists sources, `holdfast config check` plans.")
            }
            return ready
        }
    }

    let all: [Planned]

    init(_ names: [String], _ point: PointChoice?, _ context: CommandContext) throws(HoldfastError) {
        let configuration = try context.configuration()
        let named = try context.namedPlace()
        var planned: [Planned] = []
        var sources: [String] = []
        for name in names {
            if let drill = configuration?.drills.first(where: { $0.name == name }) {
                planned.append(try Self.planned(drill, named, point, configuration, context))
            } else if !sources.contains(name) {
                sources.append(name)
            }
        }
        if names.isEmpty {
            for drill in configuration?.drills ?? [] {
                planned.append(try Self.planned(drill, named, point, configuration, context))
            }
            guard !planned.isEmpty else {
                throw HoldfastError(
                    .usage, "there is no plan to carry out",
                    hint: "Name a source, or write a plan below `drills` of the configuration.")
            }
        }
        if !sources.isEmpty { planned.append(try Self.planned(sources, named, point, configuration, context)) }
        all = planned
    }

    private static func planned(
        _ drill: ConfiguredDrill, _ named: RepositoryPlace?, _ point: PointChoice?, _ configuration: Configuration?,
        _ context: CommandContext
    ) throws(HoldfastError) -> Planned {
        guard let configuration else { preconditionFailure("a configured drill has a configuration") }
        let place = if let named { named } else { try context.place(of: drill.repository, in: configuration) }
        return Planned(place: place, directory: drill.directory, ready: try DrillPlan(drill, point))
    }

    /// A plan of sources, without order and without checks of its own.
    private static func planned(
        _ sources: [String], _ named: RepositoryPlace?, _ point: PointChoice?, _ configuration: Configuration?,
        _ context: CommandContext
    ) throws(HoldfastError) -> Planned {
        let configured = sources.compactMap { configuration?.source(named: $0) }
        var place = named
        if place == nil, let configuration, let first = configured.first {
            guard configured.allSatisfy({ $0.repository == first.repository }) else {
                throw HoldfastError(
                    .usage, "the sources are in several repositories", hint: "Drill them in runs of their own.")
            }
            place = try context.place(of: first.repository, in: configuration)
        }
        if place == nil { place = try context.place() }
        guard let place else { preconditionFailure("a place or a failure") }
        let systems = sources.map { name in
            var system = DrillSystem(name: systemName(name, sources), source: name, point: point ?? .latest)
            let source = configured.first { $0.name == name }
            system.rpo = source?.rpo
            system.rto = source?.rto
            return system
        }
        return Planned(place: place, ready: DrillPlan(name: "", systems: systems))
    }

    /// A name that can be one of a directory: a source may go by a URL.
    static func systemName(_ source: String, _ all: [String]) -> String {
        if ConfiguredSource.isName(source) { return source }
        return "source-\((all.firstIndex(of: source) ?? 0) + 1)"
    }
}

extension DrillPlan {
    /// - Parameter point: In place of those of the systems.
    init(_ drill: ConfiguredDrill, _ point: PointChoice?) throws(HoldfastError) {
        var systems: [DrillSystem] = []
        for system in drill.systems {
            guard let choice = point ?? PointChoice(system.point) else {
                throw HoldfastError(.configuration, "the point `\(system.point)` is none", hint: "Correct the plan.")
            }
            var own = DrillSystem(name: system.name, source: system.source, point: choice)
            own.after = system.after
            own.checks = system.checks.map { DrillCheck($0) }
            own.rpo = system.rpo
            own.rto = system.rto
            systems.append(own)
        }
        self.init(name: drill.name, systems: systems)
        checks = drill.checks.map { DrillCheck($0) }
        limits.disk = drill.disk
        limits.memory = drill.memory
        limits.time = drill.time
        rpo = drill.rpo
        rto = drill.rto
        declared = [RecoveryPhase.detect: drill.detect, .decide: drill.decide, .cutover: drill.cutover]
            .compactMapValues { $0 }
        approver = drill.approver
    }
}

extension DrillCheck {
    init(_ check: ConfiguredDrill.Check) {
        let kind: Kind
        switch check.kind {
        case .sql(let question, let expected, let least, let most):
            kind = .sql(
                CopyQuestion(question), expected.map { .text($0) } ?? .number(atLeast: least, atMost: most))
        case .heartbeat(let question, let every, let age):
            kind = .heartbeat(CopyQuestion(question), every: every, atMost: age)
        case .command(let words, let expected): kind = .command(words, output: expected)
        case .reconcile(let left, let one, let right, let other, let tolerance):
            kind = .reconciliation(
                left: CopyQuestion(left), leftSystem: one, right: CopyQuestion(right), rightSystem: other,
                tolerance: tolerance)
        }
        self.init(name: check.name, kind, timeout: check.timeout ?? DrillCheck.standardTimeout)
    }
}

extension CopyQuestion {
    init(_ question: ConfiguredDrill.Question) { self.init(question.statement, database: question.database) }
}
