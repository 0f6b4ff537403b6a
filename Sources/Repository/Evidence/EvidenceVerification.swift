// One record held against its chain and against what snapshots know; and its export.

import ObjectStore
import Primitives
import Sealing

/// What is known of the chain that a record stands in.
package struct EvidenceStanding: Sendable {
    /// Links of its chain that are missing, damaged, or do not follow each other, by name with what is wrong.
    package var problems: [(object: String, message: String)] = []
    /// How long the chain is, as far as it is there.
    package var length: UInt32 = 0
    /// Whether a snapshot or another chain, written after it, tells of this link or a later one. Where nothing does, an
    /// end of the chain that was cut off cannot be found.
    package var isWitnessed = false
}

extension Repository {
    /// The one record whose id begins so; for `latest`, of the newest drill or restore of each chain the one that was
    /// stored last.
    ///
    /// - Throws: `.evidenceNotFound`, or `.usage` when several begin alike.
    package func findEvidence(_ text: String, in listing: EvidenceListing) throws(HoldfastError) -> Evidence {
        let hint = "`holdfast evidence list` lists what there is."
        if text == "latest" {
            // Within a chain the number tells what is newer, whatever the signer's clock said.
            // Segments of the run ledger and inventories come every day, and nobody means them.
            let ends = Dictionary(grouping: listing.evidence.filter { $0.record?.kind.isRecovery ?? true }, by: \.slot)
                .values
                .compactMap { $0.max { $0.number < $1.number } }
            guard let newest = ends.max(by: { ($0.object.stored, $0.id) < ($1.object.stored, $1.id) })
            else { throw HoldfastError(.evidenceNotFound, "there is no evidence in this repository", hint: hint) }
            return newest
        }
        let prefix = text.lowercased()
        guard prefix.utf8.count >= SnapshotSelector.shortestPrefix else {
            throw HoldfastError(
                .usage, "\"\(text)\" does not name a record",
                hint: "Give at least \(SnapshotSelector.shortestPrefix) letters of an id, or latest.")
        }
        let found = listing.evidence.filter { $0.id.description.hasPrefix(prefix) }
        guard let first = found.first else {
            throw HoldfastError(.evidenceNotFound, "there is no record whose id begins with \(text)", hint: hint)
        }
        guard found.count == 1 else {
            throw HoldfastError(
                .usage, "\(found.count) records have an id that begins with \(text)",
                hint: "Give more letters of the id.")
        }
        return first
    }

    /// Looks at the whole chain that `evidence` stands in.
    package func standing(
        of evidence: Evidence, in listing: EvidenceListing
    ) throws(HoldfastError) -> EvidenceStanding {
        var chains = EvidenceChains()
        var standing = EvidenceStanding()
        for one in listing.evidence {
            chains.add(one.slot, one.number, .init(digest: one.digest, previous: one.object.previous))
            let by = ObjectNames.evidence(one.slot, one.number).path
            for head in one.object.others { chains.add(.init(head: head, by: by)) }
            if one.slot == evidence.slot { standing.length = max(standing.length, one.number) }
        }
        for (key, error) in listing.damaged {
            guard let name = ObjectNames.evidenceNumber(key) else { continue }
            chains.add(name.slot, name.number, nil)
            if name.slot == evidence.slot { standing.problems.append((key.path, error.message)) }
        }
        for snapshot in try snapshots().snapshots {
            for head in snapshot.record?.evidence ?? [] {
                chains.add(.init(head: head, by: "snapshot \(snapshot.id)"))
            }
        }
        let problems = try chains.problems(of: evidence.slot) { (slot, number) throws(HoldfastError) in
            try store.info(ObjectNames.evidence(slot, number)) != nil
        }
        standing.problems += problems.map { (ObjectNames.evidence($0.slot, $0.number).path, $0.message) }
        standing.isWitnessed = chains.isWitnessed(evidence.slot, from: evidence.number)
        return standing
    }

    /// Everything that it takes to check one record elsewhere.
    ///
    /// - Throws: `.notPermitted` when this key can't open the record, so that it can't let others.
    package func proof(of evidence: Evidence) throws(HoldfastError) -> EvidenceProof {
        let (parsed, link) = try evidenceObject(evidence.slot, evidence.number)
        let keys = keyring.openingKeys(structure: true, epoch: parsed.object.epoch)
        guard let seed = try parsed.seed(with: keys) else { throw keyring.lacks("a key that opens this record") }
        let previous = evidence.number > 1 ? try evidenceObject(evidence.slot, evidence.number - 1).bytes : []
        guard let format = try Self.newestFormatKey(in: store)?.key else {
            throw HoldfastError(.repositoryNotFound, "the format object is gone", hint: "Run `holdfast check`.")
        }
        let proof = EvidenceProof(
            format: try store.get(format, limit: FormatObject.maximumSize), grants: try grantObjects(of: evidence.slot),
            link: link,
            seed: seed.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) }, previous: previous)
        // What does not hold here would hold nowhere.
        _ = try proof.verify(trusted: keyring.adminKey, name: "the export")
        return proof
    }

    /// All grants of a slot as they are stored.
    func grantObjects(of slot: SlotID) throws(HoldfastError) -> [[UInt8]] {
        var names: [ObjectKey] = []
        try store.list(ObjectNames.grants(of: slot)) { (info) throws(HoldfastError) in
            if ObjectNames.grantName(info.key) != nil { names.append(info.key) }
        }
        var grants: [[UInt8]] = []
        for name in names.sorted() { grants.append(try store.get(name, limit: GrantObject.maximumSize)) }
        return grants
    }
}
