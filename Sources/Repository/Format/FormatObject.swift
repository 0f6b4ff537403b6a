// format/<n>: the version, the repository's id, the admin key and the settings that all clients share.

import Primitives
import Sealing

/// The signed description of a repository. The highest validly signed number rules.
package struct FormatObject: Sendable, Hashable {
    package static let version: UInt32 = 1
    package static let maximumSize = ByteCount.kibi(64)

    package var number: UInt32
    package var repository: RepositoryID
    package var adminKey: Bytes32
    package var created: Timestamp
    /// Feature bits that a client must know to read, to write, and to collect.
    package var readFeatures: UInt32
    package var writeFeatures: UInt32
    package var collectFeatures: UInt32
    /// The compression that `init` chose, in the words of the command line.
    package var compression: String
    package var extra: FieldMap

    package init(
        number: UInt32, repository: RepositoryID, adminKey: Bytes32, created: Timestamp, compression: String
    ) {
        self.number = number
        self.repository = repository
        self.adminKey = adminKey
        self.created = created
        readFeatures = 0
        writeFeatures = 0
        collectFeatures = 0
        self.compression = compression
        extra = FieldMap()
    }

    package func encoded(signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.format).write(to: &writer)
        writer.u32(Self.version)
        writer.u32(number)
        writer.raw(repository.bytes)
        writer.raw(adminKey)
        writer.i64(created.nanoseconds)
        writer.u32(readFeatures)
        writer.u32(writeFeatures)
        writer.u32(collectFeatures)
        writer.string(compression)
        extra.write(to: &writer)
        return try SignedFrame.close(writer.bytes, signer: signer)
    }

    /// Reads and verifies the object; `trusted` is the admin key that the caller knows already, if any.
    package init(_ bytes: [UInt8], name: String, trusted: Bytes32?) throws(HoldfastError) {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .format, name: name)
        let version = try reader.u32()
        number = try reader.u32()
        repository = RepositoryID(try reader.bytes16())
        adminKey = try reader.bytes32()
        created = Timestamp(nanoseconds: try reader.i64())
        readFeatures = try reader.u32()
        writeFeatures = try reader.u32()
        collectFeatures = try reader.u32()
        guard version == Self.version else {
            throw HoldfastError(
                .unsupportedFormat, "\(name) is of repository format \(version), this holdfast knows format 1",
                hint: "Upgrade holdfast; nothing was changed.")
        }
        compression = try reader.string(atMost: 64)
        extra = try FieldMap(from: &reader, atMost: 4096)
        try reader.expectEnd()
        try SignedFrame.verify(body, signature, key: trusted ?? adminKey, name: name)
    }
}
