// The key of the fingerprints of secrets that open a snapshot: gone with its maker, and sealed to those who read data.

import Primitives
import Sealing

/// What tells later whether a value is the one that logged in, and lets nobody test a guess who could not read it.
///
/// Fresh for each snapshot. Whoever takes the snapshot has it while the values are in its hands, and not afterwards: it
/// goes into an envelope to the epoch's data key alone, not to the writer's slot. So neither the key of a writer nor
/// that of a maintainer, which read the record, can hold a guess against a fingerprint; restorers and admins can, who
/// may read the values anyway.
package struct OpeningKey: Sendable {
    /// As `kind` of the envelope; never a kind of pack or of object.
    package static let envelopeKind: UInt8 = 17

    private let key: SecretBytes

    /// Makes one, sealed to the newest epoch's data key.
    package static func make(
        in repository: Repository
    ) throws(HoldfastError) -> (key: OpeningKey, openings: SnapshotOpenings) {
        let current = repository.keyring.current
        return try make(
            repository.id, epoch: current.epoch, dataKey: current.dataPublic, entropy: repository.entropy)
    }

    package static func make(
        _ repository: RepositoryID, epoch: Epoch, dataKey: Bytes32, entropy: any Entropy
    ) throws(HoldfastError) -> (key: OpeningKey, openings: SnapshotOpenings) {
        let salt = try entropy.bytes32()
        let seed = try entropy.secret(32)
        let envelope = try Envelope.seal(
            seed, to: [dataKey], binding: binding(repository, epoch, salt), entropy: entropy)
        return (try OpeningKey(seed, salt), SnapshotOpenings(salt: salt, epoch: epoch, envelope: envelope))
    }

    /// The key of `openings`.
    ///
    /// - Throws: `.notPermitted` for a key that may not read data of that epoch; `.corruptObject`.
    package init(_ openings: SnapshotOpenings, _ repository: Repository) throws(HoldfastError) {
        let keyring = repository.keyring
        guard let own = keyring.epochs[openings.epoch]?.dataPrivate else {
            throw keyring.lacks("the data key of epoch \(openings.epoch)")
        }
        try self.init(openings, repository.id, dataKey: own)
    }

    package init(
        _ openings: SnapshotOpenings, _ repository: RepositoryID, dataKey: AgreementKey
    ) throws(HoldfastError) {
        let binding = Self.binding(repository, openings.epoch, openings.salt)
        guard let seed = try openings.envelope.open(with: [dataKey], binding: binding) else {
            throw HoldfastError(
                .corruptObject, "the key of the fingerprints of secrets is sealed to another key than the epoch's",
                hint: "Run `holdfast check`; somebody who may write snapshots made this one by hand.")
        }
        try self.init(seed, openings.salt)
    }

    private init(_ seed: SecretBytes, _ salt: Bytes32) throws(HoldfastError) {
        key = try HKDF.derive(seed, salt: salt.array, info: Array("opening".utf8), count: 32)
    }

    /// HMAC of the vault, the secret, the version's id, the form of the value, and the value.
    package func fingerprint(
        of value: SecretBytes, form: UInt8, vault: String, secret: String, version: String
    ) -> Bytes32 {
        var head = ByteWriter()
        head.string(vault)
        head.string(secret)
        head.string(version)
        head.u8(form)
        let bytes = head.bytes
        return value.withBytes { raw in
            KeyedHash(key: key).digest(bytes.span.bytes, RawSpan(_unsafeBytes: raw))
        }
    }

    private static func binding(_ repository: RepositoryID, _ epoch: Epoch, _ salt: Bytes32) -> Envelope.Binding {
        Envelope.Binding(repository: repository, kind: envelopeKind, epoch: epoch, salt: salt)
    }
}
