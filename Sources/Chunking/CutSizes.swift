// How long the chunks of a stream may be.

import Primitives

/// The bounds and the aim of content-defined chunks, in bytes.
package struct CutSizes: Hashable, Sendable {
    package let minimum: Int
    /// A power of two; the expected length lies a little over it.
    package let average: Int
    package let maximum: Int

    /// 256 KiB, 1 MiB and 4 MiB.
    package static let standard = CutSizes(minimum: 256 << 10, average: 1 << 20, maximum: 4 << 20)

    package init(minimum: Int, average: Int, maximum: Int) {
        precondition(minimum >= ContentCutter.reach && minimum <= average && average <= maximum, "sizes out of order")
        precondition(average.nonzeroBitCount == 1 && average <= 1 << 30, "the average is a power of two up to 1 GiB")
        self.minimum = minimum
        self.average = average
        self.maximum = maximum
    }
}
