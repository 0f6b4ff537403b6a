// The scene of two sweepers of one generation: between their looks a snapshot comes and goes, so that each has an idea
// of its own of what is doomed, and before the second deletes somebody leans on what the first spared.

import ObjectStore
import Primitives
import Repository

/// What the actors of a staged history tell each other.
enum Cue: Sendable {
    /// The first snapshot is committed.
    case saved
    /// A second backup leans on its packs, and is about to commit.
    case leaning
    /// The first snapshot is forgotten.
    case forgotten
    /// A generation condemns its packs.
    case condemned
    /// The second snapshot is committed, and needs them.
    case committed
    /// The second sweeper saw the generation open, and who works.
    case looked
    /// The first sweeper has swept, and spared the packs for the sake of the second snapshot.
    case spared
    /// The second snapshot is forgotten.
    case freed
    /// The second sweeper has marked, and found the packs unneeded.
    case marked
    /// A third snapshot leans on them: their generation is done, and they are there.
    case relied
}

/// Six actors, each of whom waits for the others' cues; how long each takes is drawn.
struct TwoSweepers {
    let world: World
    /// Whether the second sweeper goes by the sweep that is in the store, as the protocol has it.
    let isFair: Bool

    func cast(_ add: Scene.Add) {
        var source = SimulatedSource(name: "shared", variety: world.truth.variety)
        source.live(&world.dice)
        castWriters(add, source)
        add("forgetter", Disguise()) { stage in
            stage.wait(for: .leaning)
            stage.forgetAll()
            stage.give(.forgotten)
            stage.wait(for: .spared)
            stage.forgetAll()
            stage.give(.freed)
        }
        add("collector", Disguise()) { stage in
            stage.wait(for: .forgotten)
            stage.sweepOrCondemn(.admin)
            stage.give(.condemned)
            stage.wait(for: .looked)
            stage.sweepOrCondemn(.admin)
            stage.give(.spared)
        }
        let second = SecondSweeper(isFair: isFair)
        // After the grace.
        let minutes = world.dice.within(25 * 60...60 * 60)
        add("collector", second) { stage in
            stage.wait(for: .condemned)
            stage.wait(for: .committed)
            stage.sleep(minutes: minutes)
            stage.sweepOrCondemn(.maintainer) { second.isSweeping = true }
        }
    }

    private func castWriters(_ add: Scene.Add, _ source: SimulatedSource) {
        let minutes = (0..<2).map { _ in world.dice.within(0...90) }
        add("writer", Disguise()) { stage in
            stage.store(source)
            stage.give(.saved)
        }
        add("writer", CommitterOnCue()) { stage in
            stage.wait(for: .saved)
            stage.sleep(minutes: minutes[0])
            stage.store(source)
            stage.give(.committed)
        }
        add("writer", Disguise()) { stage in
            stage.wait(for: .marked)
            stage.sleep(minutes: minutes[1])
            stage.store(source)
            stage.give(.relied)
        }
    }
}

extension Stage {
    fileprivate func wait(for cue: Cue) { store.scheduler.stand(actor, until: cue) }

    fileprivate func give(_ cue: Cue) { store.scheduler.give(cue) }

    /// One backup of the source as it stands.
    fileprivate func store(_ source: SimulatedSource) {
        attempt("backups") { () throws(HoldfastError) in
            let backup = try SimulatedBackup(try open(.writer), source, store, mutation)
            backup.goesAtOnce = true
            defer { backup.close() }
            try backup.run(source, parent: SimulatedSource(name: source.name, variety: source.variety))
        }
    }

    /// One collection without the oddities of others.
    fileprivate func sweepOrCondemn(_ key: SimulatedKey, _ willRun: () -> Void = {}) {
        attempt("collections") { () throws(HoldfastError) in
            var options = PruneOptions()
            options.maximumUnused = 100
            let collector = try Collector(try open(key), options: options)
            let plan = try collector.plan()
            willRun()
            let report = try collector.run(plan)
            world.tell("\(actor.name) collected: \(report)")
        }
    }
}

/// A writer who stands still between its last look at gc/ and its commit, until what it leans on is condemned.
private final class CommitterOnCue: Disguise, @unchecked Sendable {
    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard call == "put", name.hasPrefix(ObjectNames.snapshots) else { return }
        store.scheduler.give(.leaning)
        store.scheduler.stand(store.actor, until: .condemned)
    }
}

/// A collector that is away before it lists the snapshots and again before it puts its sweep; and that then, unless it
/// plays fair, goes by its own sweep, whoever put one first.
private final class SecondSweeper: Disguise, @unchecked Sendable {
    let isFair: Bool
    /// Set when the plan is made: the next listing of snapshots is the sweep's.
    var isSweeping = false
    private var own: [ObjectKey: [UInt8]] = [:]

    init(isFair: Bool) { self.isFair = isFair }

    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard isSweeping else { return }
        if call == "list", name == ObjectNames.snapshots {
            store.scheduler.give(.looked)
            store.scheduler.stand(store.actor, until: .freed)
        } else if call == "put", name.hasPrefix(ObjectNames.collections), name.hasSuffix(".sweep") {
            if let key = ObjectKey(name), store.world.object(key) != nil { store.world.truth.count("second sweeps") }
            store.scheduler.give(.marked)
            store.scheduler.stand(store.actor, until: .relied)
        }
    }

    override func put(_ key: ObjectKey, _ bytes: [UInt8]) throws(HoldfastError) -> [UInt8]? {
        if !isFair, key.path.hasPrefix(ObjectNames.collections), key.path.hasSuffix(".sweep") { own[key] = bytes }
        return bytes
    }

    override func get(_ key: ObjectKey, _ bytes: [UInt8]) -> [UInt8] { own[key] ?? bytes }

    override func list(_ prefix: String, _ found: [ObjectInfo]) -> [ObjectInfo] {
        // Its own sweep is not done, whatever others say.
        guard prefix == ObjectNames.collections, !own.isEmpty else { return found }
        return found.filter { info in
            !own.keys.contains { info.key.path == $0.path.replacing(".sweep", with: ".done") }
        }
    }
}
