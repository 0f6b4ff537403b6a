// Inventories and exceptions as records, and what is signed of a file.

import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Inventories")
struct EvidenceInventoryTests {
    /// One in which nothing is left empty.
    private var full: EvidenceRecord {
        var record = EvidenceSamples.ledger
        record.kind = .inventory
        record.runs = []
        var point = EvidencePoint(
            source: "shop",
            snapshot: EvidenceSnapshot(
                tag: SourceTag(Bytes16(w0: 1)), id: ULID(Bytes16(w0: 2)), sequence: 3, digest: Bytes32(w0: 4)),
            started: EvidenceSamples.time(1), consistentAsOf: EvidenceSamples.time(2),
            durableAt: EvidenceSamples.time(3), files: 4, bytes: 1 << 40, bytesNew: 5, bytesStored: 6, isGood: false)
        point.rows = ["rows:a": "7", "rows:b": "8"]
        point.unknown[99] = [1]
        var source = EvidenceSource(name: "shop", isDeclared: true)
        (source.workload, source.owner, source.tier, source.dataClass) = ("pg", "ada", "1", "größer")
        (source.rpoObjective, source.rtoObjective, source.newest) = (.seconds(60), .seconds(61), point)
        source.unknown[98] = [2]
        var job = EvidenceJob(
            name: "nightly", kind: "drill", schedule: "daily", isEnabled: false, sources: ["shop", "mail"],
            readsData: true)
        (job.jitter, job.pause, job.plan, job.due) = (.seconds(9), "moving", "all", 12)
        job.unknown[97] = [3]
        record.sources = [source, EvidenceSource(name: "other", isDeclared: false)]
        record.jobs = [job]
        record.points = [point, point]
        record.openExceptions = [
            EvidenceHead(slot: SlotID(Bytes16(w0: 1)), number: 2, digest: Bytes32(w0: 3)),
            EvidenceHead(slot: SlotID(Bytes16(w0: 1)), number: 5, digest: Bytes32(w0: 3)),
        ]
        return record
    }

    @Test("read back whole, with fields that nobody knows")
    func roundTrip() throws {
        #expect(try EvidenceRecord(try full.encodedForKeeping(), name: "i") == full)
        var exception = EvidenceSamples.ledger
        (exception.kind, exception.runs) = (.exception, [])
        #expect(try EvidenceRecord(exception.encoded, name: "e") == exception)
    }

    @Test("are refused in a record of another kind, with names that stand twice, and with members")
    func sense() {
        for change in [
            { (record: inout EvidenceRecord) in record.kind = .runs }, { $0.kind = .exception },
            { $0.sources.append($0.sources[0]) }, { $0.jobs.append($0.jobs[0]) },
            { $0.openExceptions.reverse() }, { $0.openExceptions[1] = $0.openExceptions[0] },
            { $0.members = EvidenceSamples.full().members }, { $0.runs = EvidenceSamples.ledger.runs },
        ] {
            var record = full
            change(&record)
            #expect(throws: HoldfastError.self) { try EvidenceRecord(record.encoded, name: "i") }
        }
    }

    @Test("are what nobody means by the latest record, and prove no recovery")
    func latest() throws {
        let test = try TestRepository()
        let drill = try test.repository.attest(EvidenceSamples.passed(1))
        var inventory = full
        inventory.id = ULID(Bytes16(w0: 0x019C_0000_0000_0000, w1: 1))
        try test.repository.attest(inventory)
        #expect(try test.repository.findEvidence("latest", in: try test.repository.evidence()).id == drill.id)
        #expect(!inventory.provesRecovery)
    }

    @Test("and their likes are opened with public keys and disclosed seeds alone, and files are signed by members")
    func disclosed() throws {
        let test = try TestRepository()
        let link = try test.repository.attest(full)
        let keys = try test.repository.publicKeys()
        let roster = try EvidenceRoster(format: keys.format, grants: keys.grants, trusted: nil, name: "f")
        let open = try test.repository.disclose(link.slot, link.number, disclosing: true)
        let parsed = try roster.open(open.bytes, name: "l")
        #expect(try parsed.record(seed: SecretBytes(try #require(open.seed)), name: "l") == full)
        #expect(try test.repository.disclose(link.slot, link.number, disclosing: false).seed == nil)
        let digest = Bytes32(w0: 7)
        let signature = try test.repository.sign(digest)
        #expect(roster.holds(signature, by: link.slot, over: digest))
        #expect(!roster.holds(signature, by: link.slot, over: Bytes32(w0: 8)))
        #expect(!roster.holds(signature, by: SlotID(Bytes16(w0: 9)), over: digest))
        // One of another repository, and none at all.
        let other = try TestRepository()
        #expect(!roster.holds(try other.repository.sign(digest), by: link.slot, over: digest))
        let foreign = try EvidenceRoster(
            format: try other.repository.publicKeys().format, grants: [], trusted: nil, name: "f")
        #expect(throws: HoldfastError.self) { try foreign.open(open.bytes, name: "l") }
        #expect(throws: HoldfastError.self) {
            try EvidenceRoster(format: keys.format, grants: [], trusted: Bytes32(w0: 1), name: "f")
        }
    }
}
