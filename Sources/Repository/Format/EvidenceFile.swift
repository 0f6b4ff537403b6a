// Evidence outside the repository: records that wait for a signature, and links that are checked by themselves.

import Primitives
import Sealing

/// A record in a file. Nobody signed it; whoever can write the file can change it.
///
/// Header, repository 16, record (length-prefixed), SHA-256 of all before.
package struct EvidenceDraft: Sendable, Hashable {
    package var repository: RepositoryID
    package var record: EvidenceRecord

    package init(repository: RepositoryID, record: EvidenceRecord) {
        self.repository = repository
        self.record = record
    }

    /// - Throws: `.limitExceeded` for a record that no reader would take.
    package func encoded() throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.evidenceDraft).write(to: &writer)
        writer.raw(repository.bytes)
        writer.prefixed(try record.encodedForKeeping())
        let bytes = writer.bytes
        return bytes + SHA256.digest(bytes.span.bytes).array
    }

    init(_ body: [UInt8], name: String) throws(HoldfastError) {
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .evidenceDraft, name: name)
        repository = RepositoryID(try reader.bytes16())
        record = try EvidenceRecord(try reader.prefixed(atMost: EvidenceRecord.maximumSize), name: name)
        try reader.expectEnd()
    }
}

/// A link with what it takes to check it without the repository and without a key.
///
/// Header, format object, grants of the signer's slot (varint count), the link, its seed 32, the link before it (empty
/// for the first), each but the seed length-prefixed, SHA-256 of all before. The seed opens this record and nothing
/// else.
package struct EvidenceProof: Sendable, Hashable {
    package static let maximumGrants = 4096

    package var format: [UInt8]
    package var grants: [[UInt8]]
    package var link: [UInt8]
    package var seed: Bytes32
    package var previous: [UInt8]

    package init(format: [UInt8], grants: [[UInt8]], link: [UInt8], seed: Bytes32, previous: [UInt8]) {
        self.format = format
        self.grants = grants
        self.link = link
        self.seed = seed
        self.previous = previous
    }

    package var encoded: [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.evidenceProof).write(to: &writer)
        writer.prefixed(format)
        writer.varint(UInt64(grants.count))
        for grant in grants { writer.prefixed(grant) }
        writer.prefixed(link)
        writer.raw(seed)
        writer.prefixed(previous)
        let bytes = writer.bytes
        return bytes + SHA256.digest(bytes.span.bytes).array
    }

    init(_ body: [UInt8], name: String) throws(HoldfastError) {
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .evidenceProof, name: name)
        format = try reader.prefixed(atMost: Int(FormatObject.maximumSize.bytes))
        grants = []
        for _ in 0..<(try reader.count(each: 1, atMost: Self.maximumGrants)) {
            grants.append(try reader.prefixed(atMost: Int(GrantObject.maximumSize.bytes)))
        }
        link = try reader.prefixed(atMost: Int(EvidenceObject.maximumSize.bytes))
        seed = try reader.bytes32()
        previous = try reader.prefixed(atMost: Int(EvidenceObject.maximumSize.bytes))
        try reader.expectEnd()
    }

    /// What a proof shows.
    package struct Shown: Sendable {
        package var object: EvidenceObject
        package var record: EvidenceRecord
        /// Of the whole repository: every signature here hangs on it.
        package var adminKey: Bytes32
        package var signer: Member
        /// False for the first link of its chain.
        package var hasPrevious: Bool
    }

    /// Checks the signature, the signer's right, the seal, and the link to the one before.
    ///
    /// - Parameter trusted: The admin key of the repository when it is known; without it the file's own word counts.
    /// - Throws: `.corruptObject` naming what does not hold; `.checkFailed` when it is of another admin key.
    package func verify(trusted: Bytes32?, name: String) throws(HoldfastError) -> Shown {
        let roster = try EvidenceRoster(format: format, grants: grants, trusted: trusted, name: name)
        let outer = ByteReader([], as: name)
        let parsed = try roster.open(link, name: "the link in \(name)")
        let object = parsed.object
        let record = try parsed.record(seed: SecretBytes(seed), name: name)
        if object.number > 1 {
            let before = try roster.open(previous, name: "the link before it in \(name)")
            guard before.object.slot == object.slot, before.object.number == object.number - 1,
                before.digest == object.previous
            else { throw outer.corrupt("the link does not follow the one before it") }
        } else if !previous.isEmpty {
            throw outer.corrupt("something stands before the first link of a chain")
        }
        guard let signer = roster.members[object.slot] else { throw outer.corrupt("the signer has no grant") }
        return Shown(
            object: object, record: record, adminKey: roster.adminKey, signer: signer,
            hasPrevious: object.number > 1)
    }
}

/// A file with evidence.
package enum EvidenceFile: Sendable, Hashable {
    /// Two links, a format object and all grants that there can be would be more; no real file is.
    package static let maximumSize = ByteCount.mebi(64)

    case draft(EvidenceDraft)
    case proof(EvidenceProof)

    /// - Throws: `.corruptObject` for anything else, and for one that was cut or changed by accident.
    package init(_ bytes: [UInt8], name: String) throws(HoldfastError) {
        let outer = ByteReader([], as: name)
        guard bytes.count >= ObjectHeader.size + 32 else { throw outer.corrupt("it is too short") }
        let body = Array(bytes.dropLast(32))
        guard SHA256.digest(body.span.bytes) == Bytes32(bytes.span.bytes, at: body.count) else {
            throw outer.corrupt("its bytes do not match its own digest")
        }
        if body[8] == ObjectKind.evidenceDraft.rawValue {
            self = .draft(try EvidenceDraft(body, name: name))
        } else {
            self = .proof(try EvidenceProof(body, name: name))
        }
    }
}

extension SecretBytes {
    package convenience init(_ bytes: Bytes32) {
        let array = bytes.array
        self.init(copying: array.span.bytes)
    }
}
