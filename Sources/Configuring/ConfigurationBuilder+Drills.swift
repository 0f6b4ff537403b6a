// Plans of drills: what they name must be there, and what waits must not wait for itself.

import Primitives

extension ConfigurationBuilder {
    private typealias Keys = ConfigurationSchema

    mutating func drill(
        _ name: String, at position: Position, _ value: SectionValue, _ configuration: Configuration
    ) -> ConfiguredDrill {
        var drill = ConfiguredDrill(name: name)
        if configuration.source(named: name) != nil {
            problems.add(position, "`drills`: there is a source `\(name)`; give the plan another name")
        }
        let systems = value.sections(Keys.systems)
        if systems.isEmpty { problems.add(value.position(of: Keys.systems), "`systems`: a plan needs one at least") }
        let names = systems.map(\.name)
        var repositories: Set<String?> = []
        for (name, position, value) in systems {
            let source = value.text(Keys.drilledSource) ?? name
            if let found = configuration.source(named: source) {
                repositories.insert(found.repository)
            } else {
                let nearest = Nearest.word(to: source, among: configuration.sources.map(\.name))
                problems.add(
                    value.has(Keys.drilledSource) ? value.position(of: Keys.drilledSource) : position,
                    "there is no source `\(source)`\(nearest.map { "; did you mean `\($0)`?" } ?? "")")
            }
            for (text, position) in value.list(Keys.after) ?? [] where !names.contains(text) || text == name {
                problems.add(position, "`after`: the plan has no other system `\(text)`")
            }
            drill.systems.append(
                ConfiguredDrill.System(
                    name: name, source: source, point: value.text(Keys.point) ?? "latest",
                    after: (value.list(Keys.after) ?? []).map(\.text), checks: checks(value, ofPlan: nil),
                    rpo: duration(value, Keys.planRPO) ?? configuration.source(named: source)?.rpo,
                    rto: duration(value, Keys.planRTO) ?? configuration.source(named: source)?.rto))
        }
        if repositories.count > 1 {
            problems.add(position, "`drills`: the sources of `\(name)` are in several repositories; divide the plan")
        }
        drill.repository = repositories.first ?? nil
        if let ring = Self.ring(drill.systems) {
            problems.add(
                value.position(of: Keys.systems),
                "`after`: these systems wait for each other: \(ring.map { "`\($0)`" }.joined(separator: ", "))")
        }
        drill.checks = checks(value, ofPlan: names)
        if let scratch = value.section(Keys.scratch) {
            drill.directory = scratch.text(Keys.scratchDirectory)
                .map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" }
            drill.disk = scratch.text(Keys.scratchDisk).flatMap { ByteCount($0) }
            drill.memory = scratch.text(Keys.scratchMemory).flatMap { ByteCount($0) }
            drill.time = duration(scratch, Keys.scratchTime)
        }
        drill.rpo = duration(value, Keys.planRPO)
        drill.rto = duration(value, Keys.planRTO)
        drill.detect = duration(value, Keys.detect)
        drill.decide = duration(value, Keys.decide)
        drill.cutover = duration(value, Keys.cutover)
        drill.approver = value.text(Keys.approver)
        return drill
    }

    private func duration(_ value: SectionValue, _ key: Key) -> Duration? {
        value.text(key).flatMap { Duration(lengthOfTime: $0) }
    }

    /// Systems that wait for each other; nil when there is an order.
    private static func ring(_ systems: [ConfiguredDrill.System]) -> [String]? {
        var left = systems
        let names = Set(systems.map(\.name))
        while true {
            let waiting = Set(left.map(\.name))
            let rest = left.filter { $0.after.contains { waiting.contains($0) && names.contains($0) } }
            if rest.isEmpty { return nil }
            if rest.count == left.count { return rest.map(\.name) }
            left = rest
        }
    }

    // MARK: Checks

    /// - Parameter systems: Those of the plan when the checks are the plan's own.
    private mutating func checks(_ value: SectionValue, ofPlan systems: [String]?) -> [ConfiguredDrill.Check] {
        var checks: [ConfiguredDrill.Check] = []
        for (name, position, value) in value.sections(Keys.drillChecks) {
            guard let kind = kind(value, at: position, systems) else { continue }
            checkMeaning(value, kind)
            checks.append(.init(name: name, kind: kind, timeout: duration(value, Keys.checkTimeout)))
        }
        return checks
    }

    private mutating func kind(
        _ value: SectionValue, at position: Position, _ systems: [String]?
    ) -> ConfiguredDrill.Check.Kind? {
        let database = value.text(Keys.checkDatabase)
        if let statement = value.text(Keys.checkSQL) {
            let (least, most) = (number(value, Keys.checkLeast), number(value, Keys.checkMost))
            let expected = value.text(Keys.checkExpect)
            if systems != nil { problems.add(position, "`sql`: put the check below the system that it asks") }
            if (expected == nil) == (least == nil && most == nil) {
                problems.add(position, "`sql`: give either `expect`, or `atLeast` or `atMost` or both")
            }
            return .sql(
                .init(statement: statement, database: database), expect: expected, atLeast: least, atMost: most)
        }
        if let statement = value.text(Keys.checkHeartbeat) {
            if systems != nil { problems.add(position, "`heartbeat`: put the check below the system that it asks") }
            return .heartbeat(
                .init(statement: statement, database: database), every: duration(value, Keys.checkEvery),
                maxAge: duration(value, Keys.checkAge))
        }
        if let words = value.list(Keys.checkCommand) {
            if let refusal = ClearSecret.refusal(ofCommand: words.map(\.text)) {
                problems.add(words[refusal.index].position, "`command`: \(refusal.reason)")
            }
            return .command(words.map(\.text), expect: value.text(Keys.checkExpect))
        }
        guard let pair = value.section(Keys.checkReconcile), let left = pair.text(Keys.reconcileLeft),
            let right = pair.text(Keys.reconcileRight), let leftSQL = pair.text(Keys.reconcileLeftSQL),
            let rightSQL = pair.text(Keys.reconcileRightSQL)
        else { return nil }
        guard let systems else {
            problems.add(position, "`reconcile`: put the check below the plan, beside `systems`")
            return nil
        }
        for (key, name) in [(Keys.reconcileLeft, left), (Keys.reconcileRight, right)] where !systems.contains(name) {
            problems.add(pair.position(of: key), "`\(key.name)`: the plan has no system `\(name)`")
        }
        return .reconcile(
            left: .init(statement: leftSQL, database: pair.text(Keys.reconcileLeftDatabase)), leftSystem: left,
            right: .init(statement: rightSQL, database: pair.text(Keys.reconcileRightDatabase)), rightSystem: right,
            tolerance: number(pair, Keys.tolerance) ?? 0)
    }

    private func number(_ value: SectionValue, _ key: Key) -> Double? { value.text(key).flatMap { Double($0) } }

    /// Keys that mean nothing for the kind of check.
    private mutating func checkMeaning(_ value: SectionValue, _ kind: ConfiguredDrill.Check.Kind) {
        let allowed: [Key]
        switch kind {
        case .sql: allowed = [Keys.checkDatabase, Keys.checkExpect, Keys.checkLeast, Keys.checkMost]
        case .heartbeat: allowed = [Keys.checkDatabase, Keys.checkEvery, Keys.checkAge]
        case .command: allowed = [Keys.checkExpect]
        case .reconcile: allowed = []
        }
        let all = [
            Keys.checkDatabase, Keys.checkExpect, Keys.checkLeast, Keys.checkMost, Keys.checkEvery, Keys.checkAge,
        ]
        for key in all where value.has(key) && !allowed.contains(where: { $0.name == key.name }) {
            problems.add(value.position(of: key), "`\(key.name)` means nothing for this check")
        }
    }
}
