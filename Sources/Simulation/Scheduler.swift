// One actor runs at a time; at every call to the store the baton may pass to another.

import ObjectStore
import Primitives
import Repository

/// One thread of a history.
///
/// Thread: touched by whoever holds the baton.
package final class Actor: @unchecked Sendable {
    // Sendable: as World.
    let name: String
    let due = DueWork()
    let gate = Monitor(false)
    /// How much the actor's wall clock is ahead of the store's.
    var skew: Duration
    var wakeAt: Timestamp?
    /// A put of such a name wakes the actor early.
    var wakesOn: String?
    /// What every sleep of this actor ends by, where a mutation needs it.
    var awaits: String?
    /// Whether the last sleep ended by such a put.
    var wasWoken = false
    var isDead = false
    var isDone = false
    var isRenewing = false
    /// What a staged sleep of this actor ends by.
    var cue: Cue?
    /// Calls to the store so far, and the one at which the actor's machine stops for good.
    var calls = 0
    var crashAt: Int?
    /// Judges are not interrupted and nothing fails for them.
    var isQuiet = false

    init(_ name: String, skew: Duration = .zero) {
        self.name = name
        self.skew = skew
    }
}

/// Hands the baton over, by chance drawn from the world's seed.
final class Scheduler: @unchecked Sendable {
    // Sendable: as World; `finished` is a lock of its own.
    /// A history with more calls is cut short: everyone crashes.
    static let maximumCalls = 12_000

    let world: World
    private var actors: [Actor] = []
    private let finished = Monitor(false)

    init(_ world: World) {
        self.world = world
        world.onPut = { [unowned self] key in wake(on: key) }
    }

    /// Runs each body on a thread of its own until all have returned.
    func run(_ programs: [(actor: Actor, body: @Sendable () -> Void)]) {
        actors = programs.map(\.actor)
        let threads = programs.map { program in
            JoinableThread {
                program.actor.gate.wait { $0 ? () : nil }
                program.body()
                program.actor.isDone = true
                self.hand(from: program.actor)
            }
        }
        guard let first = choose(after: nil) else { return }
        open(first)
        finished.wait { $0 ? () : nil }
        for thread in threads { thread?.join() }
    }

    /// Lets others run before the actor's next call; returns when it is its turn again.
    func pass(_ actor: Actor) {
        if actor.isQuiet { return }
        world.advance(by: .milliseconds(world.dice.chance(1000) ? 2000 : 40))
        if world.calls > Self.maximumCalls { for actor in actors { actor.isDead = true } }
        hand(from: actor)
    }

    /// How long nobody but `actor` has anything to do; zero when someone is ready.
    func quietTime(beside actor: Actor) -> Duration {
        var first = Timestamp(nanoseconds: .max)
        for other in actors where other !== actor && !other.isDone {
            guard !other.isDead, let wakeAt = other.wakeAt else { return .zero }
            first = min(first, wakeAt)
        }
        return first > world.now ? first.since(world.now) : .zero
    }

    /// Lets the actor stand still for `duration`, or until a name with `suffix` is put.
    func stand(_ actor: Actor, for duration: Duration, orUntil suffix: String? = nil) {
        if actor.isQuiet { return world.advance(by: duration) }
        actor.wakeAt = world.now + duration
        actor.wakesOn = suffix
        actor.wasWoken = false
        hand(from: actor)
    }

    /// Lets the actor stand still until the cue is given, or for so long that the scene has failed.
    func stand(_ actor: Actor, until cue: Cue) {
        if world.truth.cues.contains(cue) { return }
        actor.cue = cue
        stand(actor, for: .seconds(20 * 86_400))
        actor.cue = nil
    }

    /// Wakes whoever waits for `cue`, now or later.
    func give(_ cue: Cue) {
        world.truth.cues.insert(cue)
        for actor in actors where actor.cue == cue { actor.wakeAt = world.now }
    }

    private func hand(from actor: Actor) {
        guard let next = choose(after: actor) else {
            finished.withLock { $0 = true }
            return
        }
        if next === actor { return }
        actor.gate.withLock { $0 = false }
        open(next)
        if !actor.isDone { actor.gate.wait { $0 ? () : nil } }
    }

    private func open(_ actor: Actor) { actor.gate.withLock { $0 = true } }

    private func choose(after actor: Actor?) -> Actor? {
        let left = actors.filter { !$0.isDone }
        if left.isEmpty { return nil }
        func isReady(_ actor: Actor) -> Bool { actor.isDead || actor.wakeAt.map { $0 <= world.now } ?? true }
        var ready = left.filter(isReady)
        if ready.isEmpty {
            if let first = left.compactMap(\.wakeAt).min() { world.advance(to: first) }
            ready = left.filter(isReady)
        }
        let next: Actor?
        if let actor, ready.contains(where: { $0 === actor }), world.dice.chance(world.traits.stickiness) {
            next = actor
        } else {
            next = world.dice.pick(ready)
        }
        next?.wakeAt = nil
        next?.wakesOn = nil
        return next
    }

    private func wake(on key: ObjectKey) {
        for actor in actors {
            if let suffix = actor.wakesOn, key.path.hasPrefix("gc/"), key.path.hasSuffix(suffix) {
                actor.wakeAt = world.now
                actor.wasWoken = true
            }
        }
    }
}
