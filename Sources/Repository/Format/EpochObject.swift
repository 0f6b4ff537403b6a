// epochs/<n>: the public keys of an epoch, put before any grant of it, so that one number never stands for two sets of
// keys.

import Primitives
import Sealing

/// The opening of an epoch.
///
/// Two admins that rotate at once take different numbers, for the name is created if absent. A grant whose public keys
/// are not those of its epoch does not exist. An epoch that was opened and never granted, since its admin crashed,
/// stays empty; the next rotation takes the next number.
///
/// Body: header, repository 16, epoch u32, made i64, data public key 32, structure public key 32; signed by the admin.
package struct EpochObject: Sendable, Hashable {
    package static let maximumSize = ByteCount.kibi(4)

    package var repository: RepositoryID
    package var epoch: Epoch
    package var made: Timestamp
    package var dataPublic: Bytes32
    package var structurePublic: Bytes32

    package init(
        repository: RepositoryID, epoch: Epoch, made: Timestamp, dataPublic: Bytes32, structurePublic: Bytes32
    ) {
        self.repository = repository
        self.epoch = epoch
        self.made = made
        self.dataPublic = dataPublic
        self.structurePublic = structurePublic
    }

    /// A digest of all that the object says.
    package var fingerprint: Bytes32 {
        var writer = ByteWriter()
        writer.raw(repository.bytes)
        writer.u32(epoch)
        writer.i64(made.nanoseconds)
        writer.raw(dataPublic)
        writer.raw(structurePublic)
        let bytes = writer.bytes
        return SHA256.digest(bytes.span.bytes)
    }

    package func encoded(admin: SigningKey) throws(HoldfastError) -> [UInt8] {
        var writer = ByteWriter()
        ObjectHeader(.epoch).write(to: &writer)
        writer.raw(repository.bytes)
        writer.u32(epoch)
        writer.i64(made.nanoseconds)
        writer.raw(dataPublic)
        writer.raw(structurePublic)
        return try SignedFrame.close(writer.bytes, signer: admin)
    }

    /// Reads the object and verifies that the admin signed it.
    package init(_ bytes: [UInt8], name: String, adminKey: Bytes32) throws(HoldfastError) {
        let (body, signature) = try SignedFrame.open(bytes, name: name)
        var reader = ByteReader(body, as: name)
        try ObjectHeader.read(from: &reader, expecting: .epoch, name: name)
        repository = RepositoryID(try reader.bytes16())
        epoch = try reader.u32()
        made = Timestamp(nanoseconds: try reader.i64())
        dataPublic = try reader.bytes32()
        structurePublic = try reader.bytes32()
        try reader.expectEnd()
        try SignedFrame.verify(body, signature, key: adminKey, name: name)
    }
}
