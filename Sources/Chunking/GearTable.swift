// The keyed table of the rolling hash, so that cut points tell a thief nothing about known files.

import Primitives

/// 256 random words, one for each value of a byte.
package struct GearTable: Sendable {
    /// How many bytes of key material make a table.
    package static let materialCount = 256 * 8
    let words: [UInt64]

    /// Takes 2,048 bytes that were derived for this purpose, as little-endian words.
    package init(material: SecretBytes) {
        precondition(material.count == Self.materialCount, "a gear table is made of 2,048 bytes")
        words = material.withBytes { raw in
            (0..<256).map { UInt64(littleEndian: raw.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)) }
        }
    }
}
