// Which versions of secrets were seen to open what a snapshot holds; field 20 of its record.

import Primitives

/// A version of a secret that logged in.
package struct OpenedVersion: Sendable, Hashable {
    static let maximumCount = 16

    /// As the vault calls it.
    package var id: String
    /// When the vault took it, where it says so; two versions of one id with other instants are two versions.
    package var created: Timestamp?
    /// When it was first seen to log in, and last: before the reading of the database began, and after it had ended.
    package var first: Timestamp
    package var last: Timestamp
    /// By ``OpeningKey/fingerprint(of:form:vault:secret:version:)``.
    package var fingerprint: Bytes32
    package var unknown = FieldMap()

    package init(id: String, created: Timestamp?, first: Timestamp, last: Timestamp, fingerprint: Bytes32) {
        self.id = id
        self.created = created
        self.first = first
        self.last = last
        self.fingerprint = fingerprint
    }

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, id)
        fields.put(2, created)
        fields.put(3, first)
        fields.put(4, last)
        fields.put(5, fingerprint)
        return fields.bytes
    }

    init(_ bytes: [UInt8], _ name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: SnapshotOpenings.maximumSize)
        id = try fields.need(1, try fields.text(1))
        created = try fields.time(2)
        first = try fields.need(3, try fields.time(3))
        last = try fields.need(4, try fields.time(4))
        fingerprint = try fields.need(
            5, try fields.take(5) { (reader) throws(HoldfastError) in try reader.bytes32() })
        unknown = fields.rest
    }
}

/// One secret that opens one database as one role.
package struct SnapshotOpening: Sendable, Hashable {
    /// Where the vault is, without credentials: `embedded:/var/lib/secrets.vault`, `https://vault.example.com/secret`.
    package var vault: String
    /// The name under which snapshots of the vault go.
    package var source: String
    package var secret: String
    /// The field of the secret that is the password; nil when nobody said one.
    package var field: String?
    package var role: String
    package var database: String
    /// Those that logged in, in the order in which they were first seen; several when the secret was changed while the
    /// database was read, and none when nothing was seen to log in.
    package var versions: [OpenedVersion] = []
    /// Why, at the end, nothing was seen to log in; holds no value. Nil when a login succeeded then.
    package var failure: String?
    package var unknown = FieldMap()

    package init(
        vault: String, source: String, secret: String, field: String?, role: String, database: String
    ) {
        self.vault = vault
        self.source = source
        self.secret = secret
        self.field = field
        self.role = role
        self.database = database
    }

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, vault)
        fields.put(2, source)
        fields.put(3, secret)
        fields.put(4, field)
        fields.put(5, role)
        fields.put(6, database)
        fields.put(7, list: versions) { $0.encoded }
        fields.put(8, failure)
        return fields.bytes
    }

    init(_ bytes: [UInt8], _ name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: SnapshotOpenings.maximumSize)
        vault = try fields.need(1, try fields.text(1))
        source = try fields.need(2, try fields.text(2))
        secret = try fields.need(3, try fields.text(3))
        field = try fields.text(4)
        role = try fields.need(5, try fields.text(5))
        database = try fields.need(6, try fields.text(6))
        versions = try fields.need(
            7,
            try fields.list(7, atMost: OpenedVersion.maximumCount, of: SnapshotOpenings.maximumSize) {
                (bytes, name) throws(HoldfastError) in try OpenedVersion(bytes, name)
            })
        failure = try fields.text(8)
        unknown = fields.rest
    }
}

/// All secrets that open what a snapshot holds, and the key of their fingerprints, sealed to those who read data.
package struct SnapshotOpenings: Sendable, Hashable {
    /// More cannot be declared, and none of them is longer than its texts.
    package static let maximumCount = 1024
    static let maximumSize = 1 << 20

    package var salt: Bytes32
    /// The epoch to whose data key the envelope is sealed.
    package var epoch: Epoch
    package var envelope: Envelope
    package var openings: [SnapshotOpening]
    package var unknown = FieldMap()

    package init(salt: Bytes32, epoch: Epoch, envelope: Envelope, openings: [SnapshotOpening] = []) {
        self.salt = salt
        self.epoch = epoch
        self.envelope = envelope
        self.openings = openings
    }

    var encoded: [UInt8] {
        var fields = FieldWriter(keeping: unknown)
        fields.put(1, salt)
        fields.put(2) { $0.u32(epoch) }
        fields.put(3) { envelope.write(to: &$0) }
        fields.put(4, list: openings) { $0.encoded }
        return fields.bytes
    }

    init(_ bytes: [UInt8], _ name: String) throws(HoldfastError) {
        var fields = try FieldReader(bytes, name: name, atMost: SnapshotRecord.maximumSize)
        salt = try fields.need(1, try fields.take(1) { (reader) throws(HoldfastError) in try reader.bytes32() })
        epoch = try fields.need(2, try fields.take(2) { (reader) throws(HoldfastError) in try reader.u32() })
        envelope = try fields.need(
            3, try fields.take(3) { (reader) throws(HoldfastError) in try Envelope(from: &reader) })
        openings = try fields.need(
            4,
            try fields.list(4, atMost: Self.maximumCount, of: Self.maximumSize) {
                (bytes, name) throws(HoldfastError) in try SnapshotOpening(bytes, name)
            })
        unknown = fields.rest
    }
}
