// Signatures that were found good, so that an object that is read again is not verified again.

import Primitives
import Synchronization

/// Remembers valid signatures by the SHA-256 of key, signature and message; invalid ones are never remembered.
///
/// A collection reads the same grants, leases and snapshots at each of its steps, and a check of Ed25519 costs as much
/// as the digest of 100 KB. Whether a signature is valid depends on these three alone, so that the answer can be kept
/// for the whole process: another key, one other bit in the message, or another signature gives another digest.
///
/// Memory: twice ``generationLimit`` digests, about 1 MiB. Thread: may be used from any thread.
final class VerifiedSignatures: Sendable {
    /// Digests in each of the two generations. When the young one is full, the old one is dropped.
    static let generationLimit = 1 << 13
    /// Longer messages are verified each time: they are few, and hashing them once more costs more than it saves.
    static let maximumMessage = 1 << 15

    static let shared = VerifiedSignatures()

    private let state = Mutex<(young: Set<Bytes32>, old: Set<Bytes32>)>(([], []))

    /// What a signature is remembered by; nil for a message that is too long.
    static func name(_ signature: RawSpan, _ message: RawSpan, publicKey: Bytes32) -> Bytes32? {
        guard message.byteCount <= maximumMessage else { return nil }
        // Key and signature have fixed lengths, so that no two triples give one string.
        return withUnsafeTemporaryAllocation(byteCount: 96 + message.byteCount, alignment: 8) { scratch in
            publicKey.withBytes { scratch.copyMemory(from: $0) }
            signature.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: scratch[32...]).copyMemory(from: $0) }
            message.withUnsafeBytes { UnsafeMutableRawBufferPointer(rebasing: scratch[96...]).copyMemory(from: $0) }
            return SHA256.digest(UnsafeRawBufferPointer(scratch).bytes)
        }
    }

    func contains(_ name: Bytes32) -> Bool {
        state.withLock { $0.young.contains(name) || $0.old.contains(name) }
    }

    /// Digests that are remembered now.
    var count: Int { state.withLock { $0.young.count + $0.old.count } }

    func insert(_ name: Bytes32) {
        state.withLock { state in
            if state.young.count >= Self.generationLimit {
                state.old = state.young
                state.young = []
            }
            state.young.insert(name)
        }
    }
}
