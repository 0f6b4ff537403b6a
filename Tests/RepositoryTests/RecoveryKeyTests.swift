// The letters of recovery keys.

import Primitives
import TestSupport
import Testing

@testable import Repository

@Suite("The letters of a recovery key")
struct RecoveryKeyTests {
    private func secret(_ text: String) -> SecretBytes {
        let bytes = Array(text.utf8)
        return SecretBytes(copying: bytes.span.bytes)
    }

    private func key(_ seed: UInt64 = 1) throws -> SecretBytes { try SeededEntropy(seed: seed).secret(32) }

    private func letters(_ key: SecretBytes) -> String {
        RecoveryKeyText.letters(of: key).withBytes { String(decoding: $0, as: UTF8.self) }
    }

    private func lines(_ key: SecretBytes) -> [String] {
        let letters = Array(letters(key))
        return (0..<4).map { String(letters[($0 * 16)..<($0 * 16 + 16)]) }
    }

    private func opened(_ text: String) -> SecretBytes? {
        guard case .key(let key) = RecoveryKeyText.read(secret(text)) else { return nil }
        return key
    }

    private func message(_ text: String) -> String? {
        guard case .mistyped(let error) = RecoveryKeyText.read(secret(text)) else { return nil }
        #expect(error.code == .wrongKey)
        return error.message
    }

    @Test("give back the key, however they are typed")
    func roundTrip() throws {
        for seed in 1...200 as ClosedRange<UInt64> {
            let key = try key(seed)
            let lines = lines(key)
            let groups = lines.map { line in
                stride(from: 0, to: 16, by: 4).map { String(Array(line)[$0..<($0 + 4)]) }.joined(separator: " ")
            }
            let numbered = groups.enumerated().map { "  \($0 + 1):  \($1)" }.joined(separator: "\r\n")
            let confused = groups.joined(separator: "\n\n").lowercased()
                .replacing("0", with: "o").replacing("1", with: seed % 2 == 0 ? "l" : "I").replacing("v", with: "u")
            for text in [
                lines.joined(), lines.joined(separator: "\n") + "\n", groups.joined(separator: "-"), numbered, confused,
                groups.joined(separator: " ") + "\n", "\n" + lines.joined(separator: "\n\t"),
            ] {
                #expect(opened(text)?.equals(key) == true, "seed \(seed): \(text)")
            }
        }
    }

    // The letters were made by another program, which tries all check letters against the roots of the code.
    @Test("are the same for the same key for ever")
    func golden() throws {
        let key = SecretBytes(count: 32)
        key.withMutableBytes { raw in for place in raw.indices { raw[place] = UInt8(place) } }
        #expect(
            lines(key) == [
                "2001081G818606BH", "W40J2GB1G6GW3CBE", "RG2491650N2RBZHC",
                "HG68T3CE1T7GZY5R",
            ])
    }

    @Test("with any one letter wrong name its line")
    func oneLetter() throws {
        let key = try key()
        let right = Array(letters(key))
        for (place, letter) in right.enumerated() {
            for other in Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ?*") where other != letter {
                var wrong = right
                wrong[place] = other
                #expect(message(String(wrong)) == "line \(place / 16 + 1) of the recovery key has a mistake")
            }
        }
    }

    @Test("with two neighbours exchanged, three letters wrong, or one letter more or fewer name their line")
    func otherMistakes() throws {
        let key = try key(2)
        let lines = lines(key)
        for line in 0..<4 {
            for place in 0..<15 {
                var letters = Array(lines[line])
                guard letters[place] != letters[place + 1] else { continue }
                letters.swapAt(place, place + 1)
                var wrong = lines
                wrong[line] = String(letters)
                #expect(message(wrong.joined()) == "line \(line + 1) of the recovery key has a mistake")
            }
            for change in [
                { String($0.dropLast()) }, { $0.prefix(7) + "A" + $0.dropFirst(7) },
            ] as [(String) -> String] {
                var wrong = lines
                wrong[line] = change(wrong[line])
                let count = wrong[line].count
                #expect(
                    message(wrong.joined(separator: "\n"))
                        == "line \(line + 1) of the recovery key has \(count) letters instead of 16")
                let together = try #require(message(wrong.joined()))
                #expect(together.hasPrefix("line \(line + 1) of the recovery key has a mistake"), "\(together)")
            }
        }
        var letters = Array(lines[3])
        for place in [0, 7, 15] { letters[place] = letters[place] == "A" ? "B" : "A" }
        #expect(message((lines.dropLast() + [String(letters)]).joined())?.hasPrefix("line 4 ") == true)
    }

    @Test("in another order, or with a line twice, are told so")
    func order() throws {
        let lines = try lines(key(3))
        #expect(
            message([lines[0], lines[2], lines[1], lines[3]].joined())
                == "lines 2 and 3 of the recovery key are not in their order")
        #expect(
            message([lines[0], lines[1], lines[1], lines[3]].joined(separator: "\n"))
                == "line 3 of the recovery key is its line 2")
        #expect(message(lines.reversed().joined())?.contains("not in their order") == true)
        let other = try self.lines(key(4))
        // A line of another key is right by itself; the key is then another, and opens nothing.
        #expect(opened([lines[0], lines[1], other[2], lines[3]].joined()) != nil)
    }

    @Test("are not seen in passwords of another make")
    func passwords() {
        for text in [
            "", "secret", "correct horse battery staple", "a\nb\nc\nd\n", String(repeating: "A", count: 64),
            String(repeating: "x1y2", count: 16), String(repeating: "z", count: 4000), "0123456789abcdef",
            "six random words are a good password for a repository of this kind yes",
        ] {
            guard case .other = RecoveryKeyText.read(secret(text)) else {
                Issue.record("\(text) is taken for a recovery key")
                continue
            }
        }
    }

    @Test("of a later version are refused as such")
    func version() throws {
        // The first letter holds the version above the first bit of the key.
        let key = try key(5)
        guard case .mistyped(let error) = RecoveryKeyText.read(RecoveryKeyText.letters(of: key, version: 2)) else {
            Issue.record("a key of version 2 is read")
            return
        }
        #expect(error.code == .unsupportedFormat)
    }

    @Test("of any bytes do no harm, and a text with up to three wrong letters in a line never gives another key")
    func arbitrary() throws {
        let seed: UInt64 = 20
        let entropy = SeededEntropy(seed: seed)
        let key = try key(seed)
        let right = Array(letters(key).utf8)
        for round in 0..<3000 {
            var text = round % 2 == 0 ? right : try entropy.bytes(Int(entropy.next() % 200))
            if round % 2 == 0 {
                let line = Int(entropy.next() % 4)
                for _ in 0..<3 {
                    text[line * 16 + Int(entropy.next() % 16)] = UInt8(truncatingIfNeeded: entropy.next() % 90 + 33)
                }
            }
            guard case .key(let read) = RecoveryKeyText.read(SecretBytes(copying: text.span.bytes)) else { continue }
            #expect(read.equals(key), "seed \(seed), round \(round)")
        }
    }

    @Test("typed one line at a time are known by their lines")
    func single() throws {
        let lines = try lines(key(6))
        #expect(RecoveryKeyText.isLine(secret("1: " + lines[0]), number: 1))
        #expect(!RecoveryKeyText.isLine(secret(lines[1]), number: 1))
        #expect(!RecoveryKeyText.isLine(secret("hunter2"), number: 1))
        #expect(!RecoveryKeyText.isLine(secret(lines[0] + "\n" + lines[1]), number: 1))
    }
}
