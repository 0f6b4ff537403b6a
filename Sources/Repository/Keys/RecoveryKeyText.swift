// A recovery key as people type it: four lines of sixteen letters, each line checked by itself.

import Primitives

/// The text of a recovery key, which is a raw key of 32 random bytes.
///
/// The letters are those of Crockford's base 32, `0-9` and `A-Z` without I, L, O and U. Four bits of version (1) and
/// the 256 bits of the key, highest bit first, make 52 letters; each thirteen of them are a line, closed by the three
/// letters of ``RecoveryKeyCode``. Reading takes small letters for large ones, O for 0, I and L for 1, U for V, and
/// passes over spaces and hyphens, wherever they stand; a line may begin with its number and a colon, and line ends may
/// be missing.
package enum RecoveryKeyText {
    package static let keySize = 32
    package static let lines = 4
    package static let lineLetters = RecoveryKeyCode.dataLetters + RecoveryKeyCode.checkLetters
    package static let groupLetters = 4
    private static let version: UInt8 = 1
    private static let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ".utf8)
    /// Stands for a letter that is none of the alphabet's.
    private static let unknown: UInt8 = 255
    /// More letters than this are no recovery key, however badly typed.
    private static let mostLetters = lines * lineLetters * 2

    private typealias Letters = Slice<UnsafeRawBufferPointer>

    /// What a text is.
    package enum Reading {
        case key(SecretBytes)
        /// A recovery key, but not as it was printed.
        case mistyped(HoldfastError)
        /// Something else, such as a password.
        case other
    }

    // MARK: Writing

    /// The 64 letters of `key`, as ASCII, without spaces.
    ///
    /// - Precondition: `key` has 32 bytes.
    package static func letters(of key: SecretBytes) -> SecretBytes { letters(of: key, version: version) }

    static func letters(of key: SecretBytes, version: UInt8) -> SecretBytes {
        precondition(key.count == keySize, "a recovery key has \(keySize) bytes")
        let text = SecretBytes(count: lines * lineLetters)
        key.withBytes { raw in
            text.withMutableBytes { letters in
                var held = UInt32(version)
                var bits = 4
                var place = 0
                for byte in raw {
                    held = held << 8 | UInt32(byte)
                    bits += 8
                    while bits >= 5 {
                        bits -= 5
                        letters[place] = UInt8(truncatingIfNeeded: held >> UInt32(bits)) & 31
                        place += 1
                        if place % lineLetters == RecoveryKeyCode.dataLetters { close(letters, &place) }
                    }
                }
                for place in letters.indices { letters[place] = alphabet[Int(letters[place])] }
            }
        }
        return text
    }

    /// Puts the check letters behind the line that ends before `place`.
    private static func close(_ letters: UnsafeMutableRawBufferPointer, _ place: inout Int) {
        let data = UnsafeRawBufferPointer(letters)[(place - RecoveryKeyCode.dataLetters)..<place]
        let check = RecoveryKeyCode.check(data, line: place / lineLetters + 1)
        for value in [check.0, check.1, check.2] {
            letters[place] = value
            place += 1
        }
    }

    // MARK: Reading

    /// Tells a recovery key from a password, and finds the lines in which a mistake is.
    ///
    /// A text counts as a recovery key when one line at least is right, or when it has four lines of sixteen letters: a
    /// password of another make passes for one by chance once in thirty thousand lines of just this form.
    package static func read(_ text: SecretBytes) -> Reading {
        let typed = TypedLines(text)
        guard typed.letterCount <= mostLetters else { return .other }
        return typed.withLetters { read(typed, $0) }
    }

    private static func read(_ typed: TypedLines, _ letters: Letters) -> Reading {
        guard typed.lines.count == lines || letters.count == lines * lineLetters else { return shortened(letters) }
        let ranges = typed.lines.count == lines ? typed.lines : typed.ranges(of: lineLetters)
        let cut = ranges.map { letters[$0] }
        let standings = cut.enumerated().map { standing(of: $1, as: $0 + 1) }
        let looksLikeOne =
            standings.contains { $0.isKnown }
            || typed.lines.count == lines && cut.allSatisfy { $0.count == lineLetters && !$0.contains(unknown) }
        guard looksLikeOne else { return .other }
        let wrong = standings.indices.filter { standings[$0] != .right }
        guard wrong.isEmpty else {
            return .mistyped(failure(wrong.map { ($0 + 1, standings[$0]) }))
        }
        return key(cut)
    }

    /// Whether `text` is line `number` without a mistake.
    package static func isLine(_ text: SecretBytes, number: Int) -> Bool {
        let typed = TypedLines(text)
        return typed.lines.count == 1 && typed.withLetters { standing(of: $0, as: number) } == .right
    }

    private static func key(_ lines: [Letters]) -> Reading {
        let key = SecretBytes(count: keySize)
        var held: UInt32 = 0
        var bits = 0
        var place = -1
        var found: UInt8 = 0
        key.withMutableBytes { raw in
            for line in lines {
                for value in line.prefix(RecoveryKeyCode.dataLetters) {
                    held = held << 5 | UInt32(value)
                    bits += 5
                    // The four bits of the version come first, then whole bytes.
                    let wanted = place < 0 ? 4 : 8
                    guard bits >= wanted else { continue }
                    bits -= wanted
                    let byte = UInt8(truncatingIfNeeded: held >> UInt32(bits))
                    if place < 0 { found = byte & 15 } else if place < raw.count { raw[place] = byte }
                    place += 1
                }
            }
        }
        guard found == version else {
            return .mistyped(
                HoldfastError(
                    .unsupportedFormat, "the recovery key is of version \(found), which this holdfast does not know",
                    hint: "Use the holdfast that the page names, or a newer one."))
        }
        return .key(key)
    }

    private enum Standing: Equatable {
        case right
        /// Without a mistake, but another line than the one that it stands for.
        case misplaced(Int)
        case wrongCount(Int)
        case mistaken

        var isKnown: Bool {
            switch self {
            case .right, .misplaced: true
            case .wrongCount, .mistaken: false
            }
        }
    }

    private static func standing(of line: Letters, as number: Int) -> Standing {
        guard line.count == lineLetters else { return .wrongCount(line.count) }
        guard !line.contains(unknown) else { return .mistaken }
        let check = Array(line.suffix(RecoveryKeyCode.checkLetters))
        func holds(_ number: Int) -> Bool {
            let due = RecoveryKeyCode.check(line.prefix(RecoveryKeyCode.dataLetters), line: number)
            return check == [due.0, due.1, due.2]
        }
        if holds(number) { return .right }
        return (1...lines).first(where: holds).map { .misplaced($0) } ?? .mistaken
    }

    /// A text without lines that has too many or too few letters: the lines before and after the mistake tell where.
    private static func shortened(_ letters: Letters) -> Reading {
        guard letters.count > lineLetters else { return .other }
        var first = 1
        var rest = letters
        while first <= lines, standing(of: rest.prefix(lineLetters), as: first) == .right {
            rest = rest.dropFirst(lineLetters)
            first += 1
        }
        var last = lines
        while last >= first, standing(of: rest.suffix(lineLetters), as: last) == .right {
            rest = rest.dropLast(lineLetters)
            last -= 1
        }
        guard first > 1 || last < lines else { return .other }
        let named = first >= last ? [min(first, lines)] : Array(first...last)
        let count = letters.count
        return .mistyped(
            mistake(
                "\(nounOf(named)) of the recovery key \(named.count == 1 ? "has" : "have") a mistake: it has \(count) "
                    + "letters instead of \(lines * lineLetters)"))
    }

    // MARK: Failures

    private static func failure(_ wrong: [(line: Int, standing: Standing)]) -> HoldfastError {
        if wrong.count == 1, let one = wrong.first {
            switch one.standing {
            case .wrongCount(let count):
                return mistake("line \(one.line) of the recovery key has \(count) letters instead of \(lineLetters)")
            case .misplaced(let other):
                return mistake("line \(one.line) of the recovery key is its line \(other)")
            case .mistaken, .right: return mistake("line \(one.line) of the recovery key has a mistake")
            }
        }
        let named = nounOf(wrong.map(\.line))
        if wrong.allSatisfy({ $0.standing.isKnown }) {
            return mistake("\(named) of the recovery key are not in their order")
        }
        return mistake("\(named) of the recovery key have mistakes")
    }

    private static func nounOf(_ lines: [Int]) -> String {
        guard lines.count > 1, let last = lines.last else { return "line \(lines.first ?? 1)" }
        return "lines \(lines.dropLast().map(String.init).joined(separator: ", ")) and \(last)"
    }

    private static func mistake(_ message: String) -> HoldfastError {
        HoldfastError(
            .wrongKey, message,
            hint: "Compare with the page, letter by letter; large or small letters and spaces do not matter.")
    }

    /// What `recovery-kit verify` says of a text that is none.
    package static var notOne: HoldfastError {
        HoldfastError(
            .wrongKey, "this is not a recovery key: that has \(lines) lines of \(lineLetters) letters and digits",
            hint: "Type the four lines below \"Recovery key\" on the page, or read its QR code.")
    }

    /// The values of typed letters, line by line.
    private struct TypedLines {
        private let values: SecretBytes
        let letterCount: Int
        /// Where each line's letters are; lines without any are left out.
        let lines: [Range<Int>]

        init(_ text: SecretBytes) {
            let values = SecretBytes(count: text.count)
            (letterCount, lines) = text.withBytes { raw in
                values.withMutableBytes { values in
                    var count = 0
                    var lines: [Range<Int>] = []
                    for line in raw.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: true) {
                        let start = count
                        for byte in Self.withoutNumber(line) where !Self.isFiller(byte) {
                            values[count] = Self.value(byte)
                            count += 1
                        }
                        if count > start { lines.append(start..<count) }
                    }
                    return (count, lines)
                }
            }
            self.values = values
        }

        func withLetters<R>(_ body: (Slice<UnsafeRawBufferPointer>) -> R) -> R {
            values.withBytes { body($0[..<letterCount]) }
        }

        /// The letters in stretches of `count`, without regard to lines.
        func ranges(of count: Int) -> [Range<Int>] {
            stride(from: 0, to: letterCount, by: count).map { $0..<min($0 + count, letterCount) }
        }

        /// A line without the number that the page prints before it.
        private static func withoutNumber(_ line: Slice<UnsafeRawBufferPointer>) -> Slice<UnsafeRawBufferPointer> {
            let text = line.drop(while: isFiller)
            guard let digit = text.first, (UInt8(ascii: "1")...UInt8(ascii: "4")).contains(digit) else { return text }
            let rest = text.dropFirst()
            return rest.first.map { ":.)".utf8.contains($0) } == true ? rest.dropFirst() : text
        }

        private static func isFiller(_ byte: UInt8) -> Bool {
            byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "-")
                || byte == UInt8(ascii: "\r")
        }

        private static func value(_ byte: UInt8) -> UInt8 {
            let large = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) ? byte - 32 : byte
            switch large {
            case UInt8(ascii: "O"): return 0
            case UInt8(ascii: "I"), UInt8(ascii: "L"): return 1
            case UInt8(ascii: "U"): return value(UInt8(ascii: "V"))
            default: return alphabet.firstIndex(of: large).map { UInt8($0) } ?? unknown
            }
        }
    }
}
