// One history: a world drawn from a seed, its actors run to their ends, and the judgement.

import ObjectStore
import Primitives
import Repository
import TestSupport

/// What one history came to.
package struct HistoryReport: Sendable {
    package var seed: UInt64
    package var kind: StoreKind
    /// Broken promises; none in a sound protocol.
    package var violations: [String]
    package var counts: [String: Int]
    package var calls: Int
    /// The same for two runs of one seed.
    package var digest: UInt64
    package var log: [String]
}

/// Runs histories.
package struct Simulator: Sendable {
    private let template: Template

    package init() throws(HoldfastError) { template = try Template() }

    /// Runs the history of `seed`.
    ///
    /// - Parameters:
    ///   - kind: The class of the store; drawn from the seed when nil.
    ///   - mutation: A way in which the protocol is played wrongly.
    package func run(
        seed: UInt64, kind: StoreKind? = nil, mutation: Mutation? = nil, isLogged: Bool = false
    ) -> HistoryReport {
        var random = SimulatedRandom(seed: seed)
        let drawn = random.pick(StoreKind.allCases) ?? .strict
        let kind = kind ?? drawn
        var traits = StoreTraits(&random, kind)
        mutation?.sharpen(&traits)
        let world = World(template.objects, traits: traits, random: random)
        if isLogged { world.log = [] }
        let scheduler = Scheduler(world)
        scheduler.run(Cast(scheduler, seed: seed, mutation: mutation).programs())
        Judge(scheduler, seed: seed).judge()
        return HistoryReport(
            seed: seed, kind: kind, violations: world.truth.violations, counts: world.truth.counts,
            calls: world.calls, digest: world.digest, log: world.log ?? [])
    }
}

/// A repository with all its keys and nothing in it, made once and copied.
private struct Template: Sendable {
    let objects: [Substring: [ObjectKey: World.Object]]

    init() throws(HoldfastError) {
        let world = World([:], traits: StoreTraits(), random: SimulatedRandom(seed: 0))
        let scheduler = Scheduler(world)
        let actor = Actor("template")
        actor.isQuiet = true
        let stage = Stage(scheduler, actor, seed: 1, mutation: nil)
        let repository = try Repository.create(
            in: stage.store, secret: SimulatedKey.admin.secret, derivation: .rawKey, label: "admin",
            compression: "none", environment: stage.environment)
        let others: [(SimulatedKey, Role)] = [
            (.writer, .writer), (.other, .writer), (.maintainer, .maintainer), (.restorer, .restorer),
        ]
        for (key, role) in others {
            _ = try repository.reloadingKeys().addKey(
                Repository.NewKey(label: "\(key)", role: role, secret: key.secret, derivation: .rawKey))
        }
        objects = world.objects
    }
}

/// Who takes part in a history.
private struct Cast {
    let scheduler: Scheduler
    let seed: UInt64
    let mutation: Mutation?

    init(_ scheduler: Scheduler, seed: UInt64, mutation: Mutation?) {
        self.scheduler = scheduler
        self.seed = seed
        self.mutation = mutation
    }

    func programs() -> [(actor: Actor, body: @Sendable () -> Void)] {
        let world = scheduler.world
        world.truth.patience = mutation == nil ? world.dice.pick([0, 1000, 3000, 6000]) ?? 0 : 5000
        world.truth.variety = world.dice.pick([1, 2, 4, 7]) ?? 2
        var programs: [(actor: Actor, body: @Sendable () -> Void)] = []
        func add(_ name: String, _ disguise: Disguise = Disguise(), _ body: @escaping @Sendable (Stage) -> Void) {
            let skew: Duration =
                world.dice.chance(3000) ? .seconds(world.dice.within(-100_000...100_000)) : .zero
            let actor = Actor("\(name)\(programs.count)", skew: skew)
            if name == "writer" { actor.awaits = mutation?.awaited }
            let stage = Stage(
                scheduler, actor, seed: seed &* 31 &+ UInt64(programs.count), mutation: mutation, disguise: disguise)
            programs.append((actor, { body(stage) }))
        }
        for number in 0..<world.dice.within(1...3) {
            let key = world.dice.pick([SimulatedKey.writer, .other, .admin]) ?? .writer
            let source = world.dice.chance(2500) ? "shared" : "source\(number)"
            let rounds = world.dice.within(1...4)
            add("writer", writerDisguise(world)) { $0.write(key, source: source, rounds: rounds) }
        }
        for _ in 0..<world.dice.within(1...2) {
            let key = world.dice.pick([SimulatedKey.admin, .maintainer]) ?? .admin
            let rounds = world.dice.within(3...6)
            add("collector", collectorDisguise(world)) { $0.collect(key, rounds: rounds) }
        }
        let forgets = world.dice.within(2...5)
        add("forgetter") { $0.forget(.admin, rounds: forgets) }
        if world.dice.chance(5000) {
            let rounds = world.dice.within(1...2)
            add("reader") { $0.restore(rounds: rounds) }
        }
        if world.dice.chance(1500) { add("rotator") { $0.rotate(rounds: 1) } }
        return programs
    }

    private func writerDisguise(_ world: World) -> Disguise {
        switch mutation {
        case .ignoresKeep: Keepless()
        case .listsBeforeLease: EarlyLister(world)
        default: Disguise()
        }
    }

    private func collectorDisguise(_ world: World) -> Disguise {
        switch mutation {
        case .noSecondMark: FirstMarkOnly(world)
        case .noFence: Fenceless()
        default: Disguise()
        }
    }
}
