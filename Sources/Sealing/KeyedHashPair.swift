// HMAC-SHA256 of two messages at once, on processors with instructions for SHA-256.

import CLinux
import Primitives

/// The states of HMAC-SHA256 under one key, ready for pairs of messages.
///
/// The rounds of SHA-256 wait for each other, so that two messages side by side take little more time than one.
/// Thread: may be used from any thread.
package final class KeyedHashPair: Sendable {
    /// The states after the inner and the outer block of the key, which are as secret as the key.
    private let states: SecretBytes
    private static let stateSize = 32
    /// Asked once: on a virtual machine the question leaves the machine and takes as long as hashing 50 KB.
    private static let hasLanes = holdfast_sha256_has_lanes() != 0

    /// Takes the two blocks of 64 bytes that the key gives; nil where the processor lacks the instructions.
    package init?(inner: UnsafeRawBufferPointer, outer: UnsafeRawBufferPointer) {
        precondition(inner.count == 64 && outer.count == 64, "a block of SHA-256 has 64 bytes")
        guard Self.hasLanes else { return nil }
        states = SecretBytes(count: 2 * Self.stateSize)
        states.withMutableBytes { raw in
            let words = raw.assumingMemoryBound(to: UInt32.self)
            holdfast_sha256_start(words.baseAddress, inner.assumingMemoryBound(to: UInt8.self).baseAddress)
            holdfast_sha256_start(
                words.baseAddress.map { $0 + Self.stateSize / 4 },
                outer.assumingMemoryBound(to: UInt8.self).baseAddress)
        }
    }

    /// The keyed digests of both messages, of any lengths.
    package func digests(_ first: RawSpan, _ second: RawSpan) -> (Bytes32, Bytes32) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 64) { output in
            let start = output.baseAddress
            states.withBytes { raw in
                let inner = raw.assumingMemoryBound(to: UInt32.self).baseAddress
                first.withUnsafeBytes { first in
                    second.withUnsafeBytes { second in
                        holdfast_hmac_sha256_two(
                            inner, inner.map { $0 + Self.stateSize / 4 }, first.baseAddress, first.count,
                            second.baseAddress, second.count, start, start.map { $0 + 32 })
                    }
                }
            }
            let results = UnsafeRawBufferPointer(output).bytes
            return (Bytes32(results), Bytes32(results, at: 32))
        }
    }
}
