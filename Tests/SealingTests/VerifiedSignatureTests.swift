// The memory of good signatures: it answers for the very bytes that were verified, and stays small.

import Primitives
import TestSupport
import Testing

@testable import Sealing

@Suite("Remembered signatures")
struct VerifiedSignatureTests {
    @Test("after a hit, one flipped bit in message, signature or key is refused")
    func flippedBits() throws {
        let key = try SigningKey.generate(entropy: SeededEntropy(seed: 41))
        let message = Array("a grant that is read at each step".utf8)
        let signature = try key.sign(message.span.bytes)
        let publicKey = key.publicKey.array
        func isValid(_ signature: [UInt8], _ message: [UInt8], _ publicKey: [UInt8]) -> Bool {
            SigningKey.verify(signature.span.bytes, message.span.bytes, publicKey: Bytes32(publicKey.span.bytes))
        }
        let remembered = VerifiedSignatures.name(signature.span.bytes, message.span.bytes, publicKey: key.publicKey)
        let name = try #require(remembered)
        #expect(!VerifiedSignatures.shared.contains(name))
        #expect(isValid(signature, message, publicKey))
        #expect(VerifiedSignatures.shared.contains(name))
        #expect(isValid(signature, message, publicKey))
        for bit in 0..<message.count * 8 {
            #expect(!isValid(signature, flipping(bit, in: message), publicKey), "bit \(bit) of the message")
        }
        for bit in 0..<signature.count * 8 {
            #expect(!isValid(flipping(bit, in: signature), message, publicKey), "bit \(bit) of the signature")
        }
        for bit in 0..<publicKey.count * 8 {
            #expect(!isValid(signature, message, flipping(bit, in: publicKey)), "bit \(bit) of the key")
        }
        // Bytes that move from one part to the next are other parts.
        #expect(!isValid(signature, Array(message.dropLast()), publicKey))
        // What was refused is not remembered: it is refused again, and the good one is still good.
        #expect(!isValid(flipping(0, in: signature), message, publicKey))
        #expect(isValid(signature, message, publicKey))
    }

    @Test("a message that is too long to be remembered is verified each time")
    func longMessage() throws {
        let key = try SigningKey.generate(entropy: SeededEntropy(seed: 42))
        for (count, isRemembered) in [
            (VerifiedSignatures.maximumMessage, true), (VerifiedSignatures.maximumMessage + 1, false),
        ] {
            var message = [UInt8](repeating: 7, count: count)
            let signature = try key.sign(message.span.bytes)
            let name = VerifiedSignatures.name(signature.span.bytes, message.span.bytes, publicKey: key.publicKey)
            #expect((name != nil) == isRemembered)
            for _ in 0..<2 {
                let isValid = SigningKey.verify(signature.span.bytes, message.span.bytes, publicKey: key.publicKey)
                #expect(isValid, "\(count) bytes")
            }
            message[count - 1] ^= 1
            let isValid = SigningKey.verify(signature.span.bytes, message.span.bytes, publicKey: key.publicKey)
            #expect(!isValid, "\(count) bytes")
        }
    }

    @Test("the memory is bounded, and keeps the newest")
    func bound() {
        let memory = VerifiedSignatures()
        let limit = VerifiedSignatures.generationLimit
        func name(_ number: Int) -> Bytes32 { Bytes32(w0: UInt64(number), w1: 1, w2: 2, w3: 3) }
        var most = 0
        for number in 0..<limit * 5 {
            memory.insert(name(number))
            most = max(most, memory.count)
        }
        #expect(most == limit * 2)
        #expect((limit * 4..<limit * 5).allSatisfy { memory.contains(name($0)) })
        #expect(!(0..<limit * 3).contains { memory.contains(name($0)) })
    }

    private func flipping(_ bit: Int, in bytes: [UInt8]) -> [UInt8] {
        var bytes = bytes
        bytes[bit / 8] ^= UInt8(1 << (bit % 8))
        return bytes
    }
}
