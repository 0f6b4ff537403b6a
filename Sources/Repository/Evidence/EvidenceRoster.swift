// Links of evidence opened with public keys alone: a format object, grants, and seeds that were disclosed.

import ObjectStore
import Primitives
import Sealing

/// Who could sign evidence in a repository, by its admin's signatures alone.
///
/// All of it hangs on the admin key, which whoever checks must know from elsewhere. The grants are those that its maker
/// chose: it can't tell whether a slot was removed since.
package struct EvidenceRoster: Sendable {
    package let repository: RepositoryID
    package let adminKey: Bytes32
    package let members: [SlotID: Member]

    /// - Parameter trusted: The admin key of the repository when it is known; without it the file's own word counts.
    /// - Throws: `.corruptObject` naming what does not hold; `.checkFailed` when it is of another admin key.
    package init(
        format: [UInt8], grants: [[UInt8]], trusted: Bytes32?, name: String
    ) throws(HoldfastError) {
        let format = try FormatObject(format, name: "the format object in \(name)", trusted: nil)
        if let trusted, trusted != format.adminKey {
            throw HoldfastError(
                .checkFailed, "\(name) is of a repository with the admin key \(Hex.encode(format.adminKey.array))",
                hint: "It is not of the repository that you expect; `holdfast evidence list` prints its admin key.")
        }
        var granted: [GrantObject] = []
        for bytes in grants {
            granted.append(try GrantObject(bytes, name: "a grant in \(name)", adminKey: format.adminKey))
        }
        guard granted.allSatisfy({ $0.repository == format.repository }) else {
            throw ByteReader([], as: name).corrupt("a grant is of another repository")
        }
        repository = format.repository
        adminKey = format.adminKey
        members = Keyring.roster(of: granted)
    }

    /// A link whose signature holds, by a slot that had the right.
    package func open(_ bytes: [UInt8], name: String) throws(HoldfastError) -> EvidenceObject.Parsed {
        let parsed = try EvidenceObject.parse(bytes, name: name)
        let object = parsed.object
        guard object.repository == repository else {
            throw ByteReader([], as: name).corrupt("it is of another repository")
        }
        try Keyring.verify(parsed.body, parsed.signature, by: object.slot, in: members, name: name) {
            $0.mayAttest(in: object.epoch)
        }
        return parsed
    }

    /// Whether `signature` is that of a member over a statement, as ``Repository/sign(_:)`` makes it.
    package func holds(_ signature: [UInt8], by slot: SlotID, over digest: Bytes32) -> Bool {
        guard let member = members[slot] else { return false }
        let body = SignedStatement.body(repository: repository, slot: slot, digest: digest)
        return SigningKey.verify(signature.span.bytes, body.span.bytes, publicKey: member.signingKey)
    }
}

/// What is signed of a file that is in no store: header (kind 17), repository 16, slot 16, SHA-256 of the file 32.
enum SignedStatement {
    static func body(repository: RepositoryID, slot: SlotID, digest: Bytes32) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.statement).write(to: &writer)
        writer.raw(repository.bytes)
        writer.raw(slot.bytes)
        writer.raw(digest)
        return writer.bytes
    }
}

/// A link as it is disclosed to somebody without a key.
package struct DisclosedLink: Sendable, Hashable {
    /// The whole object.
    package var bytes: [UInt8]
    /// Opens this record and no other; nil for one that stays sealed.
    package var seed: Bytes32?

    package init(bytes: [UInt8], seed: Bytes32?) {
        self.bytes = bytes
        self.seed = seed
    }
}

extension Repository {
    /// The signature of this slot over a file, by its digest.
    package func sign(_ digest: Bytes32) throws(HoldfastError) -> [UInt8] {
        let body = SignedStatement.body(repository: id, slot: keyring.slot, digest: digest)
        return try keyring.signing.sign(body.span.bytes)
    }

    /// What it takes to check signatures elsewhere: the format object, and all grants.
    package func publicKeys() throws(HoldfastError) -> (format: [UInt8], grants: [[UInt8]]) {
        guard let format = try Self.newestFormatKey(in: store)?.key else {
            throw HoldfastError(.repositoryNotFound, "the format object is gone", hint: "Run `holdfast check`.")
        }
        var grants: [[UInt8]] = []
        for slot in keyring.roster.keys.sorted() { grants += try grantObjects(of: slot) }
        return (try store.get(format, limit: FormatObject.maximumSize), grants)
    }

    /// A link as stored, with its seed where `disclosing`.
    ///
    /// - Throws: `.notPermitted` when this key can't open the record, so that it can't let others.
    package func disclose(
        _ slot: SlotID, _ number: UInt32, disclosing: Bool
    ) throws(HoldfastError) -> DisclosedLink {
        let (parsed, bytes) = try evidenceObject(slot, number)
        guard disclosing else { return DisclosedLink(bytes: bytes, seed: nil) }
        let keys = keyring.openingKeys(structure: true, epoch: parsed.object.epoch)
        guard let seed = try parsed.seed(with: keys) else { throw keyring.lacks("a key that opens this record") }
        return DisclosedLink(bytes: bytes, seed: seed.withBytes { Bytes32(RawSpan(_unsafeBytes: $0)) })
    }
}
