// Agreement and signatures against published vectors, and hostile keys.

import Primitives
import Sealing
import TestSupport
import Testing

@Suite("Key pairs")
struct KeyPairTests {
    @Test("X25519 gives the values of RFC 7748, section 6.1")
    func agreement() throws {
        let alice = try AgreementKey(
            raw: try secret("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"))
        let bob = try AgreementKey(
            raw: try secret("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"))
        #expect(text(alice.publicKey) == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
        #expect(text(bob.publicKey) == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
        let expected = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
        #expect(text(try alice.sharedSecret(with: bob.publicKey)) == expected)
        #expect(text(try bob.sharedSecret(with: alice.publicKey)) == expected)
    }

    @Test(
        "a peer's key of low order is refused",
        arguments: [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "0100000000000000000000000000000000000000000000000000000000000000",
            "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
            "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        ])
    func lowOrder(peer: String) throws {
        let key = try AgreementKey.generate(entropy: SeededEntropy(seed: 31))
        let point = try bytes32(peer)
        #expect(failure { () throws(HoldfastError) in try key.sharedSecret(with: point) } == .cryptography)
    }

    @Test(
        "Ed25519 gives the values of RFC 8032, section 7.1",
        arguments: [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
                    + "d25bf5f0595bbe24655141438e7a100b"
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c"
                    + "387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ])
    func signature(seed: String, publicKey: String, message: String, expected: String) throws {
        let key = try SigningKey(seed: try secret(seed))
        #expect(text(key.publicKey) == publicKey)
        let message = try bytes(message)
        let signature = try key.sign(message.span.bytes)
        #expect(Hex.encode(signature) == expected)
        let valid = SigningKey.verify(signature.span.bytes, message.span.bytes, publicKey: key.publicKey)
        #expect(valid)
    }

    @Test("a changed or cut signature, another message or another key does not verify")
    func forgeries() throws {
        let entropy = SeededEntropy(seed: 32)
        let key = try SigningKey.generate(entropy: entropy)
        let other = try SigningKey.generate(entropy: entropy)
        let message = Array("what was signed".utf8)
        let signature = try key.sign(message.span.bytes)
        func valid(_ signature: [UInt8], _ message: [UInt8], _ publicKey: Bytes32) -> Bool {
            SigningKey.verify(signature.span.bytes, message.span.bytes, publicKey: publicKey)
        }
        #expect(valid(signature, message, key.publicKey))
        for index in signature.indices {
            var bent = signature
            bent[index] ^= 1
            #expect(!valid(bent, message, key.publicKey), "byte \(index)")
        }
        for count in 0..<64 { #expect(!valid(Array(signature.prefix(count)), message, key.publicKey)) }
        #expect(!valid(signature + [0], message, key.publicKey))
        #expect(!valid(signature, message + [0], key.publicKey))
        #expect(!valid(signature, message, other.publicKey))
        #expect(!valid(signature, message, Bytes32(w0: .max, w1: .max, w2: .max, w3: .max)))
    }

    @Test("keys come from the entropy that is given, and only 32 bytes make one")
    func sources() throws {
        let first = try AgreementKey.generate(entropy: SeededEntropy(seed: 33))
        let again = try AgreementKey.generate(entropy: SeededEntropy(seed: 33))
        #expect(first.publicKey == again.publicKey)
        #expect(text(first.privateKey) == text(try SeededEntropy(seed: 33).secret(32)))
        let signer = try SigningKey.generate(entropy: SeededEntropy(seed: 33))
        #expect(text(signer.seed) == text(first.privateKey))
        for count in [0, 31, 33, 64] {
            let raw = SecretBytes(count: count)
            #expect(failure { () throws(HoldfastError) in try AgreementKey(raw: raw) } == .cryptography)
            #expect(failure { () throws(HoldfastError) in try SigningKey(seed: raw) } == .cryptography)
        }
    }
}
