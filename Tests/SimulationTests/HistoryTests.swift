// Histories of writers, readers, collectors and the rest, drawn from seeds and judged; crashes at every call; and
// mutations of the protocol, each of which must be caught.

import Simulation
import Testing

@Suite("Simulated histories")
struct HistoryTests {
    /// Of each class of store; scripts/test runs 3,000 more in a release build, and scripts/soak as many as are asked.
    private static let histories: UInt64 = 40

    /// What must really have happened in the short run, so that it can't be hollow.
    private static let circumstances = [
        "backups", "backups refused: lease-lost", "collections", "commits", "crashes", "exclusive prunes",
        "failed calls", "fences", "forgets", "forgets refused: usage", "freezes", "ghosts", "hidden names", "holds",
        "late deletes", "leases slept through", "losses reported", "lost answers", "lost packs", "merges",
        "refused deletes", "reordered listings", "repacks", "restores with a lease", "restores without a lease",
        "rival steps", "rotations", "rotten packs", "skewed clocks", "split listings", "sweeps", "two collectors",
        "unguarded puts",
    ]

    @Test("histories keep every promise on every class of store, and every kind of fault occurs in them")
    func promises() throws {
        let simulator = try Simulator()
        var counts: [String: Int] = [:]
        for kind in StoreKind.allCases {
            for seed in 1...Self.histories {
                let report = simulator.run(seed: seed, kind: kind)
                #expect(report.violations.isEmpty, "seed \(seed) on a \(kind.rawValue) store")
                for (what, count) in report.counts { counts[what, default: 0] += count }
            }
        }
        for what in Self.circumstances {
            #expect(counts[what, default: 0] > 0, "the histories had no \(what)")
        }
    }

    /// In four parts that run side by side.
    @Test("a crash of anyone at any call breaks no promise", arguments: 0..<4)
    func crashes(part: Int) throws {
        let kind = StoreKind.strict
        let simulator = try Simulator()
        // The first seed whose history holds every step that there is to crash in.
        let steps = ["commits", "forgets", "merges", "repacks", "rotations", "sweeps"]
        var chosen: (seed: UInt64, whole: HistoryReport)?
        for seed in 300...500 as ClosedRange<UInt64> where chosen == nil {
            let whole = simulator.run(seed: seed, kind: kind, crash: CrashPoint(actor: 0, call: 0))
            #expect(whole.violations.isEmpty, "seed \(seed)")
            let holdsAll = steps.allSatisfy { whole.counts[$0, default: 0] > 0 } && whole.callsOfActors.count >= 4
            if holdsAll { chosen = (seed, whole) }
        }
        let (seed, whole) = try #require(chosen, "no history holds every step")
        for (actor, calls) in whole.callsOfActors.enumerated() where calls > 0 {
            for call in 1...calls where call % 4 == part {
                let report = simulator.run(seed: seed, kind: kind, crash: CrashPoint(actor: actor, call: call))
                #expect(report.violations.isEmpty, "seed \(seed) on a \(kind.rawValue) store, \(actor) at call \(call)")
                #expect(report.counts["crashes"] == 1, "seed \(seed): actor \(actor) did not crash at call \(call)")
            }
        }
    }

    @Test("a history is the same each time")
    func determinism() throws {
        let simulator = try Simulator()
        for seed in [3, 11] as [UInt64] {
            let first = simulator.run(seed: seed)
            let second = simulator.run(seed: seed)
            #expect(first.digest == second.digest && first.calls == second.calls, "seed \(seed)")
        }
    }

    @Test("a protocol that is played wrongly is caught", arguments: Mutation.allCases)
    func mutations(_ mutation: Mutation) throws {
        // The rarest, a base that is trusted wrongly, is caught in a twentieth of the seeds, so that 200 miss it once
        // in 28,000 times; two sweepers are caught with every seed, for which there is a test of its own.
        let seeds: ClosedRange<UInt64> = 1...200
        let simulator = try Simulator()
        for seed in seeds {
            if !simulator.run(seed: seed, kind: .strict, mutation: mutation).violations.isEmpty { return }
        }
        Issue.record("\(mutation.rawValue) was not caught with seeds \(seeds)")
    }

    @Test("of two sweepers of one generation the second harms nothing while it goes by the sweep of the first")
    func twoSweepers() throws {
        let simulator = try Simulator()
        for seed in 1...20 as ClosedRange<UInt64> {
            let fair = simulator.run(seed: seed, kind: .strict, mutation: .twoSweepers, isFair: true)
            #expect(fair.violations.isEmpty && fair.counts["second sweeps"] == 1, "seed \(seed)")
            let foul = simulator.run(seed: seed, kind: .strict, mutation: .twoSweepers)
            #expect(foul.violations.contains { $0.contains("does not restore") }, "seed \(seed)")
            #expect(foul.counts["second sweeps"] == 1, "seed \(seed)")
        }
    }
}
