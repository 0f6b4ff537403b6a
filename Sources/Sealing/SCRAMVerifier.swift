// SCRAM-SHA-256 (RFC 5802, RFC 7677): what a server keeps of a password, computed here, so that it never gets the
// password itself.

import Primitives

/// A verifier as PostgreSQL keeps it: `SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY`, parts in base 64.
package struct SCRAMVerifier: Sendable {
    /// What PostgreSQL itself takes.
    package static let iterations = 4096
    package static let saltCount = 16

    package let storedKey: Bytes32
    package let serverKey: Bytes32
    package let salt: [UInt8]
    package let iterations: Int

    /// - Parameter password: Printable ASCII, of which SASLprep (RFC 4013) changes nothing. Other letters are refused,
    ///   since two sides that prepare them differently would not meet.
    /// - Throws: `.usage` for other passwords.
    package init(password: SecretBytes, salt: [UInt8], iterations: Int = SCRAMVerifier.iterations) throws(HoldfastError)
    {
        let isPlain = password.withBytes { raw in !raw.isEmpty && raw.allSatisfy { (0x20...0x7E).contains($0) } }
        guard isPlain else {
            throw HoldfastError(
                .usage, "a password for PostgreSQL has letters beside printable ASCII, or none",
                hint: "Let the generator draw from letters of ASCII.")
        }
        let salted = Self.salted(password, salt, iterations)
        let client = KeyedHash.digest(key: salted, Array("Client Key".utf8).span.bytes)
        storedKey = client.withBytes { SHA256.digest($0.bytes) }
        serverKey = KeyedHash.digest(key: salted, Array("Server Key".utf8).span.bytes)
        self.salt = salt
        self.iterations = iterations
    }

    package init(password: SecretBytes, entropy: any Entropy) throws(HoldfastError) {
        try self.init(password: password, salt: try entropy.bytes(Self.saltCount))
    }

    /// Hi() of RFC 5802: PBKDF2 with HMAC-SHA-256, of one block.
    private static func salted(_ password: SecretBytes, _ salt: [UInt8], _ iterations: Int) -> SecretBytes {
        let hash = KeyedHash(key: password)
        let first = salt + [0, 0, 0, 1]
        var round = hash.digest(first.span.bytes)
        var sum = round
        for _ in 1..<max(1, iterations) {
            round = round.withBytes { hash.digest($0.bytes) }
            sum = Bytes32(
                w0: sum.w0 ^ round.w0, w1: sum.w1 ^ round.w1, w2: sum.w2 ^ round.w2, w3: sum.w3 ^ round.w3)
        }
        return secret(sum)
    }

    package var text: String {
        "SCRAM-SHA-256$\(iterations):\(Self.base64(salt))$\(Self.base64(storedKey.array)):\(Self.base64(serverKey.array))"
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let part = bytes[start..<min(start + 3, bytes.count)]
            let bits = part.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - part.count))
            for letter in 0..<4 {
                text.append(
                    letter <= part.count ? letters[Int(bits >> UInt32(18 - 6 * letter) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
