// What follows from the figures of a drill: achieved RPO, and objectives that were missed.

import Primitives
import Repository
import TestSupport
import Testing

@testable import Recovery

@Suite("The figures of a drill")
struct DrillFigureTests {
    private static func at(_ second: Int64) -> Timestamp { Timestamp(seconds: 1_800_000_000 + second) }

    private func record(_ members: [EvidenceMember]) throws -> EvidenceRecord {
        let id = try ULID(at: Self.at(0), entropy: SeededEntropy(seed: 1))
        var record = EvidenceRecord(
            id: id, kind: .drill, occasion: .manual, verdict: .passed, operator: "o", toolVersion: "1", runID: id,
            started: Self.at(0), finished: Self.at(100),
            environment: EvidenceEnvironment(host: "h", target: "t", network: "", account: "", isSegregated: false))
        record.members = members
        record.failedAt = Self.at(0)
        return record
    }

    private func member(_ name: String, took seconds: Int = 1, after: [String] = []) -> EvidenceMember {
        var member = EvidenceMember(
            name: name, source: name, workload: "files", selection: "latest", verdict: .passed)
        member.rtoMeasured = .seconds(seconds)
        member.after = after
        return member
    }

    @Test(
        "have no achieved RPO where the clocks contradict each other, and say so",
        arguments: [(-60, -50, nil, true), (10, -50, nil, false), (-60, 30, nil, false), (-60, -50, 30, false)]
            as [(Int64, Int64, Int64?, Bool)])
    func clocks(asOf: Int64, durable: Int64, newest: Int64?, isSound: Bool) throws {
        var one = member("a")
        one.consistentAsOf = Self.at(asOf)
        one.durableAt = Self.at(durable)
        one.newestData = newest.map { Self.at($0) }
        var record = try record([one])
        record.measure(DrillPlan(name: "", systems: []))
        #expect((record.rpoAchieved == .seconds(60)) == isSound && (record.rpoAchieved == nil) == !isSound)
        #expect(record.misses.contains { $0.message.contains("clock") } == !isSound, "\(record.misses)")
    }

    @Test("count what was lost back to the newest beat that was read, when there is one")
    func beats() throws {
        var one = member("a")
        one.consistentAsOf = Self.at(-60)
        one.durableAt = Self.at(-50)
        one.newestData = Self.at(-90)
        var record = try record([one])
        record.measure(DrillPlan(name: "", systems: []))
        #expect(record.members[0].rpoAchieved == .seconds(90) && record.rpoAchieved == .seconds(90))
    }

    @Test("hold a system to the time at which it is there, with all that it waits for")
    func dependents() throws {
        var late = member("b", took: 2, after: ["a"])
        late.rtoObjective = .seconds(5)
        var free = member("c", took: 4)
        free.rtoObjective = .seconds(5)
        var record = try record([member("a", took: 4), late, free])
        record.measure(DrillPlan(name: "", systems: []))
        #expect(record.misses.map(\.object) == ["b"], "\(record.misses)")
        #expect(record.misses.first?.message.contains("6s") == true, "\(record.misses)")
        #expect(record.members[1].facts["plan.ready.seconds"] == "6.0")
    }

    @Test("grow in the proportion of the snapshots, whatever sizes a writer claims", arguments: [4000, UInt64.max])
    func fullSizes(full: UInt64) throws {
        var one = member("a")
        one.storedBytes = 100
        one.logicalBytes = 1000
        one.facts["snapshot.bytes"] = "1000"
        one.facts["full.bytes"] = String(full)
        let sizes = try #require(one.fullSizes)
        #expect(sizes.storedBytes == (full == 4000 ? 400 : UInt64(1844674407370955264)))
        #expect(sizes.logicalBytes == (full == 4000 ? 4000 : .max))
    }
}
