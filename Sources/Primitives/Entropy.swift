// The seam for randomness. The seeded implementation lives in TestSupport and is not linked into the product.

import CLinux

/// A source of random bytes fit for keys.
package protocol Entropy: Sendable {
    /// Fills the whole of `buffer`.
    func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError)
}

extension Entropy {
    package func bytes(_ count: Int) throws(HoldfastError) -> [UInt8] {
        var result = [UInt8](repeating: 0, count: count)
        var span = result.mutableSpan
        try span.withUnsafeMutableBufferPointer { (buffer) throws(HoldfastError) in
            try fill(UnsafeMutableRawBufferPointer(buffer))
        }
        return result
    }

    // The arrays below are named before a span is taken: a span of a temporary trips the compiler's verifier.

    package func bytes32() throws(HoldfastError) -> Bytes32 {
        let random = try bytes(32)
        return Bytes32(random.span.bytes)
    }

    package func bytes16() throws(HoldfastError) -> Bytes16 {
        let random = try bytes(16)
        return Bytes16(random.span.bytes)
    }

    /// `count` random bytes that are wiped when the last reference goes.
    package func secret(_ count: Int) throws(HoldfastError) -> SecretBytes {
        var random = try bytes(count)
        return SecretBytes(wiping: &random)
    }
}

/// The kernel's generator, getrandom(2).
package struct SystemEntropy: Entropy {
    package init() {}

    package func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(HoldfastError) {
        var filled = 0
        while filled < buffer.count {
            let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[filled...])
            let (count, number) = retryingInterrupts { getrandom(rest.baseAddress, rest.count, 0) }
            guard count > 0 else {
                throw HoldfastError.systemCall("getrandom", number, on: "the kernel's generator", code: .cryptography)
            }
            filled += count
        }
    }
}
