// What the drills of a source come to.

import Primitives
import Repository
import Testing

@testable import Recovery

@Suite("The standing of a source by its drills")
struct DrillStandingTests {
    private static let noon = Timestamp(seconds: 1_800_000_000)
    private var noon: Timestamp { Self.noon }

    private func record(
        _ members: [(String, EvidenceVerdict)], at: Timestamp = noon, _ verdict: EvidenceVerdict = .passed
    ) -> EvidenceRecord {
        var record = EvidenceRecord(
            id: ULID(Bytes16()), kind: .drill, occasion: .manual, verdict: verdict, operator: "o", toolVersion: "0",
            runID: ULID(Bytes16()), started: at, finished: at,
            environment: EvidenceEnvironment(host: "h", target: "t", network: "n", account: "a", isSegregated: true))
        record.members = members.enumerated().map { place, member in
            EvidenceMember(
                name: "m\(place)", source: member.0, workload: "files", selection: "latest", verdict: member.1)
        }
        return record
    }

    private func shown(_ record: EvidenceRecord, stored: Timestamp = noon) -> ShownDrill? {
        ShownDrill(record, of: "shop", provenAt: record.finished, stored: stored)
    }

    @Test("is shown by what passed and what failed, and not by what was broken off, sabotaged or another's")
    func verdicts() {
        #expect(shown(record([("shop", .passed)]))?.verdict == .proven)
        #expect(shown(record([("shop", .passed), ("other", .failed)], .failed))?.verdict == .proven)
        #expect(shown(record([("shop", .failed)], .failed))?.verdict == .failed)
        #expect(shown(record([("shop", .passed), ("shop", .failed)], .failed))?.verdict == .failed)
        #expect(shown(record([("other", .passed)])) == nil)
        #expect(shown(record([("shop", .interrupted)], .interrupted)) == nil)
        #expect(shown(record([("shop", .passed)], .interrupted)) == nil)
        var sabotaged = record([("shop", .failed)], .failed)
        sabotaged.sabotage = "flip"
        #expect(shown(sabotaged) == nil)
    }

    @Test("is not proven by a drill that did not look at what is stored, nor by one whose common check failed")
    func unproven() {
        var partial = record([("shop", .passed)])
        partial.members[0].facts["proves"] = "nothing"
        #expect(shown(partial) == nil)
        var torn = record([("shop", .passed), ("other", .passed)], .failed)
        torn.checks = [
            EvidenceCheck(
                id: "c", member: "", kind: "reconciliation", statement: "", expected: "", actual: "", verdict: .failed,
                outputDigest: Bytes32(), outputBytes: 0)
        ]
        #expect(shown(torn)?.verdict == .unclear)
    }

    @Test("is not held down by a restore in an incident whose target refused, and is by one that found damage")
    func incidents() {
        var refused = record([("shop", .failed)], .failed)
        refused.kind = .incident
        #expect(shown(refused) == nil)
        var damaged = refused
        damaged.members[0].facts[PointDamage.fact] = PointDamage.copy.rawValue
        #expect(shown(damaged)?.verdict == .failed)
        var unsound = refused
        unsound.checks = [
            EvidenceCheck(
                id: "c", member: "m0", kind: "engine", statement: "integrity_check", expected: "", actual: "",
                verdict: .failed, outputDigest: Bytes32(), outputBytes: 0)
        ]
        #expect(shown(unsound)?.verdict == .failed)
    }

    @Test("goes by the newest drill, and by no proof of the future")
    func newest() {
        let now = noon
        func drill(_ hours: Int64, _ verdict: ShownDrill.Verdict) -> ShownDrill {
            ShownDrill(at: noon + .seconds(hours * 3600), verdict: verdict)
        }
        func newest(_ drills: [ShownDrill]) -> ShownDrill.Verdict? { DrillStanding(drills, at: now).newest?.verdict }
        #expect(newest([]) == nil)
        #expect(newest([drill(-2, .proven), drill(-1, .failed)]) == .failed)
        #expect(newest([drill(-1, .proven), drill(-2, .failed)]) == .proven)
        #expect(newest([drill(1, .proven)]) == nil)
        #expect(newest([drill(1, .proven), drill(-1, .failed)]) == .failed)
        #expect(newest([drill(-1, .unclear), drill(-2, .proven)]) == .unclear)
        #expect(newest([drill(-1, .failed), drill(-1, .proven)]) == .failed)
        #expect(newest([drill(-1, .proven), drill(-1, .failed)]) == .failed)
        let standing = DrillStanding([drill(-3, .proven), drill(-1, .failed), drill(2, .proven)], at: now)
        #expect(standing.lastProof == noon + .seconds(-3 * 3600))
    }

    @Test("is not held down for years by a failure that a clock dated ahead")
    func ahead() throws {
        let far = noon + .seconds(10 * 366 * 86_400)
        let failed = try #require(shown(record([("shop", .failed)], at: far, .failed)))
        #expect(failed.at == noon)
        let later = ShownDrill(at: noon + .seconds(60), verdict: .proven)
        #expect(DrillStanding([failed, later], at: noon + .seconds(120)).newest == later)
    }
}
