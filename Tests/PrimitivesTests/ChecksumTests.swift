// CRC-32C in one piece and in several.

import Primitives
import Testing

@Suite("CRC-32C")
struct ChecksumTests {
    @Test("bytes in two pieces have the sum of the whole, wherever they are cut")
    func pieces() {
        let bytes = Array("123456789".utf8)
        // The check value of RFC 3720's polynomial.
        #expect(crc32c(bytes.span.bytes) == 0xE306_9283)
        for cut in 0...bytes.count {
            let first = crc32c(bytes.span.bytes.extracting(..<cut))
            #expect(crc32c(bytes.span.bytes.extracting(cut...), after: first) == 0xE306_9283)
        }
    }
}
