// What kind of store and what kind of luck a history has.

import Primitives

/// How the simulated store behaves, and how often things go wrong; shares are in ten thousand calls.
package struct StoreTraits: Sendable {
    /// A put fails when the name is taken. Without it, a put looks first and then writes over.
    package var createsIfAbsent = true
    /// Listings may leave out what was put, and show what was deleted, for up to so long.
    package var listingLag = Duration.zero
    /// A delete may take effect so much later than it is acknowledged.
    package var deleteDelay = Duration.zero
    /// Packs and runs can't be deleted before they are so old.
    package var lock = Duration.zero
    /// A listing may be interrupted by others in its middle, and comes in any order.
    package var splitsListings = true

    /// Calls that fail without effect, and calls that take effect and fail.
    package var failures = 0
    package var lostAnswers = 0
    /// Calls at which the caller's machine stops for good, and those at which it stands still for long.
    package var crashes = 0
    package var freezes = 0
    /// How often the one who has called goes on, instead of another.
    package var stickiness = 7000

    package init() {}

    /// Draws the traits of a history.
    init(_ random: inout SimulatedRandom, _ kind: StoreKind) {
        stickiness = random.pick([2000, 7000, 9500, 9900]) ?? 7000
        if random.chance(6000) { freezes = random.pick([20, 60, 200]) ?? 0 }
        if random.chance(4000) { crashes = random.pick([5, 20, 60]) ?? 0 }
        if random.chance(3000) { failures = random.pick([10, 50]) ?? 0 }
        if random.chance(3000) { lostAnswers = random.pick([10, 50]) ?? 0 }
        switch kind {
        case .strict: break
        case .lagging: listingLag = .seconds(random.pick([30, 300]) ?? 30)
        case .lateDeletes: deleteDelay = .seconds(random.pick([60, 3600]) ?? 60)
        case .locking: lock = .seconds(86_400 * (random.pick([1, 3]) ?? 1))
        case .overwriting: createsIfAbsent = false
        }
    }
}

/// Classes of stores that histories are run on.
package enum StoreKind: String, Sendable, CaseIterable {
    case strict
    case lagging
    case lateDeletes = "late-deletes"
    case locking
    case overwriting
}
