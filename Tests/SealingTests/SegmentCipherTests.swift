// AES-256-GCM against published vectors, and tampering.

import Primitives
import Sealing
import TestSupport
import Testing

@Suite("Sealed segments")
struct SegmentCipherTests {
    private static let key = Hex.encode(0...31)

    /// Ciphertext and tag of `plain`.
    private func seal(_ cipher: SegmentCipher, _ plain: [UInt8], _ nonce: UInt64, _ associated: [UInt8]) throws
        -> [UInt8]
    {
        var text = plain
        var tag = [UInt8](repeating: 0, count: 16)
        try text.withUnsafeMutableBytes { text in
            try tag.withUnsafeMutableBytes { tag in
                try cipher.seal(inPlace: text, tag: tag, nonce: nonce, associated: associated.span.bytes)
            }
        }
        return text + tag
    }

    /// The plaintext, or the code of the failure and what is left in the buffer.
    private func open(
        _ cipher: SegmentCipher, _ sealed: [UInt8], _ nonce: UInt64, _ associated: [UInt8]
    ) -> (code: ErrorCode?, buffer: [UInt8]) {
        var text = Array(sealed.dropLast(16))
        let tag = Array(sealed.suffix(16))
        let code = text.withUnsafeMutableBytes { text in
            tag.withUnsafeBytes { tag in
                failure { () throws(HoldfastError) in
                    try cipher.open(inPlace: text, tag: tag, nonce: nonce, associated: associated.span.bytes)
                }
            }
        }
        return (code, text)
    }

    @Test("AES-256-GCM gives the values of cases 13 and 14 of the GCM specification")
    func specification() throws {
        let cipher = try SegmentCipher(key: SecretBytes(count: 32))
        #expect(Hex.encode(try seal(cipher, [], 0, [])) == "530f8afbc74536b9a963b4f1c4cb738b")
        #expect(
            Hex.encode(try seal(cipher, [UInt8](repeating: 0, count: 16), 0, []))
                == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    }

    @Test("the nonce is four zero bytes and the number, big-endian; associated bytes enter the tag")
    func layout() throws {
        let cipher = try SegmentCipher(key: try secret(Self.key))
        let sealed = try seal(cipher, Array("holdfast".utf8), 0x0102_0304_0506_0708, Array("aad".utf8))
        // Checked against another implementation.
        #expect(Hex.encode(sealed) == "6c3e096abb807aea455bd735c61e835b462eb0a4aa2c443c")
    }

    @Test("segments open in any order, sealing and opening mixed, at every length around the block size")
    func roundTrip() throws {
        let seed: UInt64 = 21
        let random = SeededEntropy(seed: seed)
        let cipher = try SegmentCipher(key: try random.secret(32))
        var sealed: [(plain: [UInt8], sealed: [UInt8])] = []
        for count in Array(0...49) + [65_519, 65_520, 65_521] {
            let plain = try random.bytes(count)
            let nonce = UInt64(sealed.count)
            let bytes = try seal(cipher, plain, nonce, [7])
            #expect(bytes.count == count + 16)
            #expect(open(cipher, bytes, nonce, [7]) == (nil, plain), "seed \(seed), length \(count)")
            sealed.append((plain, bytes))
        }
        for index in sealed.indices.reversed() {
            #expect(open(cipher, sealed[index].sealed, UInt64(index), [7]) == (nil, sealed[index].plain))
        }
    }

    @Test("any changed bit, another number, other associated bytes or another key is refused, and nothing leaks")
    func tamper() throws {
        let cipher = try SegmentCipher(key: try secret(Self.key))
        let plain = Array("attack at dawn, or a little later".utf8)
        let sealed = try seal(cipher, plain, 5, [1, 2, 3])
        let zeros = [UInt8](repeating: 0, count: plain.count)
        for bit in 0..<(sealed.count * 8) {
            var bent = sealed
            bent[bit / 8] ^= 1 << UInt8(bit % 8)
            #expect(open(cipher, bent, 5, [1, 2, 3]) == (.corruptObject, zeros), "bit \(bit)")
        }
        #expect(open(cipher, sealed, 6, [1, 2, 3]) == (.corruptObject, zeros))
        #expect(open(cipher, sealed, 5, [1, 2]) == (.corruptObject, zeros))
        #expect(open(cipher, sealed, 5, []) == (.corruptObject, zeros))
        #expect(open(try SegmentCipher(key: SecretBytes(count: 32)), sealed, 5, [1, 2, 3]) == (.corruptObject, zeros))
        #expect(open(cipher, sealed, 5, [1, 2, 3]) == (nil, plain), "a refusal leaves the cipher usable")
    }

    @Test("a sealed box opens to its message, and to nothing when cut, changed or moved to another context")
    func box() throws {
        let key = try secret(Self.key)
        for plain in [[], Array("a wrapped key".utf8)] {
            let sealed = try SealedBox.seal(plain.span.bytes, key: key, associated: [9].span.bytes)
            #expect(sealed.count == plain.count + SealedBox.overhead)
            let opened = try SealedBox.open(sealed.span.bytes, key: key, associated: [9].span.bytes)
            #expect(text(opened) == Hex.encode(plain))
            func refusal(_ sealed: [UInt8], _ key: SecretBytes, _ associated: [UInt8]) -> ErrorCode? {
                failure { () throws(HoldfastError) in
                    try SealedBox.open(sealed.span.bytes, key: key, associated: associated.span.bytes)
                }
            }
            for count in 0..<sealed.count { #expect(refusal(Array(sealed.prefix(count)), key, [9]) == .corruptObject) }
            for index in sealed.indices {
                var bent = sealed
                bent[index] ^= 0x80
                #expect(refusal(bent, key, [9]) == .corruptObject)
            }
            #expect(refusal(sealed, key, [8]) == .corruptObject)
            #expect(refusal(sealed, SecretBytes(count: 32), [9]) == .corruptObject)
        }
    }
}
