// Links that are taken out of a chain and replaced, by somebody with the signer's key or by the signer unawares.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("A link of evidence in the place of another")
struct EvidenceReplacementTests {
    private let house: SmallHouse

    init() throws { house = try SmallHouse() }

    private func key(_ number: UInt32) -> ObjectKey { ObjectNames.evidence(house.repository.keyring.slot, number) }

    private func replaceSecondLink() throws {
        try house.store.delete(key(2))
        _ = try house.open(seed: 77).attest(EvidenceSamples.full(3))
    }

    @Test("is known of for good once a snapshot knew the first, however many follow and whatever is forgotten")
    func carried() throws {
        _ = try house.repository.attest(EvidenceSamples.full(1))
        let known = try house.repository.attest(EvidenceSamples.full(2)).head
        let first = try house.backup(["a": .whole([1])])
        try replaceSecondLink()
        house.clock.advance(by: .seconds(60))
        let second = try house.backup(["a": .whole([2])])
        try house.forget(first)
        #expect(try house.open().snapshots().snapshots.map(\.record?.evidence) == [[known]])
        #expect(try !house.open().check().findings(.error).isEmpty)
        // And when the chain has grown beyond it.
        _ = try house.open().attest(EvidenceSamples.full(4))
        house.clock.advance(by: .seconds(60))
        try house.backup(["a": .whole([3])])
        try house.forget(second)
        #expect(try house.open().snapshots().snapshots.map(\.record?.evidence) == [[known]])
        #expect(try !house.open().check().findings(.error).isEmpty)
    }

    @Test("of slots that the repository does not have is not carried on")
    func invented() throws {
        let head = try house.repository.attest(EvidenceSamples.full(1)).head
        let invented = EvidenceHead(slot: SlotID(Bytes16()), number: 7, digest: Bytes32())
        #expect(try house.open().evidenceHeads(knownBefore: [invented]) == [head])
    }

    @Test("rings at a client that knew the first, with one more on top too", arguments: [false, true])
    func rings(isAttesting: Bool) throws {
        let directory = TemporaryDirectory()
        func open() throws -> Repository {
            var environment = SmallHouse.environment(house.clock, 12)
            environment.witness = StoreWitness(directory: directory.path, answer: .refuse) { _ in }
            return try Repository.open(house.store, secret: SmallHouse.secret(1), environment: environment)
        }
        _ = try open().attest(EvidenceSamples.full(1))
        _ = try open().attest(EvidenceSamples.full(2))
        try replaceSecondLink()
        _ = try house.open(seed: 78).attest(EvidenceSamples.full(4))
        let error = #expect(throws: HoldfastError.self) {
            if isAttesting { _ = try open().attest(EvidenceSamples.full(5)) } else { _ = try open().evidence() }
        }
        #expect(error?.code == .rollbackDetected && error?.message.contains(key(2).path) == true)
    }

    @Test("is not made by who appends what an earlier process appended before it died")
    func once() throws {
        var record = EvidenceSamples.full(1)
        let first = try house.repository.attestOnce(record, origin: .witnessed)
        _ = try house.repository.attest(EvidenceSamples.full(2))
        record.findings.append(EvidenceFinding(severity: "error", object: "", message: "later"))
        let again = try house.open().attestOnce(record, origin: .witnessed)
        #expect(again.digest == first.digest)
        #expect(try house.names("evidence/").count == 2)
        // Nor by who has another key: somebody brought it in by hand.
        let other = try house.add(.restorer, 2, rights: .attest)
        #expect(try other.attestOnce(record, origin: .witnessed).digest == first.digest)
        #expect(try house.names("evidence/").count == 2)
    }

    @Test(
        "that was imported, and says something else of the same drill, keeps nobody from appending what is so",
        arguments: [true, false], ["verdict", "member", "start", "damage", "time", "check"])
    func contradicted(isOwn: Bool, difference: String) throws {
        let record = EvidenceSamples.full(1)
        var interim = record
        switch difference {
        case "verdict": interim.verdict = .interrupted
        case "member": interim.members[0].verdict = .failed
        case "damage": interim.members[1].facts["damage"] = "content"
        case "time": interim.members[1].rtoMeasured = .seconds(1)
        case "check": interim.checks.removeFirst()
        default: interim.started = record.started + .seconds(-1)
        }
        let importer = isOwn ? house.repository : try house.add(.restorer, 2, rights: .attest)
        _ = try importer.importEvidence(EvidenceDraft(repository: house.repository.id, record: interim))
        let mine = try house.open().attestOnce(record, origin: .witnessed)
        #expect(mine.record == record && mine.slot == house.repository.keyring.slot && mine.object.origin == .witnessed)
        #expect(try house.open().attestOnce(record, origin: .witnessed).digest == mine.digest)
        #expect(try house.names("evidence/").count == 2)
    }

    @Test("that tells of its own chain is refused")
    func ownHead() throws {
        let slot = house.repository.keyring.slot
        let object = EvidenceObject(
            repository: house.repository.id, slot: slot, number: 1, previous: Bytes32(),
            id: EvidenceSamples.full().id, origin: .witnessed, epoch: 1, stored: house.clock.now(),
            others: [EvidenceHead(slot: slot, number: 1, digest: Bytes32())])
        let bytes = try object.encoded(
            EvidenceSamples.full(), recipients: house.repository.keyring.recipients(structure: true),
            signer: house.repository.keyring.signing, entropy: SystemEntropy())
        let error = #expect(throws: HoldfastError.self) { try EvidenceObject.parse(bytes, name: "link") }
        #expect(error?.message.contains("tells of the chain") == true)
    }
}
