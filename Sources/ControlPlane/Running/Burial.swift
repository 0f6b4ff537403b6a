// The search for runs that died, the same for the daemon and for who runs jobs without one.

import Primitives
import Scheduling
import State

/// Finds runs whose processes went away or were silent for too long, and marks them.
package struct Burial: Sendable {
    /// From SIGTERM to SIGKILL for what such runs left behind.
    private static let grace = Duration.seconds(2)

    private let store: any RunStore
    private let spool: OutcomeSpool
    private let host: String
    private let clock: any Clock

    package init(_ store: any RunStore, _ spool: OutcomeSpool, host: String, clock: any Clock) {
        self.store = store
        self.spool = spool
        self.host = host
        self.clock = clock
    }

    /// - Parameter own: Runs whose processes the caller watches itself.
    /// - Returns: The runs that were marked. What they left running on this host has been ended.
    /// - Throws: What the store and the spool throw; nothing is marked while an end beside the store cannot be
    ///   taken in.
    package func run(sparing own: Set<RunKey> = []) throws(HoldfastError) -> [DeadRun] {
        // Who is gone is looked at first: what it has put beside the store is there by now.
        let gone = try store.active().compactMap { run -> RunHolder? in
            guard case .running(let holder, _) = run.phase, !own.contains(run.key) else { return nil }
            return HolderProcess.isGone(holder, host: host) ? holder : nil
        }
        _ = try spool.absorb(into: store)
        var dead = try store.buryDead(gone: nil, at: clock.now())
        for holder in gone { dead += try store.buryDead(gone: holder, at: clock.now()) }
        for run in dead where run.holder.host == host {
            let mark = RunMark.lines(run.key, fence: run.fence, of: store.identity)
            Descendants.end(marked: mark, grace: Self.grace, clock: clock)
        }
        return dead
    }
}

/// What is told of a run that died and is not started again, by whoever buries it.
package enum DeadRunAlert {
    package static func key(_ run: DeadRun) -> String { "job/\(run.key.job)/failed" }

    package static func text(_ run: DeadRun) -> String { "job \(run.key.job) died twice in its run \(run.key)" }
}

/// What processes of a run have in their environments, also those that left its process group.
package enum RunMark {
    package static let run = "HOLDFAST_RUN"
    package static let fence = "HOLDFAST_FENCE"

    /// Of two states with the same jobs the same run has the same token.
    package static let state = "HOLDFAST_STATE"

    /// - Parameter identity: That of the store (``RunStore/identity``).
    package static func lines(_ key: RunKey, fence token: Int64, of identity: Int64) -> [String] {
        ["\(run)=\(key)", "\(fence)=\(token)", "\(state)=\(identity)"]
    }
}
