// Base64 of secrets, held to Foundation's.

import Foundation
import Primitives
import SecretVaults
import TestSupport
import TestThreads
import Testing

@testable import VaultProviders

@Suite("Base64 of secrets", .waiting)
struct SecretBase64Tests {
    @Test("is what others write, and is read back, for each length")
    func same() throws {
        let entropy = SeededEntropy(seed: 11)
        for count in 0..<70 {
            let bytes = try entropy.bytes(count)
            let encoded = SecretBase64.encode(SecretBytes(copying: bytes.span.bytes))
            let text = encoded.withBytes { String(decoding: $0, as: UTF8.self) }
            #expect(text == Data(bytes).base64EncodedString())
            let decoded = SecretBase64.decode(encoded)?.withBytes { [UInt8]($0) }
            #expect(decoded == bytes)
        }
    }

    @Test(
        "is refused where another text would say the same",
        arguments: [
            "A", "AA", "AA=", "AAA", "A===", "=AAA", "AB==", "AAB=", "AA=A", "AA==AAAA", "AA-_", "AA A", "AAA\n",
        ])
    func refused(_ text: String) { #expect(SecretBase64.decode(secret(text)) == nil) }
}

@Suite("Texts in XML", .waiting)
struct XMLTextTests {
    @Test("are found by the name of their element, with their entities")
    func found() {
        let document = secret("<?xml version=\"1.0\"?><A><B>x &amp; &lt;y&gt;</B><C><D>1</D></C><E></E></A>")
        #expect(XMLText.text(of: "B", in: document) == "x & <y>")
        #expect(XMLText.text(of: "D", in: document) == "1" && XMLText.text(of: "E", in: document) == "")
        #expect(XMLText.text(of: "C", in: document) == nil && XMLText.text(of: "F", in: document) == nil)
        for text in ["", "<B>", "<B>x", "<B>x</C>", "</B><B>"] {
            #expect(XMLText.text(of: "B", in: secret(text)) == nil)
        }
    }
}
