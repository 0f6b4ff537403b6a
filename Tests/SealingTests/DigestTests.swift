// Digests, keyed digests and derivations against published vectors.

import Primitives
import Sealing
import TestSupport
import Testing

@Suite("Digests and derived keys")
struct DigestTests {
    @Test("SHA-256 gives the values of FIPS 180-4's examples")
    func sha256() {
        func digest(_ message: String) -> String {
            let message = Array(message.utf8)
            return text(SHA256.digest(message.span.bytes))
        }
        #expect(digest("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(digest("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test("a stream gives the digest of the whole, however it is cut, and again after a reset")
    func stream() throws {
        let seed: UInt64 = 11
        let random = SeededEntropy(seed: seed)
        let message = try random.bytes(5_000)
        let whole = SHA256.digest(message.span.bytes)
        let stream = SHA256Stream()
        for _ in 0..<20 {
            var offset = 0
            while offset < message.count {
                let end = min(message.count, offset + Int(random.next() % 700))
                stream.update(message.span.bytes.extracting(offset..<end))
                offset = end
            }
            #expect(stream.finish() == whole, "seed \(seed)")
            stream.reset()
        }
    }

    @Test(
        "HMAC-SHA256 gives the values of RFC 4231",
        arguments: [
            (
                String(repeating: "0b", count: 20), "4869205468657265",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
            ),
            (
                "4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            (
                String(repeating: "aa", count: 20), String(repeating: "dd", count: 50),
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"
            ),
            (
                String(repeating: "aa", count: 131),
                "54657374205573696e67204c6172676572205468616e20426c6f636b2d53697a65204b6579202d2048617368204b657920"
                    + "4669727374", "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
            ),
        ])
    func hmac(key: String, message: String, expected: String) throws {
        let message = try bytes(message)
        let hash = KeyedHash(key: try secret(key))
        for _ in 0..<2 {
            let digest = hash.digest(message.span.bytes)
            #expect(text(digest) == expected)
        }
        for cut in 0...message.count {
            let span = message.span.bytes
            let digest = hash.digest(span.extracting(0..<cut), span.extracting(cut..<message.count))
            #expect(text(digest) == expected)
        }
        let once = KeyedHash.digest(key: try secret(key), message.span.bytes)
        #expect(text(once) == expected)
    }

    @Test("two messages hashed together have the digests that they have alone, whatever their lengths")
    func pairs() throws {
        let seed: UInt64 = 23
        let random = SeededEntropy(seed: seed)
        // Around the ends of blocks of 64 bytes, where the padding takes another block, and far apart.
        let lengths = [0, 1, 55, 56, 63, 64, 65, 119, 120, 127, 128, 1_000, 131_072]
        for keyLength in [1, 32, 64, 131] {
            var key = try random.bytes(keyLength)
            let hash = KeyedHash(key: SecretBytes(wiping: &key))
            for first in lengths {
                for second in lengths {
                    let (a, b) = (try random.bytes(first), try random.bytes(second))
                    let both = hash.digests(a.span.bytes, b.span.bytes)
                    let alone = (hash.digest(a.span.bytes), hash.digest(b.span.bytes))
                    #expect(both == alone, "\(first) and \(second) bytes, key of \(keyLength), seed \(seed)")
                }
            }
        }
    }

    @Test("HKDF-SHA256 gives the values of RFC 5869")
    func hkdf() throws {
        let key = try secret(String(repeating: "0b", count: 22))
        let first = try HKDF.derive(key, salt: Array(0...12), info: Array(0xF0...0xF9), count: 42)
        #expect(
            text(first) == "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        let third = try HKDF.derive(key, salt: [], info: [], count: 42)
        #expect(
            text(third) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8")
        let long = try HKDF.derive(
            try secret(Hex.encode(0...0x4F)), salt: Array(0x60...0xAF), info: Array(0xB0...0xFF), count: 82)
        #expect(
            text(long) == "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e59"
                + "0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87")
    }

    @Test("HKDF gives up to 8,160 bytes, each length a prefix of the longer one, and refuses more")
    func hkdfLimit() throws {
        let key = try secret("00")
        let longest = text(try HKDF.derive(key, salt: [1], info: [2], count: HKDF.maximumCount))
        for count in [0, 1, 31, 32, 33, 64, 2_048] {
            #expect(longest.hasPrefix(text(try HKDF.derive(key, salt: [1], info: [2], count: count))))
        }
        #expect(
            failure { () throws(HoldfastError) in
                try HKDF.derive(key, salt: [1], info: [2], count: HKDF.maximumCount + 1)
            } == .limitExceeded)
    }

    @Test(
        "scrypt refuses parameters outside the limits",
        arguments: [
            (UInt8(9), UInt32(8), UInt32(1)), (21, 8, 1), (255, 8, 1), (14, 1, 1), (14, 9, 1), (14, 0, 1), (14, 8, 0),
            (14, 8, 5), (14, 8, .max), (14, .max, 1),
        ])
    func scryptLimits(logN: UInt8, r: UInt32, p: UInt32) {
        let password = SecretBytes(count: 1)
        #expect(
            failure { () throws(HoldfastError) in
                try PasswordKey.scrypt(password, salt: [], logN: logN, r: r, p: p)
            } == .limitExceeded)
    }

    @Test("scrypt gives the value of RFC 7914")
    func scrypt() throws {
        let password = try secret(Hex.encode("pleaseletmein".utf8))
        let key = try PasswordKey.scrypt(password, salt: Array("SodiumChloride".utf8), logN: 14, r: 8, p: 1)
        #expect(text(key) == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2")
        // Checked against another implementation.
        let second = try PasswordKey.scrypt(
            try secret(Hex.encode("secret".utf8)), salt: Array("salt".utf8), logN: 10, r: 8, p: 2)
        #expect(text(second) == "1f5ea705f7c750ff3439e19c6373437a8395af3a6d6934c362d3269c59ccbfde")
    }
}
