// Histories of writers, readers, collectors and the rest, drawn from seeds and judged; and mutations of the protocol,
// each of which must be caught.

import Simulation
import Testing

@Suite("Simulated histories")
struct HistoryTests {
    /// As many as half a minute allows on a busy machine; scripts/soak runs more.
    private static let histories: UInt64 = 24

    @Test("histories keep every promise on every class of store", arguments: StoreKind.allCases)
    func promises(_ kind: StoreKind) throws {
        let simulator = try Simulator()
        var commits = 0
        for seed in 1...Self.histories {
            let report = simulator.run(seed: seed, kind: kind)
            #expect(report.violations.isEmpty, "seed \(seed) on a \(kind.rawValue) store")
            commits += report.counts["commits"] ?? 0
        }
        #expect(commits > 20, "the histories do too little to mean anything")
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
        let simulator = try Simulator()
        for seed in mutation.seeds {
            if !simulator.run(seed: seed, kind: .strict, mutation: mutation).violations.isEmpty { return }
        }
        Issue.record("\(mutation.rawValue) was not caught with seeds \(mutation.seeds)")
    }
}
