// A distinct type for each kind of id, so that none is passed for another.

/// An id that is 32 bytes of digest and prints as 64 hexadecimal digits.
package protocol DigestID: Hashable, Sendable, Comparable, CustomStringConvertible {
    var bytes: Bytes32 { get }
    init(_ bytes: Bytes32)
}

extension DigestID {
    package static func < (a: Self, b: Self) -> Bool { a.bytes < b.bytes }
    package var description: String { Hex.encode(bytes.array) }

    /// Reads 64 lower-case hexadecimal digits; nil for anything else.
    package init?(hex: some StringProtocol) {
        guard let raw = Hex.decode(hex), raw.count == 32 else { return nil }
        self.init(Bytes32(raw.span.bytes))
    }
}

/// The keyed digest of a chunk's plaintext; all zero stands for a block of zeros.
package struct ChunkID: DigestID, BitwiseCopyable {
    package let bytes: Bytes32
    @inlinable package init(_ bytes: Bytes32) { self.bytes = bytes }
    /// Stands for a block or an extent of zeros that is stored nowhere.
    package static let zeros = ChunkID(Bytes32())
}

/// The SHA-256 of a pack's bytes, which is its name.
package struct PackID: DigestID, BitwiseCopyable {
    package let bytes: Bytes32
    @inlinable package init(_ bytes: Bytes32) { self.bytes = bytes }
}

/// The SHA-256 of an index run's bytes, which is its name.
package struct IndexRunID: DigestID, BitwiseCopyable {
    package let bytes: Bytes32
    @inlinable package init(_ bytes: Bytes32) { self.bytes = bytes }
}

/// An id that is 16 bytes and prints as 32 hexadecimal digits.
package protocol ShortID: Hashable, Sendable, Comparable, CustomStringConvertible {
    var bytes: Bytes16 { get }
    init(_ bytes: Bytes16)
}

extension ShortID {
    package static func < (a: Self, b: Self) -> Bool { a.bytes < b.bytes }
    package var description: String { Hex.encode(bytes.array) }

    package init?(hex: some StringProtocol) {
        guard let raw = Hex.decode(hex), raw.count == 16 else { return nil }
        self.init(Bytes16(raw.span.bytes))
    }
}

/// The random id of a repository.
package struct RepositoryID: ShortID, BitwiseCopyable {
    package let bytes: Bytes16
    package init(_ bytes: Bytes16) { self.bytes = bytes }
}

/// The id of a key slot: the first half of the SHA-256 of its public keys.
package struct SlotID: ShortID, BitwiseCopyable {
    package let bytes: Bytes16
    package init(_ bytes: Bytes16) { self.bytes = bytes }
}

/// The keyed digest of a source's identity, under which its snapshots are stored.
package struct SourceTag: ShortID, BitwiseCopyable {
    package let bytes: Bytes16
    package init(_ bytes: Bytes16) { self.bytes = bytes }
}

/// A lease and the snapshot it will commit share one ULID.
package typealias LeaseID = ULID
/// A snapshot's id.
package typealias SnapshotID = ULID
/// The number of a generation of epoch keys, from 1.
package typealias Epoch = UInt32
