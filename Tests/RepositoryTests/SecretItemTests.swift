// Secrets as chunks.

import Primitives
import Repository
import TestSupport
import Testing

@Suite("A secret as a chunk")
struct SecretItemTests {
    private func bytes(_ secret: SecretBytes) -> [UInt8] { secret.withBytes { Array($0) } }

    private func read(_ bytes: [UInt8]) throws -> (form: UInt8, value: [UInt8]) {
        let (form, value) = try bytes.withUnsafeBytes { raw in try SecretItem.value(of: raw) }
        return (form, self.bytes(value))
    }

    @Test("reads back, and neither its length nor its bytes tell of the value")
    func roundTrip() throws {
        for count in [0, 1, 20, 474, 475, 5000, 65_536, SecretItem.maximumValue] {
            var plain = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
            let value = SecretBytes(wiping: &plain)
            let item = bytes(try SecretItem.encoded(form: 2, value, entropy: SystemEntropy()))
            let other = bytes(try SecretItem.encoded(form: 2, value, entropy: SystemEntropy()))
            #expect(item != other && item.count == other.count && item.prefix(32) != other.prefix(32))
            #expect(item.count >= SecretItem.floor && item.count <= SecretItem.maximumSize)
            let back = try read(item)
            #expect(back.form == 2 && back.value == bytes(value))
        }
        func padded(_ count: Int) throws -> Int {
            try SecretItem.encoded(form: 1, SecretBytes(count: count), entropy: SystemEntropy()).count
        }
        #expect(try padded(0) == padded(400) && padded(5000) == padded(5020))
        #expect(throws: HoldfastError.self) { try padded(SecretItem.maximumValue + 1) }
    }

    @Test("is refused when any length in it cannot be")
    func damage() throws {
        let item = bytes(try SecretItem.encoded(form: 1, TestRepository.secret("value"), entropy: SystemEntropy()))
        #expect(throws: HoldfastError.self) { try read([]) }
        #expect(throws: HoldfastError.self) { try read(Array(item.dropLast())) }
        #expect(throws: HoldfastError.self) { try read(item + [0]) }
        for (place, byte) in [(32, UInt8(2)), (34, 255), (35, 255), (36, 255), (37, 255)] {
            var harmed = item
            harmed[place] = byte
            if place == 34 { harmed[35] = 200 }
            #expect(throws: HoldfastError.self, "\(place)") { try read(harmed) }
        }
    }

    @Test("has one chunk as its content, and nothing else is one")
    func content() throws {
        func parse(_ content: Content) throws -> Content {
            var writer = ByteWriter()
            content.write(to: &writer)
            var reader = ByteReader(writer.bytes, as: "content")
            return try Content(from: &reader)
        }
        let piece = ContentPiece(id: ChunkID(Bytes32(w0: 9)), length: 512)
        let good = Content(rule: .secret, blockShift: 0, size: 512, location: .inline([piece]))
        #expect(try parse(good) == good)
        for bad in [
            Content(rule: .secret, blockShift: 0, size: 1024, location: .inline([piece, piece])),
            Content(rule: .secret, blockShift: 0, size: 0, location: .inline([])),
            Content(
                rule: .secret, blockShift: 0, size: 512, location: .inline([ContentPiece(id: .zeros, length: 512)])),
            Content(
                rule: .secret, blockShift: 0, size: 512,
                location: .tree(NodeReference(id: ChunkID(Bytes32(w0: 9)), level: 0))),
        ] { #expect(throws: HoldfastError.self) { try parse(bad) } }
    }
}
