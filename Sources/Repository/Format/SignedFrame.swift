// Small objects that end in a signature and the SHA-256 of all before it.

import Primitives
import Sealing

/// The frame of slots, snapshots, leases and collection objects: body, Ed25519 signature, SHA-256.
package enum SignedFrame {
    package static let signatureSize = 64
    package static let trailerSize = 64 + 32

    /// Appends the signature over `body` and the digest over both.
    package static func close(_ body: [UInt8], signer: SigningKey) throws(HoldfastError) -> [UInt8] {
        var bytes = body
        bytes.append(contentsOf: try signer.sign(body.span.bytes))
        let digest = SHA256.digest(bytes.span.bytes)
        bytes.append(contentsOf: digest.array)
        return bytes
    }

    /// Splits an object into body and signature after comparing the digest; the signature is not looked at.
    ///
    /// - Throws: `.corruptObject` naming the object when it is short or its digest differs.
    package static func open(
        _ bytes: [UInt8], name: String
    ) throws(HoldfastError) -> (body: [UInt8], signature: [UInt8]) {
        let reader = ByteReader(bytes, as: name)
        guard bytes.count >= ObjectHeader.size + trailerSize else { throw reader.corrupt("it is too short") }
        let signedCount = bytes.count - 32
        guard SHA256.digest(bytes.span.bytes.extracting(..<signedCount)) == Bytes32(bytes.span.bytes, at: signedCount)
        else { throw reader.corrupt("its bytes do not match its own digest") }
        let bodyCount = signedCount - signatureSize
        return (Array(bytes[..<bodyCount]), Array(bytes[bodyCount..<signedCount]))
    }

    /// - Throws: `.corruptObject` when the signature is not of `key` over `body`.
    package static func verify(
        _ body: [UInt8], _ signature: [UInt8], key: Bytes32, name: String
    ) throws(HoldfastError) {
        guard SigningKey.verify(signature.span.bytes, body.span.bytes, publicKey: key) else {
            throw HoldfastError(
                .corruptObject, "\(name) bears a signature that is not of the key it names",
                hint: "It is forged or damaged; restore it from a mirror, and find out who can write to the store.")
        }
    }
}
