// A secret as a chunk: what is between the repository's sealing and the value itself.

import CLinux
import Primitives

/// The plain bytes of a chunk of class secret (docs/format.md, "Secrets").
///
/// Encoding: 32 random bytes, u8 1 (version), u8 form, u32 length, the value, zeros up to the padded length. The random
/// bytes make the chunk's id say nothing of the value, also to those who have the key of ids: nobody can test a guess.
package enum SecretItem {
    /// The shortest padded length: those of most secrets are not told apart.
    package static let floor = 512
    /// The longest value, in bytes.
    package static let maximumValue = 1 << 20
    private static let headCount = 32 + 1 + 1 + 4
    /// The longest padded length.
    package static let maximumSize = Padding.padme(maximumValue + headCount, floor: floor)

    /// - Parameter form: What kind of bytes the value is; the vault's model gives the numbers a meaning.
    /// - Throws: `.limitExceeded` for a longer value.
    package static func encoded(
        form: UInt8, _ value: SecretBytes, entropy: any Entropy
    ) throws(HoldfastError) -> SecretBytes {
        guard value.count <= maximumValue else {
            throw HoldfastError(
                .limitExceeded, "a secret of \(value.count) bytes",
                hint: "A secret has \(maximumValue) bytes at most; keep larger things in files.")
        }
        let item = SecretBytes(count: Padding.padme(headCount + value.count, floor: floor))
        let random = try entropy.bytes32()
        item.withMutableBytes { bytes in
            for (place, byte) in random.array.enumerated() { bytes[place] = byte }
            bytes[32] = 1
            bytes[33] = form
            for place in 0..<4 { bytes[34 + place] = UInt8(truncatingIfNeeded: value.count >> (8 * place)) }
            value.withBytes { plain in
                UnsafeMutableRawBufferPointer(rebasing: bytes[headCount...]).copyMemory(from: plain)
            }
        }
        return item
    }

    /// - Throws: `.corruptObject` for what no writer makes.
    package static func value(
        of item: UnsafeRawBufferPointer
    ) throws(HoldfastError) -> (form: UInt8, value: SecretBytes) {
        func corrupt(_ what: String) -> HoldfastError {
            HoldfastError(
                .corruptObject, "a stored secret is damaged: \(what)", hint: "Run `holdfast check --read-data`.")
        }
        guard item.count >= floor, item.count <= maximumSize else { throw corrupt("its length cannot be") }
        guard item[32] == 1 else { throw corrupt("its version \(item[32]) is unknown") }
        let count = (0..<4).reduce(0) { $0 | Int(item[34 + $1]) << (8 * $1) }
        guard count <= maximumValue, item.count == Padding.padme(headCount + count, floor: floor) else {
            throw corrupt("its lengths contradict each other")
        }
        let value = SecretBytes(count: count)
        value.withMutableBytes { bytes in
            bytes.copyMemory(from: UnsafeRawBufferPointer(rebasing: item[headCount..<headCount + count]))
        }
        return (item[33], value)
    }
}
