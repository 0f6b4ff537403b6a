// Keys that the fuzzer holds, so that inputs get past digests, signatures and seals to the decoders behind them.

import ObjectStore
import Primitives
import Repository
import Sealing
import TestSupport

/// Fixed keys, and a repository in memory made with random ones.
struct FuzzKeys {
    let signer: SigningKey
    let agreement: AgreementKey
    let secret: SecretBytes
    let test: TestRepository
    let scratch: String
    let entropy = SeededEntropy(seed: 1)

    init(scratch: String) throws(HoldfastError) {
        func secret(_ byte: UInt8) -> SecretBytes {
            var bytes = [UInt8](repeating: byte, count: 32)
            return SecretBytes(wiping: &bytes)
        }
        signer = try SigningKey(seed: secret(1))
        agreement = try AgreementKey(raw: secret(2))
        self.secret = secret(3)
        test = try TestRepository()
        self.scratch = scratch
    }

    /// `body` with the signature and the digest that belong to it.
    func frame(_ body: [UInt8]) throws(HoldfastError) -> [UInt8] { try SignedFrame.close(body, signer: signer) }

    /// The body of a frame without its signature and its digest.
    static func body(_ frame: [UInt8]) -> [UInt8] { Array(frame.dropLast(SignedFrame.trailerSize)) }
}

/// Writes `part` over `bytes` at `offset` when it fits.
func patch(_ bytes: inout [UInt8], _ offset: Int, _ part: [UInt8]) {
    guard offset >= 0, offset + part.count <= bytes.count else { return }
    bytes.replaceSubrange(offset..<offset + part.count, with: part)
}

/// The number in the first bytes of an input, which are taken off.
func take(_ count: Int, from bytes: inout [UInt8]) -> Int {
    let number = bytes.prefix(count).reversed().reduce(0) { $0 << 8 | Int($1) }
    bytes.removeFirst(min(count, bytes.count))
    return number
}
