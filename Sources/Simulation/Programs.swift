// What the actors of a history do.

import Logging
import ObjectStore
import Primitives
import Recovery
import Repository
import TestSupport

/// An actor at work: its store, its environment, and a key.
final class Stage: @unchecked Sendable {
    // Sendable: as World.
    let world: World
    let actor: Actor
    let store: SimulatedStore
    let environment: Environment
    let mutation: Mutation?
    private var opened: Repository?

    init(_ scheduler: Scheduler, _ actor: Actor, seed: UInt64, mutation: Mutation?, disguise: Disguise = Disguise()) {
        world = scheduler.world
        self.actor = actor
        self.mutation = mutation
        store = SimulatedStore(scheduler, actor, disguise: disguise)
        environment = Environment(
            clock: SimulatedClock(scheduler, actor), entropy: SeededEntropy(seed: seed),
            logger: Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }, threading: .calling(actor.due))
    }

    /// A judge opens once: no key changes when all actors have ended.
    func open(_ key: SimulatedKey) throws(HoldfastError) -> Repository {
        if actor.isQuiet, let opened { return opened }
        let repository = try Repository.open(store, secret: key.secret, environment: environment)
        if actor.isQuiet { opened = repository }
        return repository
    }

    /// Runs a step of a program; an error ends the step and is counted.
    func attempt(_ what: String, _ body: () throws(HoldfastError) -> Void) {
        if actor.isDead { return }
        do throws(HoldfastError) {
            try body()
            world.truth.count(what)
        } catch {
            guard !actor.isDead else { return }
            world.truth.count("\(what) refused: \(error.code.rawValue)")
            world.tell("\(actor.name) \(what) refused: \(error)")
        }
    }

    func pauseBetween() {
        let hours = world.dice.pick([0, 1, 6, 12, 23, 25, 26]) ?? 0
        store.wait(.seconds(hours * 3600 + world.dice.below(3000)))
    }
}

/// Keys of the template repository, by raw bytes of one value.
enum SimulatedKey: UInt8 {
    case admin = 1
    case writer = 2
    case other = 3
    case maintainer = 4
    case restorer = 5

    var secret: SecretBytes {
        let bytes = [UInt8](repeating: rawValue, count: 32)
        return SecretBytes(copying: bytes.span.bytes)
    }
}

extension Stage {
    func write(_ key: SimulatedKey, source name: String, rounds: Int) {
        var source = SimulatedSource(name: name, variety: world.truth.variety)
        source.live(&world.dice)
        var parent = SimulatedSource(name: name, variety: world.truth.variety)
        for round in 0..<rounds where !actor.isDead {
            if round > 0 { pauseBetween() }
            attempt("backups") { () throws(HoldfastError) in
                let repository = try open(key)
                (store.disguise as? Keepless)?.repository = repository
                let backup = try SimulatedBackup(repository, source, store, mutation)
                defer { backup.close() }
                try backup.run(source, parent: parent)
            }
            parent = source
            source.live(&world.dice)
        }
    }

    /// Forgets snapshots by name, as `holdfast forget` does; held ones are refused.
    func forget(_ key: SimulatedKey, rounds: Int) {
        for _ in 0..<rounds where !actor.isDead {
            pauseBetween()
            attempt("forgets") { () throws(HoldfastError) in
                let repository = try open(key)
                let forgetter = try Forgetter(repository)
                var selection = ForgetSelection()
                selection.allowsLast = true
                let ignored = world.dice.chance(3000) ? [] : Set(try repository.holds().map(\.hold.snapshot))
                for snapshot in try repository.snapshots().snapshots where world.dice.chance(6000) {
                    if !ignored.contains(snapshot.id) { selection.named.append(snapshot.id) }
                }
                if selection.named.isEmpty { return }
                let plan = try forgetter.plan(RetentionPolicy(), selection)
                if world.dice.chance(1500) { pauseBetween() }
                let begun = world.now
                for snapshot in plan.dropped {
                    if let held = world.truth.held[snapshot.id], held + world.traits.listingLag < begun { continue }
                    world.truth.forgotten.insert(snapshot.id)
                    world.tell("\(actor.name) forgets \(snapshot.id)")
                }
                _ = try forgetter.run(plan)
            }
        }
    }

    /// Protects snapshots from being forgotten.
    func hold(_ key: SimulatedKey, rounds: Int) {
        for _ in 0..<rounds where !actor.isDead {
            pauseBetween()
            attempt("holds") { () throws(HoldfastError) in
                let repository = try open(key)
                guard let snapshot = world.dice.pick(try repository.snapshots().snapshots) else { return }
                try repository.hold(snapshot, reason: "a matter of law")
                // What was about to be forgotten when the hold came may be gone.
                if !world.truth.forgotten.contains(snapshot.id) { world.truth.held[snapshot.id] = world.now }
            }
        }
    }

    /// Bit rot, and deletes by others.
    func harm(rounds: Int) {
        for _ in 0..<rounds where !actor.isDead {
            pauseBetween()
            world.harm()
        }
    }

    func collect(_ key: SimulatedKey, rounds: Int) {
        for round in 0..<rounds where !actor.isDead {
            if round > 0 { pauseBetween() }
            attempt("collections") { () throws(HoldfastError) in
                var options = PruneOptions()
                options.maximumUnused = world.dice.pick([0, 5, 50, 100]) ?? 5
                options.isExclusive = world.dice.chance(500)
                if options.isExclusive { world.truth.exclusivePrunes.append(world.now) }
                let collector = try Collector(try open(key), options: options)
                let plan = try collector.plan()
                if world.dice.chance(mutation == .noSecondMark ? 10_000 : 2000) { pauseBetween() }
                let report = try collector.run(plan)
                if options.isExclusive { world.truth.exclusivePrunes.append(world.now) }
                if report.deletedPacks > 0 { world.truth.count("sweeps") }
                if report.fencedLeases > 0 { world.truth.count("fences") }
                if report.repackedPacks > 0 { world.truth.count("repacks") }
                if report.mergedRuns > 0 { world.truth.count("merges") }
                if options.isExclusive { world.truth.count("exclusive prunes") }
                world.tell("\(actor.name) collected: \(report)")
            }
            if mutation == .deletesBeyondSweep { deleteAllCondemned() }
        }
    }

    /// The mutation: everything that a swept generation had condemned goes.
    private func deleteAllCondemned() {
        attempt("mutated deletes") { () throws(HoldfastError) in
            let repository = try open(.admin)
            for info in world.list(ObjectNames.collections) where info.key.path.hasSuffix(".sweep") {
                guard let (number, _) = ObjectNames.collection(info.key) else { continue }
                let condemned = try repository.readCollection(ObjectNames.condemned(number), .condemned, number)
                for pack in condemned.packs { try store.delete(ObjectNames.pack(pack)) }
            }
        }
    }

    func rotate(rounds: Int) {
        for _ in 0..<rounds where !actor.isDead {
            pauseBetween()
            attempt("rotations") { () throws(HoldfastError) in _ = try open(.admin).rotateEpoch() }
        }
    }
}
