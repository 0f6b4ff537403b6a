// The search for runs that died, the same for the daemon and for who runs jobs without one.

import Primitives
import Scheduling
import State

/// Finds runs whose processes went away or were silent for too long, and marks them.
package struct Burial: Sendable {
    /// From SIGTERM to SIGKILL for what such runs left behind.
    private static let grace = Duration.seconds(2)

    /// For so long an end that cannot be read keeps its run from being taken for dead.
    package static let patience = Duration.seconds(86_400)

    /// How long a run is held without a sign of life.
    package static let lease = Duration.seconds(60)
    /// So long after its lease ran out a process that is there still counts as going on with its run, and for a lease
    /// after the store could be written again.
    package static let silence = Duration.seconds(240)
    /// Longer than it takes a process to renew its lease when the store can be written again.
    private static let renewal = Duration.seconds(3)

    private let store: any RunStore & AlertStore
    private let spool: OutcomeSpool
    private let host: String
    private let clock: any Clock

    package init(_ store: any RunStore & AlertStore, _ spool: OutcomeSpool, host: String, clock: any Clock) {
        self.store = store
        self.spool = spool
        self.host = host
        self.clock = clock
    }

    /// - Parameters:
    ///   - own: Runs whose processes the caller watches itself.
    ///   - since: Since when the caller can write the store, by the uptime; nil when it does not know.
    /// - Returns: The runs that were marked. What they left running on this host has been ended.
    /// - Throws: What the store throws. Nothing is marked while an end that was read cannot be written into it; a run
    ///   whose own end cannot be read is not marked for ``patience``.
    package func run(
        sparing own: Set<RunKey> = [], writableSince since: Duration? = nil
    ) throws(HoldfastError) -> [DeadRun] {
        // Who is gone is looked at first: what it has put beside the store is there by now.
        let gone = try store.active().compactMap { run -> RunHolder? in
            guard case .running(let holder, _) = run.phase, !own.contains(run.key) else { return nil }
            return HolderProcess.isGone(holder, host: host) ? holder : nil
        }
        return try bury(gone: gone, sparing: own, writableSince: since)
    }

    /// Marks the runs of these holders, whose processes are known to be gone, and those that were silent for too long.
    /// Otherwise as ``run(sparing:writableSince:)``.
    package func bury(
        gone: [RunHolder], sparing own: Set<RunKey>, writableSince since: Duration?
    ) throws(HoldfastError) -> [DeadRun] {
        guard let hidden = try takeIn() else { return [] }
        let spared = hidden.union(try working(sparing: own, writableSince: since))
        var dead = try store.buryDead(gone: nil, sparing: spared, at: clock.now())
        for holder in gone { dead += try store.buryDead(gone: holder, sparing: spared, at: clock.now()) }
        for run in dead where run.holder.host == host {
            let mark = RunMark.lines(run.key, fence: run.fence, of: store.identity)
            Descendants.end(marked: mark, grace: Self.grace, clock: clock)
        }
        return dead
    }

    /// Tokens of runs whose leases ran out while their processes go on with them on this host. They could not renew
    /// them while the store was locked or full, as nobody could write it, and they will now.
    private func working(
        sparing own: Set<RunKey>, writableSince since: Duration?
    ) throws(HoldfastError) -> Set<Int64> {
        func look() throws(HoldfastError) -> [(fence: Int64, silence: Duration)] {
            try store.active().compactMap { run in
                guard case .running(let holder, let fence) = run.phase, let silence = run.silence else { return nil }
                let isWorking =
                    own.contains(run.key)
                    ? !HolderProcess.isStopped(holder, host: host) : HolderProcess.isWorking(holder, host: host)
                return isWorking ? (fence, silence) : nil
            }
        }
        var found = try look()
        if since == nil, found.contains(where: { $0.silence >= Self.silence }) {
            // Who has just begun may be faster than they are, when the store was locked for long.
            clock.sleep(for: Self.renewal, unless: Cancellation())
            found = try look()
        }
        let isNew = since.map { clock.uptime() - $0 < Self.lease } ?? false
        return Set(found.filter { isNew || $0.silence < Self.silence }.map(\.fence))
    }

    /// Takes in the ends that are beside the store. Alerts tell of those that cannot be read, for as long as they are
    /// there; after ``patience`` they are set aside.
    ///
    /// - Returns: The tokens of runs that may have ended all the same; nil when those may be all.
    package func takeIn() throws(HoldfastError) -> Set<Int64>? {
        let look = try spool.absorb(into: store, at: clock.now())
        let known = try store.alerts(all: false).filter { OutcomeAlert.name(of: $0.key) != nil }
        var hidden = look.hidden
        for file in look.unreadable {
            let key = OutcomeAlert.key(file.name)
            let since = known.first { $0.key == key }?.since
            guard let since, clock.now().since(since) > Self.patience else {
                _ = try store.fire(key, .critical, "the end of a run cannot be read: \(file.reason)", at: clock.now())
                continue
            }
            let isAside = spool.setAside(file.path, file.reason)
            // It stands in nobody's way where it is, if it cannot be moved.
            if !isAside, let token = Int64(file.name) { hidden.remove(token) }
            _ = try store.fire(
                key, .critical,
                "the end of a run could not be read for a day, and the run counts as died: \(file.reason)",
                at: clock.now())
        }
        if let failure = look.failure {
            _ = try store.fire(
                OutcomeAlert.all, .critical, "ends of runs cannot be read: \(failure)", at: clock.now())
            return nil
        }
        for alert in known {
            guard let name = OutcomeAlert.name(of: alert.key), name.isEmpty || !spool.has(name) else { continue }
            _ = try store.resolve(alert.key, at: clock.now())
        }
        return hidden
    }
}

/// The alerts of ends of runs that cannot be read.
enum OutcomeAlert {
    private static let prefix = "outcome/"
    /// That of the directory.
    static let all = prefix

    static func key(_ name: String) -> String { prefix + name }

    /// The name of the file that an alert is about, empty for the directory; nil for other alerts.
    static func name(of key: String) -> String? {
        key.hasPrefix(prefix) ? String(key.dropFirst(prefix.count)) : nil
    }
}

/// What processes of a run have in their environments, also those that left its process group.
package enum RunMark {
    package static let run = "HOLDFAST_RUN"
    package static let fence = "HOLDFAST_FENCE"
    /// Of a run whose end says what its check found: the check need not say so itself.
    package static let check = "HOLDFAST_CHECK"

    /// Of two states with the same jobs the same run has the same token.
    package static let state = "HOLDFAST_STATE"

    /// - Parameter identity: That of the store (``RunStore/identity``).
    package static func lines(_ key: RunKey, fence token: Int64, of identity: Int64) -> [String] {
        ["\(run)=\(key)", "\(fence)=\(token)", "\(state)=\(identity)"]
    }
}
