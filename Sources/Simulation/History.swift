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
    /// Calls of each actor, in the order of the cast.
    package var callsOfActors: [Int]
    /// The same for two runs of one seed.
    package var digest: UInt64
    package var log: [String]
}

/// The call of an actor at which its machine stops; call 0 for none.
package struct CrashPoint: Sendable, Hashable {
    package var actor: Int
    package var call: Int

    package init(actor: Int, call: Int) {
        self.actor = actor
        self.call = call
    }
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
    ///   - crash: Whose machine stops for good, and at which of its calls; nothing else goes wrong then. Up to that
    ///     call the history is that without a crash.
    ///   - isFair: The scene of two sweepers is played by the rules, for comparison; nothing else heeds it.
    package func run(
        seed: UInt64, kind: StoreKind? = nil, mutation: Mutation? = nil, crash: CrashPoint? = nil,
        isFair: Bool = false, isLogged: Bool = false
    ) -> HistoryReport {
        var random = SimulatedRandom(seed: seed)
        let drawn = random.pick(StoreKind.allCases) ?? .strict
        let kind = kind ?? drawn
        var traits = StoreTraits(&random, kind)
        mutation?.sharpen(&traits)
        if crash != nil {
            (traits.crashes, traits.freezes, traits.failures, traits.lostAnswers) = (0, 0, 0, 0)
        }
        let world = World(template.objects, traits: traits, random: random)
        if isLogged { world.log = [] }
        let scheduler = Scheduler(world)
        let programs = Cast(
            scheduler, seed: seed, mutation: mutation, isSmall: crash != nil, isFair: isFair
        ).programs()
        if let crash, programs.indices.contains(crash.actor) { programs[crash.actor].actor.crashAt = crash.call }
        scheduler.run(programs)
        Judge(scheduler, seed: seed).judge()
        return HistoryReport(
            seed: seed, kind: kind, violations: world.truth.violations, counts: world.truth.counts,
            calls: world.calls, callsOfActors: programs.map(\.actor.calls), digest: world.digest, log: world.log ?? [])
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
    /// One round or two of everybody, rotation and repacking included.
    let isSmall: Bool
    let isFair: Bool

    init(_ scheduler: Scheduler, seed: UInt64, mutation: Mutation?, isSmall: Bool, isFair: Bool) {
        self.isSmall = isSmall
        self.isFair = isFair
        self.scheduler = scheduler
        self.seed = seed
        self.mutation = mutation
    }

    func programs() -> [(actor: Actor, body: @Sendable () -> Void)] {
        let world = scheduler.world
        world.truth.patience = mutation == nil ? world.dice.pick([0, 1000, 3000, 6000]) ?? 0 : 5000
        world.truth.variety = world.dice.pick([1, 2, 4, 7]) ?? 2
        var programs: [(actor: Actor, body: @Sendable () -> Void)] = []
        func add(_ name: String, _ disguise: Disguise, _ body: @escaping @Sendable (Stage) -> Void) {
            let skew: Duration =
                world.dice.chance(3000) ? .seconds(world.dice.within(-100_000...100_000)) : .zero
            let actor = Actor("\(name)\(programs.count)", skew: skew)
            if skew != .zero { world.truth.count("skewed clocks") }
            if name == "writer" { actor.awaits = mutation?.awaited }
            let stage = Stage(
                scheduler, actor, seed: seed &* 31 &+ UInt64(programs.count), mutation: mutation, disguise: disguise)
            programs.append((actor, { body(stage) }))
        }
        if mutation == .twoSweepers {
            world.truth.patience = 0
            TwoSweepers(world: world, isFair: isFair).cast(add)
            return programs
        }
        if let mutation, Scene.covers(mutation) {
            world.truth.variety = 1
            Scene(mutation: mutation, world: world).cast(add)
            return programs
        }
        for number in 0..<(isSmall ? 1 : world.dice.within(1...3)) {
            let key = world.dice.pick([SimulatedKey.writer, .other, .admin]) ?? .writer
            let source = world.dice.chance(2500) ? "shared" : "source\(number)"
            let rounds = world.dice.within(1...4)
            add("writer", Disguise()) { $0.write(key, source: source, rounds: rounds) }
        }
        let collectors = isSmall ? 1 : world.dice.within(1...2)
        if collectors > 1 { world.truth.count("two collectors") }
        for _ in 0..<collectors {
            let key = world.dice.pick([SimulatedKey.admin, .maintainer]) ?? .admin
            let rounds = world.dice.within(3...6)
            add("collector", collectorDisguise(world)) { $0.collect(key, rounds: rounds) }
        }
        let forgets = world.dice.within(2...5)
        add("forgetter", Disguise()) { $0.forget(.admin, rounds: forgets) }
        if world.dice.chance(5000) {
            let rounds = world.dice.within(1...2)
            add("reader", Disguise()) { $0.restore(rounds: rounds) }
        }
        if isSmall || world.dice.chance(1500) { add("rotator", Disguise()) { $0.rotate(rounds: 1) } }
        if world.dice.chance(2500) { add("holder", Disguise()) { $0.hold(.maintainer, rounds: 2) } }
        if mutation == nil, !isSmall, world.dice.chance(1500) {
            let rounds = world.dice.within(1...2)
            add("harm", Disguise()) { $0.harm(rounds: rounds) }
        }
        return programs
    }

    private func collectorDisguise(_ world: World) -> Disguise {
        mutation == .noSecondMark ? FirstMarkOnly(world) : Disguise()
    }
}
