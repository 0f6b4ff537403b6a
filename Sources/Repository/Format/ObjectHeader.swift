// The sixteen bytes that every object begins with, readable without a key.

import Primitives

/// What an object is. Raw values are part of format 1.
package enum ObjectKind: UInt8, Sendable, CaseIterable {
    case format = 1
    case slot = 2
    case grant = 3
    case pack = 4
    case indexRun = 5
    case snapshot = 6
    case tombstone = 7
    case lease = 8
    case condemned = 9
    case sweep = 10
    case done = 11
    case hold = 12
    case epoch = 13
    case evidence = 14
    /// A record in a file, which nobody signed; never in a store.
    case evidenceDraft = 15
    /// A link of evidence with what it takes to check it without the repository; never in a store.
    case evidenceProof = 16
    /// What is signed of a file by its digest; never in a store.
    case statement = 17
}

/// The common head of all objects.
///
/// | offset | bytes | what |
/// |---|---|---|
/// | 0 | 8 | `HOLDFAST` |
/// | 8 | 1 | kind |
/// | 9 | 1 | version of that kind, 1 |
/// | 10 | 2 | zero |
/// | 12 | 4 | features that a reader must know, little-endian bits |
package struct ObjectHeader: Sendable, Hashable {
    package static let size = 16
    package static let magic: [UInt8] = Array("HOLDFAST".utf8)
    /// No feature is defined beyond format 1.
    package static let knownFeatures: UInt32 = 0

    package var kind: ObjectKind
    package var features: UInt32 = 0

    package init(_ kind: ObjectKind) { self.kind = kind }

    package func write(to writer: inout ByteWriter) {
        writer.raw(Self.magic)
        writer.u8(kind.rawValue)
        writer.u8(1)
        writer.u16(0)
        writer.u32(features)
    }

    /// Reads a header and refuses another kind, a newer version and an unknown feature.
    ///
    /// - Throws: `.corruptObject` for bytes that are no such object, `.unsupportedFormat` for a newer one.
    @discardableResult
    package static func read(
        from reader: inout ByteReader, expecting kinds: ObjectKind..., name: String
    ) throws(HoldfastError) -> ObjectHeader {
        guard try reader.raw(8) == magic else { throw reader.corrupt("it does not begin as a Holdfast object") }
        let rawKind = try reader.u8()
        guard let kind = ObjectKind(rawValue: rawKind), kinds.contains(kind) else {
            throw reader.corrupt("its kind is \(rawKind)")
        }
        let version = try reader.u8()
        try reader.zeros(2)
        let features = try reader.u32()
        guard version == 1, features & ~knownFeatures == 0 else {
            throw HoldfastError(
                .unsupportedFormat, "\(name) needs a newer holdfast (version \(version), features \(features))",
                hint: "Upgrade holdfast; nothing was changed.")
        }
        var header = ObjectHeader(kind)
        header.features = features
        return header
    }
}
