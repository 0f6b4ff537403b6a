// Padded lengths, so that sizes of objects say little about sizes of content.

/// PADMÉ (Nikitin et al., "Reducing metadata leakage from encrypted files and communication with PURBs", PoPETs 2019):
/// at most 12 % more, and O(log log n) bits told.
package enum Padding {
    /// The padded length of `count` bytes, at least `floor`.
    package static func padme(_ count: Int, floor: Int) -> Int {
        guard count > floor else { return floor }
        let exponent = Int.bitWidth - 1 - count.leadingZeroBitCount
        let significant = Int.bitWidth - exponent.leadingZeroBitCount
        let mask = (1 << max(0, exponent - significant)) - 1
        return (count + mask) & ~mask
    }
}
