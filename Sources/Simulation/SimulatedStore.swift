// An actor's view of the simulated store, and of time.

import ObjectStore
import Primitives
import Repository

/// The store as one actor reaches it: every call may be the one at which others run, or something goes wrong.
package final class SimulatedStore: ObjectStore {
    let world: World
    let scheduler: Scheduler
    let actor: Actor
    let disguise: Disguise

    init(_ scheduler: Scheduler, _ actor: Actor, disguise: Disguise = Disguise()) {
        self.scheduler = scheduler
        self.actor = actor
        self.disguise = disguise
        world = scheduler.world
    }

    package var capabilities: StoreCapabilities {
        StoreCapabilities(
            createsIfAbsent: world.traits.createsIfAbsent, concurrency: 1, coalescingGap: .kibi(64))
    }
    package let location = "simulated:"

    package func putIfAbsent(_ key: ObjectKey, _ bytes: RawSpan) throws(HoldfastError) {
        let copy = bytes.withUnsafeBytes { [UInt8]($0) }
        try enter("put", key.path)
        guard let copy = try disguise.put(key, copy) else { return }
        if let there = world.object(key) {
            guard there.bytes == copy else {
                if key.path.hasPrefix(ObjectNames.collections) { world.truth.count("rival steps") }
                throw HoldfastError(.objectExists, "\(key) is taken by other bytes", hint: "Run `holdfast check`.")
            }
            return try leave()
        }
        // Without create-if-absent others may come between the look and the write.
        if !world.traits.createsIfAbsent {
            world.truth.count("unguarded puts")
            try enter("write", key.path)
        }
        world.put(key, copy)
        try leave()
    }

    package func get(_ key: ObjectKey, limit: ByteCount) throws(HoldfastError) -> [UInt8] {
        try enter("get", key.path)
        let bytes = try object(key)
        guard UInt64(bytes.count) <= limit.bytes else {
            throw HoldfastError(.limitExceeded, "\(key) is too large", hint: "Run `holdfast check`.")
        }
        return disguise.get(key, bytes)
    }

    package func read(
        _ key: ObjectKey, at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer
    ) throws(HoldfastError) {
        try enter("read", key.path)
        let bytes = try object(key)
        guard Int(offset) + buffer.count <= bytes.count else {
            throw HoldfastError(.corruptObject, "\(key) is too short", hint: "Run `holdfast check`.")
        }
        bytes.withUnsafeBytes { raw in
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[Int(offset)..<Int(offset) + buffer.count]))
        }
    }

    package func info(_ key: ObjectKey) throws(HoldfastError) -> ObjectInfo? {
        try enter("info", key.path)
        return world.object(key).map {
            ObjectInfo(key: key, size: UInt64($0.bytes.count), modified: $0.modified)
        }
    }

    package func list(
        _ prefix: String, _ visit: (ObjectInfo) throws(HoldfastError) -> Void
    ) throws(HoldfastError) {
        try enter("list", prefix)
        var found = disguise.list(prefix, world.list(prefix))
        if world.traits.splitsListings, !actor.isQuiet { world.dice.shuffle(&found) }
        let isSplit = world.traits.splitsListings && found.count > 1 && !actor.isQuiet && world.dice.chance(2000)
        let first = isSplit ? world.dice.below(found.count) : found.count
        if found.count > 1, world.traits.splitsListings { world.truth.count("reordered listings") }
        if isSplit { world.truth.count("split listings") }
        for info in found[..<first] { try visit(info) }
        guard isSplit else { return }
        // The names of the second half are looked up when their turn comes, as pages of a listing are.
        let seen = Set(found[..<first].map(\.key))
        let later = Set(found[first...].map(\.key))
        try enter("more", prefix)
        for info in disguise.list(prefix, world.list(prefix)) where later.contains(info.key) && !seen.contains(info.key)
        {
            try visit(info)
        }
    }

    package func delete(_ key: ObjectKey) throws(HoldfastError) {
        try enter("delete", key.path)
        try world.delete(key)
        try leave()
    }

    package func time() throws(HoldfastError) -> Timestamp {
        try enter("time", "")
        return world.now
    }

    package func releaseReserve() throws(HoldfastError) {}

    private func object(_ key: ObjectKey) throws(HoldfastError) -> [UInt8] {
        guard let object = world.object(key) else {
            throw HoldfastError(.objectMissing, "\(key) is not in the store", hint: "Run `holdfast check`.")
        }
        return object.bytes
    }

    // MARK: - Chance

    private static let dead = HoldfastError(.interrupted, "the machine stopped", hint: "Start it again.")

    private func enter(_ call: String, _ name: String) throws(HoldfastError) {
        if actor.isDead { throw Self.dead }
        renewIfDue()
        actor.calls += 1
        if actor.calls == actor.crashAt { try crash() }
        world.note(actor.name, call, name)
        disguise.willCall(call, name, self)
        scheduler.pass(actor)
        if actor.isDead { throw Self.dead }
        if actor.isQuiet { return }
        if world.dice.chance(world.traits.freezes) { freeze() }
        if actor.isDead { throw Self.dead }
        if world.dice.chance(world.traits.crashes) { try crash() }
        if world.dice.chance(world.traits.failures) {
            world.truth.count("failed calls")
            world.tell("\(actor.name): failed")
            throw HoldfastError(.storeUnavailable, "the call failed", hint: "Try again.", retry: .later)
        }
    }

    private func leave() throws(HoldfastError) {
        if actor.isQuiet { return }
        if world.dice.chance(world.traits.crashes) { try crash() }
        if world.dice.chance(world.traits.lostAnswers) {
            world.truth.count("lost answers")
            world.tell("\(actor.name): the answer was lost")
            throw HoldfastError(.storeUnavailable, "the answer was lost", hint: "Try again.", retry: .later)
        }
    }

    private func crash() throws(HoldfastError) {
        actor.isDead = true
        world.truth.count("crashes")
        world.tell("\(actor.name) crashed")
        throw Self.dead
    }

    private func freeze() {
        world.truth.count("freezes")
        let hours: [Int64] = [1, 3, 13, 23, 25, 49, 120]
        var duration = Duration.seconds(1860)
        var event: String?
        switch world.dice.below(10) {
        case 0: duration = .seconds(31 * 86_400)
        case 1...3:
            event = world.dice.pick([".sweep", ".done", ""])
            duration = .seconds(3 * 86_400)
        case 4...8: duration = .seconds(3600 * (world.dice.pick(hours) ?? 1) + 120)
        default: break
        }
        if let awaited = actor.awaits { (event, duration) = (awaited, .seconds(4 * 86_400)) }
        world.tell("\(actor.name) freezes for \(duration)" + (event.map { " or until gc/*\($0)" } ?? ""))
        let begun = world.now
        scheduler.stand(actor, for: duration, orUntil: event)
        if !actor.isDead, actor.due.isDue(at: world.uptime), world.now.since(begun) > LeaseTimes.expiry {
            world.truth.count("leases slept through")
        }
    }

    /// Renewals come when they are due or, as on a busy machine, a few calls later.
    private func renewIfDue() {
        guard !actor.isRenewing, !actor.isQuiet, actor.due.isDue(at: world.uptime), world.dice.chance(5000)
        else { return }
        actor.isRenewing = true
        actor.due.run(at: world.uptime)
        actor.isRenewing = false
    }

    /// Waits as a busy program does, renewing its leases; now and then only until a step of a collection is put.
    ///
    /// While everyone sleeps nobody looks at leases, so that renewals in between are left out.
    func wait(_ duration: Duration) {
        let end = world.now + duration
        let drawn = world.dice.chance(3000) ? world.dice.pick([".sweep", ".done", ""]) : nil
        let event = actor.awaits ?? drawn
        while world.now < end, !actor.isDead {
            let nap = max(.seconds(world.dice.within(240...1780)), scheduler.quietTime(beside: actor) - .seconds(60))
            scheduler.stand(actor, for: min(nap, end.since(world.now)), orUntil: event)
            if actor.wasWoken { return }
            if world.dice.chance(200) { actor.skew += .seconds(world.dice.within(-7200...7200)) }
            guard !actor.isDead, !actor.isRenewing, actor.due.isDue(at: world.uptime) else { continue }
            actor.isRenewing = true
            actor.due.run(at: world.uptime)
            actor.isRenewing = false
        }
    }
}

/// An actor's clock: the store's, put forward or back. Safety may not rest on it.
final class SimulatedClock: Clock {
    private let scheduler: Scheduler
    private let actor: Actor

    init(_ scheduler: Scheduler, _ actor: Actor) {
        self.scheduler = scheduler
        self.actor = actor
    }

    func now() -> Timestamp { scheduler.world.now + actor.skew }
    func uptime() -> Duration { scheduler.world.uptime }
    func sleep(for duration: Duration, unless cancellation: Cancellation) {
        scheduler.stand(actor, for: duration)
    }
}
