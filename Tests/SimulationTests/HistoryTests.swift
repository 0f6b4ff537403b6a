// Histories of writers, readers, collectors and the rest, drawn from seeds and judged.

import Simulation
import Testing

@Suite("Simulated histories")
struct HistoryTests {
    @Test("histories keep every promise")
    func promises() throws {
        let simulator = try Simulator()
        for seed in 0..<50 as Range<UInt64> {
            let report = simulator.run(seed: seed)
            #expect(report.violations.isEmpty, "seed \(seed): \(report.violations)")
        }
    }
}
