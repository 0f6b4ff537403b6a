// Evidence as the repository lists it, and the writing of one more link.

import Logging
import ObjectStore
import Primitives
import Sealing

/// A link whose signature holds.
package struct Evidence: Sendable {
    package var object: EvidenceObject
    package var digest: Bytes32
    /// Nil when this key may not read it.
    package var record: EvidenceRecord?

    package var slot: SlotID { object.slot }
    package var number: UInt32 { object.number }
    package var id: ULID { object.id }
    package var head: EvidenceHead { EvidenceHead(slot: slot, number: number, digest: digest) }
}

/// A listing with what is wrong in it.
package struct EvidenceListing: Sendable {
    /// In order of slots and numbers.
    package var evidence: [Evidence] = []
    /// Objects below evidence/ that are damaged, forged or foreign.
    package var damaged: [(key: ObjectKey, error: HoldfastError)] = []
}

extension Repository {
    /// Tries for a number that nobody else takes.
    private static let attempts = 16

    // MARK: - Reading

    /// The links that the store shows.
    ///
    /// - Throws: `.rollbackDetected` when the witness refuses them.
    func evidenceNames() throws(HoldfastError) -> EvidenceNames {
        let names = try listEvidenceNames()
        guard let witness = environment.witness else { return names }
        return try witness.observe(names) { () throws(HoldfastError) in try listEvidenceNames() }
    }

    private func listEvidenceNames() throws(HoldfastError) -> EvidenceNames {
        var names: EvidenceNames = [:]
        try store.list(ObjectNames.evidence) { (info) throws(HoldfastError) in
            if let name = ObjectNames.evidenceNumber(info.key) { names[name.slot, default: []].insert(name.number) }
        }
        return names
    }

    /// Reads one link as stored; its signature and its name hold.
    package func evidenceObject(
        _ slot: SlotID, _ number: UInt32
    ) throws(HoldfastError) -> (parsed: EvidenceObject.Parsed, bytes: [UInt8]) {
        let key = ObjectNames.evidence(slot, number)
        let bytes = try store.get(key, limit: EvidenceObject.maximumSize)
        let parsed = try EvidenceObject.parse(bytes, name: key.path)
        let object = parsed.object
        guard object.repository == id, object.slot == slot, object.number == number else {
            throw HoldfastError(
                .corruptObject, "\(key) is not the link that its name says",
                hint: "It was copied from elsewhere; find out who put it.")
        }
        try keyring.verify(parsed.body, parsed.signature, by: slot, name: key.path) {
            $0.mayAttest(in: object.epoch)
        }
        return (parsed, bytes)
    }

    private func evidence(_ slot: SlotID, _ number: UInt32) throws(HoldfastError) -> Evidence {
        let parsed = try evidenceObject(slot, number).parsed
        let keys = keyring.openingKeys(structure: true, epoch: parsed.object.epoch)
        let record = try parsed.record(with: keys, name: ObjectNames.evidence(slot, number).path)
        return Evidence(object: parsed.object, digest: parsed.digest, record: record)
    }

    /// Reads all evidence. Damaged objects are in the result by name; everything else goes on.
    ///
    /// - Throws: `.rollbackDetected` when the witness refuses what the store shows; what the store throws.
    package func evidence() throws(HoldfastError) -> EvidenceListing {
        var listing = EvidenceListing()
        try eachEvidence { (link) throws(HoldfastError) in
            listing.evidence.append(link)
        } damaged: { key, error in
            listing.damaged.append((key, error))
        }
        return listing
    }

    /// Reads all evidence one link after the other, in order of slots and numbers: in bounded memory.
    ///
    /// - Throws: as ``evidence()``; what `body` throws.
    package func eachEvidence(
        _ body: (Evidence) throws(HoldfastError) -> Void, damaged: (ObjectKey, HoldfastError) -> Void
    ) throws(HoldfastError) {
        for (slot, numbers) in try evidenceNames().sorted(by: { $0.key < $1.key }) {
            for number in numbers.sorted() {
                var link: Evidence?
                do throws(HoldfastError) {
                    let found = try evidence(slot, number)
                    // Every one: the one that is known may have got another in its place and more on top.
                    try environment.witness?.observe(found.head)
                    link = found
                } catch {
                    switch error.code {
                    case .storeUnavailable, .accessDenied, .interrupted, .rollbackDetected: throw error
                    default: damaged(ObjectNames.evidence(slot, number), error)
                    }
                }
                if let link { try body(link) }
            }
        }
    }

    /// The digest of a link, whose number the store shows, as a head.
    private func evidenceHead(_ slot: SlotID, _ number: UInt32) throws(HoldfastError) -> EvidenceHead {
        EvidenceHead(slot: slot, number: number, digest: try evidenceObject(slot, number).parsed.digest)
    }

    /// Shows the witness the link that it knows of a chain, when there are newer ones on top.
    private func observeKnownLink(of slot: SlotID, below newest: UInt32) throws(HoldfastError) {
        guard let witness = environment.witness, let known = witness.evidenceHead(of: slot), known.number < newest
        else { return }
        try witness.observe(try evidenceHead(slot, known.number))
    }

    /// The newest link of each chain, as snapshots keep it.
    ///
    /// - Parameter knownBefore: What the source's previous snapshot knew: what the store does not show any more, or
    ///   shows otherwise, is carried on, so that it is still known when older snapshots are gone.
    package func evidenceHeads(knownBefore: [EvidenceHead] = []) throws(HoldfastError) -> [EvidenceHead] {
        var heads: [SlotID: EvidenceHead] = [:]
        for (slot, numbers) in try evidenceNames() where keyring.roster[slot] != nil {
            guard let number = numbers.max() else { continue }
            if let head = try sound({ () throws(HoldfastError) in
                try observeKnownLink(of: slot, below: number)
                return try evidenceHead(slot, number)
            }) {
                try environment.witness?.observe(head)
                heads[slot] = head
            }
        }
        // Anybody who may write can name slots in a snapshot; those of the roster are what there can be chains of.
        for head in knownBefore where keyring.roster[head.slot] != nil {
            let newest = heads[head.slot]
            if let newest, newest.number == head.number, newest.digest == head.digest { continue }
            if let newest, newest.number > head.number,
                try sound({ () throws(HoldfastError) in try evidenceHead(head.slot, head.number) }) == head
            {
                continue
            }
            let name = ObjectNames.evidence(head.slot, head.number)
            logger.warning("evidence is gone, damaged or another one", metadata: ["object": "\(name)"])
            heads[head.slot] = head
        }
        return Array(heads.values.sorted { $0.slot < $1.slot }.prefix(EvidenceHead.maximumCount))
    }

    /// What `body` reads; nil where it is damaged or gone. A backup goes on; `check` tells the damage.
    private func sound(_ body: () throws(HoldfastError) -> EvidenceHead) throws(HoldfastError) -> EvidenceHead? {
        do throws(HoldfastError) {
            return try body()
        } catch {
            switch error.code {
            case .corruptObject, .unsupportedFormat, .limitExceeded, .objectMissing:
                logger.warning("a link of evidence is damaged", metadata: ["error": "\(error)"])
                return nil
            default: throw error
            }
        }
    }

    // MARK: - Writing

    /// - Throws: `.notPermitted` when this key may not sign evidence.
    package func requireAttest() throws(HoldfastError) {
        guard keyring.mayAttest else {
            throw HoldfastError(
                .notPermitted, "this key (role \(keyring.role)) may not sign evidence",
                hint: "Write the record with --evidence FILE, and have it imported with a key that has the right "
                    + "`attest` (`holdfast keys add --attest`) or is an admin's.")
        }
    }

    /// Appends `record` to this slot's chain.
    ///
    /// - Durability: on return the link is on stable storage, and no later one can take its place.
    /// - Retry: safe; a record whose id is that of the newest link is there already.
    /// - Throws: `.notPermitted` without the right, `.corruptObject` when the newest link is damaged, so that there is
    ///   nothing to hold on to, `.limitExceeded` for a record that is too large, `.rollbackDetected` as everywhere.
    @discardableResult
    package func attest(
        _ record: EvidenceRecord, origin: EvidenceOrigin = .witnessed
    ) throws(HoldfastError) -> Evidence {
        try requireAttest()
        let slot = keyring.slot
        for _ in 0..<Self.attempts {
            let newest = try evidenceNames()[slot]?.max() ?? 0
            var previous = Bytes32()
            if newest > 0 {
                try observeKnownLink(of: slot, below: newest)
                let head = try evidence(slot, newest)
                try environment.witness?.observe(head.head)
                if head.id == record.id, head.record == record { return head }
                previous = head.digest
            }
            guard newest < UInt32.max else {
                throw HoldfastError(
                    .limitExceeded, "the chain of slot \(slot) is full", hint: "Add a key, and sign with that.")
            }
            let object = EvidenceObject(
                repository: id, slot: slot, number: newest + 1, previous: previous, id: record.id, origin: origin,
                epoch: keyring.current.epoch, stored: clock.now(),
                others: try evidenceHeads().filter { $0.slot != slot })
            let bytes = try object.encoded(
                record, recipients: keyring.recipients(structure: true), signer: keyring.signing, entropy: entropy)
            do throws(HoldfastError) {
                try store.putIfAbsent(ObjectNames.evidence(slot, newest + 1), bytes.span.bytes)
            } catch {
                // Another process with this key was first: the next number, on top of its link.
                if error.code == .objectExists { continue }
                throw error
            }
            let made = Evidence(object: object, digest: SHA256.digest(bytes.span.bytes), record: record)
            try environment.witness?.observe(made.head)
            environment.witness?.save()
            return made
        }
        throw HoldfastError(
            .busy, "other processes with this key keep appending to its chain of evidence",
            hint: "Try again, or give each process a key of its own.", retry: .later)
    }

    /// Appends a record that another process may have appended before it died; the one that is there then stays.
    ///
    /// It looks at all links of all slots, where ``attest(_:origin:)`` looks at the newest of this one: somebody with
    /// another key may have imported what the other process kept. What this key did not witness itself stays only
    /// where it says the same: it may have been imported before the end was known, or be made up.
    ///
    /// - Throws: as ``attest(_:origin:)``.
    @discardableResult
    package func attestOnce(_ record: EvidenceRecord, origin: EvidenceOrigin) throws(HoldfastError) -> Evidence {
        try requireAttest()
        let slot = keyring.slot
        let links = try evidence().evidence.filter { $0.id == record.id }
        let known = links.first { link in
            let isOurs = link.slot == slot && link.object.origin == .witnessed
            return isOurs || link.record.map { $0.saysTheSame(as: record) } ?? false
        }
        if let known { return known }
        for link in links {
            logger.warning(
                "a link with the id of this record says something else, or cannot be read; the record is appended",
                metadata: ["object": "\(ObjectNames.evidence(link.slot, link.number))", "id": "\(record.id)"])
        }
        return try attest(record, origin: origin)
    }

    /// Stores a record that came in a file and was signed by nobody.
    ///
    /// - Returns: the link, and whether it was there already.
    /// - Throws: as ``attest(_:origin:)``; `.objectExists` when there is another record with its id.
    package func importEvidence(
        _ draft: EvidenceDraft
    ) throws(HoldfastError) -> (evidence: Evidence, isNew: Bool) {
        try requireAttest()
        guard draft.repository == id else {
            throw HoldfastError(
                .notPermitted, "the record is of repository \(draft.repository), and this is \(id)",
                hint: "Import it into the repository that it tells of.")
        }
        if let known = try evidence().evidence.first(where: { $0.id == draft.record.id }) {
            guard known.record == draft.record else {
                throw HoldfastError(
                    .objectExists,
                    "there is another record \(draft.record.id) in evidence/\(known.slot)/\(known.number)",
                    hint: "One of the two was changed; compare them with `holdfast evidence show`.")
            }
            return (known, false)
        }
        return (try attest(draft.record, origin: .imported), true)
    }
}

extension EvidenceRecord {
    /// Whether both tell of the same attempt, and say that it came to the same: in all that anything is concluded from.
    fileprivate func saysTheSame(as other: EvidenceRecord) -> Bool {
        kind == other.kind && verdict == other.verdict && started == other.started && sabotage == other.sabotage
            && failedAt == other.failedAt && rpoAchieved == other.rpoAchieved && rtoMeasured == other.rtoMeasured
            && members == other.members
            && checks.elementsEqual(other.checks) { one, another in
                one.id == another.id && one.member == another.member && one.kind == another.kind
                    && one.verdict == another.verdict
            }
    }
}
