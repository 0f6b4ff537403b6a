// Where new values come from.

import Primitives
import Sealing
import SecretVaults

/// How a new value is made.
package enum SecretGenerator: Sendable, Hashable {
    package enum Encoding: String, Sendable, Hashable, CaseIterable {
        case base64, hex, raw
    }

    /// Letters that are drawn one by one, each as likely as the others.
    case text(length: Int, alphabet: [UInt8])
    case bytes(count: Int, Encoding)
    case keyPair(KeyPairKind)
    /// What a program prints, without a line feed at its end.
    case command([String])

    package static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
    /// 40 of 62 letters are 238 bits.
    package static let standard = SecretGenerator.text(length: 40, alphabet: letters)
    /// What is guessed sooner is refused.
    package static let leastBits = 64.0

    /// In words, for a dry run.
    package var text: String {
        switch self {
        case .text(let length, let alphabet): "\(length) letters of \(alphabet.count)"
        case .bytes(let count, let encoding): "\(count) random bytes, \(encoding.rawValue)"
        case .keyPair(let kind): "a key pair of \(kind.rawValue)"
        case .command(let words): "what `\(words.first ?? "")` prints"
        }
    }
}

/// A value that was made and is nowhere else yet.
package struct GeneratedSecret: Sendable {
    package var bytes: SecretBytes
    package var isText: Bool
    /// PEM of the public half of a key pair.
    package var publicKey: String?

    package init(bytes: SecretBytes, isText: Bool, publicKey: String? = nil) {
        self.bytes = bytes
        self.isText = isText
        self.publicKey = publicKey
    }
}

extension SecretGenerator {
    /// - Throws: `.processFailed` when the program fails or prints nothing; `.limitExceeded` when it prints too much.
    package func make(
        _ programs: SecretPrograms, entropy: any Entropy
    ) throws(HoldfastError) -> GeneratedSecret {
        switch self {
        case .text(let length, let alphabet):
            return GeneratedSecret(bytes: try Self.letters(length, alphabet, entropy), isText: true)
        case .bytes(let count, .raw): return GeneratedSecret(bytes: try entropy.secret(count), isText: false)
        case .bytes(let count, let encoding):
            let random = try entropy.secret(count)
            return GeneratedSecret(bytes: random.encoded(encoding), isText: true)
        case .keyPair(let kind):
            let pair = try KeyPairText.generate(kind)
            return GeneratedSecret(bytes: pair.privateKey, isText: true, publicKey: pair.publicKey)
        case .command(let words):
            let end = try programs.run(words, input: nil, named: "the generator")
            guard end.result.isSuccess, end.output.count > 0 else {
                throw HoldfastError(
                    .processFailed, "the generator `\(words.first ?? "")` made no value: \(end.result)",
                    hint: "Let it print the value on standard output and exit 0.", retry: .later)
            }
            let bytes = end.output.withoutLineFeed
            guard bytes.count > 0 else {
                throw HoldfastError(
                    .processFailed, "the generator `\(words.first ?? "")` printed an empty value",
                    hint: "Let it print the value on standard output.")
            }
            return GeneratedSecret(bytes: bytes, isText: bytes.isText)
        }
    }

    /// Bytes beyond the last whole multiple of the alphabet are drawn again, so that no letter is likelier.
    private static func letters(
        _ length: Int, _ alphabet: [UInt8], _ entropy: any Entropy
    ) throws(HoldfastError) -> SecretBytes {
        precondition((2...256).contains(alphabet.count), "an alphabet has 2 to 256 letters")
        let result = SecretBytes(count: length)
        let most = 256 - 256 % alphabet.count
        var filled = 0
        while filled < length {
            let random = try entropy.secret(2 * (length - filled) + 16)
            random.withBytes { raw in
                result.withMutableBytes { target in
                    for byte in raw where Int(byte) < most && filled < length {
                        target[filled] = alphabet[Int(byte) % alphabet.count]
                        filled += 1
                    }
                }
            }
        }
        return result
    }
}

extension SecretBytes {
    /// Whether the bytes are UTF-8 without control characters that a text has no use for.
    var isText: Bool {
        withBytes { bytes in
            if bytes.contains(0) { return false }
            var decoder = UTF8()
            var iterator = bytes.makeIterator()
            while true {
                switch decoder.decode(&iterator) {
                case .scalarValue: continue
                case .emptyInput: return true
                case .error: return false
                }
            }
        }
    }

    var withoutLineFeed: SecretBytes {
        withBytes { raw in
            let isEnded = raw.last == UInt8(ascii: "\n")
            let own = UnsafeRawBufferPointer(rebasing: isEnded ? raw.dropLast() : raw[...])
            return SecretBytes(copying: own.bytes)
        }
    }

    /// Base 64 of RFC 4648 with padding, or hexadecimal digits.
    func encoded(_ encoding: SecretGenerator.Encoding) -> SecretBytes {
        switch encoding {
        case .raw: return self
        case .hex:
            let digits = Array("0123456789abcdef".utf8)
            let result = SecretBytes(count: count * 2)
            withBytes { raw in
                result.withMutableBytes { target in
                    for (place, byte) in raw.enumerated() {
                        target[place * 2] = digits[Int(byte >> 4)]
                        target[place * 2 + 1] = digits[Int(byte & 15)]
                    }
                }
            }
            return result
        case .base64: return base64
        }
    }

    package var base64: SecretBytes {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        let result = SecretBytes(count: (count + 2) / 3 * 4)
        withBytes { raw in
            result.withMutableBytes { target in
                for (group, start) in stride(from: 0, to: raw.count, by: 3).enumerated() {
                    let part = raw[start..<min(start + 3, raw.count)]
                    let bits = part.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - part.count))
                    for letter in 0..<4 {
                        target[group * 4 + letter] =
                            letter <= part.count
                            ? letters[Int(bits >> UInt32(18 - 6 * letter) & 63)] : UInt8(ascii: "=")
                    }
                }
            }
        }
        return result
    }
}
