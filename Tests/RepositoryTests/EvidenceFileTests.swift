// Evidence outside the repository: drafts that are imported, proofs that are checked without anything else.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport
import Testing

@Suite("Evidence in files")
struct EvidenceFileTests {
    private let house: SmallHouse

    init() throws { house = try SmallHouse() }

    private func draft(_ record: EvidenceRecord) -> EvidenceDraft {
        EvidenceDraft(repository: house.repository.id, record: record)
    }

    private func parsed(_ bytes: [UInt8]) throws -> EvidenceFile { try EvidenceFile(bytes, name: "file") }

    @Test("a draft reads back, and no change by accident passes")
    func draftFile() throws {
        let draft = draft(EvidenceSamples.full())
        let bytes = try draft.encoded()
        #expect(try parsed(bytes) == .draft(draft))
        for place in bytes.indices {
            var changed = bytes
            changed[place] ^= 1
            #expect(throws: HoldfastError.self) { try parsed(changed) }
            #expect(throws: HoldfastError.self) { try parsed(Array(bytes[..<place])) }
        }
    }

    @Test("an imported record says that nobody had signed it, and is imported once")
    func imported() throws {
        let drill = try house.add(.restorer, 2, rights: .attest)
        let draft = draft(EvidenceSamples.full())
        let (evidence, isNew) = try drill.importEvidence(draft)
        #expect(isNew && evidence.object.origin == .imported)
        let (again, isNewAgain) = try house.open().importEvidence(draft)
        #expect(!isNewAgain && again.digest == evidence.digest)
        #expect(try house.names("evidence/").count == 1)
        var changed = draft
        changed.record.checks[0].verdict = .passed
        let error = #expect(throws: HoldfastError.self) { try drill.importEvidence(changed) }
        #expect(error?.code == .objectExists)
    }

    @Test("a record of another repository, and one by a key without the right, are not imported")
    func refused() throws {
        var foreign = draft(EvidenceSamples.full())
        foreign.repository = RepositoryID(Bytes16(w0: 1))
        let error = #expect(throws: HoldfastError.self) { try house.repository.importEvidence(foreign) }
        #expect(error?.code == .notPermitted)
        let restorer = try house.add(.restorer, 2)
        let other = #expect(throws: HoldfastError.self) { try restorer.importEvidence(draft(EvidenceSamples.full())) }
        #expect(other?.code == .notPermitted)
    }

    @Test("a proof shows the record, its signer, and the link before it, without a repository")
    func proof() throws {
        let drill = try house.add(.restorer, 2, rights: .attest)
        _ = try drill.attest(EvidenceSamples.full(1))
        let second = try drill.attest(EvidenceSamples.passed(2))
        // Another key that can read the record may export it.
        let bytes = try house.open().proof(of: second).encoded
        guard case .proof(let proof) = try parsed(bytes) else {
            Issue.record("it is no proof")
            return
        }
        let shown = try proof.verify(trusted: house.repository.keyring.adminKey, name: "file")
        #expect(shown.record == EvidenceSamples.passed(2))
        #expect(shown.object.number == 2 && shown.hasPrevious)
        #expect(shown.signer.slot == drill.keyring.slot && shown.signer.label == "restorer 2")
        #expect(shown.adminKey == house.repository.keyring.adminKey)
        let first = try #require(try house.open().evidence().evidence.first)
        #expect(try house.open().proof(of: first).verify(trusted: nil, name: "file").hasPrevious == false)
    }

    @Test("the seed of one record opens no other")
    func seed() throws {
        let first = try house.repository.attest(EvidenceSamples.full(1))
        let second = try house.repository.attest(EvidenceSamples.full(2))
        var proof = try house.repository.proof(of: second)
        proof.seed = try house.repository.proof(of: first).seed
        #expect(throws: HoldfastError.self) { try proof.verify(trusted: nil, name: "file") }
    }

    @Test("a proof with any part of another is refused, though its digest is right")
    func swapped() throws {
        for number in 1...3 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        let listing = try house.open().evidence().evidence
        let proofs = try listing.map { try house.repository.proof(of: $0) }
        let drill = try house.add(.restorer, 2, rights: .attest)
        let other = try drill.proof(of: try drill.attest(EvidenceSamples.full(9)))
        let elsewhere = try SmallHouse(seed: 3)
        let foreign = try elsewhere.repository.proof(of: try elsewhere.repository.attest(EvidenceSamples.full(4)))
        let changes: [(inout EvidenceProof) -> Void] = [
            { $0.previous = proofs[2].previous }, { $0.previous = [] }, { $0.previous = $0.link },
            { $0.link = proofs[2].link }, { $0.grants = [] }, { $0.grants = other.grants },
            { $0.format = foreign.format }, { $0.grants = foreign.grants }, { $0.link = foreign.link },
        ]
        for (number, change) in changes.enumerated() {
            var proof = proofs[1]
            change(&proof)
            guard case .proof(let read) = try parsed(proof.encoded) else { continue }
            #expect(throws: HoldfastError.self, "change \(number)") { try read.verify(trusted: nil, name: "file") }
        }
        var first = proofs[0]
        first.previous = proofs[1].link
        #expect(throws: HoldfastError.self) { try first.verify(trusted: nil, name: "file") }
        let error = #expect(throws: HoldfastError.self) {
            try foreign.verify(trusted: house.repository.keyring.adminKey, name: "file")
        }
        #expect(error?.code == .checkFailed)
    }

    @Test("who can't open a record can't let others open it")
    func sealed() throws {
        let evidence = try house.repository.attest(EvidenceSamples.full())
        let writer = try house.add(.writer, 2)
        let error = #expect(throws: HoldfastError.self) { try writer.proof(of: evidence) }
        #expect(error?.code == .notPermitted)
    }

    @Test("the standing of a record tells holes, and whether anything later knows of it")
    func standing() throws {
        for number in 1...3 { _ = try house.repository.attest(EvidenceSamples.full(UInt64(number))) }
        func standing(_ number: Int) throws -> EvidenceStanding {
            let listing = try house.open().evidence()
            let evidence = try #require(listing.evidence.first { $0.number == number })
            return try house.open().standing(of: evidence, in: listing)
        }
        #expect(try standing(2).length == 3)
        #expect(try !standing(2).isWitnessed)
        try house.backup(["a": .whole([1])])
        #expect(try standing(2).isWitnessed && standing(3).isWitnessed)
        #expect(try standing(1).problems.isEmpty)
        let slot = house.repository.keyring.slot
        try house.store.delete(ObjectNames.evidence(slot, 3))
        #expect(try standing(1).problems.map(\.object) == ["evidence/\(slot)/3"])
    }

    @Test("records are found by the beginning of their id, or as the latest")
    func find() throws {
        let repository = house.repository
        let empty = #expect(throws: HoldfastError.self) {
            try repository.findEvidence("latest", in: try repository.evidence())
        }
        #expect(empty?.code == .evidenceNotFound)
        _ = try repository.attest(EvidenceSamples.full(1))
        house.clock.advance(by: .seconds(1))
        let second = try repository.attest(EvidenceSamples.full(2))
        let listing = try repository.evidence()
        #expect(try repository.findEvidence("latest", in: listing).digest == second.digest)
        #expect(try repository.findEvidence(second.id.description.uppercased(), in: listing).digest == second.digest)
        for (text, code) in [
            (String(second.id.description.prefix(8)), ErrorCode.usage), ("01", .usage), ("zzzz", .evidenceNotFound),
        ] {
            let error = #expect(throws: HoldfastError.self) { try repository.findEvidence(text, in: listing) }
            #expect(error?.code == code, "\(text)")
        }
    }
}
