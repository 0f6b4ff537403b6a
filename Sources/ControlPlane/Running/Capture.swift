// The end of what a child prints, however much it prints.

import Primitives
import Synchronization

/// Keeps the last bytes that it is given.
package struct TailBuffer: Sendable {
    package let limit: Int
    private var bytes: [UInt8] = []
    /// All bytes that it was given.
    package private(set) var total: UInt64 = 0

    package init(limit: Int) {
        precondition(limit > 0, "a tail has a length")
        self.limit = limit
    }

    package mutating func append(_ piece: UnsafeRawBufferPointer) {
        total += UInt64(piece.count)
        bytes.append(contentsOf: piece.suffix(limit))
        if bytes.count > 2 * limit { bytes.removeFirst(bytes.count - limit) }
    }

    package var tail: [UInt8] { Array(bytes.suffix(limit)) }
}

extension SecretScrubber {
    /// The last `limit` bytes of `bytes` without secrets, as text. `isCut` says that there was something before
    /// `bytes`:
    /// then the first line goes, of which a secret may be the end.
    package func tail(_ bytes: [UInt8], limit: Int, isCut: Bool) -> String {
        var whole = bytes
        if isCut { whole = Array(bytes[((bytes.firstIndex(of: 10) ?? bytes.count - 1) + 1)...]) }
        let clean = scrub(whole)
        guard clean.count > limit else { return String(decoding: clean, as: UTF8.self) }
        return String(decoding: clean.suffix(limit), as: UTF8.self)
    }
}
