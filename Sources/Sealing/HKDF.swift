// HKDF-SHA256 (RFC 5869): one key into many, each bound to its purpose.

import COpenSSL
import Primitives

/// Extract-and-expand key derivation.
package enum HKDF {
    /// The longest output that the construction defines.
    package static let maximumCount = 255 * 32

    /// Derives `count` bytes from `key` for the purpose that `info` names.
    ///
    /// - Throws: `.limitExceeded` when `count` is over 8,160.
    package static func derive(
        _ key: SecretBytes, salt: [UInt8], info: [UInt8], count: Int
    ) throws(HoldfastError) -> SecretBytes {
        guard count >= 0, count <= maximumCount else {
            throw HoldfastError(
                .limitExceeded, "a derived key of \(count) bytes is over the limit of \(maximumCount)",
                hint: "Derive several keys under different purposes.")
        }
        // An empty salt is a key of no bytes, which HMAC pads to the block of zeros that the standard asks for.
        let extractor = KeyedHash(key: SecretBytes(copying: salt.span.bytes))
        let expander = KeyedHash(key: secret(key.withBytes { extractor.digest($0.bytes) }))
        let result = SecretBytes(count: count)
        // Each round hashes the block before, the purpose and the round's number, together in one scratch.
        let scratch = SecretBytes(count: 32 + info.count + 1)
        result.withMutableBytes { output in
            scratch.withMutableBytes { input in
                UnsafeMutableRawBufferPointer(rebasing: input[32...]).copyBytes(from: info)
                var offset = 0
                var round: UInt8 = 1
                while offset < count {
                    input[input.count - 1] = round
                    let start = round == 1 ? 32 : 0
                    let block = expander.digest(UnsafeRawBufferPointer(rebasing: input[start...]).bytes)
                    block.withBytes { raw in
                        input.copyMemory(from: raw)
                        let taken = min(32, count - offset)
                        UnsafeMutableRawBufferPointer(rebasing: output[offset..<offset + taken])
                            .copyMemory(from: UnsafeRawBufferPointer(rebasing: raw[..<taken]))
                        offset += taken
                    }
                    round &+= 1
                }
            }
        }
        return result
    }
}

/// A digest that is used as a key.
func secret(_ bytes: Bytes32) -> SecretBytes {
    bytes.withBytes { SecretBytes(copying: $0.bytes) }
}
