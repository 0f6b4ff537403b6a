// Casts for mutations that do harm only when steps of several actors meet: who acts when is given, the rest is drawn.

import ObjectStore
import Primitives
import Repository

/// The scene of a mutation: a snapshot whose packs are given up, a writer who leans on them, and collectors.
struct Scene {
    let mutation: Mutation
    let world: World

    static func covers(_ mutation: Mutation?) -> Bool {
        switch mutation {
        case .ignoresKeep, .noFence, .listsBeforeLease: true
        default: false
        }
    }

    typealias Add = (String, Disguise, @escaping @Sendable (Stage) -> Void) -> Void

    func cast(_ add: Add) {
        let minutes = world.dice.within(0...20)
        add("first", Disguise()) { stage in stage.commitAndForget(afterMinutes: 60 + minutes) }
        let disguise: Disguise
        switch mutation {
        case .ignoresKeep: disguise = Keepless()
        case .noFence: disguise = LateCommitter()
        case .listsBeforeLease: disguise = EarlyLister(world)
        default: disguise = Disguise()
        }
        let start = world.dice.within(20...40)
        add("writer", disguise) { stage in
            stage.sleep(minutes: start)
            stage.write(.writer, source: "shared", rounds: 1)
        }
        let rounds = world.dice.within(5...7)
        add("collector", collector()) { stage in
            stage.sleep(minutes: 120)
            stage.collect(.admin, rounds: rounds)
        }
    }

    private func collector() -> Disguise {
        switch mutation {
        case .noFence: Fenceless()
        case .listsBeforeLease: SlowDeleter()
        default: Disguise()
        }
    }
}

extension Stage {
    func sleep(minutes: Int) {
        store.scheduler.stand(actor, for: .seconds(minutes * 60))
    }

    /// Commits a snapshot of what the others have too, and forgets it.
    fileprivate func commitAndForget(afterMinutes minutes: Int) {
        write(.writer, source: "shared", rounds: 1)
        let left = Duration.seconds(minutes * 60) - world.uptime
        if left > .zero { store.scheduler.stand(actor, for: left) }
        forgetAll()
    }

    /// Forgets every snapshot that is listed.
    func forgetAll() {
        attempt("forgets") { () throws(HoldfastError) in
            for snapshot in try open(.admin).snapshots().snapshots {
                world.truth.forgotten.insert(snapshot.id)
                try store.delete(ObjectNames.snapshot(snapshot.tag, snapshot.id))
            }
        }
    }
}

/// A writer who stands still between its last look at gc/ and its commit, until a sweep.
final class LateCommitter: Disguise, @unchecked Sendable {
    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard call == "put", name.hasPrefix(ObjectNames.snapshots) else { return }
        store.scheduler.stand(store.actor, for: .seconds(4 * 86_400), orUntil: ".sweep")
    }
}

/// A collector who is slow between its sweep and its deletes.
final class SlowDeleter: Disguise, @unchecked Sendable {
    private var wasSlow = false

    override func willCall(_ call: String, _ name: String, _ store: SimulatedStore) {
        guard call == "delete", name.hasPrefix(ObjectNames.packs), !wasSlow else { return }
        wasSlow = true
        store.scheduler.stand(store.actor, for: .seconds(2 * 3600))
    }
}
