// Verifiers of SCRAM-SHA-256 against the exchange of RFC 7677.

import Primitives
import Sealing
import TestSupport
import Testing

@Suite("A SCRAM verifier")
struct SCRAMTests {
    private func secret(_ text: String) -> SecretBytes {
        let bytes = Array(text.utf8)
        return SecretBytes(copying: bytes.span.bytes)
    }

    @Test("has the server's signature of the exchange in RFC 7677")
    func vector() throws {
        // base64 of W22ZaJ0SNY7soEsUEjb6gQ==
        let salt: [UInt8] = [
            0x5B, 0x6D, 0x99, 0x68, 0x9D, 0x12, 0x35, 0x8E, 0xEC, 0xA0, 0x4B, 0x14, 0x12, 0x36, 0xFA, 0x81,
        ]
        let verifier = try SCRAMVerifier(password: secret("pencil"), salt: salt)
        let message =
            "n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
            + "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
        let key = verifier.serverKey.withBytes { SecretBytes(copying: $0.bytes) }
        let signature = KeyedHash.digest(key: key, Array(message.utf8).span.bytes)
        // v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=
        #expect(
            Hex.encode(signature.array) == "eabae24d1062db75a9451ff0b6ea7e98c8546549ff741e672d3251b2397de46e")
        #expect(verifier.text.hasPrefix("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"))
    }

    @Test("is not made of letters that two sides may prepare differently")
    func letters() {
        for text in ["", "pässword", "tab\there", "\u{7F}"] {
            #expect(throws: HoldfastError.self) {
                _ = try SCRAMVerifier(password: secret(text), entropy: SystemEntropy())
            }
        }
    }
}
