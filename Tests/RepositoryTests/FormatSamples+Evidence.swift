// Samples of evidence: a link, its record, and the files that carry them.

import Primitives
import Repository
import Sealing
import TestSupport

extension FormatSamples {
    var evidence: EvidenceObject {
        var object = EvidenceObject(
            repository: repository, slot: slot, number: 2, previous: Bytes32(w0: 71), id: EvidenceSamples.full().id,
            origin: .imported, epoch: 2, stored: made,
            others: [
                EvidenceHead(slot: SlotID(Bytes16(w0: 1)), number: 1, digest: Bytes32(w0: 72)),
                EvidenceHead(slot: SlotID(Bytes16(w0: 2)), number: 300, digest: Bytes32(w0: 73)),
            ])
        object.unknown[5] = [1]
        return object
    }

    var proof: EvidenceProof {
        EvidenceProof(format: [1, 2], grants: [[3], [4, 5]], link: [6], seed: Bytes32(w0: 74), previous: [])
    }

    func evidenceObjects() throws -> [String: [UInt8]] {
        let draft = EvidenceDraft(repository: repository, record: EvidenceSamples.full())
        var snapshot = record
        snapshot.evidence = evidence.others
        return [
            "evidence record": EvidenceSamples.full().encoded,
            "evidence record of runs": EvidenceSamples.ledger.encoded,
            "evidence record of rotations": EvidenceSamples.rotations.encoded,
            "evidence": try evidence.encoded(
                EvidenceSamples.full(), recipients: [dataKey.publicKey, opened.agreement.publicKey],
                signer: opened.signing, entropy: SeededEntropy(seed: 5)),
            "evidence draft": try draft.encoded(), "evidence proof": proof.encoded,
            "snapshot record with evidence": snapshot.encoded,
        ]
    }
}
